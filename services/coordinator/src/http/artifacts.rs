//! Artifacts: bytes that never change, named by their SHA-256, whole or in part.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use federation::Digest;
use http_range_header::{RangeUnsatisfiableError, parse_range_header};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answers::problems;
use super::body::Params;
use super::conditional::holds;
use super::models::{VersionPath, find_version, pruned};
use super::problem::{Code, Problem};
use crate::core::Core;
use crate::store::Which;

/// The name will not lead to other bytes: whoever holds them need not ask again.
const FOR_EVER: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");
/// The name may lead to other bytes tomorrow.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// An artifact's place.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ArtifactPath {
    /// SHA-256 of the artifact, in hexadecimal.
    #[param(pattern = "^[0-9a-f]{64}$")]
    digest: String,
}

/// What of an artifact, and when.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the description reads it; `answer` reads the headers")]
pub(super) struct FetchParams {
    /// One range of bytes. Several are answered with the whole.
    #[param(
        rename = "Range",
        pattern = "^bytes=([0-9]{1,9}-[0-9]{0,9}|-[0-9]{1,9})$",
        example = "bytes=0-99"
    )]
    range: Option<String>,
    /// The range only if the artifact has this `ETag`, else the whole.
    #[param(rename = "If-Range", pattern = "^[ !#-~]{0,80}$")]
    if_range: Option<String>,
    /// Nothing if the artifact has one of these `ETag`s.
    #[param(rename = "If-None-Match", pattern = "^[ !#-~]{0,80}$")]
    if_none_match: Option<String>,
    /// A problem unless the artifact has one of these `ETag`s.
    #[param(rename = "If-Match", pattern = "^[ !#-~]{0,80}$")]
    if_match: Option<String>,
}

problems!(
    VersionProblems = READ
        + [
            NotFound,
            ModelNotFound,
            VersionNotFound,
            VersionPruned,
            PreconditionFailed,
            RangeNotSatisfiable,
        ]
);
problems!(
    DigestProblems = READ + [NotFound, ArtifactNotFound, PreconditionFailed, RangeNotSatisfiable,]
);

/// Fetches a version's artifact
///
/// Its `ETag` is its SHA-256. Of a numbered version it never changes; `latest` and a channel are to be asked again.
#[utoipa::path(
    get, path = "/v1/models/{name}/versions/{version}/artifact", tag = "models",
    operation_id = "fetch_version_artifact", params(VersionPath, FetchParams),
    responses(
        (status = 200, description = "The artifact.", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 206, description = "A range of it.", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 304, description = "The client holds it already."),
        VersionProblems,
    )
)]
pub(super) async fn of_version(
    State(core): State<Arc<Core>>,
    Params(VersionPath { name, version }): Params<VersionPath>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (version, which) = find_version(&core, &name, &version).await?;
    let place = format!("/v1/models/{}/versions/{}/artifact", version.model, version.number);
    let place = HeaderValue::from_str(&place).expect("names and numbers fit in a header");
    let keep = match which {
        Which::Number(_) => FOR_EVER,
        Which::Latest | Which::Channel(_) => ASK_AGAIN,
    };
    let about = [(header::CONTENT_LOCATION, place), (header::CACHE_CONTROL, keep)];
    match answer(&core, &headers, version.digest).await? {
        Some(found) => Ok((about, found).into_response()),
        None => Err(pruned(&version)),
    }
}

/// Fetches an artifact by its digest
#[utoipa::path(
    get, path = "/v1/artifacts/{digest}", tag = "models", operation_id = "fetch_artifact",
    params(ArtifactPath, FetchParams),
    responses(
        (status = 200, description = "The artifact.", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 206, description = "A range of it.", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 304, description = "The client holds it already."),
        DigestProblems,
    )
)]
pub(super) async fn by_digest(
    State(core): State<Arc<Core>>,
    Params(ArtifactPath { digest }): Params<ArtifactPath>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let none = || Problem::new(Code::ArtifactNotFound, "no artifact has this digest");
    let digest: Digest = digest.parse().map_err(|_| none())?;
    let found = answer(&core, &headers, digest).await?.ok_or_else(none)?;
    Ok(([(header::CACHE_CONTROL, FOR_EVER)], found).into_response())
}

