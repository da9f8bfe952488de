//! What came of a sweep: a table of its cells, and a plot of each parameter.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::spec::Cell;
use crate::report::Data;
use crate::report::compare::{self, Point};

/// What came of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Outcome {
    /// It ended well.
    Done {
        /// Accuracy of its final version, 0 to 1.
        final_accuracy: f64,
        /// The greatest accuracy of its versions.
        best_accuracy: f64,
        /// Whether it repeats bit for bit.
        reproducible: bool,
        /// Its wall time in seconds.
        wall_s: f64,
        /// Bytes that its nodes sent.
        bytes_up: u64,
        /// Synaptic operations of its nodes.
        synaptic_ops: u64,
        /// Whether it had been run before.
        kept: bool,
    },
    /// It did not.
    Failed {
        /// Why.
        why: String,
    },
}

impl Outcome {
    /// Of a run with this report.
    #[must_use]
    pub fn of(data: &Data, kept: bool) -> Self {
        let accuracies = data.versions.iter().filter_map(|version| version.accuracy);
        Self::Done {
            final_accuracy: data.final_accuracy,
            best_accuracy: accuracies.fold(data.final_accuracy, f64::max),
            reproducible: data.reproducible,
            wall_s: data.wall_s,
            bytes_up: data.versions.iter().map(|version| version.bytes_up).sum(),
            synaptic_ops: data.versions.iter().map(|version| version.synaptic_ops).sum(),
            kept,
        }
    }
}

/// The runs of a sweep, with what came of those that have ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    runs: Vec<(Cell, Option<Outcome>)>,
}

/// A combination of values, over its seeds.
struct Row<'r> {
    values: &'r BTreeMap<String, Value>,
    accuracies: Vec<f64>,
    failed: usize,
    waiting: usize,
}

impl Results {
    pub(super) fn new(cells: Vec<Cell>) -> Self {
        Self { runs: cells.into_iter().map(|cell| (cell, None)).collect() }
    }

    pub(super) fn put(&mut self, index: usize, outcome: Outcome) {
        self.runs[index].1 = Some(outcome);
    }

    /// Runs that have ended.
    #[must_use]
    pub fn done(&self) -> usize {
        self.runs.iter().filter(|(_, outcome)| outcome.is_some()).count()
    }

