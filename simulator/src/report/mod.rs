//! Reports: what a run of a fleet came to, for programs and for people.
//!
//! Whoever runs a fleet fills [`Data`], lets [`Data::examine`] look into the versions, and calls [`Data::write`].

pub mod data;
mod examine;
mod json;

use std::path::Path;

pub use data::{
    Baselines, Data, Device, FORMAT, Histogram, NodeAccuracy, Participation, Round, Speed, Trace,
    Version, World,
};
pub use examine::{ExamineError, ExamineProblem, device, registers_of};

impl Data {
    /// Writes the report into `dir`, which is made if need be.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, dir: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("report.json"), self.json())
    }
}
