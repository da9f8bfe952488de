//! How long transactions take and wait, by name.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::{Label, Times};

/// The times of transactions: one for each store, shared with who shows them.
#[derive(Clone, Debug)]
pub(crate) struct Timings {
    took: Times<Label>,
    waited: Times<Label>,
    failures: Family<[(&'static str, &'static str); 2], Counter>,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            took: Times::new_with_constructor(buckets),
            waited: Times::new_with_constructor(buckets),
            failures: Family::default(),
        }
    }
}

impl Timings {
    /// A transaction ran.
    pub(crate) fn ran(&self, tx: &'static str, took: Duration, waited: Duration) {
        self.took.get_or_create(&[("tx", tx)]).observe(took.as_secs_f64());
        self.waited.get_or_create(&[("tx", tx)]).observe(waited.as_secs_f64());
    }

    /// A transaction was not committed.
    pub(crate) fn failed(&self, tx: &'static str, why: &'static str) {
        self.failures.get_or_create(&[("tx", tx), ("why", why)]).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "tx",
            "How long transactions took in the database, by name",
            Unit::Seconds,
            self.took.clone(),
        );
        registry.register_with_unit(
            "tx_wait",
            "How long transactions waited for their connection, by name: of writes, for the writer",
            Unit::Seconds,
            self.waited.clone(),
        );
        registry.register(
            "tx_failures",
            "Transactions that were not committed, by name and why: full, busy, closed, failed",
            self.failures.clone(),
        );
    }
}

/// From half a millisecond to four seconds: a sync of a slow disk lies in between.
pub(super) fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 4.0, 7))
}
