//! A guard: `accuracy >= 0.93 over 50 nodes`. Integers inside: what is decided is decided exactly.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::Evidence;
use crate::id::excerpt;
use crate::limits::GUARD_NODES_MAX;

/// Parts of a whole in which a guard counts accuracy: six digits after the point.
const WHOLE: u32 = 1_000_000;
/// Digits after the point.
const DIGITS: usize = 6;

/// What nodes must report of a version for it to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Least accuracy, in millionths.
    least: u32,
    /// After how many nodes it decides.
    nodes: u32,
}

/// Why a text is no guard.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "character {at}: expected {expected}, got {got}; a guard is like `accuracy >= 0.93 over 50 nodes`"
)]
pub struct GuardError {
    /// The place, counted from 1.
    pub at: usize,
    /// What should be there.
    pub expected: String,
    /// What is.
    pub got: String,
}

impl Guard {
    /// What `evidence` from a step of `members` nodes says of a version: good, bad, or nothing yet.
    #[must_use]
    pub fn judge(self, evidence: Evidence, members: u64) -> Option<bool> {
        let needed = u64::from(self.nodes).min(members);
        let Evidence { nodes, samples, correct } = evidence;
        let least = u128::from(self.least) * u128::from(samples);
        (nodes >= needed).then_some(u128::from(correct) * u128::from(WHOLE) >= least)
    }

    /// After how many nodes it decides.
    #[must_use]
    pub fn nodes(self) -> u32 {
        self.nodes
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, nodes } = *self;
        let digits = format!("{}.{:0DIGITS$}", least / WHOLE, least % WHOLE);
        let number = digits.trim_end_matches('0').trim_end_matches('.');
        let word = if nodes == 1 { "node" } else { "nodes" };
        write!(f, "accuracy >= {number} over {nodes} {word}")
    }
}

impl FromStr for Guard {
    type Err = GuardError;

    fn from_str(text: &str) -> Result<Self, GuardError> {
        let mut scanner = Scanner { text, at: 0 };
        scanner.word("`accuracy`", |word| (word == "accuracy").then_some(()))?;
        scanner.at_least()?;
        let least =
            scanner.word("an accuracy, 0 to 1 with up to 6 digits after the point", parts)?;
        scanner.word("`over`", |word| (word == "over").then_some(()))?;
        let count = format!("a number of nodes, 1 to {GUARD_NODES_MAX}");
        let nodes = scanner.word(&count, |word| {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            word.parse().ok().filter(|nodes| digits && (1..=GUARD_NODES_MAX).contains(nodes))
        })?;
        scanner.word("`nodes`", |word| matches!(word, "node" | "nodes").then_some(()))?;
        scanner.end()?;
        Ok(Self { least, nodes })
    }
}

/// A decimal number from 0 to 1, in millionths.
fn parts(word: &str) -> Option<u32> {
    let (whole, rest) = word.split_once('.').unwrap_or((word, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || !digits(rest) || rest.len() > DIGITS {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let rest: u32 = format!("{rest:0<DIGITS$}").parse().ok()?;
    Some(whole * WHOLE + rest).filter(|&parts| parts <= WHOLE)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn word<T>(
        &mut self,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, GuardError> {
        let rest = self.rest();
        let ends = |c: char| c.is_whitespace() || matches!(c, '>' | '=' | '<');
        let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
        let value = parse(word).ok_or_else(|| self.wrong(expected, word))?;
        self.at += word.len();
        Ok(value)
    }

    fn at_least(&mut self) -> Result<(), GuardError> {
        let rest = self.rest();
        if rest.starts_with(">=") {
            self.at += 2;
            return Ok(());
        }
        let word = rest.split_whitespace().next().unwrap_or_default();
        Err(self.wrong("`>=`", word))
    }

    fn end(&mut self) -> Result<(), GuardError> {
        match self.rest() {
            "" => Ok(()),
            rest => Err(self.wrong("nothing more", rest)),
        }
    }

    fn wrong(&self, expected: &str, got: &str) -> GuardError {
        let got = if got.is_empty() { "nothing".to_owned() } else { format!("`{}`", excerpt(got)) };
        let at = self.text[..self.at].chars().count() + 1;
        GuardError { at, expected: expected.to_owned(), got }
    }
}
