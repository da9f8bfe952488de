//! Nodes: who is enrolled.

use std::collections::BTreeMap;

use federation::{Answer, Enrolment, NodeId, Refusal, RefusalCode, Timestamp};
use sqlx::SqliteConnection;

use super::error::{Corrupt, Fault};
use super::row::{int, json, sql, text};
use super::{Store, StoreError};

/// An enrolled node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) id: NodeId,
    /// Its own Ed25519 public key.
    pub(crate) public_key: [u8; 32],
    /// Labels by which runs select it.
    pub(crate) labels: BTreeMap<String, String>,
    /// Learners it can run.
    pub(crate) learners: Vec<String>,
    /// When it was first enrolled.
    pub(crate) enrolled_ms: u64,
    /// When it was last heard of; written seldom.
    pub(crate) seen_ms: u64,
    /// Its turns so far.
    pub(crate) turns: Turns,
}

/// When and how often a node was drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    /// The row of the last round it was drawn for; 0 for none.
    pub(crate) last: u64,
    /// In how many rounds it was.
    pub(crate) count: u32,
}

#[derive(sqlx::FromRow)]
struct NodeRow {
    id: String,
    public_key: Vec<u8>,
    labels: String,
    learners: String,
    enrolled_ms: i64,
    seen_ms: i64,
    last_turn: i64,
    turns: i64,
}

impl TryFrom<NodeRow> for Node {
    type Error = Corrupt;

    fn try_from(row: NodeRow) -> Result<Self, Corrupt> {
        let NodeRow { id, public_key, labels, learners, enrolled_ms, seen_ms, last_turn, turns } =
            row;
        let key = |bytes: Vec<u8>| Corrupt {
            column: "nodes.public_key",
            got: format!("{} bytes", bytes.len()),
        };
        Ok(Self {
            id: text("nodes.id", &id)?,
            public_key: public_key.try_into().map_err(key)?,
            labels: json("nodes.labels", &labels)?,
            learners: json("nodes.learners", &learners)?,
            enrolled_ms: int("nodes.enrolled_ms", enrolled_ms)?,
            seen_ms: int("nodes.seen_ms", seen_ms)?,
            turns: Turns {
                last: int("turns.round_id", last_turn)?,
                count: int("turns.turns", turns)?,
            },
        })
    }
}

/// Nodes with their turns; a condition follows.
macro_rules! nodes {
    ($rest:literal) => {
        concat!(
            "SELECT n.*, coalesce(t.round_id, 0) AS last_turn, coalesce(t.turns, 0) AS turns
             FROM nodes n LEFT JOIN turns t ON t.node_id = n.id ",
            $rest
        )
    };
}

impl Store {
    /// Makes a node known. The same key again is the same node, whatever name it asks for; its labels and learners
    /// are refreshed.
    pub(crate) async fn enrol(
        &self,
        enrolment: Enrolment,
        now: Timestamp,
    ) -> Result<Answer<Node>, StoreError> {
        self.write("enrol", async move |tx: &mut SqliteConnection| {
            let Enrolment { public_key, node, labels, learners } = enrolment;
            let holder: Option<Vec<u8>> =
                sqlx::query_scalar("SELECT public_key FROM nodes WHERE id = ?")
                    .bind(node.as_str())
                    .fetch_optional(&mut *tx)
                    .await?;
            let known: Option<String> =
                sqlx::query_scalar("SELECT id FROM nodes WHERE public_key = ?")
                    .bind(&public_key[..])
                    .fetch_optional(&mut *tx)
                    .await?;
            if known.is_none() && holder.is_some() {
                let expected = "a name that no other node holds";
                return Ok(Err(Refusal::new(RefusalCode::NameTaken, "node_id", expected, node)));
            }
            sqlx::query(
                "INSERT INTO nodes (id, public_key, labels, learners, enrolled_ms, seen_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)
                 ON CONFLICT (public_key) DO UPDATE SET
                     labels = excluded.labels, learners = excluded.learners,
                     seen_ms = max(seen_ms, excluded.seen_ms)",
            )
            .bind(known.as_deref().unwrap_or(node.as_str()))
            .bind(&public_key[..])
            .bind(to_json(&labels))
            .bind(to_json(&learners))
            .bind(sql(now.0))
            .execute(&mut *tx)
            .await?;
            if known.is_none() {
                super::audit::node_enrolled(tx, &node, &public_key, &labels, now).await?;
            }
            let row: NodeRow = sqlx::query_as(nodes!("WHERE n.public_key = ?"))
                .bind(&public_key[..])
                .fetch_one(&mut *tx)
                .await?;
            Ok(Ok(row.try_into()?))
        })
        .await
    }

    /// The node of this name.
    pub(crate) async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        self.read("node", async move |tx: &mut SqliteConnection| {
            let row: Option<NodeRow> = sqlx::query_as(nodes!("WHERE n.id = ?"))
                .bind(id.as_str())
                .fetch_optional(tx)
                .await?;
            Ok(row.map(Node::try_from).transpose()?)
        })
        .await
    }

    /// Up to `limit` nodes whose names come after `after`, by name.
    pub(crate) async fn nodes(&self, after: String, limit: u32) -> Result<Vec<Node>, StoreError> {
        self.read("nodes", async move |tx: &mut SqliteConnection| {
            let rows: Vec<NodeRow> = sqlx::query_as(nodes!("WHERE n.id > ? ORDER BY n.id LIMIT ?"))
                .bind(after)
                .bind(limit)
                .fetch_all(tx)
                .await?;
            Ok(rows.into_iter().map(Node::try_from).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// How many of the nodes `names` are enrolled and can run `learner`.
    pub(crate) async fn count_enrolled(
        &self,
        names: Vec<NodeId>,
        learner: String,
    ) -> Result<usize, StoreError> {
        self.read("count_enrolled", async move |tx: &mut SqliteConnection| {
            let names: Vec<&str> = names.iter().map(NodeId::as_str).collect();
            let count: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM nodes WHERE id IN (SELECT value FROM json_each(?))
                 AND EXISTS (SELECT 1 FROM json_each(learners) WHERE value = ?)",
            )
            .bind(to_json(&names))
            .bind(learner)
            .fetch_one(tx)
            .await?;
            Ok(int("count", count)?)
        })
        .await
    }

    /// Writes when nodes were last heard of, and how long live rounds were served. With nothing to write it is still
    /// a transaction: the proof that the writer answers.
    pub(crate) async fn keep_time(
        &self,
        served: Vec<(super::RoundKey, u64)>,
        seen: Vec<(NodeId, Timestamp)>,
    ) -> Result<(), StoreError> {
        self.write("keep_time", async move |tx: &mut SqliteConnection| {
            for (key, served_ms) in served {
                super::rounds::set_served(tx, key, served_ms).await?;
            }
            if !seen.is_empty() {
                set_seen(tx, &seen).await?;
            }
            Ok(())
        })
        .await
    }
}

async fn set_seen(tx: &mut SqliteConnection, seen: &[(NodeId, Timestamp)]) -> Result<(), Fault> {
    let seen: Vec<(&str, u64)> = seen.iter().map(|(node, at)| (node.as_str(), at.0)).collect();
    sqlx::query(
        "UPDATE nodes SET seen_ms = max(seen_ms, j.value ->> 1) FROM json_each(?) j
         WHERE nodes.id = j.value ->> 0",
    )
    .bind(to_json(&seen))
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("texts and maps of texts are always JSON")
}
