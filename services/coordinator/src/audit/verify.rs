//! The audit log's chain, and each version against what the log says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use federation::audit::{Broken, Chain, Entry, Verdict};
use federation::{Digest, RoundRef, RunId};
use serde::Serialize;
use serde_json::Value;

use super::{AuditError, PAGE_ENTRIES, open, read};
use crate::store::{
    Dropped, Fault, Ledger, Lineage, MODEL_CREATED, ROUND_OPENED, VERSION_IMPORTED,
    VERSION_PUBLISHED, of_cohort, subject,
};

/// What became of a check of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The verdict.
    pub verdict: Standing,
    /// Entries read; the whole log unless its chain is broken.
    pub entries: u64,
    /// Of these, entries whose detail retention dropped.
    pub tombstones: u64,
    /// The hash of the last entry read: what to keep elsewhere.
    pub head: String,
    /// Whether a head that was kept elsewhere was looked for.
    pub head_given: bool,
    /// The versions, against the log; all zero when its chain is broken.
    pub versions: Versions,
    /// Artifacts, sums and rounds' receipts that retention dropped, as the log tells.
    pub dropped: u64,
    /// The first thing that is wrong.
    pub broken: Option<Problem>,
}

/// What a log is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Whole.
    Ok,
    /// In order, but retention dropped details, or what the log tells of.
    Pruned,
    /// Not as it was written.
    Broken,
}

/// How many versions were looked up in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// They are as the log says.
    pub as_told: u64,
    /// They have their place in the log, but what it said of them was dropped, and is not what is said of such a version
    /// today: it was changed, or another release wrote the entry.
    pub pruned: u64,
    /// They are older than the log.
    pub not_in_the_log: u64,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The entry: where there is none, its place.
    pub seq: u64,
    /// What is wrong there.
    pub why: String,
}

/// What a log whose chain is whole says of the rest.
#[derive(Default)]
struct Found {
    versions: Versions,
    dropped: u64,
    problem: Option<Problem>,
}

/// What is not there any more, and which of it the log tells of.
struct Gone {
    /// What there is none of.
    dropped: BTreeSet<(Dropped, String)>,
    /// Of these, what no entry was found for yet.
    untold: BTreeSet<(Dropped, String)>,
    /// Of which sorts of it some entry tells whose detail is gone itself.
    faded: BTreeSet<Dropped>,
}

impl Gone {
    fn new(dropped: BTreeSet<(Dropped, String)>) -> Self {
        Self { untold: dropped.clone(), dropped, faded: BTreeSet::new() }
    }

    /// Reads an entry of retention.
    fn take(&mut self, entry: &Entry) {
        let Some(sort) = Dropped::of(&entry.action) else { return };
        let Some(detail) = &entry.detail else {
            self.faded.insert(sort);
            return;
        };
        let said = serde_json::from_str::<Value>(detail).unwrap_or_default();
        for name in said["of"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.untold.remove(&(sort, name.to_owned()));
        }
    }

    fn has(&self, sort: Dropped, name: &str) -> bool {
        self.dropped.contains(&(sort, name.to_owned()))
    }

    /// What nobody dropped that should have, at the end of the log.
    fn problem(&self, seq: u64) -> Option<Problem> {
        let (sort, name) = self.untold.iter().find(|(sort, _)| !self.faded.contains(sort))?;
        let what = match sort {
            Dropped::Artifacts => "the artifact of version",
            Dropped::Sums => "the sum of round",
            Dropped::Receipts => "what is known of the receipts of round",
        };
        Some(Problem { seq, why: format!("{what} {name} is gone, and no entry tells of it") })
    }
}

/// An entry that tells of a version.
struct Told {
    seq: u64,
    previous: Digest,
    detail: Option<String>,
    detail_digest: Digest,
}

