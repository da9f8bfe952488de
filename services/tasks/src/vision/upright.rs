//! Sets what a camera saw upright: where it stood, how it leaned, and how wide and tall it was, are taken out.
//!
//! People write the same digit slanted, wide or small. The first and second moments of a recording's changes tell how, without a
//! label. They are those of the whole recording, so that a device holds it before it sends the first event (N-MNIST: 4,130 changes
//! of five bytes); it then looks at each change three times.

use alloc::vec::Vec;

use super::Change;

/// Pixels of the upright picture, in each direction.
pub const PIXELS: u16 = 256;

/// Sixteenths of a pixel: what lengths are counted in.
const PARTS: i64 = 16;
/// What a slant of one pixel a row is counted as.
const ONE: i64 = 256;
/// No slant is more than two pixels a row; what is so flat is no digit.
const SLANT_MAX: i64 = 2 * ONE;

/// What an upright picture shows of what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its width and height, in tenths of the standard deviation of what was seen.
    pub tenths: (u16, u16),
}

impl Frame {
    /// N-MNIST: seven standard deviations wide and 5.6 tall.
    pub const NMNIST: Self = Self { tenths: (70, 56) };

    /// The changes of one recording in a picture of [`PIXELS`], in their order; those outside of it are left out.
    ///
    /// The mean of all comes to the middle, rows are moved along themselves until columns do not depend on rows any more, and
    /// both directions are stretched until their standard deviations are what the frame says.
    #[must_use]
    pub fn set_upright(&self, changes: &[Change]) -> Vec<Change> {
        let Some(stance) = Stance::of(changes) else { return Vec::new() };
        changes.iter().filter_map(|&change| self.place(&stance, change)).collect()
    }

    fn place(&self, stance: &Stance, change: Change) -> Option<Change> {
        let at = |distance: i64, deviation: i64, tenths: u16| {
            let width = i64::from(tenths) * deviation;
            let place = i64::from(PIXELS) * (20 * distance + width);
            let place = u16::try_from(place.checked_div_euclid(2 * width)?).ok()?;
            Some(place).filter(|&place| place < PIXELS)
        };
        let (dx, dy) = stance.offset(change);
        let x = at(stance.upright(dx, dy), stance.deviation.0, self.tenths.0)?;
        let y = at(dy, stance.deviation.1, self.tenths.1)?;
        Some(Change { x, y, ..change })
    }
}

/// Where something stands and how, in [`PARTS`] of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stance {
    centre: (i64, i64),
    /// How far a row is to the right of the one above, of [`ONE`].
    slant: i64,
    /// Standard deviations across and down, once upright; at least 1.
    deviation: (i64, i64),
}

impl Stance {
    /// `None` without any change.
    fn of(changes: &[Change]) -> Option<Self> {
        let [x, y] = means(changes, |one| [one.x, one.y].map(|at| PARTS * i64::from(at)))?;
        let mut stance = Self { centre: (x, y), slant: 0, deviation: (1, 1) };
        let [xx, xy, yy] = means(changes, |one| {
            let (dx, dy) = stance.offset(one);
            [dx * dx, dx * dy, dy * dy]
        })?;
        let slant = (ONE * xy).checked_div(yy).unwrap_or(0).clamp(-SLANT_MAX, SLANT_MAX);
        let root = |square: i64| square.max(1).isqrt();
        stance.slant = slant;
        stance.deviation = (root(xx - slant * xy / ONE), root(yy));
        Some(stance)
    }

    fn offset(&self, change: Change) -> (i64, i64) {
        (PARTS * i64::from(change.x) - self.centre.0, PARTS * i64::from(change.y) - self.centre.1)
    }

    /// Where it were across, if it did not lean.
    fn upright(&self, dx: i64, dy: i64) -> i64 {
        dx - (self.slant * dy).div_euclid(ONE)
    }
}

/// The means of some numbers of each change, rounded down; `None` without any change.
fn means<const N: usize>(changes: &[Change], of: impl Fn(Change) -> [i64; N]) -> Option<[i64; N]> {
    let mut sums = [0_i128; N];
    for &change in changes {
        for (sum, number) in sums.iter_mut().zip(of(change)) {
            *sum += i128::from(number);
        }
    }
    let count = i128::try_from(changes.len()).ok().filter(|&count| count > 0)?;
    // A mean of 64-bit numbers is one.
    Some(sums.map(|sum| i64::try_from(sum.div_euclid(count)).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    const FRAME: Frame = Frame { tenths: (40, 40) };

    fn change(x: u16, y: u16) -> Change {
        Change { us: u32::from(x) + 1000 * u32::from(y), x, y, on: (x + y).is_multiple_of(2) }
    }

    /// A block of pixels, each row so far to the right of the one above.
    fn block(left: u16, top: u16, (wide, tall): (u16, u16), slant: u16) -> Vec<Change> {
        let row = |y| (0..wide).map(move |x| change(left + x + slant * y, top + y));
        (0..tall).flat_map(row).collect()
    }

    fn places(changes: &[Change]) -> Vec<(u16, u16)> {
        FRAME.set_upright(changes).iter().map(|one| (one.x, one.y)).collect()
    }

    #[test]
    fn a_block_stands_in_the_middle_whatever_it_was() {
        let plain = places(&block(0, 0, (5, 5), 0));
        // Standard deviation sqrt(2) pixels, of 16 parts each: 22. Four of them are 256 pixels, a pixel of the camera 46.5.
        assert_eq!(plain.first(), Some(&(34, 34)));
        assert_eq!(plain.last(), Some(&(221, 221)));
        assert_eq!(plain[12], (128, 128));
        assert_eq!(plain, places(&block(7, 11, (5, 5), 0)), "wherever it stood");
        assert_eq!(plain, places(&block(7, 11, (5, 5), 1)), "however it leaned");
        let large: Vec<Change> = block(0, 0, (5, 5), 0)
            .into_iter()
            .map(|one| Change { x: 3 * one.x, y: 2 * one.y, ..one })
            .collect();
        let near =
            |(a, b): (&(u16, u16), &(u16, u16))| a.0.abs_diff(b.0) <= 2 && a.1.abs_diff(b.1) <= 2;
        assert!(plain.iter().zip(&places(&large)).all(near), "however large it was");
    }

    #[test]
    fn times_and_polarities_stay_in_their_order() {
        let block = block(2, 2, (4, 6), 0);
        let upright = FRAME.set_upright(&block);
        assert_eq!(upright.len(), 24);
        assert!(upright.iter().zip(&block).all(|(a, b)| (a.us, a.on) == (b.us, b.on)));
    }

    #[test]
    fn what_is_outside_is_left_out() {
        let mut seen = block(10, 10, (4, 4), 0);
        seen.push(change(33, 10));
        assert_eq!(FRAME.set_upright(&seen).len(), 16);
    }

    #[test]
    fn nothing_a_point_and_a_line_are_taken() {
        assert_eq!(FRAME.set_upright(&[]), vec![]);
        assert_eq!(places(&[change(9, 9); 3]), [(128, 128); 3]);
        assert_eq!(places(&block(3, 4, (1, 3), 0)).len(), 3);
        assert_eq!(places(&block(3, 4, (3, 1), 0)).len(), 3);
        let far = [change(0, 0), Change { us: 0, x: u16::MAX, y: u16::MAX, on: true }];
        assert_eq!(places(&far).len(), 2);
        assert_eq!(Frame { tenths: (0, 40) }.set_upright(&far), vec![]);
    }
}
