//! `muster model`: models to and from files in other formats. The formats are `interchange`'s; here are files and REST.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use interchange::limits::FILE_BYTES_MAX;
use interchange::{Artifact, Digest, ExportError, Files, Format, IdError, ImportError, ModelName};
use serde_json::{Value, json};
use simulator::{Rest, RestError};
use thiserror::Error;

/// What to do with a model.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Write a version of a model in another format
    Export(ExportArgs),
    /// Make a new model of files in another format
    Import(ImportArgs),
}

/// `muster model export`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// The model and its version: `navigation`, `navigation@latest`, `navigation@3`
    #[arg(
        value_name = "MODEL[@VERSION]",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    model: Option<ModelVersion>,
    /// Take this artifact instead of asking the coordinator
    #[arg(long, value_name = "ARTIFACT")]
    file: Option<PathBuf>,
    /// muster, spi, dat, npz, safetensors or nir
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// Where to write: a file; for dat a directory
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// The coordinator's REST address
    #[arg(long, value_name = "URL", default_value = COORDINATOR)]
    coordinator: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// `muster model import`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "muster model import [OPTIONS] --format <FORMAT> <NAME> <PATH>\n       \
                            muster model import [OPTIONS] --format <FORMAT> --out <ARTIFACT> <PATH>"
)]
pub(crate) struct ImportArgs {
    /// The new model's name, if one is made; the file to read, for dat a directory
    #[arg(value_name = "NAME PATH", num_args = 1..=2, required = true)]
    name_and_path: Vec<String>,
    /// muster, spi, dat, npz or safetensors
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// Write the artifact here instead of making a model
    #[arg(long, value_name = "ARTIFACT")]
    out: Option<PathBuf>,
    /// The coordinator's REST address
    #[arg(long, value_name = "URL", default_value = COORDINATOR)]
    coordinator: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

const COORDINATOR: &str = "http://127.0.0.1:7400";

/// A version of a model, as people type it.
#[derive(Clone, Debug)]
struct ModelVersion {
    name: ModelName,
    /// A number, or the latest.
    number: Option<u32>,
}

impl FromStr for ModelVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let (name, version) = text.split_once('@').unwrap_or((text, "latest"));
        let number = match version {
            "latest" => None,
            number => Some(number.parse().map_err(|_| VersionError::Number)?),
        };
        Ok(Self { name: name.parse()?, number })
    }
}

/// Why text is not a version of a model.
#[derive(Debug, Error)]
enum VersionError {
    #[error(transparent)]
    Name(#[from] IdError),
    #[error("after `@` comes a version's number or `latest`")]
    Number,
}

/// Why a model was not exported or imported.
#[derive(Debug, Error)]
pub(crate) enum ModelError {
    #[error("import takes NAME and PATH, or PATH and --out")]
    Usage,
    #[error("{0}")]
    Name(#[from] IdError),
    #[error("{0}")]
    Export(#[from] ExportError),
    #[error("{path}: {source}")]
    Import { path: PathBuf, source: Box<ImportError> },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Rest(#[from] RestError),
    #[error("{uri}: the answer's digest is {got}, the version's is {expected}")]
    Digest { uri: String, expected: String, got: String },
}

impl ModelError {
    /// The stable code, for programs.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Usage => "usage",
            Self::Name(_) => "invalid_name",
            Self::Export(error) => error.code(),
            Self::Import { source, .. } => source.code(),
            Self::Read { .. } => "file_unreadable",
            Self::Write { .. } => "file_not_written",
            Self::Rest(RestError::Access { code, .. }) => code,
            Self::Rest(RestError::Unreachable { .. }) => "coordinator_unreachable",
            Self::Rest(RestError::Refused { code, .. }) => code,
            Self::Rest(RestError::Answer { .. }) => "answer_not_understood",
            Self::Digest { .. } => "digest_mismatch",
        }
    }

    /// The exit status (sysexits.h).
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage | Self::Name(_) | Self::Rest(RestError::Access { .. }) => 64,
            Self::Export(_) | Self::Import { .. } => 65,
            Self::Rest(RestError::Refused { status, .. }) if status.is_client_error() => 65,
            Self::Read { .. } => 66,
            Self::Rest(RestError::Refused { .. } | RestError::Unreachable { .. }) => 69,
            Self::Write { .. } => 73,
            Self::Rest(RestError::Answer { .. }) | Self::Digest { .. } => 76,
        }
    }
}

/// Does what was asked for and says what belongs on standard output.
pub(crate) async fn run(command: &Command) -> Result<String, ModelError> {
    match command {
        Command::Export(args) => export(args).await,
        Command::Import(args) => import(args).await,
    }
}

