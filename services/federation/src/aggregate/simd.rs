//! The same plain loops, compiled for three instruction sets; which one runs is asked of the processor.
//!
//! There are no intrinsics: the loops vectorise by themselves. They are `inline(always)`, so that each function below
//! compiles them anew with its own features. All arithmetic in them is on integers, so the results are the same bytes.

#![expect(
    unsafe_code,
    reason = "calling code for instructions that the processor was asked about; bytes as lanes without a copy"
)]

use super::{fold, robust};

/// What the loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The widest that this processor has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                return Self(Set::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                return Self(Set::Avx2);
            }
        }
        Self(Set::Portable)
    }

    /// Every one that this processor has, the plain one first.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self(Set::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                all.push(Self(Set::Avx2));
            }
            if Self::detect() == Self(Set::Avx512) {
                all.push(Self(Set::Avx512));
            }
        }
        all
    }
}

/// The lanes that a payload's bytes are.
#[must_use]
pub fn lanes(payload: &[u8]) -> &[i8] {
    // SAFETY: an `i8` has the size and the alignment of a `u8`, and every byte is one.
    unsafe { std::slice::from_raw_parts(payload.as_ptr().cast(), payload.len()) }
}

/// One of the loops, and what it works on.
#[derive(Debug)]
pub(super) enum Loop<'a> {
    /// [`fold::one`].
    One(&'a mut [i64], &'a [i8], i64),
    /// [`fold::equal`].
    Equal(&'a mut [i64], &'a [&'a [i8]], i64),
    /// [`fold::weighted`].
    Weighted(&'a mut [i64], &'a [(&'a [i8], i32)]),
    /// [`fold::narrow`].
    Narrow(&'a [i64], &'a mut Vec<u8>),
    /// [`fold::widen`].
    Widen(&'a mut [i64], &'a [u8]),
    /// [`robust::aggregate`].
    Robust(&'a mut [i64], &'a [&'a [i8]], Option<u16>),
}

/// Runs a loop on an instruction set.
pub(super) fn run(isa: Isa, work: Loop<'_>) {
    match isa.0 {
        Set::Portable => portable(work),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Isa` has no other constructors than those above, and they make this value only where
        // `is_x86_feature_detected!` has found AVX2.
        Set::Avx2 => unsafe { avx2(work) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above, for the four parts of AVX-512 that the function enables.
        Set::Avx512 => unsafe { avx512(work) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(work: Loop<'_>) {
    portable(work);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512(work: Loop<'_>) {
    portable(work);
}

#[inline(always)]
fn portable(work: Loop<'_>) {
    match work {
        Loop::One(lanes, row, factor) => fold::one(lanes, row, factor),
        Loop::Equal(lanes, rows, factor) => fold::equal(lanes, rows, factor),
        Loop::Weighted(lanes, rows) => fold::weighted(lanes, rows),
        Loop::Narrow(lanes, out) => fold::narrow(lanes, out),
        Loop::Widen(lanes, bytes) => fold::widen(lanes, bytes),
        Loop::Robust(lanes, rows, trim) => robust::aggregate(lanes, rows, trim),
    }
}
