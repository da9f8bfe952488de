//! Every limit of this crate, with its reason.

/// Most ticks of a sample: the chip's class votes are 16 bits wide and wrap beyond (SPEC section 12).
pub const TICKS_MAX: u32 = 65_536;

/// Most events of one sample, so that a recording cannot make a reader allocate without bound (8 MiB of events).
pub const EVENTS_MAX: usize = 1 << 20;

/// Most samples one recording file may announce: more is a wrong file rather than a large one.
pub const SAMPLES_MAX: u32 = 1_000_000;

/// Most input channels: the chip has 256 input slots (SPEC section 12).
pub const CHANNELS_MAX: u16 = 256;

/// Most classes: the chip has 16 output neurons (SPEC section 12).
pub const CLASSES_MAX: u8 = 16;
