//! Which coordinator a command talks to, and as whom: flags, then variables, then a profile, then the default.

use std::fs;
use std::path::PathBuf;

use crate::client::Client;
use crate::failure::{Failure, status};
use crate::print::Out;
use crate::profile::{Profile, Profiles};

/// Where a coordinator listens where nothing says otherwise.
pub(crate) const COORDINATOR: &str = "http://127.0.0.1:7400";

/// What every command takes that talks to a coordinator.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Remote {
    /// Print the coordinator's answer as JSON
    #[arg(long)]
    json: bool,
    /// The coordinator's REST address [default: the profile's, else http://127.0.0.1:7400]
    #[arg(
        long,
        env = "MUSTER_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Coordinator"
    )]
    coordinator: Option<String>,
    /// API token; other users of this machine see what stands in a command line, so better use the variable or a file
    #[arg(
        long,
        env = "MUSTER_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Coordinator",
        conflicts_with = "token_file"
    )]
    token: Option<String>,
    /// File that holds the API token
    #[arg(
        long,
        env = "MUSTER_TOKEN_FILE",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Coordinator"
    )]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) that the coordinator's own is checked against, instead of the system's
    #[arg(
        long,
        env = "MUSTER_CA_FILE",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Coordinator"
    )]
    ca_file: Option<PathBuf>,
    /// Profile of `muster profile` to take what is not given from [default: the one in use]
    #[arg(
        long,
        env = "MUSTER_PROFILE",
        hide_env_values = true,
        value_name = "NAME",
        help_heading = "Coordinator"
    )]
    profile: Option<String>,
    /// Send the token to another machine although the connection is not encrypted
    #[arg(long, env = "MUSTER_INSECURE", hide_env_values = true, help_heading = "Coordinator")]
    insecure: bool,
}

/// A coordinator and how to be let in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its REST address.
    pub(crate) url: String,
    /// The API token.
    pub(crate) token: Option<String>,
    /// What its certificate is checked against, instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Where the address comes from, for people.
    pub(crate) origin: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Remote {
    /// The coordinator, and standard output as it was asked for.
    pub(crate) fn open(&self) -> Result<(Client, Out), Failure> {
        Ok((Client::new(self.target(&Profiles::read()?)?)?, Out::new(self.json)))
    }

    /// Standard output as it was asked for, where no coordinator is needed.
    pub(crate) fn out(&self) -> Out {
        Out::new(self.json)
    }

    fn target(&self, profiles: &Profiles) -> Result<Target, Failure> {
        let name = self.profile.as_ref().or(profiles.current.as_ref());
        let profile = name.map(|name| profiles.find(name)).transpose()?;
        let (url, origin) = match (&self.coordinator, name, profile) {
            (Some(url), _, _) => (url.clone(), "--coordinator or MUSTER_URL".to_owned()),
            (None, Some(name), Some(profile)) => {
                (profile.coordinator.clone(), format!("profile `{name}`"))
            }
            _ => (COORDINATOR.to_owned(), "the default".to_owned()),
        };
        // What a profile knows is for its coordinator alone: its token goes to no other.
        let profile = profile.filter(|profile| same(&profile.coordinator, &url));
        let target = Target {
            token: self.given_token(profile)?,
            ca_file: self.ca_file.clone().or_else(|| profile?.ca_file.clone()),
            url,
            origin,
        };
        if target.token.is_some() && !self.insecure && !is_private(&target.url) {
            let what = format!("a token would go to {} where others can read it", target.url);
            return Err(Failure::new("token_unencrypted", what, status::CONFIG)
                .hint("use an https:// address, or a tunnel, or say --insecure"));
        }
        Ok(target)
    }

    fn given_token(&self, profile: Option<&Profile>) -> Result<Option<String>, Failure> {
        if let Some(given) = &self.token {
            return token(given, "the token").map(Some);
        }
        let kept = || profile.and_then(|profile| profile.token.clone());
        let file = self.token_file.as_ref().or_else(|| profile?.token_file.as_ref());
        let Some(path) = file else { return Ok(kept()) };
        let text = fs::read_to_string(path).map_err(|error| {
            let what = format!("cannot read the token in {}: {error}", path.display());
            Failure::new("token_unreadable", what, status::NO_INPUT)
        })?;
        token(&text, &path.display().to_string()).map(Some)
    }
}

