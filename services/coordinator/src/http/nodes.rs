//! `/v1/nodes`: who is enrolled.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::NodeStatus;
use serde::Serialize;

use super::page::{Page, PageQuery};
use super::problem::Problem;
use crate::core::Core;
use crate::store::Node;

/// A node.
#[derive(Debug, Serialize)]
pub(super) struct NodeBody {
    id: String,
    public_key: String,
    labels: BTreeMap<String, String>,
    learners: Vec<String>,
    enrolled_at_ms: u64,
    seen_at_ms: u64,
    /// In how many rounds it was drawn.
    turns: u32,
    /// How it said it was when it last asked for work; null before it was heard of since the
    /// coordinator's start.
    status: Option<StatusBody>,
    /// Digest of the version it said it holds; null before it said so since the coordinator's start.
    holding: Option<String>,
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
    let show = |node: Node| {
        let Node { id, public_key, labels, learners, enrolled_ms, seen_ms, turns } = node;
        // Memory is newer than the database, which is written seldom.
        let seen = core.presence.seen(&id);
        NodeBody {
            seen_at_ms: seen.as_ref().map_or(seen_ms, |(seen, _)| seen.0.max(seen_ms)),
            turns: turns.count,
            status: seen.map(|(_, status)| show_status(status)),
            holding: core.presence.holding(&id).map(|digest| digest.to_string()),
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
