//! The ReckOn chip, bit-exact: a spiking recurrent network that learns on the spot with e-prop.
//!
//! A [`Network`] does what the public RTL of the chip does (`github.com/ChFrenkel/ReckOn`, commit
//! `5e5c0be`): the same potentials, traces, spikes, errors, weights, random numbers, votes and
//! clock cycle counts after every tick. Recordings of the RTL are checked bit for bit
//! (`tests/golden/reckon`); the few quirks that no recording shows follow the specification
//! (`tests/quirks.rs`). A network has up to 256 inputs, 256 recurrent neurons and 16 outputs, with
//! 8-bit weights.
//!
//! "SPEC n" in these pages is section n of the behavioural specification this crate is written
//! from, whose letters they use: nI, nR and nO are the numbers of inputs, recurrent neurons and
//! outputs, each less one. File names ending in `.v` are those of the RTL.
//!
//! # One tick
//!
//! A sample is a series of ticks; the first one starts it. At each tick, in this order:
//!
//! 1. **STEP** (not at the first tick). Every neuron's potential leaks by a factor close to one; a
//!    neuron whose potential had reached its threshold fires and is reset. Traces, which remember
//!    who was active lately, decay with the same factors. Results may be rounded at random, each
//!    kind of number by its own generator.
//! 2. **SDONE** (not at the first tick). The output with the highest potential gets a vote, if
//!    votes are being taken. The last tick of a sample ends here: the class with the most votes is
//!    sent.
//! 3. **EPROP**, if the chip learns and a target is valid. The output errors, fed back through the
//!    output weights, give each neuron a learning signal; signal, slope and presynaptic trace
//!    together say how much each weight should change, and the weight moves by one unit or not at
//!    all, at random in proportion.
//! 4. **PROP**. Each input event since the last tick and each spike of STEP adds its row of weights
//!    to the potentials, and marks the traces of its slot.
//!
//! # Use
//!
//! ```
//! use reckon::{Event, Memory, Network, Pair, Params, Sample};
//!
//! let registers = [
//!     ("SPI_NUM_INP_NEUR", 1),
//!     ("SPI_NUM_REC_NEUR", 3),
//!     ("SPI_NUM_OUT_NEUR", 1),
//!     ("SPI_DO_EPROP", 0),
//! ];
//! let pairs = [0, 1].map(|pair| Pair { pair, alpha12: 4079, threshold: 60 });
//! let params = Params::parse(registers, pairs)?;
//!
//! let len = Network::memory_len(params.shape());
//! let (mut weights, mut words) = (vec![0; len.weights], vec![0; len.words]);
//! let mut network = Network::new(&params, Memory { weights: &mut weights, words: &mut words })?;
//! network.load_weights(&[100; 8], &[0; 16], &[-1, 1, -1, 1, -1, 1, -1, 1])?;
//!
//! let events = [Event { tick: 0, address: 0 }, Event { tick: 2, address: 1 }];
//! let sample = Sample { ticks: 10, events: &events, target_valid: 0..0, infer_acc: 2..10, label: 0 };
//! assert_eq!(network.run(&sample).label, 1);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! [`Network::run`] drives a whole sample. Regression, labels that change within a sample and
//! everything else the pins allow is driven tick by tick: [`Network::event`], [`Network::label`],
//! [`Network::target`], [`Network::tick`].
//!
//! # What it does not model
//!
//! * Time: ticks come when they are called for. SPI_LOCAL_TICK, SPI_CYCLES_PER_TICK,
//!   SPI_ERROR_HALT, SPI_TIMING_MODE and SPI_SRAM_SPEEDMODE are kept and have no effect; timing
//!   errors do not exist. Cycle counts leave out handshakes.
//! * Waiting: where the chip stops until it is given a label or targets (SPEC 7), the last ones
//!   given are used, so that SPI_SINGLE_LABEL has no effect.
//! * Access over SPI while a sample is running, and to anything but registers and weights: neuron
//!   words and output potentials start from zero in every sample whatever was written there, and
//!   weight memory below the rows of the network, which slots that are no neurons reach when they
//!   fire (SPEC 5), reads 0.
//! * The blocks that the public RTL leaves out.
//!
//! # Speed
//!
//! The loops where the time goes are written three times: in plain code, in AVX2 (with BMI and
//! POPCNT) and in AVX-512 (with VBMI and GFNI). [`Network::new`] asks the processor and takes the
//! fastest it has; [`Network::with_isa`] takes another. The results are the same to the last bit.
//! There is no path for NEON yet.
//!
//! # Memory
//!
//! A network is the [`Memory`] that the caller lends and the [`Network`] itself, which keeps the
//! registers and the generators' look-ahead. In bytes, on a machine of 64 bits:
//!
//! | inputs-recurrent-outputs | weights | words | network | together |
//! | --- | --- | --- | --- | --- |
//! | 40-100-2 | 17535 | 2270 | 20032 | 39837 |
//! | 128-128-10 | 34879 | 2366 | 20032 | 57277 |
//! | 256-256-16 | 135231 | 4670 | 20032 | 159933 |
//!
//! A learning pass takes about 6 KiB of stack on top. [`Network::place`] makes a network where it is
//! to stay; one that [`Network::new`] returns passes over the stack. All together, 40-100-2 takes
//! less than 64 KiB and 256-256-16 less than 256 KiB of RAM (`tests/embedded` of the project is such
//! a program, and is measured).
//!
//! # Rules
//!
//! No allocation, no I/O, no clock, no floating point, no dependency. Every overflow is chosen by
//! name. `unsafe` stands in the files of the instruction sets alone, and where the processor is
//! asked for them. Nothing here may be imported by the coordinator, which knows models as layouts,
//! not as neurons.
#![no_std]
#![deny(
    clippy::float_arithmetic,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::std_instead_of_core,
    missing_docs
)]
#![cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, unused_imports, reason = "vector code uses what plain code does not")
)]

mod eprop;
mod fixed;
mod flags;
mod isa;
mod kernels;
mod lfsr;
mod memory;
mod network;
mod param_error;
mod params;
mod prop;
mod registers;
mod report;
mod settings;
mod step;
mod update;
mod view;
mod weights;

pub use isa::{Isa, IsaError};
pub use memory::{Memory, MemoryError, MemoryLen};
pub use network::Network;
pub use param_error::{NAME_KEPT_MAX, ParamError, ParamProblem, Text};
pub use params::{PAIRS, Pair, Params, Shape};
pub use report::{Cycles, Event, Pins, Sample, SampleReport, Sent, StepReport};
pub use view::{Generators, LearningRegisters, Slot};
pub use weights::WeightError;
