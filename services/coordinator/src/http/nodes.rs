//! `/v1/nodes`: who is enrolled.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::{NodeId, NodeStatus, Selector, SelectorError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answers::problems;
use super::body::Params;
use super::page::{Page, PageParams, PageQuery, invalid};
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
    pub(super) id: String,
    /// The Ed25519 key it enrolled with, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(super) public_key: String,
    /// Its labels.
    #[schema(examples(json!({"site": "ams", "task": "navigation"})))]
    pub(super) labels: BTreeMap<String, String>,
    /// The learners it runs.
    #[schema(examples(json!(["reckon/1"])))]
    pub(super) learners: Vec<String>,
    /// When it enrolled.
    pub(super) enrolled_at_ms: u64,
    /// When it was last heard of.
    pub(super) seen_at_ms: u64,
    /// When it was revoked: nothing is answered to it any more, and no round draws it. Null unless it was.
    #[schema(required)]
    pub(super) revoked_at_ms: Option<u64>,
    /// In how many rounds it was drawn.
    pub(super) turns: u32,
    /// How it said it was when it last asked for work; null before it was heard of since the
    /// coordinator's start.
    #[schema(required)]
    pub(super) status: Option<StatusBody>,
    /// Digest of the version it said it holds; null before it said so since the coordinator's start.
    #[schema(required, pattern = "^[0-9a-f]{64}$")]
    pub(super) holding: Option<String>,
}

/// How a node is, as it says; null for what it does not say.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeStatus)]
pub(super) struct StatusBody {
    /// Whether it runs on mains power.
    #[schema(required)]
    pub(super) charging: Option<bool>,
    /// Whether it has nothing else to do.
    #[schema(required)]
    pub(super) idle: Option<bool>,
    /// What is left in its battery.
    #[schema(required, minimum = 0, maximum = 100)]
    pub(super) battery_percent: Option<u8>,
    /// Samples it could learn from.
    #[schema(required)]
    pub(super) samples: Option<u64>,
    /// Sizes of its chip.
    #[schema(examples(json!({"recurrent": 100})))]
    pub(super) capacity: BTreeMap<String, u64>,
}

/// A node's place.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct NodePath {
    /// The node's name.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$", example = "ams-1")]
    pub(super) id: String,
}

/// Which nodes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NodesFilter {
    /// Only those whose labels are like this: `site=ams`, `class in (a,b)`, `!old`; commas mean "and".
    #[param(example = "site=ams")]
    pub(super) label: Option<String>,
    /// Only those that were heard of in the last so many seconds.
    #[param(minimum = 0, maximum = 315_360_000, example = 3600)]
    pub(super) seen_within_s: Option<u64>,
}

/// Nodes that are read at once where a filter is to find some among them.
const READ: u32 = 1_000;
/// Most nodes that one request looks at: a page may be short, and more follow.
const LOOKED_AT_MAX: usize = 50_000;

problems!(ListProblems = LIST);
problems!(ShowProblems = READ + [NotFound, NodeNotFound]);

/// Lists the nodes
///
/// In the order of their names. With a filter a page may hold fewer than `limit` nodes, or none, although more follow:
/// `next_cursor` says whether they do.
#[utoipa::path(
    get, path = "/v1/nodes", tag = "nodes", operation_id = "list_nodes",
    params(PageParams, NodesFilter),
    responses((status = 200, description = "A page of nodes.", body = Page<NodeBody>), ListProblems)
)]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery<NodesFilter>,
) -> Result<Json<Page<NodeBody>>, Problem> {
    let NodesFilter { label, seen_within_s } = &query.filter;
    let mut after: String = query.after()?.unwrap_or_default();
    let not_one = |error: SelectorError| invalid(format!("label: {error}"));
    let selector: Option<Selector> = match label {
        Some(text) => Some(text.parse().map_err(not_one)?),
        None => None,
    };
    let since = seen_within_s.map(|s| core.clock.wall().0.saturating_sub(s.saturating_mul(1_000)));
    let fits = |node: &NodeBody| {
        selector.as_ref().is_none_or(|selector| selector.matches(&node.labels))
            && since.is_none_or(|since| node.seen_at_ms >= since)
    };
    let filtered = selector.is_some() || since.is_some();
    let read = if filtered { READ } else { query.read() };
    let mut found = Vec::new();
    let mut looked_at = 0;
    let wanted = usize::try_from(query.read()).expect("a page's limit fits in memory");
    loop {
        let nodes = core.store.nodes(after.clone(), read).await?;
        let last = nodes.len() < usize::try_from(read).expect("a page's limit fits in memory");
        looked_at += nodes.len();
        if let Some(node) = nodes.last() {
            after = node.id.to_string();
        }
        found.extend(nodes.into_iter().map(|node| show_node(&core, node)).filter(fits));
        if found.len() >= wanted || last {
            return Ok(Json(query.page(found, |node| node.id.clone(), |node| node)));
        }
        if looked_at >= LOOKED_AT_MAX {
            return Ok(Json(query.cut(found, &after)));
        }
    }
}

/// Shows a node
#[utoipa::path(
    get, path = "/v1/nodes/{id}", tag = "nodes", operation_id = "show_node", params(NodePath),
    responses((status = 200, description = "The node.", body = NodeBody), ShowProblems)
)]
pub(super) async fn one(
    State(core): State<Arc<Core>>,
    Params(NodePath { id }): Params<NodePath>,
) -> Result<Json<NodeBody>, Problem> {
    let node = core.store.node(parse_id(&id)?).await?.ok_or_else(no_node)?;
    Ok(Json(show_node(&core, node)))
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
    let id = parse_id(&id)?;
    let shown = Arc::clone(&core);
    let deed = request.deed(move |node: &Node| Reply::ok(&show_node(&shown, node.clone())));
    let answer = core.store.revoke_node(id.clone(), deed).await??;
    core.presence.revoke(&id);
    core.channels.enrolled();
    // A question of its own that waits ends at once.
    core.board.send_if_modified(|_| true);
    tracing::info!(node.id = %id, "revoked a node");
    Ok(answer)
}

/// A node's name; what is none is the name of no node.
pub(super) fn parse_id(text: &str) -> Result<NodeId, Problem> {
    text.parse().map_err(|_| no_node())
}

/// There is no such node.
pub(super) fn no_node() -> Problem {
    UnknownNode.into()
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
        holding: core.presence.holding(&id).map(|digest| digest.to_string()),
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
