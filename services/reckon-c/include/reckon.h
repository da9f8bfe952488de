/*
 * reckon.h: the ReckOn chip, bit-exact, for C and C++.
 *
 * Generated from services/reckon-c; `cargo test -p reckon-c --test header` keeps it up to date.
 *
 * A network lives in one block of memory of yours. Nothing is allocated, nothing is printed, there
 * is no state outside of that block: networks may be used by different threads, one network by one
 * thread at a time. Functions that can fail return RECKON_OK (0) or another RECKON_... code, which
 * reckon_error_text() puts into words; whatever the values given, none of them traps or stops the
 * program.
 *
 *     static uint8_t memory[RECKON_MEMORY_SIZE(40, 100, 2) + RECKON_MEMORY_ALIGN];
 *
 *     ReckonNetwork *network;
 *     int32_t code = reckon_new(aligned, RECKON_MEMORY_SIZE(40, 100, 2), &config, &network, NULL);
 *     code = reckon_load_weights(network, inp, 40 * 100, rec, 100 * 100, out, 100 * 2);
 *     code = reckon_run(network, &sample, &report);
 *
 * examples/learn.c is a whole program. Time is counted in ticks; what a tick lasts is up to you.
 * What each register does, and all that the model computes, is told in the documentation of the
 * Rust crate `reckon`.
 *
 * Link with libreckon_c.a or libreckon_c.so.
 */


#ifndef RECKON_H
#define RECKON_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes of memory for a network, as a constant: the same as reckon_memory_size(inputs, recurrent,
 * outputs) for 1 to 256 inputs, 1 to 256 recurrent neurons and 1 to 16 outputs.
 */
#define RECKON_MEMORY_SIZE(inputs, recurrent, outputs)                                 \
    (RECKON_NETWORK_SIZE + RECKON_ROW_(recurrent) * ((inputs) + (recurrent) + 16 + 6) + \
     RECKON_SLOTS_(inputs, recurrent, outputs) * 12 + 125)
#define RECKON_ROW_(recurrent) ((size_t)((recurrent) + 15) / 16 * 16)
#define RECKON_SLOTS_(inputs, recurrent, outputs) \
    ((size_t)(RECKON_MAX_(inputs, RECKON_MAX_(recurrent, outputs)) + 31) / 32 * 32)
#define RECKON_MAX_(a, b) ((a) > (b) ? (a) : (b))


// Version of this interface. It changes whenever a program compiled against an older header would
// misunderstand a newer library; compare it with `reckon_abi()`.
#define RECKON_C_ABI 1

// Bytes of a network's memory that its state takes, on top of weights and neurons.
#define RECKON_NETWORK_SIZE 20480

// Alignment of a network's memory, in bytes.
#define RECKON_MEMORY_ALIGN 64

// 0 or 1. Kept, without effect.
#define RECKON_SPI_EN_CONF 0

// 9 bits, no reset value. Kept, without effect.
#define RECKON_SPI_RO_STAGE_SEL 1

// 0 or 1. Kept, without effect.
#define RECKON_SPI_GET_CLKINT_OUT 2

// 0 or 1. Kept, without effect.
#define RECKON_SPI_GET_TAR_REQ_OUT 3

// 1: a neuron that fires is reset to 0. 0: its threshold is subtracted.
#define RECKON_SPI_RST_MODE 8

// 3 bits, reset 7: which weights learn. Bit 0 input, bit 1 recurrent, bit 2 output.
#define RECKON_SPI_DO_EPROP 9

// 0 or 1. Kept, without effect.
#define RECKON_SPI_LOCAL_TICK 10

// 0 or 1. Kept, without effect.
#define RECKON_SPI_ERROR_HALT 11

// 3 bits: left shift of input weights.
#define RECKON_SPI_FP_LOC_WINP 12

// 3 bits: left shift of recurrent weights.
#define RECKON_SPI_FP_LOC_WREC 13

