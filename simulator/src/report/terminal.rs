//! The report for a terminal: the table of versions.

use std::fmt::Write as _;

use super::data::Data;
use super::text::{bytes, short};

impl Data {
    /// The table of versions.
    #[must_use]
    pub fn versions_table(&self) -> String {
        let mut out = format!(
            "{:>7}  {:<12}  {:>6}  {:>8}  {:>7}  {:>9}  {:>9}  {:>11}\n",
            "version", "digest", "parent", "accuracy", "updates", "up", "down", "energy/node"
        );
        for row in &self.versions {
            let parent = row.parent.map_or_else(|| "-".to_owned(), |parent| parent.to_string());
            let accuracy = row
                .accuracy
                .map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0));
            // A terminal may know no Greek.
            let energy = super::text::energy(row.energy_nj).replace('µ', "u");
            writeln!(
                out,
                "{:>7}  {:<12}  {parent:>6}  {accuracy:>8}  {:>7}  {:>9}  {:>9}  {energy:>11}",
                row.number,
                short(&row.digest),
                row.updates,
                bytes(row.bytes_up),
                bytes(row.bytes_down),
            )
            .expect("writing to a string cannot fail");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;

    #[test]
    fn the_table_lines_up() {
        let table = fixture::small().versions_table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines[0],
            "version  digest        parent  accuracy  updates         up       down  energy/node"
        );
        assert_eq!(
            lines[1],
            "      1  000000000000       -    50.0 %        0        0 B        0 B         0 nJ"
        );
        assert_eq!(
            lines[2],
            "      2  111111111111       1    80.0 %        3    42.6 kB    42.9 kB      1.77 uJ"
        );
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].len()), "{table}");
    }
}
