//! The stylesheet, the script and the icon: in the binary, named by what they hold, so that browsers may keep them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use federation::Digest;

use super::super::conditional::holds;
use super::super::problem::{Code, Problem};

/// A file of the dashboard.
struct Asset {
    kind: &'static str,
    text: &'static str,
    tag: String,
    name: String,
}

fn asset(stem: &str, ending: &str, kind: &'static str, text: &'static str) -> Asset {
    let digest = Digest::of(text.as_bytes()).to_string();
    let tag = digest[..16].to_owned();
    Asset { kind, text, name: format!("{stem}-{tag}.{ending}"), tag }
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    asset("muster", "css", "text/css; charset=utf-8", include_str!("assets/style.css"))
});
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    asset("muster", "js", "text/javascript; charset=utf-8", include_str!("assets/script.js"))
});
static ICON: LazyLock<Asset> =
    LazyLock::new(|| asset("muster", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

/// Where the stylesheet is.
pub(super) fn style() -> String {
    format!("/assets/{}", STYLE.name)
}

/// Where the script is.
pub(super) fn script() -> String {
    format!("/assets/{}", SCRIPT.name)
}

/// Where the icon is.
pub(super) fn icon() -> String {
    format!("/assets/{}", ICON.name)
}

/// Serves one of them.
pub(super) async fn serve(
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let all = [&STYLE, &SCRIPT, &ICON];
    let found = all.into_iter().find(|asset| asset.name == file);
    let found = found.ok_or_else(|| Problem::new(Code::NotFound, "nothing is at this path"))?;
    let tag = format!("\"{}\"", found.tag);
    let kept = [
        (header::ETAG, HeaderValue::from_str(&tag).expect("hexadecimal digits fit")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    if holds(headers.get_all(header::IF_NONE_MATCH).iter(), &tag) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    Ok((kept, [(header::CONTENT_TYPE, found.kind)], found.text).into_response())
}
