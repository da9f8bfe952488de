//! One bit per slot: the spike flags and the two sets of input flags (SPEC 1; srnn.v:612-628,
//! 1112-1132).

use crate::fixed::low32;

/// Number of slots of a chip.
#[cfg(any(target_arch = "x86_64", test))]
const SLOTS: usize = 256;

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

    /// The set whose flags are the bits of `blocks`, 32 slots each.
    pub(crate) fn from_blocks(blocks: [u32; 8]) -> Flags {
        let [a, b, c, d] = *blocks.as_chunks().0 else { return Flags::EMPTY };
        Flags([a, b, c, d].map(|[low, high]: [u32; 2]| u64::from(low) | u64::from(high) << 32))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// The slots of either set.
    #[inline]
    pub(crate) fn union(&self, other: &Flags) -> Flags {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        Flags([a | e, b | f, c | g, d | h])
    }

    /// The slots of both sets.
    #[inline]
    pub(crate) fn both(&self, other: &Flags) -> Flags {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        Flags([a & e, b & f, c & g, d & h])
    }

    /// The slots 0..=`last`.
    pub(crate) fn all_up_to(last: usize) -> Flags {
        let word = |index: usize| {
            let first = index << 6;
            let dropped = 63_usize.saturating_sub(last.saturating_sub(first));
            if first > last { 0 } else { u64::MAX >> dropped }
        };
        Flags([word(0), word(1), word(2), word(3)])
    }

    /// Number of slots in the set.
    #[inline(always)]
    pub(crate) fn count(&self) -> u32 {
        self.0.map(u64::count_ones).iter().sum()
    }

    /// The slots in order: those at the start, as many as the second says.
    ///
    /// Four are written at a time, whether or not a word has as many: how many it has is random, so
    /// that the end of a loop over them would be mispredicted in every word.
    #[cfg(any(target_arch = "x86_64", test))]
    #[inline(always)]
    #[expect(clippy::arithmetic_side_effects, reason = "numbers of slots")]
    pub(crate) fn list(&self) -> ([u16; SLOTS + 4], usize) {
        let mut slots = [0; SLOTS + 4];
        let mut len = 0;
        for (first, mut word) in (0_u32..).step_by(64).zip(self.0) {
            let count = usize::try_from(word.count_ones()).expect("at most 64");
            let mut listed = 0;
            while listed < count {
                for slot in &mut slots[len + listed..][..4] {
                    *slot = crate::fixed::low16(first + word.trailing_zeros());
                    word &= word.wrapping_sub(1);
                }
                listed += 4;
            }
            len += count;
        }
        (slots, len)
    }

    /// The set without the slots of `other`.
    pub(crate) fn without(&self, other: &Flags) -> Flags {
        let [a, b, c, d] = other.0;
        self.both(&Flags([!a, !b, !c, !d]))
    }

    /// The flags of the 32 slots of block `block`.
    #[inline]
    pub(crate) const fn block(&self, block: usize) -> u32 {
        low32(self.0[block >> 1] >> ((block & 1) << 5))
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
        let mut low = set.both(&Flags::all_up_to(63));
        assert_eq!(set.without(&low).count(), 2);
        assert_eq!(
            [(); 6].map(|()| set.pop_first()),
            [Some(0), Some(17), Some(63), Some(64), Some(255), None]
        );
        assert_eq!([(); 4].map(|()| low.pop_first()), [Some(0), Some(17), Some(63), None]);
    }

    #[test]
    fn the_list_has_every_slot_once_and_in_order() {
        for step in [1, 2, 3, 5, 17, 63, 64, 65, 255, 256] {
            let slots: [bool; SLOTS] = core::array::from_fn(|slot| slot % step == 0);
            let mut set = Flags::EMPTY;
            (0..SLOTS).filter(|&slot| slots[slot]).for_each(|slot| set.insert(slot));
            let (list, len) = set.list();
            assert!(list[..len].iter().map(|&slot| usize::from(slot)).eq((0..SLOTS).step_by(step)));
        }
        assert_eq!(Flags::EMPTY.list().1, 0);
    }

    #[test]
    fn keeping_up_to_a_slot_keeps_that_slot() {
        for last in 0..256 {
            let all = Flags::all_up_to(last);
            assert_eq!(usize::try_from(all.count()).unwrap(), last + 1);
            assert!(all.has(last));
        }
    }

    #[test]
    fn blocks_are_32_slots_each() {
        let mut set = Flags::from_blocks([1, 1 << 31, 0, 0, 0, 0, 0, 2]);
        assert_eq!([(); 4].map(|()| set.pop_first()), [Some(0), Some(63), Some(225), None]);
        assert!(set.is_empty());
    }
}
