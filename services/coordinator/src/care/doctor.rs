//! What is wrong with a data directory, and what to do about it. It is only looked at.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use federation::{Clock, Digest};
use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::certificate::good_until;
use super::{beside, database};
use crate::audit::{Standing, verify};
use crate::store::{self, Fault, Looked, OpenError};

/// Open files below which few nodes can be connected.
const FILES_FEW: u64 = 1_024;
/// Free space below which updates will soon be refused.
const FREE_BYTES_FEW: u64 = 64 << 20;
/// A write-ahead log that has not been taken in for long: something reads and does not end.
const LOG_BYTES_MANY: u64 = 256 << 20;
/// How far clocks may disagree without telling anything.
const CLOCK_MS_SLACK: u64 = 1_000;

/// A day.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Days before its end in which a certificate should be renewed.
const RENEW_DAYS: u64 = 21;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work, or is not what it was.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, for programs.
    pub name: &'static str,
    /// How well it is.
    pub status: Health,
    /// What was found, and what to do about it.
    pub says: String,
}

/// All that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The worst of it.
    pub status: Health,
    /// One by one.
    pub checks: Vec<Check>,
}

/// Looks at a data directory, whether a coordinator runs on it or not, and at the certificate it shows, if it shows one.
pub async fn doctor(data_dir: &Path, tls_cert: Option<&Path>, clock: &dyn Clock) -> Diagnosis {
    let mut checks = vec![directory(data_dir), lock(data_dir), files()];
    checks.extend(tls_cert.map(|file| certificate(file, clock.wall().0)));
    let file = database(data_dir);
    checks.extend(space(data_dir, &file));
    match fs::metadata(&file) {
        Err(error) => {
            let why = "is it the right directory? `muster restore` puts a backup there";
            checks.push(fail("database", format!("{}: {error}: {why}", file.display())));
        }
        Ok(_) => {
            let still = !beside(&file, "-wal").exists();
            match store::look(&file, still).await {
                Ok(looked) => inside(&file, looked, clock, &mut checks).await,
                Err(error) => checks.push(unopened(&file, &error)),
            }
        }
    }
    let status = checks.iter().map(|check| check.status).max().unwrap_or(Health::Ok);
    Diagnosis { status, checks }
}

/// What is in the database.
async fn inside(file: &Path, mut looked: Looked, clock: &dyn Clock, checks: &mut Vec<Check>) {
    let (schema, known) = (looked.schema, looked.known);
    checks.push(if schema == known {
        ok("schema", format!("version {schema}, this program's"))
    } else {
        let next = "`muster serve` upgrades it: make a backup before";
        warn("schema", format!("version {schema}, this program's is {known}: {next}"))
    });
    checks.push(settings(file));
    let damages = looked.damages().await;
    let whole = damages.as_ref().is_ok_and(Vec::is_empty);
    checks.push(match damages {
        Ok(damages) if damages.is_empty() => ok("integrity", "no page is damaged".to_owned()),
        Ok(damages) => fail("integrity", format!("{}: restore a backup", damages.join("; "))),
        Err(fault) => unread("integrity", &fault),
    });
    checks.push(match looked.newest().await {
        Ok(newest) => time(newest.0, clock.wall().0),
        Err(fault) => unread("clock", &fault),
    });
    if whole {
        checks.push(artifacts(&mut looked).await);
    }
    looked.close().await;
    if whole && schema == known {
        checks.push(audit(file).await);
    }
}

/// The one setting that the file itself holds; durability rests on it, and on one that each coordinator makes and proves.
fn settings(file: &Path) -> Check {
    const NAME: &str = "settings";
    // The file format's read and write versions: 2 is a write-ahead log. Asked, SQLite would not say of a file at rest.
    let mut header = [0; 20];
    match File::open(file).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) if header[18..] == [2, 2] => ok(NAME, "it keeps a write-ahead log".to_owned()),
        Ok(()) => warn(NAME, "it keeps no write-ahead log: `muster serve` sets it".to_owned()),
        Err(error) => fail(NAME, format!("{}: {error}", file.display())),
    }
}

