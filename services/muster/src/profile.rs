//! `muster profile`: the coordinators that one works with, by name, in the user's configuration directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use agent::files::write_atomic;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::{Failure, status};
use crate::near::did_you_mean;
use crate::print::{Out, warning};
use crate::table::{Column, text};

/// What to do with profiles.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the profiles, and which one is used
    List(ListArgs),
    /// Make a profile, or change what is given of it
    Set(SetArgs),
    /// Use a profile from now on
    Use(NameArgs),
    /// Remove a profile
    Remove(NameArgs),
}

/// `muster profile list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// `muster profile set`.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// The profile's name
    #[arg(value_name = "NAME")]
    name: String,
    /// The coordinator's REST address
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// File that holds the API token; it is read at each use
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Read the API token from standard input and keep it in the profile
    #[arg(long, conflicts_with = "token_file")]
    token_stdin: bool,
    /// Certificates (PEM) that the coordinator's own is checked against, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A profile's name.
#[derive(Debug, clap::Args)]
pub(crate) struct NameArgs {
    /// The profile's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A coordinator, and how to be let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// Its REST address.
    pub(crate) coordinator: String,
    /// The API token itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// Where the API token stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// What its certificate is checked against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profiles {
    /// The one that is used where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, Profile>,
}

/// `$XDG_CONFIG_HOME/muster/profiles.toml`, else below `~/.config`; none without a home.
fn path() -> Option<PathBuf> {
    let dir = |name| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let config = dir("XDG_CONFIG_HOME").or_else(|| dir("HOME").map(|home| home.join(".config")));
    config.map(|config| config.join("muster/profiles.toml"))
}

impl Profiles {
    /// What the file says; nothing if there is none.
    pub(crate) fn read() -> Result<Self, Failure> {
        path().map_or_else(|| Ok(Self::default()), |path| Self::read_from(&path))
    }

    fn read_from(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                let what = format!("cannot read {}: {error}", path.display());
                return Err(Failure::new("profiles_unreadable", what, status::CONFIG));
            }
        };
        let read: Self = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            let what = format!("{}:{line}: {}", path.display(), error.message());
            Failure::new("profiles_invalid", what, status::CONFIG)
                .hint("repair the file, or remove it and make the profiles again with `muster profile set`")
        })?;
        let open = fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0);
        if open && read.profiles.values().any(|profile| profile.token.is_some()) {
            warning(&format!(
                "{0} holds a token and other users may read it; `chmod 600 {0}`",
                path.display()
            ));
        }
        Ok(read)
    }

    /// The profile of this name.
    pub(crate) fn find(&self, name: &str) -> Result<&Profile, Failure> {
        self.profiles.get(name).ok_or_else(|| {
            let what = format!("no profile is named `{name}`");
            let failure = Failure::new("profile_not_found", what, status::CONFIG);
            match did_you_mean(name, self.profiles.keys().map(String::as_str)) {
                Some(names) => failure.hint(names),
                None => {
                    failure.hint("`muster profile list` shows them, `muster profile set` makes one")
                }
            }
        })
    }

    fn write(&self) -> Result<(), Failure> {
        let Some(path) = path() else {
            let what = "there is neither XDG_CONFIG_HOME nor HOME to keep profiles in";
            return Err(Failure::new("no_config_directory", what, status::CONFIG));
        };
        let text = toml::to_string(self).expect("names, addresses and paths are TOML");
        let dir = path.parent().expect("the file stands in a directory");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.and_then(|()| write_atomic(&path, text.as_bytes())).map_err(|error| {
            let what = format!("cannot write {}: {error}", path.display());
            Failure::new("profiles_not_written", what, status::CANNOT_CREATE)
        })
    }

    fn show(&self) -> Value {
        let token = |profile: &Profile| match (&profile.token, &profile.token_file) {
            (Some(_), _) => json!("kept"),
            (None, Some(_)) => json!("file"),
            (None, None) => Value::Null,
        };
        let show = |(name, profile): (&String, &Profile)| {
            json!({
                "name": name, "current": self.current.as_ref() == Some(name),
                "coordinator": profile.coordinator, "token": token(profile),
                "token_file": profile.token_file, "ca_file": profile.ca_file,
            })
        };
        json!({"current": self.current, "items": self.profiles.iter().map(show).collect::<Vec<_>>()})
    }
}

