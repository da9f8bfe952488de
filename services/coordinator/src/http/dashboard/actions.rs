//! What the pages' buttons do: the deeds of REST, and back to the page that shows what came of it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Redirect;

use super::super::body::Params;
use super::super::channels::ChannelPath;
use super::super::nodes::{self, NodePath};
use super::super::posted::{Asked, Nothing, Posted};
use super::super::{moves, runs};
use super::Oops;
use super::act::Act;
use super::page::Done;
use crate::core::Core;
use crate::store::{Directive, Move, Which};

type Moved = Result<Redirect, Oops>;

/// Revokes a node.
pub(super) async fn revoke_node(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    act: Act,
) -> Moved {
    let posted = Posted { body: Nothing {}, request: act.request };
    nodes::revoke(State(core), Params(NodePath { id: id.clone() }), posted).await?;
    Ok(Done::Revoked.at(&format!("/fleet/{id}")))
}

/// Pauses a run.
pub(super) async fn pause(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    act: Act,
) -> Moved {
    direct(&core, &id, Directive::Pause, act.request, Done::Paused).await
}

/// Resumes a run.
pub(super) async fn resume(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    act: Act,
) -> Moved {
    direct(&core, &id, Directive::Resume, act.request, Done::Resumed).await
}

/// Cancels a run.
pub(super) async fn cancel(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    act: Act,
) -> Moved {
    direct(&core, &id, Directive::Cancel, act.request, Done::Cancelled).await
}

async fn direct(core: &Core, id: &str, directive: Directive, request: Asked, done: Done) -> Moved {
    runs::direct(core, id, directive, request).await?;
    Ok(done.at(&format!("/runs/{id}")))
}

/// Promotes a version.
pub(super) async fn promote(
    State(core): State<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    act: Act,
) -> Moved {
    let version: u32 = act.number("version")?.unwrap_or_default();
    let force = act.option("force").is_some();
    let wanted = Move::Promote { version: Which::Number(version), force };
    move_channel(&core, path, wanted, act.request, Done::Promoted).await
}

/// Rolls a channel back.
pub(super) async fn roll_back(
    State(core): State<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    act: Act,
) -> Moved {
    move_channel(&core, path, Move::RollBack, act.request, Done::RolledBack).await
}

/// Pins a channel to the version it has.
pub(super) async fn pin(
    State(core): State<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    act: Act,
) -> Moved {
    let wanted = Move::Pin { version: act.number("version")?.map(Which::Number), force: false };
    move_channel(&core, path, wanted, act.request, Done::Pinned).await
}

/// Lets a channel move again.
pub(super) async fn unpin(
    State(core): State<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    act: Act,
) -> Moved {
    move_channel(&core, path, Move::Unpin, act.request, Done::Unpinned).await
}

/// Approves of the promotion that waits, as the page showed it.
pub(super) async fn approve(
    State(core): State<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    act: Act,
) -> Moved {
    let wanted = Move::Approve { promotion: act.number("promotion")? };
    move_channel(&core, path, wanted, act.request, Done::Approved).await
}

async fn move_channel(
    core: &Core,
    path: ChannelPath,
    wanted: Move,
    request: Asked,
    done: Done,
) -> Moved {
    let back = format!("/models/{}", path.name);
    moves::direct(core, path, wanted, request).await?;
    Ok(done.at(&back))
}
