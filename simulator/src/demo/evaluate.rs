//! Tests every version on samples that no node trained on, beside the run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use agent::learner::Model;
use bytes::Bytes;
use federation::Artifact;
use reckon::{Memory, Network};
use tasks::Sample;

use super::DemoError;

/// Threads that evaluate. Each has a fixed share of the samples, so that a score does not depend on their speed.
const THREADS: usize = 2;

/// How one version did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Score {
    /// Samples classified correctly.
    pub(crate) correct: u32,
    /// Samples tried.
    pub(crate) samples: u32,
}

impl Score {
    /// Accuracy, 0 to 1.
    #[must_use]
    pub(crate) fn accuracy(&self) -> f64 {
        if self.samples == 0 { 0.0 } else { f64::from(self.correct) / f64::from(self.samples) }
    }
}

/// One share's answer: the version's number, and how many were correct of how many.
type Answer = (u64, Result<Score, String>);

/// Evaluates versions in the order they are asked for.
#[derive(Debug)]
pub(crate) struct Evaluator {
    asked: u64,
    shares: Vec<Sender<(u64, Bytes)>>,
    answers: Receiver<Answer>,
    threads: Vec<JoinHandle<()>>,
    scores: BTreeMap<u64, (usize, Score)>,
}

impl Evaluator {
    /// Starts the threads, with the samples to test on.
    #[must_use]
    pub(crate) fn start(samples: Arc<[Sample]>) -> Self {
        let (answer, answers) = channel();
        let mut shares = Vec::new();
        let mut threads = Vec::new();
        for share in 0..THREADS {
            let (ask, asked) = channel::<(u64, Bytes)>();
            let (samples, answer) = (Arc::clone(&samples), answer.clone());
            threads.push(std::thread::spawn(move || {
                for (number, bytes) in asked {
                    let score = evaluate(&bytes, samples.iter().skip(share).step_by(THREADS));
                    if answer.send((number, score)).is_err() {
                        return;
                    }
                }
            }));
            shares.push(ask);
        }
        Self { asked: 0, shares, answers, threads, scores: BTreeMap::new() }
    }

    /// Asks for the accuracy of a version.
    pub(crate) fn ask(&mut self, number: u64, artifact: Bytes) {
        self.asked += 1;
        for share in &self.shares {
            // A thread that is gone shows in `collect`, as an evaluation that never comes.
            share.send((number, artifact.clone())).unwrap_or_default();
        }
    }

    /// Takes in what has been evaluated so far.
    ///
    /// # Errors
    /// [`DemoError::Evaluation`] when a version cannot be.
    pub(crate) fn collect(&mut self) -> Result<(), DemoError> {
        for (number, score) in self.answers.try_iter() {
            let Score { correct, samples } =
                score.map_err(|why| DemoError::Evaluation { number, why })?;
            let (shares, sum) =
                self.scores.entry(number).or_insert((0, Score { correct: 0, samples: 0 }));
            *shares += 1;
            sum.correct += correct;
            sum.samples += samples;
        }
        if !self.done() && self.threads.iter().any(JoinHandle::is_finished) {
            return Err(DemoError::Evaluation {
                number: self.asked,
                why: "a thread broke off".to_owned(),
            });
        }
        Ok(())
    }

    fn finished(&self) -> impl DoubleEndedIterator<Item = (u64, Score)> {
        self.scores
            .iter()
            .filter(|(_, (shares, _))| *shares == THREADS)
            .map(|(&number, &(_, score))| (number, score))
    }

    /// The newest version evaluated, with its accuracy.
    #[must_use]
    pub(crate) fn latest(&self) -> Option<(u64, f64)> {
        self.finished().next_back().map(|(number, score)| (number, score.accuracy()))
    }

    /// Whether everything asked for has been evaluated.
    #[must_use]
    pub(crate) fn done(&self) -> bool {
        u64::try_from(self.finished().count()) == Ok(self.asked)
    }

    /// All scores by version; the threads end.
    #[must_use]
    pub(crate) fn end(self) -> BTreeMap<u64, Score> {
        let scores = self.finished().collect();
        drop(self.shares);
        for thread in self.threads {
            // A panic was told by `collect`.
            thread.join().unwrap_or_default();
        }
        scores
    }
}

fn evaluate<'a>(bytes: &[u8], samples: impl Iterator<Item = &'a Sample>) -> Result<Score, String> {
    let artifact = Artifact::parse(bytes).map_err(|error| error.to_string())?;
    let model = Model::read(&artifact).map_err(|error| error.to_string())?;
    let mut params = model.params.clone();
    params.set("SPI_DO_EPROP", 0).map_err(|error| error.to_string())?;
    let needed = Network::memory_len(params.shape());
    let (mut weights, mut words) = (vec![0; needed.weights], vec![0; needed.words]);
    let memory = Memory { weights: &mut weights, words: &mut words };
    let mut network = Network::new(&params, memory).map_err(|error| error.to_string())?;
    let weights = model.weights;
    network
        .load_weights(weights.input, weights.recurrent, weights.output)
        .map_err(|error| error.to_string())?;
    let mut score = Score { correct: 0, samples: 0 };
    for sample in samples {
        score.samples += 1;
        score.correct += u32::from(network.run(&sample.as_sample()).label == sample.label);
    }
    Ok(score)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::task::navigation_artifact;

    fn wait(evaluator: &mut Evaluator) -> Result<(), DemoError> {
        while !evaluator.done() {
            evaluator.collect()?;
            std::thread::yield_now();
        }
        Ok(())
    }

    #[test]
    fn every_sample_counts_once_whatever_the_threads_do() {
        let stream = tasks::navigation::Stream::new(1);
        let samples: Arc<[Sample]> = (0..5).map(|index| stream.sample(index)).collect();
        let artifact = Bytes::from(navigation_artifact(1).encode());
        let mut evaluator = Evaluator::start(samples);
        evaluator.ask(1, artifact.clone());
        evaluator.ask(2, artifact);
        wait(&mut evaluator).unwrap();
        assert_eq!(evaluator.latest().map(|(number, _)| number), Some(2));
        let scores = evaluator.end();
        assert_eq!(scores[&1].samples, 5);
        assert_eq!(scores[&1], scores[&2]);
    }

    #[test]
    fn a_version_that_is_no_network_is_told() {
        let mut evaluator = Evaluator::start(Arc::from([]));
        evaluator.ask(3, Bytes::from_static(b"nonsense"));
        let error = wait(&mut evaluator).unwrap_err();
        assert!(
            error.to_string().starts_with("version 3 cannot be evaluated: not an artifact"),
            "{error}"
        );
    }
}
