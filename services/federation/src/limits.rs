//! Every limit of the system, once, with its reason.

use crate::aggregate::staleness::UNIT;
use crate::rate::Rate;

/// Longest node id, model name, label key or value, in bytes. A DNS label's length: fits every path and log line.
pub const NAME_BYTES_MAX: usize = 63;
/// Most labels of one node, and most labels a selector names.
pub const LABELS_MAX: usize = 32;
/// Longest text of a selector, in bytes: the canonical text of the largest one, and room for blanks.
pub const SELECTOR_BYTES_MAX: usize = 64 << 10;
/// Most values that a selector names in all.
pub const SELECTOR_VALUES_MAX: usize = 256;
/// Most sizes that a node reports of its chip, and that a plan asks for.
pub const CAPACITIES_MAX: usize = 16;
/// Largest count or size in a node's status, 8.8e12: exact in every JSON reader. An endless source says it too.
pub const STATUS_COUNT_MAX: u64 = 1 << 43;
/// Longest name of a learner (`reckon/1`), of a tensor or of a register, in bytes.
pub const LEARNER_BYTES_MAX: usize = 32;
/// Most learners one node runs: more than anyone has, few enough to store by the node.
pub const LEARNERS_MAX: usize = 32;
/// Most tensors in a layout.
pub const TENSORS_MAX: usize = 64;
/// Most weights of a model. The largest ReckOn network has 135,168; this leaves room for other learners while an
/// update still fits in memory many times over.
pub const WEIGHTS_MAX: usize = 4 << 20;
/// Most bytes of opaque chip configuration inside an artifact.
pub const CONFIG_BYTES_MAX: usize = 64 << 10;
/// Most bytes of an artifact: weights, configuration and a header that [`TENSORS_MAX`] bounds.
pub const ARTIFACT_BYTES_MAX: usize = WEIGHTS_MAX + CONFIG_BYTES_MAX + (16 << 10);
/// Bytes of one chunk of a streamed version or update.
pub const CHUNK_BYTES: usize = 64 << 10;
/// Largest gRPC message either side decodes: a chunk or a header, with room for framing.
pub const MESSAGE_BYTES_MAX: usize = 2 * CHUNK_BYTES;
/// Most messages the coordinator reads from a refused push, so that the client reads the refusal instead of a reset.
pub const DRAIN_MESSAGES_MAX: usize = 64;
/// Largest body of a REST request: an artifact in base64 and its envelope.
pub const REST_BODY_BYTES_MAX: usize = ARTIFACT_BYTES_MAX / 3 * 4 + (64 << 10);