    /// Runs that have ended badly.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.runs
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Some(Outcome::Failed { .. })))
            .count()
    }

    /// The runs, in order.
    pub fn runs(&self) -> impl Iterator<Item = (&Cell, Option<&Outcome>)> {
        self.runs.iter().map(|(cell, outcome)| (cell, outcome.as_ref()))
    }

    /// A run that has ended, in a line.
    pub(super) fn line(&self, index: usize, outcome: &Outcome) -> String {
        let (cell, _) = &self.runs[index];
        let values: Vec<_> =
            cell.values.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
        let what = match outcome {
            Outcome::Done { final_accuracy, wall_s, .. } => {
                format!("{:.1} % in {wall_s:.1} s", final_accuracy * 100.0)
            }
            Outcome::Failed { why } => format!("failed: {why}"),
        };
        format!(
            "{}/{}  {}, seed {}: {what}",
            self.done() + 1,
            self.runs.len(),
            values.join(", "),
            cell.seed
        )
    }

    /// Combinations over their seeds, in the order of the runs.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for (cell, outcome) in &self.runs {
            // The seeds of a combination stand one after the other.
            if rows.last().is_none_or(|row| *row.values != cell.values) {
                rows.push(Row {
                    values: &cell.values,
                    accuracies: Vec::new(),
                    failed: 0,
                    waiting: 0,
                });
            }
            let Some(row) = rows.last_mut() else { continue };
            match outcome {
                Some(Outcome::Done { final_accuracy, .. }) => row.accuracies.push(*final_accuracy),
                Some(Outcome::Failed { .. }) => row.failed += 1,
                None => row.waiting += 1,
            }
        }
        rows
    }

    /// Writes `sweep.json`, `sweep.csv` (a row per run) and `sweep.html` into `dir`.
    pub(super) fn write(&self, dir: &Path) -> std::io::Result<()> {
        std::fs::write(dir.join("sweep.csv"), self.csv())?;
        std::fs::write(dir.join("sweep.html"), self.html())?;
        std::fs::write(dir.join("sweep.json"), self.json())
    }

    fn json(&self) -> String {
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|(cell, outcome)| {
                serde_json::json!({
                    "run": cell.name(),
                    "seed": cell.seed,
                    "values": cell.values,
                    "outcome": outcome,
                })
            })
            .collect();
        let mut text =
            serde_json::to_string_pretty(&serde_json::json!({ "format": 1, "runs": runs }))
                .expect("text and finite numbers");
        text.push('\n');
        text
    }

    fn names(&self) -> Vec<&str> {
        self.runs
            .first()
            .map_or_else(Vec::new, |(cell, _)| cell.values.keys().map(String::as_str).collect())
    }

    fn csv(&self) -> String {
        let names = self.names();
        let mut lines = vec![
            names
                .iter()
                .copied()
                .chain([
                    "seed",
                    "run",
                    "final_accuracy",
                    "best_accuracy",
                    "wall_s",
                    "bytes_up",
                    "synaptic_ops",
                    "failed",
                ])
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        ];
        for (cell, outcome) in &self.runs {
            let mut line: Vec<String> =
                names.iter().map(|name| plain(&cell.values[*name])).collect();
            line.extend([cell.seed.to_string(), cell.name()]);
            line.extend(match outcome {
                Some(Outcome::Done {
                    final_accuracy,
                    best_accuracy,
                    wall_s,
                    bytes_up,
                    synaptic_ops,
                    ..
                }) => [
                    final_accuracy.to_string(),
                    best_accuracy.to_string(),
                    wall_s.to_string(),
                    bytes_up.to_string(),
                    synaptic_ops.to_string(),
                    String::new(),
                ],
                Some(Outcome::Failed { why }) => {
                    let mut cells = [const { String::new() }; 6];
                    cells[5].clone_from(why);
                    cells
                }
                None => [const { String::new() }; 6],
            });
            lines.push(line);
        }
        compare::csv(&lines)
    }

    fn html(&self) -> String {
        let names = self.names();
        let mut rows = self.rows();
        let mut heads: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        heads.extend(["mean accuracy", "least", "greatest", "seeds"].map(str::to_owned));
        // The best first; those without a result at the end.
        rows.sort_by(|a, b| mean(&b.accuracies).total_cmp(&mean(&a.accuracies)));
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let table: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let mut cells: Vec<String> = row.values.values().map(plain).collect();
                if row.accuracies.is_empty() {
                    cells.extend([const { String::new() }; 3]);
                } else {
                    let least = row.accuracies.iter().copied().fold(1.0, f64::min);
                    let most = row.accuracies.iter().copied().fold(0.0, f64::max);
                    cells.extend([percent(mean(&row.accuracies)), percent(least), percent(most)]);
                }
                let mut seeds = row.accuracies.len().to_string();
                if row.failed > 0 {
                    seeds += &format!(", {} failed", row.failed);
                }
                if row.waiting > 0 {
                    seeds += &format!(", {} not run", row.waiting);
                }
                cells.push(seeds);
                cells
            })
            .collect();
        let plots: Vec<(&str, Vec<Point>)> = names
            .iter()
            .map(|&name| {
                let points = self.runs.iter().filter_map(|(cell, outcome)| match outcome {
                    Some(Outcome::Done { final_accuracy, .. }) => Some(Point {
                        at: cell.values[name].as_f64(),
                        name: plain(&cell.values[name]),
                        accuracy: *final_accuracy,
                    }),
                    _ => None,
                });
                (name, points.collect())
            })
            .collect();
        let failures: Vec<String> = self
            .runs
            .iter()
            .filter_map(|(cell, outcome)| match outcome {
                Some(Outcome::Failed { why }) => {
                    Some(format!("{}: {why}", cell.arguments.join(" ")))
                }
                _ => None,
            })
            .collect();
        let best = rows
            .first()
            .filter(|row| !row.accuracies.is_empty())
            .map(|row| percent(mean(&row.accuracies)));
        let lede = format!(
            "{} of {} runs have ended, {} failed. The best combination reaches {} on average.",
            self.done(),
            self.runs.len(),
            self.failed(),
            best.unwrap_or_else(|| "nothing yet".to_owned())
        );
        compare::html("A sweep", &lede, &plots, &heads, &table, &failures)
    }
}

fn mean(values: &[f64]) -> f64 {
    let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
    if values.is_empty() { -1.0 } else { values.iter().sum::<f64>() / count }
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