/// Checks the log, and each version's digests and embedded head against it. `kept` is a head that was noted elsewhere.
///
/// # Errors
/// [`AuditError`] when the file cannot be read. What it says is a [`Verification`], not an error.
pub async fn verify(file: &Path, kept: Option<Digest>) -> Result<Verification, AuditError> {
    let mut ledger = open(file).await?;
    let mut chain = Chain::new(kept);
    let checked = check(&mut ledger, &mut chain).await;
    let checked = read(file, &ledger, checked)?;
    let Found { versions, dropped, problem: broken } = match checked {
        Ok(found) => found,
        Err(broken) => Found { problem: Some(problem(&broken)), ..Found::default() },
    };
    let verdict = match chain.end() {
        _ if broken.is_some() => Standing::Broken,
        Verdict::Ok { .. } if dropped > 0 => Standing::Pruned,
        Verdict::Ok { .. } => Standing::Ok,
        Verdict::Pruned { .. } => Standing::Pruned,
        Verdict::Broken(_) => Standing::Broken,
    };
    Ok(Verification {
        verdict,
        entries: chain.head().seq,
        tombstones: chain.tombstones(),
        head: chain.head().hash.to_string(),
        head_given: kept.is_some(),
        versions,
        dropped,
        broken,
    })
}

fn problem(broken: &Broken) -> Problem {
    Problem { seq: broken.seq, why: broken.why.to_string() }
}

/// What the rest is worth, or where the chain breaks.
async fn check(ledger: &mut Ledger, chain: &mut Chain) -> Result<Result<Found, Broken>, Fault> {
    let mut gone = Gone::new(ledger.dropped().await?);
    let mut told = BTreeMap::new();
    let mut problems = Vec::new();
    loop {
        let page = ledger.entries_after(chain.head().seq, PAGE_ENTRIES).await?;
        if page.is_empty() {
            break;
        }
        for entry in page {
            if let Err(broken) = chain.follow(&entry) {
                return Ok(Err(broken));
            }
            gone.take(&entry);
            if entry.action == ROUND_OPENED
                && !gone.has(Dropped::Receipts, &entry.subject)
                && let Some(why) = check_cohort(ledger, &entry).await?
            {
                problems.push(Problem { seq: entry.seq, why });
            }
            let of_version =
                matches!(&*entry.action, MODEL_CREATED | VERSION_IMPORTED | VERSION_PUBLISHED);
            let Entry { seq, subject, previous, detail, detail_digest, .. } = entry;
            if of_version
                && let Some(first) =
                    told.insert(subject.clone(), Told { seq, previous, detail, detail_digest })
            {
                let why = format!("it tells of version {subject}, as entry {} does", first.seq);
                problems.push(Problem { seq, why });
            }
        }
    }
    if let Verdict::Broken(broken) = chain.end() {
        problems.push(problem(&broken));
    }
    let mut versions = Versions::default();
    let mut logged = None;
    for (model, number) in ledger.versions(None).await? {
        let name = subject(&model, number);
        let Some(made) = ledger.lineage(&model, number).await? else { continue };
        match (made.audit_head, told.remove(&name)) {
            (None, None) if logged.as_ref() != Some(&model) => versions.not_in_the_log += 1,
            (None, None) => {
                let why = format!(
                    "no entry tells of version {name}, though one does of the versions before it"
                );
                problems.push(Problem { seq: chain.head().seq + 1, why });
            }
            (None, Some(told)) => {
                let why =
                    format!("it tells of version {name}, which does not hold the head before it");
                problems.push(Problem { seq: told.seq, why });
            }
            (Some(head), None) => problems.push(untold(ledger, chain, head, &name).await?),
            (Some(head), Some(told)) => match compare(&made, head, &told) {
                Some(why) => problems.push(Problem { seq: told.seq, why }),
                None if told.detail_digest == Digest::of(made.detail().to_string().as_bytes()) => {
                    versions.as_told += 1;
                }
                None if told.detail.is_none() => versions.pruned += 1,
                None => versions.as_told += 1,
            },
        }
        if made.audit_head.is_some() {
            logged = Some(model);
        }
    }
    for (name, Told { seq, .. }) in told {
        problems
            .push(Problem { seq, why: format!("it tells of version {name}, which is not there") });
    }
    problems.extend(gone.problem(chain.head().seq + 1));
    let dropped = u64::try_from(gone.dropped.len()).expect("a length fits 64 bits");
    Ok(Ok(Found { versions, dropped, problem: problems.into_iter().min() }))
}

