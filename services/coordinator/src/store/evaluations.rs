//! Evaluations: how well versions do on samples that nodes hold out.

use std::collections::BTreeMap;

use federation::reports::Report;
use federation::{
    Answer, Digest, Evaluation, ModelName, NodeId, Refusal, RefusalCode, Timestamp, VersionNumber,
};
use sqlx::SqliteConnection;

use super::error::{Corrupt, Fault};
use super::row::{int, json, sql, text};
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
            let report: i64 =
                sqlx::query_scalar("UPDATE reports SET last = last + 1 RETURNING last")
                    .fetch_one(&mut *tx)
                    .await?;
            sqlx::query(
                "INSERT INTO evaluations (model, digest, node_id, samples, correct, reported_ms, report)
                 VALUES (?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (model, digest, node_id) DO UPDATE SET samples = excluded.samples,
                     correct = excluded.correct, reported_ms = excluded.reported_ms, report = excluded.report",
            )
            .bind(model.as_str())
            .bind(&version.0[..])
            .bind(node.as_str())
            .bind(samples)
            .bind(correct)
            .bind(sql(now.0))
            .bind(report)
            .execute(&mut *tx)
            .await?;
            Ok(Ok(()))
        })
        .await
    }

    /// Up to `limit` reports about a version that came after report `after`, in the order in which they came.
    pub(crate) async fn reports_after(
        &self,
        model: ModelName,
        version: Digest,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Reported>, StoreError> {
        self.read("reports_after", async move |tx: &mut SqliteConnection| {
            let rows: Vec<ReportRow> = sqlx::query_as(
                "SELECT e.report, e.node_id, e.samples, e.correct, n.labels, n.learners
                 FROM evaluations e JOIN nodes n ON n.id = e.node_id
                 WHERE e.model = ? AND e.digest = ? AND e.report > ? AND n.revoked_ms IS NULL
                 ORDER BY e.report LIMIT ?",
            )
            .bind(model.as_str())
            .bind(&version.0[..])
            .bind(sql(after))
            .bind(limit)
            .fetch_all(tx)
            .await?;
            Ok(rows.into_iter().map(Reported::try_from).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The last report of each node about a version, with the node's value of the label `by`; `None` for a version that is
    /// not one of the model's.
    pub(crate) async fn reports_of(
        &self,
        model: ModelName,
        number: VersionNumber,
        by: Option<String>,
    ) -> Result<Vec<(Option<String>, Report)>, StoreError> {
        self.read("reports_of", async move |tx: &mut SqliteConnection| {
            let rows: Vec<(Option<String>, i64, i64)> = sqlx::query_as(
                "SELECT (SELECT value FROM json_each(n.labels) WHERE key = ?), e.samples, e.correct
                 FROM versions v JOIN evaluations e ON e.model = v.model AND e.digest = v.digest
                 JOIN nodes n ON n.id = e.node_id
                 WHERE v.model = ? AND v.number = ?",
            )
            .bind(by)
            .bind(model.as_str())
            .bind(number.0)
            .fetch_all(tx)
            .await?;
            let parse = |(label, samples, correct): (Option<String>, i64, i64)| {
                let samples = int("evaluations.samples", samples)?;
                Ok((label, Report { samples, correct: int("evaluations.correct", correct)? }))
            };
            rows.into_iter().map(parse).collect()
        })
        .await
    }

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

/// One report, with who made it.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    /// Its place among all reports.
    pub(crate) place: u64,
    /// The node.
    pub(crate) node: NodeId,
    /// What it says.
    pub(crate) report: Report,
    /// The node's labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// What the node can run.
    pub(crate) learners: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct ReportRow {
    report: i64,
    node_id: String,
    samples: i64,
    correct: i64,
    labels: String,
    learners: String,
}

impl TryFrom<ReportRow> for Reported {
    type Error = Corrupt;

    fn try_from(row: ReportRow) -> Result<Self, Corrupt> {
        let ReportRow { report, node_id, samples, correct, labels, learners } = row;
        Ok(Self {
            place: int("evaluations.report", report)?,
            node: text("evaluations.node_id", &node_id)?,
            report: Report {
                samples: int("evaluations.samples", samples)?,
                correct: int("evaluations.correct", correct)?,
            },
            labels: json("nodes.labels", &labels)?,
            learners: json("nodes.learners", &learners)?,
        })
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