// 3 bits: left shift of output weights.
#define RECKON_SPI_FP_LOC_WOUT 14

// 3 bits: fraction bits of input traces.
#define RECKON_SPI_FP_LOC_TINP 15

// 3 bits: fraction bits of recurrent traces.
#define RECKON_SPI_FP_LOC_TREC 16

// 3 bits: fraction bits of output traces.
#define RECKON_SPI_FP_LOC_TOUT 17

// 4 bits: left shift of the learning signal.
#define RECKON_SPI_LEARN_SIG_SCALE 18

// 3 bits: regularisation. Bit 0 multiplicative, bit 1 additive, bit 2 (with bit 1) also without a
// target.
#define RECKON_SPI_REGUL_MODE 19

// 2 bits: which weights are regularised. Bit 0 input, bit 1 recurrent.
#define RECKON_SPI_REGUL_W 20

// 1: potentials and traces are rounded at random. 0: towards minus infinity.
#define RECKON_SPI_EN_STOCH_ROUND 21

// 8 bits. Kept, without effect.
#define RECKON_SPI_SRAM_SPEEDMODE 22

// 0 or 1. Kept, without effect.
#define RECKON_SPI_TIMING_MODE 23

// 1: targets are numbers. 0: the target is a class.
#define RECKON_SPI_REGRESSION 25

// 0 or 1. Kept, without effect.
#define RECKON_SPI_SINGLE_LABEL 26

// 1: the error takes the output potential as it is. 0: through a hard sigmoid.
#define RECKON_SPI_NO_OUT_ACT 27

// 1: something is sent at every step. 0: at the last tick only.
#define RECKON_SPI_SEND_PER_TIMESTEP 30

// 1, the reset value: the class is sent. 0: the output potentials are.
#define RECKON_SPI_SEND_LABEL_ONLY 31

// 1: noise is added to potentials.
#define RECKON_SPI_NOISE_EN 32

// 1: traces are kept where nothing learns, too.
#define RECKON_SPI_FORCE_TRACES 33

// 32 bits, no reset value. Kept, without effect.
#define RECKON_SPI_CYCLES_PER_TICK 64

// 32 bits: bit p is that of pair p, whose leak factor is 1 or above if it is set.
#define RECKON_SPI_ALPHA_CONF_W0 65

// The same for pairs 32 to 63.
#define RECKON_SPI_ALPHA_CONF_W1 66

// The same for pairs 64 to 95.
#define RECKON_SPI_ALPHA_CONF_W2 67

// The same for pairs 96 to 127.
#define RECKON_SPI_ALPHA_CONF_W3 68

// 8 bits, reset 0x7A: leak factor of outputs and output traces, in units of 1/128.
#define RECKON_SPI_KAPPA 69

// Signed 16 bits, no reset value: the potential below which the slope is SPI_H_0.
#define RECKON_SPI_THR_H_0 70

// Signed 16 bits, no reset value: the potential below which the slope is SPI_H_1.
#define RECKON_SPI_THR_H_1 71

// Signed 16 bits, no reset value: the potential below which the slope is SPI_H_2.
#define RECKON_SPI_THR_H_2 72

// Signed 16 bits, no reset value: the potential below which the slope is SPI_H_3.
#define RECKON_SPI_THR_H_3 73

// Signed 5 bits, no reset value: the slope below SPI_THR_H_0.
#define RECKON_SPI_H_0 74

// Signed 5 bits, no reset value: the slope below SPI_THR_H_1.
#define RECKON_SPI_H_1 75

// Signed 5 bits, no reset value: the slope below SPI_THR_H_2.
#define RECKON_SPI_H_2 76

// Signed 5 bits, no reset value: the slope below SPI_THR_H_3.
#define RECKON_SPI_H_3 77

// Signed 5 bits, no reset value: the slope from SPI_THR_H_3 on.
#define RECKON_SPI_H_4 78

