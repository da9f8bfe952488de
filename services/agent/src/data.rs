//! A node's own samples: which there are, and which a round learns from.
//!
//! An endless source draws sample `(round - 1) * samples + i` of its stream for the i-th of a round, so that rounds see
//! new samples and every attempt at a round the same ones. A recording is put into an order that belongs to the
//! order's seed, and its first samples are taken; all of them where it has no more. None is taken twice in an epoch, so that what a
//! node claims, and by which its update is weighed, is what it has.
//!
//! Held-out samples never train. An endless source has a second stream for them, a recording keeps the last `holdout`
//! of the node's share. Each evaluation tries the first ones, so that versions are compared on the same samples.

mod file;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use federation::TrainOrder;
use federation::limits::STATUS_COUNT_MAX;
use reckon::Event;
use tasks::aer::AerError;
use tasks::events::EventsError;
use tasks::navigation::{self, Stream};
use tasks::random::{derive, permutation};
use thiserror::Error;

use crate::data_spec::DataSpec;
use crate::limits::RECORDING_EVENTS_MAX;

/// Why a node's data cannot be used.
#[derive(Debug, Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not a recording.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        source: AerError,
    },
    /// The file is not a file of events.
    #[error("{}: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and at which byte.
        source: EventsError,
    },
    /// The node's share has more events than fit.
    #[error("{}: the share has more than {RECORDING_EVENTS_MAX} events; give this node fewer", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Nothing is left to learn from.
    #[error("{}: the share has {share} samples and {holdout} are held out; nothing is left to learn from", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Samples of the share.
        share: usize,
        /// Samples held out.
        holdout: u32,
    },
}

impl DataError {
    /// The stable code, for programs. A malformed recording has the code of what is wrong in it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "data_unreadable",
            Self::Malformed { source, .. } => source.code(),
            Self::Damaged { source, .. } => source.code(),
            Self::TooLarge { .. } => "data_too_large",
            Self::Empty { .. } => "data_empty",
        }
    }
}

/// The samples of a node.
#[derive(Clone)]
pub struct Source {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Navigation {
        training: Stream,
        held_out: Stream,
    },
    Recording {
        channels: u16,
        classes: u8,
        training: Vec<Arc<tasks::Sample>>,
        held_out: Vec<Arc<tasks::Sample>>,
    },
}

/// Which of a node's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Those it learns from.
    Training,
    /// Those it keeps from learning.
    HeldOut,
}

/// The samples of one round, in order; each epoch passes over them once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Ascending from the first.
    Ascending {
        /// The first.
        first: u64,
        /// How many.
        samples: u32,
    },
    /// These.
    These(Vec<u32>),
}

impl Draw {
    /// The `i`-th sample of the round, from 0; `None` after the last.
    #[must_use]
    pub fn index(&self, i: u32) -> Option<u64> {
        match self {
            Self::Ascending { first, samples } => {
                (i < *samples).then(|| first.saturating_add(i.into()))
            }
            Self::These(indices) => {
                let index = indices.get(usize::try_from(i).ok()?)?;
                Some((*index).into())
            }
        }
    }
}

impl Source {
    /// Opens what `spec` names. `own_seed` seeds a navigation stream that was given no seed.
    ///
    /// # Errors
    /// [`DataError`] says which file, which line and why.
    pub fn open(spec: &DataSpec, own_seed: u64) -> Result<Self, DataError> {
        let kind = match spec {
            DataSpec::Navigation { seed, class } => {
                let seed = seed.unwrap_or(own_seed);
                let stream = |seed| {
                    let stream = Stream::new(seed);
                    class.map_or(stream, |class| stream.of_class(class))
                };
                Kind::Navigation {
                    training: stream(seed),
                    held_out: stream(derive(seed, &[HELD_OUT])),
                }
            }
            DataSpec::Recording(spec) => file::aer(spec)?,
            DataSpec::Events(spec) => file::events(spec)?,
        };
        Ok(Self { kind })
    }

    /// A recording that is in memory already, and may be shared with other nodes: what it learns from, and what it keeps from
    /// learning. `training` must not be empty.
    #[must_use]
    pub fn of_samples(
        channels: u16,
        classes: u8,
        training: Vec<Arc<tasks::Sample>>,
        held_out: Vec<Arc<tasks::Sample>>,
    ) -> Self {
        Self { kind: Kind::Recording { channels, classes, training, held_out } }
    }

    /// How many samples there are to learn from; of an endless source, the most that can be said.
    #[must_use]
    pub fn samples(&self) -> u64 {
        match &self.kind {
            Kind::Navigation { .. } => STATUS_COUNT_MAX,
            Kind::Recording { training, .. } => {
                u64::try_from(training.len()).expect("a length fits 64 bits")
            }
        }
    }

