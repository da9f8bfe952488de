//! One bit per slot: the spike flags and the two sets of input flags (SPEC 1; srnn.v:612-628,
//! 1112-1132).

/// A set of slots 0..=255.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flags([u64; 4]);

impl Flags {
    pub(crate) const EMPTY: Flags = Flags([0; 4]);

    pub(crate) const fn has(&self, slot: usize) -> bool {
        self.0[slot >> 6] >> (slot & 63) & 1 == 1
    }

    pub(crate) const fn insert(&mut self, slot: usize) {
        self.0[slot >> 6] |= 1 << (slot & 63);
    }

    /// Sets the 16 flags of lane group `group` to the bits of `lanes`.
    pub(crate) fn set_group(&mut self, group: usize, lanes: u16) {
        let shift = (group & 3) << 4;
        let word = &mut self.0[group >> 2];
        *word = *word & !(0xFFFF << shift) | u64::from(lanes) << shift;
    }

    /// The slots of either set.
    pub(crate) fn union(&self, other: &Flags) -> Flags {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        Flags([a | e, b | f, c | g, d | h])
    }

    /// Number of slots in the set.
    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Removes every slot above `last`.
    pub(crate) fn keep_up_to(&mut self, last: usize) {
        for (index, word) in (0_usize..).zip(&mut self.0) {
            let first = index << 6;
            let dropped = 63_usize.saturating_sub(last.saturating_sub(first));
            *word = if first > last { 0 } else { *word & u64::MAX >> dropped };
        }
    }

    /// Removes the lowest slot and returns it.
    pub(crate) fn pop_first(&mut self) -> Option<usize> {
        for (index, word) in (0_usize..).zip(&mut self.0) {
            if *word != 0 {
                let bit = usize::try_from(word.trailing_zeros()).expect("a bit number is below 64");
                *word &= word.wrapping_sub(1);
                return Some(index << 6 | bit);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_its_slots_back_in_order() {
        let mut set = Flags::EMPTY;
        for slot in [255, 0, 64, 63, 17] {
            set.insert(slot);
        }
        assert!(set.has(64) && !set.has(65));
        assert_eq!(set.count(), 5);
        let mut low = set;
        low.keep_up_to(63);
        assert_eq!(
            [(); 6].map(|()| set.pop_first()),
            [Some(0), Some(17), Some(63), Some(64), Some(255), None]
        );
        assert_eq!([(); 4].map(|()| low.pop_first()), [Some(0), Some(17), Some(63), None]);
    }

    #[test]
    fn keeping_up_to_a_slot_keeps_that_slot() {
        for last in 0..256 {
            let mut all = Flags([u64::MAX; 4]);
            all.keep_up_to(last);
            assert_eq!(usize::try_from(all.count()).unwrap(), last + 1);
            assert!(all.has(last));
        }
    }

    #[test]
    fn a_group_is_replaced_whole() {
        let mut set = Flags([u64::MAX; 4]);
        set.set_group(5, 0x8001);
        assert!(
            set.has(79)
                && set.has(80)
                && !set.has(81)
                && !set.has(94)
                && set.has(95)
                && set.has(96)
        );
    }
}
