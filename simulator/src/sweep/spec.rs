//! What a sweep tries: a TOML file, and the cells that it means.

use std::collections::BTreeMap;

use federation::Digest;
use serde::Deserialize;
use serde_json::Value;
use tasks::random::derive;
use thiserror::Error;

/// Most runs of one sweep: a slip of the pen should not begin a month of work.
pub const RUNS_MAX: usize = 10_000;
/// Most processes at a time.
const PARALLEL_MAX: usize = 256;

/// A sweep, as its file says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Arguments that all runs share, after the command itself: `["--nodes", "20"]`.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Seeds with each of which every cell is run.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// Whether all combinations are tried, or some that are drawn.
    #[serde(default)]
    pub search: Search,
    /// How many cells are drawn; for a random search.
    pub cells: Option<usize>,
    /// The seed that they are drawn from; for a random search.
    #[serde(default)]
    pub draw_seed: u64,
    /// Processes at a time; as many as there are cores, if it does not say.
    pub parallel: Option<usize>,
    /// What is varied: `plan.PATH`, `register.NAME` or `flag.NAME`, and the values that it takes.
    pub parameters: BTreeMap<String, Values>,
}

fn one_seed() -> Vec<u64> {
    vec![1]
}

/// How cells are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Search {
    /// All combinations.
    #[default]
    Grid,
    /// Drawn combinations.
    Random,
}

/// The values of a parameter.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// These.
    List(Vec<Value>),
    /// From one to the other, both among them: in steps, or (drawn alone) whichever.
    Range(Range),
}

/// A range of values.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub from: f64,
    /// The greatest.
    pub to: f64,
    /// What lies between two of them.
    pub step: Option<f64>,
}

/// Why a sweep cannot be begun. All that is wrong is said at once.
#[derive(Debug, Error)]
pub enum SpecError {
    /// The file is not TOML, or not a sweep.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// It is one, but not one that makes sense.
    #[error("{}", .0.join("\n"))]
    Values(Vec<String>),
}

impl SpecError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Toml(_) => "sweep_malformed",
            Self::Values(_) => "sweep_invalid",
        }
    }
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What its parameters are.
    pub values: BTreeMap<String, Value>,
    /// Its seed.
    pub seed: u64,
    /// Its arguments, but for where the report goes.
    pub arguments: Vec<String>,
}

impl Cell {
    /// Its name, a function of its arguments: a sweep that is changed finds again what it has run already.
    #[must_use]
    pub fn name(&self) -> String {
        let text = self.arguments.join("\0");
        Digest::of(text.as_bytes()).to_string()[..16].to_owned()
    }
}

impl Spec {
    /// Reads a sweep.
    ///
    /// # Errors
    /// [`SpecError`] with everything that is wrong.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec: Self = toml::from_str(text)?;
        let problems = spec.problems();
        if problems.is_empty() { Ok(spec) } else { Err(SpecError::Values(problems)) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.seeds.is_empty() {
            problems.push("seeds: there is none".to_owned());
        }
        if self.parameters.is_empty() {
            problems.push("parameters: there is none".to_owned());
        }
        if self.parallel.is_some_and(|parallel| parallel == 0 || parallel > PARALLEL_MAX) {
            problems.push(format!("parallel: it is not from 1 to {PARALLEL_MAX}"));
        }
        match (self.search, self.cells) {
            (Search::Grid, Some(_)) => problems.push("cells: a grid has all of them".to_owned()),
            (Search::Random, None | Some(0)) => {
                problems.push("cells: a random search needs to know how many".to_owned());
            }
            _ => {}
        }
        for (name, values) in &self.parameters {
            let known = ["plan.", "register.", "flag."]
                .iter()
                .any(|kind| name.strip_prefix(kind).is_some_and(|rest| !rest.is_empty()));
            if !known {
                problems.push(format!(
                    "parameters.{name}: it is not plan.PATH, register.NAME or flag.NAME"
                ));
            }
            match values {
                Values::List(list) => {
                    if list.is_empty() {
                        problems.push(format!("parameters.{name}: there is no value"));
                    }
                    if list
                        .iter()
                        .any(|value| value.is_array() || value.is_object() || value.is_null())
                    {
                        problems.push(format!(
                            "parameters.{name}: a value is no number, text or truth"
                        ));
                    }
                }
                Values::Range(Range { from, to, step }) => {
                    if !from.is_finite() || !to.is_finite() || from > to {
                        problems
                            .push(format!("parameters.{name}: it does not go from less to more"));
                    }
                    if step.is_some_and(|step| !step.is_finite() || step <= 0.0) {
                        problems.push(format!("parameters.{name}: step is not above 0"));
                    }
                    if step.is_none() && self.search == Search::Grid {
                        problems.push(format!("parameters.{name}: a grid needs a step"));
                    }
                }
            }
        }
        if problems.is_empty() && self.runs() > RUNS_MAX {
            problems.push(format!("it means {} runs, more than {RUNS_MAX}", self.runs()));
        }
        problems
    }

