//! Who has which samples: a world's split, drawn from the seed.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use agent::data::Source;
use agent::data_spec::DataSpec;
use federation::{NodeId, TrainOrder};
use tasks::navigation::Stream;
use tasks::random::{Rng, derive};
use tasks::{Sample, events};

use super::world::{By, Late, Split};
use crate::task::{Pool, Task, node_seed};

/// What chances here are drawn for.
const LABELS: u64 = 11;
const SIZES: u64 = 12;
const DEALING: u64 = 13;

/// A node keeps one of so many dealt samples from learning, where it keeps any.
const HELD_OUT_PART: usize = 5;

/// Samples of a node where neither world nor plan says how many.
const SAMPLES: u32 = 20;

/// What the nodes of a fleet have.
#[derive(Debug)]
pub(crate) struct Shares {
    nodes: Vec<Share>,
    channels: u16,
    classes: u8,
    /// Most dealt samples that a node keeps from learning.
    held_out: u32,
}

/// What one node has.
#[derive(Clone, Debug)]
pub(crate) enum Share {
    /// An endless stream of its own, of one class or of all.
    Stream {
        /// Its seed.
        seed: u64,
        /// The one class.
        class: Option<u8>,
    },
    /// These samples, in the order in which they were dealt.
    Samples(Vec<Arc<Sample>>),
}

impl Shares {
    /// Splits what there is to learn of `task` among `nodes` nodes. No node is left without a sample: where there are more
    /// nodes than samples, some have the same ones.
    pub(crate) fn deal(task: &Task, split: &Split, nodes: u32, seed: u64) -> Self {
        let shares = match &task.pool {
            Pool::Generated => generated(task, split, nodes, seed),
            Pool::Recorded(_) => recorded(task, split, nodes, seed),
        };
        Self { nodes: shares, channels: task.channels, classes: task.classes, held_out: 0 }
    }

    /// The same, but that each node keeps the last fifth of what it was dealt, at most `samples`, to try versions on. A stream
    /// has other samples for that anyway.
    pub(crate) fn holding_out(self, samples: u32) -> Self {
        Self { held_out: samples, ..self }
    }

    /// What node `index` keeps from learning, as a number of samples at the end of those that it was dealt.
    pub(crate) fn held_out(&self, index: usize) -> usize {
        match &self.nodes[index] {
            Share::Stream { .. } => 0,
            Share::Samples(all) => (all.len() / HELD_OUT_PART)
                .min(usize::try_from(self.held_out).unwrap_or(usize::MAX)),
        }
    }

    /// What node `index` was dealt: to learn from, and to try versions on.
    fn parts(&self, index: usize) -> (&[Arc<Sample>], &[Arc<Sample>]) {
        match &self.nodes[index] {
            Share::Stream { .. } => (&[], &[]),
            Share::Samples(all) => all.split_at(all.len() - self.held_out(index)),
        }
    }

    /// The samples of node `index`, counted from 0.
    ///
    /// # Panics
    /// Never: a navigation stream needs no file.
    pub(crate) fn source(&self, index: usize) -> Source {
        match &self.nodes[index] {
            Share::Stream { seed, class } => {
                let spec = DataSpec::Navigation { seed: Some(*seed), class: *class };
                Source::open(&spec, 0).expect("a generated stream reads no file")
            }
            Share::Samples(_) => {
                let (training, held_out) = self.parts(index);
                self.of_samples(training.to_vec(), held_out)
            }
        }
    }

