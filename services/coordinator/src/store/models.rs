//! Models, their versions, and the artifacts these are made of.

use std::collections::BTreeMap;

use bytes::Bytes;
use federation::{Artifact, ChannelName, Digest, ModelName, RunId, VersionNumber};
use sqlx::SqliteConnection;

use super::channels::channel_named;
use super::deed::{By, Deed, NotDone, Reply};
use super::error::{Corrupt, Fault};
use super::evaluations::{Accuracy, accuracy};
use super::rounds::{Totals, TotalsRow};
use super::row::{digest, digest_or_none, int, int_or_none, sql, text};
use super::{ARTIFACTS_CACHED, Store, StoreError};

/// A model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    /// Its name.
    pub(crate) name: ModelName,
    /// Who can learn with it.
    pub(crate) learner: String,
    /// Number of weights.
    pub(crate) weights: u64,
    /// Its newest version.
    pub(crate) latest: VersionNumber,
    /// That version's digest.
    pub(crate) latest_digest: Digest,
    /// When it was made.
    pub(crate) created_ms: u64,
}

/// What became of a request to make a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It was made.
    New(Model),
    /// It was there already, begun with the same artifact.
    Same(Model),
}

/// Another model holds the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelExists;

/// One version of a model, with how it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The model.
    pub(crate) model: ModelName,
    /// Its number.
    pub(crate) number: VersionNumber,
    /// Its digest.
    pub(crate) digest: Digest,
    /// The version it came from, with that one's digest.
    pub(crate) parent: Option<(VersionNumber, Digest)>,
    /// The round that made it: run, number, totals of its updates.
    pub(crate) made_by: Option<(RunId, u32, Totals)>,
    /// SHA-256 of the round's stored sum.
    pub(crate) sum_digest: Option<Digest>,
    /// SHA-256 of the run's master copy after the round.
    pub(crate) optimizer_digest: Option<Digest>,
    /// SHA-256 of the run's plan, as stored.
    pub(crate) plan_digest: Option<Digest>,
    /// The audit log's head before the version was made; `None` for a version older than the log.
    pub(crate) audit_head: Option<Digest>,
    /// What nodes reported about it.
    pub(crate) accuracy: Option<Accuracy>,
    /// When it was made.
    pub(crate) created_ms: u64,
}

/// Which version of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The one with this number.
    Number(u32),
    /// The newest.
    Latest,
    /// The one that this channel's nodes hold.
    Channel(ChannelName),
}

#[derive(sqlx::FromRow)]
struct ModelRow {
    name: String,
    learner: String,
    weights: i64,
    latest: i64,
    latest_digest: Vec<u8>,
    created_ms: i64,
}

impl TryFrom<ModelRow> for Model {
    type Error = Corrupt;

