//! Channels and their history, as they stand.

use federation::channel::{Evidence, Guard, State, Steps};
use federation::{ChannelName, Digest, ModelName, Selector, VersionNumber};
use sqlx::SqliteConnection;

use super::error::{Corrupt, Fault};
use super::models::model_named;
use super::row::{digest, int, int_or_none, json, text};
use super::{Store, StoreError};

/// How a channel is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    /// What nodes must report of a version for it to stay.
    pub(crate) guard: Option<Guard>,
    /// The parts of the nodes to which a version goes one after the other.
    pub(crate) steps: Steps,
    /// Which of the nodes that name the channel follow it.
    pub(crate) selector: Selector,
    /// Whether every newly published version is promoted.
    pub(crate) auto: bool,
    /// Whether somebody has to approve of a promotion first.
    pub(crate) approval: bool,
    /// Held-out samples on which a node tries a version.
    pub(crate) evaluate_samples: u32,
}

/// A channel.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    /// The model.
    pub(crate) model: ModelName,
    /// Its name.
    pub(crate) name: ChannelName,
    /// How it is set up.
    pub(crate) setup: Setup,
    /// Whether it stays where it is.
    pub(crate) pinned: bool,
    /// What moved it last: waiting, rolling or done.
    pub(crate) newest: Promotion,
    /// What brought the version that its nodes hold but for those that `newest` has reached; `newest` itself once done.
    pub(crate) good: Promotion,
    /// Versions that its guard turned back.
    pub(crate) bad: Vec<Digest>,
    /// When it was made.
    pub(crate) created_ms: u64,
}

/// What moved a channel, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Promotion {
    /// Its number, from 1.
    pub(crate) number: u32,
    /// Why.
    pub(crate) cause: String,
    /// The channel's version before.
    pub(crate) from: Option<VersionNumber>,
    /// The version it brings.
    pub(crate) version: VersionNumber,
    /// That version's digest.
    pub(crate) digest: Digest,
    /// The promotion whose version it returns to.
    pub(crate) fallback: Option<u32>,
    /// The number that nodes are told.
    pub(crate) told: u32,
    /// What became of it.
    pub(crate) state: State,
    /// Whether the guard watches it.
    pub(crate) watched: bool,
    /// The step it is at.
    pub(crate) percent: u8,
    /// Reports after this one count.
    pub(crate) since_report: u64,
    /// What its guard decided on last.
    pub(crate) evidence: Option<Evidence>,
    /// Who moved the channel.
    pub(crate) actor: String,
    /// Who approved.
    pub(crate) approved_by: Option<String>,
    /// When it began.
    pub(crate) started_ms: u64,
    /// When it was decided.
    pub(crate) ended_ms: Option<u64>,
}

/// A channel as the clockwork sees it.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// The channel.
    pub(crate) channel: Channel,
    /// Who can learn with the model.
    pub(crate) learner: String,
    /// The model's newest version, if the channel takes it by itself and has not yet.
    pub(crate) due: Option<VersionNumber>,
}

#[derive(sqlx::FromRow)]
pub(super) struct ChannelRow {
    model: String,
    name: String,
    guard: Option<String>,
    steps: String,
    selector: String,
    auto: bool,
    approval: bool,
    evaluate_samples: i64,
    pinned: bool,
    created_ms: i64,
}

#[derive(sqlx::FromRow)]
struct PromotionRow {
    number: i64,
    cause: String,
    from_version: Option<i64>,
    version: i64,
    digest: Vec<u8>,
    fallback: Option<i64>,
    told: i64,
    state: String,
    watched: bool,
    percent: i64,
    since_report: i64,
    nodes: Option<i64>,
    samples: Option<i64>,
    correct: Option<i64>,
    actor: String,
    approved_by: Option<String>,
    started_ms: i64,
    ended_ms: Option<i64>,
}