/// The digests of all artifacts.
async fn artifacts(looked: &mut Looked) -> Check {
    const NAME: &str = "artifacts";
    let (mut after, mut count) = (Vec::new(), 0_u64);
    loop {
        let next = match looked.artifact_after(&after).await {
            Ok(next) => next,
            Err(fault) => return unread(NAME, &fault),
        };
        let Some((digest, bytes)) = next else {
            return ok(NAME, format!("{count}, each with its digest"));
        };
        // Retention drops artifacts, and leaves their rows.
        if bytes.is_empty() {
            after = digest;
            continue;
        }
        if Digest::of(&bytes).0[..] != digest[..] {
            let told = Digest::from_bytes(&digest).map(|digest| digest.to_string());
            let told = told.unwrap_or_else(|_| "what is no digest".to_owned());
            let next = "no node is given it: restore a backup";
            return fail(NAME, format!("what is stored under {told} is something else: {next}"));
        }
        (after, count) = (digest, count + 1);
    }
}

async fn audit(file: &Path) -> Check {
    const NAME: &str = "audit";
    match verify(file, None).await {
        Ok(found) => match found.verdict {
            Standing::Ok => ok(NAME, format!("{} entries, head {}", found.entries, found.head)),
            Standing::Pruned => ok(
                NAME,
                format!("{} entries, pruned by retention, head {}", found.entries, found.head),
            ),
            Standing::Broken => {
                let why =
                    found.broken.map(|problem| format!(": entry {}: {}", problem.seq, problem.why));
                let why = why.unwrap_or_default();
                fail(NAME, format!("broken{why}: somebody changed the database, or it is damaged"))
            }
        },
        Err(error) => fail(NAME, error.to_string()),
    }
}

fn directory(data_dir: &Path) -> Check {
    const NAME: &str = "directory";
    let about = match fs::metadata(data_dir) {
        Ok(about) if about.is_dir() => about,
        Ok(_) => return fail(NAME, format!("{} is no directory", data_dir.display())),
        Err(error) => return fail(NAME, format!("{}: {error}", data_dir.display())),
    };
    let mode = about.permissions().mode() & 0o7777;
    let shown = format!("{} has mode {mode:03o}", data_dir.display());
    if mode & 0o077 == 0 {
        ok(NAME, format!("{shown}: its owner's alone"))
    } else {
        let next = "it holds the fleet's models and the hashes of tokens: `chmod 700` it";
        warn(NAME, format!("{shown}: others can look into it, and {next}"))
    }
}

/// Whether a coordinator runs. Both are well.
fn lock(data_dir: &Path) -> Check {
    const NAME: &str = "lock";
    // Opened for reading, held for an instant, and shared: two doctors do not disturb each other.
    let held = match File::open(data_dir.join("coordinator.lock")) {
        Ok(lock) => lock.try_lock_shared(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(TryLockError::Error(error)),
    };
    match held {
        Ok(()) => ok(NAME, "no coordinator runs on it".to_owned()),
        Err(TryLockError::WouldBlock) => ok(NAME, "a coordinator runs on it".to_owned()),
        Err(TryLockError::Error(error)) => {
            warn(NAME, format!("cannot tell whether a coordinator runs on it: {error}"))
        }
    }
}

fn certificate(file: &Path, now_ms: u64) -> Check {
    const NAME: &str = "tls";
    let next = "renew it and send SIGHUP";
    match good_until(file) {
        Err(error) => fail(NAME, format!("{}: {error}", file.display())),
        Ok(until) if until.0 <= now_ms => {
            let days = (now_ms - until.0) / DAY_MS;
            fail(NAME, format!("the certificate is over since {days} days: {next}"))
        }
        Ok(until) => {
            let days = (until.0 - now_ms) / DAY_MS;
            let shown = format!("the certificate is good for {days} days");
            if days < RENEW_DAYS { warn(NAME, format!("{shown}: {next}")) } else { ok(NAME, shown) }
        }
    }
}

fn files() -> Check {
    const NAME: &str = "files";
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < FILES_FEW => warn(
            NAME,
            format!(
                "a process may have {most} files open, each node takes one: raise `ulimit -Hn`"
            ),
        ),
        Some(most) => ok(NAME, format!("a process may have {most} files open")),
        None => ok(NAME, "a process may have any number of files open".to_owned()),
    }
}

