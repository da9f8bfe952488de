//! The structures that C and Rust hand each other.

/// A configuration register and its value.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReckonRegister {
    /// Its SPI address, one of `RECKON_SPI_...`.
    pub address: u32,
    /// Its value, an unsigned image of the register's width; negative thresholds and slopes are in
    /// two's complement of that width.
    pub value: u32,
}

/// The constants of a pair of neurons, which are those of slots `2 * pair` and `2 * pair + 1`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReckonPair {
    /// Number of the pair, 0 to 127.
    pub pair: u8,
    /// Low 12 bits of the leak factor per tick, 0 to 4095: the factor is (0x7000 + alpha12) / 2^15,
    /// or (0x8000 + alpha12) / 2^15 where the pair's bit of SPI_ALPHA_CONF is set.
    pub alpha12: u16,
    /// Firing threshold, in units of the membrane potential.
    pub threshold: i16,
}

/// The program of a network.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ReckonConfig {
    /// The registers, in any order, each at most once. One left out has its reset value; one that
    /// has none must be given as soon as the others make use of it. Those of the shape
    /// (SPI_NUM_...) are here.
    pub registers: *const ReckonRegister,
    /// Number of registers. May be 0, and `registers` null then.
    pub registers_len: usize,
    /// The neuron pairs, in any order, each at most once. One left out is 0, 0.
    pub pairs: *const ReckonPair,
    /// Number of pairs. May be 0, and `pairs` null then.
    pub pairs_len: usize,
}

/// An input event of a sample.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReckonEvent {
    /// The tick that integrates it, counted from 0. Events of the last tick are never integrated.
    pub tick: u32,
    /// The input channel, 0 to 255. The chip does not look at one beyond its inputs and neurons.
    pub address: u8,
}

/// A whole sample.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ReckonSample {
    /// The events, in the order of their ticks; one out of order arrives late, at the tick of the
    /// event before it.
    pub events: *const ReckonEvent,
    /// Number of events. May be 0, and `events` null then.
    pub events_len: usize,
    /// Number of ticks, 2 or more; T ticks make T - 1 steps.
    pub ticks: u32,
    /// The first tick at which a target is valid, so that the chip learns if SPI_DO_EPROP says so.
    pub target_valid_begin: u32,
    /// The tick after the last such tick. Not above `target_valid_begin`: there is none.
    pub target_valid_end: u32,
    /// The first tick that votes.
    pub infer_acc_begin: u32,
    /// The tick after the last that votes. Not above `infer_acc_begin`: there is none.
    pub infer_acc_end: u32,
    /// The class it belongs to, 0 to 15; of use only where the chip learns.
    pub label: u8,
}

/// What a sample did.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReckonReport {
    /// Clock cycles of the chip, handshakes left out.
    pub cycles: u64,
    /// Weights read and applied because of an event or a spike.
    pub synaptic_ops: u64,
    /// Weights for which learning drew a random number.
    pub weights_drawn: u64,
    /// Neurons that fired, summed over the steps.
    pub spikes: u64,
    /// Votes for each class; 0 above the last output.
    pub votes: [u16; 16],
    /// The class with the most votes, the lowest one on a tie. Always 0 in regression.
    pub label: u8,
}

/// Nothing was sent.
pub const RECKON_SENT_NOTHING: u8 = 0;
/// The class with the most votes so far was sent: `label`.
pub const RECKON_SENT_LABEL: u8 = 1;
/// The output potentials after the step were sent: `potentials`.
pub const RECKON_SENT_POTENTIALS: u8 = 2;

/// What one tick did.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReckonStep {
    /// Clock cycles of the chip, handshakes left out.
    pub cycles: u64,
    /// Weights read and applied because of an event or a spike.
    pub synaptic_ops: u64,
    /// Weights for which learning drew a random number.
    pub weights_drawn: u64,
    /// Neurons that fired.
    pub spikes: u32,
    /// Output potentials, if they were sent; else 0.
    pub potentials: [i16; 16],
    /// 1 if the chip learned, else 0.
    pub learned: u8,
    /// What the chip put on its output bus: one of `RECKON_SENT_...`. At the last tick always
    /// something, and at every step with SPI_SEND_PER_TIMESTEP.
    pub sent: u8,
    /// The class, if it was sent; else 0.
    pub label: u8,
}

/// Where the running or the last sample stands.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReckonResult {
    /// Votes for each class; 0 above the last output.
    pub votes: [u16; 16],
    /// Output potentials; 0 above the last output, and all 0 between samples.
    pub potentials: [i16; 16],
    /// The class with the most votes, the lowest one on a tie. Always 0 in regression.
    pub label: u8,
    /// 1 while a sample is running, else 0.
    pub running: u8,
}