    /// Channels and classes that occur in the samples.
    #[must_use]
    pub fn shape(&self) -> (u16, u8) {
        match &self.kind {
            Kind::Navigation { .. } => (navigation::CHANNELS.into(), navigation::CLASSES),
            Kind::Recording { channels, classes, .. } => (*channels, *classes),
        }
    }

    /// How many held-out samples there are for an evaluation that asks for `wanted`.
    #[must_use]
    pub fn held_out(&self, wanted: u32) -> u32 {
        match &self.kind {
            Kind::Navigation { .. } => wanted,
            Kind::Recording { held_out, .. } => {
                wanted.min(u32::try_from(held_out.len()).unwrap_or(u32::MAX))
            }
        }
    }

    /// The training samples of a round: as many as `order` asks for, or all, where there are fewer.
    #[must_use]
    pub fn draw(&self, order: &TrainOrder) -> Draw {
        let samples = self.drawn(order);
        match &self.kind {
            Kind::Navigation { .. } => {
                let earlier = u64::from(order.round.number.saturating_sub(1));
                Draw::Ascending { first: earlier * u64::from(order.work.samples), samples }
            }
            Kind::Recording { training, .. } => {
                let count = u32::try_from(training.len())
                    .expect("a recording has at most a million samples");
                let mut indices = permutation(derive(order.seed, &[SAMPLES]), count);
                indices.truncate(usize::try_from(samples).unwrap_or(usize::MAX));
                Draw::These(indices)
            }
        }
    }

    /// What an update for `order` claims: the samples of [`Source::draw`], counted once per epoch.
    #[must_use]
    pub fn claims(&self, order: &TrainOrder) -> u32 {
        self.drawn(order).saturating_mul(order.work.epochs)
    }

    fn drawn(&self, order: &TrainOrder) -> u32 {
        let asked = order.work.samples;
        u32::try_from(self.samples()).map_or(asked, |there| there.min(asked))
    }

    /// Sample `index` of `part`, as the chip takes it. `events` is a buffer to use again.
    ///
    /// # Panics
    /// When a recording has no such sample; [`Source::draw`] and [`Source::held_out`] name only those it has.
    pub fn sample<'a>(
        &'a self,
        part: Part,
        index: u64,
        events: &'a mut Vec<Event>,
    ) -> reckon::Sample<'a> {
        match &self.kind {
            Kind::Navigation { training, held_out } => {
                let stream = match part {
                    Part::Training => training,
                    Part::HeldOut => held_out,
                };
                let label = stream.fill(index, events);
                reckon::Sample {
                    ticks: navigation::TICKS,
                    events,
                    target_valid: navigation::RECALL,
                    infer_acc: navigation::RECALL,
                    label,
                }
            }
            Kind::Recording { training, held_out, .. } => {
                let samples = match part {
                    Part::Training => training,
                    Part::HeldOut => held_out,
                };
                let index =
                    usize::try_from(index).expect("an index into a recording fits in memory");
                samples[index].as_sample()
            }
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Navigation { training, .. } => {
                f.debug_tuple("Navigation").field(training).finish()
            }
            Kind::Recording { training, held_out, .. } => f
                .debug_struct("Recording")
                .field("training", &training.len())
                .field("held_out", &held_out.len())
                .finish(),
        }
    }
}

/// Keeps these draws apart from any others made with the same seed.
const HELD_OUT: u64 = u64::from_be_bytes(*b"agt/held");
const SAMPLES: u64 = u64::from_be_bytes(*b"agt/smpl");

#[cfg(test)]
mod tests {
    use super::*;
    use federation::{Digest, LocalWork, RoundRef, RunId, VersionNumber};
    use std::fs;

    fn order(number: u32, attempt: u32, seed: u64) -> TrainOrder {
        TrainOrder {
            round: RoundRef { run: RunId(1), number, attempt },
            model: "m".parse().unwrap(),
            base_version: VersionNumber(1),
            base: Digest::of(b""),
            weights: 1,
            work: LocalWork {
                samples: 5,
                epochs: 1,
                evaluate_samples: 4,
                registers: Default::default(),
            },
            seed,
            samples_max: 100,
            deadline_in_ms: 0,
        }
    }

    fn open(text: &str) -> Result<Source, DataError> {
        Source::open(&text.parse().unwrap(), 9)
    }

    /// Five samples; the i-th has one event, at address i.
    fn recording(dir: &tempfile::TempDir, options: &str) -> Result<Source, DataError> {
        let path = dir.path().join("five.txt");
        let samples: String = (0..5).map(|i| format!("{i}, 0\n-2, {}\n-1, 20\n", i % 2)).collect();
        fs::write(&path, format!("5\n{samples}")).unwrap();
        open(&format!("aer:{}{options},from=10", path.display()))
    }

