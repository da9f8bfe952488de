//! TLS of both doors: a certificate and its key from PEM files, changed for new connections while old ones go on.
//!
//! The provider is always given by name; none is installed for the process. Sessions are not resumed: what that saves is
//! small, and a cache of them would be memory for each node, and keys that outlive the certificate.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use federation::Digest;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// Most bytes of a PEM file that are read: a long chain has some ten thousand.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// The flag that names the certificate.
const CERT: &str = "--tls-cert";
/// The flag that names its key.
const KEY: &str = "--tls-key";

/// A certificate or a key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{flag} {}: {reason}", file.display())]
pub struct TlsError {
    /// A stable code: `tls_file_unreadable`, `tls_cert_invalid`, `tls_key_invalid`, `tls_key_mismatch`.
    pub code: &'static str,
    /// The flag that names the file.
    pub flag: &'static str,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl TlsError {
    /// What the process should exit with (sysexits.h: EX_NOINPUT, EX_DATAERR).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.code == "tls_file_unreadable" { 66 } else { 65 }
    }
}

/// What is spoken behind a door; the client asks for it in its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP/2, as gRPC needs it.
    Grpc,
    /// HTTP/1.1.
    Rest,
}

/// The certificate that the doors show, and the files it comes from. Clones are the same certificate.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    cert: PathBuf,
    key: PathBuf,
    shown: RwLock<Shown>,
}

struct Shown {
    grpc: Arc<ServerConfig>,
    rest: Arc<ServerConfig>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { cert, key, .. } = &*self.0;
        f.debug_struct("Certificates").field("cert", cert).field("key", key).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads a chain and its key.
    pub(crate) fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let (shown, digest) = Shown::load(cert, key)?;
        tracing::info!(certificate.sha256 = %digest, "the doors speak TLS");
        let (cert, key) = (cert.to_owned(), key.to_owned());
        Ok(Self(Arc::new(Inner { cert, key, shown: RwLock::new(shown) })))
    }

    /// Reads the files again, for connections that are made from now on. A certificate that cannot be used changes
    /// nothing. Either is logged.
    ///
    /// # Errors
    /// [`TlsError`] says what is wrong with the new certificate or its key.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Inner { cert, key, shown } = &*self.0;
        match Shown::load(cert, key) {
            Ok((new, digest)) => {
                *shown.write().unwrap_or_else(PoisonError::into_inner) = new;
                tracing::info!(certificate.sha256 = %digest, "new connections get the certificate as it is now");
                Ok(())
            }
            Err(error) => {
                tracing::error!(code = error.code, %error, "the certificate stays as it was");
                Err(error)
            }
        }
    }

    /// What makes the next connection of a door a TLS connection.
    pub(crate) fn acceptor(&self, speech: Speech) -> TlsAcceptor {
        let shown = self.0.shown.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(match speech {
            Speech::Grpc => &shown.grpc,
            Speech::Rest => &shown.rest,
        }))
    }
}

impl Shown {
    /// Both doors' configurations, and the digest of the certificate.
    fn load(cert: &Path, key: &Path) -> Result<(Self, Digest), TlsError> {
        let wrong = |code, flag, file: &Path, reason: String| TlsError {
            code,
            flag,
            file: file.to_owned(),
            reason,
        };
        let bad_cert = |reason| wrong("tls_cert_invalid", CERT, cert, reason);
        let bad_key = |reason| wrong("tls_key_invalid", KEY, key, reason);
        let read = |flag, file: &Path| {
            read(file).map_err(|reason| wrong("tls_file_unreadable", flag, file, reason))
        };
        let pem = read(CERT, cert)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| bad_cert(format!("not PEM: {error}")))?;
        let Some(own) = chain.first() else {
            return Err(bad_cert("no PEM section BEGIN CERTIFICATE in it".to_owned()));
        };
        let digest = Digest::of(own);
        let pem = read(KEY, key)?;
        let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
            bad_key(format!("no private key in PEM, and not an encrypted one: {error}"))
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = provider
            .key_provider
            .load_private_key(private)
            .map_err(|error| bad_key(format!("the key cannot be used: {error}")))?;
        let pair = CertifiedKey::new(chain, private);
        match pair.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let reason = format!("not the key of the certificate in {}", cert.display());
                return Err(wrong("tls_key_mismatch", KEY, key, reason));
            }
            Err(error) => return Err(bad_cert(error.to_string())),
        }
        let pair = Arc::new(SingleCertAndKey::from(pair));
        let speak = |protocol: &[u8]| configuration(&provider, Arc::clone(&pair), protocol);
        Ok((Self { grpc: speak(b"h2"), rest: speak(b"http/1.1") }, digest))
    }
}

fn configuration(
    provider: &Arc<CryptoProvider>,
    pair: Arc<SingleCertAndKey>,
    protocol: &[u8],
) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("ring has suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(pair);
    config.alpn_protocols = vec![protocol.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|error| error.to_string())?;
    opened.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(format!("it has more than {PEM_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}
