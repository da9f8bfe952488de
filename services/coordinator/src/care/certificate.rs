//! Until when a certificate is good: the one field of X.509 that a doctor needs.

use std::fs;
use std::path::Path;

use federation::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::audit::parse_time;

const SEQUENCE: u8 = 0x30;
/// `[0]`: the version, which old certificates have not.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the first certificate of a PEM file stops being good, or what is wrong with the file.
pub(super) fn good_until(file: &Path) -> Result<Timestamp, String> {
    let pem = fs::read(file).map_err(|error| error.to_string())?;
    let first = CertificateDer::pem_slice_iter(&pem).next();
    let first = first.ok_or("it holds no certificate")?.map_err(|error| error.to_string())?;
    not_after(&first).ok_or_else(|| "its first certificate has no time in it".to_owned())
}

fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(certificate, SEQUENCE)?;
    if let Some((_, rest)) = element(fields, VERSION) {
        fields = rest;
    }
    // Number, algorithm and issuer come before it.
    for _ in 0..3 {
        (_, _, fields) = any(fields)?;
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, _, not_after) = any(validity)?;
    let (tag, time, _) = any(not_after)?;
    let time = str::from_utf8(time).ok()?;
    let century = match tag {
        GENERALIZED_TIME => "",
        UTC_TIME if time < "5" => "20",
        UTC_TIME => "19",
        _ => return None,
    };
    let time = format!("{century}{time}");
    let part = |from: usize, to: usize| time.get(from..to);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    parse_time(&text).ok()
}

/// The content of the element at the beginning, which must have this tag, and what comes after it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Tag and content of the element at the beginning, and what comes after it.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (len, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if len.len() > 4 {
            return None;
        }
        (len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn made(year: i32) -> String {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 3, 4);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cert.pem");
        // X.509 writes years from 2050 on in the other form.
        for year in [2027, 2049, 2050, 2077] {
            fs::write(&file, made(year)).unwrap();
            let expected = parse_time(&format!("{year}-03-04T00:00:00Z")).unwrap();
            assert_eq!(good_until(&file).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_certificate_is_told_and_nothing_breaks() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cert.pem");
        assert!(good_until(&file).unwrap_err().contains("No such file"));
        fs::write(&file, "text").unwrap();
        assert_eq!(good_until(&file).unwrap_err(), "it holds no certificate");
        let good = made(2030);
        let der = CertificateDer::from_pem_slice(good.as_bytes()).unwrap();
        let whole = not_after(&der);
        assert!(whole.is_some());
        for len in 0..der.len() {
            assert_eq!(not_after(&der[..len]), None, "cut after {len}");
        }
    }
}
