//! Versions, computed again from what is recorded: base, plan, sums.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::path::Path;

use federation::aggregate::{Master, Sum};
use federation::{Artifact, Digest, ModelName, RunId, VersionNumber};
use serde::Serialize;

use super::{AuditError, open, read};
use crate::rounds::next_version;
use crate::store::{
    Aggregate, Aggregated, Dropped, Fault, Ledger, Lineage, MadeBy, StoredRun, stored_plan, subject,
};

/// What became of the versions of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The versions, by model and number.
    pub versions: Vec<ReplayedVersion>,
    /// The runs that moved them.
    pub runs: Vec<ReplayedRun>,
}

/// A version, computed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayedVersion {
    /// The model.
    pub model: String,
    /// The version.
    pub number: u32,
    /// The run that made it; none made a model's first version.
    pub run: Option<u64>,
    /// Its round.
    pub round: Option<u32>,
    /// Whether its strategy saw single updates, which are not kept: what is stored and was applied is their aggregate.
    pub vectors_gone: bool,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of computing a version again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The same bytes. Of a version that no round made: its bytes are those of its digest.
    Ok,
    /// It is not what its record says.
    Differs {
        /// What differs; at least one.
        differences: Vec<Difference>,
    },
    /// It cannot be computed any more: retention dropped what it was made of.
    Pruned {
        /// What is gone.
        why: String,
    },
    /// It cannot be computed.
    NotReplayable {
        /// Why not.
        why: String,
    },
}

/// A run's own records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayedRun {
    /// The run.
    pub run: u64,
    /// The model it moves.
    pub model: String,
    /// What differs; empty in a run that is as it was.
    pub differences: Vec<Difference>,
}

/// A record that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which.
    pub field: String,
    /// What is recorded.
    pub expected: String,
    /// What came out.
    pub got: String,
}

/// A run being computed again.
struct Course {
    run: RunId,
    /// The last round that made a version.
    round: u32,
    /// The optimiser's state, or the version at which it was lost, and whether retention dropped what it follows from.
    state: Result<Master, (VersionNumber, bool)>,
    /// The version before the next, as it was computed.
    last: Option<Artifact>,
    /// The version that differed, until one agrees again: what follows from a wrong sum is not wrong itself.
    suspect: Option<VersionNumber>,
}

/// Computes all versions again, or those of one model, with the code that made them.
///
/// # Errors
/// [`AuditError`] when the file cannot be read. A version that differs is in the [`Replay`], not an error.
pub async fn replay(file: &Path, model: Option<&ModelName>) -> Result<Replay, AuditError> {
    let mut ledger = open(file).await?;
    let replayed = all(&mut ledger, model).await;
    read(file, &ledger, replayed)
}

async fn all(ledger: &mut Ledger, model: Option<&ModelName>) -> Result<Replay, Fault> {
    let mut replayed = Replay { versions: Vec::new(), runs: Vec::new() };
    let gone = ledger.dropped().await?;
    // One run at a time moves a model: each course is whole before the next begins.
    let mut courses: Vec<Course> = Vec::new();
    for (model, number) in ledger.versions(model).await? {
        let Some(made) = ledger.lineage(&model, number).await? else { continue };
        let mut checks = Checks(Vec::new());
        let done = one(ledger, &made, &gone, &mut courses, &mut checks).await?;
        let outcome = match done {
            Err(Lost { why, dropped: true }) if checks.0.is_empty() => Outcome::Pruned { why },
            Err(Lost { why, .. }) if checks.0.is_empty() => Outcome::NotReplayable { why },
            _ if checks.0.is_empty() => Outcome::Ok,
            _ => Outcome::Differs { differences: checks.0 },
        };
        replayed.versions.push(ReplayedVersion {
            model: model.to_string(),
            number: number.0,
            run: made.made_by.as_ref().map(|by| by.round.run.0),
            round: made.made_by.as_ref().map(|by| by.round.number),
            vectors_gone: made.made_by.as_ref().is_some_and(vectors_gone),
            outcome,
        });
    }
    for run in ledger.runs(model).await? {
        let course = courses.iter().find(|course| course.run == run.id);
        replayed.runs.push(one_run(ledger, &run, course).await?);
    }
    Ok(replayed)
}

/// Why a version cannot be computed.
struct Lost {
    why: String,
    /// Whether retention dropped what is missing.
    dropped: bool,
}

/// What is missing by nobody's decision.
fn lost(why: impl Into<String>) -> Lost {
    Lost { why: why.into(), dropped: false }
}

