//! `/v1/nodes`: who is enrolled.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::NodeStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::problems;
use super::page::{Page, PageParams, PageQuery};
use super::problem::Problem;
use crate::core::Core;
use crate::store::Node;

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
    let show = |node: Node| {
        let Node { id, public_key, labels, learners, enrolled_ms, seen_ms, turns } = node;
        // Memory is newer than the database, which is written seldom.
        let seen = core.presence.seen(&id);
        NodeBody {
            seen_at_ms: seen.as_ref().map_or(seen_ms, |(seen, _)| seen.0.max(seen_ms)),
            turns: turns.count,
            status: seen.map(|(_, status)| show_status(status)),
            id: id.to_string(),
            public_key: hex::encode(public_key),
            labels,
            learners,
            enrolled_at_ms: enrolled_ms,
        }
    };
    Ok(Json(query.page(nodes, |node| node.id.to_string(), show)))
}

fn show_status(status: NodeStatus) -> StatusBody {
    let NodeStatus { charging, idle, battery_percent, samples, capacity } = status;
    StatusBody { charging, idle, battery_percent, samples, capacity: (*capacity).clone() }
}
