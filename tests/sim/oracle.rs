//! What must be true at the end of a run, whatever happened in it.
//!
//! Node i adds 1 in lane i of every update, so the sum of a round shows who is in it, and how often. In lane n + i it
//! learns more than fits, so what it sent and what it kept must add up to what it learned.

use std::collections::{BTreeMap, BTreeSet};

use agent::journal::Journal;
use federation::aggregate::{Master, Sum, advance, publish};
use federation::{Artifact, Digest, RoundRef, RunId, Strategy, invariant};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Row, SqliteConnection};

use crate::hosts::{MODEL, Shared, node_index};
use crate::world::Remains;

/// A round, as the database has it.
struct Round {
    id: i64,
    state: String,
    base_version: u32,
    version: Option<u32>,
    updates: u32,
    sum: Sum,
    /// By node: payload digest and time of the count.
    contributions: BTreeMap<usize, (Digest, u64)>,
}

/// Checks everything, what may never be before what was to be reached; the first thing that is not true is the error.
/// Otherwise lines that say what there is.
pub(crate) fn check(remains: &Remains) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let read = runtime.map_err(|error| error.to_string())?.block_on(read(&remains.shared));
    let (rounds, versions) = match (read, &remains.ended) {
        (Ok(read), _) => read,
        (Err(_), Err(ended)) => return Err(ended.clone()),
        (Err(error), Ok(())) => return Err(format!("read the database: {error}")),
    };
    sums_hold_each_node_once(remains, &rounds)?;
    receipts_are_counted(remains, &rounds)?;
    refused_and_settled_are_as_told(remains, &rounds)?;
    remains.ended.clone()?;
    let state = remains.shared.state.lock().expect("no panic under the lock").clone();
    hold(state == "completed", || format!("the run is {state}, not completed"))?;
    versions_follow_from_sums(&remains.shared, &rounds, &versions)?;
    nothing_learned_is_lost(remains, &rounds)?;
    let mut lines = Vec::new();
    for (round, of) in &rounds {
        let who: Vec<_> = of.contributions.keys().collect();
        let sum = Digest::of(&of.sum.encode());
        lines.push(format!(
            "round {round} {} version={:?} nodes={who:?} sum={sum}",
            of.state, of.version
        ));
    }
    lines.extend(
        versions
            .iter()
            .map(|(number, (bytes, _))| format!("version {number} {}", Digest::of(bytes))),
    );
    Ok(lines)
}

fn hold(ok: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if ok { Ok(()) } else { Err(otherwise()) }
}

type Versions = BTreeMap<u32, (Vec<u8>, Option<i64>)>;

async fn read(shared: &Shared) -> Result<(BTreeMap<RoundRef, Round>, Versions), sqlx::Error> {
    let file = shared.coordinator_dir().join("coordinator.db");
    let mut db =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await?;
    let mut rounds = BTreeMap::new();
    let rows = sqlx::query(
        "SELECT r.*, s.lanes FROM rounds r JOIN sums s ON s.round_id = r.id ORDER BY r.id",
    );
    for row in rows.fetch_all(&mut db).await? {
        let number = |name: &str| -> Result<u32, sqlx::Error> { row.try_get(name) };
        let round = RoundRef {
            run: RunId(row.try_get::<i64, _>("run_id")?.unsigned_abs()),
            number: number("number")?,
            attempt: number("attempt")?,
        };
        let weight = row.try_get::<i64, _>("weight")?.unsigned_abs();
        let lanes: Vec<u8> = row.try_get("lanes")?;
        let updates = number("updates")?;
        let sum = Sum::decode(&lanes, 2 * shared.script.nodes, weight, updates)
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        let of = Round {
            id: row.try_get("id")?,
            state: row.try_get("state")?,
            base_version: number("base_version")?,
            version: row.try_get("version")?,
            updates,
            sum,
            contributions: BTreeMap::new(),
        };
        rounds.insert(round, of);
    }
    for row in sqlx::query("SELECT * FROM contributions").fetch_all(&mut db).await? {
        let id: i64 = row.try_get("round_id")?;
        let node: String = row.try_get("node_id")?;
        let digest: Vec<u8> = row.try_get("payload_digest")?;
        let digest = Digest(digest.try_into().expect("the schema says 32 bytes"));
        let counted_ms = row.try_get::<i64, _>("counted_ms")?.unsigned_abs();
        let of = rounds.values_mut().find(|round| round.id == id).expect("a foreign key says so");
        of.contributions.insert(node_index(&node).expect("our names"), (digest, counted_ms));
    }
    let mut versions = BTreeMap::new();
    let rows = sqlx::query(
        "SELECT v.number, v.round_id, a.bytes FROM versions v JOIN artifacts a ON a.digest = v.digest
         WHERE v.model = ?",
    );
    for row in rows.bind(MODEL).fetch_all(&mut db).await? {
        versions.insert(row.try_get("number")?, (row.try_get("bytes")?, row.try_get("round_id")?));
    }
    let healthy: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut db).await?;
    assert_eq!(healthy, "ok", "the database's file");
    db.close().await?;
    Ok((rounds, versions))
}

