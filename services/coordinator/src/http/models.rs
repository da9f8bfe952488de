//! `/v1/models`: models, versions, artifacts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation::{Artifact, ModelName};
use serde::{Deserialize, Serialize};

use super::body::Params;
use super::page::{Page, PageQuery};
use super::posted::Posted;
use super::problem::{Code, FieldError, Problem};
use crate::core::Core;
use crate::store::{Accuracy, Created, Model, Reply, Totals, Version, Which};

/// A model to make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewModel {
    name: String,
    /// The first version's artifact, in base64.
    artifact: String,
}

/// A model.
#[derive(Debug, Serialize)]
pub(super) struct ModelBody {
    name: String,
    learner: String,
    weights: u64,
    latest_version: u32,
    latest_digest: String,
    created_at_ms: u64,
}

/// A version.
#[derive(Debug, Serialize)]
pub(super) struct VersionBody {
    model: String,
    number: u32,
    digest: String,
    parent: Option<u32>,
    parent_digest: Option<String>,
    run_id: Option<u64>,
    round: Option<u32>,
    updates: u32,
    samples: u64,
    correct: u64,
    synaptic_ops: u64,
    bytes_up: u64,
    bytes_down: u64,
    sum_digest: Option<String>,
    optimizer_digest: Option<String>,
    plan_digest: Option<String>,
    audit_head: Option<String>,
    evaluation: Option<EvaluationBody>,
    created_at_ms: u64,
}

/// What nodes report about a version, on samples they hold out.
#[derive(Debug, Serialize)]
pub(super) struct EvaluationBody {
    nodes: u64,
    samples: u64,
    correct: u64,
}

/// `POST /v1/models`. The same name with the same artifact is the same model.
pub(super) async fn create(
    State(core): State<Arc<Core>>,
    Posted { body: new, request }: Posted<NewModel>,
) -> Result<Reply, Problem> {
    let wrong = |code, field: &str, expected: &str, got: String| {
        let error = FieldError { field: field.to_owned(), expected: expected.to_owned(), got };
        Problem::new(code, format!("{field}: {}", error.got)).with(vec![error])
    };
    let name: ModelName = new.name.parse().map_err(|error: federation::IdError| {
        wrong(Code::InvalidName, "name", "a name", error.to_string())
    })?;
    let not_one =
        |got: String| wrong(Code::InvalidArtifact, "artifact", "an artifact in base64", got);
    let bytes = STANDARD.decode(&new.artifact).map_err(|error| not_one(error.to_string()))?;
    let artifact = Artifact::parse(&bytes).map_err(|error| not_one(error.to_string()))?;
    let deed = request.deed(|created: &Created| match created {
        Created::New(model) => {
            Reply::created(format!("/v1/models/{}", model.name), &show_model(model.clone()))
        }
        Created::Same(model) => Reply::ok(&show_model(model.clone())),
    });
    let answer = core.store.create_model(name, artifact, deed).await??;
    tracing::info!(model = answer.location, "made a model");
    Ok(answer)
}

/// `GET /v1/models`.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery,
) -> Result<Json<Page<ModelBody>>, Problem> {
    let models = core.store.models(query.after_name(), query.read()).await?;
    Ok(Json(query.page(models, |model| model.name.to_string(), show_model)))
}

/// `GET /v1/models/{name}`.
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Params(name): Params<String>,
) -> Result<Json<ModelBody>, Problem> {
    let model = core.store.model(parse_name(&name)?).await?;
    model.map(|model| Json(show_model(model))).ok_or_else(no_model)
}

/// `GET /v1/models/{name}/versions`.
pub(super) async fn versions(
    State(core): State<Arc<Core>>,
    Params(name): Params<String>,
    query: PageQuery,
) -> Result<Json<Page<VersionBody>>, Problem> {
    let after = query.after_number()?;
    let versions = core.store.versions(parse_name(&name)?, after, query.read()).await?;
    let versions = versions.ok_or_else(no_model)?;
    Ok(Json(query.page(versions, |version| version.number.to_string(), show_version)))
}

