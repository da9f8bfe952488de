//! `/v1/models/{name}/channels/{channel}/...`: what moves a channel.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::answers::problems;
use super::body::Params;
use super::channels::{ChannelBody, ChannelPath, parse_names, show_channel};
use super::posted::{Asked, KeyParam, Nothing, Posted};
use super::problem::Problem;
use crate::core::Core;
use crate::store::{Channel, Move, Reply, Which};

/// A version to bring to a channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Promote)]
pub(super) struct PromoteBody {
    /// Its number.
    #[schema(minimum = 1)]
    version: u32,
    /// Whether to bring it although the guard turned it back before, or another promotion is on its way.
    #[serde(default)]
    #[schema(default = false)]
    force: bool,
}

/// A version to stay at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Pin)]
pub(super) struct PinBody {
    /// Its number; the channel's own where it is absent.
    #[schema(minimum = 1)]
    version: Option<u32>,
    /// Whether to stay at it although the guard turned it back before.
    #[serde(default)]
    #[schema(default = false)]
    force: bool,
}

/// Which promotion is approved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Approve)]
pub(super) struct ApproveBody {
    /// Its number; the one that waits where it is absent.
    #[schema(minimum = 1)]
    promotion: Option<u32>,
}

problems!(
    PromoteProblems = POST
        + [
            NotFound,
            ModelNotFound,
            ChannelNotFound,
            VersionNotFound,
            VersionPruned,
            ChannelPinned,
            VersionBad,
            PromotionRunning,
        ]
);
problems!(
    RollBackProblems =
        POST + [NotFound, ModelNotFound, ChannelNotFound, ChannelPinned, NothingToRollBack,]
);
problems!(
    PinProblems = POST
        + [NotFound, ModelNotFound, ChannelNotFound, VersionNotFound, VersionPruned, VersionBad]
);
problems!(UnpinProblems = POST + [NotFound, ModelNotFound, ChannelNotFound]);
problems!(ApproveProblems = POST + [NotFound, ModelNotFound, ChannelNotFound, ApprovalNotAsked]);

/// Promotes a version
///
/// It goes to the channel's nodes step by step, as its guard allows. The version that the channel has, or that is on its way, is
/// not brought again.
#[utoipa::path(
    post, path = "/v1/models/{name}/channels/{channel}/promote", tag = "channels", operation_id = "promote_version",
    params(ChannelPath, KeyParam), request_body = PromoteBody,
    responses((status = 200, description = "The channel as it is now.", body = ChannelBody), PromoteProblems)
)]
pub(super) async fn promote(
    State(core): State<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    Posted { body: PromoteBody { version, force }, request }: Posted<PromoteBody>,
) -> Result<Reply, Problem> {
    let wanted = Move::Promote { version: Which::Number(version), force };
    direct(&core, path, wanted, request).await
}

/// Rolls a channel back
///
/// To the version before, at once. What is on its way, or waits for approval, is turned back.
#[utoipa::path(
    post, path = "/v1/models/{name}/channels/{channel}/rollback", tag = "channels", operation_id = "roll_back_channel",
    params(ChannelPath, KeyParam), request_body = Nothing,
    responses((status = 200, description = "The channel as it is now.", body = ChannelBody), RollBackProblems)
)]
pub(super) async fn roll_back(
    State(core): State<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    direct(&core, path, Move::RollBack, request).await
}

/// Pins a channel
///
/// It stays at the version, whatever nodes report, until it is unpinned.
#[utoipa::path(
    post, path = "/v1/models/{name}/channels/{channel}/pin", tag = "channels", operation_id = "pin_channel",
    params(ChannelPath, KeyParam), request_body = PinBody,
    responses((status = 200, description = "The channel as it is now.", body = ChannelBody), PinProblems)
)]
pub(super) async fn pin(
    State(core): State<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    Posted { body: PinBody { version, force }, request }: Posted<PinBody>,
) -> Result<Reply, Problem> {
    direct(&core, path, Move::Pin { version: version.map(Which::Number), force }, request).await
}

/// Unpins a channel
///
/// It moves again.
#[utoipa::path(
    post, path = "/v1/models/{name}/channels/{channel}/unpin", tag = "channels", operation_id = "unpin_channel",
    params(ChannelPath, KeyParam), request_body = Nothing,
    responses((status = 200, description = "The channel as it is now.", body = ChannelBody), UnpinProblems)
)]
pub(super) async fn unpin(
    State(core): State<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    direct(&core, path, Move::Unpin, request).await
}

/// Approves of a promotion
///
/// It begins.
#[utoipa::path(
    post, path = "/v1/models/{name}/channels/{channel}/approve", tag = "channels", operation_id = "approve_promotion",
    params(ChannelPath, KeyParam), request_body = ApproveBody,
    responses((status = 200, description = "The channel as it is now.", body = ChannelBody), ApproveProblems)
)]
pub(super) async fn approve(
    State(core): State<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    Posted { body: ApproveBody { promotion }, request }: Posted<ApproveBody>,
) -> Result<Reply, Problem> {
    direct(&core, path, Move::Approve { promotion }, request).await
}

/// Moves a channel as the request wants it.
pub(super) async fn direct(
    core: &Core,
    ChannelPath { name: model, channel: name }: ChannelPath,
    wanted: Move,
    request: Asked,
) -> Result<Reply, Problem> {
    let (model, name) = parse_names(&model, &name)?;
    tracing::info!(%model, channel = %name, ?wanted, "somebody moves a channel");
    let deed = request.deed(|channel: &Channel| Reply::ok(&show_channel(channel.clone())));
    let reply = core.store.move_channel(model, name, wanted, deed).await??;
    core.channels.moved();
    core.wake.notify_one();
    Ok(reply)
}
