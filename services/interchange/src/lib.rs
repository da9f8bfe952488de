//! Models in the formats of other tools, and back.
//!
//! | [`Format`] | what it is | for | back |
//! | --- | --- | --- | --- |
//! | `muster` | the artifact itself ([`federation::Artifact`]) | another coordinator | yes |
//! | `spi` | the 32-bit SPI words that program a ReckOn chip or FPGA ([`spi`]) | hardware | yes |
//! | `dat` | a directory of decimal text, as ReckOn's test bench loads weights ([`dat`]) | RTL simulation | yes |
//! | `npz` | arrays for `numpy.load`, without pickle ([`npz`]) | Python | yes |
//! | `safetensors` | tensors with metadata ([`safetensors`]) | PyTorch, JAX | yes |
//! | `nir` | Neuromorphic Intermediate Representation, HDF5 ([`nir`]) | other simulators and chips | no |
//!
//! "Back" is exact: `import(export(artifact))` is the artifact, byte for byte, with the same digest. What a format has
//! no place for (the range of a tensor, a configuration written in an unusual way) travels beside it, as each module says.
//!
//! [`export`] and [`import`] are pure functions of bytes. What this crate does not do: it opens no file, asks no
//! coordinator, prints nothing, and keeps to [`limits`] whatever the bytes claim. `muster` and tests may import it.

pub mod dat;
mod error;
mod hdf5;
pub mod limits;
mod network;
pub mod nir;
mod npy;
pub mod npz;
mod registers;
pub mod safetensors;
pub mod spi;
mod zip;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub use error::{ExportError, ImportError, Place, Problem};
pub use federation::{Artifact, Digest, IdError, ModelName};
use thiserror::Error;

/// A format that models are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The artifact itself.
    Muster,
    /// SPI words.
    Spi,
    /// A directory of decimal text.
    Dat,
    /// numpy arrays.
    Npz,
    /// safetensors.
    Safetensors,
    /// Neuromorphic Intermediate Representation.
    Nir,
}

/// No format has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{got}` is not a format: muster, spi, dat, npz, safetensors or nir")]
pub struct UnknownFormat {
    /// What was given.
    pub got: String,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] =
        [Self::Muster, Self::Spi, Self::Dat, Self::Npz, Self::Safetensors, Self::Nir];

    /// Its name, as people type it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Muster => "muster",
            Self::Spi => "spi",
            Self::Dat => "dat",
            Self::Npz => "npz",
            Self::Safetensors => "safetensors",
            Self::Nir => "nir",
        }
    }

    /// The names of the files of a directory in this format; empty where the format is one file.
    #[must_use]
    pub fn directory(self) -> &'static [&'static str] {
        match self {
            Self::Dat => &dat::FILES,
            Self::Muster | Self::Spi | Self::Npz | Self::Safetensors | Self::Nir => &[],
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let named = Self::ALL.into_iter().find(|format| format.name() == text);
        named.ok_or_else(|| UnknownFormat { got: text.chars().take(32).collect() })
    }
}

/// What a model is in some format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// One file.
    One(Vec<u8>),
    /// A directory: names and contents.
    Directory(BTreeMap<String, Vec<u8>>),
}

/// `artifact` in `format`.
///
/// # Errors
/// [`ExportError`] when the format cannot carry this model.
pub fn export(artifact: &Artifact, format: Format) -> Result<Files, ExportError> {
    Ok(match format {
        Format::Muster => Files::One(artifact.encode()),
        Format::Spi => Files::One(spi::write(artifact)?.into_bytes()),
        Format::Dat => Files::Directory(dat::write(artifact)?),
        Format::Npz => Files::One(npz::write(artifact)?),
        Format::Safetensors => Files::One(safetensors::write(artifact)?),
        Format::Nir => Files::One(nir::write(artifact)?),
    })
}

/// The artifact that `files` hold in `format`.
///
/// # Errors
/// [`ImportError`] says where the files are not what they should be, and why.
pub fn import(files: &Files, format: Format) -> Result<Artifact, ImportError> {
    let wrong = |expected| Err(ImportError::new(Place::Whole, Problem::Unsupported { expected }));
    let longest = match files {
        Files::One(bytes) => bytes.len(),
        Files::Directory(files) => files.values().map(Vec::len).max().unwrap_or(0),
    };
    if longest > limits::FILE_BYTES_MAX {
        return Err(ImportError::new(Place::Whole, Problem::TooLarge { got: longest }));
    }
    match (format, files) {
        (Format::Nir, _) => wrong("a format that holds the whole model, which NIR does not"),
        (Format::Dat, Files::Directory(files)) => dat::read(files),
        (Format::Dat, Files::One(_)) => wrong("a directory"),
        (_, Files::Directory(_)) => wrong("a file, not a directory"),
        (Format::Muster, Files::One(bytes)) => Ok(Artifact::parse(bytes)?),
        (Format::Spi, Files::One(bytes)) => spi::read(bytes),
        (Format::Npz, Files::One(bytes)) => npz::read(bytes),
        (Format::Safetensors, Files::One(bytes)) => safetensors::read(bytes),
    }
}