/// Computes one version again. An error is why that is not possible.
async fn one(
    ledger: &mut Ledger,
    made: &Lineage,
    gone: &BTreeSet<(Dropped, String)>,
    courses: &mut Vec<Course>,
    checks: &mut Checks,
) -> Result<Result<(), Lost>, Fault> {
    let is_gone = |what, name: String| gone.contains(&(what, name));
    let no_artifact = |number| is_gone(Dropped::Artifacts, subject(&made.model, number));
    let stored = ledger.artifact(made.digest).await?.filter(|_| !no_artifact(made.number));
    if let Some(bytes) = &stored {
        checks.same("artifact", made.digest, Digest::of(bytes));
    }
    let Some(by) = &made.made_by else {
        let why = "its artifact is not stored any more".to_owned();
        return Ok(stored.map(|_| ()).ok_or(Lost { why, dropped: no_artifact(made.number) }));
    };
    if courses.last().is_none_or(|course| course.run != by.round.run) {
        courses.push(begin(ledger, made, by, no_artifact(by.run_base)).await?);
    }
    let course = courses.last_mut().expect("one was just begun");
    course.round += 1;
    checks.same("round", by.round.number, course.round);
    course.round = by.round.number;
    checks.same("rounds.version", show(by.version), made.number);
    checks.same("parent", show(made.parent), by.base_version);
    let master = match &course.state {
        Ok(master) => master.clone(),
        Err((at, dropped)) => {
            let why = if *at == made.number {
                "the version that its run began from is not stored".to_owned()
            } else {
                format!("it comes after version {at}, which could not be computed")
            };
            return Ok(Err(Lost { why, dropped: *dropped }));
        }
    };
    course.state = Err((made.number, false));

    let Some(bytes) = ledger.sum(by.key).await? else {
        let dropped = is_gone(Dropped::Sums, by.round.to_string());
        course.state = Err((made.number, dropped));
        return Ok(Err(Lost { why: "its sum is not stored any more".to_owned(), dropped }));
    };
    checks.same("sum_digest", show(made.sum_digest), Digest::of(&bytes));
    // One that retention dropped was computed a moment ago.
    let computed = course.last.take().filter(|last| made.parent_digest == Some(of(last)));
    let Some(base) = artifact(ledger, &made.model, by.base_version).await?.or(computed) else {
        let dropped = no_artifact(by.base_version);
        course.state = Err((made.number, dropped));
        let why = format!("version {}, its parent, is not stored", by.base_version);
        return Ok(Err(Lost { why, dropped }));
    };
    let plan = match stored_plan(&by.plan) {
        Ok(plan) => plan,
        Err(error) => return Ok(Err(lost(error.to_string()))),
    };
    let lanes = base.layout().weights();
    let sum = match Sum::decode(&bytes, lanes, by.weight, by.updates) {
        Ok(sum) => sum,
        Err(error) => return Ok(Err(lost(error.to_string()))),
    };
    if master.values().len() != lanes {
        checks.same("layout", lanes, master.values().len());
        return Ok(Ok(()));
    }
    if let Some(published) = stored.as_deref().and_then(|bytes| Artifact::parse(bytes).ok())
        && published.layout() != base.layout()
    {
        let layout = |artifact: &Artifact| format!("{:?}", artifact.layout());
        checks.same("layout", layout(&published), layout(&base));
    }
    let inputs = Aggregate {
        plan,
        base,
        base_version: by.base_version,
        next_version: made.number,
        master,
        // Compared for every round of the run, in `one_run`.
        contributions: sum.updates(),
        sum,
    };
    let Aggregated { artifact, master } = match next_version(inputs) {
        Ok(aggregated) => aggregated,
        Err(violation) => {
            checks.same("invariant", violation.0.says, violation);
            return Ok(Ok(()));
        }
    };
    let (digest, state) = (of(&artifact), Digest::of(&master.encode()));
    course.last = Some(artifact);
    let agrees = digest == made.digest && made.optimizer_digest == Some(state);
    course.state = Ok(master);
    if let Some(first) = course.suspect.filter(|_| !agrees) {
        return Ok(Err(lost(format!("it comes after version {first}, which differs"))));
    }
    course.suspect = (!agrees).then_some(made.number);
    checks.same("digest", made.digest, digest);
    checks.same("optimizer_digest", show(made.optimizer_digest), state);
    Ok(Ok(()))
}

/// A run before its first round.
async fn begin(
    ledger: &mut Ledger,
    made: &Lineage,
    by: &MadeBy,
    dropped: bool,
) -> Result<Course, Fault> {
    let base = artifact(ledger, &made.model, by.run_base).await?;
    let state = base.as_ref().map(first_state).ok_or((made.number, dropped));
    Ok(Course { run: by.round.run, round: 0, state, last: base, suspect: None })
}

