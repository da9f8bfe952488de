//! Configuration: read once, checked whole, every mistake told at once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use federation::limits::RETRY_MS_MAX;
use federation::pace::Pace;
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::commit::GroupLimits;
use crate::core::Limits;

/// What the command line and the environment say: texts, parsed by [`Config::try_from`].
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Directory of the database; made if it is not there
    #[arg(long, env = "MUSTER_DATA_DIR", value_name = "DIR", default_value = "muster-data")]
    pub data_dir: PathBuf,
    /// Where people and tools reach the coordinator by HTTP
    #[arg(
        long,
        env = "MUSTER_HTTP_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:7400"
    )]
    pub http_listen: String,
    /// Where nodes reach the coordinator by gRPC
    #[arg(
        long,
        env = "MUSTER_GRPC_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:7401"
    )]
    pub grpc_listen: String,
    /// File of the certificate that both doors show, in PEM, followed by those that vouch for it; read again on SIGHUP
    #[arg(long, env = "MUSTER_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// File of the certificate's private key, in PEM
    #[arg(long, env = "MUSTER_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Let other machines in although connections are not encrypted or anybody may ask
    #[arg(long, env = "MUSTER_INSECURE")]
    pub insecure: bool,
    /// How log lines look on standard error: `text` or `json`
    #[arg(long, env = "MUSTER_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: String,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,coordinator=debug`
    #[arg(long, env = "MUSTER_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// Longest that shutdown waits for requests in flight, in milliseconds
    #[arg(long, env = "MUSTER_SHUTDOWN_GRACE_MS", value_name = "MS", default_value = "20000")]
    pub shutdown_grace_ms: String,
    /// How often rounds are looked at when nothing calls for it, in milliseconds
    #[arg(long, env = "MUSTER_TICK_MS", value_name = "MS", default_value = "100")]
    pub tick_ms: String,
    /// Largest size of the database, in MiB; 0 for as large as the disk
    #[arg(long, env = "MUSTER_DATABASE_SIZE_MAX_MIB", value_name = "MIB", default_value = "0")]
    pub database_size_max_mib: String,
    /// Most questions for work a second, of the whole fleet: the larger it is, the less often each node is told to ask
    #[arg(long, env = "MUSTER_ASK_PER_S_MAX", value_name = "N", default_value = "500")]
    pub ask_per_s_max: String,
    /// Least window over which idle nodes spread their next question, in milliseconds
    #[arg(long, env = "MUSTER_IDLE_RETRY_MS_MAX", value_name = "MS", default_value = "5000")]
    pub idle_retry_ms_max: String,
    /// Most updates counted in one transaction
    #[arg(long, env = "MUSTER_GROUP_UPDATES_MAX", value_name = "N", default_value = "256")]
    pub group_updates_max: String,
    /// Most payload counted in one transaction, in KiB
    #[arg(long, env = "MUSTER_GROUP_KIB_MAX", value_name = "KIB", default_value = "8192")]
    pub group_kib_max: String,
    /// Longest that an update waits for others to be counted with, in milliseconds
    #[arg(long, env = "MUSTER_GROUP_WAIT_MS", value_name = "MS", default_value = "4")]
    pub group_wait_ms: String,
    /// Most updates that wait to be counted; beyond it nodes are told to come back
    #[arg(long, env = "MUSTER_QUEUE_UPDATES_MAX", value_name = "N", default_value = "4096")]
    pub queue_updates_max: String,
    /// Most memory for updates that are being received or wait to be counted, in MiB
    #[arg(long, env = "MUSTER_PAYLOADS_MIB_MAX", value_name = "MIB", default_value = "64")]
    pub payloads_mib_max: String,
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

