//! Evaluations: how well versions do on samples that nodes hold out.

use federation::{Answer, Digest, Evaluation, ModelName, NodeId, Refusal, RefusalCode, Timestamp};
use sqlx::SqliteConnection;

use super::error::Fault;
use super::row::{int, sql, text};
use super::{Store, StoreError};

/// What one node reports about a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeEvaluation {
    /// The node.
    pub(crate) node: NodeId,
    /// Samples it tried.
    pub(crate) samples: u64,
    /// Of these, classified correctly.
    pub(crate) correct: u64,
    /// When it said so last.
    pub(crate) reported_ms: u64,
}

/// What the nodes report about one version, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accuracy {
    /// How many nodes reported.
    pub(crate) nodes: u64,
    /// Samples they tried.
    pub(crate) samples: u64,
    /// Of these, classified correctly.
    pub(crate) correct: u64,
}

impl Store {
    /// Notes a node's report. A repeated one replaces the earlier. The node is known to be enrolled.
    pub(crate) async fn record_evaluation(
        &self,
        evaluation: Evaluation,
        now: Timestamp,
    ) -> Result<Answer<()>, StoreError> {
        self.write("record_evaluation", async move |tx: &mut SqliteConnection| {
            let Evaluation { node, model, version, samples, correct } = evaluation;
            let known: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM versions WHERE digest = ? AND model = ?)",
            )
            .bind(&version.0[..])
            .bind(model.as_str())
            .fetch_one(&mut *tx)
            .await?;
            if !known {
                let expected = format!("a version of model {model}");
                let code = RefusalCode::UnknownVersion;
                return Ok(Err(Refusal::new(code, "digest", expected, version)));
            }
            sqlx::query(
                "INSERT INTO evaluations (model, digest, node_id, samples, correct, reported_ms)
                 VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (model, digest, node_id) DO UPDATE SET samples = excluded.samples,
                     correct = excluded.correct, reported_ms = excluded.reported_ms",
            )
            .bind(model.as_str())
            .bind(&version.0[..])
            .bind(node.as_str())
            .bind(samples)
            .bind(correct)
            .bind(sql(now.0))
            .execute(&mut *tx)
            .await?;
            Ok(Ok(()))
        })
        .await
    }
}

impl Store {
    /// Up to `limit` nodes' reports about the version `digest` of a model, by node, after the name `after`.
    pub(crate) async fn evaluations(
        &self,
        model: ModelName,
        version: Digest,
        after: String,
        limit: u32,
    ) -> Result<Vec<NodeEvaluation>, StoreError> {
        self.read("evaluations", async move |tx: &mut SqliteConnection| {
            let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
                "SELECT node_id, samples, correct, reported_ms FROM evaluations
                 WHERE model = ? AND digest = ? AND node_id > ? ORDER BY node_id LIMIT ?",
            )
            .bind(model.as_str())
            .bind(&version.0[..])
            .bind(after)
            .bind(limit)
            .fetch_all(tx)
            .await?;
            let mut found = Vec::with_capacity(rows.len());
            for (node, samples, correct, reported_ms) in rows {
                found.push(NodeEvaluation {
                    node: text("evaluations.node_id", &node)?,
                    samples: int("evaluations.samples", samples)?,
                    correct: int("evaluations.correct", correct)?,
                    reported_ms: int("evaluations.reported_ms", reported_ms)?,
                });
            }
            Ok(found)
        })
        .await
    }
}

/// What nodes reported about the version `digest` of `model`; `None` when none has.
pub(super) async fn accuracy(
    tx: &mut SqliteConnection,
    model: &ModelName,
    digest: Digest,
) -> Result<Option<Accuracy>, Fault> {
    let (nodes, samples, correct): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), coalesce(sum(samples), 0), coalesce(sum(correct), 0)
         FROM evaluations WHERE model = ? AND digest = ?",
    )
    .bind(model.as_str())
    .bind(&digest.0[..])
    .fetch_one(tx)
    .await?;
    if nodes == 0 {
        return Ok(None);
    }
    Ok(Some(Accuracy {
        nodes: int("count", nodes)?,
        samples: int("evaluations.samples", samples)?,
        correct: int("evaluations.correct", correct)?,
    }))
}
