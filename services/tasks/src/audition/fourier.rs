//! Power spectrum of a window of sound, in whole numbers.

use super::tables::QUARTER_SINE;

/// Points of the transform.
pub(super) const POINTS: usize = 256;
/// Samples of the window; the rest of the points is 0.
pub(super) const WINDOW: usize = 192;
/// Steps of a full circle in the table of sines.
const CIRCLE: usize = 768;
/// Bits of fraction that samples get on their way in, so that soft sounds keep their shape.
const FRACTION_BITS: u32 = 4;

/// 32767 sin(2 pi n / 768).
fn sine(n: usize) -> i32 {
    let n = n % CIRCLE;
    let (half, n) = (n / (CIRCLE / 2), n % (CIRCLE / 2));
    let quarter = QUARTER_SINE[if n <= CIRCLE / 4 { n } else { CIRCLE / 2 - n }];
    if half == 0 { quarter.into() } else { -i32::from(quarter) }
}

fn cosine(n: usize) -> i32 {
    sine(n + CIRCLE / 4)
}

/// Powers of bins 0 to 127 (31.25 Hz apart at 8 kHz) of 192 samples under a Hann window, scaled by 2^8 x the square of a
/// sample's unit.
pub(super) fn powers(samples: impl Iterator<Item = i16>) -> [u64; POINTS / 2] {
    let mut re = [0_i32; POINTS];
    let mut im = [0_i32; POINTS];
    for (n, sample) in samples.take(WINDOW).enumerate() {
        // (1 - cos) / 2 of a period of 192 samples, in 1/65534ths.
        let hann = i64::from(32_767 - cosine(n * (CIRCLE / WINDOW)));
        re[reversed(n)] = rounded((i64::from(sample) << FRACTION_BITS) * hann, 16);
    }
    let mut length = 2;
    while length <= POINTS {
        let (half, step) = (length / 2, CIRCLE / length);
        for start in (0..POINTS).step_by(length) {
            for k in 0..half {
                let (cos, sin) = (i64::from(cosine(k * step)), i64::from(-sine(k * step)));
                let (a, b) = (start + k, start + k + half);
                let (x, y) = (i64::from(re[b]), i64::from(im[b]));
                let (x, y) = (rounded(x * cos - y * sin, 15), rounded(x * sin + y * cos, 15));
                (re[a], re[b]) = (re[a] + x, re[a] - x);
                (im[a], im[b]) = (im[a] + y, im[a] - y);
            }
        }
        length *= 2;
    }
    core::array::from_fn(|bin| square(re[bin]) + square(im[bin]))
}

fn square(value: i32) -> u64 {
    let value = u64::from(value.unsigned_abs());
    value * value
}

/// `value / 2^bits`, halves upwards. Windowed samples stay below 2^19 and double at most with each of the eight stages.
fn rounded(value: i64, bits: u32) -> i32 {
    let value = (value + (1 << (bits - 1))) >> bits;
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}

/// The lowest eight bits of `n` in reverse.
fn reversed(n: usize) -> usize {
    n.reverse_bits() >> (usize::BITS - 8)
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "sounds for tests are far from the ends of 16 bits"
)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_makes_the_whole_circle() {
        for n in 0..CIRCLE {
            let angle = n as f64 / CIRCLE as f64 * core::f64::consts::TAU;
            assert!((f64::from(sine(n)) - 32_767.0 * angle.sin()).abs() <= 0.501, "{n}");
            assert!((f64::from(cosine(n)) - 32_767.0 * angle.cos()).abs() <= 0.501, "{n}");
        }
    }

    #[test]
    fn a_tone_is_in_its_bin_and_noise_is_as_a_plain_sum_says() {
        for tone in [0_usize, 5, 31, 100] {
            let wave =
                |n: usize| 10_000.0 * (core::f64::consts::TAU * (n * tone) as f64 / 256.0).cos();
            let samples: std::vec::Vec<i16> = (0..192).map(|n| wave(n) as i16).collect();
            let powers = powers(samples.iter().copied());
            let loudest = (0..128).max_by_key(|&bin| powers[bin]).unwrap();
            assert_eq!(loudest, tone);
            for bin in [0, 1, tone, tone + 2, 127] {
                let (mut re, mut im) = (0.0, 0.0);
                for (n, &sample) in samples.iter().enumerate() {
                    let hann = 0.5 - 0.5 * (core::f64::consts::TAU * n as f64 / 192.0).cos();
                    let angle = core::f64::consts::TAU * (n * bin) as f64 / 256.0;
                    re += f64::from(sample) * 16.0 * hann * angle.cos();
                    im -= f64::from(sample) * 16.0 * hann * angle.sin();
                }
                let (exact, got) = ((re * re + im * im).sqrt(), (powers[bin] as f64).sqrt());
                assert!(
                    (exact - got).abs() < 300.0 + exact / 2_000.0,
                    "{tone} {bin}: {exact} {got}"
                );
            }
        }
    }

    #[test]
    fn the_loudest_sound_does_not_overflow() {
        let square = powers((0..192).map(|n| if n % 64 < 32 { i16::MAX } else { i16::MIN }));
        let constant = powers((0..192).map(|_| i16::MIN));
        // Half the window's samples times 32768 x 16, squared.
        let expected = (96_u64 * 32_768 * 16).pow(2);
        assert!(constant[0].abs_diff(expected) < expected / 1_000, "{}", constant[0]);
        assert!(square.iter().all(|&power| power < expected));
    }
}
