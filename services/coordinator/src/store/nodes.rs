//! Nodes: who is enrolled. How a node gets in stands in `register`.

use std::collections::BTreeMap;

use federation::{Digest, NodeId, Timestamp};
use sqlx::SqliteConnection;

use super::deed::{By, Deed, NotDone, Reply};
use super::error::{Corrupt, Fault};
use super::row::{digest_or_none, int, int_or_none, json, sql, text};
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
    /// Digest of the credential it shows.
    pub(crate) credential: Option<Digest>,
    /// The enrolment token that let it in.
    pub(crate) enrolment_token: Option<u64>,
    /// When it was revoked.
    pub(crate) revoked_ms: Option<u64>,
}

/// No node has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownNode;

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
    credential: Option<Vec<u8>>,
    enrolment_token: Option<i64>,
    revoked_ms: Option<i64>,
}

impl TryFrom<NodeRow> for Node {
    type Error = Corrupt;

    fn try_from(row: NodeRow) -> Result<Self, Corrupt> {
        let NodeRow { id, public_key, labels, learners, enrolled_ms, seen_ms, .. } = row;
        let NodeRow { last_turn, turns, credential, enrolment_token, revoked_ms, .. } = row;
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
            credential: digest_or_none("nodes.credential", credential.as_deref())?,
            enrolment_token: int_or_none("nodes.enrolment_token", enrolment_token)?,
            revoked_ms: int_or_none("nodes.revoked_ms", revoked_ms)?,
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

/// Those of the nodes with these public keys that there are.
pub(super) async fn by_keys(
    tx: &mut SqliteConnection,
    keys: impl IntoIterator<Item = &[u8; 32]>,
) -> Result<Vec<Node>, Fault> {
    let keys: Vec<String> = keys.into_iter().map(hex::encode).collect();
    let rows: Vec<NodeRow> =
        sqlx::query_as(nodes!("WHERE n.public_key IN (SELECT unhex(value) FROM json_each(?))"))
            .bind(to_json(&keys))
            .fetch_all(tx)
            .await?;
    Ok(rows.into_iter().map(Node::try_from).collect::<Result<_, _>>()?)
}

impl Store {
    /// Revokes a node for good: it is answered nothing any more. What it contributed stays.
    pub(crate) async fn revoke_node(
        &self,
        id: NodeId,
        deed: Deed<Node>,
    ) -> Result<Result<Reply, NotDone<UnknownNode>>, StoreError> {
        self.deed("revoke_node", deed, async move |tx: &mut SqliteConnection, by: &By| {
            let now = sql(by.at.0);
            let query = "UPDATE nodes SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL";
            let revoked = sqlx::query(query).bind(now).bind(id.as_str()).execute(&mut *tx).await?;
            if revoked.rows_affected() > 0 {
                super::audit::node_revoked(tx, &id, by).await?;
            }
            let row: Option<NodeRow> = sqlx::query_as(nodes!("WHERE n.id = ?"))
                .bind(id.as_str())
                .fetch_optional(tx)
                .await?;
            Ok(row.map(Node::try_from).transpose()?.ok_or(UnknownNode))
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
                "SELECT count(*) FROM nodes WHERE revoked_ms IS NULL AND id IN (SELECT value FROM json_each(?))
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
