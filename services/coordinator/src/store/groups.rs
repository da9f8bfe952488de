//! The transaction that counts a group of updates: each is judged again, its contribution inserted, and only what was
//! inserted is folded into its round's sum. One update that does not count refuses itself, never its group.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use federation::admission::{Verdict, judge};
use federation::aggregate::{Sum, lanes};
use federation::round::RoundState;
use federation::{
    Answer, Candidate, Metrics, Plan, Receipt, Refusal, RefusalCode, RoundRef, Timestamp,
};
use sqlx::{QueryBuilder, SqliteConnection};

use super::error::{Corrupt, Fault};
use super::rounds::RoundKey;
use super::row::sql;
use super::updates::{Ordered, Plans, members, ordered};
use super::{Store, StoreError, vectors};

/// Most bytes of sums held between groups. A sum that is not held is read again.
const SUMS_BYTES_MAX: usize = 32 << 20;

/// Contributions in one statement, each with ten values of the 32,766 that SQLite takes: as a rule the whole group.
const ROWS_AT_ONCE: usize = 256;

/// An update that was checked, to be counted.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// What was announced.
    pub(crate) candidate: Candidate,
    /// Its payload, checked.
    pub(crate) payload: Bytes,
}

/// What became of one update of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// It counts, or is refused.
    Done(Answer<Receipt>),
    /// Nothing was done: it is worth another try in a moment.
    Later,
}

/// What became of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// One answer for each update, in order.
    pub(crate) answers: Vec<Counting>,
    /// Whether a round reached its goal.
    pub(crate) closes: bool,
}

/// The sums that the last groups were folded into, as they stand in the database.
#[derive(Debug, Default)]
pub(super) struct Sums(Mutex<BTreeMap<RoundKey, Sum>>);

/// A round that takes what a group brings.
struct Target {
    key: RoundKey,
    plan: Arc<Plan>,
    sum: Sum,
    /// Updates accepted so far, those of this group included.
    accepted: u32,
    totals: Totals,
}

#[derive(Default)]
struct Totals {
    samples: u64,
    correct: u64,
    synaptic_ops: u64,
    bytes_up: u64,
    bytes_down: u64,
}

impl Store {
    /// Counts a group of updates in one transaction, each at most once.
    pub(crate) async fn count_group(
        &self,
        offers: Vec<Offer>,
        now: Timestamp,
    ) -> Result<Tally, StoreError> {
        let (held, plans) = (self.sums.take(), self.plans.clone());
        let counted = self.write("count_group", async move |tx: &mut SqliteConnection| {
            count(tx, &offers, held, &plans, now).await
        });
        // Without a commit the sums in memory are not those in the database: they were dropped.
        let (tally, sums) = counted.await?;
        self.sums.hold(sums);
        Ok(tally)
    }
}

impl Sums {
    fn take(&self) -> BTreeMap<RoundKey, Sum> {
        std::mem::take(&mut self.0.lock().expect("no code panics while it holds the sums"))
    }

    fn hold(&self, sums: BTreeMap<RoundKey, Sum>) {
        let bytes: usize = sums.values().map(|sum| size_of_val(sum.lanes())).sum();
        if bytes <= SUMS_BYTES_MAX {
            *self.0.lock().expect("no code panics while it holds the sums") = sums;
        }
    }
}

async fn count(
    tx: &mut SqliteConnection,
    offers: &[Offer],
    mut held: BTreeMap<RoundKey, Sum>,
    plans: &Plans,
    now: Timestamp,
) -> Result<(Tally, BTreeMap<RoundKey, Sum>), Fault> {
    let mut answers = vec![Counting::Later; offers.len()];
    let mut by_round: BTreeMap<RoundRef, Vec<usize>> = BTreeMap::new();
    for (at, offer) in offers.iter().enumerate() {
        by_round.entry(offer.candidate.round).or_default().push(at);
    }
    let mut targets: BTreeMap<RoundKey, Target> = BTreeMap::new();
    for (round, offered) in by_round {
        let Some(met) = ordered(tx, plans, round).await? else {
            for at in offered {
                if let Verdict::Refuse(refusal) = judge(None, &offers[at].candidate) {
                    answers[at] = Counting::Done(Err(refusal));
                }
            }
            continue;
        };
        let target = match met.target() {
            None => None,
            Some(live) => Some(match targets.entry(live) {
                Entry::Occupied(loaded) => loaded.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(Target::load(tx, &met, held.remove(&live)).await?)
                }
            }),
        };
        count_round(tx, &met, target, offers, &offered, &mut answers, now).await?;
    }
    let mut closes = false;
    let mut sums = BTreeMap::new();
    for (key, target) in targets {
        let full = target.accepted >= target.plan.cohort.goal;
        target.write(tx, full).await?;
        closes |= full;
        if !full {
            sums.insert(key, target.sum);
        }
    }
    Ok((Tally { answers, closes }, sums))
}

