//! The report's tables: one source for the page, where people read them, and for CSV files, where programs do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::data::Data;
use super::text;

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    /// Its name, and its file's.
    pub(super) name: &'static str,
    /// Columns: the name in the file, the heading on the page (`None`: not on the page), whether it holds numbers.
    pub(super) columns: Vec<Column>,
    /// Rows of cells.
    pub(super) rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    name: String,
    pub(super) heading: Option<&'static str>,
    pub(super) kind: Kind,
}

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Code,
}

/// A cell: as a program reads it, and as people do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    raw: String,
    pub(super) shown: String,
}

impl Cell {
    fn new(raw: impl ToString, shown: String) -> Self {
        Self { raw: raw.to_string(), shown }
    }

    fn plain(value: impl ToString) -> Self {
        let raw = value.to_string();
        Self { shown: raw.clone(), raw }
    }

    fn count(count: u64) -> Self {
        Self::new(count, text::count(count))
    }

    fn maybe<T: Copy>(value: Option<T>, cell: impl Fn(T) -> Self) -> Self {
        value.map_or_else(|| Self::new("", "–".to_owned()), cell)
    }
}

impl Table {
    fn new(name: &'static str, columns: &[(&str, &'static str, Kind)]) -> Self {
        let column = |&(name, heading, kind): &(&str, &'static str, Kind)| Column {
            name: name.to_owned(),
            heading: (!heading.is_empty()).then_some(heading),
            kind,
        };
        Self { name, columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// As CSV: RFC 4180, with a heading, lines ended by a line feed.
    #[must_use]
    pub(super) fn csv(&self) -> String {
        let mut out = String::new();
        let heads = self.columns.iter().map(|column| column.name.as_str());
        line(&mut out, heads);
        for row in &self.rows {
            line(&mut out, row.iter().map(|cell| cell.raw.as_str()));
        }
        out
    }
}

/// Lines of cells as CSV.
#[must_use]
pub(super) fn csv_lines(lines: &[Vec<String>]) -> String {
    let mut out = String::new();
    for cells in lines {
        line(&mut out, cells.iter().map(String::as_str));
    }
    out
}

fn line<'c>(out: &mut String, cells: impl Iterator<Item = &'c str>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\"")).expect("a string takes all");
        } else {
            out.push_str(cell);
        }
    }
    out.push('\n');
}

/// All tables that are files.
#[must_use]
pub(super) fn all(data: &Data) -> Vec<Table> {
    vec![
        versions(data),
        rounds(data),
        nodes(data),
        weights(data),
        spikes(data),
        potentials(data),
        costs(data),
    ]
}

/// Every version.
#[must_use]
pub(super) fn versions(data: &Data) -> Table {
    let mut table = Table::new(
        "versions",
        &[
            ("number", "version", Kind::Number),
            ("parent", "parent", Kind::Number),
            ("digest", "digest", Kind::Code),
            ("accuracy", "accuracy", Kind::Number),
            ("updates", "updates", Kind::Number),
            ("samples", "samples", Kind::Number),
            ("bytes_up", "received", Kind::Number),
            ("bytes_down", "sent", Kind::Number),
            ("synaptic_ops", "synaptic ops", Kind::Number),
            ("cycles", "", Kind::Number),
            ("energy_nj", "energy per node", Kind::Number),
            ("published_at_ms", "published", Kind::Number),
        ],
    );
    table.rows = data
        .versions
        .iter()
        .map(|row| {
            vec![
                Cell::plain(row.number),
                Cell::maybe(row.parent, Cell::plain),
                Cell::new(&row.digest, text::short(&row.digest).to_owned()),
                Cell::maybe(row.accuracy, |share| Cell::new(share, text::percent(share))),
                Cell::count(row.updates),
                Cell::count(row.samples),
                Cell::new(row.bytes_up, text::bytes(row.bytes_up)),
                Cell::new(row.bytes_down, text::bytes(row.bytes_down)),
                Cell::new(row.synaptic_ops, large(row.synaptic_ops)),
                Cell::maybe(row.cycles, Cell::count),
                Cell::new(row.energy_nj, text::energy(row.energy_nj)),
                Cell::maybe(row.published_at_ms, |ms| Cell::new(ms, text::seconds(ms_to_s(ms)))),
            ]
        })
        .collect();
    table
}

