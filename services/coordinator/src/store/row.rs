//! Stored values back into domain values. Every one is checked: a database file is outside input.

use std::fmt::Display;
use std::str::FromStr;

use federation::Digest;

use super::error::Corrupt;

/// An integer in the width the domain gives it.
pub(super) fn int<T: TryFrom<i64>>(column: &'static str, value: i64) -> Result<T, Corrupt> {
    T::try_from(value).map_err(|_| Corrupt { column, got: value.to_string() })
}

/// [`int`] where there may be none.
pub(super) fn int_or_none<T: TryFrom<i64>>(
    column: &'static str,
    value: Option<i64>,
) -> Result<Option<T>, Corrupt> {
    value.map(|value| int(column, value)).transpose()
}

/// A name or a state.
pub(super) fn text<T: FromStr<Err: Display>>(
    column: &'static str,
    value: &str,
) -> Result<T, Corrupt> {
    value.parse().map_err(|error: T::Err| Corrupt { column, got: error.to_string() })
}

/// A digest.
pub(super) fn digest(column: &'static str, value: &[u8]) -> Result<Digest, Corrupt> {
    Digest::from_bytes(value).map_err(|error| Corrupt { column, got: error.to_string() })
}

/// [`digest`] where there may be none.
pub(super) fn digest_or_none(
    column: &'static str,
    value: Option<&[u8]>,
) -> Result<Option<Digest>, Corrupt> {
    value.map(|value| digest(column, value)).transpose()
}

/// JSON written by us.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    column: &'static str,
    value: &str,
) -> Result<T, Corrupt> {
    serde_json::from_str(value).map_err(|error| Corrupt { column, got: error.to_string() })
}

/// A count or a time as SQLite holds it. What is beyond 63 bits stays there: no clock or limit of ours comes near.
pub(super) fn sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count or a time as it comes back from SQLite.
pub(super) fn stored(value: u64) -> u64 {
    sql(value).unsigned_abs()
}
