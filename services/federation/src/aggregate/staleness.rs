//! What a late update still weighs in asynchronous mode.
//!
//! FedBuff (Nguyen et al., AISTATS 2022) scales an update that is `s` versions late by `1 / sqrt(1 + s)`. Here the
//! scale is an integer out of [`UNIT`], from a table: sums stay exact, and no machine rounds a root in its own way.

use crate::limits::STALENESS_MAX;

/// What an update of the newest version weighs.
pub const UNIT: u16 = 256;

/// `round(UNIT / sqrt(1 + s))`, by staleness `s`.
#[rustfmt::skip]
const SCALES: [u16; STALENESS_MAX as usize + 1] = [
    256, 181, 148, 128, 114, 105, 97, 91, 85, 81, 77, 74, 71, 68, 66, 64, 62, 60, 59, 57, 56, 55,
    53, 52, 51, 50, 49, 48, 48, 47, 46, 45, 45, 44, 43, 43, 42, 42, 41, 40, 40, 40, 39, 39, 38, 38,
    37, 37, 37, 36, 36, 36, 35, 35, 35, 34, 34, 34, 33, 33, 33, 33, 32, 32, 32, 32, 31, 31, 31, 31,
    30, 30, 30, 30, 30, 29, 29, 29, 29, 29, 28, 28, 28, 28, 28, 28, 27, 27, 27, 27, 27, 27, 27, 26,
    26, 26, 26, 26, 26, 26, 25, 25, 25, 25, 25, 25, 25, 25, 25, 24, 24, 24, 24, 24, 24, 24, 24, 24,
    23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 23, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 21,
    21, 21, 21, 21, 21, 21, 21, 21, 21, 21, 21, 21, 21, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20,
    20, 20, 20, 20, 20, 20, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19,
    19, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 17,
    17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17,
    17, 17, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
];

/// What an update that is `staleness` versions late weighs, out of [`UNIT`]; `None` beyond [`STALENESS_MAX`].
#[must_use]
pub fn scale(staleness: u32) -> Option<u16> {
    SCALES.get(usize::try_from(staleness).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::{SCALES, STALENESS_MAX, UNIT, scale};

    #[test]
    fn the_table_is_the_rounded_root() {
        let unit = u64::from(UNIT);
        for (late, &scale) in (0_u64..).zip(&SCALES) {
            // scale - 1/2 <= UNIT / sqrt(1 + late) < scale + 1/2, without the root.
            let at_most = |twice: u64| twice * twice * (1 + late) <= 4 * unit * unit;
            let scale = u64::from(scale);
            assert!(at_most(2 * scale - 1) && !at_most(2 * scale + 1), "{late}: {scale}");
        }
    }

    #[test]
    fn what_is_too_late_has_no_weight() {
        assert_eq!([0, 1, 3, 8, 255].map(scale), [256, 181, 128, 85, 16].map(Some));
        assert_eq!([STALENESS_MAX + 1, u32::MAX].map(scale), [None, None]);
    }
}