/// Counts what was offered for one round. Without a target nothing can be counted now.
async fn count_round(
    tx: &mut SqliteConnection,
    met: &Ordered,
    mut target: Option<&mut Target>,
    offers: &[Offer],
    offered: &[usize],
    answers: &mut [Counting],
    now: Timestamp,
) -> Result<(), Fault> {
    let nodes: Vec<&str> = offered.iter().map(|&at| offers[at].candidate.node.as_str()).collect();
    let known = members(tx, met, &nodes).await?;
    let mut accepted: BTreeMap<&str, usize> = BTreeMap::new();
    for &at in offered {
        let candidate = &offers[at].candidate;
        let node = candidate.node.as_str();
        // The second of two in one group waits for the fate of the first.
        if accepted.contains_key(node) {
            continue;
        }
        let view = met.view(known.get(node));
        match (judge(Some(&view), candidate), target.as_deref_mut()) {
            (Verdict::Refuse(refusal), _) => answers[at] = Counting::Done(Err(refusal)),
            (Verdict::Again(receipt), _) => answers[at] = Counting::Done(Ok(receipt)),
            (Verdict::Proceed, Some(target)) if target.has_room() => {
                target.accepted += 1;
                accepted.insert(node, at);
            }
            // Whoever may come late finds room in the next round.
            (Verdict::Proceed, _) if met.asynchronous() => {}
            (Verdict::Proceed, _) => answers[at] = Counting::Done(Err(full(met, candidate))),
        }
    }
    let Some(target) = target.filter(|_| !accepted.is_empty()) else { return Ok(()) };
    let mut folded = Vec::with_capacity(accepted.len());
    for at in accepted.into_values() {
        let Candidate { round, payload, .. } = offers[at].candidate;
        answers[at] = Counting::Done(Ok(Receipt { round, payload, counted_at_ms: now.0 }));
        folded.push(&offers[at]);
    }
    insert(tx, met, target.key, &folded, now).await?;
    if target.plan.strategy.keeps_vectors() {
        for offer in &folded {
            vectors::keep(tx, target.key, offer).await?;
        }
    }
    target.fold(&folded, met.staleness());
    Ok(())
}

fn full(met: &Ordered, candidate: &Candidate) -> Refusal {
    let expected = format!("one of the {} updates that the round wants", met.plan.cohort.goal);
    Refusal::new(RefusalCode::RoundFull, "round", expected, candidate.round)
}

/// Inserts contributions of nodes that have none in the round. The key is the guarantee: were there one after all, the whole
/// group would fail, and whoever is in it ask again.
async fn insert(
    tx: &mut SqliteConnection,
    met: &Ordered,
    counted_in: RoundKey,
    offers: &[&Offer],
    now: Timestamp,
) -> Result<(), Fault> {
    let counted_in = (counted_in != met.key).then_some(counted_in.0);
    for rows in offers.chunks(ROWS_AT_ONCE) {
        let mut statement = QueryBuilder::new(
            "INSERT INTO contributions (round_id, node_id, payload_digest, samples, correct, synaptic_ops,
                 bytes_up, bytes_down, counted_ms, counted_in) ",
        );
        statement.push_values(rows, |mut row, Offer { candidate, .. }| {
            let Candidate { node, payload, samples, payload_bytes, metrics, .. } = candidate;
            let Metrics { correct, synaptic_ops, bytes_down } = *metrics;
            row.push_bind(met.key.0).push_bind(node.as_str()).push_bind(&payload.0[..]);
            row.push_bind(samples).push_bind(sql(correct)).push_bind(sql(synaptic_ops));
            row.push_bind(sql(*payload_bytes)).push_bind(sql(bytes_down));
            row.push_bind(sql(now.0)).push_bind(counted_in);
        });
        // Groups differ in size: none is worth keeping prepared.
        statement.build().persistent(false).execute(&mut *tx).await?;
    }
    Ok(())
}

