//! `/v1/nodes`: who is enrolled.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
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
}

/// `GET /v1/nodes`.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery,
) -> Result<Json<Page<NodeBody>>, Problem> {
    let nodes = core.store.nodes(query.after_name(), query.read()).await?;
    let show = |node: Node| {
        let Node { id, public_key, labels, learners, enrolled_ms, seen_ms } = node;
        NodeBody {
            // Memory is newer than the database, which is written seldom.
            seen_at_ms: core.presence.seen(&id).map_or(seen_ms, |seen| seen.0.max(seen_ms)),
            id: id.to_string(),
            public_key: hex::encode(public_key),
            labels,
            learners,
            enrolled_at_ms: enrolled_ms,
        }
    };
    Ok(Json(query.page(nodes, |node| node.id.to_string(), show)))
}
