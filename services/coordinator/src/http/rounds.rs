//! `/v1/runs/{id}/rounds`: the rounds of a run.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::Plan;
use federation::round::RoundState;
use serde::{Deserialize, Serialize};
use utoipa::openapi::Schema;
use utoipa::{IntoParams, ToSchema};

use super::answers::{problems, words};
use super::body::Params;
use super::page::{Page, PageParams, PageQuery, invalid};
use super::problem::{Code, Problem};
use super::runs::{RunPath, find, no_run};
use crate::core::Core;
use crate::store::{Round, Totals, WhichRounds};

/// A round's record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Round)]
pub(super) struct RoundBody {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    number: u32,
    /// The attempt at it, from 1.
    attempt: u32,
    /// Where it stands.
    #[schema(schema_with = states)]
    state: &'static str,
    /// Why it was abandoned; null unless it was.
    #[schema(required)]
    reason: Option<String>,
    /// The version its nodes learn from.
    base_version: u32,
    /// The version it made; null unless it was published.
    #[schema(required)]
    version: Option<u32>,
    /// Nodes drawn.
    cohort: u32,
    /// Updates counted in it.
    updates: u32,
    /// Of those, updates whose contributions are not kept any more: they are in the sum and in no list.
    updates_dropped: u32,
    /// Updates wanted.
    goal: u32,
    /// Fewest updates with which the deadline still publishes.
    quorum: u32,
    /// Milliseconds of serving since it opened.
    served_ms: u64,
    /// Milliseconds of serving until its deadline.
    deadline_ms: u64,
    /// Whether the deadline ended it.
    at_deadline: bool,
    /// Samples learnt from, over all updates.
    samples: u64,
    /// Of those, samples answered correctly while learning.
    correct: u64,
    /// Synaptic operations of the chips, over all updates.
    synaptic_ops: u64,
    /// Bytes that nodes sent.
    bytes_up: u64,
    /// Bytes that nodes fetched.
    bytes_down: u64,
    /// When it opened.
    opened_at_ms: u64,
    /// When it ended; null while it is open.
    #[schema(required)]
    closed_at_ms: Option<u64>,
}

/// A round's place.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RoundPath {
    /// The run's number.
    #[param(value_type = u64, minimum = 1, example = 1)]
    pub(super) id: String,
    /// The round's number.
    #[param(value_type = u32, minimum = 1, example = 1)]
    pub(super) number: String,
}

/// Which rounds.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RoundsFilter {
    /// Only those that stand like this.
    #[param(schema_with = states)]
    state: Option<String>,
}

/// How a round stands.
pub(super) fn states() -> Schema {
    words(&["open", "closing", "published", "abandoned"], "Where it stands. The last two are ends.")
}

problems!(ListProblems = LIST + [NotFound, RunNotFound]);
problems!(ShowProblems = LIST + [NotFound, RunNotFound, RoundNotFound]);

/// Lists a run's rounds
///
/// All attempts, in the order in which they were opened.
#[utoipa::path(
    get, path = "/v1/runs/{id}/rounds", tag = "runs", operation_id = "list_rounds",
    params(RunPath, PageParams, RoundsFilter),
    responses((status = 200, description = "A page of rounds.", body = Page<RoundBody>), ListProblems)
)]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    Params(RunPath { id }): Params<RunPath>,
    query: PageQuery<RoundsFilter>,
) -> Result<Json<Page<RoundBody>>, Problem> {
    let parse = |state: &String| {
        let wrong = || invalid(format!("state: no round is `{state}`"));
        RoundState::from_text(state).ok_or_else(wrong)
    };
    let state = query.filter.state.as_ref().map(parse).transpose()?;
    page(&core, &id, WhichRounds { number: None, state }, &query).await
}

/// Shows a round: its attempts
///
/// In the order in which they were opened: all but the last were abandoned.
#[utoipa::path(
    get, path = "/v1/runs/{id}/rounds/{number}", tag = "runs", operation_id = "show_round",
    params(RoundPath, PageParams),
    responses((status = 200, description = "A page of attempts.", body = Page<RoundBody>), ShowProblems)
)]
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Params(RoundPath { id, number }): Params<RoundPath>,
    query: PageQuery,
) -> Result<Json<Page<RoundBody>>, Problem> {
    let number = number.parse().map_err(|_| no_round())?;
    let which = WhichRounds { number: Some(number), state: None };
    let run = find(&core, &id).await?;
    let first = core.store.rounds(run.id, which, 0, 1).await?.ok_or_else(no_run)?;
    if first.is_empty() {
        return Err(no_round());
    }
    page(&core, &id, which, &query).await
}

async fn page<F>(
    core: &Core,
    id: &str,
    which: WhichRounds,
    query: &PageQuery<F>,
) -> Result<Json<Page<RoundBody>>, Problem> {
    let run = find(core, id).await?;
    let after = query.after()?.unwrap_or_default();
    let rounds = core.store.rounds(run.id, which, after, query.read()).await?;
    let rounds = rounds.ok_or_else(no_run)?;
    let show = |round| show_round(&run.plan, round);
    Ok(Json(query.page(rounds, |round| round.key.cursor().to_string(), show)))
}

/// There is no such round.
pub(super) fn no_round() -> Problem {
    Problem::new(Code::RoundNotFound, "the run has no round of this number")
}

fn show_round(plan: &Plan, round: Round) -> RoundBody {
    let Totals { updates, samples, correct, synaptic_ops, bytes_up, bytes_down } = round.totals;
    RoundBody {
        number: round.round.number,
        attempt: round.round.attempt,
        state: round.state.as_str(),
        reason: round.reason,
        base_version: round.base_version.0,
        version: round.version.map(|version| version.0),
        cohort: round.cohort,
        updates,
        updates_dropped: round.dropped,
        goal: plan.cohort.goal,
        quorum: plan.cohort.quorum,
        served_ms: round.served_ms,
        deadline_ms: plan.cohort.deadline_ms,
        at_deadline: round.at_deadline,
        samples,
        correct,
        synaptic_ops,
        bytes_up,
        bytes_down,
        opened_at_ms: round.opened_ms,
        closed_at_ms: round.closed_ms,
    }
}