const COLUMNS: &[Column] = &[
    Column::text("", |profile, _| if profile["current"] == true { "*" } else { " " }.to_owned()),
    Column::text("NAME", |profile, _| text(&profile["name"])),
    Column::text("COORDINATOR", |profile, _| text(&profile["coordinator"])),
    Column::text("TOKEN", |profile, _| match &profile["token_file"] {
        Value::String(path) => path.clone(),
        _ => text(&profile["token"]),
    }),
    Column::text("CA FILE", |profile, _| text(&profile["ca_file"])).optional(),
];

/// Does what was asked for.
pub(crate) fn run(command: Command) -> Result<u8, Failure> {
    let mut profiles = Profiles::read()?;
    match command {
        Command::List(args) => {
            let none = "No profiles; `muster profile set NAME --coordinator URL` makes one.";
            Out::new(args.json).list(COLUMNS, &profiles.show(), none)?;
        }
        Command::Set(args) => {
            let (name, json) = (args.name.clone(), args.json);
            set(&mut profiles, args)?;
            profiles.write()?;
            let used = profiles.current.as_deref() == Some(&name);
            let told =
                if used { "and is used from now on" } else { "; `muster profile use` uses it" };
            done(json, &profiles, &format!("Profile {name} is kept {told}.").replace(" ;", ";"))?;
        }
        Command::Use(args) => {
            profiles.find(&args.name)?;
            profiles.current = Some(args.name.clone());
            profiles.write()?;
            done(args.json, &profiles, &format!("Profile {} is used from now on.", args.name))?;
        }
        Command::Remove(args) => {
            profiles.find(&args.name)?;
            profiles.profiles.remove(&args.name);
            profiles.current = profiles.current.take().filter(|current| *current != args.name);
            profiles.write()?;
            done(args.json, &profiles, &format!("Profile {} is gone.", args.name))?;
        }
    }
    Ok(0)
}

fn done(json: bool, profiles: &Profiles, told: &str) -> Result<(), Failure> {
    Out::new(json).tell(&profiles.show(), |_| told.to_owned())
}

fn set(profiles: &mut Profiles, args: SetArgs) -> Result<(), Failure> {
    let SetArgs { name, coordinator, token_file, token_stdin, ca_file, json: _ } = args;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fine) {
        let what = format!("`{name}` is no name: expected 1 to 64 letters, digits, `-`, `_`, `.`");
        return Err(Failure::new("invalid_name", what, status::USAGE));
    }
    let known = profiles.profiles.get(&name).cloned();
    let mut profile = match (known, &coordinator) {
        (Some(known), _) => known,
        (None, Some(_)) => Profile::default(),
        (None, None) => {
            let what = format!("`{name}` is a new profile: say --coordinator URL");
            return Err(Failure::new("usage", what, status::USAGE));
        }
    };
    // A token is for the coordinator that it was given for.
    if coordinator.as_ref().is_some_and(|url| *url != profile.coordinator) {
        (profile.token, profile.token_file) = (None, None);
    }
    profile.coordinator = coordinator.unwrap_or(profile.coordinator);
    let whole = |path: PathBuf| {
        std::path::absolute(&path).map_err(|error| {
            Failure::new(
                "file_unreadable",
                format!("{}: {error}", path.display()),
                status::NO_INPUT,
            )
        })
    };
    if let Some(path) = token_file {
        (profile.token, profile.token_file) = (None, Some(whole(path)?));
    }
    if token_stdin {
        let mut token = String::new();
        io::stdin().take(4_096).read_to_string(&mut token).map_err(|error| {
            Failure::new("token_unreadable", format!("standard input: {error}"), status::NO_INPUT)
        })?;
        let token = crate::remote::token(&token, "standard input")?;
        (profile.token, profile.token_file) = (Some(token), None);
    }
    if let Some(path) = ca_file {
        profile.ca_file = Some(whole(path)?);
    }
    profiles.profiles.insert(name.clone(), profile);
    profiles.current.get_or_insert(name);
    Ok(())
}