// 5 bits, no reset value: learning rate of input weights, right shift.
#define RECKON_SPI_LR_R_WINP 79

// 5 bits, no reset value: learning rate of input weights, left shift.
#define RECKON_SPI_LR_P_WINP 80

// 5 bits, no reset value: learning rate of recurrent weights, right shift.
#define RECKON_SPI_LR_R_WREC 81

// 5 bits, no reset value: learning rate of recurrent weights, left shift.
#define RECKON_SPI_LR_P_WREC 82

// 5 bits, no reset value: learning rate of output weights, right shift.
#define RECKON_SPI_LR_R_WOUT 83

// 5 bits, no reset value: learning rate of output weights, left shift.
#define RECKON_SPI_LR_P_WOUT 84

// 25 bits: seed of the generator for input weights.
#define RECKON_SPI_SEED_INP 85

// 25 bits: seed of the generator for recurrent weights.
#define RECKON_SPI_SEED_REC 86

// 22 bits: seed of the generator for output weights.
#define RECKON_SPI_SEED_OUT 87

// Two of 15 bits: seeds of the generators that round potentials.
#define RECKON_SPI_SEED_STRND_NEUR 88

// 15 bits: seed of the generator that rounds output potentials.
#define RECKON_SPI_SEED_STRND_ONEUR 89

// Two of 15 bits: seeds of the generators that round input traces.
#define RECKON_SPI_SEED_STRND_TINP 90

// Two of 15 bits: seeds of the generators that round recurrent traces.
#define RECKON_SPI_SEED_STRND_TREC 91

// Two of 15 bits: seeds of the generators that round output traces.
#define RECKON_SPI_SEED_STRND_TOUT 92

// 17 bits: seed of the noise.
#define RECKON_SPI_SEED_NOISE_NEUR 93

// 8 bits, reset 255: number of inputs, less one.
#define RECKON_SPI_NUM_INP_NEUR 94

// 8 bits, reset 255: number of recurrent neurons, less one.
#define RECKON_SPI_NUM_REC_NEUR 95

// 4 bits, reset 15: number of outputs, less one.
#define RECKON_SPI_NUM_OUT_NEUR 96

// 12 bits, no reset value: the trace above which a neuron is too active.
#define RECKON_SPI_REGUL_F0 98

// 5 bits, no reset value: additive strength on input weights, right shift.
#define RECKON_SPI_REGUL_K_INP_R 99

// 5 bits, no reset value: additive strength on input weights, left shift.
#define RECKON_SPI_REGUL_K_INP_P 100

// 5 bits, no reset value: additive strength on recurrent weights, right shift.
#define RECKON_SPI_REGUL_K_REC_R 101

// 5 bits, no reset value: additive strength on recurrent weights, left shift.
#define RECKON_SPI_REGUL_K_REC_P 102

// 5 bits, no reset value: multiplicative strength, right shift.
#define RECKON_SPI_REGUL_K_MUL 103

// 4 bits, no reset value: right shift of the noise.
#define RECKON_SPI_NOISE_STR 104

// Pin TARGET_VALID: the chip learns at this tick, if SPI_DO_EPROP says so.
#define RECKON_PIN_TARGET_VALID 1

// Pin INFER_ACC: this step votes.
#define RECKON_PIN_INFER_ACC 2

// Pin SAMPLE has gone low: this tick is the last of the sample.
#define RECKON_PIN_LAST 4

// Done.
#define RECKON_OK 0

// A pointer is null that must not be.
#define RECKON_NULL_POINTER 1

// A pointer is not aligned for what it points to.
#define RECKON_MISALIGNED 2

// An array is longer or shorter than it must be, or longer than memory can be.
#define RECKON_WRONG_LENGTH 3

// Two arrays that are written to share memory.
#define RECKON_OVERLAP 4

// The block of memory is smaller than `reckon_memory_size` says.
#define RECKON_MEMORY_TOO_SMALL 5

