//! The few integer operations of the chip that Rust has no single name for.
//!
//! Every narrowing in this crate goes through here, so that the `as` keyword, and with it the
//! question "what happens to the other bits?", occurs in one place only. Saturating, wrapping and
//! shifting on a single width use the standard library's `saturating_*` and `wrapping_*` directly.

/// The low 16 bits of `x`, as a signed number: what a 16-bit register keeps of a wider sum or
/// product.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "dropping the high bits is the operation"
)]
pub(crate) const fn wrap16(x: i32) -> i16 {
    x as i16
}

/// The low 16 bits of `x`.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "dropping the high bits is the operation"
)]
pub(crate) const fn low16(x: u32) -> u16 {
    x as u16
}

/// The low 32 bits of `x`.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "dropping the high bits is the operation"
)]
pub(crate) const fn low32(x: u64) -> u32 {
    x as u32
}

/// A number of slots, pairs or outputs, as a number of clock cycles or operations.
pub(crate) fn count(slots: usize) -> u64 {
    u64::try_from(slots).expect("slots are at most 256")
}

/// `x` brought into the range of 16 bits.
pub(crate) fn saturate16(x: i64) -> i16 {
    i16::try_from(x).unwrap_or(if x < 0 { i16::MIN } else { i16::MAX })
}

/// A 5-bit two's-complement register image as a signed number, -16..=15.
pub(crate) const fn sign5(image: u32) -> i16 {
    wrap16((image << 27).cast_signed() >> 27)
}

/// One leak: `value` times a fixed-point factor close to 1.0, rounded up or down.
///
/// The factor comes as its distance from 1.0: `leak` = (factor - 1.0) * 2^16, so that the kept part
/// of the product is `value` plus the high half of `value * leak`, and the dropped part, 15 bits, is
/// at the top of the low half. `random` is the random word, likewise at the top of 16 bits, or
/// [`NEVER_UP`] where rounding is off. `mask` is the width of the register. The result is rounded up
/// when the dropped part reaches the random word, except when the factor is exactly 1.0 or the kept
/// part is zero. SPEC 4; srnn.v:1034-1036, 1094-1111, 1135-1157, 1188-1240.
#[inline(always)]
pub(crate) fn decay(value: i16, leak: i32, random: u16, mask: i16) -> i16 {
    // Bit 31 may be lost where value and leak are the least there are; only bits 0..=31 are used.
    let product = i32::from(value).wrapping_mul(leak);
    let kept = value.wrapping_add(wrap16(product >> 16)) & mask;
    let dropped = low16(product.cast_unsigned());
    let up = (dropped >= random) & (kept != 0) & (leak != 0);
    kept.wrapping_add(i16::from(up)) & mask
}

/// The random word that no dropped part reaches, since the lowest bit of that is always 0.
pub(crate) const NEVER_UP: u16 = u16::MAX;

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test may overflow: it fails then")]
mod tests {
    use super::*;

    /// SPEC 4 as written, in wide arithmetic: `factor` in units of 2^-`point`.
    fn decay_by_the_book(value: i64, factor: i64, point: u32, random: i64, mask: i64) -> i64 {
        let product = value * factor;
        let kept = (product >> point) & mask;
        let dropped = product & ((1 << point) - 1);
        let up = factor != 1 << point && dropped >= random && kept != 0;
        (kept + i64::from(up)) & mask
    }

    #[test]
    fn decay_equals_the_wide_formula() {
        for alpha in (0x7000_u16..=0x8FFF).step_by(37).chain([0x8000, 0x7FFF, 0x8001]) {
            for value in (i16::MIN..=i16::MAX).step_by(211).chain([i16::MIN, -1, 0, 1, i16::MAX]) {
                for random in [0_u16, 1, 0x1234, 0x7FFF] {
                    let leak = (i32::from(alpha) - 0x8000) * 2;
                    let got = decay(value, leak, random << 1, -1);
                    let book =
                        decay_by_the_book(value.into(), alpha.into(), 15, random.into(), 0xFFFF);
                    assert_eq!(
                        i64::from(got.cast_unsigned()),
                        book,
                        "{value} * {alpha:#x}, random {random:#x}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_factor_of_seven_bits_is_the_same_operation() {
        for kappa in 0_i16..=255 {
            for value in (0_i16..1024).step_by(7).chain([1023]) {
                for random in [0_u16, 1, 0x35, 0x7F] {
                    let leak = (i32::from(kappa) - 128) << 9;
                    let got = decay(value, leak, random << 9, 0x3FF);
                    let book =
                        decay_by_the_book(value.into(), kappa.into(), 7, random.into(), 0x3FF);
                    assert_eq!(i64::from(got), book, "{value} * {kappa}, random {random:#x}");
                }
            }
        }
    }

    #[test]
    fn narrowing_keeps_the_low_bits() {
        assert_eq!(wrap16(0x1_8000), i16::MIN);
        assert_eq!(low16(0x1_8000), 0x8000);
        assert_eq!(low32(0x1_8000_0000), 0x8000_0000);
        assert_eq!(
            (saturate16(40_000), saturate16(-40_000), saturate16(-5)),
            (i16::MAX, i16::MIN, -5)
        );
        assert_eq!((sign5(0), sign5(15), sign5(16), sign5(31)), (0, 15, -16, -1));
    }
}