impl Target {
    /// The live round of `met`'s run, with its sum: the one held if it is that of the database, or the stored one.
    async fn load(
        tx: &mut SqliteConnection,
        met: &Ordered,
        held: Option<Sum>,
    ) -> Result<Self, Fault> {
        let live = met.live.as_ref().ok_or(sqlx::Error::RowNotFound)?;
        let current =
            held.filter(|sum| sum.updates() == live.updates && sum.weight() == live.weight);
        let sum = match current {
            Some(sum) => sum,
            None => read_sum(tx, live.key, met.weights, live.weight, live.updates).await?.0,
        };
        Ok(Self {
            key: live.key,
            plan: met.plan.clone(),
            sum,
            accepted: live.updates,
            totals: Totals::default(),
        })
    }

    fn has_room(&self) -> bool {
        self.accepted < self.plan.cohort.goal
    }

    /// Adds updates that are `staleness` versions late. Where vectors are kept, the sum is only what is known so far.
    fn fold(&mut self, offers: &[&Offer], staleness: u32) {
        let weigh = |offer: &&Offer| {
            self.plan
                .strategy
                .weight(offer.candidate.samples, staleness)
                .expect("an update that is too stale was refused")
        };
        let weighed: Vec<_> =
            offers.iter().map(|offer| (lanes(&offer.payload), weigh(offer))).collect();
        self.sum.fold_all(&weighed);
        let totals = &mut self.totals;
        for Offer { candidate, .. } in offers {
            totals.samples += u64::from(candidate.samples);
            totals.correct += candidate.metrics.correct;
            totals.synaptic_ops += candidate.metrics.synaptic_ops;
            totals.bytes_up += candidate.payload_bytes;
            totals.bytes_down += candidate.metrics.bytes_down;
        }
    }

    /// Writes the sum and the totals; `full` closes the round to further updates.
    async fn write(&self, tx: &mut SqliteConnection, full: bool) -> Result<(), Fault> {
        sqlx::query("UPDATE sums SET lanes = ? WHERE round_id = ?")
            .bind(self.sum.encode())
            .bind(self.key.0)
            .execute(&mut *tx)
            .await?;
        let Totals { samples, correct, synaptic_ops, bytes_up, bytes_down } = self.totals;
        sqlx::query(
            "UPDATE rounds SET state = ?, updates = ?, weight = ?, samples = samples + ?, correct = correct + ?,
                 synaptic_ops = synaptic_ops + ?, bytes_up = bytes_up + ?, bytes_down = bytes_down + ?
             WHERE id = ?",
        )
        .bind(if full { RoundState::Closing } else { RoundState::Open }.as_str())
        .bind(self.sum.updates())
        .bind(sql(self.sum.weight()))
        .bind(sql(samples))
        .bind(sql(correct))
        .bind(sql(synaptic_ops))
        .bind(sql(bytes_up))
        .bind(sql(bytes_down))
        .bind(self.key.0)
        .execute(tx)
        .await?;
        Ok(())
    }
}

/// A stored sum, with its bytes.
pub(super) async fn read_sum(
    tx: &mut SqliteConnection,
    key: RoundKey,
    weights: u64,
    weight: u64,
    updates: u32,
) -> Result<(Sum, Vec<u8>), Fault> {
    let bad = |got: String| Corrupt { column: "sums.lanes", got };
    let stored: Vec<u8> = sqlx::query_scalar("SELECT lanes FROM sums WHERE round_id = ?")
        .bind(key.0)
        .fetch_one(tx)
        .await?;
    let width = usize::try_from(weights).map_err(|error| bad(error.to_string()))?;
    let sum =
        Sum::decode(&stored, width, weight, updates).map_err(|error| bad(error.to_string()))?;
    Ok((sum, stored))
}