/// Every lane of a sum is 0 or one update's share, and that where there is a contribution.
fn sums_hold_each_node_once(
    remains: &Remains,
    rounds: &BTreeMap<RoundRef, Round>,
) -> Result<(), String> {
    let plan = &remains.shared.script.plan;
    let Strategy::FedAvg { weighting, .. } = plan.strategy else {
        return Err("every script averages".to_owned());
    };
    let share = i64::from(weighting.weight(plan.local.samples * plan.local.epochs));
    for (name, round) in rounds {
        for node in 0..remains.shared.script.nodes {
            let counted = round.contributions.contains_key(&node);
            let (got, wanted) = (round.sum.lanes()[node], if counted { share } else { 0 });
            hold(got == wanted, || {
                format!(
                    "lane {node} of round {name} is {got}, not {wanted}: node-{node} is counted {got}/{share} times and recorded {}",
                    u8::from(counted)
                )
            })?;
        }
        let recorded = u32::try_from(round.contributions.len()).expect("a small fleet");
        invariant::counted_once(recorded, &round.sum)
            .map_err(|error| format!("round {name}: {error}"))?;
        hold(round.updates <= plan.cohort.goal, || {
            format!(
                "round {name} holds {} updates, its goal is {}",
                round.updates, plan.cohort.goal
            )
        })?;
    }
    Ok(())
}

/// Whoever holds a receipt is counted: that payload, at that time, in that round.
fn receipts_are_counted(
    remains: &Remains,
    rounds: &BTreeMap<RoundRef, Round>,
) -> Result<(), String> {
    let mut receipts = BTreeSet::new();
    for event in remains.shared.log.since(0) {
        if let Some(node) = node_index(&event.host)
            && event.message == "the update is counted"
        {
            let round = round_of(&event.fields["round"]);
            let entry = remains.updates.get(&(node, round));
            let entry = entry.ok_or_else(|| format!("a receipt for nothing: {event}"))?;
            let at_ms: u64 = event.fields["counted_at_ms"].parse().expect("a number");
            receipts.insert((node, round, Digest::of(&entry.payload), at_ms));
        }
    }
    for (candidate, receipt) in remains.shared.sent.lock().expect("no panic under the lock").iter()
    {
        let node = node_index(candidate.node.as_str()).expect("our names");
        receipts.insert((node, candidate.round, receipt.payload, receipt.counted_at_ms));
    }
    for (node, round, payload, at_ms) in &receipts {
        let held = || format!("node-{node} has a receipt for round {round}, counted at {at_ms}");
        let of = rounds.get(round).ok_or_else(|| format!("{}; no such round", held()))?;
        match of.contributions.get(node) {
            None => return Err(format!("{}; nothing is recorded", held())),
            Some(recorded) => hold(recorded == &(*payload, *at_ms), || {
                format!("{}; recorded are {recorded:?}", held())
            })?,
        }
    }
    let counted: usize = rounds.values().map(|round| round.contributions.len()).sum();
    hold(remains.ended.is_err() || receipts.len() == counted, || {
        format!("{} receipts for {counted} updates that are counted", receipts.len())
    })
}