    fn of_samples(&self, training: Vec<Arc<Sample>>, held_out: &[Arc<Sample>]) -> Source {
        Source::of_samples(self.channels, self.classes, training, held_out.to_vec())
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What node `index` has.
    pub(crate) fn of(&self, index: usize) -> &Share {
        &self.nodes[index]
    }

    /// What node `index` has as a file of events, where it is no stream.
    pub(crate) fn file(&self, index: usize) -> Option<Result<Vec<u8>, String>> {
        match &self.nodes[index] {
            Share::Stream { .. } => None,
            Share::Samples(samples) => {
                let samples = samples.iter().map(|sample| &**sample);
                let file = events::encode(self.channels, self.classes, samples);
                Some(file.map_err(|error| error.to_string()))
            }
        }
    }

    /// What node `index` has in round `number` of `rounds`, where that changes with the rounds.
    pub(crate) fn in_round(
        &self,
        split: &Split,
        index: usize,
        number: u32,
        rounds: u32,
    ) -> Option<Source> {
        let (all, held_out) = self.parts(index);
        if all.is_empty() {
            return None;
        }
        let seen: Vec<Arc<Sample>> = if split.drift {
            window(all, number, rounds)
        } else {
            let Late { class, from_round } = split.late.filter(|late| number < late.from_round)?;
            debug_assert!(number < from_round, "it is late");
            all.iter().filter(|sample| sample.label != class).cloned().collect()
        };
        // A node that has nothing else yet keeps what it has: it is better than a node that breaks down.
        let seen = if seen.is_empty() { all.to_vec() } else { seen };
        Some(self.of_samples(seen, held_out))
    }
}

/// Half of a node's samples, ascending by class, from the first ones in the first round to the last ones in the last.
fn window(all: &[Arc<Sample>], number: u32, rounds: u32) -> Vec<Arc<Sample>> {
    let mut sorted = all.to_vec();
    sorted.sort_by_key(|sample| sample.label);
    let length = sorted.len().div_ceil(2);
    let room = u64::try_from(sorted.len() - length).unwrap_or(0);
    let (past, last) = (u64::from(number.saturating_sub(1)), u64::from(rounds.max(2) - 1));
    let first = usize::try_from(room * past.min(last) / last).unwrap_or(0);
    sorted[first..first + length].to_vec()
}

fn generated(task: &Task, split: &Split, nodes: u32, seed: u64) -> Vec<Share> {
    let endless = split.skew == 1 && !split.drift && split.late.is_none();
    let share = |node: u32| {
        let own = node_seed(seed, node + 1);
        let class = match split.by {
            By::Classes(1) => Some(u8::try_from(node % u32::from(task.classes)).unwrap_or(0)),
            _ => None,
        };
        let whole = class.is_some() || !matches!(split.by, By::Dirichlet(_));
        if endless && whole && split.samples.is_none() {
            return Share::Stream { seed: own, class };
        }
        let mean = split.samples.unwrap_or(task.recipe.samples.max(SAMPLES));
        let count = sized(mean, split.skew, derive(seed, &[SIZES, node.into()]));
        let alpha = match split.by {
            By::Dirichlet(alpha) => Some(alpha),
            _ => None,
        };
        let mut urn = Urn::new(task.classes, alpha, derive(seed, &[LABELS, node.into()]));
        let stream = Stream::new(own);
        let sample = |index: u32| {
            let label = class.or_else(|| alpha.map(|_| urn.draw()));
            let stream = label.map_or(stream, |label| stream.of_class(label));
            Arc::new(stream.sample(index.into()))
        };
        Share::Samples((0..count).map(sample).collect())
    };
    (0..nodes).map(share).collect()
}

/// How many samples a node has: `mean`, or with a skew of `s` from twice the mean / (1 + s) to `s` times that, each equally
/// likely.
fn sized(mean: u32, skew: u32, seed: u64) -> u32 {
    if skew <= 1 {
        return mean.max(1);
    }
    let least = (u64::from(mean) * 2 / (1 + u64::from(skew))).max(1);
    let most = least * u64::from(skew);
    let more = u32::try_from(most - least + 1).unwrap_or(u32::MAX);
    u32::try_from(least).unwrap_or(u32::MAX).saturating_add(Rng::new(seed).below(more))
}

/// Draws classes so that their shares follow a symmetric Dirichlet distribution: Polya's urn, in integers. Each class drawn
/// puts one more ball of its own into an urn that began with `alpha` thousandths of a ball of each.
struct Urn {
    balls: Vec<u64>,
    drawn: u64,
    rng: Rng,
}

impl Urn {
    /// One with `alpha` thousandths of a ball of each class; without, one from which nothing is learned.
    fn new(classes: u8, alpha: Option<u32>, seed: u64) -> Self {
        let balls = vec![u64::from(alpha.unwrap_or(1_000)).max(1); classes.max(1).into()];
        Self { balls, drawn: if alpha.is_some() { 1_000 } else { 0 }, rng: Rng::new(seed) }
    }

