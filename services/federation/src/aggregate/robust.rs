//! Robust aggregates: what some dishonest or broken nodes cannot move far.
//!
//! Coordinate-wise median and trimmed mean (Yin et al., ICML 2018) of kept vectors, every node counting once. Both are
//! ratios of small integers, so each is a [`Sum`]: lanes over weight is the aggregate, and the optimiser needs no case
//! of its own.
//!
//! No lane is sorted. The value of a rank is found bit by bit, from the highest: it is at least `low + bit` if no more
//! values than its rank are below that. Each pass over a packed tile counts for 64 lanes at once, and there are as many
//! passes as the tile's range has bits: four where deltas lie within 8 of 0, eight at most.

use std::iter::zip;

use super::simd::{Isa, Loop, run};
use super::sum::Sum;

/// Lanes that are counted at once.
const WIDTH: usize = 64;
/// Bytes of one row in a tile. Whole cache lines of every row are read together, and rows whose distance is a multiple
/// of 4 KiB do not push each other out of the first cache while they are counted.
const BLOCK: usize = 8 * WIDTH;
/// Rows that 8 bits count.
const ROWS_8: usize = 255;

/// The median of each lane: the middle value and weight 1, or the sum of the two middle ones and weight 2.
///
/// # Panics
/// When there is no vector, or more than 65,535, or one of another length.
#[must_use]
pub fn median(vectors: &[&[i8]]) -> Sum {
    median_on(Isa::detect(), vectors)
}

/// The mean of each lane without its `trim_permille` thousandths of the vectors, rounded down, at either end: the sum
/// of the kept values, and as weight how many they are.
///
/// # Panics
/// As [`median`]; and when nothing would be kept.
#[must_use]
pub fn trimmed_mean(vectors: &[&[i8]], trim_permille: u32) -> Sum {
    trimmed_mean_on(Isa::detect(), vectors, trim_permille)
}

fn median_on(isa: Isa, vectors: &[&[i8]]) -> Sum {
    let (mut lanes, count) = shape(vectors);
    run(isa, Loop::Robust(&mut lanes, vectors, None));
    let weight = if count.is_multiple_of(2) { 2 } else { 1 };
    Sum::of(lanes, weight, count.into())
}

fn trimmed_mean_on(isa: Isa, vectors: &[&[i8]], trim_permille: u32) -> Sum {
    let (mut lanes, count) = shape(vectors);
    let trim = u64::from(count) * u64::from(trim_permille) / 1000;
    assert!(2 * trim < u64::from(count), "a plan trims less than half at either end");
    let kept = u64::from(count) - 2 * trim;
    let trim = u16::try_from(trim).expect("less than half of 65,535");
    run(isa, Loop::Robust(&mut lanes, vectors, Some(trim)));
    Sum::of(lanes, kept, count.into())
}

/// Lanes of zeros, and how many vectors there are.
fn shape(vectors: &[&[i8]]) -> (Vec<i64>, u16) {
    let lanes = vectors.first().expect("a round without updates is not aggregated").len();
    assert!(
        vectors.iter().all(|vector| vector.len() == lanes),
        "admission lets in only updates of the model's shape"
    );
    let count = u16::try_from(vectors.len()).expect("limits.rs keeps fewer vectors than 65,536");
    (vec![0; lanes], count)
}

/// One tile's values, one row a vector.
type Tile = [Row];

/// A cache line: a row that lies across two costs two reads.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Row([i8; WIDTH]);

