//! What is wrong with a configuration: each mistake with its place, all of them together.

use std::fmt;

use thiserror::Error;

/// A value of the wrong form or outside its range.
pub(super) const CONFIG_INVALID: &str = "config_invalid";
/// A table or key that is none of ours.
pub(super) const CONFIG_UNKNOWN_KEY: &str = "config_unknown_key";
/// A file that cannot be read.
pub(super) const CONFIG_UNREADABLE: &str = "config_unreadable";
/// A file that is not TOML.
pub(super) const CONFIG_SYNTAX: &str = "config_syntax";
/// A certificate without a key, or the other way round.
pub(super) const TLS_INCOMPLETE: &str = "tls_incomplete";
/// An address that other machines can reach, without tokens and TLS to guard it.
pub(super) const ADDRESS_NOT_LOOPBACK: &str = "address_not_loopback";

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Stable code, for programs.
    pub code: &'static str,
    /// Where it is said: a line of a file and the key, a variable, or a flag.
    pub place: String,
    /// What is wrong with it, and what it should be.
    pub why: String,
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ConfigError {
    /// The problems; at least one.
    pub problems: Vec<ConfigProblem>,
}

impl ConfigProblem {
    /// A value that should be another.
    pub(super) fn value(
        code: &'static str,
        place: impl Into<String>,
        expected: impl fmt::Display,
        got: impl fmt::Display,
    ) -> Self {
        Self { code, place: place.into(), why: format!("should be {expected}, got `{got}`") }
    }

    /// A value that should be another, with the code of most mistakes.
    pub(super) fn invalid(
        place: impl Into<String>,
        expected: impl fmt::Display,
        got: impl fmt::Display,
    ) -> Self {
        Self::value(CONFIG_INVALID, place, expected, got)
    }
}

impl ConfigError {
    /// What the process should exit with (sysexits.h: EX_CONFIG is for files of the system; this is EX_USAGE).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        64
    }

    /// The code that all problems have, or that of mistakes in general.
    #[must_use]
    pub fn code(&self) -> &'static str {
        let mut codes = self.problems.iter().map(|problem| problem.code);
        let first = codes.next().unwrap_or(CONFIG_INVALID);
        if codes.all(|code| code == first) { first } else { CONFIG_INVALID }
    }

    /// `Err` of the problems, unless there are none.
    pub(super) fn unless_none(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, place, why } = self;
        write!(f, "{place}: {why} ({code})")
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return only.fmt(f);
        }
        write!(f, "{} mistakes", self.problems.len())?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

/// The word of `known` that is most like `word`, if one is so like it that it may have been meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likely = word.chars().count().div_ceil(3);
    let distances = known.into_iter().map(|other| (distance(word, other), other));
    distances.filter(|(distance, _)| *distance <= likely).min().map(|(_, other)| other)
}

/// Letters to add, drop or replace to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (made, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = made + 1;
        for (at, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_one_that_may_have_been_meant() {
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
        let known = ["http.listen", "grpc.listen", "log.level"];
        assert_eq!(nearest("http.lissten", known), Some("http.listen"));
        assert_eq!(nearest("log.levle", known), Some("log.level"));
        assert_eq!(nearest("retention.days", known), None);
    }
}