/// Every attempt at a round.
#[must_use]
pub(super) fn rounds(data: &Data) -> Table {
    let mut table = Table::new(
        "rounds",
        &[
            ("number", "round", Kind::Number),
            ("attempt", "attempt", Kind::Number),
            ("state", "state", Kind::Text),
            ("reason", "reason", Kind::Text),
            ("version", "version", Kind::Number),
            ("opened_ms", "opened", Kind::Number),
            ("closed_ms", "", Kind::Number),
            ("took_ms", "took", Kind::Number),
            ("cohort", "cohort", Kind::Number),
            ("goal", "goal", Kind::Number),
            ("updates", "updates", Kind::Number),
            ("refused", "refused", Kind::Text),
            ("at_deadline", "", Kind::Text),
        ],
    );
    table.rows = data
        .rounds
        .iter()
        .map(|row| {
            let took = row.closed_ms.map(|closed| closed.saturating_sub(row.opened_ms));
            let time = |ms| Cell::new(ms, text::seconds(ms_to_s(ms)));
            let refused: Vec<_> =
                row.refused.iter().map(|(code, count)| format!("{code} {count}")).collect();
            let refused = refused.join("; ");
            let reason =
                row.reason.clone().or_else(|| row.at_deadline.then(|| "deadline".to_owned()));
            vec![
                Cell::plain(row.number),
                Cell::plain(row.attempt),
                Cell::plain(&row.state),
                Cell::new(
                    row.reason.as_deref().unwrap_or_default(),
                    reason.unwrap_or_else(|| "–".to_owned()),
                ),
                Cell::maybe(row.version, Cell::plain),
                time(row.opened_ms),
                Cell::maybe(row.closed_ms, time),
                Cell::maybe(took, time),
                Cell::count(row.cohort),
                Cell::count(row.goal),
                Cell::count(row.updates),
                Cell::new(
                    &refused,
                    if refused.is_empty() { "–".to_owned() } else { refused.clone() },
                ),
                Cell::plain(row.at_deadline),
            ]
        })
        .collect();
    table
}

/// Every node: what it took part in, and how it does.
#[must_use]
pub(super) fn nodes(data: &Data) -> Table {
    let mut table = Table::new(
        "nodes",
        &[
            ("node", "node", Kind::Code),
            ("label", "kind", Kind::Text),
            ("orders", "orders", Kind::Number),
            ("counted", "counted", Kind::Number),
            ("refused", "refused", Kind::Number),
            ("samples", "samples", Kind::Number),
            ("synaptic_ops", "synaptic ops", Kind::Number),
            ("cycles", "", Kind::Number),
            ("energy_nj", "energy", Kind::Number),
            ("correct", "", Kind::Number),
            ("total", "tried", Kind::Number),
            ("accuracy", "accuracy", Kind::Number),
        ],
    );
    let mut known: BTreeMap<&str, [Option<usize>; 2]> = BTreeMap::new();
    for (index, one) in data.participation.iter().enumerate() {
        known.entry(&one.node).or_default()[0] = Some(index);
    }
    for (index, one) in data.node_accuracies.iter().enumerate() {
        known.entry(&one.node).or_default()[1] = Some(index);
    }
    for (node, [part, accuracy]) in known {
        let part = part.map(|index| &data.participation[index]);
        let accuracy = accuracy.map(|index| &data.node_accuracies[index]);
        let label = part
            .and_then(|part| part.label.as_deref())
            .or_else(|| accuracy.and_then(|one| one.label.as_deref()));
        let energy = part.map(|part| crate::cost::energy_nj(part.synaptic_ops, 1));
        let share = accuracy.filter(|one| one.total > 0).map(|one| ratio(one.correct, one.total));
        table.rows.push(vec![
            Cell::plain(node),
            Cell::maybe(label, Cell::plain),
            Cell::maybe(part.and_then(|part| part.orders), Cell::count),
            Cell::maybe(part.map(|part| part.counted), Cell::count),
            Cell::maybe(part.map(|part| part.refused), Cell::count),
            Cell::maybe(part.map(|part| part.samples), Cell::count),
            Cell::maybe(part.map(|part| part.synaptic_ops), |ops| Cell::new(ops, large(ops))),
            Cell::maybe(part.and_then(|part| part.cycles), Cell::count),
            Cell::maybe(energy, |energy| Cell::new(energy, text::energy(energy))),
            Cell::maybe(accuracy.map(|one| one.correct), Cell::count),
            Cell::maybe(accuracy.map(|one| one.total), Cell::count),
            Cell::maybe(share, |share| Cell::new(share, text::percent(share))),
        ]);
    }
    table
}

/// Every value that a weight has, and how many have it.
#[must_use]
pub(super) fn weights(data: &Data) -> Table {
    let columns = [
        ("version", "version", Kind::Number),
        ("layer", "layer", Kind::Code),
        ("value", "value", Kind::Number),
        ("count", "weights", Kind::Number),
    ];
    let mut table = Table::new("weights", &columns);
    for one in &data.histograms {
        for (value, &count) in (-128_i16..).zip(&one.counts).filter(|&(_, &count)| count > 0) {
            let (version, layer) = (Cell::plain(one.version), Cell::plain(&one.layer));
            table.rows.push(vec![version, layer, Cell::plain(value), Cell::count(count)]);
        }
    }
    table
}

