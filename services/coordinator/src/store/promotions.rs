//! What moves a channel: each move is one transaction, with its entry in the audit log.

use federation::channel::{Decision, Evidence, State};
use federation::limits::CHANNELS_MAX;
use federation::{ChannelName, ModelName, RunId, Timestamp, VersionNumber};
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::channels::{Channel, Setup, channel_named, due};
use super::deed::{By, Deed, NotDone, Reply};
use super::error::Fault;
use super::models::{Which, model_named};
use super::moves::{
    Begin, append, approve, insert, pin, promote, roll_back, set_pinned, trip, version_of,
};
use super::nodes::to_json;
use super::row::sql;
use super::{Store, StoreError, audit};

/// Why a run is cancelled whose version a guard turned back.
pub(crate) const GUARD: &str = "guard";

/// A channel to make.
#[derive(Clone, Debug)]
pub(crate) struct NewChannel {
    /// The model.
    pub(crate) model: ModelName,
    /// The channel's name.
    pub(crate) name: ChannelName,
    /// The version it begins with, by somebody's word.
    pub(crate) version: Which,
    /// How it is set up.
    pub(crate) setup: Setup,
}

/// What somebody wants of a channel.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    /// Bring it this version. `force` overrules what is known of the version, and a promotion on its way.
    Promote {
        /// The version.
        version: Which,
        /// Whether to overrule.
        force: bool,
    },
    /// Turn the promotion on its way back, or the last one.
    RollBack,
    /// Stay at this version, or at the one it has, whatever happens.
    Pin {
        /// The version; `None` for the one it has.
        version: Option<Which>,
        /// Whether to overrule what is known of the version.
        force: bool,
    },
    /// Move again.
    Unpin,
    /// Let the promotion begin that waits for approval.
    Approve {
        /// Its number, if it must be this one.
        promotion: Option<u32>,
    },
    /// Set it up otherwise.
    SetUp(Setup),
}

/// Why a channel does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotMoved {
    /// No model has the name.
    UnknownModel,
    /// The model has no such channel.
    UnknownChannel,
    /// The model has no such version.
    UnknownVersion,
    /// Retention dropped this version's artifact.
    Pruned(VersionNumber),
    /// The model has a channel of this name.
    Exists,
    /// The model has as many channels as a model can have.
    TooMany,
    /// It is pinned.
    Pinned,
    /// Its guard turned this version back before.
    Bad(VersionNumber),
    /// This promotion is on its way.
    Running(u32),
    /// There is no version before the one it has.
    NothingBehind,
    /// No promotion waits for approval, or another one than was meant.
    NotAsked,
}

impl Store {
    /// Makes a channel.
    pub(crate) async fn create_channel(
        &self,
        new: NewChannel,
        deed: Deed<Channel>,
    ) -> Result<Result<Reply, NotDone<NotMoved>>, StoreError> {
        self.deed("create_channel", deed, async move |tx: &mut SqliteConnection, by: &By| {
            let NewChannel { model, name, version, setup } = new;
            if model_named(tx, &model).await?.is_none() {
                return Ok(Err(NotMoved::UnknownModel));
            }
            let (same, count): (i64, i64) = sqlx::query_as(
                "SELECT coalesce(sum(name = ?2), 0), count(*) FROM channels WHERE model = ?1",
            )
            .bind(model.as_str())
            .bind(name.as_str())
            .fetch_one(&mut *tx)
            .await?;
            if same > 0 {
                return Ok(Err(NotMoved::Exists));
            }
            if usize::try_from(count).is_ok_and(|count| count >= CHANNELS_MAX) {
                return Ok(Err(NotMoved::TooMany));
            }
            let (version, digest) = match version_of(tx, &model, version).await? {
                Ok(found) => found,
                Err(reason) => return Ok(Err(reason)),
            };
            sqlx::query(
                "INSERT INTO channels (model, name, guard, steps, selector, auto, approval, evaluate_samples, created_ms)
                 VALUES (?, ?, NULL, '', '', 0, 0, 1, ?)",
            )
            .bind(model.as_str())
            .bind(name.as_str())
            .bind(sql(by.at.0))
            .execute(&mut *tx)
            .await?;
            set_up(tx, &model, &name, &setup).await?;
            let (cause, state, fallback) = ("created", State::Done, None);
            let begin = Begin { cause, version, digest, fallback, told: None, state, watched: false, percent: 100 };
            insert(tx, &model, &name, 1, None, &begin, by).await?;
            let detail = json!({"version": version.0, "digest": digest.to_string(), "setup": told_setup(&setup)});
            append(tx, &by.actor, "channel.created", &model, &name, &detail, by.at).await?;
            Ok(Ok(channel_named(tx, &model, &name).await?.ok_or(sqlx::Error::RowNotFound)?))
        })
        .await
    }

