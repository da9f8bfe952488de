//! What happened, in order: every event that the agents and the coordinator log, with its simulated time and its host,
//! and what the world does to them. Two runs of one seed are the same if these lines are.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event as TracingEvent, Level, Metadata, Subscriber};

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at_ms: u64,
    pub(crate) host: String,
    pub(crate) level: Level,
    pub(crate) message: String,
    /// Everything besides, as text, by name.
    pub(crate) fields: BTreeMap<&'static str, String>,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_ms, host, level, message, fields } = self;
        let mark = if *level == Level::ERROR { "ERROR " } else { "" };
        write!(f, "{at_ms:>7} {host:<11} {mark}{message}")?;
        fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// The log of one run; also the subscriber that fills it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    now_ms: u64,
    /// turmoil runs each host inside a span with the host's name.
    spans: BTreeMap<u64, String>,
    host: Vec<String>,
    events: Vec<Event>,
}

impl Log {
    /// Simulated time, as far as the events are concerned: the beginning of a step.
    pub(crate) fn set_now(&self, now_ms: u64) {
        self.inner().now_ms = now_ms;
    }

    /// Notes what the world does.
    pub(crate) fn note(&self, message: String) {
        let mut inner = self.inner();
        let at_ms = inner.now_ms;
        let host = "world".to_owned();
        let (level, fields) = (Level::INFO, BTreeMap::new());
        inner.events.push(Event { at_ms, host, level, message, fields });
    }

    /// The events from `from` on.
    pub(crate) fn since(&self, from: usize) -> Vec<Event> {
        self.inner().events[from..].to_vec()
    }

    /// All lines.
    pub(crate) fn text(&self) -> String {
        self.inner().events.iter().fold(String::new(), |mut text, event| {
            writeln!(text, "{event}").expect("text takes any line");
            text
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nothing panics while it holds the log")
    }
}

impl Subscriber for Log {
    /// Events from `debug` up: what is traced has real durations in it.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let ours = target.starts_with("agent") || target.starts_with("coordinator");
        let host = target.starts_with("turmoil") && metadata.name() == "node";
        (metadata.is_event() && ours && *metadata.level() <= Level::DEBUG)
            || (metadata.is_span() && host)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut inner = self.inner();
        let id = inner.spans.keys().next_back().map_or(1, |last| last + 1);
        inner.spans.insert(id, fields.0.remove("name").unwrap_or_default());
        Id::from_u64(id)
    }

    fn try_close(&self, span: Id) -> bool {
        self.inner().spans.remove(&span.into_u64());
        true
    }

    fn enter(&self, span: &Id) {
        let mut inner = self.inner();
        let host = inner.spans.get(&span.into_u64()).cloned().unwrap_or_default();
        inner.host.push(host);
    }

    fn exit(&self, _: &Id) {
        self.inner().host.pop();
    }

    fn event(&self, event: &TracingEvent<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut inner = self.inner();
        let at_ms = inner.now_ms;
        let host = inner.host.last().cloned().unwrap_or_default();
        let message = fields.0.remove("message").unwrap_or_default();
        let (level, fields) = (*event.metadata().level(), fields.0);
        inner.events.push(Event { at_ms, host, level, message, fields });
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    /// The first of a name stays: some events have a field that is called like their message.
    fn keep(&mut self, field: &Field, text: String) {
        self.0.entry(field.name()).or_insert(text);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }
}
