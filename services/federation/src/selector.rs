//! Selectors: which nodes, by their labels, in the words of Kubernetes label selectors.
//!
//! ```text
//! selector    = [ requirement { "," requirement } ]                 nothing selects every node
//! requirement = key                                                 carries the label
//!             | "!" key                                             does not carry it
//!             | key ( "=" | "==" | "!=" ) value
//!             | key ( "in" | "notin" ) "(" value { "," value } ")"
//! ```
//!
//! Keys and values are names. Blanks may stand between words. A comma means "and". As in Kubernetes, `!=` and `notin`
//! hold for a node without the label.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::id::{excerpt, is_name};
use crate::limits::{LABELS_MAX, SELECTOR_BYTES_MAX, SELECTOR_VALUES_MAX};

/// What the labels of a node must be like. The default selects every node.
///
/// Two selectors with the same requirements are equal, however they were written; [`fmt::Display`] gives the one
/// canonical text, which parses to the same selector.
///
/// ```
/// # use federation::Selector;
/// let selector: Selector = "class in (b, a), site==ams,!retired".parse()?;
/// assert_eq!(selector.to_string(), "class in (a,b),!retired,site=ams");
/// # Ok::<(), federation::SelectorError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: BTreeSet<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Test {
    Exists,
    Absent,
    /// One of these, at least one.
    In(BTreeSet<String>),
    /// None of these, at least one.
    NotIn(BTreeSet<String>),
}

/// Why something is not a selector: where, and what should stand there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: expected {expected}, got {got}")]
pub struct SelectorError {
    /// Where.
    pub place: Place,
    /// What should stand there.
    pub expected: String,
    /// What does.
    pub got: String,
}

/// Where a selector is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In its text: the column, from 1. All that comes before it is ASCII, so it counts bytes as well as characters.
    Column(usize),
    /// In this label, cut to a printable length.
    Label(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(column) => write!(f, "column {column}"),
            Self::Label(label) => write!(f, "label `{label}`"),
        }
    }
}

impl Selector {
    /// The selector of the nodes that carry all these labels.
    ///
    /// # Errors
    /// [`SelectorError`] names the first label that is none, or says that they are too many.
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Result<Self, SelectorError> {
        let mut requirements = BTreeSet::new();
        for (key, value) in labels {
            let pair = || excerpt(&format!("{key}={value}"));
            if !is_name(key) || !is_name(value) {
                let place = Place::Label(pair());
                let expected = "names on both sides".to_owned();
                return Err(SelectorError { place, expected, got: pair() });
            }
            if requirements.len() == LABELS_MAX {
                let expected = format!("at most {LABELS_MAX} labels");
                let got = labels.len().to_string();
                return Err(SelectorError { place: Place::Label(pair()), expected, got });
            }
            let test = Test::In(BTreeSet::from([value.clone()]));
            requirements.insert(Requirement { key: key.clone(), test });
        }
        Ok(Self { requirements })
    }

    /// The labels, where carrying each of them is all that the selector asks.
    #[must_use]
    pub fn as_labels(&self) -> Option<BTreeMap<String, String>> {
        let mut labels = BTreeMap::new();
        for Requirement { key, test } in &self.requirements {
            let Test::In(values) = test else { return None };
            let value = values.first().filter(|_| values.len() == 1)?;
            if labels.insert(key.clone(), value.clone()).is_some() {
                return None;
            }
        }
        Some(labels)
    }

