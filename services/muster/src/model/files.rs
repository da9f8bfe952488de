//! Models to and from files in other formats. The formats are `interchange`'s; here are files and REST.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use interchange::limits::FILE_BYTES_MAX;
use interchange::{Artifact, Digest, Files, Format, ImportError, ModelName};
use serde_json::{Value, json};

use super::{ModelVersion, name_failure};
use crate::client::Client;
use crate::failure::{Failure, status};
use crate::print::Out;
use crate::remote::Remote;

/// `muster model get`.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// The model and its version: `navigation`, `navigation@3`, `navigation@stable`
    #[arg(value_name = "MODEL[@VERSION]")]
    model: ModelVersion,
    /// Where to write the artifact: a file, or - for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    at: Remote,
}

/// `muster model export`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// The model and its version: `navigation`, `navigation@3`, `navigation@stable`
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
    #[command(flatten)]
    at: Remote,
}

/// `muster model import`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "muster model import [OPTIONS] --format <FORMAT> <NAME> <PATH>\n       \
                            muster model import [OPTIONS] --format <FORMAT> --out <ARTIFACT> <PATH>"
)]
pub(crate) struct ImportArgs {
    /// The model's name, unless --out is given; the file to read, for dat a directory
    #[arg(value_name = "NAME PATH", num_args = 1..=2, required = true)]
    name_and_path: Vec<String>,
    /// muster, spi, dat, npz or safetensors
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// Make it the next version of a model that is there
    #[arg(long, conflicts_with = "out")]
    next: bool,
    /// Write the artifact here instead of making a model
    #[arg(long, value_name = "ARTIFACT")]
    out: Option<PathBuf>,
    #[command(flatten)]
    at: Remote,
}

/// Fetches an artifact, whose digest is checked.
pub(super) async fn get(args: GetArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let (bytes, version) = fetch(&client, &args.model).await?;
    if args.out == Path::new("-") {
        let written = io::stdout().lock().write_all(&bytes);
        written.map_err(|error| Failure::new("output_failed", error, status::IO))?;
        return Ok(0);
    }
    put(&args.out, &bytes)?;
    let (name, number) = (&args.model.name, &version["number"]);
    let digest = &version["digest"];
    let about = json!({
        "model": name.as_str(), "version": number, "digest": digest, "path": args.out,
        "bytes": bytes.len(),
    });
    out.tell(&about, |_| {
        let digest = digest.as_str().unwrap_or_default();
        format!("{name} version {number} ({digest}) written to {}", args.out.display())
    })?;
    Ok(0)
}

/// Writes a version, or an artifact, in another format.
pub(super) async fn export(args: ExportArgs) -> Result<u8, Failure> {
    let (artifact, about, out) = match (&args.model, &args.file) {
        (Some(model), _) => {
            let (client, out) = args.at.open()?;
            let (bytes, version) = fetch(&client, model).await?;
            let artifact = interchange::import(&Files::One(bytes), Format::Muster);
            let uri = PathBuf::from(format!("{}@{}", model.name, version["number"]));
            let artifact = artifact.map_err(|error| damaged(&uri, &error))?;
            let about = json!({"model": model.name.as_str(), "version": version["number"]});
            (artifact, about, out)
        }
        (None, file) => {
            let file = file.as_deref().expect("the command line has a model or a file");
            (parse(file, Format::Muster)?, json!({"file": file}), args.at.out())
        }
    };
    let files = interchange::export(&artifact, args.format)
        .map_err(|error| Failure::new(error.code(), &error, status::DATA))?;
    write(&args.out, &files)?;
    told(out, about, &artifact, args.format, &args.out, "written to")
}

