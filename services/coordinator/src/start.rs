//! Why a coordinator does not start: each reason with a stable code and an exit code of its own kind.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::TcpListener;

use crate::config::ConfigError;
use crate::server::TlsError;
use crate::store::{OpenError, Sql, Store, StoreError};

/// Why a coordinator did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Something else listens there.
    #[error("{flag} {address}: another program listens there")]
    AddressInUse {
        /// The flag that says where to listen.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("{flag} {address}: {source}")]
    AddressUnavailable {
        /// The flag that says where to listen.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory cannot be made or written.
    #[error("--data-dir {}: cannot be written: {reason}", dir.display())]
    DataDirUnwritable {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Another coordinator runs on the data directory.
    #[error("--data-dir {}: another coordinator runs on it", dir.display())]
    DataDirInUse {
        /// The directory.
        dir: PathBuf,
    },
    /// A newer Muster wrote the database.
    #[error("{}: its schema is version {found}; this program knows up to {known}: install a newer one", file.display())]
    SchemaNewer {
        /// The database.
        file: PathBuf,
        /// The version found.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The file is no database of ours, or a damaged one.
    #[error("{}: {reason}", file.display())]
    DatabaseInvalid {
        /// The database.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database does not promise what receipts promise.
    #[error("{}: {reason}", file.display())]
    DatabaseNotDurable {
        /// The database.
        file: PathBuf,
        /// Which setting did not take.
        reason: String,
    },
}

impl StartError {
    /// A stable code, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Tls(error) => error.code,
            Self::AddressInUse { .. } => "address_in_use",
            Self::AddressUnavailable { .. } => "address_unavailable",
            Self::DataDirUnwritable { .. } => "data_dir_unwritable",
            Self::DataDirInUse { .. } => "data_dir_in_use",
            Self::SchemaNewer { .. } => "schema_newer",
            Self::DatabaseInvalid { .. } => "database_invalid",
            Self::DatabaseNotDurable { .. } => "database_not_durable",
        }
    }

    /// What the process should exit with, as `sysexits.h` numbers them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Tls(error) => error.exit_code(),
            Self::SchemaNewer { .. } | Self::DatabaseInvalid { .. } => 65,
            Self::AddressInUse { .. } | Self::AddressUnavailable { .. } => 69,
            Self::DatabaseNotDurable { .. } => 71,
            Self::DataDirUnwritable { .. } => 73,
            Self::DataDirInUse { .. } => 75,
        }
    }
}

/// Makes the data directory, its owner's alone, and takes it for this process, until the file is dropped.
pub(crate) fn take_data_dir(dir: &Path) -> Result<File, StartError> {
    let unwritable = |error: io::Error| StartError::DataDirUnwritable {
        dir: dir.to_owned(),
        reason: error.to_string(),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unwritable)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("coordinator.lock"))
        .map_err(unwritable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::DataDirInUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unwritable(error)),
    }
}

/// That something could not be written in the data directory.
pub(crate) fn unwritable(dir: &Path, error: &StoreError) -> StartError {
    StartError::DataDirUnwritable { dir: dir.to_owned(), reason: error.to_string() }
}

/// Listens on `address`, which `flag` gave.
pub(crate) async fn listen(
    flag: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let unavailable = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse { flag, address },
        _ => StartError::AddressUnavailable { flag, address, source },
    };
    let listener = TcpListener::bind(address).await.map_err(unavailable)?;
    let bound = listener.local_addr().map_err(unavailable)?;
    Ok((listener, bound))
}

/// Opens the database in `dir`.
pub(crate) async fn open_store(
    dir: &Path,
    size_max_mib: u32,
    sql: &Sql,
) -> Result<Store, StartError> {
    open_store_file(&dir.join("coordinator.db"), size_max_mib, sql).await
}

/// Opens the database `file`.
pub(crate) async fn open_store_file(
    file: &Path,
    size_max_mib: u32,
    sql: &Sql,
) -> Result<Store, StartError> {
    let (dir, file) = (file.parent().unwrap_or(Path::new("")), file.to_owned());
    Store::open(&file, size_max_mib, sql).await.map_err(|error| match error {
        OpenError::Newer { found, known } => StartError::SchemaNewer { file, found, known },
        OpenError::Setting { .. } => {
            StartError::DatabaseNotDurable { file, reason: error.to_string() }
        }
        OpenError::Invalid(_) => StartError::DatabaseInvalid { file, reason: error.to_string() },
        OpenError::Unusable(fault) => {
            StartError::DataDirUnwritable { dir: dir.to_owned(), reason: fault.to_string() }
        }
    })
}
