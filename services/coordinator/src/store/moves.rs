//! The moves of a channel, inside the transaction that makes each.

use federation::channel::{Objection, State, may_promote};
use federation::{ChannelName, Digest, ModelName, RunId, Timestamp, VersionNumber};
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::channels::{Channel, Promotion, promotion};
use super::deed::By;
use super::error::Fault;
use super::models::{Which, number_of};
use super::promotions::{GUARD, NotMoved};
use super::row::{digest, int, sql};
use super::{audit, lifecycle};

/// What a promotion begins with.
pub(super) struct Begin {
    pub(super) cause: &'static str,
    pub(super) version: VersionNumber,
    pub(super) digest: Digest,
    pub(super) fallback: Option<u32>,
    /// Another number for nodes than its own.
    pub(super) told: Option<u32>,
    pub(super) state: State,
    pub(super) watched: bool,
    pub(super) percent: u8,
}

/// Brings a channel a version.
pub(super) async fn promote(
    tx: &mut SqliteConnection,
    channel: &Channel,
    (version, digest): (VersionNumber, Digest),
    cause: &'static str,
    force: bool,
    by: &By,
) -> Result<Result<(), NotMoved>, Fault> {
    let Channel { model, name, setup, pinned, newest, good, .. } = channel;
    let bad = is_bad(tx, model, name, digest).await?;
    match may_promote(*pinned, bad, newest.state, force) {
        Err(Objection::Pinned) => return Ok(Err(NotMoved::Pinned)),
        Err(Objection::Bad) => return Ok(Err(NotMoved::Bad(version))),
        Err(Objection::Running) if newest.version == version => return Ok(Ok(())),
        Err(Objection::Running) => return Ok(Err(NotMoved::Running(newest.number))),
        Ok(()) if newest.version == version => return Ok(Ok(())),
        Ok(()) => {}
    }
    end_live(tx, channel, State::Superseded, by.at).await?;
    if version == good.version {
        // It was good before, and has nothing but itself behind it.
        fall_back(tx, channel, good, cause, by).await?;
        return Ok(Ok(()));
    }
    clear_bad(tx, model, name, digest).await?;
    let state = if setup.approval { State::Waiting } else { State::Rolling };
    let begin = Begin {
        cause,
        version,
        digest,
        fallback: Some(good.number),
        told: None,
        state,
        watched: true,
        percent: if setup.approval { 0 } else { setup.steps.first() },
    };
    insert(tx, model, name, newest.number + 1, Some(good.version), &begin, by).await?;
    let detail = json!({
        "promotion": newest.number + 1, "from": good.version.0, "version": version.0,
        "digest": digest.to_string(), "cause": cause, "state": state.as_str(), "force": force,
    });
    append(tx, &by.actor, "channel.promoted", model, name, &detail, by.at).await?;
    Ok(Ok(()))
}

/// Turns the promotion on its way back, or the last one.
pub(super) async fn roll_back(
    tx: &mut SqliteConnection,
    channel: &Channel,
    by: &By,
) -> Result<Result<(), NotMoved>, Fault> {
    if channel.pinned {
        return Ok(Err(NotMoved::Pinned));
    }
    let Some(behind) = behind(tx, channel).await? else {
        return Ok(Err(NotMoved::NothingBehind));
    };
    end(tx, channel, State::RolledBack, by.at).await?;
    fall_back(tx, channel, &behind, "rolled_back", by).await?;
    Ok(Ok(()))
}

