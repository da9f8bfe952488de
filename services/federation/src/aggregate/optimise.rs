//! Server optimisers: from a round's aggregate to the next master copy, and from that to the next version.
//!
//! f64, in index order, with `+ - * / sqrt` only, which IEEE 754 defines to the last bit. What decays by the round is
//! multiplied by the round, never raised to a power.

use std::iter::zip;

use super::sum::Sum;
use crate::model::Layout;
use crate::strategy::Strategy;

/// The server's copy of the weights, finer than 8 bits, and what its optimiser remembers of earlier rounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Master {
    values: Vec<f64>,
    memory: Memory,
}

/// What an optimiser remembers.
#[derive(Clone, Debug, PartialEq)]
enum Memory {
    /// Nothing, or nothing yet.
    None,
    /// FedAvgM: the momentum of each lane.
    Momentum(Vec<f64>),
    /// FedAdam: the moments of each lane.
    Moments(Moments),
}

/// Moments of each lane, and what is left in them of the zeros that they began with: `beta1^t` and `beta2^t` after `t`
/// rounds.
#[derive(Clone, Debug, PartialEq)]
struct Moments {
    left: [f64; 2],
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Moments {
    fn new(lanes: usize) -> Self {
        Self { left: [1.0; 2], first: vec![0.0; lanes], second: vec![0.0; lanes] }
    }
}

impl Master {
    /// The master copy of a published version, before its first round.
    #[must_use]
    pub fn of(weights: &[i8]) -> Self {
        Self { values: weights.iter().map(|&w| f64::from(w)).collect(), memory: Memory::None }
    }

    /// The values, in lane order.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The whole state as little-endian f64, for storage and for its digest: the values; then the momentum of each
    /// lane, or `beta1^t`, `beta2^t`, all first and all second moments, once there are any.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let parts: [&[f64]; 3] = match &self.memory {
            Memory::None => [&[]; 3],
            Memory::Momentum(momentum) => [momentum, &[], &[]],
            Memory::Moments(Moments { left, first, second }) => [left, first, second],
        };
        let lanes = [&self.values[..]].into_iter().chain(parts).flatten();
        lanes.flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Reads what [`Master::encode`] wrote; `None` when it is not a state of `strategy` with `lanes` finite values of
    /// each kind.
    #[must_use]
    pub fn decode(bytes: &[u8], lanes: usize, strategy: Strategy) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let mut values: Vec<f64> = chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
        let whole = rest.is_empty() && values.iter().all(|value| value.is_finite());
        if !whole || values.len() < lanes {
            return None;
        }
        let remembered = values.split_off(lanes);
        let memory = match (strategy, remembered.len()) {
            (_, 0) => Memory::None,
            (Strategy::FedAvgM { .. }, len) if len == lanes => Memory::Momentum(remembered),
            (Strategy::FedAdam { .. }, len) if len == 2 + 2 * lanes => {
                let (&left, moments) = remembered.split_first_chunk::<2>()?;
                let (first, second) = moments.split_at(lanes);
                let sane = left.iter().all(|left| (0.0..1.0).contains(left))
                    && second.iter().all(|&second| second >= 0.0);
                let (first, second) = (first.to_vec(), second.to_vec());
                Memory::Moments(sane.then_some(Moments { left, first, second })?)
            }
            _ => return None,
        };
        Some(Self { values, memory })
    }
}

