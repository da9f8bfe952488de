/*
 * device.c: the loop of a device that learns from its own sensor.
 *
 * Events come from a driver, here a generated one; a sample is over after TICKS of them. The device says what it thinks it
 * was. Every now and then somebody presses a button that says what it really was, and the device learns from that sample,
 * on the spot and in place. Its weights go to a file, as they would go to flash, and come back at the next start.
 *
 *     cargo build --release -p reckon-c
 *     cc -std=c99 -I services/reckon-c/include deploy/examples/c/device.c \
 *         target/release/libreckon_c.a -lpthread -ldl -lm -o device
 *     ./device weights.bin
 *
 * Nothing is allocated: the network, its weights and the events of one sample live in static buffers.
 */
#include <stdio.h>

#include "reckon.h"

#define INPUTS 16
#define RECURRENT 64
#define OUTPUTS 2
#define TICKS 200
#define DECIDE_FROM 100
#define EVENTS_MAX 512
#define SAMPLES 400
#define WINDOW 100
#define THRESHOLD 600

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static uint8_t memory[RECKON_MEMORY_SIZE(INPUTS, RECURRENT, OUTPUTS) + RECKON_MEMORY_ALIGN - 1];

/* All weights in one block, as they stand in flash. */
static struct {
    int8_t inp[INPUTS * RECURRENT];
    int8_t rec[RECURRENT * RECURRENT];
    int8_t out[RECURRENT * OUTPUTS];
} weights;

static ReckonPair pairs[RECURRENT / 2];
static ReckonEvent events[EVENTS_MAX];

static const ReckonRegister registers[] = {
    {RECKON_SPI_NUM_INP_NEUR, INPUTS - 1},
    {RECKON_SPI_NUM_REC_NEUR, RECURRENT - 1},
    {RECKON_SPI_NUM_OUT_NEUR, OUTPUTS - 1},
    {RECKON_SPI_DO_EPROP, 0},
    {RECKON_SPI_RST_MODE, 0},
    {RECKON_SPI_FP_LOC_WINP, 3},
    {RECKON_SPI_FP_LOC_WREC, 3},
    {RECKON_SPI_FP_LOC_WOUT, 1},
    {RECKON_SPI_FP_LOC_TINP, 3},
    {RECKON_SPI_FP_LOC_TREC, 3},
    {RECKON_SPI_FP_LOC_TOUT, 4},
    {RECKON_SPI_LEARN_SIG_SCALE, 5},
    {RECKON_SPI_EN_STOCH_ROUND, 1},
    {RECKON_SPI_KAPPA, 126},
    /* Learns where the potential is above minus half the threshold. */
    {RECKON_SPI_THR_H_0, (uint16_t)-THRESHOLD},
    {RECKON_SPI_THR_H_1, (uint16_t)(-THRESHOLD / 2)},
    {RECKON_SPI_THR_H_2, 9 * THRESHOLD},
    {RECKON_SPI_THR_H_3, 32767},
    {RECKON_SPI_H_0, 0},
    {RECKON_SPI_H_1, 0},
    {RECKON_SPI_H_2, 1},
    {RECKON_SPI_H_3, 1},
    {RECKON_SPI_H_4, 0},
    {RECKON_SPI_LR_R_WINP, 0},
    {RECKON_SPI_LR_P_WINP, 10},
    {RECKON_SPI_LR_R_WREC, 0},
    {RECKON_SPI_LR_P_WREC, 10},
    {RECKON_SPI_LR_R_WOUT, 0},
    {RECKON_SPI_LR_P_WOUT, 12},
};

static uint32_t state = 1;

static uint32_t draw(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % below;
}

static void fill(int8_t *values, size_t count, int limit)
{
    size_t k;
    for (k = 0; k < count; k++)
        values[k] = (int8_t)((int)draw((uint32_t)(2 * limit + 1)) - limit);
}

/*
 * The driver. A touch goes over the channels upwards (0) or downwards (1), at its own pace and with noise: each channel is
 * touched as often either way, and only the order tells.
 */