/// A refused update is in no sum, and what a node was told of a round is what became of it.
fn refused_and_settled_are_as_told(
    remains: &Remains,
    rounds: &BTreeMap<RoundRef, Round>,
) -> Result<(), String> {
    for event in remains.shared.log.since(0) {
        let Some(node) = node_index(&event.host) else { continue };
        let round = || rounds.get(&round_of(&event.fields["round"]));
        match event.message.as_str() {
            "the update does not count; its learning is dropped" => {
                let counted = round().is_some_and(|of| of.contributions.contains_key(&node));
                hold(!counted, || format!("what was refused is counted: {event}"))?;
            }
            "the outcome of a round is known" => {
                let told = event.fields["outcome"].to_lowercase();
                let state = round().map_or("unknown", |of| of.state.as_str());
                hold(told == state, || format!("the round is {state}: {event}"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Versions are in step, in range, and a function of the stored sums.
fn versions_follow_from_sums(
    shared: &Shared,
    rounds: &BTreeMap<RoundRef, Round>,
    versions: &Versions,
) -> Result<(), String> {
    let plan = &shared.script.plan;
    let numbers: Vec<u32> = versions.keys().copied().collect();
    hold(numbers == (1..=plan.rounds + 1).collect::<Vec<_>>(), || format!("versions {numbers:?}"))?;
    let first = shared.artifact();
    hold(versions[&1].0 == first.encode(), || "version 1 is not what was made".to_owned())?;
    let mut master = Master::of(first.weights());
    for number in 2..=plan.rounds + 1 {
        let (bytes, round_id) = &versions[&number];
        let made = rounds.values().filter(|round| round.version == Some(number));
        let [round] = made.collect::<Vec<_>>()[..] else {
            return Err(format!("version {number} does not have one round"));
        };
        let good = round.state == "published"
            && Some(round.id) == *round_id
            && round.updates >= plan.cohort.quorum;
        hold(good, || format!("version {number} is of a round that cannot make one"))?;
        advance(plan.strategy, &mut master, &round.sum, first.layout());
        let version = Artifact::parse(bytes).map_err(|error| error.to_string())?;
        let weights = publish(&master, first.layout());
        hold(version.weights() == weights, || format!("version {number} is not of its sum"))?;
        invariant::publishable(round.base_version, number, &weights, first.layout())
            .map_err(|error| format!("version {number}: {error}"))?;
    }
    Ok(())
}

/// What a node learned in published rounds it has sent, or still keeps as its residual.
fn nothing_learned_is_lost(
    remains: &Remains,
    rounds: &BTreeMap<RoundRef, Round>,
) -> Result<(), String> {
    let shared = &remains.shared;
    let model = MODEL.parse().expect("it is a name");
    let learned = shared.learned.lock().expect("no panic under the lock");
    for node in 0..shared.script.nodes {
        let journal = Journal::open(&shared.node_dir(node)).map_err(|error| error.to_string())?;
        let kept = journal.residual(&model);
        for lane in 0..2 * shared.script.nodes {
            let (mut wanted, mut sent) = (0, 0);
            for (name, round) in rounds {
                if round.state == "published" && round.contributions.contains_key(&node) {
                    let payload = &remains.updates[&(node, *name)].payload;
                    wanted += learned[&(node, *name)][lane];
                    sent += i32::from(payload[lane].cast_signed());
                }
            }
            let kept = kept.lanes().get(lane).copied().unwrap_or(0);
            hold(wanted == sent + kept, || {
                format!("node-{node} learned {wanted} in lane {lane}, sent {sent} and keeps {kept}")
            })?;
        }
    }
    Ok(())
}

fn round_of(text: &str) -> RoundRef {
    let mut parts = text.split('/').map(|part| part.parse().expect("a round's name"));
    let mut next = || parts.next().expect("run, number, attempt");
    RoundRef { run: RunId(next()), number: small(next()), attempt: small(next()) }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("a round's number")
}
