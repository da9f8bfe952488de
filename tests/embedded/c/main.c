/*
 * Runs the sample of one shape and prints the outcome, and how deep the stack went: the sample runs
 * on a stack that was painted before. With an argument it runs in plain code. Built with -DTRAIN=train_40_100_2 or another entry point.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define STACK (256 * 1024)
#define PAINT 0xA5

struct outcome {
    uint64_t digest;
    uint32_t moved;
    uint16_t votes[16];
    uint8_t label;
};

int32_t TRAIN(struct outcome *outcome, bool portable);

static unsigned char stack[STACK] __attribute__((aligned(4096)));
static struct outcome outcome;
static uintptr_t top;
static int32_t code = -1;
static bool portable;

static void *work(void *unused)
{
    unsigned char here;
    top = (uintptr_t)&here;
    code = TRAIN(&outcome, portable);
    return unused;
}

int main(int arguments, char **unused)
{
    pthread_t thread;
    pthread_attr_t attributes;
    size_t k, deepest;
    (void)unused;
    portable = arguments > 1;
    for (k = 0; k < STACK; k++)
        stack[k] = PAINT;
    if (pthread_attr_init(&attributes) || pthread_attr_setstack(&attributes, stack, STACK) ||
        pthread_create(&thread, &attributes, work, NULL) || pthread_join(thread, NULL)) {
        fputs("no thread\n", stderr);
        return 1;
    }
    for (deepest = 0; deepest < STACK && stack[deepest] == PAINT; deepest++)
        ;
    printf("code %" PRId32 "\n", code);
    printf("label %u\n", outcome.label);
    printf("votes");
    for (k = 0; k < 16; k++)
        printf(" %u", outcome.votes[k]);
    printf("\ndigest %016" PRIx64 "\n", outcome.digest);
    printf("moved %" PRIu32 "\n", outcome.moved);
    printf("stack %lu\n", (unsigned long)(top - (uintptr_t)&stack[deepest]));
    return 0;
}
