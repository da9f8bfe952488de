//! What did not fit into an update: error feedback, exact.
//!
//! A lane of an update holds -127 to 127. What is left over stays with the node and is added to its next update, so
//! that +200 goes out as 127 and then 73 (Seide et al., "1-bit stochastic gradient descent", Interspeech 2014).

use std::sync::Arc;

use federation::limits::DELTA_MAX;

/// One number per weight; all zeros are kept as nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residual {
    lanes: Arc<[i32]>,
}

impl Residual {
    /// A residual of these lanes.
    #[must_use]
    pub fn new(lanes: Vec<i32>) -> Self {
        if lanes.iter().all(|&lane| lane == 0) {
            return Self::default();
        }
        Self { lanes: lanes.into() }
    }

    /// The lanes; none when all are zero.
    #[must_use]
    pub fn lanes(&self) -> &[i32] {
        &self.lanes
    }

    /// Whether all lanes are zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.lanes.is_empty()
    }

    /// This residual if it is one of `weights` lanes, else zero: a model whose shape changed starts again.
    #[must_use]
    pub fn for_weights(self, weights: usize) -> Self {
        if self.lanes.len() == weights { self } else { Self::default() }
    }

    /// Lane by lane the difference, held at the ends of i32 (beyond any run's length). Zero where the shapes differ
    /// and neither is zero: the model was replaced.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        if other.is_zero() {
            return self.clone();
        }
        if self.is_zero() {
            return Self::new(other.lanes.iter().map(|lane| lane.saturating_neg()).collect());
        }
        if self.lanes.len() != other.lanes.len() {
            return Self::default();
        }
        let pairs = self.lanes.iter().zip(other.lanes.iter());
        Self::new(pairs.map(|(a, b)| a.saturating_sub(*b)).collect())
    }
}

/// Splits what a node has learned into an update's lanes and the new residual: `local - global + residual`, held in
/// -127 to 127, and the rest.
///
/// # Panics
/// When `local` and `global` differ in length; [`crate::learner`] has compared them.
#[must_use]
pub fn split(local: &[i8], global: &[i8], residual: &Residual) -> (Vec<i8>, Residual) {
    assert_eq!(local.len(), global.len(), "a network has as many weights after learning as before");
    let max = i32::from(DELTA_MAX);
    let old = residual.lanes.iter().copied().chain(std::iter::repeat(0));
    let mut sent = Vec::with_capacity(local.len());
    let mut rest = Vec::with_capacity(local.len());
    for ((&local, &global), old) in local.iter().zip(global).zip(old) {
        let wanted = (i32::from(local) - i32::from(global)).saturating_add(old);
        let lane = wanted.clamp(-max, max);
        sent.push(i8::try_from(lane).expect("a lane is held in -127 to 127"));
        rest.push(wanted - lane);
    }
    (sent, Residual::new(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn residual(lanes: &[i32]) -> Residual {
        Residual::new(lanes.to_vec())
    }

    #[test]
    fn two_hundred_goes_out_as_127_and_then_73() {
        let (first, rest) = split(&[100, -100, 5], &[-100, 100, 5], &Residual::default());
        assert_eq!(
            (first.as_slice(), rest.lanes()),
            ([127, -127, 0].as_slice(), [73, -73, 0].as_slice())
        );
        let (second, rest) = split(&[5, 5, 5], &[5, 5, 5], &rest);
        assert_eq!(second, [73, -73, 0]);
        assert!(rest.is_zero());
    }

    #[test]
    fn nothing_is_lost_and_minus_128_is_never_sent() {
        let learned = [(127, -128), (-128, 127), (-128, 0), (0, -128), (3, 4)];
        let local: Vec<i8> = learned.iter().map(|pair| pair.0).collect();
        let global: Vec<i8> = learned.iter().map(|pair| pair.1).collect();
        let mut rest = Residual::default();
        let mut sums = vec![0; local.len()];
        for _ in 0..50 {
            let (sent, next) = split(&local, &global, &rest);
            assert!(!sent.contains(&-128));
            sums.iter_mut().zip(&sent).for_each(|(sum, &lane)| *sum += i32::from(lane));
            rest = next;
        }
        for (lane, (sum, pair)) in sums.iter().zip(&learned).enumerate() {
            assert_eq!(sum + rest.lanes()[lane], 50 * (i32::from(pair.0) - i32::from(pair.1)));
        }
    }

    #[test]
    fn differences_undo() {
        let (old, new) = (residual(&[1, 2, -3]), residual(&[5, 0, 9]));
        assert_eq!(new.minus(&new.minus(&old)), old);
        assert_eq!(new.minus(&Residual::default()), new);
        assert_eq!(Residual::default().minus(&new).lanes(), [-5, 0, -9]);
        assert!(new.minus(&new).is_zero());
        assert!(new.minus(&residual(&[1])).is_zero());
        assert!(residual(&[0, 0]).is_zero());
        assert!(new.for_weights(4).is_zero());
    }
}
