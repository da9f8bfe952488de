//! `aggregate`: sums, medians and trimmed means of int8 updates on one core, beside the floor.

use std::hint::black_box;

use federation::aggregate::{Sum, Weight, median, trimmed_mean};

use crate::clock::best_ns;
use crate::figures::{Line, Measured};
use crate::roof::{AggregationFloor, Roof};

/// Weights of the two networks: 40-100-2 and 256-256-16.
const WEIGHTS: [usize; 2] = [14_200, 135_168];
/// Bytes of updates that are summed: far more than any cache holds, and as many as the floor sums.
const SUMMED_BYTES: usize = 400_000_000;
/// Updates of a median or trimmed mean.
const KEPT: usize = 100;

/// Measures every case and the floor `runs` times, in turns.
pub(crate) fn run(runs: usize) -> Vec<Line> {
    let roof = Roof::build().inspect_err(|why| eprintln!("no floor: {why}")).ok();
    let mut measured = Measured::default();
    for _ in 0..runs {
        let floors = roof.as_ref().and_then(|roof| {
            roof.aggregation().inspect_err(|why| eprintln!("no floor: {why}")).ok()
        });
        let floors = floors.map_or([None, None], |floors| floors.map(Some));
        for (weights, floor) in WEIGHTS.into_iter().zip(floors) {
            one_size(weights, floor.as_ref(), &mut measured);
        }
    }
    measured.lines()
}

fn one_size(weights: usize, floor: Option<&AggregationFloor>, measured: &mut Measured) {
    let bytes = random_bytes(SUMMED_BYTES / weights * weights);
    let updates: Vec<&[i8]> = bytes.chunks_exact(weights).collect();
    let gbps = |time_ns: f64| bytes.len() as f64 / time_ns;

    let equal: Vec<(&[i8], Weight)> = updates.iter().map(|&u| (u, Weight::full(1))).collect();
    let time = best_ns(5, || {
        let mut sum = Sum::new(weights);
        sum.fold_all(&equal);
        black_box(sum);
    });
    measured.add(format!("{weights} weights sum"), "GB/s", gbps(time), floor.map(|f| f.sum));

    // No two neighbours weigh the same, and a round has 37 sample counts.
    let mixed: Vec<_> = (0..).zip(&updates).map(|(n, &u)| (u, Weight::full(n % 37 + 1))).collect();
    let time = best_ns(5, || {
        let mut sum = Sum::new(weights);
        for group in mixed.chunks(KEPT) {
            sum.fold_all(group);
        }
        black_box(sum);
    });
    measured.add(format!("{weights} weights sum by samples"), "GB/s", gbps(time), None);

    robust(weights, "", &updates[..KEPT], floor, measured);
    // A value's rank is found in as many passes as the range has bits: these deltas take all eight.
    let wide: Vec<Vec<i8>> =
        updates[..KEPT].iter().map(|u| u.iter().map(|d| d.wrapping_mul(17)).collect()).collect();
    let wide: Vec<&[i8]> = wide.iter().map(Vec::as_slice).collect();
    robust(weights, ", all of i8", &wide, floor, measured);

    let mut sum = Sum::new(weights);
    sum.fold_all(&equal);
    let time = best_ns(15, || _ = black_box(sum.encode()));
    measured.add(format!("{weights} weights encode"), "us", time / 1e3, None);
    let stored = sum.encode();
    let time = best_ns(15, || _ = black_box(Sum::decode(&stored, weights, 1, 1)));
    measured.add(format!("{weights} weights decode"), "us", time / 1e3, None);
}

/// Median and trimmed mean of the kept updates.
fn robust(
    weights: usize,
    range: &str,
    kept: &[&[i8]],
    floor: Option<&AggregationFloor>,
    measured: &mut Measured,
) {
    let time = best_ns(7, || _ = black_box(median(kept)));
    let case = format!("{weights} weights median of {KEPT}{range}");
    measured.add(case, "us", time / 1e3, floor.map(|f| f.median));
    let time = best_ns(7, || _ = black_box(trimmed_mean(kept, 100)));
    let case = format!("{weights} weights trimmed mean of {KEPT}{range}");
    measured.add(case, "us", time / 1e3, floor.map(|f| f.trimmed_mean));
}

/// Pseudo-random deltas of -8 to 7, by xorshift.
fn random_bytes(len: usize) -> Vec<i8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes().map(|byte| byte.cast_signed() >> 4));
    }
    bytes.truncate(len);
    bytes
}
