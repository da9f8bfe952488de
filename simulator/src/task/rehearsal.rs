//! A federated run without a coordinator: the same orders, the same learning, the same sums, in this process.
//!
//! What makes a run's result is the plan's arithmetic (`federation`), the node's learning (`agent`) and draws from seeds.
//! [`rehearse`] puts these together as the coordinator does for a reproducible plan in which every node answers in time, so
//! that it publishes the same weights, bit for bit. It serves to tune plans and to compute what a federation is
//! compared with: one node that has all the data, and nodes that learn alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use agent::LearnError;
use agent::data::Source;
use agent::learner::Model;
use agent::residual::Residual;
use agent::train::{Bench, Trained};
use federation::aggregate::{Master, Sum, Weight, advance, publish};
use federation::draw::{Standby, cohort, draw};
use federation::{
    Artifact, Digest, Local, NodeId, RoundRef, RunId, Strategy, TrainOrder, VersionNumber,
};
use reckon::{Memory, Network};
use tasks::Sample;

/// A node that learns in this process.
#[derive(Clone, Debug)]
pub struct Pupil {
    /// Its name, which its draws depend on.
    pub node: NodeId,
    /// Its samples.
    pub source: Arc<Source>,
}

/// What decides the result, beside the network and the data.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// How updates become a version.
    pub strategy: Strategy,
    /// Versions to make.
    pub rounds: u32,
    /// Nodes in a round; all, where there are no more.
    pub cohort: usize,
    /// What each does.
    pub local: Local,
    /// Seed of every draw.
    pub seed: u64,
    /// Threads that learn; they change nothing but the time.
    pub threads: usize,
}

/// One version.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// The round that made it, from 1.
    pub round: u32,
    /// The version.
    pub artifact: Artifact,
    /// Of the samples learned from, the share that the network got right while learning.
    pub training_accuracy: f64,
}

/// Runs `plan` from `first`, handing each version to `published` as it comes.
///
/// # Errors
/// [`LearnError`] when network, plan and data do not fit together.
pub fn rehearse(
    first: &Artifact,
    pupils: &[Pupil],
    plan: &Rehearsal,
    mut published: impl FnMut(Rehearsed),
) -> Result<(), LearnError> {
    let layout = first.layout();
    let mut artifact = first.clone();
    let mut master = Master::of(first.weights());
    let mut residuals = vec![Residual::default(); pupils.len()];
    let mut standby: Vec<Standby> =
        pupils.iter().map(|one| Standby { node: one.node.clone(), drawn: 0, turns: 0 }).collect();
    for number in 1..=plan.rounds {
        let round = RoundRef { run: RunId(1), number, attempt: 1 };
        let drawn = cohort(plan.seed, round, &standby, plan.cohort);
        let chosen: Vec<usize> =
            (0..pupils.len()).filter(|&at| drawn.contains(&pupils[at].node)).collect();
        for &at in &chosen {
            standby[at].drawn = number.into();
            standby[at].turns += 1;
        }
        let jobs: Vec<_> = chosen.iter().map(|&at| (at, residuals[at].clone())).collect();
        let mut sum = Sum::new(first.weights().len());
        let (mut correct, mut tried) = (0, 0);
        for (at, trained) in learn(&artifact, pupils, plan, round, jobs)? {
            let delta: Vec<i8> = trained.payload.iter().map(|&lane| lane.cast_signed()).collect();
            let weight = plan.strategy.weight(trained.samples, 0).unwrap_or(Weight::full(1));
            sum.fold_all(&[(&delta, weight)]);
            residuals[at] = trained.residual;
            correct += trained.metrics.correct;
            tried += u64::from(trained.samples);
        }
        advance(plan.strategy, &mut master, &sum, layout);
        let weights = publish(&master, layout);
        let parts = (first.learner(), layout.clone(), first.config().to_vec());
        artifact = Artifact::new(parts.0, parts.1, parts.2, weights)
            .expect("the parts are those of the first");
        #[expect(clippy::cast_precision_loss, reason = "counts of samples, for people")]
        let training_accuracy = correct as f64 / tried.max(1) as f64;
        published(Rehearsed { round: number, artifact: artifact.clone(), training_accuracy });
    }
    Ok(())
}

/// What one node learned: its place, and the update.
type Learned = (usize, Trained);

fn learn(
    artifact: &Artifact,
    pupils: &[Pupil],
    plan: &Rehearsal,
    round: RoundRef,
    jobs: Vec<(usize, Residual)>,
) -> Result<Vec<Learned>, LearnError> {
    let next = AtomicUsize::new(0);
    let (answer, answers) = channel();
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.clamp(1, jobs.len().max(1)) {
            let (answer, next, jobs) = (answer.clone(), &next, &jobs);
            scope.spawn(move || {
                while let Some((at, residual)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let trained = train(artifact, &pupils[*at], plan, round, residual.clone());
                    // Nobody listens any more only after another's error.
                    answer.send(trained.map(|trained| (*at, trained))).unwrap_or_default();
                }
            });
        }
        drop(answer);
        let mut learned: Vec<Learned> = answers.iter().collect::<Result<_, _>>()?;
        learned.sort_by_key(|(at, _)| *at);
        Ok(learned)
    })
}