impl Store {
    /// A model's channels, by name; `None` for an unknown model.
    pub(crate) async fn channels(
        &self,
        model: ModelName,
        after: String,
        limit: u32,
    ) -> Result<Option<Vec<Channel>>, StoreError> {
        self.read("channels", async move |tx: &mut SqliteConnection| {
            if model_named(tx, &model).await?.is_none() {
                return Ok(None);
            }
            let rows: Vec<ChannelRow> = sqlx::query_as(
                "SELECT * FROM channels WHERE model = ? AND name > ? ORDER BY name LIMIT ?",
            )
            .bind(model.as_str())
            .bind(after)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await?;
            let mut channels = Vec::with_capacity(rows.len());
            for row in rows {
                channels.push(whole(tx, row).await?);
            }
            Ok(Some(channels))
        })
        .await
    }

    /// One channel of a model.
    pub(crate) async fn channel(
        &self,
        model: ModelName,
        name: ChannelName,
    ) -> Result<Option<Channel>, StoreError> {
        self.read("channel", async move |tx: &mut SqliteConnection| {
            channel_named(tx, &model, &name).await
        })
        .await
    }

    /// Up to `limit` promotions of a channel after number `after`, ascending; `None` for an unknown channel.
    pub(crate) async fn promotions(
        &self,
        model: ModelName,
        name: ChannelName,
        after: u32,
        limit: u32,
    ) -> Result<Option<Vec<Promotion>>, StoreError> {
        self.read("promotions", async move |tx: &mut SqliteConnection| {
            if channel_named(tx, &model, &name).await?.is_none() {
                return Ok(None);
            }
            Ok(Some(promotions_after(tx, &model, &name, after, limit).await?))
        })
        .await
    }

    /// All channels, by model and name.
    pub(crate) async fn standing(&self) -> Result<Vec<Standing>, StoreError> {
        self.read("standing", async move |tx: &mut SqliteConnection| {
            let rows: Vec<ChannelRow> =
                sqlx::query_as("SELECT * FROM channels ORDER BY model, name")
                    .fetch_all(&mut *tx)
                    .await?;
            let mut standing = Vec::with_capacity(rows.len());
            for row in rows {
                let channel = whole(tx, row).await?;
                let model =
                    model_named(tx, &channel.model).await?.ok_or(sqlx::Error::RowNotFound)?;
                let due = due(tx, &channel).await?;
                standing.push(Standing { channel, learner: model.learner, due });
            }
            Ok(standing)
        })
        .await
    }
}

/// The newest version of a channel's model, if the channel takes it by itself: it never had that one or a later one, its
/// guard did not turn the same content back, and no guard stopped the run that made it.
pub(super) async fn due(
    tx: &mut SqliteConnection,
    channel: &Channel,
) -> Result<Option<VersionNumber>, Fault> {
    if !channel.setup.auto || channel.pinned || channel.newest.state == State::Rolling {
        return Ok(None);
    }
    let latest: Option<i64> = sqlx::query_scalar(
        "SELECT v.number FROM versions v
         WHERE v.model = ?1 AND v.number = (SELECT max(number) FROM versions WHERE model = ?1)
         AND v.number > (SELECT max(version) FROM promotions WHERE model = ?1 AND channel = ?2)
         AND NOT EXISTS (SELECT 1 FROM bad_versions b
             WHERE b.model = ?1 AND b.channel = ?2 AND b.digest = v.digest)
         AND NOT EXISTS (SELECT 1 FROM rounds r JOIN runs ON runs.id = r.run_id
             WHERE r.id = v.round_id AND runs.state = 'cancelled' AND runs.reason = ?3)",
    )
    .bind(channel.model.as_str())
    .bind(channel.name.as_str())
    .bind(super::promotions::GUARD)
    .fetch_optional(tx)
    .await?;
    Ok(int_or_none("versions.number", latest)?.map(VersionNumber))
}

/// The channel of this name.
pub(super) async fn channel_named(
    tx: &mut SqliteConnection,
    model: &ModelName,
    name: &ChannelName,
) -> Result<Option<Channel>, Fault> {
    let row: Option<ChannelRow> =
        sqlx::query_as("SELECT * FROM channels WHERE model = ? AND name = ?")
            .bind(model.as_str())
            .bind(name.as_str())
            .fetch_optional(&mut *tx)
            .await?;
    match row {
        Some(row) => Ok(Some(whole(tx, row).await?)),
        None => Ok(None),
    }
}

