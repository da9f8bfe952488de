//! What is known of versions beyond their record: how nodes do with one, how two differ; and versions that are brought.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::Artifact;
use federation::compare::{Comparison, Histogram, TensorDifference, compare};
use federation::reports::{Report, Summary, Total};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answers::problems;
use super::body::Params;
use super::models::{
    EvaluationBody, ModelPath, VersionBody, VersionPath, find_version, parse_artifact, parse_name,
    pruned, show_version,
};
use super::page::Asks;
use super::posted::{KeyParam, Posted};
use super::problem::{Code, Problem};
use crate::core::Core;
use crate::store::{Imported, Reply, Version};

/// A version to bring.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVersion)]
pub(super) struct NewVersionBody {
    /// Its artifact, in base64.
    #[schema(content_encoding = "base64")]
    artifact: String,
}

/// Which versions to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CompareQuery {
    /// The first: a number, `latest`, or the name of a channel.
    #[param(example = "1")]
    pub(super) from: String,
    /// The second.
    #[param(example = "latest")]
    pub(super) to: String,
}

/// How to group reports.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SummaryQuery {
    /// A label: the nodes with each of its values are told of apart, too.
    #[param(example = "site")]
    by: Option<String>,
}

/// What differs between two versions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Comparison)]
pub(super) struct ComparisonBody {
    /// The first.
    pub(super) from: ComparedBody,
    /// The second.
    pub(super) to: ComparedBody,
    /// The second less the first, weight by weight.
    pub(super) difference: HistogramBody,
    /// How many weights there are.
    pub(super) weights: u64,
    /// How many of them differ.
    pub(super) changed: u64,
    /// The largest difference.
    pub(super) max_difference: u16,
    /// The tensors, as they stand in the layout.
    pub(super) tensors: Vec<TensorBody>,
}

/// One of two versions that are compared.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ComparedVersion)]
pub(super) struct ComparedBody {
    /// Its number.
    pub(super) version: u32,
    /// Its digest.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(super) digest: String,
    /// Its weights.
    pub(super) weights: HistogramBody,
    /// What nodes reported about it; null before the first report.
    #[schema(required)]
    pub(super) evaluation: Option<EvaluationBody>,
}

/// How many values lie in each of ranges of equal width.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Histogram)]
pub(super) struct HistogramBody {
    /// Where the first range begins.
    pub(super) from: i16,
    /// The width of a range.
    pub(super) step: u16,
    /// The values in each.
    pub(super) counts: Vec<u64>,
}

/// What differs in one tensor.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ComparedTensor)]
pub(super) struct TensorBody {
    /// The tensor.
    pub(super) name: String,
    /// Its weights.
    pub(super) weights: u64,
    /// How many of them differ.
    pub(super) changed: u64,
    /// The largest difference.
    pub(super) max_difference: u16,
}

/// What nodes report about a version, together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EvaluationSummary)]
pub(super) struct SummaryBody {
    /// Of all nodes.
    all: GroupBody,
    /// Of the nodes with each value of the label that was asked for; null where none was.
    #[schema(required)]
    groups: Option<Vec<LabelledBody>>,
}

/// What the nodes with the same label report.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LabelledEvaluations)]
struct LabelledBody {
    /// The value; null of the nodes without the label.
    #[schema(required)]
    label: Option<String>,
    /// What they report.
    reports: GroupBody,
}

/// What some nodes report.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Evaluations)]
struct GroupBody {
    /// How many nodes reported.
    nodes: u64,
    /// Samples they tried it on.
    samples: u64,
    /// Of those, samples answered correctly.
    correct: u64,
    /// How many nodes classify below 10 % correctly, below 20 %, and so on; the last holds 90 to 100 %.
    deciles: Vec<u64>,
    /// The tenth of the nodes, rounded up, with the lowest accuracy.
    worst_decile: EvaluationBody,
}

problems!(
    ImportProblems = POST + [NotFound, ModelNotFound, InvalidArtifact, OtherModel, ModelBusy,]
);
problems!(CompareProblems = LIST + [NotFound, ModelNotFound, VersionNotFound, VersionPruned]);
problems!(SummaryProblems = LIST + [NotFound, ModelNotFound, VersionNotFound]);

/// Imports a version
///
/// It becomes the newest version; the one before is its parent. Content that the newest version has already is not taken again.
#[utoipa::path(
    post, path = "/v1/models/{name}/versions", tag = "models", operation_id = "import_version",
    params(ModelPath, KeyParam), request_body = NewVersionBody,
    responses(
        (status = 201, description = "It was taken.", body = VersionBody,
            headers(("Location" = String, description = "Where it is."))),
        (status = 200, description = "The newest version has this content.", body = VersionBody),
        ImportProblems,
    )
)]
pub(super) async fn import(
    State(core): State<Arc<Core>>,
    Params(ModelPath { name }): Params<ModelPath>,
    Posted { body, request }: Posted<NewVersionBody>,
) -> Result<Reply, Problem> {
    let name = parse_name(&name)?;
    let artifact = parse_artifact(&body.artifact)?;
    let deed = request.deed(|imported: &Imported| match imported {
        Imported::New(version) => {
            let place = format!("/v1/models/{}/versions/{}", version.model, version.number);
            Reply::created(place, &show_version(version.clone()))
        }
        Imported::Same(version) => Reply::ok(&show_version(version.clone())),
    });
    let reply = core.store.import_version(name, artifact, deed).await??;
    core.channels.moved();
    core.wake.notify_one();
    tracing::info!(version = reply.location, "took a version");
    Ok(reply)
}

