//! `/v1/nodes`: who is enrolled.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::{NodeId, NodeStatus};
use serde::Serialize;

use super::body::Params;
use super::page::{Page, PageQuery};
use super::posted::{Nothing, Posted};
use super::problem::Problem;
use crate::core::Core;
use crate::store::{Node, Reply, UnknownNode};

/// A node.
#[derive(Debug, Serialize)]
pub(super) struct NodeBody {
    id: String,
    public_key: String,
    labels: BTreeMap<String, String>,
    learners: Vec<String>,
    enrolled_at_ms: u64,
    seen_at_ms: u64,
    /// When it was revoked: nothing is answered to it any more.
    revoked_at_ms: Option<u64>,
    /// In how many rounds it was drawn.
    turns: u32,
    /// How it said it was when it last asked for work; null before it was heard of since the
    /// coordinator's start.
    status: Option<StatusBody>,
}

/// How a node is, as it says; null for what it does not say.
#[derive(Debug, Serialize)]
struct StatusBody {
    charging: Option<bool>,
    idle: Option<bool>,
    battery_percent: Option<u8>,
    samples: Option<u64>,
    capacity: BTreeMap<String, u64>,
}

/// `GET /v1/nodes`.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery,
) -> Result<Json<Page<NodeBody>>, Problem> {
    let nodes = core.store.nodes(query.after_name(), query.read()).await?;
    Ok(Json(query.page(nodes, |node| node.id.to_string(), |node| show_node(&core, node))))
}

/// `POST /v1/nodes/{id}/revoke`: from now on nothing is answered to the node, and no round draws it. For good: with the
/// same key it does not come back.
pub(super) async fn revoke(
    State(core): State<Arc<Core>>,
    Params(id): Params<String>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    let id: NodeId = id.parse().map_err(|_| Problem::from(UnknownNode))?;
    let shown = Arc::clone(&core);
    let deed = request.deed(move |node: &Node| Reply::ok(&show_node(&shown, node.clone())));
    let answer = core.store.revoke_node(id.clone(), deed).await??;
    core.presence.revoke(&id);
    // A question of its own that waits ends at once.
    core.board.send_if_modified(|_| true);
    tracing::info!(node.id = %id, "revoked a node");
    Ok(answer)
}

fn show_node(core: &Core, node: Node) -> NodeBody {
    let Node { id, public_key, labels, learners, enrolled_ms, seen_ms, turns, revoked_ms, .. } = node;
    // Memory is newer than the database, which is written seldom.
    let seen = core.presence.seen(&id);
    NodeBody {
        seen_at_ms: seen.as_ref().map_or(seen_ms, |(seen, _)| seen.0.max(seen_ms)),
        revoked_at_ms: revoked_ms,
        turns: turns.count,
        status: seen.map(|(_, status)| show_status(status)),
        id: id.to_string(),
        public_key: hex::encode(public_key),
        labels,
        learners,
        enrolled_at_ms: enrolled_ms,
    }
}

fn show_status(status: NodeStatus) -> StatusBody {
    let NodeStatus { charging, idle, battery_percent, samples, capacity } = status;
    StatusBody { charging, idle, battery_percent, samples, capacity: (*capacity).clone() }
}
