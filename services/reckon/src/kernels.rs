//! The few loops where the time goes, once in plain code and once for each instruction set.
//!
//! A [`Kernels`] is a table of functions, chosen when a network is made. Everything else in this
//! crate is common to all of them. What the functions must compute is said here, with their
//! arguments; the plain ones ([`PORTABLE`]) are the reference that the tests hold the others to.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::eprop::{HiddenJob, OutputJob, SignalJob};
use crate::flags::Flags;
use crate::isa::Isa;
use crate::lfsr::{STREAMS, Streams};
use crate::prop::{Prop, Propagated};
use crate::step::Step;
use crate::{eprop, prop, step, update};

/// One implementation of the hot loops.
pub(crate) struct Kernels {
    pub(crate) isa: Isa,
    /// The rounding generators are planes, not streams.
    pub(crate) planes: bool,
    /// Makes as many words in each stream as asked for, or a few more
    /// (`Stream::make`).
    pub(crate) extend: fn(&mut Streams, &[usize; STREAMS]),
    /// Leak, spikes, reset and decay of whole blocks of slots, and the leak of the outputs.
    pub(crate) step: fn(&mut Step<'_, '_>),
    /// PROP for these spikes and input events, of slots that the scan visits and not none:
    /// [`Prop::propagate`] with loops that add rows of weights and raise traces.
    pub(crate) propagate: fn(&mut Prop<'_, '_>, &Flags, &Flags) -> Propagated,
    /// Learning signal, slope and excess of 16 neurons.
    pub(crate) signals: fn(&mut SignalJob<'_>),
    /// Changes the output weights of several neurons.
    pub(crate) change_outputs: fn(&mut OutputJob<'_>),
    /// Changes one hidden matrix; returns the number of rows of 16 weights visited.
    pub(crate) change_hidden: fn(&mut HiddenJob<'_>) -> u64,
}

impl core::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Kernels").field(&self.isa).finish()
    }
}

/// Plain code, for every processor.
pub(crate) static PORTABLE: Kernels = Kernels {
    isa: Isa::Portable,
    planes: false,
    extend: step::extend,
    step: step::blocks,
    propagate: prop::propagate,
    signals: eprop::signals,
    change_outputs: update::change_outputs,
    change_hidden: update::change_hidden,
};

/// The functions for `isa`, if this processor has it.
///
/// The ones for an instruction set can be had from nowhere else, which makes calling them sound.
pub(crate) fn of(isa: Isa) -> Option<&'static Kernels> {
    if !isa.is_available() {
        return None;
    }
    match isa {
        Isa::Portable => Some(&PORTABLE),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Some(&avx2::KERNELS),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Some(&avx512::KERNELS),
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::Avx512 => None,
    }
}

/// The fastest functions that this processor can run.
pub(crate) fn best() -> &'static Kernels {
    of(Isa::detect()).unwrap_or(&PORTABLE)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test may overflow: it fails then")]
mod tests;