    /// Whether a node with `labels` is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|Requirement { key, test }| match (test, labels.get(key)) {
            (Test::Exists, label) => label.is_some(),
            (Test::Absent, label) => label.is_none(),
            (Test::In(values), label) => label.is_some_and(|value| values.contains(value)),
            (Test::NotIn(values), label) => !label.is_some_and(|value| values.contains(value)),
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, test }) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            let one = |values: &BTreeSet<String>| values.first().cloned().unwrap_or_default();
            let all = |values: &BTreeSet<String>| {
                values.iter().map(String::as_str).collect::<Vec<_>>().join(",")
            };
            match test {
                Test::Exists => f.write_str(key)?,
                Test::Absent => write!(f, "!{key}")?,
                Test::In(values) if values.len() == 1 => write!(f, "{key}={}", one(values))?,
                Test::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", one(values))?,
                Test::In(values) => write!(f, "{key} in ({})", all(values))?,
                Test::NotIn(values) => write!(f, "{key} notin ({})", all(values))?,
            }
        }
        Ok(())
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut scanner = Scanner { text, at: 0, values: 0 };
        if text.len() > SELECTOR_BYTES_MAX {
            let got = format!("{} bytes", text.len());
            return Err(scanner.error(0, format!("at most {SELECTOR_BYTES_MAX} bytes"), got));
        }
        let mut requirements = BTreeSet::new();
        scanner.blanks();
        if scanner.peek().is_none() {
            return Ok(Self { requirements });
        }
        loop {
            scanner.blanks();
            let start = scanner.at;
            requirements.insert(scanner.requirement()?);
            if requirements.len() > LABELS_MAX {
                let got = scanner.text[start..scanner.at].trim_end();
                let (expected, got) = (format!("at most {LABELS_MAX} requirements"), excerpt(got));
                return Err(scanner.error(start, expected, format!("`{got}`")));
            }
            scanner.blanks();
            match scanner.peek() {
                None => return Ok(Self { requirements }),
                Some(b',') => scanner.at += 1,
                Some(_) => return Err(scanner.unexpected("`,` or the end")),
            }
        }
    }
}

/// Reads a selector's text from left to right. Stands between two characters at all times: it only ever passes ASCII
/// bytes and whole words.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    values: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Passes `symbol` if it comes next.
    fn take(&mut self, symbol: &str) -> bool {
        let comes = self.text[self.at..].starts_with(symbol);
        if comes {
            self.at += symbol.len();
        }
        comes
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.take("!") {
            let key = self.name("a key")?;
            return Ok(Requirement { key, test: Test::Absent });
        }
        let key = self.name("a key or `!`")?;
        self.blanks();
        let test = match self.peek() {
            None | Some(b',') => Test::Exists,
            Some(b'=') => {
                let _ = self.take("==") || self.take("=");
                Test::In(BTreeSet::from([self.value()?]))
            }
            Some(b'!') => {
                if !self.take("!=") {
                    return Err(self.unexpected("`!=`"));
                }
                Test::NotIn(BTreeSet::from([self.value()?]))
            }
            Some(_) => {
                let (start, word) = self.word();
                match word {
                    "in" => Test::In(self.set()?),
                    "notin" => Test::NotIn(self.set()?),
                    _ => {
                        self.at = start;
                        return Err(self.unexpected("`=`, `!=`, `in`, `notin`, `,` or the end"));
                    }
                }
            }
        };
        Ok(Requirement { key, test })
    }

    fn set(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        self.blanks();
        if !self.take("(") {
            return Err(self.unexpected("`(`"));
        }
        let mut values = BTreeSet::new();
        loop {
            values.insert(self.value()?);
            self.blanks();
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        let value = self.name("a value")?;
        self.values += 1;
        if self.values > SELECTOR_VALUES_MAX {
            let expected = format!("at most {SELECTOR_VALUES_MAX} values in all");
            return Err(self.error(self.at - value.len(), expected, format!("`{value}`")));
        }
        Ok(value)
    }

    fn name(&mut self, what: &str) -> Result<String, SelectorError> {
        self.blanks();
        let (start, word) = self.word();
        if is_name(word) {
            return Ok(word.to_owned());
        }
        self.at = start;
        let rule = "1 to 63 of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or a digit";
        Err(self.unexpected(&format!("{what}: {rule}")))
    }

    /// The word that comes next, perhaps none, and where it begins.
    fn word(&mut self) -> (usize, &str) {
        let start = self.at;
        let ends = |c: char| matches!(c, ' ' | '\t' | ',' | '(' | ')' | '=' | '!');
        let rest = &self.text[start..];
        self.at = start + rest.find(ends).unwrap_or(rest.len());
        (start, &self.text[start..self.at])
    }

    /// An error about what comes next.
    fn unexpected(&mut self, expected: &str) -> SelectorError {
        let start = self.at;
        let (_, word) = self.word();
        let word = excerpt(word);
        let next = self.text[start..].chars().next().map(|c| c.to_string());
        let got = match next {
            None => "the end".to_owned(),
            Some(next) if word.is_empty() => format!("`{}`", excerpt(&next)),
            Some(_) => format!("`{word}`"),
        };
        self.error(start, expected.to_owned(), got)
    }

    fn error(&self, at: usize, expected: String, got: String) -> SelectorError {
        SelectorError { place: Place::Column(at + 1), expected, got }
    }
}

#[cfg(test)]
mod tests;