/// Largest magnitude of one lane of an update. -128 is not used, so that a delta can always be negated.
pub const DELTA_MAX: i8 = 127;
/// Most samples one update may claim, whatever a plan says.
pub const SAMPLES_MAX: u32 = 100_000;
/// Largest count of operations or bytes one update may report, 8.8e12: a round's total of them fits i64.
pub const METRIC_MAX: u64 = 1 << 43;
/// Samples one update may claim when the plan does not say.
pub const SAMPLES_MAX_DEFAULT: u32 = 1_000;
/// Most updates of one round.
pub const UPDATES_MAX: u32 = 500_000;
/// Most rounds that a plan can ask for.
pub const ROUNDS_MAX: u32 = 1_000_000;
/// What a plan asks for instead in a run that never ends by itself: more than there are numbers for rounds.
pub const ROUNDS_ENDLESS: u32 = u32::MAX;
/// Highest number of a round, in a run that never ends by itself: 68 years of a round a second.
pub const ROUND_NUMBER_MAX: u32 = (1 << 31) - 1;
/// Most attempts at one round that a plan can set before the run fails.
pub const ATTEMPTS_MAX: u32 = 1_000;
/// What a continuous plan sets instead for a run that tries each round again for ever.
pub const ATTEMPTS_ENDLESS: u32 = u32::MAX;
/// Highest number of an attempt, in a run that tries for ever; as with rounds.
pub const ATTEMPT_NUMBER_MAX: u32 = ROUND_NUMBER_MAX;
/// Most local passes over the samples of one order.
pub const EPOCHS_MAX: u32 = 1_000;
/// Shortest deadline of a round, in milliseconds of serving.
pub const DEADLINE_MS_MIN: u64 = 100;
/// Longest deadline of a round, in milliseconds of serving: 30 days.
pub const DEADLINE_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// Largest over-selection, in thousandths of the goal.
pub const OVER_SELECTION_PERMILLE_MAX: u32 = 10_000;
/// Largest server learning rate.
pub const SERVER_LEARNING_RATE_MAX: f64 = 100.0;
/// Largest momentum of FedAvgM and first decay of FedAdam: a memory of a thousand rounds. At 1 nothing is forgotten.
pub const MOMENTUM_MAX: f64 = 0.999;
/// Largest second decay of FedAdam: a memory of a hundred thousand rounds.
pub const SECOND_DECAY_MAX: f64 = 0.999_99;
/// Smallest and largest `tau` of FedAdam, in steps of a weight: below the first it no longer keeps a lane at rest from
/// jumping, above the second no delta is felt beside it.
pub const TAU_RANGE: [f64; 2] = [1e-6, 1e3];
/// Most updates of a round whose vectors are kept: those of the largest ReckOn network are then 0.5 GiB. A median is
/// sure enough long before; the arithmetic itself ends at 65,535.
pub const VECTORS_MAX: u32 = 4_096;
/// Most thousandths of the updates that a trimmed mean leaves out at either end: one less than half.
pub const TRIM_PERMILLE_MAX: u32 = 499;
/// Most versions that an asynchronous update may be late by: it then weighs a sixteenth.
pub const STALENESS_MAX: u32 = 255;
/// Most entries in a plan's learning-rate schedule, and registers set by one entry.
pub const SCHEDULE_MAX: usize = 256;
/// Most steps of a channel.
pub const CHANNEL_STEPS_MAX: usize = 16;
/// Most nodes that a channel's guard can ask for.
pub const GUARD_NODES_MAX: u32 = 1_000_000;
/// Most channels of a model: each is looked at for each node that asks for work.
pub const CHANNELS_MAX: usize = 32;
/// Highest number of a promotion of a channel; as with rounds.
pub const PROMOTION_NUMBER_MAX: u32 = ROUND_NUMBER_MAX;
/// Held-out samples on which a node tries the version of its channel, when the channel does not say.
pub const HOLD_SAMPLES_DEFAULT: u32 = 100;
/// Longest a node may ask to wait for an order, in milliseconds.
pub const WAIT_MS_MAX: u32 = 60_000;
/// Longest that a node can be told to stay away, in milliseconds: 200,000 nodes that ask 500 times a second in all come
/// by every 400 s, 600 s at the latest. An agent takes no longer pause than this either.
pub const RETRY_MS_MAX: u32 = 600_000;
/// How long contributions and their receipts are kept after the round ended: 30 days.
pub const RECEIPTS_KEEP_MS: u64 = 30 * 24 * 3_600_000;
/// How often one node may call: as good as every update it can learn, and a burst for a node that comes back.
pub const NODE_RATE: Rate = Rate::new(50, 60);
/// How much longer a node that called too often stays away than until its next call, in milliseconds: then there is room for
/// ten, which a round takes.
pub const NODE_REST_MS: u64 = 500;
/// Most calls of one node at once: a question for work, a fetch, a push, and as many that a lost connection left.
pub const NODE_OPEN_MAX: usize = 8;
/// How often one API token may be used: a dashboard and a few scripts.
pub const TOKEN_RATE: Rate = Rate::new(10, 200);
/// Most requests of one API token at once.
pub const TOKEN_OPEN_MAX: usize = 64;
/// How often one address may try a token or a credential that does not hold.
pub const GUESS_RATE: Rate = Rate::new(5_000, 10);
/// Addresses that are remembered for it; of more, the one that tried the least is forgotten.
pub const GUESSERS_MAX: usize = 4_096;
/// Most API tokens that hold at once: they stand in memory.
pub const TOKENS_MAX: usize = 10_000;
/// Most nodes that one enrolment token can be made for.
pub const ENROLMENT_USES_MAX: u32 = 1_000_000;
/// Longest text of a token, in bytes: a prefix, a number or a name, and 64 digits.
pub const TOKEN_BYTES_MAX: usize = 128 + NAME_BYTES_MAX;
/// Longest time of an enrolment token or an API token, in milliseconds: ten years. Without one a token holds until it
/// is revoked.
pub const TOKEN_LIFE_MS_MAX: u64 = 10 * 366 * 24 * 3_600_000;

// The sum of a round is exact, also of an asynchronous one, where a sample of a fresh update weighs UNIT: it fits i64,
// and even the 53 bits that f64 holds exactly.
const _: () = {
    let weight_max = SAMPLES_MAX as i64 * UNIT as i64;
    assert!(weight_max <= u32::MAX as i64);
    let worst = DELTA_MAX as i64 * weight_max * UPDATES_MAX as i64;
    assert!(worst < 1 << 53);
};
const _: () = assert!(METRIC_MAX as u128 * UPDATES_MAX as u128 <= i64::MAX as u128);
// The canonical text of the largest selector can be read again.
const _: () = assert!(
    LABELS_MAX * (NAME_BYTES_MAX + " notin (),".len()) + SELECTOR_VALUES_MAX * (NAME_BYTES_MAX + 1)
        <= SELECTOR_BYTES_MAX
);
// A trimmed mean keeps something, and ranks among kept vectors fit 16 bits.
const _: () = assert!(2 * TRIM_PERMILLE_MAX < 1000 && VECTORS_MAX <= u16::MAX as u32);
