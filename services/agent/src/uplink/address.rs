//! Where a coordinator is, and whom to believe that it is the coordinator.

use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::ServerName;
use tonic::transport::{Endpoint, Uri};

use super::trust::Trust;

/// Where a coordinator is: `https://HOST:PORT` or `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
    trust: Trust,
}

impl Address {
    /// Reads an address. One of https trusts nobody before [`Address::trusting`].
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri =
            text.parse().map_err(|error| format!("`{text}` is not an address: {error}"))?;
        let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let host = bare(&uri);
        match uri.scheme_str() {
            Some("https") if plain && ServerName::try_from(host).is_err() => {
                Err(format!("`{text}`: no certificate can be for the name `{host}`"))
            }
            Some("http" | "https") if !host.is_empty() && plain => {
                Ok(Self { uri, trust: Trust::default() })
            }
            _ => Err(format!("`{text}` is not of the form https://HOST:PORT or http://HOST:PORT")),
        }
    }

    /// The same address, where `trust` decides whether it is the coordinator that answers.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    /// Whether what is said is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Whether the address is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = bare(&self.uri);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The address as tonic takes it.
    pub(super) fn endpoint(&self) -> Endpoint {
        let endpoint = Endpoint::from(self.uri.clone());
        if !self.is_encrypted() {
            return endpoint;
        }
        endpoint.tls_config(self.trust.config()).expect("the name was checked, and the roots are")
    }
}

/// The host without the brackets of an IPv6 address.
fn bare(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.to_string().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_http_and_https() {
        for (text, shown, loopback, encrypted) in [
            ("http://127.0.0.1:7401", "http://127.0.0.1:7401", true, false),
            ("http://localhost:7401/", "http://localhost:7401", true, false),
            ("http://[::1]:1", "http://[::1]:1", true, false),
            ("http://coordinator:7401", "http://coordinator:7401", false, false),
            ("http://10.0.0.1", "http://10.0.0.1", false, false),
            ("https://coordinator:7401", "https://coordinator:7401", false, true),
            ("https://[::1]:7401/", "https://[::1]:7401", true, true),
            ("https://10.0.0.1", "https://10.0.0.1", false, true),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.is_loopback()), (shown, loopback));
            assert_eq!(address.is_encrypted(), encrypted);
            address.endpoint();
        }
        for (text, part) in [
            ("", "not an address"),
            ("127.0.0.1:7401", "https://HOST:PORT"),
            ("coordinator", "https://HOST:PORT"),
            ("ftp://c:1", "https://HOST:PORT"),
            ("http://c:1/v1", "https://HOST:PORT"),
            ("https://c:1/v1", "https://HOST:PORT"),
            ("https://-c-:1", "no certificate"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
