//! Reporting how well a version does.

use federation::{Answer, Evaluation};

use super::parse::{Malformed, digest, digest_bytes, name};
use super::refusal::{Reply, either};
use crate::v1;
use crate::v1::report_evaluation_response::Result as Part;

impl TryFrom<v1::ReportEvaluationRequest> for Evaluation {
    type Error = Malformed;
    fn try_from(message: v1::ReportEvaluationRequest) -> Result<Self, Malformed> {
        let v1::ReportEvaluationRequest { node_id, model, digest: version, samples, correct } =
            message;
        Ok(Self {
            node: name("node_id", &node_id)?,
            model: name("model", &model)?,
            version: digest("digest", &version)?,
            samples,
            correct,
        })
    }
}

impl From<Evaluation> for v1::ReportEvaluationRequest {
    fn from(evaluation: Evaluation) -> Self {
        let Evaluation { node, model, version, samples, correct } = evaluation;
        Self {
            node_id: node.as_str().to_owned(),
            model: model.as_str().to_owned(),
            digest: digest_bytes(version),
            samples,
            correct,
        }
    }
}

impl TryFrom<v1::ReportEvaluationResponse> for Reply<()> {
    type Error = Malformed;
    fn try_from(message: v1::ReportEvaluationResponse) -> Result<Self, Malformed> {
        let v1::ReportEvaluationResponse { result } = message;
        match result {
            Some(Part::Recorded(v1::Recorded {})) => Ok(Ok(())),
            Some(Part::Refused(refusal)) => Ok(Err(refusal.into())),
            None => Err(Malformed::absent("result", "`recorded` or `refused`")),
        }
    }
}

impl From<Answer<()>> for v1::ReportEvaluationResponse {
    fn from(answer: Answer<()>) -> Self {
        Self { result: either(answer, |()| Part::Recorded(v1::Recorded {}), Part::Refused) }
    }
}
