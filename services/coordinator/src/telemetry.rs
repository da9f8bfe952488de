//! What a coordinator says of itself while it works: log lines on standard error, as text for people or as JSON for
//! machines, and traces to a collector, if there is one.

use std::io;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

use crate::config::{Config, LogFormat};

/// Longest that the collector may take for what is sent to it.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(5);

/// What is logged, which can be changed.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

/// The way of traces to their collector.
#[derive(Debug)]
pub struct Tracing(Option<SdkTracerProvider>);

/// Sets the process's subscriber. Only a program does this, once, within a runtime; a library that runs a coordinator
/// leaves it be.
///
/// # Panics
/// When `config` was not checked, or a subscriber is set already.
pub fn init(config: &Config) -> (LogFilter, Tracing) {
    let (filter, handle) = reload::Layer::new(parse(&config.log));
    let lines = match config.log_format {
        LogFormat::Text => fmt::layer().with_writer(io::stderr).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
    };
    let provider = (!config.traces_endpoint.is_empty()).then(|| provider(config));
    let traces = provider.as_ref().map(|provider| {
        let ours = filter_fn(|about| {
            about.target().starts_with("coordinator") && *about.level() <= Level::INFO
        });
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("muster"))
            .with_location(false)
            .with_threads(false)
            .with_filter(ours)
    });
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces).init();
    (LogFilter(handle), Tracing(provider))
}

fn provider(config: &Config) -> SdkTracerProvider {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&config.traces_endpoint)
        .with_timeout(EXPORT_TIME_MAX)
        .build()
        .expect("a checked configuration's URL parses");
    let about = Resource::builder()
        .with_service_name("muster")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::TraceIdRatioBased(f64::from(config.traces_per_1000) / 1_000.0))
        .with_resource(about)
        .build()
}

impl LogFilter {
    /// Logs what `config` says from now on.
    ///
    /// # Panics
    /// When `config` was not checked.
    pub(crate) fn apply(&self, config: &Config) {
        if let Err(error) = self.0.reload(parse(&config.log)) {
            tracing::error!(%error, "what is logged could not be changed");
        }
    }
}

impl Tracing {
    /// Sends what is left.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        #[expect(clippy::disallowed_methods, reason = "the program ends; no simulation comes here")]
        let ended = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last traces did not reach their collector");
        }
    }
}

fn parse(filter: &str) -> EnvFilter {
    EnvFilter::try_new(filter).expect("a checked configuration's level parses")
}