/// A coordinator's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Directory of the database.
    pub data_dir: PathBuf,
    /// Where REST listens; port 0 for any free one.
    pub http_listen: SocketAddr,
    /// Where gRPC listens; port 0 for any free one.
    pub grpc_listen: SocketAddr,
    /// The certificate that both doors show and those that vouch for it, in PEM; `None` for no TLS.
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Whether other machines are let in without TLS or tokens.
    pub insecure: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log: String,
    /// Longest that shutdown waits for requests in flight.
    pub shutdown_grace_ms: u64,
    /// How often rounds are looked at when nothing calls for it.
    pub tick_ms: u64,
    /// Largest size of the database in MiB; 0 sets no limit.
    pub database_size_max_mib: u32,
    /// Most questions for work a second, of the whole fleet.
    pub ask_per_s_max: u32,
    /// Least window over which idle nodes spread their next question.
    pub idle_retry_ms_max: u32,
    /// Most updates counted in one transaction.
    pub group_updates_max: u32,
    /// Most payload counted in one transaction, in KiB.
    pub group_kib_max: u32,
    /// Longest that an update waits for others to be counted with.
    pub group_wait_ms: u64,
    /// Most updates that wait to be counted.
    pub queue_updates_max: u32,
    /// Most memory for updates that are being received or wait to be counted.
    pub payloads_mib_max: u32,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Stable code, for programs.
    pub code: &'static str,
    /// The flag, whose environment variable is named alike.
    pub flag: &'static str,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub got: String,
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ConfigError {
    /// The problems; at least one.
    pub problems: Vec<ConfigProblem>,
}

/// A value of the wrong form or outside its range.
const CONFIG_INVALID: &str = "config_invalid";
/// A certificate without a key, or the other way round.
const TLS_INCOMPLETE: &str = "tls_incomplete";
/// An address that other machines can reach, without tokens and TLS to guard it.
const ADDRESS_NOT_LOOPBACK: &str = "address_not_loopback";

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("muster-data"),
            http_listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            grpc_listen: SocketAddr::from(([127, 0, 0, 1], 7401)),
            tls_cert: None,
            tls_key: None,
            insecure: false,
            log_format: LogFormat::Text,
            log: "info".to_owned(),
            shutdown_grace_ms: 20_000,
            tick_ms: 100,
            database_size_max_mib: 0,
            ask_per_s_max: 500,
            idle_retry_ms_max: 5_000,
            group_updates_max: 256,
            group_kib_max: 8_192,
            group_wait_ms: 4,
            queue_updates_max: 4_096,
            payloads_mib_max: 64,
        }
    }
}