/// The guard turned the newest promotion back: marks its version, returns to the one before, stops the run.
pub(super) async fn trip(
    tx: &mut SqliteConnection,
    channel: &Channel,
    now: Timestamp,
) -> Result<Option<RunId>, Fault> {
    let Channel { model, name, newest, .. } = channel;
    sqlx::query(
        "INSERT INTO bad_versions (model, channel, digest, promotion, at_ms) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET promotion = excluded.promotion, at_ms = excluded.at_ms",
    )
    .bind(model.as_str())
    .bind(name.as_str())
    .bind(&newest.digest.0[..])
    .bind(newest.number)
    .bind(sql(now.0))
    .execute(&mut *tx)
    .await?;
    let by = By { actor: audit::COORDINATOR.to_owned(), at: now };
    let behind = behind(tx, channel).await?.ok_or(sqlx::Error::RowNotFound)?;
    fall_back(tx, channel, &behind, "tripped", &by).await?;
    let run: Option<i64> = sqlx::query_scalar(
        "SELECT runs.id FROM versions v JOIN rounds r ON r.id = v.round_id JOIN runs ON runs.id = r.run_id
         WHERE v.model = ? AND v.number = ? AND runs.ended_ms IS NULL",
    )
    .bind(model.as_str())
    .bind(newest.version.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(run) = run else { return Ok(None) };
    let run = RunId(int("runs.id", run)?);
    lifecycle::cancel(tx, run, Some(GUARD), &by).await?;
    Ok(Some(run))
}

/// Returns to the version of a promotion behind the newest one. Nobody watches it: it was good.
async fn fall_back(
    tx: &mut SqliteConnection,
    channel: &Channel,
    behind: &Promotion,
    cause: &'static str,
    by: &By,
) -> Result<(), Fault> {
    let Channel { model, name, newest, .. } = channel;
    let begin = Begin {
        cause,
        version: behind.version,
        digest: behind.digest,
        fallback: behind.fallback,
        told: Some(behind.told),
        state: State::Done,
        watched: false,
        percent: 100,
    };
    insert(tx, model, name, newest.number + 1, Some(newest.version), &begin, by).await?;
    let detail = json!({
        "promotion": newest.number + 1, "from": newest.version.0, "version": behind.version.0,
        "digest": behind.digest.to_string(), "cause": cause,
    });
    append(tx, &by.actor, "channel.rolled_back", model, name, &detail, by.at).await
}

/// Keeps a channel at a version.
pub(super) async fn pin(
    tx: &mut SqliteConnection,
    channel: &Channel,
    version: Option<Which>,
    force: bool,
    by: &By,
) -> Result<Result<(), NotMoved>, Fault> {
    let Channel { model, name, newest, good, .. } = channel;
    let (version, digest) = match version {
        None => (good.version, good.digest),
        Some(which) => match version_of(tx, model, which).await? {
            Ok(version) => version,
            Err(reason) => return Ok(Err(reason)),
        },
    };
    if !force && is_bad(tx, model, name, digest).await? {
        return Ok(Err(NotMoved::Bad(version)));
    }
    if newest.state != State::Done || newest.version != version {
        end_live(tx, channel, State::Superseded, by.at).await?;
        let same = version == good.version;
        let begin = Begin {
            cause: "pinned",
            version,
            digest,
            fallback: if same { good.fallback } else { Some(good.number) },
            told: same.then_some(good.told),
            state: State::Done,
            watched: false,
            percent: 100,
        };
        insert(tx, model, name, newest.number + 1, Some(good.version), &begin, by).await?;
    }
    let detail = json!({"version": version.0, "digest": digest.to_string(), "force": force});
    write_pinned(tx, channel, true).await?;
    append(tx, &by.actor, "channel.pinned", model, name, &detail, by.at).await?;
    Ok(Ok(()))
}

/// Lets a channel move again, or not.
pub(super) async fn set_pinned(
    tx: &mut SqliteConnection,
    channel: &Channel,
    pinned: bool,
    by: &By,
) -> Result<(), Fault> {
    if channel.pinned == pinned {
        return Ok(());
    }
    write_pinned(tx, channel, pinned).await?;
    let Channel { model, name, .. } = channel;
    append(tx, &by.actor, "channel.unpinned", model, name, &json!({}), by.at).await
}

async fn write_pinned(
    tx: &mut SqliteConnection,
    channel: &Channel,
    pinned: bool,
) -> Result<(), Fault> {
    sqlx::query("UPDATE channels SET pinned = ? WHERE model = ? AND name = ?")
        .bind(pinned)
        .bind(channel.model.as_str())
        .bind(channel.name.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Lets the promotion begin that waits for it.
pub(super) async fn approve(
    tx: &mut SqliteConnection,
    channel: &Channel,
    meant: Option<u32>,
    by: &By,
) -> Result<Result<(), NotMoved>, Fault> {
    let Channel { model, name, setup, newest, .. } = channel;
    if newest.state != State::Waiting || meant.is_some_and(|meant| meant != newest.number) {
        return Ok(Err(NotMoved::NotAsked));
    }
    sqlx::query(
        "UPDATE promotions SET state = ?, percent = ?, approved_by = ?,
             since_report = (SELECT last FROM reports)
         WHERE model = ? AND channel = ? AND number = ?",
    )
    .bind(State::Rolling.as_str())
    .bind(setup.steps.first())
    .bind(&by.actor)
    .bind(model.as_str())
    .bind(name.as_str())
    .bind(newest.number)
    .execute(&mut *tx)
    .await?;
    let detail = json!({"promotion": newest.number, "version": newest.version.0});
    append(tx, &by.actor, "channel.approved", model, name, &detail, by.at).await?;
    Ok(Ok(()))
}

/// Writes a promotion.
pub(super) async fn insert(
    tx: &mut SqliteConnection,
    model: &ModelName,
    name: &ChannelName,
    number: u32,
    from: Option<VersionNumber>,
    begin: &Begin,
    by: &By,
) -> Result<(), Fault> {
    let Begin { cause, version, digest, fallback, told, state, watched, percent } = begin;
    sqlx::query(
        "INSERT INTO promotions (model, channel, number, cause, from_version, version, digest, fallback, told,
             state, watched, percent, since_report, actor, started_ms, ended_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT last FROM reports), ?, ?, ?)",
    )
    .bind(model.as_str())
    .bind(name.as_str())
    .bind(number)
    .bind(cause)
    .bind(from.map(|from| from.0))
    .bind(version.0)
    .bind(&digest.0[..])
    .bind(fallback)
    .bind(told.unwrap_or(number))
    .bind(state.as_str())
    .bind(watched)
    .bind(percent)
    .bind(&by.actor)
    .bind(sql(by.at.0))
    .bind((*state == State::Done).then_some(sql(by.at.0)))
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends the newest promotion if it was not done.
async fn end_live(
    tx: &mut SqliteConnection,
    channel: &Channel,
    state: State,
    now: Timestamp,
) -> Result<(), Fault> {
    if channel.newest.state == State::Done {
        return Ok(());
    }
    end(tx, channel, state, now).await
}

/// Ends the newest promotion.
async fn end(
    tx: &mut SqliteConnection,
    channel: &Channel,
    state: State,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE promotions SET state = ?, ended_ms = ? WHERE model = ? AND channel = ? AND number = ?",
    )
    .bind(state.as_str())
    .bind(sql(now.0))
    .bind(channel.model.as_str())
    .bind(channel.name.as_str())
    .bind(channel.newest.number)
    .execute(tx)
    .await?;
    Ok(())
}

async fn is_bad(
    tx: &mut SqliteConnection,
    model: &ModelName,
    name: &ChannelName,
    digest: Digest,
) -> Result<bool, Fault> {
    let bad = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM bad_versions WHERE model = ? AND channel = ? AND digest = ?)",
    )
    .bind(model.as_str())
    .bind(name.as_str())
    .bind(&digest.0[..])
    .fetch_one(tx)
    .await?;
    Ok(bad)
}

