//! Configuration: one declaration of all settings; read once, checked whole, every mistake told at once.
//!
//! A new setting is one entry of `settings!` below, and a check in [`Config::check`] if its value alone does not say
//! whether it is good. Its flag and its variable are called like its field; the file's table and key are its own. No
//! setting holds a secret: one that needs a secret names the file that holds it.

mod args;
mod file;
mod problem;
mod setting;
mod show;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use federation::limits::RETRY_MS_MAX;
use federation::pace::Pace;
use tracing_subscriber::EnvFilter;

use crate::access::Auth;
use crate::care::retention::Policy;
use crate::commit::GroupLimits;
use crate::core::Limits;

pub use self::args::{Args, CONFIG_FILE, Loaded, Origin, Wish, warn_of_unknown_variables};
use self::problem::{ADDRESS_NOT_LOOPBACK, TLS_INCOMPLETE};
pub use self::problem::{ConfigError, ConfigProblem};
pub use self::setting::{Effect, Setting};
use self::setting::{Kind, settings};
pub use self::show::default_file;

settings! {
    /// Where people and tools reach the coordinator by HTTP; port 0 for any free one
    http_listen: SocketAddr = loopback(7400) => "http.listen", ADDRESS, Restart;

    /// Where nodes reach the coordinator by gRPC; port 0 for any free one
    grpc_listen: SocketAddr = loopback(7401) => "grpc.listen", ADDRESS, Restart;

    /// File of the certificate that both doors show, in PEM, followed by those that vouch for it; read again on SIGHUP
    tls_cert: Option<PathBuf> = None => "tls.cert", FILE, Restart;

    /// File of the certificate's private key, in PEM; read again on SIGHUP
    tls_key: Option<PathBuf> = None => "tls.key", FILE, Restart;

    /// Let other machines in although connections are not encrypted or anybody may ask
    insecure: bool = false => "tls.insecure", BOOL, Restart;

    /// Whether callers must show who they are: tokens, or none on an address that only this machine reaches
    auth: Auth = Auth::None => "access.auth", AUTH, Restart;

    /// Directory of the database; made if it is not there
    data_dir: PathBuf = "muster-data".into() => "data.dir", DIR, Restart;

    /// Largest size of the database, in MiB; 0 for as large as the disk. A full one answers as a full disk does
    database_size_max_mib: u32 = 0 => "data.size_max_mib", MIB, Restart;

    /// What is logged: error, warn, info, debug, trace, or directives such as info,coordinator=debug
    log: String = "info".to_owned() => "log.level", FILTER, Reload;

    /// How log lines look on standard error: text or json
    log_format: LogFormat = LogFormat::Text => "log.format", FORMAT, Restart;

    /// Where traces go, by OTLP over gRPC, such as http://127.0.0.1:4317; empty for no traces
    traces_endpoint: String = String::new() => "traces.endpoint", URL, Restart;

    /// Of a thousand traces, how many are recorded, drawn by their ids
    traces_per_1000: u32 = 1_000 => "traces.per_1000", N, Restart, 0..=1_000;

    /// How often rounds are looked at when nothing calls for it, in milliseconds
    tick_ms: u64 = 100 => "rounds.tick_ms", MS, Reload, 10..=1_000;

    /// Most questions for work a second, of the whole fleet: the larger it is, the less often each node is told to ask
    ask_per_s_max: u32 = 500 => "limits.ask_per_s_max", N, Reload, 1..=100_000;

    /// Least window over which idle nodes spread their next question, in milliseconds
    idle_retry_ms_max: u32 = 5_000 => "limits.idle_retry_ms_max", MS, Reload, 50..=RETRY_MS_MAX as u64;

    /// Most updates counted in one transaction
    group_updates_max: u32 = 256 => "limits.group_updates_max", N, Reload, 1..=65_536;

    /// Most payload counted in one transaction, in KiB
    group_kib_max: u32 = 8_192 => "limits.group_kib_max", KIB, Reload, 1..=1 << 20;

    /// Longest that an update waits for others to be counted with, in milliseconds
    group_wait_ms: u64 = 4 => "limits.group_wait_ms", MS, Reload, 0..=1_000;

    /// Most updates that wait to be counted; beyond it nodes are told to come back
    queue_updates_max: u32 = 4_096 => "limits.queue_updates_max", N, Restart, 1..=1 << 20;

    /// Most memory for updates that are being received or wait to be counted, in MiB; the largest update must fit
    payloads_mib_max: u32 = 64 => "limits.payloads_mib_max", MIB, Restart, 5..=1 << 16;

    /// Days that events are kept; 0 for ever
    retention_events_days: u32 = 30 => "retention.events_days", DAYS, Reload, 0..=36_500;

    /// Days that a round's sum is kept after its end, without which its version cannot be replayed; 0 for ever
    retention_sums_days: u32 = 0 => "retention.sums_days", DAYS, Reload, 0..=36_500;

    /// Days that a round's receipts and cohort are kept after its end; 0 for ever
    retention_receipts_days: u32 = 0 => "retention.receipts_days", DAYS, Reload, 0..=36_500;

    /// How many artifacts are kept of each model, the newest, besides those in use; 0 for all
    retention_versions_newest: u32 = 0 => "retention.versions_newest", N, Reload, 0..=1 << 30;

    /// Of older artifacts, each one is kept whose version number is a multiple of this; 0 for none
    retention_versions_every: u32 = 0 => "retention.versions_every", N, Reload, 0..=1 << 30;

    /// Longest that shutdown waits for requests in flight, in milliseconds
    shutdown_grace_ms: u64 = 20_000 => "shutdown.grace_ms", MS, Reload, 0..=600_000;
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Checks every value. A problem's place is the flag of its setting.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem there is.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let addresses = [("--http-listen", self.http_listen), ("--grpc-listen", self.grpc_listen)];
        for (flag, address) in addresses {
            if !(is_loopback(address.ip()) || self.insecure || self.is_guarded()) {
                let expected = "a loopback address: any other needs TLS and tokens, or --insecure";
                problems.push(ConfigProblem::value(ADDRESS_NOT_LOOPBACK, flag, expected, address));
            }
        }
        if self.http_listen == self.grpc_listen && self.http_listen.port() != 0 {
            let expected = "another address than http.listen";
            problems.push(ConfigProblem::invalid("--grpc-listen", expected, self.grpc_listen));
        }
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), None) => Some(("--tls-cert", "beside tls.key", cert)),
            (None, Some(key)) => Some(("--tls-key", "beside tls.cert", key)),
            _ => None,
        };
        if let Some((flag, expected, file)) = tls {
            let got = format!("{} alone", file.display());
            problems.push(ConfigProblem::value(TLS_INCOMPLETE, flag, expected, got));
        }
        if let Err(error) = EnvFilter::try_new(&self.log) {
            let expected = format!("a level or directives ({error})");
            problems.push(ConfigProblem::invalid("--log", expected, &self.log));
        }
        if !self.traces_endpoint.is_empty() && !is_collector(&self.traces_endpoint) {
            let expected = "an http or https URL without a path, such as http://127.0.0.1:4317";
            let got = &self.traces_endpoint;
            problems.push(ConfigProblem::invalid("--traces-endpoint", expected, got));
        }
        for setting in SETTINGS {
            if let (Some(range), Some(value)) = (&setting.range, setting.value(self).as_integer())
                && !u64::try_from(value).is_ok_and(|value| range.contains(&value))
            {
                let expected = format!("{} to {}", range.start(), range.end());
                problems.push(ConfigProblem::invalid(setting.flag(), expected, value));
            }
        }
        ConfigError::unless_none(problems)
    }

    /// Whether others can neither listen in nor ask without a token.
    fn is_guarded(&self) -> bool {
        self.tls_cert.is_some() && self.authenticated()
    }

    /// Whether who asks must have a token.
    fn authenticated(&self) -> bool {
        self.auth == Auth::Tokens
    }

    /// The bounds that the coordinator keeps to.
    pub(crate) fn limits(&self) -> Limits {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Limits {
            groups: GroupLimits {
                updates_max: size(self.group_updates_max),
                bytes_max: size(self.group_kib_max).saturating_mul(1024),
                wait: Duration::from_millis(self.group_wait_ms),
                queue_max: size(self.queue_updates_max),
            },
            payloads_kib_max: size(self.payloads_mib_max).saturating_mul(1024),
            tick: Duration::from_millis(self.tick_ms),
            grace: Duration::from_millis(self.shutdown_grace_ms),
            retention: Policy {
                events_days: self.retention_events_days,
                sums_days: self.retention_sums_days,
                receipts_days: self.retention_receipts_days,
                versions_newest: self.retention_versions_newest,
                versions_every: self.retention_versions_every,
            },
            pace: Pace { asks_per_s_max: self.ask_per_s_max, idle_ms: self.idle_retry_ms_max },
            nodes: self.auth,
            people: self.auth,
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn is_collector(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.authority().is_some()
            && url.path_and_query().is_none_or(|path| path == "/")
    })
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests;
