//! `/v1/runs`: runs and their rounds.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::{ModelName, Plan, RunId};
use serde::{Deserialize, Serialize};

use super::body::Params;
use super::page::{Page, PageQuery};
use super::posted::{Asked, Nothing, Posted};
use super::problem::{Code, FieldError, Problem};
use crate::core::Core;
use crate::plan::PlanBody;
use crate::store::{Directive, NewRun, NotStarted, Reply, Round, Run, Totals};

/// A run to make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRunBody {
    model: String,
    plan: PlanBody,
}

/// A run.
#[derive(Debug, Serialize)]
pub(super) struct RunBody {
    id: u64,
    model: String,
    state: &'static str,
    reason: Option<String>,
    reproducible: bool,
    plan: PlanBody,
    round: Option<LiveBody>,
    rounds_published: u32,
    base_version: u32,
    latest_version: u32,
    created_at_ms: u64,
    ended_at_ms: Option<u64>,
}

/// The round of a run that is not over.
#[derive(Debug, Serialize)]
struct LiveBody {
    number: u32,
    attempt: u32,
    state: &'static str,
    updates: u32,
    cohort: u32,
    goal: u32,
    quorum: u32,
    served_ms: u64,
    deadline_ms: u64,
}

/// A round's record.
#[derive(Debug, Serialize)]
pub(super) struct RoundBody {
    number: u32,
    attempt: u32,
    state: &'static str,
    reason: Option<String>,
    base_version: u32,
    version: Option<u32>,
    cohort: u32,
    updates: u32,
    goal: u32,
    quorum: u32,
    served_ms: u64,
    deadline_ms: u64,
    at_deadline: bool,
    samples: u64,
    correct: u64,
    synaptic_ops: u64,
    bytes_up: u64,
    bytes_down: u64,
    opened_at_ms: u64,
    closed_at_ms: Option<u64>,
}

/// `POST /v1/runs`.
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

/// `GET /v1/runs`.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery,
) -> Result<Json<Page<RunBody>>, Problem> {
    let runs = core.store.runs(query.after_number()?, query.read()).await?;
    Ok(Json(query.page(runs, |run| run.id.to_string(), show_run)))
}

/// `GET /v1/runs/{id}`.
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Params(id): Params<String>,
) -> Result<Json<RunBody>, Problem> {
    Ok(Json(show_run(find(&core, &id).await?)))
}

/// `POST /v1/runs/{id}/pause`: opens no further round; the open one goes on.
pub(super) async fn pause(
    State(core): State<Arc<Core>>,
    Params(id): Params<String>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    direct(&core, &id, Directive::Pause, request).await
}

/// `POST /v1/runs/{id}/resume`: goes on.
pub(super) async fn resume(
    State(core): State<Arc<Core>>,
    Params(id): Params<String>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    direct(&core, &id, Directive::Resume, request).await
}

/// `POST /v1/runs/{id}/cancel`: ends the run and abandons its open round.
pub(super) async fn cancel(
    State(core): State<Arc<Core>>,
    Params(id): Params<String>,
    Posted { body: Nothing {}, request }: Posted<Nothing>,
) -> Result<Reply, Problem> {
    direct(&core, &id, Directive::Cancel, request).await
}

async fn direct(
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

/// `GET /v1/runs/{id}/rounds`: all attempts, as they were opened.
pub(super) async fn rounds(
    State(core): State<Arc<Core>>,
    Params(id): Params<String>,
    query: PageQuery,
) -> Result<Json<Page<RoundBody>>, Problem> {
    let run = find(&core, &id).await?;
    let rounds = core.store.rounds(run.id, query.after_number()?, query.read()).await?;
    let rounds = rounds.ok_or_else(no_run)?;
    let show = |round| show_round(&run.plan, round);
    Ok(Json(query.page(rounds, |round| round.key.cursor().to_string(), show)))
}

async fn find(core: &Core, id: &str) -> Result<Run, Problem> {
    let id = RunId(id.parse().map_err(|_| no_run())?);
    core.store.run(id).await?.ok_or_else(no_run)
}

fn no_run() -> Problem {
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
