//! Traces: one from a node's push to the version that it went into.
//!
//! A call that carries `traceparent` (W3C Trace Context) goes on in its caller's trace. The traces of updates that were
//! counted are remembered until their round is settled, and each gets a span of that: whoever looks at a push sees what
//! became of it. Which traces are recorded at all is for the coordinator to say, by their ids: not for whoever calls.
//! Without a collector to send them to, nothing is remembered and a call costs a look at its span.
//!
//! A trace is a help for people: after a restart the spans of the rounds that were open are missing, and an update that came
//! late to an asynchronous run has no end in its trace.

use std::collections::BTreeMap;
use std::sync::Mutex;

use federation::RoundRef;
use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::{Empty, display};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Most traces of a round that are told of its end.
const UPDATES_MAX: usize = 256;

/// Most rounds whose traces are remembered: the newest.
const ROUNDS_MAX: usize = 64;

/// The traces of updates that wait for their round's end.
#[derive(Debug, Default)]
pub(crate) struct Traces(Mutex<BTreeMap<RoundRef, Vec<SpanContext>>>);

impl Traces {
    /// An update for `round` goes to be counted, by the call in whose span this is. It is remembered from now on, because
    /// it may be what the round waits for.
    pub(crate) fn counting(&self, round: RoundRef) -> Option<SpanContext> {
        let current = Span::current();
        if current.is_disabled() {
            return None;
        }
        let current = current.context();
        let context = current.span().span_context().clone();
        if !context.is_sampled() {
            return None;
        }
        let mut rounds = self.0.lock().expect("no code panics while it holds the traces");
        let updates = rounds.entry(round).or_default();
        if updates.len() < UPDATES_MAX {
            updates.push(context.clone());
        }
        if rounds.len() > ROUNDS_MAX {
            rounds.pop_first();
        }
        Some(context)
    }

    /// It was not counted: what becomes of the round is nothing to it.
    pub(crate) fn refused(&self, round: RoundRef, update: &SpanContext) {
        let mut rounds = self.0.lock().expect("no code panics while it holds the traces");
        if let Some(updates) = rounds.get_mut(&round) {
            updates.retain(|other| other.span_id() != update.span_id());
        }
    }

    /// `round` is about to be settled: a span for each trace of its updates.
    pub(crate) fn settling(&self, round: RoundRef) -> Settling {
        let mut rounds = self.0.lock().expect("no code panics while it holds the traces");
        let updates = rounds.get_mut(&round).map(std::mem::take).unwrap_or_default();
        let spans = updates.into_iter().map(|update| {
            let span = tracing::info_span!(
                parent: None,
                "settle round",
                run.id = round.run.0,
                round = round.number,
                attempt = round.attempt,
                round.state = Empty,
                version = Empty,
                version.digest = Empty,
            );
            follow(&span, Context::new().with_remote_span_context(update.clone()));
            (update, span)
        });
        Settling { round, spans: spans.collect() }
    }

    /// What was settled needs no traces any more; what was not goes on with them.
    pub(crate) fn waits(&self, settling: Settling) {
        let mut rounds = self.0.lock().expect("no code panics while it holds the traces");
        let updates = settling.spans.into_iter().map(|(update, _)| update);
        rounds.entry(settling.round).or_default().extend(updates);
    }

    /// Forgets a round.
    pub(crate) fn settled(&self, round: RoundRef) {
        self.0.lock().expect("no code panics while it holds the traces").remove(&round);
    }
}

/// The spans of a round that is being settled. They end with this.
#[derive(Debug)]
pub(crate) struct Settling {
    round: RoundRef,
    spans: Vec<(SpanContext, Span)>,
}

impl Settling {
    /// The round's updates are in this version.
    pub(crate) fn published(&self, version: u32, digest: impl std::fmt::Display) {
        for (_, span) in &self.spans {
            span.record("round.state", "published").record("version", version);
            span.record("version.digest", display(&digest));
        }
    }

    /// The round's updates are in no version.
    pub(crate) fn abandoned(&self) {
        for (_, span) in &self.spans {
            span.record("round.state", "abandoned");
        }
    }
}

/// Makes `span` go on in the trace that a call names, if it does.
pub(crate) fn follow_caller(span: &Span, caller: &impl Extractor) {
    if !span.is_disabled() && caller.get("traceparent").is_some() {
        follow(span, TraceContextPropagator::new().extract(caller));
    }
}

fn follow(span: &Span, parent: Context) {
    // It fails where nobody records spans.
    let _ = span.set_parent(parent);
}

/// What a call's headers name.
pub(crate) struct Headers<'a>(pub(crate) &'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// A `traceparent` without its companions.
pub(crate) struct Parent<'a>(pub(crate) &'a str);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent" && !self.0.is_empty()).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}