fn train(
    artifact: &Artifact,
    pupil: &Pupil,
    plan: &Rehearsal,
    round: RoundRef,
    residual: Residual,
) -> Result<Trained, LearnError> {
    let order = TrainOrder {
        round,
        model: "rehearsal".parse().expect("a plain name"),
        base_version: VersionNumber(round.number),
        base: Digest::of(b""),
        weights: u64::try_from(artifact.weights().len()).expect("a length fits 64 bits"),
        work: plan.local.work(round.number),
        seed: draw(plan.seed, "train", round, &pupil.node),
        samples_max: u32::MAX,
        deadline_in_ms: 0,
    };
    Bench::new().train(&pupil.source, artifact, &order, residual, &|| false)
}

/// How many of `samples` the version gets right, plasticity off, as it is configured.
///
/// # Errors
/// [`LearnError`] when it is no network.
pub fn score<'a>(
    artifact: &Artifact,
    samples: impl IntoIterator<Item = &'a Sample>,
) -> Result<u32, LearnError> {
    let model = Model::read(artifact)?;
    let mut params = model.params.clone();
    params.set("SPI_DO_EPROP", 0).map_err(LearnError::Params)?;
    let needed = Network::memory_len(params.shape());
    let (mut weights, mut words) = (vec![0; needed.weights], vec![0; needed.words]);
    let memory = Memory { weights: &mut weights, words: &mut words };
    let mut network = Network::new(&params, memory).expect("the memory is as large as it says");
    let weights = model.weights;
    network
        .load_weights(weights.input, weights.recurrent, weights.output)
        .expect("the model's shape was checked");
    let correct = samples
        .into_iter()
        .map(|sample| u32::from(network.run(&sample.as_sample()).label == sample.label));
    Ok(correct.sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{navigation, node_seed};
    use federation::Weighting;

    fn versions(threads: usize) -> Vec<Digest> {
        let task = navigation(5);
        let pupils: Vec<Pupil> = (1..=3)
            .map(|node| {
                let spec = format!("navigation:seed={}", node_seed(5, node)).parse().unwrap();
                let source = Arc::new(Source::open(&spec, 0).unwrap());
                Pupil { node: format!("node-{node:03}").parse().unwrap(), source }
            })
            .collect();
        let plan = Rehearsal {
            strategy: Strategy::FedAvg { server_learning_rate: 2.0, weighting: Weighting::Samples },
            rounds: 2,
            cohort: 2,
            local: Local { samples: 2, epochs: 1, evaluate_samples: 0, schedule: Vec::new() },
            seed: 5,
            threads,
        };
        let mut digests = Vec::new();
        let first = task.recipe.artifact(5).unwrap();
        rehearse(&first, &pupils, &plan, |one| digests.push(Digest::of(&one.artifact.encode())))
            .unwrap();
        digests
    }

    #[test]
    fn threads_change_nothing() {
        let alone = versions(1);
        assert_eq!(alone.len(), 2);
        assert_ne!(alone[0], alone[1]);
        assert_eq!(alone, versions(3));
    }

    /// The mean of what two nodes learned, to the nearest weight: a node with three samples counts three times.
    #[test]
    fn a_node_counts_for_as_many_samples_as_it_has() {
        let first = navigation(5).recipe.artifact(5).unwrap();
        let pupil = |node: u64, samples| {
            let stream = tasks::navigation::Stream::new(node);
            let samples = (0..samples).map(|index| Arc::new(stream.sample(index))).collect();
            let source = Arc::new(Source::of_samples(40, 2, samples, Vec::new()));
            Pupil { node: format!("node-{node}").parse().unwrap(), source }
        };
        let pupils = [pupil(1, 1), pupil(2, 3)];
        let plan = Rehearsal {
            strategy: Strategy::FedAvg { server_learning_rate: 1.0, weighting: Weighting::Samples },
            rounds: 1,
            cohort: 2,
            local: Local { samples: 8, epochs: 2, evaluate_samples: 0, schedule: Vec::new() },
            seed: 5,
            threads: 1,
        };
        let mut published = Vec::new();
        rehearse(&first, &pupils, &plan, |one| published = one.artifact.weights().to_vec())
            .unwrap();

        let round = RoundRef { run: RunId(1), number: 1, attempt: 1 };
        let learned = |pupil| train(&first, pupil, &plan, round, Residual::default()).unwrap();
        let [one, three] = [learned(&pupils[0]), learned(&pupils[1])];
        assert_eq!((one.samples, three.samples), (2, 6));
        let lanes = one.payload.iter().zip(three.payload.iter());
        let expected: Vec<i8> = lanes
            .zip(first.weights())
            .map(|((&one, &three), &weight)| {
                let (one, three) = (one.cast_signed(), three.cast_signed());
                let mean = (f64::from(one) + 3.0 * f64::from(three)) / 4.0;
                #[expect(clippy::cast_possible_truncation, reason = "it is clamped to 8 bits")]
                let weight =
                    (f64::from(weight) + mean).round_ties_even().clamp(-128.0, 127.0) as i8;
                weight
            })
            .collect();
        assert_eq!(published, expected);
        assert_ne!(published, first.weights(), "something is learned");
    }

    #[test]
    fn a_score_counts_what_is_right() {
        let task = navigation(5);
        let artifact = task.recipe.artifact(5).unwrap();
        let each: u32 = score(&artifact, task.test.iter().take(6)).unwrap();
        assert!(each <= 6);
    }
}
