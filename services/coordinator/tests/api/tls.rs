//! TLS at both doors: who gets in, what is wrong with a certificate, and how it changes under way.

use std::path::Path;
use std::sync::Arc;

use coordinator::{Config, Coordinator, DoorLimits, Running, SystemClock};
use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::support::{config, enrolment};

/// A coordinator whose doors speak TLS, and what a client must know.
pub(crate) struct Secure {
    pub(crate) dir: TempDir,
    pub(crate) running: Running,
    pub(crate) root: rcgen::Certificate,
}

/// Writes a new certificate and its key, where [`secured`] looks for them.
fn write_pair(dir: &Path) -> rcgen::Certificate {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let pair = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(dir.join("cert.pem"), pair.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    pair.cert
}

/// A configuration with TLS.
fn secured(dir: &Path) -> Config {
    let (cert, key) = (Some(dir.join("cert.pem")), Some(dir.join("key.pem")));
    Config { tls_cert: cert, tls_key: key, ..config(dir) }
}

impl Secure {
    pub(crate) async fn start(limits: DoorLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = write_pair(dir.path());
        let clock = Arc::new(SystemClock::new());
        let running = Coordinator::start_with(secured(dir.path()), clock, limits).await.unwrap();
        Self { dir, running, root }
    }

    /// A connection to the REST door, whose certificate must be `root`.
    pub(crate) async fn rest(&self, root: &CertificateDer<'static>) -> std::io::Result<Rest> {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let config =
            ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let stream = TcpStream::connect(self.running.http_addr()).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(Rest)
    }

    /// A connection to the gRPC door, whose certificate must be `root`.
    async fn grpc(&self, root: &rcgen::Certificate) -> Result<Channel, tonic::transport::Error> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(root.pem()));
        let address = format!("https://{}", self.running.grpc_addr());
        Channel::from_shared(address).unwrap().tls_config(tls).unwrap().connect().await
    }
}

/// An encrypted connection of HTTP/1.1.
pub(crate) struct Rest(TlsStream<TcpStream>);

impl Rest {
    /// Asks for the health, and reads the answer.
    pub(crate) async fn ask(&mut self) -> String {
        self.0.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert!(self.0.read_buf(&mut answer).await.unwrap() > 0, "it ended");
        }
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test]
async fn both_doors_speak_tls_to_those_who_trust_their_certificate() {
    let site = Secure::start(DoorLimits::default()).await;
    assert_eq!(site.running.scheme(), "https");
    let mut rest = site.rest(site.root.der()).await.unwrap();
    let answer = rest.ask().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with(&json!({"status": "ok"}).to_string()), "{answer}");
    let mut fleet = FleetServiceClient::new(site.grpc(&site.root).await.unwrap());
    let enrolled = fleet.enrol(v1::EnrolRequest::from(enrolment("a"))).await.unwrap();
    assert!(enrolled.into_inner().result.is_some());

    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert;
    assert!(site.rest(other.der()).await.is_err());
    assert!(site.grpc(&other).await.is_err());
    site.running.shutdown().await;
}

#[tokio::test]
async fn what_is_wrong_with_certificate_and_key_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let base = secured(dir.path());
    let check = async |config: &Config, code: &str, exit: u8, says: &str| {
        let clock = Arc::new(SystemClock::new());
        let error = Coordinator::start(config.clone(), clock).await.unwrap_err();
        assert_eq!((error.code(), error.exit_code()), (code, exit), "{error}");
        assert!(error.to_string().contains(says), "{error} should say {says}");
    };
    check(&base, "tls_file_unreadable", 66, "--tls-cert").await;
    write_pair(dir.path());
    let key = std::fs::read(dir.path().join("key.pem")).unwrap();
    let cert = std::fs::read(dir.path().join("cert.pem")).unwrap();
    let write = |file: &str, text: &[u8]| std::fs::write(dir.path().join(file), text).unwrap();

    write("cert.pem", &key);
    check(&base, "tls_cert_invalid", 65, "no PEM section BEGIN CERTIFICATE").await;
    write("cert.pem", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    check(&base, "tls_cert_invalid", 65, "not PEM").await;
    write("cert.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    check(&base, "tls_cert_invalid", 65, "cert.pem").await;
    write("cert.pem", &cert);
    write("key.pem", &cert);
    check(&base, "tls_key_invalid", 65, "no private key").await;
    write("key.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    check(&base, "tls_key_invalid", 65, "cannot be used").await;
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    write("key.pem", other.as_bytes());
    check(&base, "tls_key_mismatch", 65, "not the key of the certificate").await;
    std::fs::remove_file(dir.path().join("key.pem")).unwrap();
    check(&base, "tls_file_unreadable", 66, "--tls-key").await;
    check(&Config { tls_key: None, ..base.clone() }, "tls_incomplete", 64, "--tls-").await;
    check(&Config { tls_cert: None, ..base }, "tls_incomplete", 64, "--tls-").await;
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_old_ones_go_on() {
    let site = Secure::start(DoorLimits::default()).await;
    let mut rest = site.rest(site.root.der()).await.unwrap();
    rest.ask().await;
    let mut fleet = FleetServiceClient::new(site.grpc(&site.root).await.unwrap());
    let enrol = || v1::EnrolRequest::from(enrolment("a"));
    fleet.enrol(enrol()).await.unwrap();
    let wait = v1::WaitOrderRequest {
        node_id: "a".to_owned(),
        wait_ms: 60_000,
        ..v1::WaitOrderRequest::default()
    };
    let waiting = tokio::spawn({
        let mut fleet = fleet.clone();
        async move { fleet.wait_order(wait).await }
    });

    let renewed = write_pair(site.dir.path());
    site.running.certificates().unwrap().reload().unwrap();
    rest.ask().await;
    fleet.enrol(enrol()).await.unwrap();
    site.rest(renewed.der()).await.unwrap().ask().await;
    let mut newer = FleetServiceClient::new(site.grpc(&renewed).await.unwrap());
    newer.enrol(enrol()).await.unwrap();
    assert!(site.rest(site.root.der()).await.is_err(), "the old certificate is not shown");
    assert!(site.grpc(&site.root).await.is_err());
    // Answered by the shutdown, on the connection from before.
    site.running.shutdown().await;
    assert!(waiting.await.unwrap().unwrap().into_inner().order.is_some());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_changes_nothing() {
    let site = Secure::start(DoorLimits::default()).await;
    let mut old = site.rest(site.root.der()).await.unwrap();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for (file, text, code) in [
        ("key.pem", key.as_str(), "tls_key_mismatch"),
        ("cert.pem", "no certificate", "tls_cert_invalid"),
    ] {
        std::fs::write(site.dir.path().join(file), text).unwrap();
        let error = site.running.certificates().unwrap().reload().unwrap_err();
        assert_eq!(error.code, code, "{error}");
        old.ask().await;
        site.rest(site.root.der()).await.unwrap().ask().await;
        site.grpc(&site.root).await.unwrap();
    }
    site.running.shutdown().await;
}
