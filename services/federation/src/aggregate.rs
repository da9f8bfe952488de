//! Aggregation: exact integer sums, then one rounding.
//!
//! Sums are integers, so no order, grouping or number of replicas can change them. The server optimiser then runs in
//! f64, in index order, with `+ - * / sqrt` only, on a master copy finer than 8 bits; rounding to the next version is
//! ties-to-even. Same inputs, same bytes, every machine.

use thiserror::Error;

use crate::model::Layout;
use crate::plan::Strategy;

/// An exact sum of updates: per lane, the weighted deltas; and the weights' total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    lanes: Vec<i64>,
    weight: u64,
    updates: u32,
}

/// Why bytes are not a stored sum.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("stored sum: {got} bytes are not {lanes} lanes of 2, 4 or 8 bytes behind one width byte")]
pub struct SumError {
    /// How many bytes there were.
    pub got: usize,
    /// How many lanes were wanted.
    pub lanes: usize,
}

impl Sum {
    /// The empty sum of `lanes` lanes.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        Self { lanes: vec![0; lanes], weight: 0, updates: 0 }
    }

    /// Adds one update of as many lanes, weighted.
    ///
    /// # Panics
    /// When the number of lanes differs: admission has compared them.
    pub fn fold(&mut self, delta: &[i8], weight: u32) {
        assert_eq!(
            delta.len(),
            self.lanes.len(),
            "admission lets in only updates of the model's shape"
        );
        let factor = i64::from(weight);
        // `limits` proves that no number of admissible updates can overflow.
        for (lane, &d) in self.lanes.iter_mut().zip(delta) {
            *lane += i64::from(d) * factor;
        }
        self.weight += u64::from(weight);
        self.updates += 1;
    }

    /// Adds another sum of as many lanes.
    ///
    /// # Panics
    /// When the number of lanes differs.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(other.lanes.len(), self.lanes.len(), "partials of one round have one shape");
        for (lane, &o) in self.lanes.iter_mut().zip(&other.lanes) {
            *lane += o;
        }
        self.weight += other.weight;
        self.updates += other.updates;
    }

    /// The lanes.
    #[must_use]
    pub fn lanes(&self) -> &[i64] {
        &self.lanes
    }

    /// Total weight of the updates.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// How many updates it holds.
    #[must_use]
    pub fn updates(&self) -> u32 {
        self.updates
    }

    /// The lanes at the narrowest width that holds them: one width byte (2, 4 or 8), then little-endian integers.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let fits = |min: i64, max: i64| self.lanes.iter().all(|lane| (min..=max).contains(lane));
        let width: u8 = if fits(i16::MIN.into(), i16::MAX.into()) {
            2
        } else if fits(i32::MIN.into(), i32::MAX.into()) {
            4
        } else {
            8
        };
        let mut out = Vec::with_capacity(1 + self.lanes.len() * usize::from(width));
        out.push(width);
        for lane in &self.lanes {
            out.extend_from_slice(&lane.to_le_bytes()[..usize::from(width)]);
        }
        out
    }

    /// Reads what [`Sum::encode`] wrote, with the totals stored beside it.
    ///
    /// # Errors
    /// [`SumError`] when the bytes are not `lanes` lanes.
    pub fn decode(bytes: &[u8], lanes: usize, weight: u64, updates: u32) -> Result<Self, SumError> {
        let bad = || SumError { got: bytes.len(), lanes };
        let (&width, rest) = bytes.split_first().ok_or_else(bad)?;
        let width_bytes = usize::from(width);
        if !matches!(width, 2 | 4 | 8) || rest.len() != lanes * width_bytes {
            return Err(bad());
        }
        let widen = |chunk: &[u8]| {
            let sign = chunk.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut wide = [if sign { 0xff } else { 0 }; 8];
            wide[..chunk.len()].copy_from_slice(chunk);
            i64::from_le_bytes(wide)
        };
        Ok(Self { lanes: rest.chunks_exact(width_bytes).map(widen).collect(), weight, updates })
    }
}

