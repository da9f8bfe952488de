//! `muster config certificate`: a certificate for a coordinator that has none from elsewhere, and what vouches for it.
//!
//! An authority is made for it, signs it, and is forgotten: nobody can ever make another certificate that those trust who
//! were given `ca.pem`. What is there and good is kept, so that the command may stand before every start.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coordinator::{SystemClock, files};
use federation::Clock as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use serde_json::json;

use crate::failure::{Failure, status};
use crate::print::Out;

/// How long before its end a certificate is made anew.
const KEPT_UNTIL: Duration = Duration::from_secs(30 * 86_400);
/// How far the clocks of those who check it may be behind.
const BEFORE: Duration = Duration::from_secs(86_400);

/// `muster config certificate`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
What is there is kept if it is for these names, good for 30 more days, and --ca vouches for it.

Example:
  muster config certificate --name muster.example --name 192.0.2.7 --cert cert.pem --key key.pem --ca ca.pem
  muster serve --tls-cert cert.pem --tls-key key.pem
  muster node --coordinator https://muster.example:7401 --ca-file ca.pem")]
pub(crate) struct CertificateArgs {
    /// A name or address by which the coordinator is reached; may be repeated
    #[arg(long = "name", value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Where to write the certificate, for `serve --tls-cert`
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Where to write its private key, for `serve --tls-key`; its owner alone can read it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write what vouches for it, for `--ca-file` of nodes and people
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// How many days it is good
    #[arg(long, value_name = "N", default_value_t = 3_650, value_parser = clap::value_parser!(u32).range(31..=36_500))]
    days: u32,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Makes a certificate unless there is a good one; answers with the exit status.
pub(crate) fn run(args: &CertificateArgs) -> Result<u8, Failure> {
    let CertificateArgs { names, cert, key, ca, days, json } = args;
    for name in names {
        server_name(name)?;
    }
    let now = Duration::from_millis(SystemClock::new().wall().0);
    let why = good(args, now + KEPT_UNTIL).err();
    if why.is_some() {
        let made = make(names, now, *days).map_err(|error| {
            Failure::new("certificate_not_made", error.to_string(), status::SOFTWARE)
        })?;
        write(key, &made.key, 0o600)?;
        write(cert, &made.cert, 0o644)?;
        write(ca, &made.ca, 0o644)?;
    }
    let about = json!({"cert": cert, "key": key, "ca": ca, "names": names, "made": why.is_some(), "why": why});
    Out::new(*json).tell(&about, |_| match &why {
        None => format!("{} is kept: it is good", cert.display()),
        Some(why) => format!("{} is made for {} ({why})", cert.display(), names.join(", ")),
    })?;
    Ok(0)
}

fn server_name(name: &str) -> Result<ServerName<'static>, Failure> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        let what = format!("--name {name}: not a DNS name or an IP address");
        Failure::new("name_invalid", what, status::USAGE)
    })
}

