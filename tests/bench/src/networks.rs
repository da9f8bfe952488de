//! Networks in memory of their own, and artificial ones with a wanted activity.

use reckon::{Event, Isa, Memory, Network, Pair, Params, Sample, Shape};

/// The two shapes of the figures.
pub(crate) const SMALL: Shape = Shape { inputs: 40, recurrent: 100, outputs: 2 };
pub(crate) const LARGE: Shape = Shape { inputs: 256, recurrent: 256, outputs: 16 };

/// Runs `work` on a network with these parameters and padded weights.
pub(crate) fn with_network<R>(
    isa: Isa,
    params: &Params,
    weights: &[Vec<i8>; 3],
    work: impl FnOnce(&mut Network<'_>) -> R,
) -> R {
    let len = Network::memory_len(params.shape());
    let (mut bytes, mut words) = (vec![0; len.weights], vec![0; len.words]);
    let memory = Memory { weights: &mut bytes, words: &mut words };
    let network = Network::new(params, memory).expect("the memory is as long as asked for");
    let mut network = network.with_isa(isa).expect("main has asked the processor");
    let [inp, rec, out] = weights;
    network.load_padded_weights(inp, rec, out).expect("the weights have the network's shape");
    work(&mut network)
}

/// A small pseudo-random generator (xorshift), the same numbers in every run.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new() -> Dice {
        Dice(88_172_645_463_325_252)
    }

    /// A number in 0..`below`.
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    /// Whether an event of this probability happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        (self.roll(1 << 40) as f64) < probability * (1_u64 << 40) as f64
    }
}

/// Registers of the artificial networks: those of the navigation task where not said otherwise.
fn registers(shape: Shape, changes: &[(&'static str, u32)]) -> Vec<(&'static str, u32)> {
    let mut registers = vec![
        ("SPI_FP_LOC_TINP", 3),
        ("SPI_FP_LOC_TREC", 4),
        ("SPI_FP_LOC_TOUT", 6),
        ("SPI_LEARN_SIG_SCALE", 5),
        ("SPI_REGUL_MODE", 0),
        ("SPI_REGUL_W", 3),
        ("SPI_EN_STOCH_ROUND", 1),
        ("SPI_KAPPA", 0x7A),
        ("SPI_RST_MODE", 1),
        ("SPI_THR_H_0", 0x8000),
        ("SPI_THR_H_1", 0x8000),
        ("SPI_THR_H_2", 0x8000),
        ("SPI_THR_H_3", 0x8000),
        ("SPI_H_0", 0),
        ("SPI_H_1", 0),
        ("SPI_H_2", 0),
        ("SPI_H_3", 0),
        ("SPI_H_4", 1),
        ("SPI_LR_R_WINP", 20),
        ("SPI_LR_P_WINP", 8),
        ("SPI_LR_R_WREC", 20),
        ("SPI_LR_P_WREC", 8),
        ("SPI_LR_R_WOUT", 20),
        ("SPI_LR_P_WOUT", 8),
        ("SPI_REGUL_F0", 1),
        ("SPI_REGUL_K_INP_R", 0),
        ("SPI_REGUL_K_INP_P", 10),
        ("SPI_REGUL_K_REC_R", 0),
        ("SPI_REGUL_K_REC_P", 10),
        ("SPI_NUM_INP_NEUR", u32::from(shape.inputs) - 1),
        ("SPI_NUM_REC_NEUR", u32::from(shape.recurrent) - 1),
        ("SPI_NUM_OUT_NEUR", u32::from(shape.outputs) - 1),
    ];
    for change in changes {
        registers.retain(|(name, _)| *name != change.0);
        registers.push(*change);
    }
    registers
}

pub(crate) fn params(shape: Shape, changes: &[(&'static str, u32)]) -> Params {
    let pairs = (0..128).map(|pair| Pair { pair, alpha12: 4079, threshold: 100 });
    Params::parse(registers(shape, changes), pairs).expect("the registers above are complete")
}

fn padded(shape: Shape) -> usize {
    usize::from(shape.recurrent).div_ceil(16) * 16
}

/// No recurrent weights, and input weights that make a share `fanout` of the neurons fire at every
/// event, whatever else goes on.
pub(crate) fn relay_weights(shape: Shape, fanout: f64) -> [Vec<i8>; 3] {
    let mut dice = Dice::new();
    let (inputs, recurrent) = (usize::from(shape.inputs), usize::from(shape.recurrent));
    let mut input = vec![0; inputs * padded(shape)];
    for row in input.chunks_exact_mut(padded(shape)) {
        for weight in &mut row[..recurrent] {
            *weight = if dice.happens(fanout) { 127 } else { 0 };
        }
    }
    let mut output = vec![0; recurrent * 16];
    for row in output.chunks_exact_mut(16) {
        for weight in &mut row[..usize::from(shape.outputs)] {
            *weight = i8::try_from(dice.roll(255)).unwrap_or(-100);
        }
    }
    [input, vec![0; recurrent * padded(shape)], output]
}

/// Input events of which each channel has one in a tick with this probability.
pub(crate) fn random_events(shape: Shape, ticks: u32, probability: f64) -> Vec<Event> {
    let mut dice = Dice::new();
    let mut events = Vec::new();
    for tick in 0..ticks {
        for address in (0..=u8::MAX).take(shape.inputs.into()) {
            if dice.happens(probability) {
                events.push(Event { tick, address });
            }
        }
    }
    events
}

/// A sample without targets or votes.
pub(crate) fn plain_sample(ticks: u32, events: &[Event]) -> Sample<'_> {
    Sample { ticks, events, target_valid: 0..0, infer_acc: 0..0, label: 0 }
}