    fn draw(&mut self) -> u8 {
        let all: u64 = self.balls.iter().sum();
        let mut at = u64::from(self.rng.below(u32::try_from(all).unwrap_or(u32::MAX))).min(all - 1);
        for (class, balls) in self.balls.iter_mut().enumerate() {
            if at < *balls {
                *balls += self.drawn;
                return u8::try_from(class).unwrap_or(0);
            }
            at -= *balls;
        }
        0
    }
}

fn recorded(task: &Task, split: &Split, nodes: u32, seed: u64) -> Vec<Share> {
    let items = task.pool.items();
    let count = usize::try_from(nodes).unwrap_or(usize::MAX);
    let mut order: Vec<usize> = (0..items.len()).collect();
    Rng::new(derive(seed, &[DEALING])).shuffle(&mut order);
    let mut shares: Vec<Vec<usize>> = vec![Vec::new(); count];
    match split.by {
        By::Subject => {
            let subjects = usize::try_from(
                items.iter().map(|item| item.subject).max().map_or(1, |last| last + 1),
            );
            let subjects = subjects.unwrap_or(1).max(1);
            // More nodes than subjects: those of a subject share its samples. Fewer: a node is several subjects.
            let mut turns = vec![0; subjects];
            for item in order {
                let subject = usize::try_from(items[item].subject).unwrap_or(0);
                let homes: Vec<usize> = if count <= subjects {
                    vec![subject % count]
                } else {
                    (subject..count).step_by(subjects).collect()
                };
                let turn: &mut usize = &mut turns[subject];
                shares[homes[*turn % homes.len()]].push(item);
                *turn += 1;
            }
        }
        By::Chance => deal_sized(&mut shares, order, split, seed),
        By::Classes(_) | By::Dirichlet(_) => deal_by_class(&mut shares, order, task, split, seed),
    }
    let fallback = |index: usize| vec![index % items.len().max(1)];
    let mut shares: Vec<Vec<usize>> = shares
        .into_iter()
        .enumerate()
        .map(|(index, share)| if share.is_empty() { fallback(index) } else { share })
        .collect();
    if let Some(most) = split.samples.filter(|_| split.skew == 1) {
        shares.iter_mut().for_each(|share| {
            share.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        });
    }
    let pick = |share: Vec<usize>| {
        Share::Samples(share.into_iter().map(|item| Arc::clone(&items[item].sample)).collect())
    };
    shares.into_iter().map(pick).collect()
}

/// Deals in shares whose sizes are drawn.
fn deal_sized(shares: &mut [Vec<usize>], order: Vec<usize>, split: &Split, seed: u64) {
    let weight = |index: usize| {
        sized(1_000, split.skew, derive(seed, &[SIZES, u64::try_from(index).unwrap_or(0)]))
    };
    let weights: Vec<u64> = (0..shares.len()).map(|index| weight(index).into()).collect();
    let all: u64 = weights.iter().sum();
    let length = u64::try_from(order.len()).unwrap_or(0);
    let (mut order, mut dealt, mut past) = (order.into_iter(), 0, 0);
    for (share, weight) in shares.iter_mut().zip(weights) {
        past += weight;
        let upto = length * past / all.max(1);
        share.extend(order.by_ref().take(usize::try_from(upto - dealt).unwrap_or(0)));
        dealt = upto;
    }
}

/// Deals turn by turn: each node takes a sample of the class it wants, or of the one of which most is left.
fn deal_by_class(
    shares: &mut [Vec<usize>],
    order: Vec<usize>,
    task: &Task,
    split: &Split,
    seed: u64,
) {
    let classes = usize::from(task.classes.max(1));
    let mut piles: Vec<Vec<usize>> = vec![Vec::new(); classes];
    for item in order.into_iter().rev() {
        let class = usize::from(task.pool.items()[item].sample.label).min(classes - 1);
        piles[class].push(item);
    }
    let mut urns: Vec<Urn> = (0..shares.len())
        .map(|index| {
            let alpha = match split.by {
                By::Dirichlet(alpha) => Some(alpha),
                _ => None,
            };
            let seed = derive(seed, &[LABELS, u64::try_from(index).unwrap_or(0)]);
            let mut urn = Urn::new(task.classes, alpha, seed);
            if let By::Classes(own) = split.by {
                // Its own classes alone are in the urn.
                for (class, balls) in urn.balls.iter_mut().enumerate() {
                    let first = index * usize::from(own);
                    let mine = (first..first + usize::from(own)).any(|one| one % classes == class);
                    *balls = if mine { 1_000 } else { 0 };
                }
            }
            urn
        })
        .collect();
    let mut left: usize = piles.iter().map(Vec::len).sum();
    let only_own = matches!(split.by, By::Classes(_));
    while left > 0 {
        let before = left;
        for (share, urn) in shares.iter_mut().zip(&mut urns) {
            let wanted = usize::from(urn.draw());
            let class = if !piles[wanted].is_empty() {
                wanted
            } else if only_own {
                let mine =
                    (0..classes).find(|&class| urn.balls[class] > 0 && !piles[class].is_empty());
                let Some(class) = mine else { continue };
                class
            } else {
                let fullest = (0..classes).max_by_key(|&class| (piles[class].len(), class));
                fullest.unwrap_or(0)
            };
            if let Some(item) = piles[class].pop() {
                share.push(item);
                left -= 1;
            }
        }
        if left == before {
            // Classes that nobody wants stay where they are.
            break;
        }
    }
}

/// What a node has in the round of an order; its number stands at the end of its name.
pub(crate) fn index_of(node: &NodeId) -> Option<usize> {
    let (_, number) = node.as_str().rsplit_once('-')?;
    number.parse::<usize>().ok()?.checked_sub(1)
}

/// The name of node `index`, counted from 0.
///
/// # Panics
/// Never: letters and digits are a name.
pub(crate) fn name_of(index: usize) -> NodeId {
    format!("node-{:06}", index + 1).parse().expect("letters, digits and dashes are a name")
}

/// The number of an order's round.
pub(crate) fn round_of(order: &TrainOrder) -> u32 {
    order.round.number
}
