//! Lists, a page at a time.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use federation::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{Code, Problem};

/// Items of a page, where the request does not say.
pub(super) const LIMIT_DEFAULT: u32 = 100;
/// Most items of a page.
const LIMIT_MAX: u32 = 1_000;

/// Bytes of a cursor's check.
const CHECK_BYTES: usize = 4;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The items, in the list's order.
    pub(super) items: Vec<T>,
    /// Where the next page begins; null at the end.
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

/// Which page of a list is asked for, and of which items.
#[derive(Debug)]
pub(super) struct PageQuery<F = Everything> {
    path: String,
    limit: u32,
    cursor: Option<String>,
    /// Which items.
    pub(super) filter: F,
}

/// The filter of a list that has none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Everything {}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// Most items of the page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the page begins: the `next_cursor` of the page before. Without it, at the list's begin.
    #[param(min_length = 1, max_length = 300)]
    cursor: Option<String>,
}

impl<F: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for PageQuery<F> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let whole = parts.uri.query().unwrap_or_default();
        let of_page = |pair: &&str| matches!(pair.split('=').next(), Some("limit" | "cursor"));
        let (page, filter): (Vec<_>, Vec<_>) =
            whole.split('&').filter(|pair| !pair.is_empty()).partition(of_page);
        let PageParams { limit, cursor } = parse(&page)?;
        Self::new(parts.uri.path(), limit.unwrap_or(LIMIT_DEFAULT), cursor, parse(&filter)?)
    }
}

/// What a query string's pairs say.
fn parse<T: DeserializeOwned>(pairs: &[&str]) -> Result<T, Problem> {
    let uri = Uri::builder().path_and_query(format!("/?{}", pairs.join("&"))).build();
    let uri = uri.map_err(|error| invalid(error.to_string()))?;
    let query = Query::try_from_uri(&uri).map_err(|error| invalid(error.body_text()))?;
    let Query(value) = query;
    Ok(value)
}

/// A query string that asks for no page.
pub(super) struct Asks<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asks<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(query) = query.map_err(|error| invalid(error.body_text()))?;
        Ok(Self(query))
    }
}

/// A query string that says nothing we understand.
pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidQuery, detail)
}

impl<F> PageQuery<F> {
    /// The page of at most `limit` items that begins at `cursor`, of the list at `path`.
    pub(super) fn new(
        path: &str,
        limit: u32,
        cursor: Option<String>,
        filter: F,
    ) -> Result<Self, Problem> {
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(invalid(format!("limit should be 1 to {LIMIT_MAX}, got {limit}")));
        }
        Ok(Self { path: path.to_owned(), limit, cursor, filter })
    }

    /// How many items to read: one more than the page holds, to see whether another page follows.
    pub(super) fn read(&self) -> u32 {
        self.limit + 1
    }

    /// The key after which the page begins; `None` at the list's begin.
    pub(super) fn after<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let wrong = || invalid("cursor should be the next_cursor of a page of the same list");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
        let (check, key) = bytes.split_at_checked(CHECK_BYTES).ok_or_else(wrong)?;
        let key = std::str::from_utf8(key).map_err(|_| wrong())?;
        if check != self.check(key) {
            return Err(wrong());
        }
        key.parse().map(Some).map_err(|_| wrong())
    }

    /// A cursor is the last item's key behind a check, so that one of another list, or a made-up one, is told.
    fn cursor(&self, key: &str) -> String {
        URL_SAFE_NO_PAD.encode([&self.check(key)[..], key.as_bytes()].concat())
    }

    fn check(&self, key: &str) -> [u8; CHECK_BYTES] {
        let digest = Digest::of(format!("{}\n{key}", self.path).as_bytes());
        let [a, b, c, d, ..] = digest.0;
        [a, b, c, d]
    }

    /// The page of these items, after which the list goes on behind the key `last`.
    pub(super) fn cut<T>(&self, items: Vec<T>, last: &str) -> Page<T> {
        Page { items, next_cursor: Some(self.cursor(last)) }
    }

    /// The page of the items that were read, of which `key` gives the cursor.
    pub(super) fn page<T, U>(
        &self,
        mut items: Vec<T>,
        key: impl Fn(&T) -> String,
        show: impl Fn(T) -> U,
    ) -> Page<U> {
        let limit = usize::try_from(self.limit).expect("a page's limit fits in memory");
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(|item| self.cursor(&key(item)));
        Page { items: items.into_iter().map(show).collect(), next_cursor }
    }
}
