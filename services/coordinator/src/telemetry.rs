//! Log lines on standard error, as text for people or as JSON for machines.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat};

/// Sets the process's subscriber. Only a program does this, once; a library that runs a coordinator leaves it be.
///
/// # Panics
/// When `config` was not checked, or a subscriber is set already.
pub fn init(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).expect("a checked configuration's level parses");
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => base.finish().init(),
        LogFormat::Json => base.json().flatten_event(true).finish().init(),
    }
}