/// What of an artifact a request asks for; `None` where there is no artifact.
async fn answer(
    core: &Core,
    headers: &HeaderMap,
    digest: Digest,
) -> Result<Option<Response>, Problem> {
    let Some(bytes) = core.store.artifact(digest).await? else { return Ok(None) };
    let tag = format!("\"{digest}\"");
    let all = |name: HeaderName| headers.get_all(name).into_iter();
    if headers.contains_key(header::IF_MATCH) && !names(all(header::IF_MATCH), &tag) {
        let detail = format!("the artifact here is {digest}");
        return Err(Problem::new(Code::PreconditionFailed, detail));
    }
    let etag = [(header::ETAG, tag.clone())];
    if holds(all(header::IF_NONE_MATCH), &tag) {
        return Ok(Some((StatusCode::NOT_MODIFIED, etag).into_response()));
    }
    let about = (
        etag,
        [(header::ACCEPT_RANGES, "bytes"), (header::CONTENT_TYPE, "application/octet-stream")],
    );
    let whole = bytes.len();
    Ok(Some(match range(headers, &tag, whole) {
        Asked::Whole => (about, bytes).into_response(),
        Asked::Part(first, last) => {
            let place = [(header::CONTENT_RANGE, format!("bytes {first}-{last}/{whole}"))];
            (StatusCode::PARTIAL_CONTENT, about, place, bytes.slice(first..=last)).into_response()
        }
        Asked::Nothing => {
            let detail = format!("the artifact has {whole} bytes");
            let problem = Problem::new(Code::RangeNotSatisfiable, detail).into_response();
            ([(header::CONTENT_RANGE, format!("bytes */{whole}"))], problem).into_response()
        }
    }))
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    /// From the first of these bytes to the last.
    Part(usize, usize),
    /// No byte that there is.
    Nothing,
}

/// What is asked of an artifact with this tag and so many bytes. A range that is none is as good as no range.
fn range(headers: &HeaderMap, tag: &str, whole: usize) -> Asked {
    let mut given = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (given.next(), given.next()) else { return Asked::Whole };
    let still = headers.get_all(header::IF_RANGE).iter().all(|known| known == tag);
    let Ok(range) = range.to_str() else { return Asked::Whole };
    if !still {
        return Asked::Whole;
    }
    let bytes = u64::try_from(whole).unwrap_or(u64::MAX);
    match parse_range_header(range).and_then(|ranges| ranges.validate(bytes)) {
        Ok(ranges) => match ranges.as_slice() {
            [one] => match (usize::try_from(*one.start()), usize::try_from(*one.end())) {
                (Ok(first), Ok(last)) => Asked::Part(first, last),
                _ => Asked::Nothing,
            },
            _ => Asked::Whole,
        },
        Err(RangeUnsatisfiableError::Unsatisfiable) => Asked::Nothing,
        Err(_) => Asked::Whole,
    }
}

/// Whether a list of `If-Match` names `tag`, or anything. A weak tag names no bytes.
fn names<'a>(lists: impl Iterator<Item = &'a HeaderValue>, tag: &str) -> bool {
    let lists = lists.filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|held| held == "*" || held == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(HeaderName, &str)]) -> Asked {
        let pair = |(name, value): &(HeaderName, &str)| (name.clone(), value.parse().unwrap());
        range(&pairs.iter().map(pair).collect(), "\"t\"", 100)
    }

    #[test]
    fn one_range_is_answered_and_what_is_none_is_ignored() {
        use Asked::{Nothing, Part, Whole};
        for (text, expected) in [
            ("bytes=0-0", Part(0, 0)),
            ("bytes=10-", Part(10, 99)),
            ("bytes=-10", Part(90, 99)),
            ("bytes=-1000", Part(0, 99)),
            ("bytes=90-1000", Part(90, 99)),
            ("BYTES=1-2", Part(1, 2)),
            ("bytes=100-", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=100-200", Nothing),
            ("bytes=18446744073709551615-", Nothing),
            ("bytes=2-1", Whole),
            ("bytes=a-b", Whole),
            ("bytes=", Whole),
            ("lines=1-2", Whole),
            ("bytes=0-1,4-5", Whole),
            ("", Whole),
        ] {
            assert_eq!(asked(&[(header::RANGE, text)]), expected, "{text}");
        }
        assert_eq!(asked(&[]), Whole);
        let twice = [(header::RANGE, "bytes=0-1"), (header::RANGE, "bytes=2-3")];
        assert_eq!(asked(&twice), Whole);
    }

    #[test]
    fn a_range_of_other_bytes_is_not_answered() {
        let check = |known| asked(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, known)]);
        assert_eq!(check("\"t\""), Asked::Part(0, 1));
        for other in ["\"u\"", "W/\"t\"", "t", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(check(other), Asked::Whole, "{other}");
        }
    }

    #[test]
    fn a_weak_tag_names_no_bytes_but_shows_what_is_held() {
        let lists = |list: &str| [HeaderValue::from_str(list).unwrap()];
        for (list, named, held) in [
            ("\"t\"", true, true),
            ("\"a\", \"t\"", true, true),
            ("*", true, true),
            ("W/\"t\"", false, true),
            ("t", false, false),
            ("\"a\"", false, false),
        ] {
            assert_eq!(names(lists(list).iter(), "\"t\""), named, "{list}");
            assert_eq!(holds(lists(list).iter(), "\"t\""), held, "{list}");
        }
    }
}
