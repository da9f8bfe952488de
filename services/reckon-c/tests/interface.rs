//! The C functions, called as C calls them: every refusal. What they compute is in `golden.rs`.
#![expect(unsafe_code, reason = "the functions take pointers")]

use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};

use reckon_c::*;

/// Memory with the alignment that networks need.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line {
    _bytes: [u8; 64],
}

struct Block(Vec<Line>);

impl Block {
    fn new(bytes: usize) -> Block {
        // Not zero: what memory holds before does not matter.
        Block(vec![Line { _bytes: [0xA5; 64] }; bytes.div_ceil(64) + 1])
    }

    fn start(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

const fn register(address: u32, value: u32) -> ReckonRegister {
    ReckonRegister { address, value }
}

/// 4-4-2, learning nothing.
const SHAPE: [ReckonRegister; 4] = [
    register(RECKON_SPI_NUM_INP_NEUR, 3),
    register(RECKON_SPI_NUM_REC_NEUR, 3),
    register(RECKON_SPI_NUM_OUT_NEUR, 1),
    register(RECKON_SPI_DO_EPROP, 0),
];

fn config(registers: &[ReckonRegister], pairs: &[ReckonPair]) -> ReckonConfig {
    ReckonConfig {
        registers: registers.as_ptr(),
        registers_len: registers.len(),
        pairs: pairs.as_ptr(),
        pairs_len: pairs.len(),
    }
}

/// `reckon_new` with these registers and pairs: its code, and the fault, `u32::MAX` if none is told.
fn made(registers: &[ReckonRegister], pairs: &[ReckonPair]) -> (i32, u32) {
    let mut block = Block::new(reckon_memory_size(256, 256, 16));
    let (mut network, mut fault) = (block.start().cast(), u32::MAX);
    let config = config(registers, pairs);
    let size = reckon_memory_size(256, 256, 16);
    // SAFETY: every pointer points to what its type says.
    let code = unsafe { reckon_new(block.start(), size, &config, &mut network, &mut fault) };
    assert_eq!(network.is_null(), code != RECKON_OK, "a handle is there if nothing is wrong");
    (code, fault)
}

/// Runs `work` on a 4-4-2 network.
fn with_network(work: impl FnOnce(*mut ReckonNetwork)) {
    let size = reckon_memory_size(4, 4, 2);
    let mut block = Block::new(size);
    let mut network = null_mut();
    let config = config(&SHAPE, &[]);
    // SAFETY: every pointer points to what its type says, or is null.
    let code = unsafe { reckon_new(block.start(), size, &config, &mut network, null_mut()) };
    assert_eq!(code, RECKON_OK);
    work(network);
}

#[test]
fn versions_agree() {
    assert_eq!(reckon_abi(), RECKON_C_ABI);
}

#[test]
fn every_code_has_words_of_its_own() {
    // SAFETY: the texts are static and end with a zero.
    let text = |code| unsafe { CStr::from_ptr(reckon_error_text(code)) }.to_str().unwrap();
    let mut texts: Vec<&str> = (RECKON_OK..=RECKON_INTERNAL).map(text).collect();
    assert_eq!(text(RECKON_OK), "done");
    for unknown in [-1, RECKON_INTERNAL + 1, i32::MIN, i32::MAX] {
        assert_eq!(text(unknown), "no such code");
    }
    texts.push("no such code");
    let all = texts.len();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!((texts.len(), all), (14, 14));
}

#[test]
fn sizes_are_those_of_the_model() {
    let len = reckon::Network::memory_len(reckon::Shape { inputs: 40, recurrent: 100, outputs: 2 });
    assert_eq!(reckon_memory_size(40, 100, 2), RECKON_NETWORK_SIZE + len.bytes());
    assert!(reckon_memory_size(40, 100, 2) < 64 << 10);
    assert!(reckon_memory_size(256, 256, 16) < 256 << 10);
    for [inputs, recurrent, outputs] in
        [[0, 1, 1], [1, 0, 1], [1, 1, 0], [257, 1, 1], [1, 257, 1], [1, 1, 17], [u32::MAX; 3]]
    {
        assert_eq!(reckon_memory_size(inputs, recurrent, outputs), 0);
    }
}

#[test]
fn bad_programs_are_refused_with_the_register_at_fault() {
    let with = |more: &[ReckonRegister]| made(&[&SHAPE, more].concat(), &[]);
    assert_eq!(with(&[]), (RECKON_OK, u32::MAX));
    assert_eq!(with(&[register(97, 0)]), (RECKON_UNKNOWN_REGISTER, 97));
    assert_eq!(with(&[register(u32::MAX, 0)]), (RECKON_UNKNOWN_REGISTER, u32::MAX));
    let kappa = RECKON_SPI_KAPPA;
    assert_eq!(with(&[register(kappa, 255)]), (RECKON_OK, u32::MAX));
    assert_eq!(with(&[register(kappa, 256)]), (RECKON_OUT_OF_RANGE, kappa));
    assert_eq!(with(&[register(kappa, 1), register(kappa, 1)]), (RECKON_DUPLICATE, kappa));
    let noise = register(RECKON_SPI_NOISE_EN, 1);
    assert_eq!(with(&[noise]), (RECKON_MISSING_REGISTER, RECKON_SPI_NOISE_STR));

    let pair = |pair, alpha12| ReckonPair { pair, alpha12, threshold: -5 };
    assert_eq!(made(&SHAPE, &[pair(127, 4095)]), (RECKON_OK, u32::MAX));
    assert_eq!(made(&SHAPE, &[pair(128, 0)]), (RECKON_OUT_OF_RANGE, 128));
    assert_eq!(made(&SHAPE, &[pair(3, 4096)]), (RECKON_OUT_OF_RANGE, 3));
    assert_eq!(made(&SHAPE, &[pair(5, 0), pair(5, 0)]), (RECKON_DUPLICATE, 5));
}

#[test]
fn bad_memory_is_refused() {
    let size = reckon_memory_size(4, 4, 2);
    let mut block = Block::new(size);
    let start = block.start();
    let good = config(&SHAPE, &[]);
    let new = |memory: *mut c_void, size, config: *const ReckonConfig| {
        let mut network = start.cast();
        // SAFETY: every pointer that the function uses points to what its type says.
        let code = unsafe { reckon_new(memory, size, config, &mut network, null_mut()) };
        assert_eq!(network.is_null(), code != RECKON_OK);
        code
    };
    let off = |bytes: usize| start.cast::<u8>().wrapping_add(bytes).cast();
    assert_eq!(new(start, size, &good), RECKON_OK);
    assert_eq!(new(null_mut(), size, &good), RECKON_NULL_POINTER);
    assert_eq!(new(off(1), size, &good), RECKON_MISALIGNED);
    assert_eq!(new(off(32), size, &good), RECKON_MISALIGNED);
    assert_eq!(new(start, size - 1, &good), RECKON_MEMORY_TOO_SMALL);
    assert_eq!(new(start, 0, &good), RECKON_MEMORY_TOO_SMALL);
    assert_eq!(new(start, usize::MAX, &good), RECKON_WRONG_LENGTH);
    assert_eq!(new(start, size, null()), RECKON_NULL_POINTER);
    let odd = (&raw const good).cast::<u8>().wrapping_add(1).cast();
    assert_eq!(new(start, size, odd), RECKON_MISALIGNED);

    let arrays = |change: &dyn Fn(&mut ReckonConfig)| {
        let mut bad = good;
        change(&mut bad);
        new(start, size, &bad)
    };
    let odd = |bytes: usize| SHAPE.as_ptr().cast::<u8>().wrapping_add(bytes);
    assert_eq!(arrays(&|bad| bad.registers = null()), RECKON_NULL_POINTER);
    assert_eq!(arrays(&|bad| bad.registers = odd(2).cast()), RECKON_MISALIGNED);
    assert_eq!(arrays(&|bad| bad.registers_len = usize::MAX), RECKON_WRONG_LENGTH);
    assert_eq!(arrays(&|bad| bad.registers_len = usize::MAX / 8), RECKON_WRONG_LENGTH);
    assert_eq!(arrays(&|bad| (bad.pairs, bad.pairs_len) = (null(), 1)), RECKON_NULL_POINTER);
    assert_eq!(arrays(&|bad| (bad.pairs, bad.pairs_len) = (odd(1).cast(), 1)), RECKON_MISALIGNED);
    let long = usize::MAX / 6;
    assert_eq!(
        arrays(&|bad| (bad.pairs, bad.pairs_len) = (odd(0).cast(), long)),
        RECKON_WRONG_LENGTH
    );

    let mut network = null_mut::<ReckonNetwork>();
    let place = (&raw mut network).cast::<u8>().wrapping_add(4).cast();
    let fault = (&raw mut network).cast::<u8>().wrapping_add(2).cast();
    // SAFETY: the functions refuse the pointers that point to nothing.
    unsafe {
        assert_eq!(reckon_new(start, size, &good, null_mut(), null_mut()), RECKON_NULL_POINTER);
        assert_eq!(reckon_new(start, size, &good, place, null_mut()), RECKON_MISALIGNED);
        assert_eq!(reckon_new(start, size, &good, &mut network, fault), RECKON_MISALIGNED);
    }
    assert!(network.is_null());
}

#[test]
fn nothing_follows_a_bad_handle() {
    let mut block = Block::new(64);
    let odd: *mut ReckonNetwork = block.start().cast::<u8>().wrapping_add(8).cast();
    let mut weights = [0_i8; 48];
    let [inp, rec, out] = [0, 16, 32].map(|at| weights.as_mut_ptr().wrapping_add(at));
    let sample = sample_of(&[], 10);
    let mut result = ReckonResult::default();
    for (network, code) in [(null_mut(), RECKON_NULL_POINTER), (odd, RECKON_MISALIGNED)] {
        // SAFETY: the functions refuse such a handle; all else points to what its type says.
        let codes = unsafe {
            [
                reckon_set_register(network, RECKON_SPI_KAPPA, 1),
                reckon_load_weights(network, inp, 16, rec, 16, out, 8),
                reckon_read_weights(network, inp, 16, rec, 16, out, 8),
                reckon_event(network, 0),
                reckon_label(network, 0),
                reckon_target(network, 0, 0),
                reckon_tick(network, 0, null_mut()),
                reckon_run(network, &sample, null_mut()),
                reckon_result(network, &mut result),
            ]
        };
        assert_eq!(codes, [code; 9]);
    }
}

fn sample_of(events: &[ReckonEvent], ticks: u32) -> ReckonSample {
    ReckonSample {
        events: events.as_ptr(),
        events_len: events.len(),
        ticks,
        target_valid_begin: 0,
        target_valid_end: 0,
        infer_acc_begin: 0,
        infer_acc_end: ticks,
        label: 0,
    }
}

#[test]
fn registers_are_written_between_samples_only() {
    with_network(|network| {
        // SAFETY: the handle is a network's, and null stands for a report that nobody wants.
        let (set, tick) = unsafe {
            (
                |address, value| reckon_set_register(network, address, value),
                |pins| reckon_tick(network, pins, null_mut()),
            )
        };
        assert_eq!(set(RECKON_SPI_KAPPA, 255), RECKON_OK);
        assert_eq!(set(RECKON_SPI_KAPPA, 256), RECKON_OUT_OF_RANGE);
        assert_eq!(set(97, 0), RECKON_UNKNOWN_REGISTER);
        assert_eq!(set(RECKON_SPI_NUM_REC_NEUR, 3), RECKON_FIXED_REGISTER);
        assert_eq!(set(RECKON_SPI_DO_EPROP, 7), RECKON_MISSING_REGISTER);
        assert_eq!(tick(0), RECKON_OK);
        assert_eq!(set(RECKON_SPI_KAPPA, 255), RECKON_BUSY);
        let sample = sample_of(&[], 10);
        let weights = [0_i8; 16];
        // SAFETY: every pointer points to what its type says.
        unsafe {
            assert_eq!(reckon_run(network, &sample, null_mut()), RECKON_BUSY);
            let inp = weights.as_ptr();
            assert_eq!(reckon_load_weights(network, inp, 16, inp, 16, inp, 8), RECKON_BUSY);
        }
        assert_eq!(tick(RECKON_PIN_LAST), RECKON_OK);
        assert_eq!(set(RECKON_SPI_KAPPA, 255), RECKON_OK);
    });
}

#[test]
fn weights_go_in_and_out_in_whole_matrices() {
    with_network(|network| {
        let load = |lens: [usize; 3], from: [*const i8; 3]| {
            let ([inp, rec, out], [a, b, c]) = (from, lens);
            // SAFETY: the handle is a network's; what is no array is refused.
            unsafe { reckon_load_weights(network, inp, a, rec, b, out, c) }
        };
        let read = |lens: [usize; 3], to: [*mut i8; 3]| {
            let ([inp, rec, out], [a, b, c]) = (to, lens);
            // SAFETY: the handle is a network's; what is no array is refused.
            unsafe { reckon_read_weights(network, inp, a, rec, b, out, c) }
        };
        let good = [16, 16, 8];
        let given: Vec<i8> = (0..48).map(|weight| weight * 2 - 40).collect();
        let from = [0, 16, 32].map(|at| given[at..].as_ptr());
        let mut taken = vec![0_i8; 48];
        let start = taken.as_mut_ptr();
        let to = [0, 16, 32].map(|at| start.wrapping_add(at));
        assert_eq!(load(good, from), RECKON_OK);
        assert_eq!(read(good, to), RECKON_OK);
        for at in 0..3 {
            for wrong in [good[at] - 1, good[at] + 1, 0, usize::MAX] {
                let mut lens = good;
                lens[at] = wrong;
                assert_eq!(load(lens, from), RECKON_WRONG_LENGTH, "{lens:?}");
                // A length that reaches into the next array is refused as such.
                let refused = read(lens, to);
                assert!([RECKON_WRONG_LENGTH, RECKON_OVERLAP].contains(&refused), "{lens:?}");
            }
            let (mut bad_from, mut bad_to) = (from, to);
            bad_from[at] = null();
            bad_to[at] = null_mut();
            assert_eq!(load(good, bad_from), RECKON_NULL_POINTER);
            assert_eq!(read(good, bad_to), RECKON_NULL_POINTER);
            bad_to[at] = to[(at + 1) % 3].wrapping_add(1);
            assert_eq!(read(good, bad_to), RECKON_OVERLAP);
        }
        // Nothing above has changed anything.
        assert_eq!(taken[..40], given[..40]);
        taken.fill(0);
        let start = taken.as_mut_ptr();
        let to = [0, 16, 32].map(|at| start.wrapping_add(at));
        assert_eq!(read(good, to), RECKON_OK);
        assert_eq!(taken[..40], given[..40]);
    });
}

#[test]
fn values_outside_their_ranges_are_refused() {
    with_network(|network| {
        let mut step = ReckonStep::default();
        let odd: *mut ReckonStep = (&raw mut step).cast::<u8>().wrapping_add(4).cast();
        // SAFETY: the handle is a network's; pointers are right, null or refused.
        unsafe {
            assert_eq!(reckon_event(network, 255), RECKON_OK);
            assert_eq!(reckon_event(network, 256), RECKON_OUT_OF_RANGE);
            assert_eq!(reckon_label(network, 15), RECKON_OK);
            assert_eq!(reckon_label(network, 16), RECKON_OUT_OF_RANGE);
            assert_eq!(reckon_label(network, 256), RECKON_OUT_OF_RANGE);
            assert_eq!(reckon_target(network, 15, 32767), RECKON_OK);
            assert_eq!(reckon_target(network, 15, -32768), RECKON_OK);
            assert_eq!(reckon_target(network, 16, 0), RECKON_OUT_OF_RANGE);
            assert_eq!(reckon_target(network, 0, 32768), RECKON_OUT_OF_RANGE);
            assert_eq!(reckon_target(network, 0, -32769), RECKON_OUT_OF_RANGE);
            assert_eq!(reckon_tick(network, 8, null_mut()), RECKON_OUT_OF_RANGE);
            assert_eq!(reckon_tick(network, 0, odd), RECKON_MISALIGNED);
            assert_eq!(reckon_result(network, null_mut()), RECKON_NULL_POINTER);
            assert_eq!(
                reckon_result(network, odd.cast::<u8>().wrapping_add(1).cast()),
                RECKON_MISALIGNED
            );
        }
        let mut result = ReckonResult { running: 7, ..ReckonResult::default() };
        // SAFETY: every pointer points to what its type says.
        assert_eq!(unsafe { reckon_result(network, &mut result) }, RECKON_OK);
        assert_eq!(result, ReckonResult::default(), "no refused tick has started a sample");
    });
}

#[test]
fn bad_samples_are_refused() {
    with_network(|network| {
        let mut report = ReckonReport::default();
        let wanted = &raw mut report;
        // SAFETY: the handle is a network's; pointers are right, null or refused.
        let run =
            |sample: *const ReckonSample, report| unsafe { reckon_run(network, sample, report) };
        let events = [ReckonEvent { tick: 0, address: 0 }; 2];
        let good = sample_of(&events, 10);
        let changed = |change: &dyn Fn(&mut ReckonSample)| {
            let mut bad = good;
            change(&mut bad);
            run(&bad, wanted)
        };
        assert_eq!(run(&good, wanted), RECKON_OK);
        assert_eq!(run(&good, null_mut()), RECKON_OK);
        assert_eq!(run(null(), wanted), RECKON_NULL_POINTER);
        let odd = |pointer: *const u8| pointer.wrapping_add(1);
        assert_eq!(run(odd((&raw const good).cast()).cast(), wanted), RECKON_MISALIGNED);
        assert_eq!(run(&good, wanted.cast::<u8>().wrapping_add(1).cast()), RECKON_MISALIGNED);
        assert_eq!(changed(&|bad| bad.events = null()), RECKON_NULL_POINTER);
        assert_eq!(changed(&|bad| bad.events = odd(bad.events.cast()).cast()), RECKON_MISALIGNED);
        assert_eq!(changed(&|bad| bad.events_len = usize::MAX), RECKON_WRONG_LENGTH);
        assert_eq!(changed(&|bad| bad.ticks = 1), RECKON_OUT_OF_RANGE);
        assert_eq!(changed(&|bad| bad.label = 16), RECKON_OUT_OF_RANGE);
        assert_eq!(changed(&|bad| (bad.events, bad.events_len) = (null(), 0)), RECKON_OK);
        assert_eq!(changed(&|bad| (bad.ticks, bad.label) = (2, 15)), RECKON_OK);
    });
}