impl Config {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem there is.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let addresses = [("--http-listen", self.http_listen), ("--grpc-listen", self.grpc_listen)];
        for (flag, address) in addresses {
            if !(is_loopback(address.ip()) || self.insecure || self.is_guarded()) {
                problems.push(ConfigProblem {
                    code: ADDRESS_NOT_LOOPBACK,
                    flag,
                    expected: "a loopback address: any other needs TLS and tokens, or --insecure"
                        .to_owned(),
                    got: address.to_string(),
                });
            }
        }
        let files = [("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key)];
        for ((flag, file), (other, given)) in [(files[0], files[1]), (files[1], files[0])] {
            if let (None, Some(given)) = (file, given) {
                problems.push(ConfigProblem {
                    code: TLS_INCOMPLETE,
                    flag,
                    expected: format!("a file too, beside {other} {}", given.display()),
                    got: String::new(),
                });
            }
        }
        if self.http_listen == self.grpc_listen && self.http_listen.port() != 0 {
            let expected = "another address than --http-listen".to_owned();
            problems.push(invalid("--grpc-listen", expected, self.grpc_listen));
        }
        if let Err(error) = EnvFilter::try_new(&self.log) {
            let expected = format!("a level or directives ({error})");
            problems.push(invalid("--log", expected, &self.log));
        }
        let ranges = [
            ("--shutdown-grace-ms", self.shutdown_grace_ms, 0, 600_000),
            ("--tick-ms", self.tick_ms, 10, 1_000),
            ("--ask-per-s-max", self.ask_per_s_max.into(), 1, 100_000),
            ("--idle-retry-ms-max", self.idle_retry_ms_max.into(), 50, RETRY_MS_MAX.into()),
            ("--group-updates-max", self.group_updates_max.into(), 1, 65_536),
            ("--group-kib-max", self.group_kib_max.into(), 1, 1 << 20),
            ("--group-wait-ms", self.group_wait_ms, 0, 1_000),
            ("--queue-updates-max", self.queue_updates_max.into(), 1, 1 << 20),
            // The largest update must fit.
            ("--payloads-mib-max", self.payloads_mib_max.into(), 5, 1 << 16),
        ];
        for (flag, got, min, max) in ranges {
            if !(min..=max).contains(&got) {
                problems.push(invalid(flag, format!("{min} to {max}"), got));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }

    /// Whether others can neither listen in nor ask without a token.
    fn is_guarded(&self) -> bool {
        self.tls_cert.is_some() && self.authenticated()
    }

    /// Whether who asks must have a token. Until there are tokens, nobody has one.
    fn authenticated(&self) -> bool {
        false
    }

    /// The bounds of what the coordinator holds in memory.
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
            pace: Pace { asks_per_s_max: self.ask_per_s_max, idle_ms: self.idle_retry_ms_max },
        }
    }
}

/// The configuration, parsed and checked.
impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Self, ConfigError> {
        let default = Self::default();
        let mut problems = Vec::new();
        let address = "an IP address and a port, such as 127.0.0.1:7400";
        let number = "a whole number";
        let config = Self {
            data_dir: args.data_dir,
            http_listen: parse(&mut problems, "--http-listen", &args.http_listen, address)
                .unwrap_or(default.http_listen),
            grpc_listen: parse(&mut problems, "--grpc-listen", &args.grpc_listen, address)
                .unwrap_or(default.grpc_listen),
            tls_cert: args.tls_cert,
            tls_key: args.tls_key,
            insecure: args.insecure,
            log_format: LogFormat::from_str(&args.log_format, false).unwrap_or_else(|_| {
                problems.push(invalid("--log-format", "text or json".to_owned(), &args.log_format));
                default.log_format
            }),
            log: args.log,
            shutdown_grace_ms: parse(
                &mut problems,
                "--shutdown-grace-ms",
                &args.shutdown_grace_ms,
                number,
            )
            .unwrap_or(default.shutdown_grace_ms),
            tick_ms: parse(&mut problems, "--tick-ms", &args.tick_ms, number)
                .unwrap_or(default.tick_ms),
            database_size_max_mib: parse(
                &mut problems,
                "--database-size-max-mib",
                &args.database_size_max_mib,
                number,
            )
            .unwrap_or(default.database_size_max_mib),
            ask_per_s_max: parse(&mut problems, "--ask-per-s-max", &args.ask_per_s_max, number)
                .unwrap_or(default.ask_per_s_max),
            idle_retry_ms_max: parse(
                &mut problems,
                "--idle-retry-ms-max",
                &args.idle_retry_ms_max,
                number,
            )
            .unwrap_or(default.idle_retry_ms_max),
            group_updates_max: parse(
                &mut problems,
                "--group-updates-max",
                &args.group_updates_max,
                number,
            )
            .unwrap_or(default.group_updates_max),
            group_kib_max: parse(&mut problems, "--group-kib-max", &args.group_kib_max, number)
                .unwrap_or(default.group_kib_max),
            group_wait_ms: parse(&mut problems, "--group-wait-ms", &args.group_wait_ms, number)
                .unwrap_or(default.group_wait_ms),
            queue_updates_max: parse(
                &mut problems,
                "--queue-updates-max",
                &args.queue_updates_max,
                number,
            )
            .unwrap_or(default.queue_updates_max),
            payloads_mib_max: parse(
                &mut problems,
                "--payloads-mib-max",
                &args.payloads_mib_max,
                number,
            )
            .unwrap_or(default.payloads_mib_max),
        };
        if let Err(more) = config.check() {
            problems.extend(more.problems);
        }
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }
}

