//! `/v1/runs`: runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::{ModelName, Plan, RunId};
use serde::{Deserialize, Serialize};
use utoipa::openapi::Schema;
use utoipa::{IntoParams, ToSchema};

use super::answers::{problems, words};
use super::body::Params;
use super::page::{Page, PageParams, PageQuery, invalid};
use super::posted::{Asked, KeyParam, Nothing, Posted};
use super::problem::{Code, FieldError, Problem};
use crate::core::Core;
use crate::plan::PlanBody;
use crate::store::{Directive, NewRun, NotStarted, Reply, Run, RunState, WhichRuns};

/// A run to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRun)]
pub(super) struct NewRunBody {
    /// The model to move.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$", examples("cues"))]
    model: String,
    /// Its plan.
    plan: PlanBody,
}

/// A run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub(super) struct RunBody {
    /// Its number.
    #[schema(minimum = 1)]
    id: u64,
    /// The model it moves.
    model: String,
    /// Where it stands.
    #[schema(schema_with = run_states)]
    state: &'static str,
    /// Why it ended, where there is more to say.
    #[schema(required)]
    reason: Option<String>,
    /// Whether its seed repeats it bit for bit. A deadline that decided ends that.
    reproducible: bool,
    /// Its plan, with every default filled in.
    plan: PlanBody,
    /// Its open round; null before the first and after the last.
    #[schema(required)]
    round: Option<LiveBody>,
    /// Rounds that made a version.
    rounds_published: u32,
    /// The version it began with.
    base_version: u32,
    /// The newest version it made, or the one it began with.
    latest_version: u32,
    /// When it was made.
    created_at_ms: u64,
    /// When it ended; null while it lives.
    #[schema(required)]
    ended_at_ms: Option<u64>,
}

/// The round of a run that is not over.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LiveRound)]
pub(super) struct LiveBody {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    number: u32,
    /// The attempt at it, from 1.
    attempt: u32,
    /// Where it stands.
    #[schema(schema_with = super::rounds::states)]
    state: &'static str,
    /// Updates counted so far.
    updates: u32,
    /// Nodes drawn.
    cohort: u32,
    /// Updates wanted.
    goal: u32,
    /// Fewest updates with which the deadline still publishes.
    quorum: u32,
    /// Milliseconds of serving since it opened.
    served_ms: u64,
    /// Milliseconds of serving until its deadline.
    deadline_ms: u64,
}

/// A run's place.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RunPath {
    /// The run's number.
    #[param(value_type = u64, minimum = 1, example = 1)]
    pub(super) id: String,
}

fn run_states() -> Schema {
    let states = ["waiting", "running", "paused", "completed", "failed", "cancelled"];
    words(&states, "Where it stands. The last three are ends.")
}

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunsFilter {
    /// Only those that move this model.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$", example = "cues")]
    model: Option<String>,
    /// Only those that stand like this.
    #[param(schema_with = run_states)]
    state: Option<String>,
}

problems!(CreateProblems = POST + [ModelNotFound, ModelBusy, InvalidPlan]);
problems!(ListProblems = LIST);
problems!(ShowProblems = READ + [NotFound, RunNotFound]);
problems!(DirectProblems = POST + [NotFound, RunNotFound, RunOver]);

/// Starts a run
///
/// It waits for its nodes, then draws a cohort for each round of its plan.
#[utoipa::path(
    post, path = "/v1/runs", tag = "runs", operation_id = "create_run", params(KeyParam),
    request_body = NewRunBody,
    responses(
        (status = 201, description = "It was made.", body = RunBody,
            headers(("Location" = String, description = "Where it is."))),
        CreateProblems,
    )
)]
pub(super) async fn create(
    State(core): State<Arc<Core>>,
    Posted { body: new, request }: Posted<NewRunBody>,
) -> Result<Reply, Problem> {
    let model: ModelName =
        new.model.parse().map_err(|_| Problem::from(NotStarted::UnknownModel))?;
    let plan = Plan::try_from(new.plan).map_err(|problems| {
        let detail = format!("the plan has {} problem(s); `errors` lists them", problems.len());
        let errors = problems.into_iter().map(FieldError::from).collect();
        Problem::new(Code::InvalidPlan, detail).with(errors)
    })?;
    let deed = request
        .deed(|run: &Run| Reply::created(format!("/v1/runs/{}", run.id), &show_run(run.clone())));
    let answer = core.store.create_run(NewRun { model, plan }, deed).await??;
    core.wake.notify_one();
    tracing::info!(run = answer.location, "made a run");
    Ok(answer)
}

