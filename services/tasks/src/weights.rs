//! Random initial weights for the chip: normal, rounded, clipped to 8 bits, without a float.
//!
//! A standard normal draw is the sum of twelve 16-bit uniform draws, less its mean: its standard deviation is 2^16
//! to within 2^-32 and its tails end at 6 standard deviations, which 8-bit weights do not notice.

use crate::random::Rng;

/// A standard deviation in hundredths of a weight's least significant bit: `Deviation::hundredths(1350)` is 13.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deviation(i64);

impl Deviation {
    /// The deviation of `hundredths` / 100 least significant bits.
    #[must_use]
    pub const fn hundredths(hundredths: u16) -> Self {
        Self(hundredths as i64)
    }
}

/// Fills `weights` with independent draws of mean 0 and standard deviation `deviation`.
///
/// Each is rounded to the nearest integer (halves away from zero) and clipped to -128..=127.
pub fn fill_normal(rng: &mut Rng, deviation: Deviation, weights: &mut [i8]) {
    for weight in weights {
        *weight = normal(rng, deviation);
    }
}

/// Mean of the sum of twelve 16-bit uniform draws: 12 x 65535 / 2.
const SUM_MEAN: i64 = 393_210;

/// One standard deviation of that sum (2^16) times the hundredths of [`Deviation`].
const UNIT: i64 = 65_536 * 100;

fn normal(rng: &mut Rng, deviation: Deviation) -> i8 {
    let mut sum = 0;
    for _ in 0..3 {
        let bits = rng.next_u64();
        for shift in [0, 16, 32, 48] {
            sum += i64::from(((bits >> shift) & 0xFFFF) as u16);
        }
    }
    let scaled = (sum - SUM_MEAN) * deviation.0;
    let rounded = (scaled + scaled.signum() * (UNIT / 2)) / UNIT;
    i8::try_from(rounded).unwrap_or(if rounded < 0 { i8::MIN } else { i8::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(hundredths: u16, weights: &mut [i8]) -> (i64, i64) {
        fill_normal(&mut Rng::new(5), Deviation::hundredths(hundredths), weights);
        let sum = weights.iter().map(|&w| i64::from(w)).sum();
        let squares = weights.iter().map(|&w| i64::from(w) * i64::from(w)).sum();
        (sum, squares)
    }

    #[test]
    fn mean_and_spread_are_as_asked() {
        let mut weights = [0; 40_000];
        let count = 40_000;
        for hundredths in [173, 334, 1350, 2000] {
            let (sum, squares) = draws(hundredths, &mut weights);
            let spread = i64::from(hundredths);
            // Mean within four standard errors: |sum| <= 4 sd sqrt(n), sqrt(40000) = 200.
            assert!(sum.abs() * 100 <= 4 * spread * 200, "{hundredths}: sum {sum}");
            // Variance (in 1/10000, plus 1/12 for rounding) within 3 %.
            let wanted = (spread * spread + 833) * count;
            assert!(
                (squares * 10_000 - wanted).abs() * 100 <= wanted * 3,
                "{hundredths}: {squares}"
            );
        }
    }

    #[test]
    fn a_third_lies_beyond_one_deviation() {
        let mut weights = [0; 40_000];
        draws(2000, &mut weights);
        let beyond = weights.iter().filter(|w| w.unsigned_abs() > 20).count();
        // P(|z| > 20.5/20) = 0.305 of a normal.
        assert!((11_800..=12_600).contains(&beyond), "{beyond}");
    }

    #[test]
    fn large_deviations_are_clipped_not_wrapped() {
        let mut weights = [0; 1_000];
        draws(u16::MAX, &mut weights);
        assert!(weights.contains(&127) && weights.contains(&-128));
        let (sum, squares) = draws(0, &mut weights);
        assert_eq!((sum, squares), (0, 0));
    }
}