    fn try_from(row: ModelRow) -> Result<Self, Corrupt> {
        let ModelRow { name, learner, weights, latest, latest_digest, created_ms } = row;
        Ok(Self {
            name: text("models.name", &name)?,
            learner,
            weights: int("models.weights", weights)?,
            latest: VersionNumber(int("versions.number", latest)?),
            latest_digest: digest("versions.digest", &latest_digest)?,
            created_ms: int("models.created_ms", created_ms)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    number: i64,
    digest: Vec<u8>,
    parent: Option<i64>,
    parent_digest: Option<Vec<u8>>,
    run_id: Option<i64>,
    round: Option<i64>,
    #[sqlx(flatten)]
    totals: TotalsRow,
    sum_digest: Option<Vec<u8>>,
    optimizer_digest: Option<Vec<u8>>,
    audit_head: Option<Vec<u8>>,
    created_ms: i64,
}

impl Store {
    /// Makes a model whose first version is `artifact`.
    pub(crate) async fn create_model(
        &self,
        name: ModelName,
        artifact: Artifact,
        deed: Deed<Created>,
    ) -> Result<Result<Reply, NotDone<ModelExists>>, StoreError> {
        self.deed("create_model", deed, async move |tx: &mut SqliteConnection, by: &By| {
            let bytes = artifact.encode();
            let digest = Digest::of(&bytes);
            if let Some(model) = model_named(tx, &name).await? {
                let first = versions_after(tx, &name, 0, 1).await?;
                let same = first.first().is_some_and(|version| version.digest == digest);
                return Ok(if same { Ok(Created::Same(model)) } else { Err(ModelExists) });
            }
            sqlx::query(
                "INSERT INTO models (name, learner, weights, created_ms) VALUES (?, ?, ?, ?)",
            )
            .bind(name.as_str())
            .bind(artifact.learner())
            .bind(i64::try_from(artifact.layout().weights()).map_err(|_| too_many(&artifact))?)
            .bind(sql(by.at.0))
            .execute(&mut *tx)
            .await?;
            put_artifact(tx, digest, &bytes).await?;
            sqlx::query(
                "INSERT INTO versions (model, number, digest, created_ms) VALUES (?, 1, ?, ?)",
            )
            .bind(name.as_str())
            .bind(&digest.0[..])
            .bind(sql(by.at.0))
            .execute(&mut *tx)
            .await?;
            super::audit::model_created(tx, &name, by).await?;
            let model = model_named(tx, &name).await?;
            Ok(Ok(Created::New(model.ok_or(sqlx::Error::RowNotFound)?)))
        })
        .await
    }

    /// The model of this name.
    pub(crate) async fn model(&self, name: ModelName) -> Result<Option<Model>, StoreError> {
        self.read("model", async move |tx: &mut SqliteConnection| model_named(tx, &name).await)
            .await
    }

    /// Up to `limit` models whose names come after `after`, by name.
    pub(crate) async fn models(&self, after: String, limit: u32) -> Result<Vec<Model>, StoreError> {
        self.read("models", async move |tx: &mut SqliteConnection| {
            models_from(tx, &after, false, limit).await
        })
        .await
    }

    /// Up to `limit` versions of a model after number `after`, ascending, all or those that `run` made; `None` for an
    /// unknown model.
    pub(crate) async fn versions(
        &self,
        model: ModelName,
        run: Option<RunId>,
        after: u32,
        limit: u32,
    ) -> Result<Option<Vec<Version>>, StoreError> {
        self.read("versions", async move |tx: &mut SqliteConnection| {
            if model_named(tx, &model).await?.is_none() {
                return Ok(None);
            }
            Ok(Some(these_versions(tx, &model, run, after, limit).await?))
        })
        .await
    }

    /// One version of a model.
    pub(crate) async fn version(
        &self,
        model: ModelName,
        which: Which,
    ) -> Result<Option<Version>, StoreError> {
        self.read("version", async move |tx: &mut SqliteConnection| {
            let Some(number) = number_of(tx, &model, which).await? else { return Ok(None) };
            let Some(before) = number.checked_sub(1) else { return Ok(None) };
            let found = versions_after(tx, &model, before, 1).await?;
            Ok(found.into_iter().find(|version| version.number.0 == number))
        })
        .await
    }

    /// The bytes of an artifact.
    pub(crate) async fn artifact(&self, digest: Digest) -> Result<Option<Bytes>, StoreError> {
        let cache = || self.artifacts.lock().expect("no code panics while it holds the cache");
        if let Some((_, bytes)) = cache().iter().find(|(cached, _)| *cached == digest) {
            return Ok(Some(bytes.clone()));
        }
        let read = self.read("artifact", async move |tx: &mut SqliteConnection| {
            get_artifact(tx, digest).await
        });
        let Some(bytes) = read.await?.map(Bytes::from) else { return Ok(None) };
        let mut cache = cache();
        cache.truncate(ARTIFACTS_CACHED - 1);
        cache.push_front((digest, bytes.clone()));
        Ok(Some(bytes))
    }
}

/// The number that a version must have, if there is one.
pub(super) async fn number_of(
    tx: &mut SqliteConnection,
    model: &ModelName,
    which: Which,
) -> Result<Option<u32>, Fault> {
    Ok(match which {
        Which::Number(number) => Some(number),
        Which::Latest => model_named(tx, model).await?.map(|model| model.latest.0),
        Which::Channel(name) => {
            channel_named(tx, model, &name).await?.map(|channel| channel.good.version.0)
        }
    })
}

/// The model of this name.
pub(super) async fn model_named(
    tx: &mut SqliteConnection,
    name: &ModelName,
) -> Result<Option<Model>, Fault> {
    Ok(models_from(tx, name.as_str(), true, 1).await?.into_iter().find(|m| m.name == *name))
}

/// An artifact's bytes, whose digest is checked: a damaged file must not reach a device. `None` also when it was dropped.
pub(super) async fn get_artifact(
    tx: &mut SqliteConnection,
    digest: Digest,
) -> Result<Option<Vec<u8>>, Fault> {
    let bytes: Option<Vec<u8>> = sqlx::query_scalar("SELECT bytes FROM artifacts WHERE digest = ?")
        .bind(&digest.0[..])
        .fetch_optional(tx)
        .await?;
    match bytes {
        // Retention dropped it: no artifact is empty.
        Some(bytes) if bytes.is_empty() => Ok(None),
        Some(bytes) if Digest::of(&bytes) != digest => {
            let got = format!("{} under {digest}", Digest::of(&bytes));
            Err(Corrupt { column: "artifacts.bytes", got }.into())
        }
        other => Ok(other),
    }
}

/// Stores an artifact. Two versions of the same content share it; one that was dropped is there again.
pub(super) async fn put_artifact(
    tx: &mut SqliteConnection,
    digest: Digest,
    bytes: &[u8],
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO artifacts (digest, bytes) VALUES (?, ?)
         ON CONFLICT DO UPDATE SET bytes = excluded.bytes, dropped_ms = NULL WHERE dropped_ms IS NOT NULL",
    )
    .bind(&digest.0[..])
    .bind(bytes)
    .execute(tx)
    .await?;
    Ok(())
}

async fn models_from(
    tx: &mut SqliteConnection,
    name: &str,
    inclusive: bool,
    limit: u32,
) -> Result<Vec<Model>, Fault> {
    let rows: Vec<ModelRow> = sqlx::query_as(
        "SELECT m.name, m.learner, m.weights, v.number AS latest, v.digest AS latest_digest, m.created_ms
         FROM models m JOIN versions v ON v.model = m.name
             AND v.number = (SELECT max(number) FROM versions WHERE model = m.name)
         WHERE m.name > ?1 OR (?2 AND m.name = ?1) ORDER BY m.name LIMIT ?3",
    )
    .bind(name)
    .bind(inclusive)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(Model::try_from).collect::<Result<_, _>>()?)
}

/// Up to `limit` versions of a model after number `after`, ascending.
pub(super) async fn versions_after(
    tx: &mut SqliteConnection,
    model: &ModelName,
    after: u32,
    limit: u32,
) -> Result<Vec<Version>, Fault> {
    these_versions(tx, model, None, after, limit).await
}

async fn these_versions(
    tx: &mut SqliteConnection,
    model: &ModelName,
    run: Option<RunId>,
    after: u32,
    limit: u32,
) -> Result<Vec<Version>, Fault> {
    let rows: Vec<VersionRow> = sqlx::query_as(
        "SELECT v.number, v.digest, v.parent, p.digest AS parent_digest, r.run_id, r.number AS round,
             coalesce(r.updates, 0) AS updates, coalesce(r.samples, 0) AS samples,
             coalesce(r.correct, 0) AS correct, coalesce(r.synaptic_ops, 0) AS synaptic_ops,
             coalesce(r.bytes_up, 0) AS bytes_up, coalesce(r.bytes_down, 0) AS bytes_down,
             v.sum_digest, v.optimizer_digest, v.audit_head, v.created_ms
         FROM versions v
         LEFT JOIN versions p ON p.model = v.model AND p.number = v.parent
         LEFT JOIN rounds r ON r.id = v.round_id
         WHERE v.model = ?1 AND v.number > ?2 AND (?3 IS NULL OR r.run_id = ?3)
         ORDER BY v.number LIMIT ?4",
    )
    .bind(model.as_str())
    .bind(after)
    .bind(run.map(|run| sql(run.0)))
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    let mut versions = Vec::with_capacity(rows.len());
    let mut plans = BTreeMap::new();
    for row in rows {
        let VersionRow {
            number, digest: own, parent, parent_digest, run_id, round, totals, ..
        } = row;
        let own = digest("versions.digest", &own)?;
        let parent = int_or_none("versions.parent", parent)?.map(VersionNumber);
        let run = int_or_none("rounds.run_id", run_id)?.map(RunId);
        let round = int_or_none("rounds.number", round)?;
        let totals = Totals::try_from(totals)?;
        versions.push(Version {
            model: model.clone(),
            number: VersionNumber(int("versions.number", number)?),
            digest: own,
            parent: parent.zip(digest_or_none("versions.digest", parent_digest.as_deref())?),
            made_by: run.zip(round).map(|(run, round)| (run, round, totals)),
            sum_digest: digest_or_none("versions.sum_digest", row.sum_digest.as_deref())?,
            optimizer_digest: digest_or_none(
                "versions.optimizer_digest",
                row.optimizer_digest.as_deref(),
            )?,
            plan_digest: match run {
                Some(run) => Some(plan_digest(tx, &mut plans, run).await?),
                None => None,
            },
            audit_head: digest_or_none("versions.audit_head", row.audit_head.as_deref())?,
            accuracy: accuracy(tx, model, own).await?,
            created_ms: int("versions.created_ms", row.created_ms)?,
        });
    }
    Ok(versions)
}

/// The digest of a run's plan. `known` are those read before: one run makes many versions.
async fn plan_digest(
    tx: &mut SqliteConnection,
    known: &mut BTreeMap<RunId, Digest>,
    run: RunId,
) -> Result<Digest, Fault> {
    if let Some(digest) = known.get(&run) {
        return Ok(*digest);
    }
    let plan: String = sqlx::query_scalar("SELECT plan FROM runs WHERE id = ?")
        .bind(sql(run.0))
        .fetch_one(tx)
        .await?;
    let digest = Digest::of(plan.as_bytes());
    known.insert(run, digest);
    Ok(digest)
}

fn too_many(artifact: &Artifact) -> Corrupt {
    Corrupt { column: "models.weights", got: artifact.layout().weights().to_string() }
}
