//! Seeded chance: key derivation, a generator, unbiased draws and permutations. Integers only.
//!
//! A key is derived from a seed and a path of numbers ([`derive()`]), a generator is started from a key ([`Rng`]).
//! Anything drawn is therefore a pure function of who draws it and what for, and never of the order in which
//! others draw. This is not for secrets: those come from the operating system.
//!
//! Sources: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014) to derive
//! keys and seed states, xoshiro256** 1.0 (Blackman, Vigna, "Scrambled linear pseudorandom number generators",
//! ACM TOMS 2021) to draw; bounded draws by Lemire's multiplication with rejection (ACM TOMACS 2019).

use alloc::vec::Vec;

/// The key of `path` under `seed`: the same key for the same numbers, unrelated keys for any others.
///
/// `derive(seed, &[])` is the first output of SplitMix64 started at `seed`.
#[must_use]
pub const fn derive(seed: u64, path: &[u64]) -> u64 {
    let mut key = mix(seed.wrapping_add(GOLDEN));
    let mut rest = path;
    while let [part, tail @ ..] = rest {
        key = mix(key.wrapping_add(GOLDEN.wrapping_mul(part.wrapping_add(1))));
        rest = tail;
    }
    key
}

/// A xoshiro256** generator: 32 bytes of state, period 2^256 - 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator whose state is the first four outputs of SplitMix64 started at `seed`, as its authors advise.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        let one = seed.wrapping_add(GOLDEN);
        let two = one.wrapping_add(GOLDEN);
        let three = two.wrapping_add(GOLDEN);
        let four = three.wrapping_add(GOLDEN);
        Self { state: [mix(one), mix(two), mix(three), mix(four)] }
    }

    /// The next 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let drawn = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        drawn
    }

    /// The next 32 random bits (the upper half of the next 64).
    pub const fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// True with probability `numerator / denominator`, to within 2^-32; always false for 0, always true from 1 on.
    ///
    /// A `denominator` of 0 counts as probability 1.
    pub const fn chance(&mut self, numerator: u32, denominator: u32) -> bool {
        let drawn = self.next_u32();
        numerator >= denominator || drawn < threshold(numerator, denominator)
    }

    /// A number from 0 to `bound - 1`, each equally likely; 0 when `bound` is 0.
    pub const fn below(&mut self, bound: u32) -> u32 {
        let mut product = self.next_u32() as u64 * bound as u64;
        if bound > 0 {
            let unfair = (u32::MAX - bound + 1) % bound;
            while ((product & 0xFFFF_FFFF) as u32) < unfair {
                product = self.next_u32() as u64 * bound as u64;
            }
        }
        (product >> 32) as u32
    }

    /// Puts `items` into random order, every order equally likely (Fisher and Yates).
    ///
    /// Of a slice longer than 2^32 - 1 only that many leading items are moved.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for (chosen, last) in (1..=u32::MAX).zip(1..items.len()) {
            let other = usize::try_from(self.below(chosen.saturating_add(1))).unwrap_or(last);
            items.swap(last, other);
        }
    }
}

/// The numbers 0 to `len - 1` in the random order that belongs to `seed`.
#[must_use]
pub fn permutation(seed: u64, len: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len).collect();
    Rng::new(seed).shuffle(&mut order);
    order
}

/// The 32-bit draws below this value are the fraction `numerator / denominator` of all, rounded down.
///
/// A probability of 1 or more gives `u32::MAX`, which misses one draw in 2^32; so does a `denominator` of 0.
pub(crate) const fn threshold(numerator: u32, denominator: u32) -> u32 {
    if numerator >= denominator {
        return u32::MAX;
    }
    ((((numerator as u64) << 32) / denominator as u64) & 0xFFFF_FFFF) as u32
}

/// 2^64 divided by the golden ratio: the step of SplitMix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The output function of SplitMix64, a bijection of 64 bits.
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_its_published_first_output() {
        // First output of the reference splitmix64.c started at 0, and at 1234567.
        assert_eq!(derive(0, &[]), 0xE220_A839_7B1D_CDAF);
        assert_eq!(derive(1_234_567, &[]), 6_457_827_717_110_365_317);
    }

    #[test]
    fn xoshiro_gives_its_published_outputs() {
        // The reference xoshiro256starstar.c with state 1, 2, 3, 4.
        let mut rng = Rng { state: [1, 2, 3, 4] };
        for expected in [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240] {
            assert_eq!(rng.next_u64(), expected);
        }
    }

    #[test]
    fn keys_depend_on_every_number_and_on_their_order() {
        let keys = [
            derive(1, &[]),
            derive(2, &[]),
            derive(1, &[0]),
            derive(1, &[0, 0]),
            derive(1, &[1, 2]),
            derive(1, &[2, 1]),
            derive(2, &[1, 1]),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys.iter().skip(i + 1).all(|b| a != b), "key {i} occurs twice");
        }
    }

    #[test]
    fn bounded_draws_are_in_range_and_even() {
        let mut rng = Rng::new(3);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[rng.below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|&n| (9_600..=10_400).contains(&n)), "{counts:?}");
        assert_eq!(rng.below(1), 0);
        assert_eq!(rng.below(0), 0);
        for _ in 0..100 {
            assert!(rng.below(u32::MAX) < u32::MAX);
        }
    }

    #[test]
    fn chance_holds_its_rate_and_its_ends() {
        let mut rng = Rng::new(4);
        let hits = (0..100_000).filter(|_| rng.chance(7, 10)).count();
        assert!((69_300..=70_700).contains(&hits), "{hits}");
        assert!((0..1_000).all(|_| !rng.chance(0, 10)));
        assert!((0..1_000).all(|_| rng.chance(10, 10) && rng.chance(3, 0)));
    }

    #[test]
    fn a_permutation_holds_every_number_once_and_belongs_to_its_seed() {
        for len in [0, 1, 2, 3, 50, 257] {
            let mut order = permutation(9, len);
            assert_eq!(order, permutation(9, len));
            order.sort_unstable();
            assert!(order.into_iter().eq(0..len));
        }
        assert_ne!(permutation(9, 50), permutation(10, 50));
    }

    #[test]
    fn every_order_of_three_is_equally_likely() {
        let mut counts = [0_u32; 27];
        for seed in 0..6_000 {
            let order = permutation(seed, 3);
            counts[(order[0] * 9 + order[1] * 3 + order[2]) as usize] += 1;
        }
        let seen: Vec<u32> = counts.into_iter().filter(|&n| n > 0).collect();
        assert_eq!(seen.len(), 6);
        assert!(seen.iter().all(|&n| (850..=1_150).contains(&n)), "{seen:?}");
    }
}
