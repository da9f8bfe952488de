//! Reports: what a run of a fleet came to, for programs and for people.
//!
//! Whoever runs a fleet fills [`Data`], lets [`Data::examine`] look into the versions, and calls [`Data::write`]. Reading
//! order: [`data`] (the contract), `examine`, `table` (what the page and the CSV files share), `plot`, `page`.
//!
//! What it does not do: it asks no coordinator and trains nothing. The same data give the same files, byte for byte.

mod baselines;
pub(crate) mod compare;
pub mod data;
mod examine;
#[cfg(test)]
mod fixture;
mod gather;
mod json;
mod page;
mod plot;
mod png;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod text;

use std::io;
use std::path::Path;

pub use data::{
    Baselines, Data, Device, FORMAT, Histogram, NodeAccuracy, Participation, Round, Speed, Trace,
    Version, World,
};
pub use examine::{ExamineError, ExamineProblem, device, registers_of};

impl Data {
    /// Writes the report into `dir`, which is made if need be: `report.json`, `report.html`, an SVG file for each plot,
    /// a PNG file too where the system has a font, a CSV file for each table. Files of an earlier report there are replaced, `report.json` last: where it stands,
    /// the rest does.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let painter = png::Painter::new();
        for kind in plot::ALL {
            let plot = kind.draw(self, kind.wide);
            let file = |end: &str| dir.join(format!("{}.{end}", kind.name));
            std::fs::write(file("svg"), plot.standalone(plot::Ground::Either))?;
            if let Some(painter) = &painter {
                let png = painter.draw(&plot.standalone(plot::Ground::Light));
                std::fs::write(file("png"), png.map_err(io::Error::other)?)?;
            }
        }
        for table in table::all(self) {
            std::fs::write(dir.join(format!("{}.csv", table.name)), table.csv())?;
        }
        std::fs::write(dir.join("report.html"), self.html())?;
        std::fs::write(dir.join("report.json"), self.json())
    }

    /// The report as one HTML page that needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        page::html(self)
    }
}