// A value is outside its range.
#define RECKON_OUT_OF_RANGE 6

// The chip has no register at this address.
#define RECKON_UNKNOWN_REGISTER 7

// A register or a neuron pair is given twice.
#define RECKON_DUPLICATE 8

// A register is not given, has no reset value, and the others make use of it.
#define RECKON_MISSING_REGISTER 9

// The register gives the shape, which is fixed once the network exists.
#define RECKON_FIXED_REGISTER 10

// A sample is running; this is done between samples only.
#define RECKON_BUSY 11

// A mistake in the library itself.
#define RECKON_INTERNAL 12

// Nothing was sent.
#define RECKON_SENT_NOTHING 0

// The class with the most votes so far was sent: `label`.
#define RECKON_SENT_LABEL 1

// The output potentials after the step were sent: `potentials`.
#define RECKON_SENT_POTENTIALS 2

// A network of the chip, in the caller's memory. What is inside is the library's.
typedef struct ReckonNetwork ReckonNetwork;

// A configuration register and its value.
typedef struct ReckonRegister {
    // Its SPI address, one of `RECKON_SPI_...`.
    uint32_t address;
    // Its value, an unsigned image of the register's width; negative thresholds and slopes are in
    // two's complement of that width.
    uint32_t value;
} ReckonRegister;

// The constants of a pair of neurons, which are those of slots `2 * pair` and `2 * pair + 1`.
typedef struct ReckonPair {
    // Number of the pair, 0 to 127.
    uint8_t pair;
    // Low 12 bits of the leak factor per tick, 0 to 4095: the factor is (0x7000 + alpha12) / 2^15,
    // or (0x8000 + alpha12) / 2^15 where the pair's bit of SPI_ALPHA_CONF is set.
    uint16_t alpha12;
    // Firing threshold, in units of the membrane potential.
    int16_t threshold;
} ReckonPair;

// The program of a network.
typedef struct ReckonConfig {
    // The registers, in any order, each at most once. One left out has its reset value; one that
    // has none must be given as soon as the others make use of it. Those of the shape
    // (SPI_NUM_...) are here.
    const struct ReckonRegister *registers;
    // Number of registers. May be 0, and `registers` null then.
    size_t registers_len;
    // The neuron pairs, in any order, each at most once. One left out is 0, 0.
    const struct ReckonPair *pairs;
    // Number of pairs. May be 0, and `pairs` null then.
    size_t pairs_len;
} ReckonConfig;

// What one tick did.
typedef struct ReckonStep {
    // Clock cycles of the chip, handshakes left out.
    uint64_t cycles;
    // Weights read and applied because of an event or a spike.
    uint64_t synaptic_ops;
    // Weights for which learning drew a random number.
    uint64_t weights_drawn;
    // Neurons that fired.
    uint32_t spikes;
    // Output potentials, if they were sent; else 0.
    int16_t potentials[16];
    // 1 if the chip learned, else 0.
    uint8_t learned;
    // What the chip put on its output bus: one of `RECKON_SENT_...`. At the last tick always
    // something, and at every step with SPI_SEND_PER_TIMESTEP.
    uint8_t sent;
    // The class, if it was sent; else 0.
    uint8_t label;
} ReckonStep;

// An input event of a sample.
typedef struct ReckonEvent {
    // The tick that integrates it, counted from 0. Events of the last tick are never integrated.
    uint32_t tick;
    // The input channel, 0 to 255. The chip does not look at one beyond its inputs and neurons.
    uint8_t address;
} ReckonEvent;