    /// Moves a channel as somebody wants it.
    pub(crate) async fn move_channel(
        &self,
        model: ModelName,
        name: ChannelName,
        wanted: Move,
        deed: Deed<Channel>,
    ) -> Result<Result<Reply, NotDone<NotMoved>>, StoreError> {
        self.deed("move_channel", deed, async move |tx: &mut SqliteConnection, by: &By| {
            if model_named(tx, &model).await?.is_none() {
                return Ok(Err(NotMoved::UnknownModel));
            }
            let Some(channel) = channel_named(tx, &model, &name).await? else {
                return Ok(Err(NotMoved::UnknownChannel));
            };
            let moved = match wanted {
                Move::Promote { version, force } => match version_of(tx, &model, version).await? {
                    Err(reason) => Err(reason),
                    Ok(version) => promote(tx, &channel, version, "promoted", force, by).await?,
                },
                Move::RollBack => roll_back(tx, &channel, by).await?,
                Move::Pin { version, force } => pin(tx, &channel, version, force, by).await?,
                Move::Unpin => Ok(set_pinned(tx, &channel, false, by).await?),
                Move::Approve { promotion } => approve(tx, &channel, promotion, by).await?,
                Move::SetUp(setup) => Ok(set_up_anew(tx, &channel, &setup, by).await?),
            };
            if let Err(reason) = moved {
                return Ok(Err(reason));
            }
            Ok(Ok(channel_named(tx, &model, &name).await?.ok_or(sqlx::Error::RowNotFound)?))
        })
        .await
    }

    /// Brings a channel the newest version, if it takes it by itself.
    pub(crate) async fn promote_due(
        &self,
        model: ModelName,
        name: ChannelName,
        now: Timestamp,
    ) -> Result<Option<VersionNumber>, StoreError> {
        self.write("promote_due", async move |tx: &mut SqliteConnection| {
            let Some(channel) = channel_named(tx, &model, &name).await? else { return Ok(None) };
            let Some(number) = due(tx, &channel).await? else { return Ok(None) };
            let version = version_of(tx, &model, Which::Number(number.0)).await?;
            let Ok(version) = version else { return Ok(None) };
            let by = By { actor: audit::COORDINATOR.to_owned(), at: now };
            let promoted = promote(tx, &channel, version, "published", false, &by).await?;
            Ok(promoted.is_ok().then_some(number))
        })
        .await
    }

    /// Does what was decided about promotion `number` of a channel while it was at `percent`, on this evidence. What was
    /// decided about an earlier state is not done. The run that was stopped, if one was.
    pub(crate) async fn decide_promotion(
        &self,
        (model, name): (ModelName, ChannelName),
        (number, percent): (u32, u8),
        decision: Decision,
        evidence: Evidence,
        now: Timestamp,
    ) -> Result<Option<RunId>, StoreError> {
        self.write("decide_promotion", async move |tx: &mut SqliteConnection| {
            let Some(channel) = channel_named(tx, &model, &name).await? else { return Ok(None) };
            let newest = &channel.newest;
            let lives = matches!(newest.state, State::Rolling | State::Done) && !channel.pinned;
            if (newest.number, newest.percent) != (number, percent) || !lives {
                return Ok(None);
            }
            let percent = match decision {
                Decision::Advance(to) => to,
                Decision::Wait | Decision::Done | Decision::Trip => percent,
            };
            let state = newest.state.by(decision);
            sqlx::query(
                "UPDATE promotions SET state = ?, percent = ?, nodes = ?, samples = ?, correct = ?, ended_ms = ?
                 WHERE model = ? AND channel = ? AND number = ?",
            )
            .bind(state.as_str())
            .bind(percent)
            .bind(sql(evidence.nodes))
            .bind(sql(evidence.samples))
            .bind(sql(evidence.correct))
            .bind((state != State::Rolling).then_some(sql(now.0)))
            .bind(model.as_str())
            .bind(name.as_str())
            .bind(number)
            .execute(&mut *tx)
            .await?;
            let detail = json!({
                "promotion": number, "version": newest.version.0, "digest": newest.digest.to_string(),
                "percent": percent, "guard": channel.setup.guard.map(|guard| guard.to_string()),
                "nodes": evidence.nodes, "samples": evidence.samples, "correct": evidence.correct,
            });
            let action = match decision {
                Decision::Wait => return Ok(None),
                Decision::Advance(_) => "channel.advanced",
                Decision::Done => "channel.reached",
                Decision::Trip => "channel.tripped",
            };
            append(tx, audit::COORDINATOR, action, &model, &name, &detail, now).await?;
            if decision == Decision::Trip { trip(tx, &channel, now).await } else { Ok(None) }
        })
        .await
    }
}

async fn set_up_anew(
    tx: &mut SqliteConnection,
    channel: &Channel,
    setup: &Setup,
    by: &By,
) -> Result<(), Fault> {
    let Channel { model, name, setup: before, .. } = channel;
    if setup == before {
        return Ok(());
    }
    set_up(tx, model, name, setup).await?;
    let detail = told_setup(setup);
    append(tx, &by.actor, "channel.set_up", model, name, &detail, by.at).await
}

async fn set_up(
    tx: &mut SqliteConnection,
    model: &ModelName,
    name: &ChannelName,
    setup: &Setup,
) -> Result<(), Fault> {
    let Setup { guard, steps, selector, auto, approval, evaluate_samples } = setup;
    sqlx::query(
        "UPDATE channels SET guard = ?, steps = ?, selector = ?, auto = ?, approval = ?, evaluate_samples = ?
         WHERE model = ? AND name = ?",
    )
    .bind(guard.map(|guard| guard.to_string()))
    .bind(to_json(&steps.percents()))
    .bind(selector.to_string())
    .bind(auto)
    .bind(approval)
    .bind(evaluate_samples)
    .bind(model.as_str())
    .bind(name.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

fn told_setup(setup: &Setup) -> Value {
    let Setup { guard, steps, selector, auto, approval, evaluate_samples } = setup;
    json!({
        "guard": guard.map(|guard| guard.to_string()), "steps": steps.percents(),
        "selector": selector.to_string(), "auto": auto, "approval": approval,
        "evaluate_samples": evaluate_samples,
    })
}