/// The optimiser's state before the first round.
fn first_state(base: &Artifact) -> Master {
    Master::of(base.weights())
}

/// What is left to compare once the versions of a run are computed: its optimiser's state, and what each round counted.
async fn one_run(
    ledger: &mut Ledger,
    run: &StoredRun,
    course: Option<&Course>,
) -> Result<ReplayedRun, Fault> {
    let mut checks = Checks(Vec::new());
    for wrong in ledger.miscounted(run.id).await? {
        let field = format!("contributions of round {}", wrong.round);
        checks.same(&field, wrong.updates, wrong.contributions);
    }
    let state = match course {
        Some(course) if course.suspect.is_some() => None,
        Some(course) => course.state.as_ref().ok().map(Master::encode),
        None => artifact(ledger, &run.model, run.base_version)
            .await?
            .map(|base| first_state(&base).encode()),
    };
    if let Some(state) = state {
        let stored = ledger.optimizer(run.id).await?;
        let stored = stored.map(|bytes| Digest::of(&bytes));
        checks.same("optimizer state", show(stored), Digest::of(&state));
    }
    Ok(ReplayedRun { run: run.id.0, model: run.model.to_string(), differences: checks.0 })
}

/// The digest that a version of this content has.
fn of(artifact: &Artifact) -> Digest {
    Digest::of(&artifact.encode())
}

/// A version's artifact, if it is stored and is one.
async fn artifact(
    ledger: &mut Ledger,
    model: &ModelName,
    number: VersionNumber,
) -> Result<Option<Artifact>, Fault> {
    let Some(made) = ledger.lineage(model, number).await? else { return Ok(None) };
    let bytes = ledger.artifact(made.digest).await?;
    Ok(bytes.and_then(|bytes| Artifact::parse(&bytes).ok()))
}

/// Whether a round's strategy saw single updates.
fn vectors_gone(by: &MadeBy) -> bool {
    stored_plan(&by.plan).is_ok_and(|plan| plan.strategy.keeps_vectors())
}

fn show(value: Option<impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// What was found to differ.
struct Checks(Vec<Difference>);

impl Checks {
    fn same(&mut self, field: &str, expected: impl Display, got: impl Display) {
        let (expected, got) = (expected.to_string(), got.to_string());
        if expected != got {
            self.0.push(Difference { field: field.to_owned(), expected, got });
        }
    }
}

impl Replay {
    /// What a process should exit with: 0 only when everything is the same, 1 when something differs, 65 (EX_DATAERR) when
    /// something could not be computed, 3 when that is because retention dropped what it was made of.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let differs =
            |version: &ReplayedVersion| matches!(version.outcome, Outcome::Differs { .. });
        if self.versions.iter().any(differs)
            || self.runs.iter().any(|run| !run.differences.is_empty())
        {
            1
        } else if self
            .versions
            .iter()
            .any(|version| matches!(version.outcome, Outcome::NotReplayable { .. }))
        {
            65
        } else if self.versions.iter().any(|version| version.outcome != Outcome::Ok) {
            3
        } else {
            0
        }
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: recorded {}, computed {}", self.field, self.expected, self.got)
    }
}

impl Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut same = 0_usize;
        for version in &self.versions {
            let name = format!("{}/{}", version.model, version.number);
            let gone = if version.vectors_gone {
                " (its single updates are gone; their stored aggregate was applied)"
            } else {
                ""
            };
            match (&version.outcome, version.run.zip(version.round)) {
                (Outcome::Ok, None) => {
                    writeln!(f, "{name}: ok: its bytes are those of its digest")?
                }
                (Outcome::Ok, Some((run, round))) => {
                    writeln!(f, "{name}: ok: run {run}, round {round} gives the same bytes{gone}")?;
                }
                (Outcome::Differs { differences }, _) => {
                    writeln!(f, "{name}: differs{gone}")?;
                    differences.iter().try_for_each(|difference| writeln!(f, "  {difference}"))?;
                }
                (Outcome::Pruned { why }, _) => writeln!(f, "{name}: pruned: {why}")?,
                (Outcome::NotReplayable { why }, _) => {
                    writeln!(f, "{name}: not replayable: {why}")?;
                }
            }
            same += usize::from(version.outcome == Outcome::Ok);
        }
        for ReplayedRun { run, model, differences } in &self.runs {
            for difference in differences {
                writeln!(f, "run {run} of {model}: {difference}")?;
            }
        }
        write!(f, "{same} of {} versions are the same.", self.versions.len())
    }
}
