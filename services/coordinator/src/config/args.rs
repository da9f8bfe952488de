//! Flags, variables and the file, put together: a flag counts before a variable, a variable before the file, the file
//! before the default.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::problem::{ConfigProblem, nearest};
use super::setting::Form;
use super::{Config, ConfigError, SETTINGS, file};

/// The file that is read if it is there and none is named.
pub const CONFIG_FILE: &str = "muster.toml";

/// What the command line and the environment say about the coordinator.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// File of settings [default: muster.toml in the working directory, if it is there]
    #[arg(long, env = "MUSTER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show the settings that would be used, each with where it comes from, as a file of settings
    #[arg(long)]
    print_config: bool,
    /// With --print-config: as JSON
    #[arg(long, requires = "print_config")]
    json: bool,
    #[command(flatten)]
    said: Said,
}

/// The settings that flags and variables give.
#[derive(Clone, Debug)]
struct Said(Vec<(usize, OsString, Origin)>);

/// Where a setting's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// This line of the file.
    File {
        /// From 1.
        line: usize,
    },
    /// Its variable.
    Variable,
    /// Its flag.
    Flag,
}

/// A configuration, parsed and checked, that knows where it comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file, if one was read.
    pub file: Option<PathBuf>,
    /// Where each of [`SETTINGS`] comes from.
    pub(super) origins: Vec<Origin>,
}

/// How the configuration is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To be used.
    Use,
    /// To be shown as a file.
    Toml,
    /// To be shown as JSON.
    Json,
}

impl Args {
    /// What nothing but a file says: this one, or else the one in the working directory, if it is there.
    #[must_use]
    pub fn of_file(file: Option<PathBuf>) -> Self {
        Self { config: file, print_config: false, json: false, said: Said(Vec::new()) }
    }

    /// The same, with a file that must be there.
    #[must_use]
    pub(crate) fn with_file(self, file: PathBuf) -> Self {
        Self { config: Some(file), ..self }
    }

    /// What is to be done with the configuration.
    #[must_use]
    pub fn wish(&self) -> Wish {
        match (self.print_config, self.json) {
            (false, _) => Wish::Use,
            (true, false) => Wish::Toml,
            (true, true) => Wish::Json,
        }
    }

    /// Reads the file, and puts everything together. Reads it again each time.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem there is.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let path = self.config.as_deref().unwrap_or(Path::new(CONFIG_FILE));
        let mut problems = Vec::new();
        let mut given = Vec::new();
        let mut read = false;
        match file::load(path) {
            Ok(Some(text)) => {
                read = true;
                for file::Given { setting, text, line } in file::read(path, &text, &mut problems) {
                    given.push((setting, OsString::from(text), Origin::File { line }));
                }
            }
            Ok(None) if self.config.is_none() => {}
            Ok(None) => problems.push(file::unreadable(path, "there is no such file")),
            Err(problem) => problems.push(problem),
        }
        given.extend(self.said.0.iter().cloned());

        let mut loaded = Loaded {
            config: Config::default(),
            file: read.then(|| path.to_owned()),
            origins: vec![Origin::Default; SETTINGS.len()],
        };
        for (setting, text, origin) in given {
            if (SETTINGS[setting].set)(&mut loaded.config, &text) {
                loaded.origins[setting] = origin;
            } else {
                let place = place(setting, origin, path);
                let expected = SETTINGS[setting].expected();
                problems.push(ConfigProblem::invalid(place, expected, text.display()));
            }
        }
        if let Err(more) = loaded.config.check() {
            problems.extend(more.problems.into_iter().map(|problem| loaded.told(problem, path)));
        }
        ConfigError::unless_none(problems)?;
        Ok(loaded)
    }
}

impl Loaded {
    /// A problem that names a flag, with the place at which its setting was given instead.
    fn told(&self, problem: ConfigProblem, path: &Path) -> ConfigProblem {
        let of = |flag: &str| SETTINGS.iter().position(|setting| setting.flag() == flag);
        match of(&problem.place) {
            Some(setting) if self.origins[setting] != Origin::Default => {
                let place = place(setting, self.origins[setting], path);
                ConfigProblem { place, ..problem }
            }
            _ => problem,
        }
    }
}

/// Where a setting was given: `muster.toml:12: http.listen`, `MUSTER_HTTP_LISTEN`, `--http-listen`.
fn place(setting: usize, origin: Origin, path: &Path) -> String {
    let setting = &SETTINGS[setting];
    match origin {
        Origin::File { line } => file::place(path, line, setting.key),
        Origin::Variable => setting.variable(),
        Origin::Flag | Origin::Default => setting.flag(),
    }
}

/// Warns of `MUSTER_*` variables that are none of `known`: a mistake, or another program's.
pub fn warn_of_unknown_variables(known: &BTreeSet<String>) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("MUSTER_") && !known.contains(&*name) {
            let code = "config_unknown_variable";
            let nearest = nearest(&name, known.iter().map(String::as_str)).unwrap_or("none");
            tracing::warn!(code, variable = &*name, nearest, "an unknown variable is set");
        }
    }
}

impl clap::Args for Said {
    fn augment_args(mut command: Command) -> Command {
        for setting in SETTINGS {
            let mut arg = Arg::new(setting.field)
                .long(setting.flag().trim_start_matches('-').to_owned())
                .env(setting.variable())
                .value_name(setting.takes)
                .help(setting.about())
                .value_parser(clap::value_parser!(OsString));
            if setting.form == Form::Truth {
                // As a switch: `--insecure` alone says yes.
                arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
            } else if let Some(value) = setting.default_text() {
                arg = arg.default_value(value);
            }
            command = command.arg(arg);
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Said {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut said = Vec::new();
        for (index, setting) in SETTINGS.iter().enumerate() {
            let origin = match matches.value_source(setting.field) {
                Some(ValueSource::CommandLine) => Origin::Flag,
                Some(ValueSource::EnvVariable) => Origin::Variable,
                _ => continue,
            };
            if let Some(text) = matches.get_one::<OsString>(setting.field) {
                said.push((index, text.clone(), origin));
            }
        }
        Ok(Self(said))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