/// Moves the master copy by one round's sum. An empty sum moves nothing, and is no step of the optimiser.
///
/// With `mean = sum / weight`, the aggregate of the round, whatever the strategy made it from:
///
/// * FedAvg (McMahan et al., AISTATS 2017) with a server learning rate (Reddi et al., ICLR 2021), and median, trimmed
///   mean and FedBuff: `value += rate * mean`.
/// * FedAvgM (Hsu et al., 2019): `momentum = momentum * decay + mean`, `value += rate * momentum`.
/// * FedAdam (Reddi et al., ICLR 2021): `first = first * beta1 + mean * (1 - beta1)`,
///   `second = second * beta2 + mean * mean * (1 - beta2)`, `value += rate * (m / (sqrt(v) + tau))`, where `m` and `v`
///   are the moments without the zeros they began with, `first / (1 - beta1^t)` and `second / (1 - beta2^t)`, as in
///   Adam (Kingma and Ba, ICLR 2015). The paper instead begins with `second = tau^2` and leaves the rest in; then the
///   first rounds are shorter than the learning rate says.
///
/// Values are held inside the layout's range, so that they cannot run away from what is published.
///
/// # Panics
/// When master, sum and layout differ in lanes, or the master copy is another strategy's.
pub fn advance(strategy: Strategy, master: &mut Master, sum: &Sum, layout: &Layout) {
    let lanes = master.values.len();
    assert_eq!(lanes, sum.lanes().len(), "a run's master copy has the model's shape");
    assert_eq!(lanes, layout.weights(), "a run's layout is the model's");
    if sum.weight() == 0 {
        return;
    }
    let total = exact(sum.weight().cast_signed());
    let rate = strategy.server_learning_rate();
    let means = sum.lanes().iter().map(|&lane| exact(lane) / total);
    let moved = zip(zip(&mut master.values, layout.ranges()), means);
    let step = |value: &mut f64, (min, max): (i8, i8), by: f64| {
        *value = (*value + rate * by).clamp(f64::from(min), f64::from(max));
    };
    match strategy {
        Strategy::FedAvg { .. }
        | Strategy::Median { .. }
        | Strategy::TrimmedMean { .. }
        | Strategy::FedBuff { .. } => {
            for ((value, range), mean) in moved {
                step(value, range, mean);
            }
        }
        Strategy::FedAvgM { momentum: decay, .. } => {
            let momentum = momentum_of(&mut master.memory, lanes);
            for (((value, range), mean), momentum) in zip(moved, momentum) {
                *momentum = *momentum * decay + mean;
                step(value, range, *momentum);
            }
        }
        Strategy::FedAdam { beta1, beta2, tau, .. } => {
            let Moments { left, first, second } = moments_of(&mut master.memory, lanes);
            *left = [left[0] * beta1, left[1] * beta2];
            let (new1, new2) = (1.0 - beta1, 1.0 - beta2);
            let (all1, all2) = (1.0 - left[0], 1.0 - left[1]);
            for (((value, range), mean), (first, second)) in zip(moved, zip(first, second)) {
                *first = *first * beta1 + mean * new1;
                *second = *second * beta2 + mean * mean * new2;
                step(value, range, *first / all1 / ((*second / all2).sqrt() + tau));
            }
        }
    }
}

/// The momentum, zeros before the first round.
fn momentum_of(memory: &mut Memory, lanes: usize) -> &mut Vec<f64> {
    if matches!(memory, Memory::None) {
        *memory = Memory::Momentum(vec![0.0; lanes]);
    }
    match memory {
        Memory::Momentum(momentum) => momentum,
        Memory::None | Memory::Moments(_) => panic!("a run keeps its strategy"),
    }
}

/// The moments, zeros before the first round.
fn moments_of(memory: &mut Memory, lanes: usize) -> &mut Moments {
    if matches!(memory, Memory::None) {
        *memory = Memory::Moments(Moments::new(lanes));
    }
    match memory {
        Memory::Moments(moments) => moments,
        Memory::None | Memory::Momentum(_) => panic!("a run keeps its strategy"),
    }
}

/// An integer below 2^53, which f64 holds exactly; `limits` proves that every sum is.
#[expect(clippy::cast_precision_loss, reason = "limits.rs proves that sums stay below 2^53")]
fn exact(value: i64) -> f64 {
    debug_assert!(value.unsigned_abs() < 1 << 53);
    value as f64
}

/// The weights to publish: the master copy, rounded ties-to-even and clamped to the layout.
///
/// # Panics
/// When master and layout differ in lanes.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded and clamped to the range of i8 just before"
)]
pub fn publish(master: &Master, layout: &Layout) -> Vec<i8> {
    assert_eq!(master.values.len(), layout.weights(), "a run's layout is the model's");
    let round = |(&value, (min, max)): (&f64, (i8, i8))| {
        value.round_ties_even().clamp(f64::from(min), f64::from(max)) as i8
    };
    zip(&master.values, layout.ranges()).map(round).collect()
}

#[cfg(test)]
mod tests;