/// Whether the files are a certificate that is good at that time for all the names; why not, otherwise.
fn good(args: &CertificateArgs, at: Duration) -> Result<(), String> {
    let CertificateArgs { names, cert, key, ca, .. } = args;
    let in_file = |file: &Path, why: String| format!("{}: {why}", file.display());
    let read = |file: &Path| fs::read(file).map_err(|error| in_file(file, error.to_string()));
    let certificates = |file: &Path| -> Result<Vec<CertificateDer<'static>>, String> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
        found.map_err(|error| in_file(file, error.to_string()))
    };
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(cert)?;
    let (own, others) =
        chain.split_first().ok_or_else(|| in_file(cert, "no certificate in it".to_owned()))?;
    let found = PrivateKeyDer::from_pem_slice(&read(key)?);
    let found = found.map_err(|error| in_file(key, error.to_string()))?;
    let pair = CertifiedKey::from_der(chain.clone(), found, &provider);
    pair.map_err(|error| in_file(key, error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for root in certificates(ca)? {
        roots.add(root).map_err(|error| in_file(ca, error.to_string()))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|error| in_file(ca, error.to_string()))?;
    let at = UnixTime::since_unix_epoch(at);
    for name in names {
        let server = server_name(name).map_err(|failure| failure.what().to_owned())?;
        let checked = verifier.verify_server_cert(own, others, &server, &[], at);
        checked.map_err(|error| in_file(cert, format!("in 30 days, for {name}: {error}")))?;
    }
    Ok(())
}

/// What is written, as PEM.
struct Made {
    cert: String,
    key: String,
    ca: String,
}

fn make(names: &[String], now: Duration, days: u32) -> Result<Made, rcgen::Error> {
    let epoch = date_time_ymd(1970, 1, 1);
    let from = epoch + now.saturating_sub(BEFORE);
    let until = epoch + now + Duration::from_secs(u64::from(days) * 86_400);

    let mut authority = CertificateParams::new(Vec::new())?;
    authority.not_before = from;
    authority.not_after = until;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.remove(DnType::CommonName);
    authority.distinguished_name.push(DnType::CommonName, "Muster, for one coordinator");
    let authority_key = KeyPair::generate()?;
    let ca = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let mut own = CertificateParams::new(names.to_vec())?;
    own.not_before = from;
    own.not_after = until;
    own.is_ca = IsCa::ExplicitNoCa;
    own.use_authority_key_identifier_extension = true;
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    own.distinguished_name.remove(DnType::CommonName);
    let subject = names.iter().find(|name| name.parse::<IpAddr>().is_err() && name.len() <= 64);
    own.distinguished_name.push(DnType::CommonName, subject.map_or("coordinator", String::as_str));
    let key = KeyPair::generate()?;
    let cert = own.signed_by(&key, &issuer)?.pem();
    Ok(Made { cert, key: key.serialize_pem(), ca })
}

/// Writes a file, and the directory that it is to be in.
fn write(file: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let made = parent.map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| files::put(file, text, mode)).map_err(|error| {
        let what = format!("cannot write {}: {error}", file.display());
        Failure::new("file_not_written", what, status::CANNOT_CREATE)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn args(dir: &Path, names: &[&str]) -> CertificateArgs {
        CertificateArgs {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            cert: dir.join("tls/cert.pem"),
            key: dir.join("tls/key.pem"),
            ca: dir.join("ca.pem"),
            days: 365,
            json: false,
        }
    }

    #[test]
    fn a_certificate_is_made_once_and_anew_when_it_is_not_good_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let asked = args(dir.path(), &["coordinator", "localhost", "127.0.0.1", "::1"]);
        let now = Duration::from_millis(SystemClock::new().wall().0);
        assert!(good(&asked, now).unwrap_err().contains("No such file"));
        let written = || fs::read_to_string(&asked.cert).unwrap();
        run(&asked).unwrap();
        let first = written();
        good(&asked, now).unwrap();
        let mode = fs::metadata(&asked.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        run(&asked).unwrap();
        assert_eq!(written(), first, "it is kept");

        // Of another time, for another name, without its key, without who vouches for it.
        let day = Duration::from_secs(86_400);
        good(&asked, now + 364 * day).unwrap();
        assert!(good(&asked, now + 366 * day).unwrap_err().contains("xpired"));
        let more = args(dir.path(), &["coordinator", "muster.example"]);
        assert!(good(&more, now).unwrap_err().contains("for muster.example"));
        run(&more).unwrap();
        let second = written();
        assert_ne!(second, first);
        let other = tempfile::tempdir().unwrap();
        run(&args(other.path(), &["coordinator"])).unwrap();
        for file in ["tls/key.pem", "ca.pem"] {
            fs::copy(other.path().join(file), dir.path().join(file)).unwrap();
            assert!(good(&more, now).is_err(), "{file} is another's");
            run(&more).unwrap();
            good(&more, now).unwrap();
        }
        assert_ne!(written(), second);
    }

    #[test]
    fn a_name_that_is_none_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let failure = run(&args(dir.path(), &["no such name"])).unwrap_err();
        assert_eq!((failure.code(), failure.status()), ("name_invalid", 64));
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
    }
}