fn space(data_dir: &Path, file: &Path) -> Vec<Check> {
    const NAME: &str = "disk";
    let about = match statvfs(data_dir) {
        Ok(about) => about,
        Err(error) => {
            return vec![warn(NAME, format!("cannot tell how full the disk is: {error}"))];
        }
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let size = |file: &Path| fs::metadata(file).map_or(0, |about| about.len());
    let (own, log) = (size(file), size(&beside(file, "-wal")));
    let shown = format!("{} MiB free, the database has {}", free >> 20, own.div_ceil(1 << 20));
    let disk = if free < FREE_BYTES_FEW {
        fail(NAME, format!("{shown}: updates are refused when it is full: make room"))
    } else if free < own {
        warn(NAME, format!("{shown}: a backup or a restore on this disk does not fit"))
    } else {
        ok(NAME, shown)
    };
    let mut checks = vec![disk];
    if log > LOG_BYTES_MANY {
        let next = "something reads the database and does not end";
        checks.push(warn("log", format!("the write-ahead log has {} MiB: {next}", log >> 20)));
    }
    checks
}

/// What was written last, at `newest_ms`, against the clock.
fn time(newest_ms: u64, now_ms: u64) -> Check {
    const NAME: &str = "clock";
    let ahead_ms = newest_ms.saturating_sub(now_ms);
    if ahead_ms > CLOCK_MS_SLACK {
        let next =
            "the clock was set back, or another machine wrote it: only shown times are wrong";
        warn(NAME, format!("the newest row is {} s younger than now: {next}", ahead_ms / 1_000))
    } else {
        ok(NAME, "nothing in the database is younger than now".to_owned())
    }
}

fn unopened(file: &Path, error: &OpenError) -> Check {
    let next = match error {
        OpenError::Newer { .. } => "install a newer muster",
        OpenError::Invalid(_) => "restore a backup",
        OpenError::Setting { .. } | OpenError::Unusable(_) => "who owns it?",
    };
    let name = if matches!(error, OpenError::Newer { .. }) { "schema" } else { "database" };
    fail(name, format!("{}: {error}: {next}", file.display()))
}

fn unread(name: &'static str, fault: &Fault) -> Check {
    fail(name, format!("it cannot be read: {fault}: restore a backup if it stays so"))
}

fn ok(name: &'static str, says: String) -> Check {
    Check { name, status: Health::Ok, says }
}

fn warn(name: &'static str, says: String) -> Check {
    Check { name, status: Health::Warn, says }
}

fn fail(name: &'static str, says: String) -> Check {
    Check { name, status: Health::Fail, says }
}

impl Diagnosis {
    /// What a process should exit with: 0 when all is well, 1 when something should be looked at, 2 when something fails.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.status {
            Health::Ok => 0,
            Health::Warn => 1,
            Health::Fail => 2,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, status, says } in &self.checks {
            writeln!(f, "{status:4}  {name:9}  {says}")?;
        }
        f.write_str(match self.status {
            Health::Ok => "All is well.",
            Health::Warn => "It works; look at what is marked `warn`.",
            Health::Fail => "Something does not work: look at what is marked `fail`.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, time};

    #[test]
    fn a_clock_that_was_set_back_is_told() {
        assert_eq!(time(0, 1_000_000).status, Health::Ok);
        assert_eq!(time(1_000_500, 1_000_000).status, Health::Ok);
        let back = time(4_600_000, 1_000_000);
        assert_eq!(back.status, Health::Warn);
        assert!(back.says.contains("3600 s younger"), "{}", back.says);
    }
}
