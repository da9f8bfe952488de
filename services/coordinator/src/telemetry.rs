//! Log lines on standard error, as text for people or as JSON for machines.

use std::io;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

use crate::config::{Config, LogFormat};

/// What is logged, which can be changed.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

/// Sets the process's subscriber. Only a program does this, once; a library that runs a coordinator leaves it be.
///
/// # Panics
/// When `config` was not checked, or a subscriber is set already.
pub fn init(config: &Config) -> LogFilter {
    let (filter, handle) = reload::Layer::new(parse(&config.log));
    let lines = match config.log_format {
        LogFormat::Text => fmt::layer().with_writer(io::stderr).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    LogFilter(handle)
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

fn parse(filter: &str) -> EnvFilter {
    EnvFilter::try_new(filter).expect("a checked configuration's level parses")
}