    /// How many runs it means.
    fn runs(&self) -> usize {
        let cells = match self.search {
            Search::Random => self.cells.unwrap_or(0),
            Search::Grid => self
                .parameters
                .values()
                .fold(1_usize, |all, values| all.saturating_mul(values.count())),
        };
        cells.saturating_mul(self.seeds.len())
    }

    /// Its runs, in order: cell by cell, seed by seed.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let combinations = match self.search {
            Search::Grid => self.grid(),
            Search::Random => self.drawn(),
        };
        let mut cells = Vec::new();
        for values in combinations {
            for &seed in &self.seeds {
                let arguments = self.arguments_of(&values, seed);
                cells.push(Cell { values: values.clone(), seed, arguments });
            }
        }
        cells
    }

    fn grid(&self) -> Vec<BTreeMap<String, Value>> {
        let mut all = vec![BTreeMap::new()];
        for (name, values) in &self.parameters {
            let mut more = Vec::new();
            for combination in &all {
                for index in 0..values.count() {
                    let mut combination: BTreeMap<_, _> = combination.clone();
                    combination.insert(name.clone(), values.at(index));
                    more.push(combination);
                }
            }
            all = more;
        }
        all
    }

    /// A cell's draws depend on its number and the parameters' names alone: more cells leave the first ones as they are.
    fn drawn(&self) -> Vec<BTreeMap<String, Value>> {
        let cell = |cell: u64| {
            self.parameters
                .iter()
                .map(|(name, values)| {
                    let Digest(digest) = Digest::of(name.as_bytes());
                    let name_part =
                        digest.first_chunk::<8>().map_or(0, |part| u64::from_le_bytes(*part));
                    (name.clone(), values.draw(derive(self.draw_seed, &[cell, name_part])))
                })
                .collect()
        };
        (0..self.cells.unwrap_or(0))
            .map(|index| cell(u64::try_from(index).unwrap_or(u64::MAX)))
            .collect()
    }

    fn arguments_of(&self, values: &BTreeMap<String, Value>, seed: u64) -> Vec<String> {
        let mut arguments = self.arguments.clone();
        arguments.extend(["--seed".to_owned(), seed.to_string()]);
        for (name, value) in values {
            let value = match value {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            if let Some(path) = name.strip_prefix("plan.") {
                arguments.extend(["--set".to_owned(), format!("{path}={value}")]);
            } else if let Some(register) = name.strip_prefix("register.") {
                arguments.extend(["--register".to_owned(), format!("{register}={value}")]);
            } else if let Some(flag) = name.strip_prefix("flag.") {
                arguments.extend([format!("--{flag}"), value]);
            }
        }
        arguments
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a range's parts are few; a draw needs 53 bits"
)]
impl Values {
    fn count(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Range(range) => range.count(),
        }
    }

    fn at(&self, index: usize) -> Value {
        match self {
            Self::List(list) => list.get(index).cloned().unwrap_or_default(),
            Self::Range(Range { from, step, .. }) => {
                number(from + index as f64 * step.unwrap_or(0.0))
            }
        }
    }

    /// One of them, by 64 random bits.
    fn draw(&self, bits: u64) -> Value {
        let share = (bits >> 11) as f64 / (1_u64 << 53) as f64;
        match self {
            Self::Range(Range { from, to, step: None }) => {
                // Four digits after the point of a thousandth of the range are plenty.
                let value = from + share * (to - from);
                number(value)
            }
            values => values.at((share * values.count() as f64) as usize),
        }
    }
}

impl Range {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float that is too large becomes the greatest number, which is refused"
    )]
    fn count(&self) -> usize {
        let Some(step) = self.step else { return 1 };
        (((self.to - self.from) / step + 1e-9).floor().max(0.0) as usize).saturating_add(1)
    }
}

