//! Whether the coordinator of a configuration is ready, asked as a supervisor on the same machine asks it: at its own REST
//! door, without a token.
//!
//! Over TLS the door must show the certificate of the configuration, that one and no other: no name is asked for, because
//! the way there is a loopback address, and no authority, because the file says all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::Config;

/// Longest that all of it may take: less than supervisors usually wait.
const TIME_MAX: Duration = Duration::from_secs(4);
/// Most bytes of an answer that are read: many times what one has.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// Why a coordinator is not ready.
#[derive(Debug, Error)]
pub enum NotReady {
    /// It says so itself.
    #[error("the coordinator at {at} is up and not ready: {status}")]
    Says {
        /// Where it was asked.
        at: SocketAddr,
        /// Its word for it: `storage_full`, `store_failing`, `draining`.
        status: String,
    },
    /// Nothing answers, or not in time, or not as a coordinator does.
    #[error("no answer from a coordinator at {at}: {why}")]
    NoAnswer {
        /// Where it was asked.
        at: SocketAddr,
        /// What happened.
        why: String,
    },
    /// The certificate that it should show cannot be read.
    #[error("{}: {why}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The configuration leaves the port open, so that nobody knows where to ask.
    #[error("http.listen has port 0: nobody knows where to ask")]
    PortOpen,
}

impl NotReady {
    /// A stable code, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Says { .. } => "not_ready",
            Self::NoAnswer { .. } => "coordinator_unreachable",
            Self::Certificate { .. } => "tls_cert_invalid",
            Self::PortOpen => "port_unknown",
        }
    }

    /// What the process should exit with: 1 for a coordinator that says no, the rest as `sysexits.h` numbers them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Says { .. } => 1,
            Self::NoAnswer { .. } => 69,
            Self::Certificate { .. } => 66,
            Self::PortOpen => 64,
        }
    }
}

/// Asks the coordinator of `config`, on this machine, whether it is ready; where it was asked.
///
/// # Errors
/// [`NotReady`] says why it is not.
pub async fn ready(config: &Config) -> Result<SocketAddr, NotReady> {
    let at = own(config.http_listen);
    if at.port() == 0 {
        return Err(NotReady::PortOpen);
    }
    let trust = config.tls_cert.as_deref().map(|file| {
        trusting(file).map_err(|why| NotReady::Certificate { file: file.to_owned(), why })
    });
    let trust = trust.transpose()?;
    let no_answer = |why: String| NotReady::NoAnswer { at, why };
    let answer = timeout(TIME_MAX, ask(at, trust)).await;
    let answer = answer.map_err(|_| no_answer(format!("none within {} s", TIME_MAX.as_secs())))?;
    let answer = answer.map_err(|error| no_answer(error.to_string()))?;
    match read(&answer) {
        Some((200, _)) => Ok(at),
        Some((503, status)) => Err(NotReady::Says { at, status }),
        Some((status, _)) => Err(no_answer(format!("/readyz answers {status}"))),
        None => Err(no_answer("what answers does not speak HTTP".to_owned())),
    }
}

/// Where a door that listens there is reached on this machine.
fn own(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(at: SocketAddr, trust: Option<Arc<ClientConfig>>) -> std::io::Result<Vec<u8>> {
    let tcp = TcpStream::connect(at).await?;
    match trust {
        None => talk(tcp, at).await,
        Some(trust) => {
            let name = ServerName::from(at.ip());
            talk(TlsConnector::from(trust).connect(name, tcp).await?, at).await
        }
    }
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    at: SocketAddr,
) -> std::io::Result<Vec<u8>> {
    let head = format!("GET /readyz HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await {
        // Whoever closes without saying so has answered all the same.
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

/// Status and word of an answer.
fn read(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    Some((status, body["status"].as_str().unwrap_or("it does not say why").to_owned()))
}

/// A client that wants the first certificate of `file`.
fn trusting(file: &Path) -> Result<Arc<ClientConfig>, String> {
    let pem = std::fs::read(file).map_err(|error| error.to_string())?;
    let first = CertificateDer::pem_slice_iter(&pem).next().ok_or("it holds no certificate")?;
    let own = first.map_err(|error| error.to_string())?;
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Own { own, provider: provider.clone() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = config.dangerous().with_custom_certificate_verifier(verifier);
    Ok(Arc::new(config.with_no_client_auth()))
}

/// Takes one certificate, whose key the other side must hold.
#[derive(Debug)]
struct Own {
    own: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Own {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if shown == &self.own {
            return Ok(ServerCertVerified::assertion());
        }
        // It was renewed on disk, and the coordinator has not been told.
        Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_to_everywhere_is_asked_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:7400", "127.0.0.1:7400"),
            ("[::]:7400", "[::1]:7400"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            assert_eq!(own(listen.parse().unwrap()).to_string(), asked);
        }
    }

    #[test]
    fn an_answer_is_read() {
        let full = b"HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{\"status\":\"storage_full\"}";
        assert_eq!(read(full), Some((503, "storage_full".to_owned())));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\n").map(|(status, _)| status), Some(200));
        assert_eq!((read(b"SSH-2.0-OpenSSH\r\n\r\n"), read(b"")), (None, None));
    }

    #[tokio::test]
    async fn who_does_not_answer_is_not_ready() {
        let config =
            |listen: &str| Config { http_listen: listen.parse().unwrap(), ..Config::default() };
        // Nobody listens on port 1.
        let error = ready(&config("127.0.0.1:1")).await.unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("coordinator_unreachable", 69));
        let error = ready(&config("127.0.0.1:0")).await.unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("port_unknown", 64));
        let config = Config { tls_cert: Some("/nowhere".into()), ..config("127.0.0.1:1") };
        let error = ready(&config).await.unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("tls_cert_invalid", 66), "{error}");
    }
}