/// Packs the vectors into tiles, and makes the lanes of each: the middle, or the sum without `trim` at either end.
#[inline(always)]
pub(super) fn aggregate(lanes: &mut [i64], vectors: &[&[i8]], trim: Option<u16>) {
    let count = vectors.len();
    let mut tiles = vec![Row([0; WIDTH]); count * (BLOCK / WIDTH)];
    for (start, lanes) in zip((0..).step_by(BLOCK), lanes.chunks_mut(BLOCK)) {
        let end = start + lanes.len();
        for (index, vector) in vectors.iter().enumerate() {
            let (parts, last) = vector[start..end].as_chunks::<WIDTH>();
            let mut rows = tiles[index..].iter_mut().step_by(count);
            // The parts first: `zip` must not take a row that no part fills.
            for (part, row) in zip(parts, &mut rows) {
                row.0 = *part;
            }
            if let Some(row) = rows.next() {
                // The rest of the row stays as it was, and what becomes of it is not read back.
                row.0[..last.len()].copy_from_slice(last);
            }
        }
        for (tile, lanes) in zip(tiles.chunks(count), lanes.chunks_mut(WIDTH)) {
            let made = match trim {
                None => middle(tile),
                Some(trim) => trimmed(tile, trim),
            };
            for (lane, made) in zip(lanes, made) {
                *lane = i64::from(made);
            }
        }
    }
}

/// The middle value, or the sum of the two.
#[inline(always)]
fn middle(tile: &Tile) -> [i32; WIDTH] {
    let rank = rank((tile.len() - 1) / 2);
    let lower = select(tile, range(tile), rank);
    let upper = if tile.len().is_multiple_of(2) { next(tile, &lower, rank) } else { [0; WIDTH] };
    let mut sum = [0; WIDTH];
    for (sum, (&lower, &upper)) in zip(&mut sum, zip(&lower, &upper)) {
        *sum = i32::from(lower) + i32::from(upper);
    }
    sum
}

/// All values, held between the lowest and the highest kept one, less what now stands for those cut off.
#[inline(always)]
fn trimmed(tile: &Tile, trim: u16) -> [i32; WIDTH] {
    let highest = rank(tile.len() - 1) - trim;
    let [low, high] = select_two(tile, range(tile), [trim, highest]);
    let mut kept = [0; WIDTH];
    for (kept, (&low, &high)) in zip(&mut kept, zip(&low, &high)) {
        *kept = -i32::from(trim) * (i32::from(low) + i32::from(high));
    }
    for rows in tile.chunks(ROWS_8) {
        let mut sums = [0_i16; WIDTH];
        for row in rows {
            for (sum, (&value, (&low, &high))) in zip(&mut sums, zip(&row.0, zip(&low, &high))) {
                *sum += i16::from(value.max(low).min(high));
            }
        }
        for (kept, &sum) in zip(&mut kept, &sums) {
            *kept += i32::from(sum);
        }
    }
    kept
}

fn rank(index: usize) -> u16 {
    u16::try_from(index).expect("there are at most 65,535 vectors")
}

/// The least value of the tile, and how many bits the distance to its greatest has.
#[inline(always)]
fn range(tile: &Tile) -> (i8, u32) {
    let (mut least, mut greatest) = ([i8::MAX; WIDTH], [i8::MIN; WIDTH]);
    for &Row(row) in tile {
        for ((least, greatest), value) in zip(zip(&mut least, &mut greatest), row) {
            *least = value.min(*least);
            *greatest = value.max(*greatest);
        }
    }
    let least = least.iter().fold(i8::MAX, |least, &lane| lane.min(least));
    let greatest = greatest.iter().fold(i8::MIN, |greatest, &lane| lane.max(greatest));
    (least, u8::BITS - least.abs_diff(greatest).leading_zeros())
}

/// Lanes that a search holds: none of the values looked for is below its lane.
type Lows = [i8; WIDTH];

