//! `/v1/models/{name}/versions/{version}/evaluations`: how well a version does, node by node.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::problems;
use super::body::Params;
use super::models::{VersionPath, find_version};
use super::page::{Page, PageParams, PageQuery};
use super::problem::Problem;
use crate::core::Core;
use crate::store::NodeEvaluation;

/// What one node reports about a version, on samples it holds out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeEvaluation)]
pub(super) struct NodeEvaluationBody {
    /// The node.
    node_id: String,
    /// Samples it tried.
    samples: u64,
    /// Of those, samples answered correctly.
    correct: u64,
    /// When it said so last.
    reported_at_ms: u64,
}

problems!(ListProblems = LIST + [NotFound, ModelNotFound, VersionNotFound]);

/// Lists what nodes report about a version
///
/// The latest report of each, in the order of the nodes' names.
#[utoipa::path(
    get, path = "/v1/models/{name}/versions/{version}/evaluations", tag = "models",
    operation_id = "list_evaluations", params(VersionPath, PageParams),
    responses(
        (status = 200, description = "A page of reports.", body = Page<NodeEvaluationBody>),
        ListProblems,
    )
)]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    Params(VersionPath { name, version }): Params<VersionPath>,
    query: PageQuery,
) -> Result<Json<Page<NodeEvaluationBody>>, Problem> {
    let (version, _) = find_version(&core, &name, &version).await?;
    let after = query.after()?.unwrap_or_default();
    let reports =
        core.store.evaluations(version.model, version.digest, after, query.read()).await?;
    Ok(Json(query.page(reports, |report| report.node.to_string(), show)))
}

fn show(report: NodeEvaluation) -> NodeEvaluationBody {
    let NodeEvaluation { node, samples, correct, reported_ms } = report;
    NodeEvaluationBody { node_id: node.to_string(), samples, correct, reported_at_ms: reported_ms }
}