/// A number, whole where it is.
#[expect(clippy::cast_possible_truncation, reason = "only where it is whole and small")]
fn number(value: f64) -> Value {
    let near = value.round();
    if (value - near).abs() < 1e-9 && near.abs() < 1e15 {
        return Value::from(near as i64);
    }
    // Nine digits, so that steps of 0.1 stay steps of 0.1.
    format!("{value:.9}").parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        match Spec::parse(text) {
            Err(SpecError::Values(problems)) => assert_eq!(problems, expected),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_grid_is_all_combinations() {
        let spec = Spec::parse(
            r#"
            arguments = ["--nodes", "5"]
            seeds = [1, 2]
            [parameters]
            "plan.strategy.server_learning_rate" = [1.0, 1.5]
            "register.SPI_LR_P_WINP" = { from = 6, to = 8, step = 1 }
            "flag.data" = ["navigation"]
            "#,
        )
        .unwrap();
        let cells = spec.cells();
        assert_eq!(cells.len(), 2 * 3 * 2);
        assert_eq!(
            cells[0].arguments.join(" "),
            "--nodes 5 --seed 1 --data navigation --set strategy.server_learning_rate=1.0 --register SPI_LR_P_WINP=6"
        );
        assert_eq!(cells[1].seed, 2);
        assert_eq!(cells[11].values["register.SPI_LR_P_WINP"], 8);
        let names: std::collections::BTreeSet<_> = cells.iter().map(Cell::name).collect();
        assert_eq!(names.len(), 12);
    }

    #[test]
    fn drawn_cells_stay_when_more_are_drawn() {
        let spec = |cells| {
            let text = format!(
                "search = \"random\"\ncells = {cells}\ndraw_seed = 7\n[parameters]\n\"plan.a\" = {{ from = 0, to = 1 }}\n\"plan.b\" = [\"x\", \"y\", \"z\"]\n\"plan.c\" = {{ from = 1, to = 9, step = 2 }}\n"
            );
            Spec::parse(&text).unwrap().cells()
        };
        let (few, many) = (spec(3), spec(40));
        assert_eq!(few[..], many[..3]);
        for cell in &many {
            let a = cell.values["plan.a"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&a));
            assert!([1, 3, 5, 7, 9].contains(&cell.values["plan.c"].as_i64().unwrap()));
        }
        let drawn = |name: &str| {
            let texts = many.iter().map(|cell| cell.values[name].to_string());
            texts.collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!((drawn("plan.b"), drawn("plan.c")), (3, 5));
        assert!(drawn("plan.a") > 30);
    }

    #[test]
    fn ranges_count_both_ends() {
        let range = |from, to, step| Values::Range(Range { from, to, step: Some(step) });
        let values = range(0.1, 0.5, 0.1);
        let texts: Vec<_> = (0..values.count()).map(|index| values.at(index).to_string()).collect();
        assert_eq!(texts, ["0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(range(1.0, 1.0, 5.0).count(), 1);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        check(
            "seeds = []\ncells = 3\nparallel = 0\n[parameters]\nrounds = []\n\"plan.a\" = { from = 2, to = 1 }\n\"plan.b\" = [[1]]\n",
            &[
                "seeds: there is none",
                "parallel: it is not from 1 to 256",
                "cells: a grid has all of them",
                "parameters.plan.a: it does not go from less to more",
                "parameters.plan.a: a grid needs a step",
                "parameters.plan.b: a value is no number, text or truth",
                "parameters.rounds: it is not plan.PATH, register.NAME or flag.NAME",
                "parameters.rounds: there is no value",
            ],
        );
        check(
            "[parameters]\n\"plan.a\" = { from = 0, to = 1e9, step = 1e-3 }\n",
            &["it means 1000000000001 runs, more than 10000"],
        );
        check(
            "search = \"random\"\nparameters = {}\n",
            &["parameters: there is none", "cells: a random search needs to know how many"],
        );
        for text in [
            "x",
            "unknown = 1\n[parameters]\n",
            "[parameters]\n\"plan.a\" = { from = 1, to = 2, by = 3 }\n",
        ] {
            assert_eq!(Spec::parse(text).unwrap_err().code(), "sweep_malformed", "{text}");
        }
    }
}
