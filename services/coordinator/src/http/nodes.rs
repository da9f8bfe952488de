//! `/v1/nodes`: who is enrolled.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::{NodeId, NodeStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answers::problems;
use super::body::Params;
use super::page::{Page, PageParams, PageQuery};
use super::posted::{KeyParam, Nothing, Posted};
use super::problem::Problem;
use crate::core::Core;
use crate::store::{Node, Reply, UnknownNode};

/// A node.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
pub(super) struct NodeBody {
    /// Its name.
    #[schema(examples("ams-0042"))]
    id: String,
    /// The Ed25519 key it enrolled with, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    public_key: String,
    /// Its labels.
    #[schema(examples(json!({"site": "ams", "task": "navigation"})))]
    labels: BTreeMap<String, String>,
    /// The learners it runs.
    #[schema(examples(json!(["reckon/1"])))]
    learners: Vec<String>,
    /// When it enrolled.
    enrolled_at_ms: u64,
    /// When it was last heard of.
    seen_at_ms: u64,
    /// When it was revoked: nothing is answered to it any more, and no round draws it. Null unless it was.
    #[schema(required)]
    revoked_at_ms: Option<u64>,
    /// In how many rounds it was drawn.
    turns: u32,
    /// How it said it was when it last asked for work; null before it was heard of since the
    /// coordinator's start.
    #[schema(required)]
    status: Option<StatusBody>,
}

/// How a node is, as it says; null for what it does not say.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeStatus)]
pub(super) struct StatusBody {
    /// Whether it runs on mains power.
    #[schema(required)]
    charging: Option<bool>,
    /// Whether it has nothing else to do.
    #[schema(required)]
    idle: Option<bool>,
    /// What is left in its battery.
    #[schema(required, minimum = 0, maximum = 100)]
    battery_percent: Option<u8>,
    /// Samples it could learn from.
    #[schema(required)]
    samples: Option<u64>,
    /// Sizes of its chip.
    #[schema(examples(json!({"recurrent": 100})))]
    capacity: BTreeMap<String, u64>,
}

problems!(ListProblems = LIST);

/// Lists the nodes
///
/// In the order of their names.
#[utoipa::path(
    get, path = "/v1/nodes", tag = "nodes", operation_id = "list_nodes", params(PageParams),
    responses((status = 200, description = "A page of nodes.", body = Page<NodeBody>), ListProblems)
)]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery,
) -> Result<Json<Page<NodeBody>>, Problem> {
    let nodes = core.store.nodes(query.after()?.unwrap_or_default(), query.read()).await?;
    Ok(Json(query.page(nodes, |node| node.id.to_string(), |node| show_node(&core, node))))
}

/// A node's place.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct NodePath {
    /// The node's name.
    #[param(example = "ams-0042")]
    id: String,
}

problems!(RevokeProblems = POST + [NotFound, NodeNotFound]);

/// Revokes a node
///
/// From now on nothing is answered to it and no round draws it; what it contributed stays. For good: with the same key
/// it does not come back.
#[utoipa::path(
    post, path = "/v1/nodes/{id}/revoke", tag = "nodes", operation_id = "revoke_node",
    params(NodePath, KeyParam), request_body = Nothing,
    responses((status = 200, description = "The node as it is now.", body = NodeBody), RevokeProblems)
)]
pub(super) async fn revoke(
    State(core): State<Arc<Core>>,
    Params(NodePath { id }): Params<NodePath>,
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
    let Node { id, public_key, labels, learners, enrolled_ms, seen_ms, turns, revoked_ms, .. } =
        node;
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