/// `GET /v1/models/{name}/versions/{n|latest}`.
pub(super) async fn version(
    State(core): State<Arc<Core>>,
    Params((name, version)): Params<(String, String)>,
) -> Result<Json<VersionBody>, Problem> {
    Ok(Json(show_version(find_version(&core, &name, &version).await?.0)))
}

/// `GET /v1/models/{name}/versions/{n|latest}/artifact`: the bytes, whose SHA-256 is the ETag.
pub(super) async fn artifact(
    State(core): State<Arc<Core>>,
    Params((name, version)): Params<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (version, which) = find_version(&core, &name, &version).await?;
    let cache_control = match which {
        Which::Number(_) => "public, max-age=31536000, immutable",
        Which::Latest => "no-cache",
    };
    let etag = format!("\"{}\"", version.digest);
    let place = format!("/v1/models/{}/versions/{}/artifact", version.model, version.number);
    let about = [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, cache_control.to_owned()),
        (header::CONTENT_LOCATION, place),
    ];
    if holds(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let bytes = core.store.artifact(version.digest).await?.ok_or_else(|| pruned(&version))?;
    Ok((about, [(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

async fn find_version(core: &Core, name: &str, text: &str) -> Result<(Version, Which), Problem> {
    let name = parse_name(name)?;
    let which = match text {
        "latest" => Which::Latest,
        number => Which::Number(number.parse().map_err(|_| no_version())?),
    };
    match core.store.version(name.clone(), which).await? {
        Some(version) => Ok((version, which)),
        None if core.store.model(name).await?.is_none() => Err(no_model()),
        None => Err(no_version()),
    }
}

/// The version is there, and its artifact is not: retention dropped it.
fn pruned(version: &Version) -> Problem {
    let Version { model, number, .. } = version;
    Problem::new(
        Code::VersionPruned,
        format!("the artifact of version {number} of {model} is not kept any more"),
    )
}

/// Whether the client says that it holds the artifact already.
fn holds(headers: &HeaderMap, etag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn parse_name(text: &str) -> Result<ModelName, Problem> {
    text.parse().map_err(|_| no_model())
}

fn no_model() -> Problem {
    Problem::new(Code::ModelNotFound, "no model has this name")
}

fn no_version() -> Problem {
    Problem::new(Code::VersionNotFound, "the model has no such version")
}

fn show_model(model: Model) -> ModelBody {
    let Model { name, learner, weights, latest, latest_digest, created_ms } = model;
    ModelBody {
        name: name.to_string(),
        learner,
        weights,
        latest_version: latest.0,
        latest_digest: latest_digest.to_string(),
        created_at_ms: created_ms,
    }
}

fn show_version(version: Version) -> VersionBody {
    let Version { model, number, digest, parent, made_by, .. } = version;
    let (run_id, round, totals) = match made_by {
        Some((run, round, totals)) => (Some(run.0), Some(round), totals),
        None => (None, None, Totals::default()),
    };
    let Totals { updates, samples, correct, synaptic_ops, bytes_up, bytes_down } = totals;
    let show_accuracy =
        |Accuracy { nodes, samples, correct }| EvaluationBody { nodes, samples, correct };
    VersionBody {
        model: model.to_string(),
        number: number.0,
        digest: digest.to_string(),
        parent: parent.map(|(number, _)| number.0),
        parent_digest: parent.map(|(_, digest)| digest.to_string()),
        run_id,
        round,
        updates,
        samples,
        correct,
        synaptic_ops,
        bytes_up,
        bytes_down,
        sum_digest: version.sum_digest.map(|digest| digest.to_string()),
        optimizer_digest: version.optimizer_digest.map(|digest| digest.to_string()),
        plan_digest: version.plan_digest.map(|digest| digest.to_string()),
        audit_head: version.audit_head.map(|digest| digest.to_string()),
        evaluation: version.accuracy.map(show_accuracy),
        created_at_ms: version.created_ms,
    }
}
