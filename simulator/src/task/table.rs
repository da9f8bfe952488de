//! csv: a user's own recordings, with a network that is a beginning rather than tuned.

use std::path::Path;
use std::sync::Arc;

use tasks::navigation;

use super::network::{NEURONS, Network, halvings};
use super::{Initial, Item, Pool, Recipe, Task};
use crate::data::{DataError, table};

const RATES: [u32; 3] = [9, 8, 8];

/// The task that the description at `path` describes.
///
/// # Errors
/// [`DataError`] when the description or its table is wrong.
pub fn csv(path: &Path) -> Result<Task, DataError> {
    let table::Table { channels, classes, subjects, training, test } = table::read(path)?;
    let classes = u8::try_from(classes.len()).unwrap_or(u8::MAX).max(2);
    let network = Network {
        inputs: channels,
        classes,
        threshold: 2_000,
        alpha12: 0xCD7,
        kappa: 126,
        rates: RATES,
    };
    let samples = u32::try_from(training.len() / subjects.len().max(1)).unwrap_or(u32::MAX);
    let items =
        training.into_iter().map(|(sample, subject)| Item { sample: Arc::new(sample), subject });
    Ok(Task {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        pool: Pool::Recorded(items.collect()),
        test: test.into(),
        channels,
        classes,
        subjects,
        // A description does not say what a row lasts: as long as a step of the chip's own benchmark.
        step_us: navigation::STEP_US,
        recipe: Recipe {
            registers: network.registers(),
            neurons: network.neurons(),
            initial: Initial::Normal {
                inputs: channels,
                recurrent: NEURONS,
                outputs: classes.into(),
                hundredths: [2_500, 1_000, 1_000],
            },
            rounds: 30,
            samples: samples.clamp(1, 500),
            epochs: 1,
            server_learning_rate: 1.5,
            schedule: halvings(RATES, &[20, 22, 24, 26, 28]),
            evaluate: 0,
        },
    })
}
