//! The agent's settings: flags and `MUSTER_*` variables, read once, every mistake told at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use federation::limits::LABELS_MAX;
use federation::secret::{Kind, Secret};
use federation::{ModelName, NodeId};

use crate::data_spec::DataSpec;
use crate::error::AgentError;
use crate::telemetry;
use crate::uplink::{Address, Trust};

/// The flags of `muster-agent` and of `muster node`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The coordinator's gRPC address: `https://HOST:PORT`, or `http://` without encryption.
    #[arg(
        long,
        env = "MUSTER_COORDINATOR",
        value_name = "URL",
        default_value = "http://127.0.0.1:7401"
    )]
    pub coordinator: String,
    /// Directory of the node's identity, journal and cache; made if there is none. Every node needs its own.
    #[arg(long, env = "MUSTER_STATE", value_name = "DIR", default_value = "muster-node")]
    pub state: PathBuf,
    /// The node's name, unique in the fleet [default: derived from its public key]
    #[arg(long, env = "MUSTER_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// The token that lets a new node in, where the coordinator wants one; of no use afterwards.
    #[arg(
        long,
        env = "MUSTER_ENROL_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        conflicts_with = "enrol_token_file"
    )]
    pub enrol_token: Option<String>,
    /// A file with that token: what is in an argument, others on the machine can see.
    #[arg(long, env = "MUSTER_ENROL_TOKEN_FILE", value_name = "FILE")]
    pub enrol_token_file: Option<PathBuf>,
    /// A label by which runs select the node; may be repeated.
    #[arg(long = "label", env = "MUSTER_LABELS", value_name = "KEY=VALUE", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// What the node learns from.
    ///
    /// `navigation[:seed=N][,class=C]`: the generated navigation task, endless; without a seed each node has its own.
    /// `aer:FILE[,part=I/N][,holdout=K][,channels=C][,classes=L][,from=STEP]`: a recording in AER text, of which this
    /// node has the samples whose index modulo N is I; the last K of them evaluate instead of training.
    /// `events:FILE[,holdout=K]`: a file of this node's own samples, as the simulator writes them.
    #[arg(
        long,
        env = "MUSTER_DATA",
        value_name = "SPEC",
        default_value = "navigation",
        verbatim_doc_comment
    )]
    pub data: String,
    /// File in which the device says how it is doing, read at each question for work.
    ///
    /// Lines of KEY=VALUE: `charging=true`, `idle=true`, `battery_percent=87`, `samples=1200`,
    /// `capacity.recurrent=128`. Runs may ask for any of it; what the file does not say counts as not so.
    #[arg(long, env = "MUSTER_STATUS_FILE", value_name = "FILE", verbatim_doc_comment)]
    pub status_file: Option<PathBuf>,
    /// File of the certificates that vouch for an https coordinator, in PEM [default: those the system trusts]
    #[arg(long, env = "MUSTER_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Talk to a coordinator on another machine although the connection is not encrypted.
    #[arg(long, env = "MUSTER_INSECURE")]
    pub insecure: bool,
    /// What to log on standard error: `error`, `warn`, `info`, `debug`, or a filter such as `agent=debug`.
    #[arg(long, env = "MUSTER_LOG", value_name = "FILTER", default_value = "warn")]
    pub log: String,
    /// The form of the log.
    #[arg(long, env = "MUSTER_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// End when standard input is closed, as it is when the process that started this one ends.
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// JSON lines for programs.
    Json,
}

/// Settings that hold: [`Args`] parsed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the coordinator is.
    pub coordinator: Address,
    /// The state directory.
    pub state: PathBuf,
    /// The node's name; `None` for the one derived from its key.
    pub name: Option<NodeId>,
    /// The token that lets it in.
    pub enrol_token: Option<EnrolToken>,
    /// The node's labels.
    pub labels: BTreeMap<String, String>,
    /// What it learns from.
    pub data: DataSpec,
    /// Where the device says how it is doing.
    pub status_file: Option<PathBuf>,
}

/// An enrolment token. Its secret stands in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolToken {
    text: String,
    id: u64,
}

