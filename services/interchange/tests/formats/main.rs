//! Every format, out and back, whole and damaged.
#![expect(clippy::unwrap_used, reason = "test code")]

mod damaged;
mod models;
mod round_trip;