    fn drawn(source: &Source, order: &TrainOrder) -> Vec<u64> {
        let draw = source.draw(order);
        (0..).map_while(|i| draw.index(i)).collect()
    }

    fn addresses(source: &Source, part: Part, indices: impl Iterator<Item = u64>) -> Vec<u8> {
        indices.map(|index| source.sample(part, index, &mut Vec::new()).events[0].address).collect()
    }

    #[test]
    fn an_endless_source_goes_on_from_round_to_round() {
        let source = open("navigation:seed=3").unwrap();
        assert_eq!(drawn(&source, &order(1, 1, 1)), [0, 1, 2, 3, 4]);
        assert_eq!(drawn(&source, &order(3, 1, 1)), [10, 11, 12, 13, 14]);
        assert_eq!(drawn(&source, &order(3, 2, 8)), [10, 11, 12, 13, 14], "another attempt");
        assert_eq!(source.claims(&order(3, 2, 8)), 5);
        let mut buffers = (Vec::new(), Vec::new());
        let training = source.sample(Part::Training, 0, &mut buffers.0);
        let held_out = source.sample(Part::HeldOut, 0, &mut buffers.1);
        assert_ne!(training.events, held_out.events);
        assert_eq!((source.held_out(7), source.shape()), (7, (40, 2)));
        assert_eq!(source.samples(), STATUS_COUNT_MAX);
    }

    #[test]
    fn a_stream_has_its_class_and_its_own_seed() {
        let one = open("navigation:class=1").unwrap();
        for index in 0..20 {
            assert_eq!(one.sample(Part::Training, index, &mut Vec::new()).label, 1);
        }
        let events =
            |source: Source| source.sample(Part::Training, 0, &mut Vec::new()).events.to_vec();
        assert_eq!(events(open("navigation").unwrap()), events(open("navigation:seed=9").unwrap()));
    }

    #[test]
    fn a_recording_is_shared_and_held_out() {
        let dir = tempfile::tempdir().unwrap();
        let source = recording(&dir, ",part=0/2,holdout=1").unwrap();
        assert_eq!((source.held_out(10), source.samples()), (1, 2));
        assert_eq!(addresses(&source, Part::HeldOut, 0..1), [4]);
        let indices = drawn(&source, &order(1, 1, 5));
        let mut seen = addresses(&source, Part::Training, indices.into_iter());
        seen.sort_unstable();
        assert_eq!(seen, [0, 2]);
        assert_eq!(recording(&dir, "").unwrap().held_out(10), 0);
        let whole = recording(&dir, "").unwrap();
        let orders: std::collections::BTreeSet<Vec<u64>> =
            (0..20).map(|seed| drawn(&whole, &order(1, 1, seed))).collect();
        assert!(orders.len() > 5, "the order belongs to the seed");
    }

    #[test]
    fn a_node_draws_no_sample_twice_and_claims_what_it_draws() {
        let dir = tempfile::tempdir().unwrap();
        let whole = recording(&dir, "").unwrap();
        for (asked, epochs, there) in [(3, 1, 3), (5, 1, 5), (6, 1, 5), (8, 4, 5), (u32::MAX, 2, 5)]
        {
            let mut order = order(1, 1, 5);
            (order.work.samples, order.work.epochs) = (asked, epochs);
            let mut seen = drawn(&whole, &order);
            assert_eq!((seen.len(), whole.claims(&order)), (there, 5.min(asked) * epochs));
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), there, "none twice, {asked} asked for");
        }
        let first_three = |asked| {
            let mut order = order(1, 1, 5);
            order.work.samples = asked;
            drawn(&whole, &order)[..3].to_vec()
        };
        assert_eq!(first_three(3), first_three(9), "whatever is asked for, the same first ones");
    }

    #[test]
    fn what_is_wrong_with_a_recording_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let code = |result: Result<Source, DataError>| result.unwrap_err().code();
        assert_eq!(code(open("aer:/no/such/file")), "data_unreadable");
        assert_eq!(code(recording(&dir, ",holdout=5")), "data_empty");
        assert_eq!(code(recording(&dir, ",part=7/9")), "data_empty");
        let path = dir.path().join("bad");
        fs::write(&path, "1\n99, 0\n").unwrap();
        let error = open(&format!("aer:{}", path.display())).unwrap_err();
        assert_eq!(error.code(), "aer_address_out_of_range");
        assert!(error.to_string().contains("line 2"), "{error}");
        fs::write(&path, "1\n1, 0\n").unwrap();
        assert_eq!(code(open(&format!("aer:{}", path.display()))), "aer_truncated");
        fs::write(&path, vec![b' '; 1 << 20]).unwrap();
        assert_eq!(code(open(&format!("aer:{}", path.display()))), "aer_bad_count");
    }
}
