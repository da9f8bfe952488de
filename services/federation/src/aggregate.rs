//! Aggregation: exact integers, then one rounding.
//!
//! Sums are integers, so no order, grouping or number of replicas can change them. The server optimiser then runs in
//! f64, in index order, with `+ - * / sqrt` only, on a master copy finer than 8 bits; rounding to the next version is
//! ties-to-even. Same inputs, same bytes, every machine, whatever vectors its processor has.
//!
//! * [`Sum`]: updates folded one by one or many at once; what is stored of a round.
//! * [`lanes`]: what a payload's bytes are.
//! * [`median`], [`trimmed_mean`]: robust aggregates of kept vectors, as sums too.
//! * [`staleness`]: what a late update still weighs.
//! * [`Master`], [`advance`], [`publish`]: from a sum to the next version.

mod fold;
mod optimise;
mod robust;
mod simd;
pub mod staleness;
mod sum;

pub use optimise::{Master, advance, publish};
pub use robust::{median, trimmed_mean};
pub use simd::lanes;
pub use sum::{Sum, SumError, Weight};