/// Compares two versions
///
/// Weight by weight, and by what nodes report.
#[utoipa::path(
    get, path = "/v1/models/{name}/compare", tag = "models", operation_id = "compare_versions",
    params(ModelPath, CompareQuery),
    responses((status = 200, description = "What differs.", body = ComparisonBody), CompareProblems)
)]
pub(super) async fn comparison(
    State(core): State<Arc<Core>>,
    Params(ModelPath { name }): Params<ModelPath>,
    Asks(CompareQuery { from, to }): Asks<CompareQuery>,
) -> Result<Json<ComparisonBody>, Problem> {
    let (from, _) = find_version(&core, &name, &from).await?;
    let (to, _) = find_version(&core, &name, &to).await?;
    let (old, new) = (artifact(&core, &from).await?, artifact(&core, &to).await?);
    let compared = compare(&old, &new).ok_or_else(|| {
        let detail = "the versions have different layouts";
        Problem::new(Code::Internal, detail)
    })?;
    let Comparison { from: before, to: after, difference, tensors } = compared;
    Ok(Json(ComparisonBody {
        weights: tensors.iter().map(|tensor| tensor.weights).sum(),
        changed: tensors.iter().map(|tensor| tensor.changed).sum(),
        max_difference: tensors.iter().map(|tensor| tensor.most).max().unwrap_or(0),
        from: show_compared(from, before),
        to: show_compared(to, after),
        difference: show_histogram(difference),
        tensors: tensors.into_iter().map(show_tensor).collect(),
    }))
}

/// Sums up what nodes report about a version
///
/// The last report of each node counts.
#[utoipa::path(
    get, path = "/v1/models/{name}/versions/{version}/evaluations/summary", tag = "models",
    operation_id = "summarise_evaluations", params(VersionPath, SummaryQuery),
    responses((status = 200, description = "The sums.", body = SummaryBody), SummaryProblems)
)]
pub(super) async fn summary(
    State(core): State<Arc<Core>>,
    Params(VersionPath { name, version }): Params<VersionPath>,
    Asks(SummaryQuery { by }): Asks<SummaryQuery>,
) -> Result<Json<SummaryBody>, Problem> {
    let (Version { model, number, .. }, _) = find_version(&core, &name, &version).await?;
    let reports = core.store.reports_of(model, number, by.clone()).await?;
    let all = reports.iter().map(|&(_, report)| report).collect();
    let groups = by.map(|_| {
        let mut groups: BTreeMap<Option<String>, Vec<Report>> = BTreeMap::new();
        for (label, report) in reports {
            groups.entry(label).or_default().push(report);
        }
        let show = |(label, reports)| LabelledBody { label, reports: show_group(reports) };
        groups.into_iter().map(show).collect()
    });
    Ok(Json(SummaryBody { all: show_group(all), groups }))
}

async fn artifact(core: &Core, version: &Version) -> Result<Artifact, Problem> {
    let lost = |reason: String| {
        tracing::error!(version.digest = %version.digest, reason, "a version cannot be read");
        Problem::new(Code::Internal, "the coordinator failed; its log says why")
    };
    let bytes = core.store.artifact(version.digest).await?.ok_or_else(|| pruned(version))?;
    Artifact::parse(&bytes).map_err(|error| lost(error.to_string()))
}

fn show_compared(version: Version, weights: Histogram) -> ComparedBody {
    ComparedBody {
        version: version.number.0,
        digest: version.digest.to_string(),
        weights: show_histogram(weights),
        evaluation: show_version(version).evaluation(),
    }
}

fn show_histogram(Histogram { from, step, counts }: Histogram) -> HistogramBody {
    HistogramBody { from, step, counts: counts.to_vec() }
}

fn show_tensor(TensorDifference { name, weights, changed, most }: TensorDifference) -> TensorBody {
    TensorBody { name, weights, changed, max_difference: most }
}

fn show_group(reports: Vec<Report>) -> GroupBody {
    let Summary { total, deciles, worst } = Summary::of(reports);
    let Total { nodes, samples, correct } = total;
    let worst_decile =
        EvaluationBody { nodes: worst.nodes, samples: worst.samples, correct: worst.correct };
    GroupBody { nodes, samples, correct, deciles: deciles.to_vec(), worst_decile }
}

impl VersionBody {
    fn evaluation(self) -> Option<EvaluationBody> {
        self.evaluation
    }
}