static size_t read_sensor(unsigned *truth)
{
    uint32_t pace = 8 + draw(4), tick;
    size_t count = 0;
    *truth = draw(2);
    for (tick = 0; tick < TICKS && count + 2 <= EVENTS_MAX; tick++) {
        uint32_t place = tick / pace % INPUTS;
        if (draw(3) == 0) {
            events[count].tick = tick;
            events[count++].address = (uint8_t)(*truth == 0 ? place : INPUTS - 1 - place);
        }
        if (draw(20) == 0) {
            events[count].tick = tick;
            events[count++].address = (uint8_t)draw(INPUTS);
        }
    }
    return count;
}

static int failed(const char *what, int32_t code)
{
    if (code == RECKON_OK)
        return 0;
    fprintf(stderr, "%s: %s\n", what, reckon_error_text(code));
    return 1;
}

/* What flash holds; without anything in it, weights to begin with. */
static void load(const char *path)
{
    FILE *flash = fopen(path, "rb");
    if (flash && fread(&weights, sizeof weights, 1, flash) == 1) {
        puts("weights from flash");
    } else {
        fill(weights.inp, COUNT(weights.inp), 60);
        fill(weights.rec, COUNT(weights.rec), 10);
        fill(weights.out, COUNT(weights.out), 20);
        puts("weights to begin with");
    }
    if (flash)
        fclose(flash);
}

static int save(const char *path)
{
    FILE *flash = fopen(path, "wb");
    int written = flash && fwrite(&weights, sizeof weights, 1, flash) == 1;
    if (flash && fclose(flash) != 0)
        written = 0;
    if (!written)
        fprintf(stderr, "%s: cannot be written\n", path);
    return !written;
}

int main(int argc, char **argv)
{
    void *block = memory + (RECKON_MEMORY_ALIGN - (uintptr_t)memory % RECKON_MEMORY_ALIGN) %
                               RECKON_MEMORY_ALIGN;
    ReckonConfig config = {registers, COUNT(registers), pairs, COUNT(pairs)};
    ReckonSample sample = {events, 0, TICKS, DECIDE_FROM, TICKS, DECIDE_FROM, TICKS, 0};
    ReckonNetwork *network;
    ReckonReport report;
    uint32_t fault = 0;
    unsigned truth, number, right = 0;
    size_t k;

    if (argc != 2) {
        fprintf(stderr, "usage: %s WEIGHTS_FILE\n", argv[0]);
        return 2;
    }
    if (reckon_abi() != RECKON_C_ABI) {
        fputs("library and header are of different versions\n", stderr);
        return 1;
    }
    for (k = 0; k < COUNT(pairs); k++) {
        pairs[k].pair = (uint8_t)k;
        pairs[k].alpha12 = 3800;
        pairs[k].threshold = THRESHOLD;
    }
    load(argv[1]);
    if (failed("new", reckon_new(block, RECKON_MEMORY_SIZE(INPUTS, RECURRENT, OUTPUTS), &config,
                                 &network, &fault)) ||
        failed("weights", reckon_load_weights(network, weights.inp, COUNT(weights.inp),
                                              weights.rec, COUNT(weights.rec), weights.out,
                                              COUNT(weights.out))))
        return 1;

    for (number = 1; number <= SAMPLES; number++) {
        sample.events_len = read_sensor(&truth);
        /* What does it think? */
        if (failed("infer", reckon_set_register(network, RECKON_SPI_DO_EPROP, 0)) ||
            failed("infer", reckon_run(network, &sample, &report)))
            return 1;
        right += report.label == truth;
        /* The button: this time somebody says what it was. */
        sample.label = (uint8_t)truth;
        if (failed("learn", reckon_set_register(network, RECKON_SPI_DO_EPROP, 7)) ||
            failed("learn", reckon_run(network, &sample, &report)))
            return 1;
        if (number % WINDOW == 0) {
            printf("samples %u to %u: %u of %u right\n", number - WINDOW + 1, number, right, WINDOW);
            right = 0;
        }
    }
    if (failed("read", reckon_read_weights(network, weights.inp, COUNT(weights.inp), weights.rec,
                                           COUNT(weights.rec), weights.out, COUNT(weights.out))))
        return 1;
    return save(argv[1]);
}
