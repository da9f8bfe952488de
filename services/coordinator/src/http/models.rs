//! `/v1/models`: models, versions, artifacts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation::{Artifact, Layout, ModelName, RunId, Tensor};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answers::problems;
use super::body::Params;
use super::page::{Page, PageParams, PageQuery};
use super::posted::{KeyParam, Posted};
use super::problem::{Code, Problem};
use crate::core::Core;
use crate::store::{Accuracy, Created, Model, Reply, Totals, Version, Which};

/// A model to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewModel {
    /// Its name.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$", examples("tones"))]
    name: String,
    /// The first version's artifact, in base64.
    #[schema(content_encoding = "base64", max_length = 5_704_022, examples(an_artifact))]
    artifact: String,
}

/// A small artifact, for the description.
fn an_artifact() -> String {
    let tensor = Tensor { name: "w".to_owned(), rows: 1, cols: 4, min: -128, max: 127 };
    let layout = Layout::new(vec![tensor]).expect("a tensor of four weights is a layout");
    let artifact = Artifact::new("example/1", layout, Vec::new(), vec![0; 4]);
    STANDARD.encode(artifact.expect("four weights fit the layout").encode())
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub(super) struct ModelBody {
    /// Its name.
    #[schema(examples("cues"))]
    name: String,
    /// What runs it.
    #[schema(examples("reckon/1"))]
    learner: String,
    /// How many weights it has.
    #[schema(minimum = 1, examples(14_200))]
    weights: u64,
    /// The number of its newest version.
    #[schema(minimum = 1)]
    latest_version: u32,
    /// The digest of its newest version's artifact.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    latest_digest: String,
    /// When it was made.
    created_at_ms: u64,
}

/// A version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub(super) struct VersionBody {
    /// The model.
    model: String,
    /// Its number; the first is 1.
    #[schema(minimum = 1)]
    number: u32,
    /// SHA-256 of its artifact.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// The version it was made from; null for the first.
    #[schema(required)]
    parent: Option<u32>,
    /// That version's digest.
    #[schema(required, pattern = "^[0-9a-f]{64}$")]
    parent_digest: Option<String>,
    /// The run that made it; null for an imported one.
    #[schema(required)]
    run_id: Option<u64>,
    /// The round of that run.
    #[schema(required)]
    round: Option<u32>,
    /// Updates counted in it.
    updates: u32,
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
    /// SHA-256 of the updates' exact sum.
    #[schema(required, pattern = "^[0-9a-f]{64}$")]
    sum_digest: Option<String>,
    /// SHA-256 of the server optimiser's state.
    #[schema(required, pattern = "^[0-9a-f]{64}$")]
    optimizer_digest: Option<String>,
    /// SHA-256 of the run's plan.
    #[schema(required, pattern = "^[0-9a-f]{64}$")]
    plan_digest: Option<String>,
    /// The head of the audit log when it was made.
    #[schema(required, pattern = "^[0-9a-f]{64}$")]
    audit_head: Option<String>,
    /// What nodes reported about it; null before the first report.
    #[schema(required)]
    pub(super) evaluation: Option<EvaluationBody>,
    /// When it was made.
    created_at_ms: u64,
}

/// What nodes report about a version, on samples they hold out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Evaluation)]
pub(super) struct EvaluationBody {
    /// Nodes that reported.
    pub(super) nodes: u64,
    /// Samples they tried it on.
    pub(super) samples: u64,
    /// Of those, samples answered correctly.
    pub(super) correct: u64,
}

/// A model's place.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ModelPath {
    /// The model's name.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$", example = "cues")]
    pub(super) name: String,
}

/// A version's place.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct VersionPath {
    /// The model's name.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$", example = "cues")]
    pub(super) name: String,
    /// The version's number, `latest`, or the name of a channel: the version that its nodes hold.
    #[param(pattern = "^([1-9][0-9]{0,8}|[a-z][a-z0-9._-]{0,62})$", example = "latest")]
    pub(super) version: String,
}

/// Which versions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct VersionsFilter {
    /// Only those that this run made.
    #[param(minimum = 1, example = 1)]
    run: Option<u64>,
}

problems!(CreateProblems = POST + [InvalidName, InvalidArtifact, ModelExists]);
problems!(ListProblems = LIST);
problems!(ShowProblems = READ + [NotFound, ModelNotFound]);
problems!(VersionsProblems = LIST + [NotFound, ModelNotFound]);
problems!(VersionProblems = READ + [NotFound, ModelNotFound, VersionNotFound]);