/// What is wrong with the cohort that an entry tells of.
async fn check_cohort(ledger: &mut Ledger, entry: &Entry) -> Result<Option<String>, Fault> {
    let Some(detail) = &entry.detail else { return Ok(None) };
    let said = serde_json::from_str::<Value>(detail).unwrap_or_default();
    let cohort = match round_named(&entry.subject) {
        Some(round) => ledger.cohort(round).await?,
        None => Vec::new(),
    };
    let same = said["cohort_digest"] == of_cohort(&cohort).to_string();
    Ok((!same).then(|| format!("the cohort of round {} is not the one it tells of", entry.subject)))
}

/// The round of which an entry tells.
fn round_named(subject: &str) -> Option<RoundRef> {
    let mut parts = subject.split('/');
    let run = RunId(parts.next()?.parse().ok()?);
    let (number, attempt) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(RoundRef { run, number, attempt })
}

/// The problem of a version that holds a head, but that no entry tells of.
async fn untold(
    ledger: &mut Ledger,
    chain: &Chain,
    head: Digest,
    name: &str,
) -> Result<Problem, Fault> {
    let empty = (head.0 == [0; 32]).then_some(0);
    let place = match empty {
        None => ledger.place_of(head).await?,
        found => found,
    };
    Ok(match place {
        Some(before) => Problem {
            seq: before + 1,
            why: format!("it told of version {name}, and that is gone from the log"),
        },
        None => Problem {
            seq: chain.head().seq + 1,
            why: format!(
                "version {name} holds a head that no entry has: the log was cut before it"
            ),
        },
    })
}

/// What differs between a version and what the log says of it.
fn compare(made: &Lineage, head: Digest, told: &Told) -> Option<String> {
    let name = subject(&made.model, made.number);
    if head != told.previous {
        return Some(format!(
            "version {name} holds the head {head}, and this entry follows {}",
            told.previous
        ));
    }
    let said: Value = match told.detail.as_deref().map(serde_json::from_str) {
        None => return None,
        Some(Ok(said)) => said,
        Some(Err(error)) => {
            return Some(format!("what it says of version {name} is not JSON: {error}"));
        }
    };
    let stored = made.detail();
    let fields = stored.as_object().expect("a detail is an object");
    let differs = |(field, stored): (&String, &Value)| {
        let said = &said[field];
        (said != stored).then(|| {
            format!("{field} of version {name} is {stored} in the database and {said} in the log")
        })
    };
    fields.iter().find_map(differs)
}

impl Verification {
    /// What a process should exit with: 0 only for `ok`, 1 for `broken`, 3 for `pruned`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Standing::Ok => 0,
            Standing::Broken => 1,
            Standing::Pruned => 3,
        }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, tombstones, head, versions, dropped, .. } = self;
        let Versions { as_told, pruned, not_in_the_log } = versions;
        match (&self.verdict, &self.broken) {
            (Standing::Broken, Some(Problem { seq, why })) => {
                writeln!(f, "broken: entry {seq}: {why}.")?;
                return write!(
                    f,
                    "The entries before the first bad one: {}.",
                    seq.saturating_sub(1)
                );
            }
            (Standing::Broken, None) => return f.write_str("broken."),
            (Standing::Ok, _) => writeln!(f, "ok: {entries} entries, each as it was written.")?,
            (Standing::Pruned, _) if *tombstones == 0 => {
                writeln!(f, "pruned: {entries} entries, each as it was written.")?;
            }
            (Standing::Pruned, _) => writeln!(
                f,
                "pruned: {entries} entries, each in its place; what {tombstones} of them said is gone."
            )?,
        }
        writeln!(f, "Versions as the log tells of them: {as_told}.")?;
        if *pruned > 0 {
            writeln!(f, "Versions of which the log can only tell the place: {pruned}.")?;
        }
        if *not_in_the_log > 0 {
            writeln!(f, "Versions older than the log, not in the log: {not_in_the_log}.")?;
        }
        if *dropped > 0 {
            writeln!(f, "Artifacts, sums and rounds' receipts that retention dropped: {dropped}.")?;
        }
        writeln!(f, "Head: {head}")?;
        f.write_str(if self.head_given {
            "The head given is in the log: what stood before it is what stood there then."
        } else {
            "Without --head, a log that was written anew as a whole looks like this too. Keep the head elsewhere."
        })
    }
}
