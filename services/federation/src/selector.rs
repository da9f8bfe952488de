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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn each_form_means_what_it_means_in_kubernetes() {
        let node = labels("site=ams class=b");
        for (text, selected) in [
            ("", true),
            (" \t", true),
            ("site=ams", true),
            ("site == ams", true),
            ("site=ber", false),
            ("room=1", false),
            ("site!=ber", true),
            ("site != ams", false),
            ("room!=1", true),
            ("class in (a,b)", true),
            ("class in(a)", false),
            ("room in (1)", false),
            ("class notin (a,c)", true),
            ("class notin ( a , b )", false),
            ("room notin (1)", true),
            ("site", true),
            ("room", false),
            ("!room", true),
            ("! site", false),
            ("site=ams,class in (a,b),!room", true),
            ("site=ams,class in (a,c),!room", false),
            ("site=ams,site=ber", false),
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().matches(&node), selected, "{text:?}");
        }
    }

    #[test]
    fn words_of_the_grammar_are_keys_and_values_too() {
        let selector: Selector = "in in (in,notin), !notin, notin=in".parse().unwrap();
        assert_eq!(selector.to_string(), "in in (in,notin),!notin,notin=in");
        assert!("in".parse::<Selector>().unwrap().matches(&labels("in=x")));
    }

    #[test]
    fn the_text_is_canonical() {
        for (text, canonical) in [
            ("  ", ""),
            ("b,a", "a,b"),
            ("a,a", "a"),
            ("a == 1", "a=1"),
            ("a in (1)", "a=1"),
            ("a notin (1,1)", "a!=1"),
            ("a in ( 2 ,1, 2)", "a in (1,2)"),
            ("a notin (2,1)", "a notin (1,2)"),
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), canonical, "{text:?}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let check = |text: &str, column, expected: &str, got: &str| {
            let error = text.parse::<Selector>().unwrap_err();
            assert_eq!(error.place, Place::Column(column), "{text:?}: {error}");
            assert!(error.expected.contains(expected), "{text:?}: {error}");
            assert_eq!(error.got, got, "{text:?}");
        };
        check("site=", 6, "a value", "the end");
        check("site=ams,", 10, "a key", "the end");
        check(",site", 1, "a key", "`,`");
        check("site=ams ber", 10, "`,` or the end", "`ber`");
        check("site ams", 6, "`=`, `!=`, `in`", "`ams`");
        check("site inside (a)", 6, "`in`", "`inside`");
        check("class in a", 10, "`(`", "`a`");
        check("class in ()", 11, "a value", "`)`");
        check("class in (a", 12, "`,` or `)`", "the end");
        check("class in (a b)", 13, "`,` or `)`", "`b`");
        check("class !x", 7, "`!=`", "`!`");
        check("!", 2, "a key", "the end");
        check("!a=1", 3, "`,` or the end", "`=`");
        check("Site=ams", 1, "1 to 63 of a-z", "`Site`");
        check("site=é", 6, "a value", "`\\u{e9}`");
        check("site=a\nb", 6, "a value", "`a\\nb`");
        check("a>1", 1, "a key", "`a>1`");
        let error = "site=Ams".parse::<Selector>().unwrap_err().to_string();
        assert!(error.starts_with("column 6: expected a value: 1 to 63 of"), "{error}");
    }

    #[test]
    fn sizes_have_limits() {
        let keys = |count| (0..count).map(|i| format!("k{i}")).collect::<Vec<_>>().join(",");
        assert!(keys(LABELS_MAX).parse::<Selector>().is_ok());
        let error = keys(LABELS_MAX + 1).parse::<Selector>().unwrap_err();
        assert!(error.expected.contains("32 requirements") && error.got == "`k32`", "{error}");
        let values = |count| {
            let values: Vec<_> = (0..count).map(|i| format!("v{i}")).collect();
            format!("k in ({})", values.join(","))
        };
        assert!(values(SELECTOR_VALUES_MAX).parse::<Selector>().is_ok());
        let error = values(SELECTOR_VALUES_MAX + 1).parse::<Selector>().unwrap_err();
        assert!(error.got == "`v256`" && error.expected.contains("256 values"), "{error}");
        let wide = " ".repeat(SELECTOR_BYTES_MAX);
        assert_eq!(wide.parse::<Selector>(), Ok(Selector::default()));
        assert!(format!("{wide} ").parse::<Selector>().unwrap_err().got.contains("bytes"));
        let long = "n".repeat(64);
        assert!(long.parse::<Selector>().is_err());
    }

    #[test]
    fn labels_are_a_selector_and_some_selectors_are_labels() {
        let node = labels("site=ams class=b");
        let selector = Selector::of_labels(&node).unwrap();
        assert_eq!(selector.to_string(), "class=b,site=ams");
        assert_eq!(selector.as_labels(), Some(node));
        assert_eq!(Selector::default().as_labels(), Some(BTreeMap::new()));
        for more in ["a", "!a", "a!=1", "a in (1,2)", "a=1,a=2"] {
            assert_eq!(more.parse::<Selector>().unwrap().as_labels(), None, "{more}");
        }
        let trick = BTreeMap::from([("a=1,b".to_owned(), "2".to_owned())]);
        let error = Selector::of_labels(&trick).unwrap_err();
        assert_eq!(error.place, Place::Label("a=1,b=2".to_owned()));
        let many: BTreeMap<_, _> = (0..33).map(|i| (format!("k{i}"), "v".to_owned())).collect();
        assert!(Selector::of_labels(&many).unwrap_err().expected.contains("32"));
    }

    fn requirement() -> impl Strategy<Value = String> {
        let name = "[a-c0][a-b0._-]{0,2}";
        let set = prop::collection::vec(name, 1..4).prop_map(|values| values.join(" , "));
        prop_oneof![
            name.prop_map(String::from),
            name.prop_map(|key| format!("!{key}")),
            (name, "(=|==|!=)", name).prop_map(|(key, op, value)| format!("{key} {op}{value}")),
            (name, "(in|notin)", set).prop_map(|(key, op, set)| format!("{key} {op}({set})")),
        ]
    }

    proptest! {
        #[test]
        fn a_selector_is_what_its_text_says(
            requirements in prop::collection::vec(requirement(), 0..6),
            node in prop::collection::btree_map("[a-c0]", "[a-c0]", 0..4),
        ) {
            let selector: Selector = requirements.join(", ").parse().unwrap();
            let again: Selector = selector.to_string().parse().unwrap();
            prop_assert_eq!(&again, &selector);
            prop_assert_eq!(again.to_string(), selector.to_string());
            let each = |text: &String| text.parse::<Selector>().unwrap().matches(&node);
            prop_assert_eq!(selector.matches(&node), requirements.iter().all(each));
        }

        #[test]
        fn any_text_is_a_selector_or_told_where_not(
            text in prop_oneof![any::<String>(), "[a-b=!(), \tinot]{0,40}"],
        ) {
            match text.parse::<Selector>() {
                Ok(selector) => {
                    prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
                }
                Err(error) => {
                    let Place::Column(column) = error.place else { panic!("{error}") };
                    prop_assert!((1..=text.len() + 1).contains(&column) && text.is_char_boundary(column - 1));
                    prop_assert!(text[..column - 1].is_ascii());
                    prop_assert!(!error.expected.is_empty() && !error.got.is_empty());
                }
            }
        }
    }
}
