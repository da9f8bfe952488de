//! Contributions: whose updates were counted in a round, in which rounds a node's were, and what became of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::RunId;
use federation::round::RoundState;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::answers::{problems, words};
use super::body::Params;
use super::nodes::{NodePath, no_node, parse_id};
use super::page::{Page, PageParams, PageQuery};
use super::problem::Problem;
use super::rounds::{RoundPath, no_round};
use super::runs::no_run;
use crate::core::Core;
use crate::store::Contribution;

/// The record that one node's update was counted in one round.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Contribution)]
pub(super) struct ContributionBody {
    /// The node.
    node_id: String,
    /// The run.
    #[schema(minimum = 1)]
    run_id: u64,
    /// The round that the update was ordered in.
    #[schema(minimum = 1)]
    round: u32,
    /// The attempt at that round.
    #[schema(minimum = 1)]
    attempt: u32,
    /// The round whose sum holds it: a later one where it came late to an asynchronous run.
    #[schema(minimum = 1)]
    counted_in_round: u32,
    /// The attempt at that round.
    #[schema(minimum = 1)]
    counted_in_attempt: u32,
    /// What became of it.
    #[schema(schema_with = fates)]
    fate: &'static str,
    /// SHA-256 of the update.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    payload_digest: String,
    /// Samples learnt from.
    samples: u64,
    /// Of those, samples answered correctly while learning.
    correct: u64,
    /// Synaptic operations of the chip.
    synaptic_ops: u64,
    /// Bytes that the node sent.
    bytes_up: u64,
    /// Bytes that the node fetched.
    bytes_down: u64,
    /// When it was counted.
    counted_at_ms: u64,
}

fn fates() -> Schema {
    let about = "What became of it: it is in a version if and only if it is `published`.";
    words(&["open", "published", "abandoned"], about)
}

problems!(RoundProblems = LIST + [NotFound, RunNotFound, RoundNotFound]);
problems!(NodeProblems = LIST + [NotFound, NodeNotFound]);

/// Lists the contributions to a round
///
/// Those in the sum of any attempt at it: by attempt, then in the order of the nodes' names.
#[utoipa::path(
    get, path = "/v1/runs/{id}/rounds/{number}/contributions", tag = "runs",
    operation_id = "list_round_contributions", params(RoundPath, PageParams),
    responses(
        (status = 200, description = "A page of contributions.", body = Page<ContributionBody>),
        RoundProblems,
    )
)]
pub(super) async fn of_round(
    State(core): State<Arc<Core>>,
    Params(RoundPath { id, number }): Params<RoundPath>,
    query: PageQuery,
) -> Result<Json<Page<ContributionBody>>, Problem> {
    let run = RunId(id.parse().map_err(|_| no_run())?);
    let number = number.parse().map_err(|_| no_round())?;
    let after = query.after()?.unwrap_or_default();
    let found = core.store.round_contributions(run, number, after, query.read()).await?;
    match found {
        Some(found) => Ok(Json(query.page(found, |one| one.key.cursor(), show))),
        None if core.store.run(run).await?.is_none() => Err(no_run()),
        None => Err(no_round()),
    }
}

/// Lists a node's contributions
///
/// In the order in which the rounds that asked for them were opened.
#[utoipa::path(
    get, path = "/v1/nodes/{id}/contributions", tag = "nodes",
    operation_id = "list_node_contributions", params(NodePath, PageParams),
    responses(
        (status = 200, description = "A page of contributions.", body = Page<ContributionBody>),
        NodeProblems,
    )
)]
pub(super) async fn of_node(
    State(core): State<Arc<Core>>,
    Params(NodePath { id }): Params<NodePath>,
    query: PageQuery,
) -> Result<Json<Page<ContributionBody>>, Problem> {
    let node = parse_id(&id)?;
    let after = query.after()?.unwrap_or_default();
    let found = core.store.node_contributions(node, after, query.read()).await?;
    let found = found.ok_or_else(no_node)?;
    Ok(Json(query.page(found, |one| one.key.ordered().to_string(), show)))
}

fn show(one: Contribution) -> ContributionBody {
    ContributionBody {
        node_id: one.node.to_string(),
        run_id: one.ordered.run.0,
        round: one.ordered.number,
        attempt: one.ordered.attempt,
        counted_in_round: one.counted.number,
        counted_in_attempt: one.counted.attempt,
        fate: match one.state {
            RoundState::Open | RoundState::Closing => "open",
            RoundState::Published => "published",
            RoundState::Abandoned => "abandoned",
        },
        payload_digest: one.payload.to_string(),
        samples: one.samples,
        correct: one.correct,
        synaptic_ops: one.synaptic_ops,
        bytes_up: one.bytes_up,
        bytes_down: one.bytes_down,
        counted_at_ms: one.counted_ms,
    }
}