// A whole sample.
typedef struct ReckonSample {
    // The events, in the order of their ticks; one out of order arrives late, at the tick of the
    // event before it.
    const struct ReckonEvent *events;
    // Number of events. May be 0, and `events` null then.
    size_t events_len;
    // Number of ticks, 2 or more; T ticks make T - 1 steps.
    uint32_t ticks;
    // The first tick at which a target is valid, so that the chip learns if SPI_DO_EPROP says so.
    uint32_t target_valid_begin;
    // The tick after the last such tick. Not above `target_valid_begin`: there is none.
    uint32_t target_valid_end;
    // The first tick that votes.
    uint32_t infer_acc_begin;
    // The tick after the last that votes. Not above `infer_acc_begin`: there is none.
    uint32_t infer_acc_end;
    // The class it belongs to, 0 to 15; of use only where the chip learns.
    uint8_t label;
} ReckonSample;

// What a sample did.
typedef struct ReckonReport {
    // Clock cycles of the chip, handshakes left out.
    uint64_t cycles;
    // Weights read and applied because of an event or a spike.
    uint64_t synaptic_ops;
    // Weights for which learning drew a random number.
    uint64_t weights_drawn;
    // Neurons that fired, summed over the steps.
    uint64_t spikes;
    // Votes for each class; 0 above the last output.
    uint16_t votes[16];
    // The class with the most votes, the lowest one on a tie. Always 0 in regression.
    uint8_t label;
} ReckonReport;

// Where the running or the last sample stands.
typedef struct ReckonResult {
    // Votes for each class; 0 above the last output.
    uint16_t votes[16];
    // Output potentials; 0 above the last output, and all 0 between samples.
    int16_t potentials[16];
    // The class with the most votes, the lowest one on a tie. Always 0 in regression.
    uint8_t label;
    // 1 while a sample is running, else 0.
    uint8_t running;
} ReckonResult;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The `RECKON_C_ABI` that the library was built with.
uint32_t reckon_abi(void);

// How many bytes of memory a network of this shape needs: 1 to 256 inputs, 1 to 256 recurrent
// neurons, 1 to 16 outputs. 0 for any other shape. `RECKON_MEMORY_SIZE` is the same as a constant.
size_t reckon_memory_size(uint32_t inputs, uint32_t recurrent, uint32_t outputs);

// Makes a network in `memory`, programmed with `config`: generators seeded, weights 0, no sample
// running. The memory belongs to the network from then on; it is given back by no longer using
// the network.
//
// `memory`: aligned to `RECKON_MEMORY_ALIGN`, `memory_size` bytes, at least
// `RECKON_MEMORY_SIZE(inputs, recurrent, outputs)`. What it holds before does not matter.
// `network`: where the handle is stored; null is stored on an error.
// `fault`: null, or where on an error the address of the register at fault is stored, or the
// number of the neuron pair; nothing is stored on other errors.
//
// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED, RECKON_WRONG_LENGTH (of `config`'s
// arrays), RECKON_MEMORY_TOO_SMALL, RECKON_UNKNOWN_REGISTER, RECKON_OUT_OF_RANGE,
// RECKON_DUPLICATE or RECKON_MISSING_REGISTER.
//
// # Safety
//
// Each pointer that is not null points to what its type says. Neither the memory nor anything in
// it is touched or moved by the caller while the network is in use, and `network`, `fault`,
// `config` and its arrays lie outside of it. A network is used by one thread at a time.
int32_t reckon_new(void *memory,
                   size_t memory_size,
                   const struct ReckonConfig *config,
                   struct ReckonNetwork **network,
                   uint32_t *fault);

// Writes one register, between samples. A seed restarts its generator.
//
// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED, RECKON_UNKNOWN_REGISTER,
// RECKON_OUT_OF_RANGE, RECKON_MISSING_REGISTER (another one, which would now be made use of),
// RECKON_FIXED_REGISTER (SPI_NUM_...) or RECKON_BUSY.
//
// # Safety
//
// `network` is null or came from `reckon_new`.
int32_t reckon_set_register(struct ReckonNetwork *network, uint32_t address, uint32_t value);