/// Makes a model
///
/// Its first version, number 1, is the artifact. The same name with the same artifact is the same model.
#[utoipa::path(
    post, path = "/v1/models", tag = "models", operation_id = "create_model", params(KeyParam),
    request_body = NewModel,
    responses(
        (status = 201, description = "It was made.", body = ModelBody,
            headers(("Location" = String, description = "Where it is."))),
        (status = 200, description = "It was there already.", body = ModelBody),
        CreateProblems,
    )
)]
pub(super) async fn create(
    State(core): State<Arc<Core>>,
    Posted { body: new, request }: Posted<NewModel>,
) -> Result<Reply, Problem> {
    let name: ModelName = new.name.parse().map_err(|error: federation::IdError| {
        Problem::of_field(Code::InvalidName, "name", "a name", error.to_string())
    })?;
    let artifact = parse_artifact(&new.artifact)?;
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

/// Lists the models
///
/// In the order of their names.
#[utoipa::path(
    get, path = "/v1/models", tag = "models", operation_id = "list_models", params(PageParams),
    responses((status = 200, description = "A page of models.", body = Page<ModelBody>), ListProblems)
)]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery,
) -> Result<Json<Page<ModelBody>>, Problem> {
    let models = core.store.models(query.after()?.unwrap_or_default(), query.read()).await?;
    Ok(Json(query.page(models, |model| model.name.to_string(), show_model)))
}

/// Shows a model
#[utoipa::path(
    get, path = "/v1/models/{name}", tag = "models", operation_id = "show_model", params(ModelPath),
    responses(
        (status = 200, description = "The model.", body = ModelBody, links(
            ("artifact" = (operation_id = "fetch_artifact",
                parameters(("digest" = "$response.body#/latest_digest")),
                description = "The bytes of its newest version.")),
        )),
        ShowProblems,
    )
)]
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Params(ModelPath { name }): Params<ModelPath>,
) -> Result<Json<ModelBody>, Problem> {
    let model = core.store.model(parse_name(&name)?).await?;
    model.map(|model| Json(show_model(model))).ok_or_else(no_model)
}

/// Lists a model's versions
///
/// In the order of their numbers.
#[utoipa::path(
    get, path = "/v1/models/{name}/versions", tag = "models", operation_id = "list_versions",
    params(ModelPath, PageParams, VersionsFilter),
    responses(
        (status = 200, description = "A page of versions.", body = Page<VersionBody>),
        VersionsProblems,
    )
)]
pub(super) async fn versions(
    State(core): State<Arc<Core>>,
    Params(ModelPath { name }): Params<ModelPath>,
    query: PageQuery<VersionsFilter>,
) -> Result<Json<Page<VersionBody>>, Problem> {
    let after = query.after()?.unwrap_or_default();
    let run = query.filter.run.map(RunId);
    let versions = core.store.versions(parse_name(&name)?, run, after, query.read()).await?;
    let versions = versions.ok_or_else(no_model)?;
    Ok(Json(query.page(versions, |version| version.number.to_string(), show_version)))
}

/// Shows a version
#[utoipa::path(
    get, path = "/v1/models/{name}/versions/{version}", tag = "models",
    operation_id = "show_version", params(VersionPath),
    responses(
        (status = 200, description = "The version.", body = VersionBody, links(
            ("artifact" = (operation_id = "fetch_artifact",
                parameters(("digest" = "$response.body#/digest")),
                description = "Its bytes.")),
        )),
        VersionProblems,
    )
)]
pub(super) async fn version(
    State(core): State<Arc<Core>>,
    Params(VersionPath { name, version }): Params<VersionPath>,
) -> Result<Json<VersionBody>, Problem> {
    Ok(Json(show_version(find_version(&core, &name, &version).await?.0)))
}

/// The version at a place (a number, `latest`, or the name of a channel), and how the place names it.
pub(super) async fn find_version(
    core: &Core,
    name: &str,
    text: &str,
) -> Result<(Version, Which), Problem> {
    let name = parse_name(name)?;
    let which = match text {
        "latest" => Which::Latest,
        number if number.starts_with(|first: char| first.is_ascii_digit()) => {
            Which::Number(number.parse().map_err(|_| no_version())?)
        }
        channel => Which::Channel(channel.parse().map_err(|_| no_version())?),
    };
    match core.store.version(name.clone(), which.clone()).await? {
        Some(version) => Ok((version, which)),
        None if core.store.model(name).await?.is_none() => Err(no_model()),
        None => Err(no_version()),
    }
}

/// The version is there, and its artifact is not: retention dropped it.
pub(super) fn pruned(version: &Version) -> Problem {
    let Version { model, number, .. } = version;
    Problem::new(
        Code::VersionPruned,
        format!("the artifact of version {number} of {model} is not kept any more"),
    )
}

/// The artifact in the field `artifact` of a body.
pub(super) fn parse_artifact(text: &str) -> Result<Artifact, Problem> {
    let not_one = |got: String| {
        Problem::of_field(Code::InvalidArtifact, "artifact", "an artifact in base64", got)
    };
    let bytes = STANDARD.decode(text).map_err(|error| not_one(error.to_string()))?;
    Artifact::parse(&bytes).map_err(|error| not_one(error.to_string()))
}

/// A model's name in a path: one that is none names nothing.
pub(super) fn parse_name(text: &str) -> Result<ModelName, Problem> {
    text.parse().map_err(|_| no_model())
}

/// No such model.
pub(super) fn no_model() -> Problem {
    Problem::new(Code::ModelNotFound, "no model has this name")
}

/// There is no such version.
pub(super) fn no_version() -> Problem {
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

/// A version's shape.
pub(super) fn show_version(version: Version) -> VersionBody {
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
