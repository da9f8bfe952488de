//! Figures: several runs of each case, and one line of their medians.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::clock::median;

/// One figure.
#[derive(Debug)]
pub(crate) struct Line {
    case: String,
    value: f64,
    unit: &'static str,
    floor: Option<f64>,
    ratio: Option<f64>,
}

impl Line {
    /// The line for tools; `more` is what the benchmark adds, as `"key":"value",`.
    pub(crate) fn json(&self, bench: &str, more: &str) -> String {
        let mut line = format!(
            "{{\"bench\":\"{bench}\",\"case\":\"{}\",{more}\"value\":{:.3},\"unit\":\"{}\"",
            self.case, self.value, self.unit
        );
        if let Some((floor, ratio)) = self.floor.zip(self.ratio) {
            // Writing to a string cannot fail.
            let _ = write!(line, ",\"floor\":{floor:.3},\"ratio\":{ratio:.3}");
        }
        line + "}"
    }

    /// The line for people.
    pub(crate) fn text(&self) -> String {
        let mut line = format!("{:<32} {:>14.1} {:<6}", self.case, self.value, self.unit);
        if let Some((floor, ratio)) = self.floor.zip(self.ratio) {
            let _ = write!(line, " floor {floor:>12.1} ratio {ratio:.2}");
        }
        line
    }
}

/// The measurements of one run: value, unit and floor by case, in the order of the cases.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    order: Vec<String>,
    values: BTreeMap<String, (&'static str, Vec<Run>)>,
}

/// Value and floor of one run.
type Run = (f64, Option<f64>);

impl Measured {
    /// One run of a case.
    pub(crate) fn add(&mut self, case: String, unit: &'static str, value: f64, floor: Option<f64>) {
        if !self.values.contains_key(&case) {
            self.order.push(case.clone());
        }
        self.values.entry(case).or_insert_with(|| (unit, Vec::new())).1.push((value, floor));
    }

    /// The medians.
    pub(crate) fn lines(self) -> Vec<Line> {
        let Measured { order, mut values } = self;
        let line = |case: String| {
            let (unit, runs) = values.remove(&case)?;
            Some(Line {
                case,
                unit,
                value: median(runs.iter().map(|run| run.0))?,
                floor: median(runs.iter().filter_map(|run| run.1)),
                ratio: median(runs.iter().filter_map(|run| Some(run.0 / run.1?))),
            })
        };
        order.into_iter().filter_map(line).collect()
    }
}