/// One promotion of a channel.
pub(super) async fn promotion(
    tx: &mut SqliteConnection,
    model: &ModelName,
    name: &ChannelName,
    number: u32,
) -> Result<Promotion, Fault> {
    let found = promotions_after(tx, model, name, number.saturating_sub(1), 1).await?;
    let found = found.into_iter().find(|promotion| promotion.number == number);
    Ok(found.ok_or(sqlx::Error::RowNotFound)?)
}

async fn promotions_after(
    tx: &mut SqliteConnection,
    model: &ModelName,
    name: &ChannelName,
    after: u32,
    limit: u32,
) -> Result<Vec<Promotion>, Fault> {
    let rows: Vec<PromotionRow> = sqlx::query_as(
        "SELECT * FROM promotions WHERE model = ? AND channel = ? AND number > ? ORDER BY number LIMIT ?",
    )
    .bind(model.as_str())
    .bind(name.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(Promotion::try_from).collect::<Result<_, _>>()?)
}

/// A channel with what it stands on.
async fn whole(tx: &mut SqliteConnection, row: ChannelRow) -> Result<Channel, Fault> {
    let model: ModelName = text("channels.model", &row.model)?;
    let name: ChannelName = text("channels.name", &row.name)?;
    let newest: i64 = sqlx::query_scalar(
        "SELECT coalesce(max(number), 0) FROM promotions WHERE model = ? AND channel = ?",
    )
    .bind(model.as_str())
    .bind(name.as_str())
    .fetch_one(&mut *tx)
    .await?;
    let newest = promotion(tx, &model, &name, int("promotions.number", newest)?).await?;
    let good = match newest.fallback {
        Some(fallback) if newest.state != State::Done => {
            promotion(tx, &model, &name, fallback).await?
        }
        _ => newest.clone(),
    };
    let bad: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT digest FROM bad_versions WHERE model = ? AND channel = ? ORDER BY promotion",
    )
    .bind(model.as_str())
    .bind(name.as_str())
    .fetch_all(&mut *tx)
    .await?;
    let bad = bad.iter().map(|bytes| digest("bad_versions.digest", bytes));
    let bad = bad.collect::<Result<Vec<_>, _>>()?;
    let percents: Vec<u8> = json("channels.steps", &row.steps)?;
    let steps = Steps::new(percents)
        .map_err(|error| Corrupt { column: "channels.steps", got: error.to_string() })?;
    Ok(Channel {
        setup: Setup {
            guard: row.guard.map(|guard| text("channels.guard", &guard)).transpose()?,
            steps,
            selector: text("channels.selector", &row.selector)?,
            auto: row.auto,
            approval: row.approval,
            evaluate_samples: int("channels.evaluate_samples", row.evaluate_samples)?,
        },
        model,
        name,
        pinned: row.pinned,
        newest,
        good,
        bad,
        created_ms: int("channels.created_ms", row.created_ms)?,
    })
}

impl TryFrom<PromotionRow> for Promotion {
    type Error = Corrupt;

    fn try_from(row: PromotionRow) -> Result<Self, Corrupt> {
        let PromotionRow { nodes, samples, correct, .. } = row;
        let evidence = match (nodes, samples, correct) {
            (Some(nodes), Some(samples), Some(correct)) => Some(Evidence {
                nodes: int("promotions.nodes", nodes)?,
                samples: int("promotions.samples", samples)?,
                correct: int("promotions.correct", correct)?,
            }),
            _ => None,
        };
        let from = int_or_none("promotions.from_version", row.from_version)?;
        Ok(Self {
            number: int("promotions.number", row.number)?,
            cause: row.cause,
            from: from.map(VersionNumber),
            version: VersionNumber(int("promotions.version", row.version)?),
            digest: digest("promotions.digest", &row.digest)?,
            fallback: int_or_none("promotions.fallback", row.fallback)?,
            told: int("promotions.told", row.told)?,
            state: text("promotions.state", &row.state)?,
            watched: row.watched,
            percent: int("promotions.percent", row.percent)?,
            since_report: int("promotions.since_report", row.since_report)?,
            evidence,
            actor: row.actor,
            approved_by: row.approved_by,
            started_ms: int("promotions.started_ms", row.started_ms)?,
            ended_ms: int_or_none("promotions.ended_ms", row.ended_ms)?,
        })
    }
}
