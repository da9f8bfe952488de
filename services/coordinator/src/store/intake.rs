//! The transaction that enrols a group: what its applicants are judged by is read for all of them at once, and so is
//! written what became of them. A fleet that comes at once pays neither a sync nor a statement for each node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use federation::{Answer, Enrolment, NodeId, Timestamp};
use serde::Serialize;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::applicants::{Applicant, Place, Wish};
use super::enrolment::EnrolmentToken;
use super::error::Fault;
use super::nodes::{self, Node, to_json};
use super::register::{Entry, Register};
use super::row::{sql, text};
use super::{Store, StoreError, audit, enrolment};

#[cfg(test)]
mod tests;

/// The transaction's name.
const ENROL: &str = "enrol";

impl Store {
    /// Makes a node known, if `entry` lets it in. The same key again is the same node, whatever name it asks for; its
    /// labels and learners are refreshed. Enrolments that wait for the writer are made in one transaction.
    pub(crate) async fn enrol(
        &self,
        enrolment: Enrolment,
        entry: Entry,
        now: Timestamp,
    ) -> Result<Answer<Node>, StoreError> {
        let wish = Arc::new(Wish { enrolment, entry, now });
        let (reply, answer) = oneshot::channel();
        match self.enrolments.put(Applicant { wish: Arc::clone(&wish), reply }) {
            Place::Full => {
                let busy = StoreError::Busy { tx: ENROL };
                self.timings.failed(ENROL, busy.why());
                return Err(busy);
            }
            Place::Behind => {}
            Place::First(call) => {
                let work = async move |tx: &mut SqliteConnection| {
                    let group = call.take();
                    let wishes: Vec<&Wish> = group.iter().map(|one| &*one.wish).collect();
                    let answers = enrol(tx, &wishes).await?;
                    Ok((group, answers))
                };
                let tell = |(group, answers): (Vec<Applicant>, Vec<Answer<Node>>)| {
                    for (Applicant { reply, .. }, answer) in group.into_iter().zip(answers) {
                        // Who hung up asks again.
                        let _ = reply.send(answer);
                    }
                };
                match self.write_and(ENROL, work, tell).await {
                    Ok(()) => {}
                    Err(error @ (StoreError::Busy { .. } | StoreError::Closed { .. })) => {
                        return Err(error);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a group of enrolments failed: each is tried alone");
                    }
                }
            }
        }
        match answer.await {
            Ok(answer) => Ok(answer),
            // The group it was in failed, or was never made: nothing was done.
            Err(_) => {
                let alone = async move |tx: &mut SqliteConnection| enrol(tx, &[&wish]).await;
                let last = |mut answers: Vec<_>| answers.pop().expect("one asked, one is answered");
                self.write_and(ENROL, alone, last).await
            }
        }
    }
}

/// Enrols a group within a transaction: one answer for each, in order.
async fn enrol(tx: &mut SqliteConnection, wishes: &[&Wish]) -> Result<Vec<Answer<Node>>, Fault> {
    let known = known(tx, wishes).await?;
    let names = taken(tx, wishes, &known).await?;
    let tokens = tokens(tx, wishes, &known).await?;
    let mut register = Register { known, names, tokens, ..Register::default() };
    let answers: Vec<_> = wishes.iter().map(|wish| register.judge(wish)).collect();
    write(tx, &answers).await?;
    if !register.used.is_empty() {
        enrolment::add_uses(tx, &register.used).await?;
    }
    audit::append_all(tx, register.deeds).await?;
    Ok(answers)
}

/// The nodes whose keys are shown.
async fn known(
    tx: &mut SqliteConnection,
    wishes: &[&Wish],
) -> Result<BTreeMap<[u8; 32], Node>, Fault> {
    let keys: BTreeSet<&[u8; 32]> = wishes.iter().map(|wish| &wish.enrolment.public_key).collect();
    let known = nodes::by_keys(tx, keys).await?;
    Ok(known.into_iter().map(|node| (node.public_key, node)).collect())
}

/// Which of the names that new nodes want somebody holds.
async fn taken(
    tx: &mut SqliteConnection,
    wishes: &[&Wish],
    known: &BTreeMap<[u8; 32], Node>,
) -> Result<BTreeSet<NodeId>, Fault> {
    let new = wishes.iter().filter(|wish| !known.contains_key(&wish.enrolment.public_key));
    let names: BTreeSet<&str> = new.map(|wish| wish.enrolment.node.as_str()).collect();
    if names.is_empty() {
        return Ok(BTreeSet::new());
    }
    let taken: Vec<String> =
        sqlx::query_scalar("SELECT id FROM nodes WHERE id IN (SELECT value FROM json_each(?))")
            .bind(to_json(&names))
            .fetch_all(tx)
            .await?;
    Ok(taken.iter().map(|name| text("nodes.id", name)).collect::<Result<_, _>>()?)
}

/// The tokens that have a say: those that are shown, and those that let in who is known.
async fn tokens(
    tx: &mut SqliteConnection,
    wishes: &[&Wish],
    known: &BTreeMap<[u8; 32], Node>,
) -> Result<BTreeMap<u64, EnrolmentToken>, Fault> {
    let shown = wishes.iter().filter_map(|wish| match &wish.entry {
        Entry::Open => None,
        Entry::Guarded { proof, .. } => proof.map(|(token, ..)| token),
    });
    let ids = shown
        .chain(known.values().filter_map(|known| known.enrolment_token))
        .collect::<BTreeSet<_>>();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    enrolment::find_all(tx, &ids).await
}

/// Writes each node that got in as its last answer says it is.
async fn write(tx: &mut SqliteConnection, answers: &[Answer<Node>]) -> Result<(), Fault> {
    let entered = answers.iter().flatten().map(|node| (&node.public_key, node));
    let entered: BTreeMap<&[u8; 32], &Node> = entered.collect();
    if entered.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = entered.into_values().map(row).collect();
    sqlx::query(
        "INSERT INTO nodes (id, public_key, labels, learners, enrolled_ms, seen_ms, credential, enrolment_token)
         SELECT value ->> 0, unhex(value ->> 1), value -> 2, value -> 3, value ->> 4, value ->> 5,
             unhex(value ->> 6), value ->> 7
         FROM json_each(?) WHERE true
         ON CONFLICT (public_key) DO UPDATE SET
             labels = excluded.labels, learners = excluded.learners, seen_ms = excluded.seen_ms,
             credential = excluded.credential, enrolment_token = excluded.enrolment_token",
    )
    .bind(to_json(&rows))
    .execute(tx)
    .await?;
    Ok(())
}

fn row(node: &Node) -> impl Serialize {
    let Node { id, public_key, labels, learners, enrolled_ms, seen_ms, .. } = node;
    let Node { credential, enrolment_token, turns: _, revoked_ms: _, .. } = node;
    (
        id.as_str(),
        hex::encode(public_key),
        labels,
        learners,
        sql(*enrolled_ms),
        sql(*seen_ms),
        credential.map(|credential| credential.to_string()),
        enrolment_token.map(sql),
    )
}
