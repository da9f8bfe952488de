/*
 * learn.c: teaches a small network one sample.
 *
 * Shows the sample, asks the network for its class, teaches it the other class, and asks again.
 * Nothing is allocated: the network lives in a static buffer.
 *
 *     cargo build --release -p reckon-c
 *     cc -std=c99 -I services/reckon-c/include services/reckon-c/examples/learn.c \
 *         target/release/libreckon_c.a -lpthread -ldl -lm -o learn
 */
#include <stdio.h>

#include "reckon.h"

#define INPUTS 8
#define RECURRENT 16
#define OUTPUTS 2
#define TICKS 100
#define LESSONS 20

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The block for the network, and what may be needed to align it. */
static uint8_t memory[RECKON_MEMORY_SIZE(INPUTS, RECURRENT, OUTPUTS) + RECKON_MEMORY_ALIGN - 1];

static int8_t inp[INPUTS * RECURRENT];
static int8_t rec[RECURRENT * RECURRENT];
static int8_t out[RECURRENT * OUTPUTS];
static ReckonPair pairs[RECURRENT / 2];
static ReckonEvent events[TICKS];

static const ReckonRegister registers[] = {
    {RECKON_SPI_NUM_INP_NEUR, INPUTS - 1},
    {RECKON_SPI_NUM_REC_NEUR, RECURRENT - 1},
    {RECKON_SPI_NUM_OUT_NEUR, OUTPUTS - 1},
    {RECKON_SPI_DO_EPROP, 0},
    {RECKON_SPI_RST_MODE, 1},
    {RECKON_SPI_FP_LOC_WINP, 3},
    {RECKON_SPI_FP_LOC_WREC, 3},
    {RECKON_SPI_FP_LOC_WOUT, 3},
    {RECKON_SPI_FP_LOC_TINP, 3},
    {RECKON_SPI_FP_LOC_TREC, 4},
    {RECKON_SPI_FP_LOC_TOUT, 6},
    {RECKON_SPI_LEARN_SIG_SCALE, 5},
    {RECKON_SPI_EN_STOCH_ROUND, 1},
    {RECKON_SPI_THR_H_0, 0},
    {RECKON_SPI_THR_H_1, 100},
    {RECKON_SPI_THR_H_2, 300},
    {RECKON_SPI_THR_H_3, 500},
    {RECKON_SPI_H_0, 0},
    {RECKON_SPI_H_1, 1},
    {RECKON_SPI_H_2, 2},
    {RECKON_SPI_H_3, 3},
    {RECKON_SPI_H_4, 4},
    {RECKON_SPI_LR_R_WINP, 0},
    {RECKON_SPI_LR_P_WINP, 8},
    {RECKON_SPI_LR_R_WREC, 0},
    {RECKON_SPI_LR_P_WREC, 8},
    {RECKON_SPI_LR_R_WOUT, 0},
    {RECKON_SPI_LR_P_WOUT, 10},
};

static uint32_t state = 1;

/* Pseudo-random weights, -limit to limit. */
static void fill(int8_t *weights, size_t count, int limit)
{
    size_t k;
    for (k = 0; k < count; k++) {
        state = state * 1664525u + 1013904223u;
        weights[k] = (int8_t)((int)(state >> 16) % (2 * limit + 1) - limit);
    }
}

static int failed(const char *what, int32_t code)
{
    if (code == RECKON_OK)
        return 0;
    fprintf(stderr, "%s: %s\n", what, reckon_error_text(code));
    return 1;
}

static void print_votes(const char *when, const ReckonReport *report)
{
    printf("%s: class %u, votes %u and %u, %lu spikes\n", when, (unsigned)report->label,
           (unsigned)report->votes[0], (unsigned)report->votes[1], (unsigned long)report->spikes);
}

int main(void)
{
    void *block = memory + (RECKON_MEMORY_ALIGN - (uintptr_t)memory % RECKON_MEMORY_ALIGN) %
                               RECKON_MEMORY_ALIGN;
    ReckonConfig config = {registers, COUNT(registers), pairs, COUNT(pairs)};
    ReckonSample sample = {events, COUNT(events), TICKS, TICKS / 2, TICKS, TICKS / 2, TICKS, 0};
    ReckonNetwork *network;
    ReckonReport report;
    uint32_t fault = 0;
    uint64_t drawn = 0;
    long sum = 0;
    size_t k;

    if (reckon_abi() != RECKON_C_ABI) {
        fputs("library and header are of different versions\n", stderr);
        return 1;
    }
    for (k = 0; k < COUNT(pairs); k++) {
        pairs[k].pair = (uint8_t)k;
        pairs[k].alpha12 = 4000;
        pairs[k].threshold = 600;
    }
    for (k = 0; k < COUNT(events); k++) {
        events[k].tick = (uint32_t)k;
        events[k].address = (uint8_t)(k * k % INPUTS);
    }
    fill(inp, COUNT(inp), 100);
    fill(rec, COUNT(rec), 20);
    fill(out, COUNT(out), 60);

    if (failed("new", reckon_new(block, RECKON_MEMORY_SIZE(INPUTS, RECURRENT, OUTPUTS), &config,
                                 &network, &fault))) {
        fprintf(stderr, "register or pair %lu\n", (unsigned long)fault);
        return 1;
    }
    if (failed("weights", reckon_load_weights(network, inp, COUNT(inp), rec, COUNT(rec), out,
                                              COUNT(out))) ||
        failed("before", reckon_run(network, &sample, &report)))
        return 1;
    print_votes("before", &report);

    sample.label = report.label == 0 ? 1 : 0;
    if (failed("learn", reckon_set_register(network, RECKON_SPI_DO_EPROP, 7)))
        return 1;
    for (k = 0; k < LESSONS; k++) {
        if (failed("lesson", reckon_run(network, &sample, &report)))
            return 1;
        drawn += report.weights_drawn;
    }
    printf("taught: class %u, %d times, %lu weights drawn\n", (unsigned)sample.label, LESSONS,
           (unsigned long)drawn);

    if (failed("stop", reckon_set_register(network, RECKON_SPI_DO_EPROP, 0)) ||
        failed("after", reckon_run(network, &sample, &report)) ||
        failed("read", reckon_read_weights(network, inp, COUNT(inp), rec, COUNT(rec), out,
                                           COUNT(out))))
        return 1;
    print_votes("after", &report);
    for (k = 0; k < COUNT(inp); k++)
        sum = (sum * 31 + inp[k] + 128) % 1000003;
    for (k = 0; k < COUNT(rec); k++)
        sum = (sum * 31 + rec[k] + 128) % 1000003;
    for (k = 0; k < COUNT(out); k++)
        sum = (sum * 31 + out[k] + 128) % 1000003;
    printf("weights: %ld\n", sum);
    return 0;
}