/// The value of `rank`, counted from 0, in each lane of a tile of this range.
#[inline(always)]
fn select(tile: &Tile, (least, bits): (i8, u32), rank: u16) -> Lows {
    let mut low = [least; WIDTH];
    for bit in (0..bits).rev() {
        let tried = raise(low, bit);
        let mut below = [0_u16; WIDTH];
        for rows in tile.chunks(ROWS_8) {
            // Two counters, so that an addition need not wait for the one before.
            let (mut even, mut odd) = ([0_u8; WIDTH], [0_u8; WIDTH]);
            let (pairs, last) = rows.as_chunks::<2>();
            for [Row(a), Row(b)] in pairs {
                count(&mut even, a, &tried);
                count(&mut odd, b, &tried);
            }
            if let [Row(last)] = last {
                count(&mut even, last, &tried);
            }
            gather(&mut below, even);
            gather(&mut below, odd);
        }
        low = settle(low, tried, below, rank);
    }
    low
}

/// The values of two ranks: as [`select`] finds each, but each row is read once for both.
#[inline(always)]
fn select_two(tile: &Tile, (least, bits): (i8, u32), ranks: [u16; 2]) -> [Lows; 2] {
    let (mut low, mut high) = ([least; WIDTH], [least; WIDTH]);
    for bit in (0..bits).rev() {
        let (tried_low, tried_high) = (raise(low, bit), raise(high, bit));
        let (mut below_low, mut below_high) = ([0_u16; WIDTH], [0_u16; WIDTH]);
        for rows in tile.chunks(ROWS_8) {
            let (mut counts_low, mut counts_high) = ([0_u8; WIDTH], [0_u8; WIDTH]);
            for Row(row) in rows {
                count(&mut counts_low, row, &tried_low);
                count(&mut counts_high, row, &tried_high);
            }
            gather(&mut below_low, counts_low);
            gather(&mut below_high, counts_high);
        }
        low = settle(low, tried_low, below_low, ranks[0]);
        high = settle(high, tried_high, below_high, ranks[1]);
    }
    [low, high]
}

/// The lows with a bit more. Past the greatest i8 this wraps to below the low itself, and is not settled on.
#[inline(always)]
fn raise(mut lows: Lows, bit: u32) -> Lows {
    for low in &mut lows {
        *low = low.wrapping_add((1_u8 << bit).cast_signed());
    }
    lows
}

/// What was tried, where it is higher and no more values than the rank are below it.
#[inline(always)]
fn settle(mut lows: Lows, tried: Lows, below: [u16; WIDTH], rank: u16) -> Lows {
    for (low, (tried, below)) in zip(&mut lows, zip(tried, below)) {
        *low = (*low).max(if below <= rank { tried } else { i8::MIN });
    }
    lows
}

#[inline(always)]
fn gather(totals: &mut [u16; WIDTH], counts: [u8; WIDTH]) {
    for (total, count) in zip(totals, counts) {
        *total += u16::from(count);
    }
}

#[inline(always)]
fn count(counts: &mut [u8; WIDTH], row: &[i8; WIDTH], threshold: &[i8; WIDTH]) {
    for (count, (&value, &threshold)) in zip(counts, zip(row, threshold)) {
        *count += u8::from(value < threshold);
    }
}

