//! Seeded initial weights of the navigation network.

use alloc::vec;
use alloc::vec::Vec;

use super::{CHANNELS, CLASSES, NEURONS};
use crate::random::{Rng, derive};
use crate::weights::{Deviation, fill_normal};

/// A network's weights, row by row, a row per presynaptic neuron, without padding: as `reckon` loads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// 40 x 100: from input channels to recurrent neurons.
    pub input: Vec<i8>,
    /// 100 x 100: among recurrent neurons; no neuron reaches itself.
    pub recurrent: Vec<i8>,
    /// 100 x 2: from recurrent to output neurons.
    pub output: Vec<i8>,
}

/// The initial weights that belong to `seed`: normal with standard deviations 13.5 (input), 1.73 (recurrent)
/// and 3.34 (output), rounded, clipped to 8 bits, the diagonal of the recurrent weights 0.
///
/// The weights that come with the chip measure 14.2, 1.83 and 9.43 (docs/adr/0004). Each
/// matrix draws from its own generator, so that none depends on the size of another.
#[must_use]
pub fn initial_weights(seed: u64) -> Weights {
    let (inputs, neurons, outputs) =
        (usize::from(CHANNELS), usize::from(NEURONS), usize::from(CLASSES));
    let draw = |matrix: u64, deviation: Deviation, len: usize| {
        let mut weights = vec![0; len];
        fill_normal(&mut Rng::new(derive(seed, &[DOMAIN, matrix])), deviation, &mut weights);
        weights
    };
    let input = draw(0, INPUT, inputs * neurons);
    let mut recurrent = draw(1, RECURRENT, neurons * neurons);
    recurrent.iter_mut().step_by(neurons + 1).for_each(|itself| *itself = 0);
    Weights { input, recurrent, output: draw(2, OUTPUT, neurons * outputs) }
}

/// Standard deviation of the initial input weights: 13.5.
const INPUT: Deviation = Deviation::hundredths(1350);
/// Standard deviation of the initial recurrent weights: 1.73.
const RECURRENT: Deviation = Deviation::hundredths(173);
/// Standard deviation of the initial output weights: 3.34.
const OUTPUT: Deviation = Deviation::hundredths(334);

const DOMAIN: u64 = u64::from_be_bytes(*b"nav/init");

#[cfg(test)]
mod tests {
    use super::*;

    fn check(weights: &[i8], hundredths: i64) {
        let count = i64::try_from(weights.len()).unwrap();
        let sum: i64 = weights.iter().map(|&w| i64::from(w)).sum();
        let squares: i64 = weights.iter().map(|&w| i64::from(w) * i64::from(w)).sum();
        // Four standard errors of the mean: sum^2 <= 16 sd^2 n; variance (plus 1/12 of rounding) within 20 %.
        let variance = hundredths * hundredths + 833;
        assert!(sum * sum * 10_000 <= 16 * variance * count, "sum {sum} of {count}");
        let off = (squares * 10_000 - variance * count).abs();
        assert!(
            off * 100 <= variance * count * if count < 1_000 { 40 } else { 10 },
            "squares {squares} of {count}"
        );
    }

    #[test]
    fn mean_and_deviation_are_as_documented() {
        for seed in 0..10 {
            let Weights { input, recurrent, output } = initial_weights(seed);
            assert_eq!((input.len(), recurrent.len(), output.len()), (4_000, 10_000, 200));
            check(&input, 1350);
            check(&recurrent, 173);
            check(&output, 334);
            assert!((0..100).all(|i| recurrent[i * 101] == 0));
        }
    }

    #[test]
    fn the_initial_weights_of_a_seed_have_not_changed() {
        let weights = initial_weights(1);
        assert_eq!(weights.input[..8], [-8, 18, 24, -1, -10, 12, 5, 17]);
        assert_eq!(weights.recurrent[..8], [0, 1, 0, -1, 0, -3, 1, -2]);
        assert_eq!(weights.output[..8], [0, 5, 9, 6, 1, 2, 0, 2]);
        assert_ne!(weights, initial_weights(2));
    }
}
