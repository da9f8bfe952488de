//! The demo's report: `report.json` for programs, a table for people, a learning curve for both.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::curve;

/// Energy of one synaptic operation of the chip in picojoules: Frenkel and Indiveri, ISSCC 2022.
pub const PICOJOULES_PER_SYNAPTIC_OP: f64 = 5.3;

/// `report.json`. A contract: fields are added, never renamed.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed that repeats the run.
    pub seed: u64,
    /// The task.
    pub task: String,
    /// How many nodes took part.
    pub nodes: usize,
    /// The plan, as the coordinator holds it.
    pub plan: Value,
    /// Whether the run repeats bit for bit from its seed: no deadline and no restarted process took part.
    pub reproducible: bool,
    /// Node processes that were started again.
    pub restarts: u32,
    /// Samples no node trained on, by which every version was evaluated.
    pub test_samples: usize,
    /// Wall time of the run in seconds, from the first process to the last evaluation.
    pub wall_s: f64,
    /// Accuracy of the last version, 0 to 1.
    pub final_accuracy: f64,
    /// Every version, in order.
    pub versions: Vec<VersionRow>,
}

/// One version.
#[derive(Clone, Debug, Serialize)]
pub struct VersionRow {
    /// Its number.
    pub number: u64,
    /// Its SHA-256 digest, hexadecimal.
    pub digest: String,
    /// Its parent's number; none for the first.
    pub parent: Option<u64>,
    /// Accuracy on the test samples, 0 to 1.
    pub accuracy: f64,
    /// Updates in it.
    pub updates: u64,
    /// Bytes of updates received for it.
    pub bytes_up: u64,
    /// Bytes of its parent sent to nodes for it.
    pub bytes_down: u64,
    /// Mean estimated energy of a node's training for it, in nanojoules.
    pub energy_nj: f64,
}

/// Mean energy of a node in nanojoules for `synaptic_ops` of `updates` nodes together.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "an estimate, shown with four digits")]
pub(super) fn energy_nj(synaptic_ops: u64, updates: u64) -> f64 {
    if updates == 0 {
        return 0.0;
    }
    synaptic_ops as f64 / updates as f64 * PICOJOULES_PER_SYNAPTIC_OP / 1000.0
}

impl Report {
    /// Writes `report.json` and `curve.svg` into `dir`, which is made if need be.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, dir: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("report.json"), self.json())?;
        std::fs::write(dir.join("curve.svg"), curve::svg(self))
    }

    /// The report as JSON text.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a report holds only text and finite numbers");
        text.push('\n');
        text
    }

    /// The table of versions.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = format!(
            "{:>7}  {:<12}  {:>6}  {:>8}  {:>7}  {:>9}  {:>9}  {:>11}\n",
            "version", "digest", "parent", "accuracy", "updates", "up", "down", "energy/node"
        );
        for row in &self.versions {
            let parent = row.parent.map_or_else(|| "-".to_owned(), |parent| parent.to_string());
            let (up, down, energy) =
                (bytes(row.bytes_up), bytes(row.bytes_down), energy(row.energy_nj));
            writeln!(
                out,
                "{:>7}  {:<12}  {parent:>6}  {:>6.1} %  {:>7}  {up:>9}  {down:>9}  {energy:>11}",
                row.number,
                &row.digest[..12.min(row.digest.len())],
                row.accuracy * 100.0,
                row.updates,
            )
            .expect("writing to a string cannot fail");
        }
        out
    }
}

/// A byte count for people, in decimal units.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// An energy for people.
fn energy(nanojoules: f64) -> String {
    if nanojoules < 1e3 {
        format!("{nanojoules:.1} nJ")
    } else if nanojoules < 1e6 {
        format!("{:.1} uJ", nanojoules / 1e3)
    } else {
        format!("{:.1} mJ", nanojoules / 1e6)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn report() -> Report {
        let row = |number: u64, accuracy| VersionRow {
            number,
            digest: format!("{number:064x}"),
            parent: number.checked_sub(1).filter(|&parent| parent > 0),
            accuracy,
            updates: 20,
            bytes_up: 284_000,
            bytes_down: 999,
            energy_nj: 1234.5,
        };
        Report {
            seed: 7,
            task: "navigation".to_owned(),
            nodes: 20,
            plan: Value::Null,
            reproducible: true,
            restarts: 0,
            test_samples: 300,
            wall_s: 30.0,
            final_accuracy: 0.97,
            versions: vec![row(1, 0.5), row(2, 0.8), row(3, 0.97)],
        }
    }

    #[test]
    fn the_table_lines_up() {
        let table = report().table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines[0],
            "version  digest        parent  accuracy  updates         up       down  energy/node"
        );
        assert_eq!(
            lines[1],
            "      1  000000000000       -    50.0 %       20   284.0 kB      999 B       1.2 uJ"
        );
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].len()), "{table}");
    }

    #[test]
    fn energy_is_a_mean_over_nodes() {
        assert!((energy_nj(2_000_000, 20) - 530.0).abs() < 1e-9);
        assert!(energy_nj(5, 0).abs() < f64::EPSILON);
        assert_eq!((energy(12.34), energy(12_340.0), energy(12_340_000.0)), {
            ("12.3 nJ".to_owned(), "12.3 uJ".to_owned(), "12.3 mJ".to_owned())
        });
        assert_eq!((bytes(999), bytes(1_500), bytes(2_500_000)), {
            ("999 B".to_owned(), "1.5 kB".to_owned(), "2.5 MB".to_owned())
        });
    }

    #[test]
    fn the_json_has_the_promised_fields() {
        let value: Value = serde_json::from_str(&report().json()).unwrap();
        for field in
            ["seed", "task", "plan", "reproducible", "wall_s", "final_accuracy", "versions"]
        {
            assert!(value.get(field).is_some(), "{field}");
        }
        for field in [
            "number",
            "digest",
            "parent",
            "accuracy",
            "updates",
            "bytes_up",
            "bytes_down",
            "energy_nj",
        ] {
            assert!(value["versions"][1].get(field).is_some(), "{field}");
        }
    }
}
