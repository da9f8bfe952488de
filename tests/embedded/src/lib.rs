//! Trains one sample of a small and of the largest network in static memory, as a firmware would:
//! no standard library, no allocation, nothing on a panic but a loop.
//!
//! `services/reckon-c/tests/embedded.rs` builds this, looks at what the linker leaves of it, runs
//! it and compares the outcome with the host's.
#![no_std]

mod program;

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use program::{EMPTY, LARGE, Outcome, SMALL, digest, events, moved, params, sample, weights};
use reckon::{Event, Isa, Memory, MemoryLen, Network, Shape};

/// The memory of one network, and room for the network itself.
struct Bank<const WEIGHTS: usize, const WORDS: usize> {
    weights: UnsafeCell<[i8; WEIGHTS]>,
    words: UnsafeCell<[i16; WORDS]>,
    network: UnsafeCell<MaybeUninit<Network<'static>>>,
}

// SAFETY: there is one thread, and each bank is used by one entry point, which runs once.
unsafe impl<const WEIGHTS: usize, const WORDS: usize> Sync for Bank<WEIGHTS, WORDS> {}

impl<const WEIGHTS: usize, const WORDS: usize> Bank<WEIGHTS, WORDS> {
    const fn new() -> Self {
        Bank {
            weights: UnsafeCell::new([0; WEIGHTS]),
            words: UnsafeCell::new([0; WORDS]),
            network: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// One sample from `inp`, `rec`, `out` and `events`; `None` if the program is refused.
    #[inline(always)]
    fn train(
        &'static self,
        isa: Isa,
        shape: Shape,
        [inp, rec, out]: [&[i8]; 3],
        events: &[Event],
    ) -> Option<Outcome> {
        // SAFETY: as for `Sync`: nobody else has a reference to any of the three.
        let (weights, words, slot) =
            unsafe { (&mut *self.weights.get(), &mut *self.words.get(), &mut *self.network.get()) };
        let params = params(shape).ok()?;
        let network = Network::place(slot, &params, Memory { weights, words }).ok()?;
        network.set_isa(isa).ok()?;
        network.load_weights(inp, rec, out).ok()?;
        let done = network.run(&sample(events));
        let mut outcome = Outcome { votes: done.votes, label: done.label, digest: EMPTY, moved: 0 };
        let [hidden, outputs] = [shape.recurrent, shape.outputs].map(usize::from);
        let matrices = network.padded_weights().into_iter().zip([inp, rec, out]);
        for (at, (now, before)) in matrices.enumerate() {
            let columns = if at < 2 { hidden } else { outputs };
            outcome.digest = digest(outcome.digest, now);
            outcome.moved += moved(now, columns.div_ceil(16) * 16, before, columns);
        }
        Some(outcome)
    }
}

const SMALL_LEN: MemoryLen = Network::memory_len(SMALL);
const LARGE_LEN: MemoryLen = Network::memory_len(LARGE);
static SMALL_BANK: Bank<{ SMALL_LEN.weights }, { SMALL_LEN.words }> = Bank::new();
static LARGE_BANK: Bank<{ LARGE_LEN.weights }, { LARGE_LEN.words }> = Bank::new();

static SMALL_INP: [i8; 40 * 100] = weights(1, 60);
static SMALL_REC: [i8; 100 * 100] = weights(2, 12);
static SMALL_OUT: [i8; 100 * 2] = weights(3, 60);
static SMALL_EVENTS: [Event; 240] = events(40);

static LARGE_INP: [i8; 256 * 256] = weights(4, 60);
static LARGE_REC: [i8; 256 * 256] = weights(5, 8);
static LARGE_OUT: [i8; 256 * 16] = weights(6, 60);
static LARGE_EVENTS: [Event; 600] = events(256);

/// Trains a sample of 40-100-2; returns 0 when it is done. With `portable` it runs as on a processor
/// without vectors.
///
/// # Safety
///
/// `outcome` points to an [`Outcome`]; this is called once.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn train_40_100_2(outcome: *mut Outcome, portable: bool) -> i32 {
    let weights = [&SMALL_INP[..], &SMALL_REC, &SMALL_OUT];
    // SAFETY: the caller's promise.
    unsafe { finish(SMALL_BANK.train(isa(portable), SMALL, weights, &SMALL_EVENTS), outcome) }
}

/// Trains a sample of 256-256-16; returns 0 when it is done. With `portable` it runs as on a processor
/// without vectors.
///
/// # Safety
///
/// `outcome` points to an [`Outcome`]; this is called once.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn train_256_256_16(outcome: *mut Outcome, portable: bool) -> i32 {
    let weights = [&LARGE_INP[..], &LARGE_REC, &LARGE_OUT];
    // SAFETY: the caller's promise.
    unsafe { finish(LARGE_BANK.train(isa(portable), LARGE, weights, &LARGE_EVENTS), outcome) }
}

fn isa(portable: bool) -> Isa {
    if portable { Isa::Portable } else { Isa::detect() }
}

/// # Safety
///
/// `to` points to an [`Outcome`].
unsafe fn finish(outcome: Option<Outcome>, to: *mut Outcome) -> i32 {
    match outcome {
        // SAFETY: the caller's promise.
        Some(outcome) => unsafe {
            to.write(outcome);
            0
        },
        None => 1,
    }
}

#[panic_handler]
fn stop(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
