//! vision: event-camera digits (N-MNIST), each written by somebody.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tasks::vision::upright::Frame;
use tasks::vision::{Grid, Retina};

use super::network::{NEURONS, Network, halvings};
use super::{Initial, Item, Pool, Recipe, Task};
use crate::data::{DataError, nmnist};

const CLASSES: u8 = 10;
const CHANNELS: u16 = 242;
const RATES: [u32; 3] = [9, 8, 8];

/// The 1,000 and 100 digits in `dir`. Subjects are the writers, `writer-N` by NIST's number, or `unknown`.
///
/// # Errors
/// [`DataError`] when a file is missing or damaged.
pub fn vision(dir: &Path) -> Result<Task, DataError> {
    let (training, test) = nmnist::read(dir)?;
    let name = |writer: Option<u32>| {
        writer.map_or_else(|| "unknown".to_owned(), |writer| format!("writer-{writer:04}"))
    };
    let mut names: BTreeMap<String, u32> =
        training.iter().map(|digit| (name(digit.writer), 0)).collect();
    names.values_mut().zip(0..).for_each(|(place, index)| *place = index);
    let mut retina = Retina::new(Grid::NMNIST);
    let mut see = |digit: &nmnist::Digit| {
        Frame::NMNIST.set_upright(&digit.changes).into_iter().for_each(|change| retina.see(change));
        retina.end(digit.label)
    };
    let items = training.iter().map(|digit| Item {
        sample: Arc::new(see(digit)),
        subject: names.get(&name(digit.writer)).copied().unwrap_or(0),
    });
    let pool = Pool::Recorded(items.collect());
    let network = Network {
        inputs: CHANNELS,
        classes: CLASSES,
        threshold: 3_000,
        alpha12: 0xDE2,
        kappa: 127,
        rates: RATES,
    };
    Ok(Task {
        name: "vision".to_owned(),
        pool,
        test: test.iter().map(see).collect(),
        channels: CHANNELS,
        classes: CLASSES,
        subjects: names.into_keys().collect(),
        step_us: Grid::NMNIST.tick_us.into(),
        recipe: Recipe {
            registers: network.registers(),
            neurons: network.neurons(),
            initial: Initial::Normal {
                inputs: CHANNELS,
                recurrent: NEURONS,
                outputs: CLASSES.into(),
                hundredths: [3_000, 1_000, 1_000],
            },
            // A quarter of a share in four times as many rounds: the less a node learns by itself, the less it strays.
            rounds: 160,
            samples: 25,
            epochs: 1,
            server_learning_rate: 2.0,
            schedule: halvings(RATES, &[80, 92, 104, 116, 128, 140, 152]),
            evaluate: 0,
        },
    })
}
