//! The C interface to `reckon`, as a static or a shared library; `include/reckon.h` is its header.
//!
//! A network lives in one block of memory that the caller lends, the network's own state included:
//! nothing is allocated, and there is nothing to free. Every function that can fail returns a
//! code, [`RECKON_OK`] or what is wrong; no function panics, whatever values it is given. What it
//! cannot check, that a pointer which is not null points where it says, is the caller's part.
//!
//! Pointers are used in `raw.rs`, `network.rs` and `run.rs`; elsewhere unsafe are the exported names
//! alone. The header is generated from this crate by a test (`tests/header.rs`), never by a build.
//!
//! # With and without an operating system
//!
//! The code is `no_std`. A library must say what happens on a panic, and where there is an
//! operating system the standard library says it. On bare metal (`target_os = "none"`) the
//! processor stops in a loop; a Rust firmware, which brings a handler of its own, uses `reckon`
//! itself.
//!
//! # What it leaves out
//!
//! The look into single neurons and generators, the choice of an instruction set, and padded
//! weights: those are for tests of the model, in Rust.
#![no_std]
#![deny(clippy::as_conversions, clippy::std_instead_of_core, missing_docs)]

#[cfg(not(target_os = "none"))]
extern crate std;

mod network;
mod raw;
mod registers;
mod run;
mod status;
mod types;

pub use network::*;
pub use registers::*;
pub use run::*;
pub use status::*;
pub use types::*;

/// Version of this interface. It changes whenever a program compiled against an older header would
/// misunderstand a newer library; compare it with `reckon_abi()`.
pub const RECKON_C_ABI: u32 = 1;

/// The `RECKON_C_ABI` that the library was built with.
#[expect(unsafe_code, reason = "an exported name could clash with another")]
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub const extern "C" fn reckon_abi() -> u32 {
    RECKON_C_ABI
}

#[cfg(target_os = "none")]
#[panic_handler]
fn stop(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