impl EnrolToken {
    /// Reads a token.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, and does not repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match Secret::read(Kind::EnrolmentToken, text) {
            Some((id, _)) => Ok(Self { text: text.to_owned(), id }),
            None => Err("not an enrolment token: mse_NUMBER_ and 64 hexadecimal digits".to_owned()),
        }
    }

    /// As it was given out.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl fmt::Debug for EnrolToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// A stable code: `coordinator_invalid`, `coordinator_insecure`, `ca_file_invalid`, `system_roots_missing`,
    /// `name_invalid`, `enrol_token_invalid`, `enrol_token_unreadable`, `label_invalid`, `label_repeated`,
    /// `labels_too_many`, `data_invalid`, `log_invalid`.
    pub code: &'static str,
    /// The flag.
    pub flag: &'static str,
    /// What is wrong with it and why.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.flag, self.message, self.code)
    }
}

impl Args {
    /// The settings, checked.
    ///
    /// # Errors
    /// `config_invalid` with every problem there is.
    pub fn settings(&self) -> Result<Settings, AgentError> {
        let mut problems = Vec::new();
        let mut wrong = |code, flag, message| problems.push(ConfigProblem { code, flag, message });

        let coordinator = match Address::parse(&self.coordinator) {
            Ok(address) if address.is_encrypted() => match self.trust() {
                Ok(trust) => Some(address.trusting(trust)),
                Err((code, message)) => {
                    wrong(code, "--ca-file", message);
                    None
                }
            },
            Ok(address) if address.is_loopback() || self.insecure => Some(address),
            Ok(address) => {
                let message = format!(
                    "{address} is on another machine and the connection is not encrypted; use https, or say --insecure"
                );
                wrong("coordinator_insecure", "--coordinator", message);
                None
            }
            Err(message) => {
                wrong("coordinator_invalid", "--coordinator", message);
                None
            }
        };
        let name = match self.name.as_deref().map(str::parse::<NodeId>).transpose() {
            Ok(name) => name,
            Err(error) => {
                wrong("name_invalid", "--name", error.to_string());
                None
            }
        };
        let enrol_token = match self.enrol_token() {
            Ok(token) => token,
            Err((code, flag, message)) => {
                wrong(code, flag, message);
                None
            }
        };
        let mut labels = BTreeMap::new();
        for label in &self.labels {
            match parse_label(label) {
                Err(message) => wrong("label_invalid", "--label", message),
                Ok((key, value)) => {
                    if labels.insert(key.clone(), value).is_some() {
                        wrong("label_repeated", "--label", format!("`{key}` is given twice"));
                    }
                }
            }
        }
        if labels.len() > LABELS_MAX {
            let message = format!("{} labels, at most {LABELS_MAX} fit", labels.len());
            wrong("labels_too_many", "--label", message);
        }
        let data = match self.data.parse::<DataSpec>() {
            Ok(data) => Some(data),
            Err(error) => {
                wrong("data_invalid", "--data", error.to_string());
                None
            }
        };
        if let Err(message) = telemetry::check_filter(&self.log) {
            wrong("log_invalid", "--log", message);
        }
        match (coordinator, data) {
            (Some(coordinator), Some(data)) if problems.is_empty() => Ok(Settings {
                coordinator,
                state: self.state.clone(),
                name,
                enrol_token,
                labels,
                data,
                status_file: self.status_file.clone(),
            }),
            _ => Err(AgentError::Config(problems)),
        }
    }
}

impl Args {
    /// Whom to believe who a coordinator is.
    fn trust(&self) -> Result<Trust, (&'static str, String)> {
        match &self.ca_file {
            Some(file) => Trust::of_file(file).map_err(|message| ("ca_file_invalid", message)),
            None => Trust::of_system().map_err(|message| ("system_roots_missing", message)),
        }
    }

