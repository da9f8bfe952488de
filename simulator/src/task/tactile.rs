//! tactile: letters of Braille under an artificial fingertip.

use std::path::Path;
use std::sync::Arc;

use tasks::random::permutation;
use tasks::tactile::{CHANNELS, CLASSES, Finger};

use super::network::{NEURONS, Network, halvings};
use super::{Initial, Item, Pool, Recipe, Task};
use crate::data::{DataError, braille};

const RATES: [u32; 3] = [9, 8, 8];
/// The authors' test files could not be had: a fifth of the letters tests, drawn once for all with this seed.
const SPLIT_SEED: u64 = 7;

/// The different letters in `dir`, four fifths to learn from. There is one robot and one sensor: one subject.
///
/// # Errors
/// [`DataError`] when a file is missing or damaged.
pub fn tactile(dir: &Path) -> Result<Task, DataError> {
    let (letters, _) = braille::read(dir)?;
    let mut finger = Finger::new();
    let mut feel = |letter: &braille::Letter| {
        letter.steps.iter().for_each(|&taxels| finger.feel(taxels));
        finger.end(letter.label)
    };
    let count = u32::try_from(letters.len()).unwrap_or(u32::MAX);
    let order = permutation(SPLIT_SEED, count);
    let shuffled: Vec<_> =
        order.into_iter().filter_map(|at| letters.get(usize::try_from(at).ok()?)).collect();
    let (training, test) = shuffled.split_at(shuffled.len() * 4 / 5);
    let items = training.iter().map(|letter| Item { sample: Arc::new(feel(letter)), subject: 0 });
    let pool = Pool::Recorded(items.collect());
    let network = Network {
        inputs: CHANNELS,
        classes: CLASSES,
        threshold: 2_500,
        alpha12: 0xCD7,
        kappa: 126,
        rates: RATES,
    };
    Ok(Task {
        name: "tactile".to_owned(),
        pool,
        test: test.iter().map(|letter| feel(letter)).collect(),
        channels: CHANNELS,
        classes: CLASSES,
        subjects: Vec::new(),
        // Two of the recording's steps of 5 ms.
        step_us: 10_000,
        recipe: Recipe {
            registers: network.registers(),
            neurons: network.neurons(),
            initial: Initial::Normal {
                inputs: CHANNELS,
                recurrent: NEURONS,
                outputs: CLASSES.into(),
                hundredths: [2_000, 1_000, 1_000],
            },
            rounds: 60,
            samples: 185,
            epochs: 1,
            server_learning_rate: 2.0,
            schedule: halvings(RATES, &[36, 42, 46, 50, 54, 57]),
            evaluate: 0,
        },
    })
}