async fn export(args: &ExportArgs) -> Result<String, ModelError> {
    let (artifact, about) = match (&args.model, &args.file) {
        (Some(model), _) => fetch(&args.coordinator, model).await?,
        (None, file) => {
            let file = file.as_deref().expect("the command line has a model or a file");
            (parse(file, Format::Muster)?, json!({"file": file}))
        }
    };
    let files = interchange::export(&artifact, args.format)?;
    write(&args.out, &files)?;
    Ok(told(about, &artifact, args.format, &args.out, args.json, "written to"))
}

async fn import(args: &ImportArgs) -> Result<String, ModelError> {
    let (path, about, artifact) = match (&args.name_and_path[..], &args.out) {
        ([name, path], None) => {
            let (name, path) = (name.parse::<ModelName>()?, Path::new(path));
            let artifact = parse(path, args.format)?;
            Rest::new(&args.coordinator).create_model(name.as_str(), &artifact).await?;
            (path, json!({"model": name.as_str(), "version": 1}), artifact)
        }
        ([path], Some(out)) => {
            let path = Path::new(path);
            let artifact = parse(path, args.format)?;
            write(out, &Files::One(artifact.encode()))?;
            (path, json!({"file": out}), artifact)
        }
        _ => return Err(ModelError::Usage),
    };
    Ok(told(about, &artifact, args.format, path, args.json, "read from"))
}

/// The result: `about` and what is true of every export and import.
fn told(
    mut about: Value,
    artifact: &Artifact,
    format: Format,
    path: &Path,
    json: bool,
    done: &str,
) -> String {
    let digest = Digest::of(&artifact.encode()).to_string();
    if json {
        about["digest"] = json!(digest);
        about["format"] = json!(format.name());
        about["path"] = json!(path);
        return about.to_string();
    }
    let what = match (&about["model"], &about["version"], &about["file"]) {
        (Value::String(model), version, _) => format!("{model} version {version}"),
        (_, _, file) => file.as_str().unwrap_or_default().to_owned(),
    };
    format!("{what} ({digest}) {done} {} as {format}", path.display())
}

/// A version's artifact, whose digest is that of the version.
async fn fetch(
    coordinator: &str,
    ModelVersion { name, number }: &ModelVersion,
) -> Result<(Artifact, Value), ModelError> {
    let rest = Rest::new(coordinator);
    let asked = number.map_or_else(|| "latest".to_owned(), |number| number.to_string());
    let uri = format!("/v1/models/{name}/versions/{asked}");
    let version: Value = rest.get(&uri).await?;
    // By its number from here on: the latest may be another one by now.
    let uri = format!("/v1/models/{name}/versions/{}/artifact", version["number"]);
    let bytes = rest.bytes(&uri).await?;
    let (expected, got) =
        (version["digest"].as_str().unwrap_or_default(), Digest::of(&bytes).to_string());
    if expected != got {
        return Err(ModelError::Digest { uri, expected: expected.to_owned(), got });
    }
    let artifact = interchange::import(&Files::One(bytes.into()), Format::Muster)
        .map_err(|source| ModelError::Import { path: uri.into(), source: source.into() })?;
    Ok((artifact, json!({"model": name.as_str(), "version": version["number"]})))
}

fn parse(path: &Path, format: Format) -> Result<Artifact, ModelError> {
    let files = if format.directory().is_empty() {
        Files::One(read(path)?)
    } else {
        let names = format.directory().iter();
        let each = names.map(|name| Ok(((*name).to_owned(), read(&path.join(name))?)));
        Files::Directory(each.collect::<Result<BTreeMap<_, _>, ModelError>>()?)
    };
    interchange::import(&files, format)
        .map_err(|source| ModelError::Import { path: path.to_owned(), source: source.into() })
}

/// A file, and no more of it than shows that it is too long.
fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let unreadable = |source| ModelError::Read { path: path.to_owned(), source };
    let longest = u64::try_from(FILE_BYTES_MAX).expect("the limit fits in 64 bits");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(longest + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn write(path: &Path, files: &Files) -> Result<(), ModelError> {
    let put = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes).map_err(|source| ModelError::Write { path: path.to_owned(), source })
    };
    match files {
        Files::One(bytes) => put(path, bytes),
        Files::Directory(files) => {
            fs::create_dir_all(path)
                .map_err(|source| ModelError::Write { path: path.to_owned(), source })?;
            files.iter().try_for_each(|(name, bytes)| put(&path.join(name), bytes))
        }
    }
}