    fn enrol_token(&self) -> Result<Option<EnrolToken>, (&'static str, &'static str, String)> {
        let (flag, text) = match (&self.enrol_token, &self.enrol_token_file) {
            (None, None) => return Ok(None),
            (Some(text), _) => ("--enrol-token", text.clone()),
            (None, Some(file)) => {
                let flag = "--enrol-token-file";
                let text = std::fs::read_to_string(file).map_err(|error| {
                    ("enrol_token_unreadable", flag, format!("{}: {error}", file.display()))
                })?;
                (flag, text)
            }
        };
        let token = EnrolToken::parse(&text);
        token.map(Some).map_err(|message| ("enrol_token_invalid", flag, message))
    }
}

/// `key=value`, both names. Names have one rule, whatever they name.
fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or(format!("`{text}` is not KEY=VALUE"))?;
    for part in [key, value] {
        part.parse::<ModelName>().map_err(|error| format!("in `{text}`, {error}"))?;
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn settings(flags: &[&str]) -> Result<Settings, AgentError> {
        let flags = std::iter::once("muster-agent").chain(flags.iter().copied());
        Cli::try_parse_from(flags).unwrap().args.settings()
    }

    fn codes(flags: &[&str]) -> Vec<&'static str> {
        match settings(flags) {
            Err(AgentError::Config(problems)) => {
                problems.iter().map(|problem| problem.code).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_hold() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.coordinator.to_string(), "http://127.0.0.1:7401");
        assert_eq!(settings.state, PathBuf::from("muster-node"));
        assert_eq!((settings.name, settings.labels.len()), (None, 0));
        assert_eq!(settings.data, DataSpec::Navigation { seed: None, class: None });
    }

    #[test]
    fn an_enrolment_token_comes_from_a_flag_or_a_file_and_is_never_shown() {
        let text = format!("mse_7_{}", "ab".repeat(32));
        let given = settings(&["--enrol-token", &text]).unwrap().enrol_token.unwrap();
        assert_eq!((given.text(), given.id()), (text.as_str(), 7));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, format!("{text}\n")).unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(settings(&["--enrol-token-file", file]).unwrap().enrol_token, Some(given));
        assert_eq!(codes(&["--enrol-token", "mse_7_secret"]), ["enrol_token_invalid"]);
        assert_eq!(codes(&["--enrol-token-file", "/nowhere"]), ["enrol_token_unreadable"]);
        let error = settings(&["--enrol-token", "mse_7_secret"]).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        let shown = format!("{:?}", settings(&["--enrol-token", &text]).unwrap());
        assert!(!shown.contains("abab"), "{shown}");
    }

    #[test]
    fn labels_are_collected() {
        let labels =
            settings(&["--label", "site=ams", "--label", "task=nav,room=1"]).unwrap().labels;
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(labels, ["room=1", "site=ams", "task=nav"]);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let all = codes(&[
            "--coordinator",
            "ftp://x",
            "--name",
            "A",
            "--label",
            "b",
            "--label",
            "a=1",
            "--label",
            "a=2",
            "--data",
            "maze",
            "--log",
            "a=b=c",
        ]);
        assert_eq!(
            all,
            [
                "coordinator_invalid",
                "name_invalid",
                "label_invalid",
                "label_repeated",
                "data_invalid",
                "log_invalid"
            ]
        );
        let many: Vec<String> = (0..33).map(|i| format!("--label=k{i}=v")).collect();
        assert_eq!(
            codes(&many.iter().map(String::as_str).collect::<Vec<_>>()),
            ["labels_too_many"]
        );
        let error = settings(&["--name", "A"]).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("config_invalid", 2));
        assert!(error.to_string().contains("--name: `A` is not a name"), "{error}");
    }

    #[test]
    fn another_machine_needs_a_word() {
        assert_eq!(codes(&["--coordinator", "http://coordinator:7401"]), ["coordinator_insecure"]);
        settings(&["--coordinator", "http://coordinator:7401", "--insecure"]).unwrap();
        let none = ["--coordinator", "https://coordinator:7401", "--ca-file", "/nonexistent"];
        assert_eq!(codes(&none), ["ca_file_invalid"]);
        for loopback in ["http://localhost:1", "http://[::1]:7401", "http://127.0.0.2:1"] {
            settings(&["--coordinator", loopback]).unwrap();
        }
    }
}