/// Forgets that a version was bad: somebody's word overrules it, until the guard says it again.
async fn clear_bad(
    tx: &mut SqliteConnection,
    model: &ModelName,
    name: &ChannelName,
    digest: Digest,
) -> Result<(), Fault> {
    sqlx::query("DELETE FROM bad_versions WHERE model = ? AND channel = ? AND digest = ?")
        .bind(model.as_str())
        .bind(name.as_str())
        .bind(&digest.0[..])
        .execute(tx)
        .await?;
    Ok(())
}

/// The number and digest of a version that nodes can be given.
pub(super) async fn version_of(
    tx: &mut SqliteConnection,
    model: &ModelName,
    which: Which,
) -> Result<Result<(VersionNumber, Digest), NotMoved>, Fault> {
    let Some(number) = number_of(tx, model, which).await? else {
        return Ok(Err(NotMoved::UnknownVersion));
    };
    let found: Option<(Vec<u8>, bool)> = sqlx::query_as(
        "SELECT v.digest, a.dropped_ms IS NOT NULL FROM versions v JOIN artifacts a ON a.digest = v.digest
         WHERE v.model = ? AND v.number = ?",
    )
    .bind(model.as_str())
    .bind(number)
    .fetch_optional(tx)
    .await?;
    Ok(match found {
        None => Err(NotMoved::UnknownVersion),
        Some((_, true)) => Err(NotMoved::Pruned(VersionNumber(number))),
        Some((found, false)) => Ok((VersionNumber(number), digest("versions.digest", &found)?)),
    })
}

/// What the newest promotion returns to: the first promotion behind it whose version is still kept.
async fn behind(tx: &mut SqliteConnection, channel: &Channel) -> Result<Option<Promotion>, Fault> {
    let Channel { model, name, newest, .. } = channel;
    let mut next = newest.fallback;
    while let Some(number) = next {
        let found = promotion(tx, model, name, number).await?;
        if version_of(tx, model, Which::Number(found.version.0)).await?.is_ok() {
            return Ok(Some(found));
        }
        next = found.fallback;
    }
    Ok(None)
}

/// Appends an entry that tells of a channel.
pub(super) async fn append(
    tx: &mut SqliteConnection,
    actor: &str,
    action: &str,
    model: &ModelName,
    name: &ChannelName,
    detail: &Value,
    now: Timestamp,
) -> Result<(), Fault> {
    audit::append(tx, actor, action, format!("{model}/{name}"), detail, now).await
}