// Replaces all weights, between samples.
//
// Each matrix is row-major, a row for each presynaptic input or neuron: `inp` is inputs x
// recurrent, `rec` recurrent x recurrent, `out` recurrent x outputs. Lengths are numbers of
// weights.
//
// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED, RECKON_WRONG_LENGTH or RECKON_BUSY;
// on an error no weight has changed.
//
// # Safety
//
// `network` is null or came from `reckon_new`; each matrix is null or has the length given, and
// lies outside of the network's memory.
int32_t reckon_load_weights(struct ReckonNetwork *network,
                            const int8_t *inp,
                            size_t inp_len,
                            const int8_t *rec,
                            size_t rec_len,
                            const int8_t *out,
                            size_t out_len);

// Copies all weights out, in the layout of `reckon_load_weights`.
//
// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED, RECKON_WRONG_LENGTH or
// RECKON_OVERLAP; on an error nothing was copied.
//
// # Safety
//
// `network` is null or came from `reckon_new`; each matrix is null or has the length given, and
// lies outside of the network's memory.
int32_t reckon_read_weights(const struct ReckonNetwork *network,
                            int8_t *inp,
                            size_t inp_len,
                            int8_t *rec,
                            size_t rec_len,
                            int8_t *out,
                            size_t out_len);

// An input event: channel `address`, 0 to 255, is active at the next tick. Several events of a
// channel before a tick count once. The chip does not look at a channel beyond its inputs and
// neurons.
//
// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED or RECKON_OUT_OF_RANGE.
//
// # Safety
//
// `network` is null or came from `reckon_new`.
int32_t reckon_event(struct ReckonNetwork *network, uint32_t address);

// Gives the class that the sample belongs to, 0 to 15. It holds until the next one.
//
// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED or RECKON_OUT_OF_RANGE.
//
// # Safety
//
// `network` is null or came from `reckon_new`.
int32_t reckon_label(struct ReckonNetwork *network, uint32_t label);

// Gives the regression target of an output, 0 to 15: -32768 to 32767, in units of the output
// potential. It holds until the next one.
//
// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED or RECKON_OUT_OF_RANGE.
//
// # Safety
//
// `network` is null or came from `reckon_new`.
int32_t reckon_target(struct ReckonNetwork *network, uint32_t output, int32_t target);

// One tick: a step of all neurons, a vote, learning, and the events since the last tick. The first
// tick starts a sample and has events only; one with RECKON_PIN_LAST ends it after the vote.
//
// `pins`: a sum of `RECKON_PIN_...`. `step`: null, or where to store what the tick did.
//
// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED or RECKON_OUT_OF_RANGE (of `pins`).
//
// # Safety
//
// `network` is null or came from `reckon_new`; `step` is null or points to a ReckonStep outside of
// its memory.
int32_t reckon_tick(struct ReckonNetwork *network, uint32_t pins, struct ReckonStep *step);

// Runs a whole sample: its label, its ticks with their events, its votes. In regression the
// targets stay those given last; use `reckon_tick` to change them from tick to tick.
//
// `report`: null, or where to store what the sample did.
//
// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED, RECKON_WRONG_LENGTH, RECKON_OUT_OF_RANGE
// (of `ticks` or `label`) or RECKON_BUSY; on an error nothing has run.
//
// # Safety
//
// `network` is null or came from `reckon_new`; each other pointer is null or points to what its
// type says, outside of the network's memory.
int32_t reckon_run(struct ReckonNetwork *network,
                   const struct ReckonSample *sample,
                   struct ReckonReport *report);

// Where the running or the last sample stands.
//
// Returns RECKON_OK, RECKON_NULL_POINTER or RECKON_MISALIGNED.
//
// # Safety
//
// `network` is null or came from `reckon_new`; `result` is null or points to a ReckonResult
// outside of its memory.
int32_t reckon_result(const struct ReckonNetwork *network, struct ReckonResult *result);

// A code in words: English, one line, in memory that stays. Never null; of a code that does not
// exist it says so.
const char *reckon_error_text(int32_t code);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RECKON_H */
