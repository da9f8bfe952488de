//! A curve drawn in characters: each holds two columns and four rows of dots.

use std::collections::BTreeMap;

/// Dots of a character, across and down.
const DOTS: (u64, u64) = (2, 4);
/// The bit of each dot in a braille character, by column and row.
const BITS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// The curve through `points`, which go from left to right, in so many characters. Heights run from `low` to `high`.
pub(super) fn draw(
    points: &[(u64, u64)],
    low: u64,
    high: u64,
    width: u64,
    height: u64,
) -> Vec<String> {
    let (columns, rows) = ((width * DOTS.0).max(1), (height * DOTS.1).max(1));
    let (first, last) = (points.first().map_or(0, |p| p.0), points.last().map_or(0, |p| p.0));
    let place = |(x, y): (u64, u64)| {
        let above = high.saturating_sub(y.clamp(low, high));
        (share(x - first, last - first, columns - 1), share(above, high - low, rows - 1))
    };
    let mut cells: BTreeMap<(u64, u64), u32> = BTreeMap::new();
    let mut dot = |(x, y): (u64, u64)| {
        let (column, row) = (usize::from(x % 2 == 1), (y % 4).min(3));
        let bit = BITS[column][usize::try_from(row).expect("a row of a character is below 4")];
        *cells.entry((y / DOTS.1, x / DOTS.0)).or_default() |= bit;
    };
    let placed: Vec<_> = points.iter().map(|point| place(*point)).collect();
    for point in &placed {
        dot(*point);
    }
    for pair in placed.windows(2) {
        line(pair[0], pair[1], &mut dot);
    }
    let character = |cell| {
        let bits = cells.get(&cell).copied().unwrap_or(0);
        if bits == 0 { ' ' } else { char::from_u32(0x2800 + bits).unwrap_or(' ') }
    };
    (0..height).map(|row| (0..width).map(|column| character((row, column))).collect()).collect()
}

/// `part` of `whole`, as a part of `of`, rounded.
fn share(part: u64, whole: u64, of: u64) -> u64 {
    if whole == 0 { 0 } else { (part * of * 2 + whole) / (whole * 2) }
}

/// The dots between two dots: one in each column or row, whichever are more.
fn line(a: (u64, u64), b: (u64, u64), dot: &mut impl FnMut((u64, u64))) {
    let (across, down) = (a.0.abs_diff(b.0), a.1.abs_diff(b.1));
    let steps = across.max(down);
    let between = |from: u64, to: u64, by: u64, step: u64| {
        let moved = share(step, steps, by);
        if to >= from { from + moved } else { from - moved }
    };
    for step in 1..steps {
        dot((between(a.0, b.0, across, step), between(a.1, b.1, down, step)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rising_curve_rises() {
        let drawn = draw(&[(1, 0), (9, 100)], 0, 100, 4, 2);
        assert_eq!(drawn, ["  ⡠⠊", "⡠⠊  "]);
        let flat = draw(&[(1, 50), (2, 50)], 0, 100, 3, 1);
        assert_eq!(flat, ["⠤⠤⠤"]);
    }

    #[test]
    fn one_point_is_a_dot_and_none_is_nothing() {
        assert_eq!(draw(&[(7, 100)], 0, 100, 2, 2), ["⠁ ", "  "]);
        assert_eq!(draw(&[], 0, 100, 2, 1), ["  "]);
        assert_eq!(draw(&[(1, 5), (2, 5)], 5, 5, 1, 1), ["⠉"]);
    }

    #[test]
    fn more_points_than_dots_and_heights_outside_stay_inside() {
        let points: Vec<_> = (0..1_000).map(|x| (x, (x * 37) % 1_000)).collect();
        let drawn = draw(&points, 200, 300, 10, 3);
        assert_eq!(drawn.len(), 3);
        assert!(drawn.iter().all(|line| line.chars().count() == 10));
    }
}
