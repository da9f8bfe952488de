//! The floor: `roof.c`, compiled by the system's C compiler and run beside our own cases.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What one run of `roof node` says about one shape, in nanoseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Floor {
    /// Events per step and time of an inference step with traces, sparsest first.
    pub(crate) infer: Vec<(f64, f64)>,
    /// A learning step over all weights.
    pub(crate) learn: f64,
    /// The same with additive regularisation.
    pub(crate) learn_reg: f64,
}

impl Floor {
    /// The inference step at a density between or beyond the measured ones.
    pub(crate) fn infer_at(&self, events: f64) -> f64 {
        let upper = self.infer.iter().position(|point| point.0 >= events);
        let upper = upper.unwrap_or(self.infer.len() - 1).max(1);
        let ((x0, y0), (x1, y1)) = (self.infer[upper - 1], self.infer[upper]);
        y0 + (y1 - y0) * (events - x0) / (x1 - x0)
    }
}

/// What one run of `roof agg` says about one number of weights.
#[derive(Debug, Clone, Default)]
pub(crate) struct AggregationFloor {
    /// GB/s at which updates in memory are summed.
    pub(crate) sum: f64,
    /// Microseconds for the median of 100 updates.
    pub(crate) median: f64,
    /// Microseconds for their mean, trimmed by a tenth at either end.
    pub(crate) trimmed_mean: f64,
}

/// The compiled program; its file goes away with it.
#[derive(Debug)]
pub(crate) struct Roof {
    program: PathBuf,
}

impl Roof {
    /// Compiles the program.
    pub(crate) fn build() -> Result<Roof, String> {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reckon/roofline/roof.c");
        if !source.exists() {
            return Err(format!("{} is not there", source.display()));
        }
        let program = std::env::temp_dir().join(format!("muster-roof-{}", std::process::id()));
        let done = Command::new("gcc")
            .args(["-O3", "-march=native", "-mprefer-vector-width=512", "-o"])
            .args([&program, &source])
            .arg("-lm")
            .output()
            .map_err(|error| format!("gcc: {error}"))?;
        if !done.status.success() {
            return Err(format!("gcc: {}", String::from_utf8_lossy(&done.stderr)));
        }
        Ok(Roof { program })
    }

    /// The floors of 40-100-2 and 256-256-16.
    pub(crate) fn run(&self) -> Result<[Floor; 2], String> {
        self.floors("node", "== net", read)
    }

    /// The floors of aggregating 14,200 and 135,168 weights.
    pub(crate) fn aggregation(&self) -> Result<[AggregationFloor; 2], String> {
        self.floors("agg", "== aggregation", read_aggregation)
    }

    /// Runs a part of the program; a line that begins with `head` opens the next floor, and `read` takes the others.
    fn floors<F: Default>(
        &self,
        part: &str,
        head: &str,
        read: fn(&str, &mut F),
    ) -> Result<[F; 2], String> {
        let done = Command::new(&self.program)
            .arg(part)
            .output()
            .map_err(|error| format!("roof: {error}"))?;
        let mut floors = Vec::new();
        for line in String::from_utf8_lossy(&done.stdout).lines() {
            if line.starts_with(head) {
                floors.push(F::default());
            } else if let Some(floor) = floors.last_mut() {
                read(line, floor);
            }
        }
        let floors = floors.try_into();
        floors.map_err(|found: Vec<F>| format!("roof: {} shapes, not 2", found.len()))
    }
}

impl Drop for Roof {
    fn drop(&mut self) {
        // A file left behind in the temporary directory does no harm.
        let _ = std::fs::remove_file(&self.program);
    }
}

fn read(line: &str, floor: &mut Floor) {
    if line.starts_with("infer step") {
        let point = number_after(line, "events/step ").zip(number_after(line, "+3 traces "));
        floor.infer.extend(point);
    }
    if let Some(time) = number_after(line, "intrinsics ") {
        floor.learn = time;
    }
    if let Some(time) = number_after(line, "additive regularisation ") {
        floor.learn_reg = time;
    }
}

fn read_aggregation(line: &str, floor: &mut AggregationFloor) {
    if let Some(rate) = number_after(line, "blocked x4 (batch in memory): ") {
        floor.sum = rate;
    }
    if let Some(time) = number_after(line, "10% trimmed mean of 100 int8 updates: ") {
        floor.trimmed_mean = time;
    } else if let Some(time) = number_after(line, "median of 100 int8 updates: ") {
        floor.median = time;
    }
}

/// The number that follows `words`.
fn number_after(line: &str, words: &str) -> Option<f64> {
    let rest = &line[line.find(words)? + words.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().ok()
}
