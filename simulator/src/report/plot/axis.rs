//! Scales, round numbers for ticks, and axes.

use super::{Canvas, Pane};

/// Maps a domain on pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    domain: [f64; 2],
    range: [f64; 2],
}

impl Scale {
    pub(super) fn new(domain: [f64; 2], range: [f64; 2]) -> Self {
        Self { domain, range }
    }

    /// Where a value stands; all values in the middle where there is but one.
    pub(super) fn at(&self, value: f64) -> f64 {
        let [low, high] = self.domain;
        let [from, to] = self.range;
        if high <= low {
            return f64::midpoint(from, to);
        }
        from + (value - low) / (high - low) * (to - from)
    }
}

/// Round numbers from `low` to `high`, at most about `most`: multiples of 1, 2 or 5 times a power of ten. With `whole`,
/// of 1 at least.
pub(super) fn ticks(low: f64, high: f64, most: usize, whole: bool) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 || most == 0 {
        return vec![low];
    }
    let wanted = span / super::len(most);
    let mut step = 1.0;
    while step > wanted {
        step /= 10.0;
    }
    while step * 10.0 <= wanted {
        step *= 10.0;
    }
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * step)
        .into_iter()
        .find(|&step| step >= wanted * 0.999)
        .unwrap_or(wanted);
    let step = if whole { step.max(1.0) } else { step };
    let mut ticks = Vec::new();
    let mut index = (low / step - 1e-9).ceil();
    while index * step <= high + step * 1e-9 {
        ticks.push(index * step + 0.0);
        index += 1.0;
    }
    ticks
}

/// The top of an axis that begins at 0 and holds `most`: a round number.
pub(super) fn ceiling(most: f64) -> f64 {
    if most <= 0.0 || !most.is_finite() {
        return 1.0;
    }
    let mut ticks = ticks(0.0, most, 4, false);
    let step = if ticks.len() > 1 { ticks[1] } else { most };
    let last = ticks.pop().unwrap_or(most);
    if last + step * 1e-6 >= most { last } else { last + step }
}

impl Canvas {
    /// Grid lines and labels of a vertical axis at the pane's left.
    pub(super) fn y_axis(
        &mut self,
        pane: Pane,
        scale: Scale,
        ticks: &[f64],
        label: impl Fn(f64) -> String,
    ) {
        for &tick in ticks {
            let y = scale.at(tick);
            self.line("p-grid", [pane.left, y, pane.right, y]);
            self.text("p-tick", "end", pane.left - 8.0, y + 4.0, &label(tick));
        }
    }

    /// The line and labels of a horizontal axis at the pane's bottom, and its name below.
    pub(super) fn x_axis(
        &mut self,
        pane: Pane,
        scale: Scale,
        ticks: &[f64],
        name: &str,
        label: impl Fn(f64) -> String,
    ) {
        self.line("p-axis", [pane.left, pane.bottom, pane.right, pane.bottom]);
        for &tick in ticks {
            let x = scale.at(tick);
            self.line("p-axis", [x, pane.bottom, x, pane.bottom + 4.0]);
            self.text("p-tick", "middle", x, pane.bottom + 18.0, &label(tick));
        }
        if !name.is_empty() {
            self.text("p-name", "end", pane.right, pane.bottom + 35.0, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 10.0, 5, false), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(1.0, 25.0, 8, true), [5.0, 10.0, 15.0, 20.0, 25.0]);
        assert_eq!(ticks(0.0, 2.0, 8, true), [0.0, 1.0, 2.0]);
        assert_eq!(ticks(3.0, 3.0, 8, true), [3.0]);
        assert_eq!(ticks(-100.0, 100.0, 4, false), [-100.0, -50.0, 0.0, 50.0, 100.0]);
        assert_eq!(ticks(0.0, f64::NAN, 4, false), [0.0]);
        let tenths = ticks(0.45, 1.0, 6, false);
        assert_eq!((tenths.len(), tenths[0]), (6, 0.5));
    }

    #[test]
    fn a_ceiling_holds_the_greatest() {
        let ceilings = [0.0, 1.0, 9.5, 100.0, 284_000.0, 7e-3].map(ceiling);
        assert_eq!(ceilings[..5], [1.0, 1.0, 10.0, 100.0, 300_000.0]);
        assert!((ceilings[5] - 8e-3).abs() < 1e-12, "{ceilings:?}");
    }

    #[test]
    fn one_value_stands_in_the_middle() {
        assert!((Scale::new([5.0, 5.0], [0.0, 10.0]).at(5.0) - 5.0).abs() < 1e-12);
        assert!((Scale::new([0.0, 4.0], [10.0, 0.0]).at(1.0) - 7.5).abs() < 1e-12);
    }
}
