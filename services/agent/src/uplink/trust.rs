//! Whom a node believes who a coordinator is: certificates from a file, or those the system trusts.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use tonic::Status;
use tonic::transport::ClientTlsConfig;

use crate::limits::{HANDSHAKE_MS_MAX, PEM_BYTES_MAX};

/// Certificates that vouch for coordinators. The default is none, which trusts nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust(Arc<Vec<TrustAnchor<'static>>>);

impl Trust {
    /// The certificates in a PEM file.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn of_file(file: &Path) -> Result<Self, String> {
        let in_file = |why: String| format!("{}: {why}", file.display());
        let mut pem = Vec::new();
        let opened = File::open(file).map_err(|error| in_file(error.to_string()))?;
        opened
            .take(PEM_BYTES_MAX)
            .read_to_end(&mut pem)
            .map_err(|error| in_file(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| in_file(format!("not PEM: {error}")))?;
            roots.add(certificate).map_err(|error| {
                in_file(format!("certificate {} cannot be used: {error}", roots.len() + 1))
            })?;
        }
        if roots.is_empty() {
            return Err(in_file("no PEM section BEGIN CERTIFICATE in it".to_owned()));
        }
        Ok(Self(Arc::new(roots.roots)))
    }

    /// The certificates that the system trusts.
    ///
    /// # Errors
    /// A sentence that says that there are none.
    pub fn of_system() -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // A system's store may hold some that nobody can read.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
            return Err(format!("the system trusts no certificates{why}; name those to trust"));
        }
        Ok(Self(Arc::new(roots.roots)))
    }

    /// As rustls takes it.
    #[must_use]
    pub fn roots(&self) -> RootCertStore {
        RootCertStore { roots: self.0.to_vec() }
    }

    /// As tonic takes it.
    pub(super) fn config(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .trust_anchors(self.0.iter().cloned())
            .timeout(Duration::from_millis(HANDSHAKE_MS_MAX))
    }
}

/// Why TLS failed, if that is why a call did.
pub(super) fn failure(status: &Status) -> Option<rustls::Error> {
    let mut cause = status.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(found) = error.downcast_ref::<rustls::Error>().or(inner) {
            return Some(found.clone());
        }
        cause = error.source();
    }
    None
}
