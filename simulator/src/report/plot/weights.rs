//! How the weights of each layer are spread, version above version.

use std::fmt::Write as _;

use super::axis::Scale;
use super::{Canvas, Pane, Plot, Width, float, len};
use crate::report::data::{Data, Histogram};
use crate::report::text::count;

/// Bins from zero to the greatest weight.
const BINS_EACH_SIDE: usize = 32;
/// Height of a version's row, and how far its curve may reach into the row above.
const ROW: f64 = 34.0;
const REACH: f64 = 1.5;

/// Draws it.
#[must_use]
pub(super) fn draw(data: &Data, width: Width) -> Plot {
    let title = "Weights, by layer and version".to_owned();
    let mut layers: Vec<&str> = Vec::new();
    let mut versions: Vec<u64> = Vec::new();
    for histogram in &data.histograms {
        if !layers.contains(&histogram.layer.as_str()) {
            layers.push(&histogram.layer);
        }
        if !versions.contains(&histogram.version) {
            versions.push(histogram.version);
        }
    }
    versions.sort_unstable();
    if layers.is_empty() {
        let mut canvas = Canvas::new(width, 140.0);
        let pane = canvas.pane([16.0, 16.0, 16.0, 48.0]);
        let why = "No version was looked into.";
        canvas.empty(pane, why);
        return canvas.plot("weights", title, why.to_owned());
    }
    let columns = if width == Width::Narrow { 1 } else { layers.len().min(3) };
    let lines = layers.len().div_ceil(columns);
    let block = 26.0 + ROW * (len(versions.len()) + REACH - 1.0) + 40.0;
    let mut canvas = Canvas::new(width, block * len(lines));
    let each = (canvas.width - 16.0) / len(columns);
    for (index, layer) in layers.iter().enumerate() {
        let (line, column) = (index / columns, index % columns);
        let top = block * len(line);
        let left = each * len(column);
        let pane = Pane {
            left: left + 48.0,
            right: left + each - 8.0,
            top: top + 26.0,
            bottom: top + block - 40.0,
        };
        canvas.text("p-mark", "start", pane.left, top + 15.0, name(layer));
        let of = |version: u64| {
            data.histograms.iter().find(|one| one.version == version && one.layer == *layer)
        };
        draw_layer(&mut canvas, pane, &versions, of);
    }
    let shown: Vec<_> = versions.iter().map(u64::to_string).collect();
    let desc = format!(
        "For each of {} layers, how many weights have which value from -128 to 127, in versions {}.",
        layers.len(),
        shown.join(", ")
    );
    canvas.plot("weights", title, desc)
}

/// What a layer is called, for people.
fn name(layer: &str) -> &str {
    match layer {
        "w_inp" => "input weights",
        "w_rec" => "recurrent weights",
        "w_out" => "output weights",
        other => other,
    }
}

fn draw_layer<'d>(
    canvas: &mut Canvas,
    pane: Pane,
    versions: &[u64],
    of: impl Fn(u64) -> Option<&'d Histogram>,
) {
    let counts = |version| of(version).map_or(&[][..], |histogram| &histogram.counts);
    let sizes = versions.iter().flat_map(|&version| {
        (-128_i16..).zip(counts(version)).filter(|&(_, &count)| count > 0).map(|(value, _)| {
            // The right edge of a value's place is the next value.
            if value < 0 { value.unsigned_abs() } else { value.unsigned_abs() + 1 }
        })
    });
    let bound = usize::from(sizes.max().unwrap_or(0)).next_multiple_of(16).clamp(16, 128);
    let wide = (bound / BINS_EACH_SIDE).max(1);
    let binned = |version| {
        let from = counts(version).get(128 - bound..128 + bound).unwrap_or_default();
        from.chunks(wide).map(|bin| bin.iter().sum::<u64>()).collect::<Vec<_>>()
    };
    let bins: Vec<Vec<u64>> = versions.iter().map(|&version| binned(version)).collect();
    let most = float(bins.iter().flatten().copied().max().unwrap_or(1).max(1));
    let x = Scale::new([-len(bound), len(bound)], [pane.left, pane.right]);
    let marks = [-1.0, -0.5, 0.0, 0.5, 1.0].map(|part| part * len(bound));
    for mark in marks {
        canvas.line("p-grid", [x.at(mark), pane.top, x.at(mark), pane.bottom]);
    }
    canvas.x_axis(pane, x, &marks, "", |value| format!("{value:.0}"));
    for (index, (version, bins)) in versions.iter().zip(&bins).enumerate() {
        let base = pane.bottom - ROW * len(versions.len() - 1 - index);
        let mut d = format!("M{:.1} {base:.1}", pane.left);
        for (bin, &count) in bins.iter().enumerate() {
            let edge = |bin: usize| x.at(len(bin * wide) - len(bound));
            let y = base - float(count) / most * ROW * REACH;
            write!(d, "L{:.1} {y:.1}L{:.1} {y:.1}", edge(bin), edge(bin + 1))
                .expect("writing to a string cannot fail");
        }
        write!(d, "L{:.1} {base:.1}Z", pane.right).expect("writing to a string cannot fail");
        let class = if index + 1 == versions.len() { "p-fill0" } else { "p-soft0" };
        canvas.path(class, &d);
        canvas.text("p-tick", "end", pane.left - 8.0, base, &format!("v{version}"));
        let zero = counts(*version).get(128).copied().unwrap_or(0);
        let tip = format!("version {version}: {} weights are zero", count(zero));
        canvas.rect("p-hit", [pane.left, base - ROW, pane.right - pane.left, ROW], &tip);
    }
}
