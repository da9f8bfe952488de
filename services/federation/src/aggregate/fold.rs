//! The loops of a sum: int8 in, exact i64 out, staged in integers no wider than they must be.
//!
//! A block of staged lanes stays in the first cache while every row passes through it, so that a row is read from
//! memory once and the wide lanes are touched once in many rows.

use std::iter::zip;

/// Lanes staged at once: 16 KiB of i16, half of the smallest first cache.
const BLOCK_16: usize = 8192;
/// Lanes staged at once: 16 KiB of i32.
const BLOCK_32: usize = 4096;
/// Rows that i16 stages: 256 times -128 is its least value.
const ROWS_16: usize = 256;
/// The factors' total that i32 stages: this times -128 is above its least value.
pub(super) const FACTORS_32: i32 = i32::MAX / 128;

/// Adds one row, times a factor.
#[inline(always)]
pub(super) fn one(lanes: &mut [i64], row: &[i8], factor: i64) {
    for (lane, &delta) in zip(lanes, row) {
        *lane += i64::from(delta) * factor;
    }
}

/// Adds rows of one factor.
#[inline(always)]
pub(super) fn equal(lanes: &mut [i64], rows: &[&[i8]], factor: i64) {
    let mut stage = [0_i16; BLOCK_16];
    for (start, lanes) in zip((0..).step_by(BLOCK_16), lanes.chunks_mut(BLOCK_16)) {
        let stage = &mut stage[..lanes.len()];
        let block = start..start + lanes.len();
        for rows in rows.chunks(ROWS_16) {
            stage.fill(0);
            let (fours, rest) = rows.as_chunks::<4>();
            for four in fours {
                let [a, b, c, d] = four.map(|row| &row[block.clone()]);
                for ((staged, (&a, &b)), (&c, &d)) in zip(zip(&mut *stage, zip(a, b)), zip(c, d)) {
                    *staged += i16::from(a) + i16::from(b) + (i16::from(c) + i16::from(d));
                }
            }
            for row in rest {
                for (staged, &delta) in zip(&mut *stage, &row[block.clone()]) {
                    *staged += i16::from(delta);
                }
            }
            for (lane, &staged) in zip(&mut *lanes, &*stage) {
                *lane += i64::from(staged) * factor;
            }
        }
    }
}

/// Adds rows, each times its factor, none of them above [`FACTORS_32`].
#[inline(always)]
pub(super) fn weighted(lanes: &mut [i64], rows: &[(&[i8], i32)]) {
    let mut stage = [0_i32; BLOCK_32];
    for (start, lanes) in zip((0..).step_by(BLOCK_32), lanes.chunks_mut(BLOCK_32)) {
        let stage = &mut stage[..lanes.len()];
        let block = start..start + lanes.len();
        let mut rows = rows;
        while !rows.is_empty() {
            let mut total = 0_i32;
            let fits = |&(_, factor): &(&[i8], i32)| {
                total = total.saturating_add(factor);
                total <= FACTORS_32
            };
            // A factor above the bound would stage alone and overflow; callers keep it out.
            let count = rows.iter().copied().take_while(fits).count().max(1);
            let (now, later) = rows.split_at(count);
            rows = later;
            stage.fill(0);
            let (pairs, rest) = now.as_chunks::<2>();
            for &[(a, fa), (b, fb)] in pairs {
                for (staged, (&a, &b)) in
                    zip(&mut *stage, zip(&a[block.clone()], &b[block.clone()]))
                {
                    *staged += i32::from(a) * fa + i32::from(b) * fb;
                }
            }
            for &(row, factor) in rest {
                for (staged, &delta) in zip(&mut *stage, &row[block.clone()]) {
                    *staged += i32::from(delta) * factor;
                }
            }
            for (lane, &staged) in zip(&mut *lanes, &*stage) {
                *lane += i64::from(staged);
            }
        }
    }
}

/// Appends the narrowest width that holds every lane, and the lanes.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the width was chosen so that every lane fits")]
pub(super) fn narrow(lanes: &[i64], out: &mut Vec<u8>) {
    // A lane and its complement need the same width; the sign's copies turn into zeros.
    let used = lanes.iter().fold(0, |used, &lane| used | (lane ^ (lane >> 63)));
    let width = if used >> 15 == 0 {
        2
    } else if used >> 31 == 0 {
        4
    } else {
        8
    };
    out.push(width);
    let start = out.len();
    out.resize(start + lanes.len() * usize::from(width), 0);
    let bytes = &mut out[start..];
    match width {
        2 => zip(bytes.as_chunks_mut().0, lanes).for_each(|(b, &l)| *b = (l as i16).to_le_bytes()),
        4 => zip(bytes.as_chunks_mut().0, lanes).for_each(|(b, &l)| *b = (l as i32).to_le_bytes()),
        _ => zip(bytes.as_chunks_mut().0, lanes).for_each(|(b, &l)| *b = l.to_le_bytes()),
    }
}

/// Reads lanes of the width that `bytes` and `lanes` imply: 2, 4 or 8 bytes each.
#[inline(always)]
pub(super) fn widen(lanes: &mut [i64], bytes: &[u8]) {
    match bytes.len().checked_div(lanes.len()) {
        Some(2) => {
            zip(lanes, bytes.as_chunks().0).for_each(|(l, &b)| *l = i16::from_le_bytes(b).into())
        }
        Some(4) => {
            zip(lanes, bytes.as_chunks().0).for_each(|(l, &b)| *l = i32::from_le_bytes(b).into())
        }
        _ => zip(lanes, bytes.as_chunks().0).for_each(|(l, &b)| *l = i64::from_le_bytes(b)),
    }
}
