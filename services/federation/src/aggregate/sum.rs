//! The exact sum of a round's updates, and the bytes it is stored as.

use thiserror::Error;

use super::fold::FACTORS_32;
use super::simd::{Isa, Loop, run};

/// An exact sum of updates: per lane, the weighted deltas; and the total that it is divided by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    lanes: Vec<i64>,
    weight: u64,
    updates: u32,
}

/// What one update brings into a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Factor on its lanes.
    pub factor: u32,
    /// What it adds to the total that the sum is divided by. More than the factor for a stale update: the rest counts
    /// as an update of zeros, and the mean moves less.
    pub total: u32,
}

impl Weight {
    /// An update that counts in full.
    #[must_use]
    pub const fn full(weight: u32) -> Self {
        Self { factor: weight, total: weight }
    }
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

    pub(super) fn of(lanes: Vec<i64>, weight: u64, updates: u32) -> Self {
        Self { lanes, weight, updates }
    }

    /// Adds one update of as many lanes, weighted.
    ///
    /// # Panics
    /// When the number of lanes differs: admission has compared them.
    pub fn fold(&mut self, delta: &[i8], weight: u32) {
        self.fold_all(&[(delta, Weight::full(weight))]);
    }

    /// Adds many updates of as many lanes, each weighted: the same sum as one by one in any order, at the speed at
    /// which memory is read.
    ///
    /// # Panics
    /// When the number of lanes differs: admission has compared them.
    pub fn fold_all(&mut self, updates: &[(&[i8], Weight)]) {
        self.fold_on(Isa::detect(), updates);
    }

    fn fold_on(&mut self, isa: Isa, updates: &[(&[i8], Weight)]) {
        for (delta, weight) in updates {
            assert_eq!(
                delta.len(),
                self.lanes.len(),
                "admission lets in only updates of the model's shape"
            );
            self.weight += u64::from(weight.total);
            self.updates += 1;
        }
        let mut order: Vec<(u32, &[i8])> = updates.iter().map(|&(d, w)| (w.factor, d)).collect();
        // Most updates of a plan claim as many samples as it asked for; those are added first and multiplied once.
        order.sort_by_key(|&(factor, _)| factor);
        let mut mixed = Vec::new();
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let factor = group[0].0;
            if group.len() >= EQUAL_MIN {
                let rows: Vec<&[i8]> = group.iter().map(|&(_, delta)| delta).collect();
                run(isa, Loop::Equal(&mut self.lanes, &rows, factor.into()));
            } else if let Some(narrow) = i32::try_from(factor).ok().filter(|&f| f <= FACTORS_32) {
                mixed.extend(group.iter().map(|&(_, delta)| (delta, narrow)));
            } else {
                for (_, delta) in group {
                    run(isa, Loop::One(&mut self.lanes, delta, factor.into()));
                }
            }
        }
        match mixed[..] {
            [] => (),
            [(delta, factor)] => run(isa, Loop::One(&mut self.lanes, delta, factor.into())),
            _ => run(isa, Loop::Weighted(&mut self.lanes, &mixed)),
        }
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

    /// Appends the lanes that follow these, of the same updates: a robust aggregate made slice by slice.
    ///
    /// # Panics
    /// When the two are not of the same updates.
    pub fn append(&mut self, next: &Self) {
        let of = |sum: &Self| (sum.weight, sum.updates);
        assert_eq!(of(self), of(next), "slices of one round are of the same updates");
        self.lanes.extend_from_slice(&next.lanes);
    }

    /// The lanes.
    #[must_use]
    pub fn lanes(&self) -> &[i64] {
        &self.lanes
    }

    /// What the lanes are divided by: total weight of the updates, or of the kept values of a robust aggregate.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// How many updates it was made of.
    #[must_use]
    pub fn updates(&self) -> u32 {
        self.updates
    }

