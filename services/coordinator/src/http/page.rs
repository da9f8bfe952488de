//! Lists, a page at a time.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use super::problem::{Code, Problem};

/// Items of a page, where the request does not say.
pub(super) const LIMIT_DEFAULT: u32 = 100;
/// Most items of a page.
pub(super) const LIMIT_MAX: u32 = 1_000;

/// One page of a list.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    items: Vec<T>,
    /// Where the next page begins; null at the end.
    next_cursor: Option<String>,
}

/// Which page is asked for.
#[derive(Debug)]
pub(super) struct PageQuery {
    limit: u32,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for PageQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<Asked>::from_request_parts(parts, state).await;
        let Query(Asked { limit, cursor }) =
            query.map_err(|error| Problem::new(Code::InvalidQuery, error.body_text()))?;
        Self::new(limit.unwrap_or(LIMIT_DEFAULT), cursor)
    }
}

impl PageQuery {
    /// The page of at most `limit` items that begins at `cursor`.
    pub(super) fn new(limit: u32, cursor: Option<String>) -> Result<Self, Problem> {
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("limit should be 1 to {LIMIT_MAX}, got {limit}");
            return Err(Problem::new(Code::InvalidQuery, detail));
        }
        Ok(Self { limit, cursor })
    }

    /// How many items to read: one more than the page holds, to see whether another page follows.
    pub(super) fn read(&self) -> u32 {
        self.limit + 1
    }

    /// The cursor of a list in order of names; the start where there is none.
    pub(super) fn after_name(&self) -> String {
        self.cursor.clone().unwrap_or_default()
    }

    /// The cursor of a list in order of numbers; the start where there is none.
    pub(super) fn after_number<T: std::str::FromStr + Default>(&self) -> Result<T, Problem> {
        match &self.cursor {
            None => Ok(T::default()),
            Some(cursor) => cursor.parse().map_err(|_| {
                Problem::new(Code::InvalidQuery, "cursor should be the next_cursor of a page")
            }),
        }
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
        let next_cursor = items.last().filter(|_| more).map(key);
        Page { items: items.into_iter().map(show).collect(), next_cursor }
    }
}