/// The value of the rank after `rank`, whose value is `found`.
#[inline(always)]
fn next(tile: &Tile, found: &[i8; WIDTH], rank: u16) -> [i8; WIDTH] {
    let mut above = [i8::MAX; WIDTH];
    let mut up_to = [0_u16; WIDTH];
    for rows in tile.chunks(ROWS_8) {
        let mut counts = [0_u8; WIDTH];
        for Row(row) in rows {
            for (above, (&value, &found)) in zip(&mut above, zip(row, found)) {
                *above = (*above).min(if value > found { value } else { i8::MAX });
            }
            for (count, (&value, &found)) in zip(&mut counts, zip(row, found)) {
                *count += u8::from(value <= found);
            }
        }
        gather(&mut up_to, counts);
    }
    for (above, (&found, &up_to)) in zip(&mut above, zip(found, &up_to)) {
        // More values up to the found one than its rank needs: the next one equals it.
        *above = (*above).min(if up_to > rank + 1 { found } else { i8::MAX });
    }
    above
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};

    use super::{BLOCK, Isa, median, median_on, trimmed_mean_on};

    fn naive(vectors: &[Vec<i8>], trim: impl Fn(usize) -> usize) -> Vec<i64> {
        let lanes = vectors[0].len();
        let lane = |lane: usize| {
            let mut values: Vec<i64> = vectors.iter().map(|vector| vector[lane].into()).collect();
            values.sort_unstable();
            let trim = trim(values.len());
            values[trim..values.len() - trim].iter().sum()
        };
        (0..lanes).map(lane).collect()
    }

    fn check(vectors: &[Vec<i8>], trim_permille: u32) {
        let borrowed: Vec<&[i8]> = vectors.iter().map(|vector| &vector[..]).collect();
        let count = vectors.len();
        let trim = count * usize::try_from(trim_permille).unwrap() / 1000;
        let middle = naive(vectors, |count| (count - 1) / 2);
        let trimmed = naive(vectors, |_| trim);
        for isa in Isa::all() {
            let sum = median_on(isa, &borrowed);
            assert_eq!(sum.lanes(), middle, "{isa:?}: median of {count}");
            assert_eq!(sum.weight(), if count.is_multiple_of(2) { 2 } else { 1 });
            assert_eq!(usize::try_from(sum.updates()), Ok(count));
            let sum = trimmed_mean_on(isa, &borrowed, trim_permille);
            assert_eq!(sum.lanes(), trimmed, "{isa:?}: {trim_permille} of {count}");
            assert_eq!(usize::try_from(sum.weight()), Ok(count - 2 * trim));
            assert_eq!(usize::try_from(sum.updates()), Ok(count));
        }
    }

    /// Rows of values in a range that `shift` narrows, from a generator of our own.
    fn vectors(count: usize, lanes: usize, shift: u32) -> Vec<Vec<i8>> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut value = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3].cast_signed() >> shift
        };
        (0..count).map(|_| (0..lanes).map(|_| value()).collect()).collect()
    }

    #[test]
    fn every_count_beside_the_bounds_of_a_counter() {
        for count in [1, 2, 3, 4, 5, 99, 100, 253, 254, 255, 256, 257, 509, 510, 511, 512, 1021] {
            for shift in [0, 4, 7] {
                check(&vectors(count, 70, shift), 100);
            }
        }
        check(&vectors(3001, 65, 1), 499);
    }

    #[test]
    fn every_length_beside_the_bounds_of_a_tile() {
        for lanes in [0, 1, 63, 64, 65, 128, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 65] {
            check(&vectors(7, lanes, 0), 200);
            check(&vectors(8, lanes, 3), 200);
        }
    }

    #[test]
    fn the_ends_of_the_range_and_ties() {
        for (low, high) in
            [(-128, 127), (127, 127), (-128, -128), (126, 127), (-128, -127), (0, 127)]
        {
            for count in 1..12_usize {
                for lows in 0..=count {
                    let row = |index| vec![if index < lows { low } else { high }; 3];
                    check(&(0..count).map(row).collect::<Vec<_>>(), 250);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "a round without updates is not aggregated")]
    fn no_vectors_have_no_median() {
        let _ = median(&[]);
    }

    #[test]
    #[should_panic(expected = "a plan trims less than half at either end")]
    fn something_is_kept() {
        let _ = trimmed_mean_on(Isa::all()[0], &[&[1], &[2]], 500);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn both_are_as_by_sorting_in_any_order(
            rows in prop::collection::vec(prop::collection::vec(any::<i8>(), 5), 1..40),
            trim_permille in 0_u32..500,
            turn in 0_usize..40,
        ) {
            check(&rows, trim_permille);
            let borrowed: Vec<&[i8]> = rows.iter().map(|row| &row[..]).collect();
            let mut turned = borrowed.clone();
            turned.rotate_left(turn % rows.len());
            prop_assert_eq!(median(&turned), median(&borrowed));
        }
    }
}
