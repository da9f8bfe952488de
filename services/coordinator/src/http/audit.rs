//! `/v1/audit`: who did what, each entry chained to the one before it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::audit::{Entry, Head};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answers::problems;
use super::page::{Page, PageParams, PageQuery};
use super::problem::{Code, Problem};
use crate::core::Core;

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct EntryBody {
    /// Its place, from 1, without gaps.
    #[schema(minimum = 1)]
    seq: u64,
    /// When it was written.
    at_ms: u64,
    /// Who did it.
    actor: String,
    /// What was done.
    #[schema(examples("version.published"))]
    action: String,
    /// To what.
    #[schema(examples("cues/3"))]
    subject: String,
    /// What else there is to say; null once retention dropped it.
    #[schema(required, value_type = Option<Object>)]
    detail: Option<Value>,
    /// SHA-256 of the detail's text.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    detail_digest: String,
    /// The hash of the entry before; zeros in the first.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    previous: String,
    /// The hash of this entry.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    hash: String,
}

/// The end of the audit log: whoever keeps it elsewhere can show later that nothing before it was changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditHead)]
pub(super) struct HeadBody {
    /// The place of the last entry; 0 in an empty log.
    seq: u64,
    /// The hash of the last entry; zeros in an empty log.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    hash: String,
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(super) struct AuditPage {
    /// The entries, in order.
    items: Vec<EntryBody>,
    /// Where the next page begins; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
    /// The log's end, as it was when the page was read.
    head: HeadBody,
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditFilter {
    /// Only those after this place.
    #[param(minimum = 0)]
    after: Option<u64>,
    /// Only those of this action; `round` stands for `round.opened` and all others that begin so.
    #[param(min_length = 1, example = "round")]
    action: Option<String>,
    /// Only those about this subject.
    #[param(min_length = 1, example = "cues/3")]
    subject: Option<String>,
}

problems!(ListProblems = LIST);

/// Reads the audit log
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", operation_id = "read_audit",
    params(PageParams, AuditFilter),
    responses((status = 200, description = "A page of the log.", body = AuditPage), ListProblems)
)]
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    query: PageQuery<AuditFilter>,
) -> Result<Json<AuditPage>, Problem> {
    let AuditFilter { after, action, subject } = &query.filter;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let cursor: Option<u64> = query.after()?;
    let after = cursor.unwrap_or_default().max(after.unwrap_or_default());
    let found = core.store.audit_entries(text(action), text(subject), after, query.read());
    let (entries, head) = found.await?;
    let mut shown = Vec::with_capacity(entries.len());
    for entry in entries {
        shown.push(show(entry)?);
    }
    let Page { items, next_cursor } =
        query.page(shown, |entry| entry.seq.to_string(), |entry| entry);
    let Head { seq, hash } = head;
    Ok(Json(AuditPage { items, next_cursor, head: HeadBody { seq, hash: hash.to_string() } }))
}

fn show(entry: Entry) -> Result<EntryBody, Problem> {
    let Entry { seq, at, actor, action, subject, detail, detail_digest, previous, hash } = entry;
    let detail = detail.map(|detail| serde_json::from_str(&detail)).transpose();
    let detail = detail.map_err(|error| {
        tracing::error!(%error, seq, "the detail of an audit entry is not JSON");
        Problem::new(Code::Internal, "the coordinator failed; its log says why")
    })?;
    Ok(EntryBody {
        seq,
        at_ms: at.0,
        actor,
        action,
        subject,
        detail,
        detail_digest: detail_digest.to_string(),
        previous: previous.to_string(),
        hash: hash.to_string(),
    })
}