/// Lists the runs
///
/// In the order of their numbers.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs", operation_id = "list_runs",
    params(PageParams, RunsFilter),
    responses((status = 200, description = "A page of runs.", body = Page<RunBody>), ListProblems)
)]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery<RunsFilter>,
) -> Result<Json<Page<RunBody>>, Problem> {
    let RunsFilter { model, state } = &query.filter;
    let parse = |state: &String| {
        state.parse::<RunState>().map_err(|got| invalid(format!("state: no run is `{got}`")))
    };
    let state = state.as_ref().map(parse).transpose()?;
    let parse = |model: &String| {
        model.parse::<ModelName>().map_err(|error| invalid(format!("model: {error}")))
    };
    let model = model.as_ref().map(parse).transpose()?;
    let after = query.after()?.unwrap_or_default();
    let runs = core.store.runs(WhichRuns { model, state }, after, query.read()).await?;
    Ok(Json(query.page(runs, |run| run.id.to_string(), show_run)))
}

/// Shows a run
#[utoipa::path(
    get, path = "/v1/runs/{id}", tag = "runs", operation_id = "show_run", params(RunPath),
    responses((status = 200, description = "The run.", body = RunBody), ShowProblems)
)]
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Params(RunPath { id }): Params<RunPath>,
) -> Result<Json<RunBody>, Problem> {
    Ok(Json(show_run(find(&core, &id).await?)))
}

/// Pauses a run
///
/// It opens no further round; the open one goes on.
#[utoipa::path(
    post, path = "/v1/runs/{id}/pause", tag = "runs", operation_id = "pause_run",
    params(RunPath, KeyParam), request_body = Nothing,
    responses((status = 200, description = "The run as it is now.", body = RunBody), DirectProblems)
)]
pub(super) async fn pause(
    State(core): State<Arc<Core>>,
    Params(RunPath { id }): Params<RunPath>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    direct(&core, &id, Directive::Pause, request).await
}

/// Resumes a run
///
/// It goes on where it was.
#[utoipa::path(
    post, path = "/v1/runs/{id}/resume", tag = "runs", operation_id = "resume_run",
    params(RunPath, KeyParam), request_body = Nothing,
    responses((status = 200, description = "The run as it is now.", body = RunBody), DirectProblems)
)]
pub(super) async fn resume(
    State(core): State<Arc<Core>>,
    Params(RunPath { id }): Params<RunPath>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    direct(&core, &id, Directive::Resume, request).await
}

/// Cancels a run
///
/// It ends, and its open round is abandoned.
#[utoipa::path(
    post, path = "/v1/runs/{id}/cancel", tag = "runs", operation_id = "cancel_run",
    params(RunPath, KeyParam), request_body = Nothing,
    responses((status = 200, description = "The run as it is now.", body = RunBody), DirectProblems)
)]
pub(super) async fn cancel(
    State(core): State<Arc<Core>>,
    Params(RunPath { id }): Params<RunPath>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    direct(&core, &id, Directive::Cancel, request).await
}

/// Directs a run as the request wants it.
pub(super) async fn direct(
    core: &Core,
    id: &str,
    directive: Directive,
    request: Asked,
) -> Result<Reply, Problem> {
    let id = RunId(id.parse().map_err(|_| no_run())?);
    let deed = request.deed(|run: &Run| Reply::ok(&show_run(run.clone())));
    let answer = core.store.direct_run(id, directive, deed).await??;
    // The board follows at once: nodes stop working on a cancelled round, a resumed run opens its next one.
    core.wake.notify_one();
    tracing::info!(run.id = id.0, directive = directive.as_str(), "directed a run");
    Ok(answer)
}

/// The run at a place.
pub(super) async fn find(core: &Core, id: &str) -> Result<Run, Problem> {
    let id = RunId(id.parse().map_err(|_| no_run())?);
    core.store.run(id).await?.ok_or_else(no_run)
}

/// There is no such run.
pub(super) fn no_run() -> Problem {
    Problem::new(Code::RunNotFound, "no run has this number")
}

fn show_run(run: Run) -> RunBody {
    let plan = PlanBody::from(&run.plan);
    let round = run.live.map(|round| LiveBody {
        number: round.round.number,
        attempt: round.round.attempt,
        state: round.state.as_str(),
        updates: round.totals.updates,
        cohort: round.cohort,
        goal: run.plan.cohort.goal,
        quorum: run.plan.cohort.quorum,
        served_ms: round.served_ms,
        deadline_ms: run.plan.cohort.deadline_ms,
    });
    RunBody {
        id: run.id.0,
        model: run.model.to_string(),
        state: run.state.as_str(),
        reason: run.reason,
        reproducible: run.reproducible,
        plan,
        round,
        rounds_published: run.rounds_published,
        base_version: run.base_version.0,
        latest_version: run.latest_version.0,
        created_at_ms: run.created_ms,
        ended_at_ms: run.ended_ms,
    }
}
