//! How much there is of everything, for metrics: one consistent state, a few rows.

use federation::{ChannelName, ModelName, VersionNumber};
use sqlx::SqliteConnection;

use super::error::Fault;
use super::row::{int, text};
use super::runs::RunState;
use super::{Store, StoreError};

/// Most channels whose figures are read: a model has few, and models are not made by the thousand.
const CHANNELS_MAX: i64 = 1_000;
/// Most models.
const MODELS_MAX: i64 = 1_000;

/// How much there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Nodes that were ever enrolled.
    pub(crate) nodes: u64,
    /// Of those, the ones that were revoked.
    pub(crate) revoked: u64,
    /// Runs by state.
    pub(crate) runs: Vec<(RunState, u64)>,
    /// Models, each with its newest version.
    pub(crate) models: Vec<(ModelName, VersionNumber)>,
    /// Channels.
    pub(crate) channels: Vec<ChannelFigures>,
    /// Bytes of the database file.
    pub(crate) bytes: u64,
}

/// How a channel stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelFigures {
    /// Its model.
    pub(crate) model: ModelName,
    /// Its name.
    pub(crate) name: ChannelName,
    /// The version that its last promotion brings.
    pub(crate) version: VersionNumber,
    /// The part of its nodes that the promotion reached.
    pub(crate) percent: u8,
    /// Whether it is pinned.
    pub(crate) pinned: bool,
    /// Versions that its guard turned back.
    pub(crate) bad: u64,
}

#[derive(sqlx::FromRow)]
struct ChannelRow {
    model: String,
    name: String,
    version: i64,
    percent: i64,
    pinned: bool,
    bad: i64,
}

impl Store {
    /// How much there is of everything.
    pub(crate) async fn figures(&self) -> Result<Figures, StoreError> {
        self.read("figures", async move |tx: &mut SqliteConnection| {
            let (nodes, revoked): (i64, i64) =
                sqlx::query_as("SELECT count(*), count(revoked_ms) FROM nodes")
                    .fetch_one(&mut *tx)
                    .await?;
            // As a run shows its state: one that is paused says so.
            let runs: Vec<(String, i64)> = sqlx::query_as(
                "SELECT CASE WHEN paused AND ended_ms IS NULL THEN 'paused' ELSE state END AS shown, count(*)
                 FROM runs GROUP BY shown ORDER BY shown",
            )
            .fetch_all(&mut *tx)
            .await?;
            let models: Vec<(String, i64)> = sqlx::query_as(
                "SELECT name, (SELECT max(number) FROM versions WHERE model = name) FROM models
                 ORDER BY name LIMIT ?",
            )
            .bind(MODELS_MAX)
            .fetch_all(&mut *tx)
            .await?;
            let channels: Vec<ChannelRow> = sqlx::query_as(
                "SELECT c.model, c.name, p.version, p.percent, c.pinned,
                     (SELECT count(*) FROM bad_versions b WHERE b.model = c.model AND b.channel = c.name) AS bad
                 FROM channels c JOIN promotions p ON p.model = c.model AND p.channel = c.name
                     AND p.number = (SELECT max(number) FROM promotions WHERE model = c.model AND channel = c.name)
                 ORDER BY c.model, c.name LIMIT ?",
            )
            .bind(CHANNELS_MAX)
            .fetch_all(&mut *tx)
            .await?;
            let bytes: i64 = sqlx::query_scalar(
                "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            )
            .fetch_one(tx)
            .await?;
            Ok(Figures {
                nodes: int("nodes", nodes)?,
                revoked: int("nodes.revoked_ms", revoked)?,
                runs: runs.into_iter().map(of_state).collect::<Result<_, Fault>>()?,
                models: models.into_iter().map(of_model).collect::<Result<_, Fault>>()?,
                channels: channels.into_iter().map(of_channel).collect::<Result<_, Fault>>()?,
                bytes: int("page_count", bytes)?,
            })
        })
        .await
    }
}

fn of_state((state, runs): (String, i64)) -> Result<(RunState, u64), Fault> {
    Ok((text("runs.state", &state)?, int("runs", runs)?))
}

fn of_model((name, number): (String, i64)) -> Result<(ModelName, VersionNumber), Fault> {
    Ok((text("models.name", &name)?, VersionNumber(int("versions.number", number)?)))
}

fn of_channel(row: ChannelRow) -> Result<ChannelFigures, Fault> {
    let ChannelRow { model, name, version, percent, pinned, bad } = row;
    Ok(ChannelFigures {
        model: text("channels.model", &model)?,
        name: text("channels.name", &name)?,
        version: VersionNumber(int("promotions.version", version)?),
        percent: int("promotions.percent", percent)?,
        pinned,
        bad: int("bad_versions", bad)?,
    })
}