/// A token as it was given, without the line's end.
pub(crate) fn token(text: &str, from: &str) -> Result<String, Failure> {
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let what = format!("{from} holds no token: expected one word of ASCII characters");
        return Err(Failure::new("token_invalid", what, status::CONFIG));
    }
    Ok(token.to_owned())
}

fn same(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

/// Whether what is sent there stays between the two: encrypted, or on this machine.
fn is_private(url: &str) -> bool {
    let url = url.to_ascii_lowercase();
    let Some(rest) = url.strip_prefix("http://") else { return url.starts_with("https://") };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // `http://localhost:7400@elsewhere` is elsewhere.
    if authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        remote: Remote,
    }

    fn profiles() -> Profiles {
        let profile = |url: &str, token: &str| Profile {
            coordinator: url.to_owned(),
            token: Some(token.to_owned()),
            token_file: None,
            ca_file: Some("/ca.pem".into()),
        };
        let profiles = [
            ("lab".to_owned(), profile("https://lab:7400", "mst_lab")),
            ("field".to_owned(), profile("https://field:7400", "mst_field")),
        ];
        Profiles { current: Some("lab".to_owned()), profiles: profiles.into() }
    }

    fn target(flags: &[&str], profiles: &Profiles) -> Result<Target, Failure> {
        let flags = Flags::try_parse_from([&["muster"], flags].concat()).unwrap();
        flags.remote.target(profiles)
    }

    #[test]
    fn flags_go_before_a_profile_before_the_default() {
        let none = Profiles::default();
        let found = target(&[], &none).unwrap();
        assert_eq!((found.url.as_str(), found.token), (COORDINATOR, None));
        let found = target(&[], &profiles()).unwrap();
        assert_eq!(
            (found.url.as_str(), found.origin.as_str()),
            ("https://lab:7400", "profile `lab`")
        );
        assert_eq!(found.token.as_deref(), Some("mst_lab"));
        let found = target(&["--profile", "field", "--token", "mst_x"], &profiles()).unwrap();
        assert_eq!(
            (found.url.as_str(), found.token.as_deref()),
            ("https://field:7400", Some("mst_x"))
        );
        assert_eq!(found.ca_file, Some("/ca.pem".into()));
        let found = target(&["--profile", "filed"], &profiles()).unwrap_err();
        assert!(found.text().contains("hint: did you mean `field`?"), "{}", found.text());
    }

    #[test]
    fn a_profiles_token_goes_to_its_coordinator_alone() {
        let other = target(&["--coordinator", "https://elsewhere:7400"], &profiles()).unwrap();
        assert_eq!((other.token, other.ca_file), (None, None));
        let same = target(&["--coordinator", "https://lab:7400/"], &profiles()).unwrap();
        assert_eq!(same.token.as_deref(), Some("mst_lab"));
    }

    #[test]
    fn a_token_is_not_sent_in_the_clear_to_another_machine() {
        let sends = |url: &str, more: &[&str]| {
            let flags = [&["--token", "mst_x", "--coordinator", url], more].concat();
            target(&flags, &Profiles::default()).map(|_| ())
        };
        for private in
            ["http://127.0.0.1:7400", "http://localhost", "http://[::1]:7400/", "https://lab:7400"]
        {
            sends(private, &[]).unwrap();
        }
        for open in [
            "http://lab:7400",
            "HTTP://lab:7400",
            "http://10.0.0.1",
            "http://localhost.evil:80",
            "http://localhost:80@evil",
            "http://[::2]:1",
            "lab:7400",
        ] {
            assert_eq!(sends(open, &[]).unwrap_err().code(), "token_unencrypted", "{open}");
            sends(open, &["--insecure"]).unwrap();
        }
        let given = ["--token", "two words"];
        assert_eq!(target(&given, &Profiles::default()).unwrap_err().code(), "token_invalid");
    }
}