    /// The lanes at the narrowest width that holds them: one width byte (2, 4 or 8), then little-endian integers.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_on(Isa::detect())
    }

    fn encode_on(&self, isa: Isa) -> Vec<u8> {
        let mut out = Vec::new();
        run(isa, Loop::Narrow(&self.lanes, &mut out));
        out
    }

    /// Reads what [`Sum::encode`] wrote, with the totals stored beside it.
    ///
    /// # Errors
    /// [`SumError`] when the bytes are not `lanes` lanes.
    pub fn decode(bytes: &[u8], lanes: usize, weight: u64, updates: u32) -> Result<Self, SumError> {
        Self::decode_on(Isa::detect(), bytes, lanes, weight, updates)
    }

    fn decode_on(
        isa: Isa,
        bytes: &[u8],
        lanes: usize,
        weight: u64,
        updates: u32,
    ) -> Result<Self, SumError> {
        let bad = || SumError { got: bytes.len(), lanes };
        let (&width, rest) = bytes.split_first().ok_or_else(bad)?;
        let whole = lanes.checked_mul(width.into()) == Some(rest.len());
        if !matches!(width, 2 | 4 | 8) || !whole {
            return Err(bad());
        }
        let mut sum = Self { lanes: vec![0; lanes], weight, updates };
        run(isa, Loop::Widen(&mut sum.lanes, rest));
        Ok(sum)
    }
}