impl ConfigError {
    /// What the process should exit with (sysexits.h: EX_USAGE).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        64
    }

    /// The code of the only problem, or that there are several.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.problems.as_slice() {
            [only] => only.code,
            _ => CONFIG_INVALID,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let ConfigProblem { code, flag, expected, got } = problem;
            let gap = if index == 0 { "" } else { "; " };
            write!(f, "{gap}{flag} should be {expected}, got `{got}` ({code})")?;
        }
        Ok(())
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn parse<T: FromStr>(
    problems: &mut Vec<ConfigProblem>,
    flag: &'static str,
    text: &str,
    expected: &str,
) -> Option<T> {
    let parsed = text.trim().parse().ok();
    if parsed.is_none() {
        problems.push(invalid(flag, expected.to_owned(), text));
    }
    parsed
}

fn invalid(flag: &'static str, expected: String, got: impl fmt::Display) -> ConfigProblem {
    ConfigProblem { code: CONFIG_INVALID, flag, expected, got: got.to_string() }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(flags: &[&str]) -> Result<Config, ConfigError> {
        let words = ["muster"].iter().chain(flags);
        Config::try_from(Command::try_parse_from(words).unwrap().args)
    }

    #[test]
    fn without_flags_it_is_the_default() {
        assert_eq!(parse(&[]).unwrap(), Config::default());
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let flags = [
            ("--http-listen", "0.0.0.0:7400"),
            ("--grpc-listen", "here"),
            ("--log-format", "xml"),
            ("--log", "=;"),
            ("--tick-ms", "0"),
            ("--shutdown-grace-ms", "-1"),
            ("--database-size-max-mib", "1.5"),
            ("--ask-per-s-max", "0"),
            ("--idle-retry-ms-max", "99999999"),
            ("--group-updates-max", "0"),
            ("--group-kib-max", "x"),
            ("--group-wait-ms", "1001"),
            ("--queue-updates-max", "0"),
            ("--payloads-mib-max", "4"),
        ];
        let joined: Vec<String> =
            flags.iter().map(|(flag, value)| format!("{flag}={value}")).collect();
        let joined: Vec<&str> = joined.iter().map(String::as_str).collect();
        let error = parse(&joined).unwrap_err();
        let mut told: Vec<_> = error.problems.iter().map(|problem| problem.flag).collect();
        told.sort_unstable();
        let mut all: Vec<_> = flags.iter().map(|(flag, _)| *flag).collect();
        all.sort_unstable();
        assert_eq!(told, all);
        assert_eq!(error.code(), CONFIG_INVALID);
    }

    #[test]
    fn only_loopback_may_be_bound() {
        for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:7400", "[::ffff:127.0.0.1]:80"] {
            assert!(parse(&["--http-listen", address]).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:7400", "[::]:7400", "192.168.1.1:80"] {
            let error = parse(&["--grpc-listen", address]).unwrap_err();
            assert_eq!(error.code(), ADDRESS_NOT_LOOPBACK, "{error}");
            // TLS alone lets everybody ask.
            let files = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--http-listen"];
            let error = parse(&[&files[..], &[address]].concat()).unwrap_err();
            assert_eq!(error.code(), ADDRESS_NOT_LOOPBACK, "{error}");
            assert!(parse(&["--insecure", "--grpc-listen", address]).is_ok());
        }
        for half in ["--tls-cert", "--tls-key"] {
            assert_eq!(parse(&[half, "file.pem"]).unwrap_err().code(), TLS_INCOMPLETE);
        }
        assert!(parse(&["--grpc-listen", "127.0.0.1:7400"]).is_err(), "the same twice");
    }
}