/// Makes a model of files, or its next version, or an artifact.
pub(super) async fn import(args: ImportArgs) -> Result<u8, Failure> {
    let (path, about, artifact, out) = match (&args.name_and_path[..], &args.out) {
        ([name, path], None) => {
            let (name, path) = (name.parse::<ModelName>().map_err(name_failure)?, Path::new(path));
            let artifact = parse(path, args.format)?;
            let (client, out) = args.at.open()?;
            let version = if args.next {
                client.add_version(name.as_str(), &artifact).await?["number"].clone()
            } else {
                client.create_model(name.as_str(), &artifact).await?;
                json!(1)
            };
            (path, json!({"model": name.as_str(), "version": version}), artifact, out)
        }
        ([path], Some(out)) => {
            let path = Path::new(path);
            let artifact = parse(path, args.format)?;
            write(out, &Files::One(artifact.encode()))?;
            (path, json!({"file": out}), artifact, args.at.out())
        }
        _ => {
            let what = "import takes NAME and PATH, or PATH and --out";
            return Err(Failure::new("usage", what, status::USAGE));
        }
    };
    told(out, about, &artifact, args.format, path, "read from")
}

/// Says `about` and what is true of every export and import.
fn told(
    out: Out,
    mut about: Value,
    artifact: &Artifact,
    format: Format,
    path: &Path,
    done: &str,
) -> Result<u8, Failure> {
    let digest = Digest::of(&artifact.encode()).to_string();
    about["digest"] = json!(digest);
    about["format"] = json!(format.name());
    about["path"] = json!(path);
    out.tell(&about, |_| {
        let what = match (&about["model"], &about["version"], &about["file"]) {
            (Value::String(model), version, _) => format!("{model} version {version}"),
            (_, _, file) => file.as_str().unwrap_or_default().to_owned(),
        };
        format!("{what} ({digest}) {done} {} as {format}", path.display())
    })?;
    Ok(0)
}

/// A version's artifact, whose digest is that of the version; and the version.
async fn fetch(client: &Client, asked: &ModelVersion) -> Result<(Vec<u8>, Value), Failure> {
    let version = client.get(&asked.path()).await?;
    let name = &asked.name;
    // By its number from here on: the latest, and a channel's, may be another one by now.
    let uri = format!("/v1/models/{name}/versions/{}/artifact", version["number"]);
    let bytes = client.bytes(&uri).await?;
    let (expected, got) =
        (version["digest"].as_str().unwrap_or_default(), Digest::of(&bytes).to_string());
    if expected != got {
        let url = client.url();
        let what = format!("{url}{uri}: the answer's digest is {got}, the version's is {expected}");
        return Err(Failure::new("digest_mismatch", what, status::PROTOCOL)
            .hint("what was sent is damaged: ask again; if it stays so, `muster audit verify` looks at the database"));
    }
    Ok((bytes.into(), version))
}

fn damaged(path: &Path, error: &ImportError) -> Failure {
    Failure::new(error.code(), format!("{}: {error}", path.display()), status::DATA)
}

fn parse(path: &Path, format: Format) -> Result<Artifact, Failure> {
    let files = if format.directory().is_empty() {
        Files::One(read(path)?)
    } else {
        let names = format.directory().iter();
        let each = names.map(|name| Ok(((*name).to_owned(), read(&path.join(name))?)));
        Files::Directory(each.collect::<Result<BTreeMap<_, _>, Failure>>()?)
    };
    interchange::import(&files, format).map_err(|error| damaged(path, &error))
}

/// A file, and no more of it than shows that it is too long.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| {
        let what = format!("cannot read {}: {error}", path.display());
        Failure::new("file_unreadable", what, status::NO_INPUT)
    };
    let longest = u64::try_from(FILE_BYTES_MAX).expect("the limit fits in 64 bits");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(longest + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    let what = format!("cannot write {}: {error}", path.display());
    Failure::new("file_not_written", what, status::CANNOT_CREATE)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| unwritten(path, &error))
}

fn write(path: &Path, files: &Files) -> Result<(), Failure> {
    match files {
        Files::One(bytes) => put(path, bytes),
        Files::Directory(files) => {
            fs::create_dir_all(path).map_err(|error| unwritten(path, &error))?;
            files.iter().try_for_each(|(name, bytes)| put(&path.join(name), bytes))
        }
    }
}