/// Updates of one weight that are worth a pass of their own.
const EQUAL_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{EQUAL_MIN, FACTORS_32, Isa, Sum, SumError, Weight};

    /// Deltas that need no generator: every i8, in an order of its own by `row`.
    fn delta(row: usize, lanes: usize) -> Vec<i8> {
        (0..lanes).map(|lane| (lane * 7 + row * 31).to_le_bytes()[0].cast_signed()).collect()
    }

    fn naive(lanes: usize, updates: &[(Vec<i8>, Weight)]) -> Vec<i128> {
        let product =
            |lane: usize, (d, w): &(Vec<i8>, Weight)| i128::from(d[lane]) * i128::from(w.factor);
        (0..lanes).map(|lane| updates.iter().map(|update| product(lane, update)).sum()).collect()
    }

    fn check(lanes: usize, updates: &[(Vec<i8>, Weight)]) {
        let borrowed: Vec<(&[i8], Weight)> = updates.iter().map(|(d, w)| (&d[..], *w)).collect();
        let expected = naive(lanes, updates);
        for isa in Isa::all() {
            let mut sum = Sum::new(lanes);
            sum.fold_on(isa, &borrowed);
            let got: Vec<i128> = sum.lanes().iter().map(|&lane| lane.into()).collect();
            assert_eq!(got, expected, "{isa:?}");
            let bytes = sum.encode_on(isa);
            assert_eq!(bytes, sum.encode_on(Isa::all()[0]), "{isa:?}");
            let back = Sum::decode_on(isa, &bytes, lanes, sum.weight(), sum.updates());
            assert_eq!(back, Ok(sum), "{isa:?}");
        }
    }

    #[test]
    fn staging_never_overflows_at_its_bounds() {
        // 16 bits: more rows than they hold, all of the least value, over the ends of blocks.
        for lanes in [1, 63, 8191, 8193] {
            check(lanes, &vec![(vec![i8::MIN; lanes], Weight::full(1)); 515]);
        }
        // 32 bits: each factor alone fills them.
        let bound = u32::try_from(FACTORS_32).unwrap();
        let factors =
            [bound, bound - 1, 1, bound / 2, bound / 2 + 1, bound / 3, u32::MAX, bound + 1];
        let rows = factors.map(|factor| (vec![i8::MIN; 4097], Weight::full(factor)));
        check(4097, &rows);
    }

    #[test]
    fn every_path_is_taken_and_adds_the_same() {
        let lanes = 9000;
        // More than the fewest of one weight, then some of many weights, then a single one.
        for (count, weights) in [(EQUAL_MIN + 7, 1), (EQUAL_MIN * 5, 3), (13, 13), (1, 1), (0, 1)] {
            let weight = |row: usize| u32::try_from(row % weights * 999 + 5).unwrap();
            let updates: Vec<_> = (0..count)
                .map(|row| (delta(row, lanes), Weight { factor: weight(row), total: 1280 }))
                .collect();
            check(lanes, &updates);
        }
    }

    #[test]
    fn the_total_is_what_the_updates_say_it_is() {
        let mut sum = Sum::new(1);
        sum.fold_all(&[(&[2], Weight { factor: 128, total: 256 }), (&[-1], Weight::full(256))]);
        assert_eq!((sum.lanes(), sum.weight(), sum.updates()), (&[0][..], 512, 2));
    }

    #[test]
    #[should_panic(expected = "admission lets in only updates of the model's shape")]
    fn a_delta_of_another_shape_is_not_folded() {
        Sum::new(3).fold(&[1, 2], 1);
    }

    #[test]
    fn stored_bytes_are_the_documented_ones_and_others_are_refused() {
        let bytes = |lanes: &[i64]| Sum::of(lanes.to_vec(), 1, 1).encode();
        assert_eq!(bytes(&[1, -2, i16::MAX.into()]), [2, 1, 0, 0xfe, 0xff, 0xff, 0x7f]);
        assert_eq!(bytes(&[32_768, -1]), [4, 0, 0x80, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(bytes(&[-32_769]), [4, 0xff, 0x7f, 0xff, 0xff]);
        assert_eq!(bytes(&[1 << 31]), [8, 0, 0, 0, 0x80, 0, 0, 0, 0]);
        assert_eq!(bytes(&[i32::MIN.into()]), [4, 0, 0, 0, 0x80]);
        assert_eq!(bytes(&[]), [2]);
        for bytes in [&[][..], &[3, 0, 0], &[2, 0, 0, 0], &[2], &[8, 0, 0]] {
            let error = SumError { got: bytes.len(), lanes: 1 };
            assert_eq!(Sum::decode(bytes, 1, 1, 1), Err(error), "{bytes:?}");
        }
        assert!(Sum::decode(&[8, 0, 0], usize::MAX, 1, 1).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn order_and_grouping_do_not_matter(
            updates in prop::collection::vec(
                (prop::collection::vec(any::<i8>(), 70), prop::sample::select(vec![1_u32, 20, 100_000, 25_600_000])),
                0..24,
            ),
            split in 0_usize..24,
            turn in 0_usize..24,
        ) {
            let updates: Vec<(Vec<i8>, Weight)> =
                updates.into_iter().map(|(d, w)| (d, Weight::full(w))).collect();
            let fold = |updates: &[(Vec<i8>, Weight)]| {
                let updates: Vec<(&[i8], Weight)> = updates.iter().map(|(d, w)| (&d[..], *w)).collect();
                let mut sum = Sum::new(70);
                sum.fold_all(&updates);
                sum
            };
            check(70, &updates);
            let whole = fold(&updates);
            let mut one_by_one = Sum::new(70);
            updates.iter().for_each(|(d, w)| one_by_one.fold(d, w.factor));
            prop_assert_eq!(&one_by_one, &whole);
            let at = split.min(updates.len());
            let mut merged = fold(&updates[..at]);
            merged.merge(&fold(&updates[at..]));
            prop_assert_eq!(&merged, &whole);
            let mut other = updates.clone();
            other.rotate_left(turn.min(updates.len()));
            prop_assert_eq!(&fold(&other), &whole);
        }

        #[test]
        fn sums_round_trip_at_the_narrowest_width(
            lanes in prop::collection::vec(any::<i64>(), 0..80),
            shift in 0_u32..64,
        ) {
            let sum = Sum::of(lanes.iter().map(|lane| lane >> shift).collect(), 3, 2);
            let bytes = sum.encode();
            for isa in Isa::all() {
                prop_assert_eq!(&sum.encode_on(isa), &bytes);
                let back = Sum::decode_on(isa, &bytes, sum.lanes.len(), 3, 2).unwrap();
                prop_assert_eq!(&back, &sum);
            }
            let bits = |&lane: &i64| 65 - (lane ^ (lane >> 63)).leading_zeros();
            let widest = sum.lanes.iter().map(bits).max().unwrap_or(0);
            let narrowest = if widest <= 16 { 2 } else if widest <= 32 { 4 } else { 8 };
            prop_assert_eq!(bytes[0], narrowest);
            prop_assert!(bytes.len() == 1 + sum.lanes.len() * usize::from(narrowest));
        }
    }
}
