//! What the tests of several modules share: the navigation network, and orders for it.

use federation::{Artifact, Digest, LocalWork, RoundRef, RunId, TrainOrder, VersionNumber};
use tasks::navigation::{chip, initial_weights};

use crate::data::Source;
use crate::learner::{Weights, reckon_artifact};

/// The navigation network with these register lines changed or added.
pub(crate) fn artifact_with(registers: &[(&str, u32)]) -> Artifact {
    let weights = initial_weights(1);
    let mut text = String::new();
    for line in chip::config_text().lines() {
        if registers.iter().all(|(name, _)| !line.starts_with(&format!("{name} "))) {
            text.push_str(&format!("{line}\n"));
        }
    }
    for (name, value) in registers {
        text.push_str(&format!("{name} {value}\n"));
    }
    let weights =
        Weights { input: &weights.input, recurrent: &weights.recurrent, output: &weights.output };
    reckon_artifact(&text, &chip::neurons_text(), weights).unwrap()
}

/// The navigation network.
pub(crate) fn artifact() -> Artifact {
    artifact_with(&[])
}

/// An order for round `number` from `artifact`: two samples, one epoch, one held-out sample.
pub(crate) fn order(artifact: &Artifact, number: u32) -> TrainOrder {
    TrainOrder {
        round: RoundRef { run: RunId(1), number, attempt: 1 },
        model: "navigation".parse().unwrap(),
        base_version: VersionNumber(number),
        base: Digest::of(&artifact.encode()),
        weights: u64::try_from(artifact.weights().len()).unwrap(),
        work: LocalWork {
            samples: 2,
            epochs: 1,
            evaluate_samples: 1,
            registers: Default::default(),
        },
        seed: 77 + u64::from(number),
        samples_max: 100,
        deadline_in_ms: 1000,
    }
}

/// A navigation stream.
pub(crate) fn source() -> Source {
    Source::open(&"navigation:seed=3".parse().unwrap(), 0).unwrap()
}