/// The weights of each version and layer, in a few figures.
#[must_use]
pub(super) fn weights_summary(data: &Data) -> Table {
    let columns = [
        ("version", "version", Kind::Number),
        ("layer", "layer", Kind::Code),
        ("weights", "weights", Kind::Number),
        ("zero", "zero", Kind::Number),
        ("least", "least", Kind::Number),
        ("greatest", "greatest", Kind::Number),
        ("mean", "mean size", Kind::Number),
    ];
    let mut table = Table::new("weights-summary", &columns);
    for one in &data.histograms {
        let values = || (-128_i64..).zip(&one.counts).filter(|&(_, &count)| count > 0);
        let all: u64 = one.counts.iter().sum();
        let size: u64 = values().map(|(value, count)| value.unsigned_abs() * count).sum();
        let zero = one.counts.get(128).copied().unwrap_or(0);
        table.rows.push(vec![
            Cell::plain(one.version),
            Cell::plain(&one.layer),
            Cell::count(all),
            Cell::count(zero),
            Cell::maybe(values().next().map(|(value, _)| value), Cell::plain),
            Cell::maybe(values().last().map(|(value, _)| value), Cell::plain),
            Cell::maybe((all > 0).then(|| ratio(size, all)), |mean| {
                Cell::new(mean, format!("{mean:.2}"))
            }),
        ]);
    }
    table
}

/// Input events and spikes of the sample.
#[must_use]
pub(super) fn spikes(data: &Data) -> Table {
    let columns = [
        ("kind", "kind", Kind::Text),
        ("tick", "tick", Kind::Number),
        ("row", "row", Kind::Number),
    ];
    let mut table = Table::new("spikes", &columns);
    if let Some(trace) = &data.trace {
        for (kind, marks) in [("input", &trace.events), ("recurrent", &trace.spikes)] {
            let rows = marks
                .iter()
                .map(|&[tick, row]| vec![Cell::plain(kind), Cell::plain(tick), Cell::plain(row)]);
            table.rows.extend(rows);
        }
    }
    table
}

/// Output potentials of the sample.
#[must_use]
pub(super) fn potentials(data: &Data) -> Table {
    let mut table = Table::new("potentials", &[("tick", "tick", Kind::Number)]);
    let Some(trace) = &data.trace else { return table };
    table.columns.extend((0..trace.potentials.len()).map(|output| Column {
        name: format!("output_{output}"),
        heading: None,
        kind: Kind::Number,
    }));
    let ticks = trace.potentials.iter().map(Vec::len).max().unwrap_or(0);
    for tick in 0..ticks {
        let values = trace
            .potentials
            .iter()
            .map(|output| Cell::maybe(output.get(tick).copied(), Cell::plain));
        table.rows.push([Cell::plain(tick)].into_iter().chain(values).collect());
    }
    table
}

/// What the work costs on the chip.
#[must_use]
pub(super) fn costs(data: &Data) -> Table {
    let columns = [
        ("work", "", Kind::Text),
        ("samples", "samples", Kind::Number),
        ("ticks", "ticks", Kind::Number),
        ("input_events", "input events", Kind::Number),
        ("spikes", "spikes", Kind::Number),
        ("synaptic_ops", "synaptic ops", Kind::Number),
        ("cycles_step", "", Kind::Number),
        ("cycles_sdone", "", Kind::Number),
        ("cycles_prop", "", Kind::Number),
        ("cycles_eprop", "", Kind::Number),
        ("cycles", "cycles", Kind::Number),
        ("energy_nj_per_sample", "energy per sample", Kind::Number),
        ("chip_ms_per_sample", "time per sample", Kind::Number),
        ("chip_times_real_time", "times real time", Kind::Number),
    ];
    let mut table = Table::new("cost", &columns);
    table.columns[0].heading = Some("work");
    let Some(cost) = &data.cost else { return table };
    for (name, work) in [("learning", cost.learning), ("inference", cost.inference)] {
        let Some(work) = work else { continue };
        let counts = work.counts;
        table.rows.push(vec![
            Cell::plain(name),
            Cell::count(counts.samples),
            Cell::count(counts.ticks),
            Cell::count(counts.input_events),
            Cell::count(counts.spikes),
            Cell::count(counts.synaptic_ops),
            Cell::count(counts.cycles.step),
            Cell::count(counts.cycles.sdone),
            Cell::count(counts.cycles.prop),
            Cell::count(counts.cycles.eprop),
            Cell::count(counts.cycles.total()),
            Cell::new(work.energy_nj_per_sample, text::energy(work.energy_nj_per_sample)),
            Cell::new(work.chip_ms_per_sample, text::seconds(work.chip_ms_per_sample / 1000.0)),
            Cell::maybe(work.chip_times_real_time, |times| Cell::new(times, text::large(times))),
        ]);
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn large(count: u64) -> String {
    text::large(count as f64)
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn ms_to_s(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
