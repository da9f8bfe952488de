//! The 32-bit arithmetic of weight updates against SPEC 6.2 and 6.3 as written, in 128 bits.

extern crate std;

use proptest::prelude::*;

use super::*;

/// Low 32 bits of `x`, signed.
fn wrap32(x: i128) -> i128 {
    let low = x & 0xFFFF_FFFF;
    if low >= 1 << 31 { low - (1 << 32) } else { low }
}

/// SPEC 6.2 (b): `prob` from L, h, q, A and M.
fn wanted_by_the_book(signal: i16, slope: i16, trace: i32, penalty: u32, passed: i128) -> i128 {
    let e = i128::from(signal) * i128::from(trace) * i128::from(slope);
    let k = e * if e < 0 { 16 } else { passed };
    let d = wrap32((k >> 4) - i128::from(penalty));
    if d >= 0 && k >> 31 & 1 == 1 { -(1 << 31) } else { d }
}

/// SPEC 6.3: the step of a weight of unlimited range.
fn step_by_the_book(prob: i128, width: u32, rate: Rate, random: u32) -> i8 {
    if prob == 0 {
        return 0;
    }
    let scaled = (prob.abs() << rate.up).min((1 << width) - 1) >> rate.down;
    let fire = prob == -(1 << (width - 1)) || scaled >= i128::from(random);
    match fire {
        false => 0,
        true if prob < 0 => -1,
        true => 1,
    }
}

/// A number of a random width, so that small ones are as likely as great ones.
fn word() -> impl Strategy<Value = u32> {
    (any::<u32>(), 0..32_u32).prop_map(|(value, shift)| value >> shift)
}

proptest! {
    #[test]
    fn hidden_changes_equal_the_wide_formula(
        signal: i16,
        slope in -16_i16..16,
        trace in 0_i32..4096,
        penalty in prop_oneof![Just(0), word()],
        blocked in 0_i32..=16,
        up in 0_u32..32,
        down in 0_u32..32,
        random in word(),
    ) {
        let rate = Rate { up, down };
        let drive = Drive {
            gain: [i32::from(signal).wrapping_mul(i32::from(slope)); LANES],
            penalty: [penalty; LANES],
            passed: [16 - blocked; LANES],
            rate,
            skips_quiet: false,
            multiplicative: blocked != 0,
            driven: true,
            quiet: Wanted { reach: [0; LANES], step: [0; LANES] },
        };
        let got = drive.wanted(trace).decided(&[random; LANES]);
        let prob = wanted_by_the_book(signal, slope, trace, penalty, i128::from(16 - blocked));
        prop_assert_eq!(got, [step_by_the_book(prob, 32, rate, random); LANES]);
    }

    #[test]
    fn output_changes_equal_the_wide_formula(
        error: i16,
        trace in 1_i32..1024,
        up in 0_u32..32,
        down in 0_u32..32,
        random in word(),
    ) {
        let rate = Rate { up, down };
        let random = random & OUTPUT_MAX;
        let mut row = [0; LANES];
        change_output_row(&mut row, &[error; LANES], trace, rate, &[random; LANES]);
        let prob = i128::from(error) * i128::from(trace);
        prop_assert_eq!(row, [step_by_the_book(prob, 28, rate, random); LANES]);
    }
}

#[test]
fn the_guard_looks_at_a_bit_that_is_not_the_sign() {
    // E = 2^27: bit 31 of 16 E is set, so a certain decrement comes out of a great increase.
    assert_eq!(wanted_by_the_book(1 << 13, 8, 1 << 11, 0, 16), -(1 << 31));
    assert_eq!(wanted_by_the_book(1 << 13, 8, 1 << 10, 0, 16), 1 << 26);
}

#[test]
fn a_weight_stays_at_its_limit() {
    let rate = Rate { up: 31, down: 0 };
    let mut row = [127; LANES];
    change_output_row(&mut row, &[1; LANES], 1, rate, &[0; LANES]);
    assert_eq!(row, [127; LANES]);
    let mut row = [-128; LANES];
    change_output_row(&mut row, &[-1; LANES], 1, rate, &[0; LANES]);
    assert_eq!(row, [-128; LANES]);
}