/// The server's copy of the weights, finer than 8 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Master(Vec<f64>);

impl Master {
    /// The master copy of a published version.
    #[must_use]
    pub fn of(weights: &[i8]) -> Self {
        Self(weights.iter().map(|&w| f64::from(w)).collect())
    }

    /// The values, in lane order.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The values as little-endian f64, for storage and for its digest.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Reads what [`Master::encode`] wrote; `None` when it is not `lanes` finite values.
    #[must_use]
    pub fn decode(bytes: &[u8], lanes: usize) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let values: Vec<f64> = chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
        let whole = rest.is_empty()
            && values.len() == lanes
            && values.iter().all(|value| value.is_finite());
        whole.then_some(Self(values))
    }
}

/// Moves the master copy by one round's sum. An empty sum moves nothing.
///
/// FedAvg (McMahan et al., AISTATS 2017) with a server learning rate (Reddi et al., ICLR 2021):
/// `master += rate * sum / weight`, held inside the layout's range so that it cannot run away from what is published.
///
/// # Panics
/// When master, sum and layout differ in lanes.
pub fn advance(strategy: Strategy, master: &mut Master, sum: &Sum, layout: &Layout) {
    let Strategy::FedAvg { server_learning_rate, weighting: _ } = strategy;
    assert_eq!(master.0.len(), sum.lanes.len(), "a run's master copy has the model's shape");
    assert_eq!(master.0.len(), layout.weights(), "a run's layout is the model's");
    if sum.weight == 0 {
        return;
    }
    let total = exact(sum.weight.cast_signed());
    for ((value, &lane), (min, max)) in master.0.iter_mut().zip(&sum.lanes).zip(layout.ranges()) {
        let moved = *value + server_learning_rate * (exact(lane) / total);
        *value = moved.clamp(f64::from(min), f64::from(max));
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
    assert_eq!(master.0.len(), layout.weights(), "a run's layout is the model's");
    let round = |(&value, (min, max)): (&f64, (i8, i8))| {
        value.round_ties_even().clamp(f64::from(min), f64::from(max)) as i8
    };
    master.0.iter().zip(layout.ranges()).map(round).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{Layout, Master, Strategy, Sum, advance, publish};
    use crate::model::Tensor;
    use crate::plan::Weighting;

    fn layout(lanes: u32, min: i8, max: i8) -> Layout {
        Layout::new(vec![Tensor { name: "w".to_owned(), rows: 1, cols: lanes, min, max }]).unwrap()
    }

    fn fedavg(rate: f64) -> Strategy {
        Strategy::FedAvg { server_learning_rate: rate, weighting: Weighting::Samples }
    }

    #[test]
    fn golden_bytes_of_fedavg() {
        let layout = layout(6, -128, 127);
        let mut master = Master::of(&[0, 10, -10, 127, -128, 1]);
        let mut sum = Sum::new(6);
        sum.fold(&[1, 2, 3, 127, -127, 0], 3);
        sum.fold(&[0, -7, 2, 127, -127, 1], 4);
        advance(fedavg(1.5), &mut master, &sum, &layout);
        let text: String = master.encode().iter().map(|b| format!("{b:02x}")).collect();
        // The same from Python's struct and IEEE doubles.
        let expected = [
            "244992244992e43f4992244992241540dcb66ddbb66d19c0",
            "0000000000c05f4000000000000060c06edbb66ddbb6fd3f",
        ];
        assert_eq!(text, expected.concat());
        assert_eq!(publish(&master, &layout), [1, 5, -6, 127, -128, 2]);
    }

    #[test]
    fn halves_round_to_even_and_the_master_keeps_them() {
        let layout = layout(4, -2, 2);
        let mut master = Master::of(&[0, 1, -1, 2]);
        let mut sum = Sum::new(4);
        sum.fold(&[1, 1, -1, 1], 1);
        sum.fold(&[0, 0, 0, 0], 1);
        advance(fedavg(1.0), &mut master, &sum, &layout);
        assert_eq!(master.values(), [0.5, 1.5, -1.5, 2.0]);
        assert_eq!(publish(&master, &layout), [0, 2, -2, 2]);
        advance(fedavg(1.0), &mut master, &sum, &layout);
        assert_eq!(publish(&master, &layout), [1, 2, -2, 2]);
    }

    #[test]
    fn an_empty_sum_changes_nothing() {
        let mut master = Master::of(&[3, -3]);
        advance(fedavg(1.0), &mut master, &Sum::new(2), &layout(2, -128, 127));
        assert_eq!(master, Master::of(&[3, -3]));
    }

    #[test]
    fn stored_sums_and_masters_are_checked() {
        for bytes in [&[][..], &[3, 0, 0], &[2, 0, 0, 0], &[2]] {
            assert!(Sum::decode(bytes, 1, 1, 1).is_err(), "{bytes:?}");
        }
        assert!(Master::decode(&[0; 15], 2).is_none() && Master::decode(&[0; 8], 2).is_none());
        assert!(Master::decode(&f64::NAN.to_le_bytes(), 1).is_none());
        let master = Master::of(&[1, 2]);
        assert_eq!(Master::decode(&master.encode(), 2), Some(master));
    }

    proptest! {
        #[test]
        fn order_and_grouping_do_not_matter(
            updates in prop::collection::vec((prop::collection::vec(-127i8..=127, 5), 1u32..=100_000), 0..12),
            split in 0usize..12,
            swap in (0usize..12, 0usize..12),
        ) {
            let fold = |updates: &[(Vec<i8>, u32)]| {
                let mut sum = Sum::new(5);
                updates.iter().for_each(|(delta, weight)| sum.fold(delta, *weight));
                sum
            };
            let whole = fold(&updates);
            let at = split.min(updates.len());
            let mut merged = fold(&updates[..at]);
            merged.merge(&fold(&updates[at..]));
            prop_assert_eq!(&merged, &whole);
            let mut other = updates.clone();
            if !other.is_empty() {
                let len = other.len();
                other.swap(swap.0 % len, swap.1 % len);
            }
            prop_assert_eq!(&fold(&other), &whole);
            let naive = |lane: usize| updates.iter().map(|(d, w)| i128::from(d[lane]) * i128::from(*w)).sum::<i128>();
            for lane in 0..5 {
                prop_assert_eq!(i128::from(whole.lanes()[lane]), naive(lane));
            }
        }

        #[test]
        fn sums_round_trip_at_the_narrowest_width(lanes in prop::collection::vec(any::<i64>(), 1..8), shift in 0u32..64) {
            let sum = Sum { lanes: lanes.iter().map(|l| l >> shift).collect(), weight: 3, updates: 2 };
            let bytes = sum.encode();
            prop_assert_eq!(Sum::decode(&bytes, sum.lanes.len(), 3, 2).unwrap(), sum.clone());
            let widest = sum.lanes.iter().map(|l| 65 - l.unsigned_abs().leading_zeros()).max().unwrap_or(0);
            prop_assert!(widest <= 33 || bytes[0] >= 4);
        }

        #[test]
        fn what_is_published_is_in_range(
            start in prop::collection::vec(-3i8..=3, 4),
            delta in prop::collection::vec(-127i8..=127, 4),
            rate in 0.001f64..100.0,
        ) {
            let layout = layout(4, -3, 3);
            let mut master = Master::of(&start);
            let mut sum = Sum::new(4);
            sum.fold(&delta, 7);
            advance(fedavg(rate), &mut master, &sum, &layout);
            prop_assert_eq!(layout.first_out_of_range(&publish(&master, &layout)), None);
        }
    }
}
