//! What the coordinator counts and times, for Prometheus: names, units and helps as its conventions want them.
//!
//! What happens is counted where it happens; how things stand is read when somebody asks (`now`). Labels have few values:
//! codes, names of transactions and routes, models, channels, runs that are not over. No node has a label of its own.

mod now;
mod process;
mod refused;
#[cfg(test)]
mod tests;
mod timings;

use std::fmt;
use std::time::Duration;

use federation::invariant::Invariant;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub(crate) use self::refused::{Refused, RefusedUpdate};
pub(crate) use self::timings::Timings;
use crate::core::Core;
use crate::store::StoreError;

/// What all names begin with.
const PREFIX: &str = "muster";

/// The type of the text that [`text`] makes.
pub(crate) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// One label.
type Label = [(&'static str, &'static str); 1];
/// Something counted by one label.
type Counts = Family<Label, Counter>;
/// Something timed by the route or the transaction.
type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// What is counted while the coordinator runs.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    updates: Counts,
    update_bytes: Counter,
    evaluations: Counts,
    rounds: Counts,
    round_seconds: Histogram,
    violations: Counts,
    requests: Family<Vec<(&'static str, String)>, Counter>,
    request_seconds: Times<Vec<(&'static str, String)>>,
    calls: Family<[(&'static str, &'static str); 2], Counter>,
    /// Updates that were refused, for people to see whose and why.
    pub(crate) refused: Refused,
}

/// A REST request that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    /// Its method.
    pub(crate) method: &'a str,
    /// The route it matched; `None` for none.
    pub(crate) route: Option<&'a str>,
    /// The status of the answer.
    pub(crate) status: u16,
    /// How long it took to begin to answer it.
    pub(crate) took: Duration,
}

impl Metrics {
    /// Everything at zero. `timings` are the store's.
    pub(crate) fn new(timings: &Timings) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let updates = Counts::default();
        let update_bytes = Counter::default();
        let evaluations = Counts::default();
        let rounds = Counts::default();
        let round_seconds =
            Histogram::new([1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0]);
        let violations = Counts::default();
        let requests = Family::default();
        let request_seconds = Times::new_with_constructor(timings::buckets);
        let calls = Family::default();
        registry.register(
            "updates",
            "Updates that nodes offered, by outcome: counted, again (counted before), or why not",
            updates.clone(),
        );
        registry.register_with_unit(
            "update",
            "Payload of the updates that were counted",
            Unit::Bytes,
            update_bytes.clone(),
        );
        registry.register(
            "evaluations",
            "Reports of nodes on versions, by outcome: recorded, or why not",
            evaluations.clone(),
        );
        registry.register(
            "rounds",
            "Rounds that ended, by outcome: published, abandoned, failed (and tried again)",
            rounds.clone(),
        );
        registry.register_with_unit(
            "round_open",
            "How long rounds were open, in time of serving",
            Unit::Seconds,
            round_seconds.clone(),
        );
        registry.register(
            "invariant_violations",
            "What must always hold and did not, by id; anything but nothing is a bug",
            violations.clone(),
        );
        registry.register(
            "http_requests",
            "Requests to REST and the dashboard, by method, route and status",
            requests.clone(),
        );
        registry.register_with_unit(
            "http_request",
            "How long it took to begin the answer to a request, by route",
            Unit::Seconds,
            request_seconds.clone(),
        );
        registry.register("grpc_calls", "Calls of nodes, by method and gRPC code", calls.clone());
        timings.register(&mut registry);
        // A counter that is there from the start has a rate from the start.
        for outcome in ["counted", "again"] {
            let _ = updates.get_or_create(&[("outcome", outcome)]);
        }
        for outcome in ["published", "abandoned"] {
            let _ = rounds.get_or_create(&[("outcome", outcome)]);
        }
        for Invariant { id, .. } in federation::invariant::ALL {
            let _ = violations.get_or_create(&[("id", id)]);
        }
        Self {
            registry,
            updates,
            update_bytes,
            evaluations,
            rounds,
            round_seconds,
            violations,
            requests,
            request_seconds,
            calls,
            refused: Refused::default(),
        }
    }

    /// An update was offered.
    pub(crate) fn update(&self, outcome: &'static str) {
        self.updates.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// An update was counted, whose payload has so many bytes.
    pub(crate) fn counted(&self, bytes: u64) {
        self.update("counted");
        self.update_bytes.inc_by(bytes);
    }

    /// A node reported on a version.
    pub(crate) fn evaluation(&self, outcome: &'static str) {
        self.evaluations.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A round ended after so much serving.
    pub(crate) fn round(&self, outcome: &'static str, served_ms: u64) {
        self.rounds.get_or_create(&[("outcome", outcome)]).inc();
        self.round_seconds.observe(seconds(served_ms));
    }

    /// A round could not be ended.
    pub(crate) fn round_failed(&self, error: &StoreError) {
        self.rounds.get_or_create(&[("outcome", "failed")]).inc();
        if let Some(violation) = error.violation() {
            self.violations.get_or_create(&[("id", violation.0.id)]).inc();
        }
    }

    /// A request was answered.
    pub(crate) fn request(&self, Answered { method, route, status, took }: Answered<'_>) {
        // Whoever asks may not make up labels.
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = if known.contains(&method) { method } else { "other" };
        let route = route.unwrap_or("none").to_owned();
        let labels = vec![
            ("method", method.to_owned()),
            ("route", route.clone()),
            ("status", status.to_string()),
        ];
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.get_or_create(&vec![("route", route)]).observe(took.as_secs_f64());
    }

    /// A node's call was answered.
    pub(crate) fn call(&self, method: &'static str, code: &'static str) {
        let labels = [("method", method), ("code", code)];
        self.calls.get_or_create(&labels).inc();
    }
}

/// Everything as text, in the format of Prometheus.
pub(crate) async fn text(core: &Core) -> Result<String, StoreError> {
    let now = now::read(core).await?;
    let mut text = String::new();
    let written = encode(&mut text, &core.metrics.registry, &now);
    written.expect("a text takes what is written to it");
    Ok(text)
}

fn encode(text: &mut String, counted: &Registry, now: &Registry) -> fmt::Result {
    prometheus_text::encode(text, counted)?;
    prometheus_text::encode(text, now)
}

/// Milliseconds as seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "what is off by less than a millisecond in 285,000 years is exact enough"
)]
pub(crate) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
