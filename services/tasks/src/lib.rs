//! Sensor tasks: what a device's sensors see, as streams of address events for the `reckon` chip.
//!
//! Everything here is small enough to run on the device itself: integers only, no floats, `no_std` with
//! `alloc`, no dependency but `reckon`. A task is a pure function of its seeds, so that a whole federated run can
//! be repeated from one number. Reading order: [`sample`] (what every task yields), [`random`] (where chance
//! comes from), [`navigation`] (the chip's own benchmark, generated without end, with its chip configuration,
//! initial weights and training plans), [`aer`] (recordings in the text form of ReckOn's test bench), [`events`] (samples
//! as a compact file).
//!
//! What it does not do: it reads no file, no clock and no environment, and knows nothing of rounds, nodes or the
//! wire. The coordinator must not import it.

#![no_std]
#![deny(clippy::float_arithmetic)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod aer;
pub mod events;
pub mod limits;
pub mod navigation;
pub mod random;
pub mod sample;
pub mod weights;

pub use sample::Sample;
