//! Each generator against a bit-serial one, written from the table of SPEC 9 alone.

extern crate std;

use std::vec::Vec;

use super::*;

/// A sequence with its whole past, one bit an element; `origin` is the index of `s[0]`.
struct Serial {
    bits: Vec<u32>,
    origin: usize,
    width: usize,
    tap: usize,
    block: usize,
    /// Sequence position of each register bit at T = 0.
    places: Vec<i32>,
}

impl Serial {
    fn new(width: usize, tap: usize, block: usize, places: Vec<i32>, register: u32) -> Serial {
        // The places are `width` neighbouring positions: lay them down, then let the recurrence
        // run.
        let first = *places.iter().min().unwrap();
        let mut bits = std::vec![0; width];
        for (bit, place) in places.iter().enumerate() {
            bits[usize::try_from(place - first).unwrap()] = register >> bit & 1;
        }
        let mut serial =
            Serial { bits, origin: usize::try_from(-first).unwrap(), width, tap, block, places };
        serial.extend_to(1);
        serial
    }

    fn extend_to(&mut self, position: usize) {
        while self.bits.len() <= self.origin + position {
            let k = self.bits.len();
            self.bits.push(self.bits[k - self.width] ^ self.bits[k - self.tap]);
        }
    }

    fn register(&mut self) -> u32 {
        self.extend_to(64);
        let bit = |place: &i32| {
            self.bits[usize::try_from(i32::try_from(self.origin).unwrap() + place).unwrap()]
        };
        self.places
            .iter()
            .enumerate()
            .fold(0, |register, (index, place)| register | bit(place) << index)
    }

    /// The block as words of `size` bits; then advances.
    fn draw(&mut self, size: usize) -> Vec<u32> {
        self.extend_to(self.block);
        let block = &self.bits[self.origin..self.origin + self.block];
        let words = block
            .chunks(size)
            .map(|bits| bits.iter().rev().fold(0, |word, bit| word << 1 | bit))
            .collect();
        self.origin += self.block;
        words
    }
}

/// `d_i = s[i]` for `i < tap`, else `s[i-width]`.
fn places(width: i32, tap: i32) -> Vec<i32> {
    (0..width).map(|i| if i < tap { i } else { i - width }).collect()
}

/// `d0 = s[0]; d_{2k+2} = s[k-7], d_{2k+1} = s[k-14]`.
fn shuffled_places() -> Vec<i32> {
    (0..15)
        .map(|d: i32| {
            if d == 0 {
                0
            } else if d % 2 == 0 {
                d / 2 - 1 - 7
            } else {
                d / 2 - 14
            }
        })
        .collect()
}

/// Registers that show every bit: zero, ones, single bits and an arbitrary one.
fn registers(width: u32) -> impl Iterator<Item = u32> {
    let mask = (1_u32 << width) - 1;
    (0..width).map(|bit| 1 << bit).chain([0, mask, 0x42_4242 & mask, 0x1BAD_CAFE & mask])
}

#[test]
fn row_generator_equals_the_serial_one() {
    for seed in registers(25) {
        let mut fast = RowGenerator::new(seed);
        let mut serial = Serial::new(25, 3, 512, places(25, 3), seed);
        for advance in 0..60 {
            assert_eq!(fast.register(), serial.register(), "seed {seed:#x}, advance {advance}");
            assert_eq!(
                fast.draw().as_slice(),
                serial.draw(32),
                "seed {seed:#x}, advance {advance}"
            );
        }
    }
}

#[test]
fn output_row_generator_equals_the_serial_one() {
    for seed in registers(22) {
        let mut fast = OutputRowGenerator::new(seed);
        let mut serial = Serial::new(22, 1, 448, places(22, 1), seed);
        for advance in 0..40 {
            assert_eq!(fast.register(), serial.register(), "seed {seed:#x}, advance {advance}");
            assert_eq!(
                fast.draw(16).as_slice(),
                serial.draw(28),
                "seed {seed:#x}, advance {advance}"
            );
        }
    }
}

#[test]
fn output_row_generator_leaves_out_what_is_not_asked_for() {
    let (mut all, mut some) = (OutputRowGenerator::new(5), OutputRowGenerator::new(5));
    let (all_words, some_words) = (all.draw(16), some.draw(3));
    assert_eq!(all_words[..3], some_words[..3]);
    assert_eq!(some_words[3..], [0; 13]);
    assert_eq!(all.register(), some.register());
}

#[test]
fn pair_generators_equal_the_serial_ones() {
    for seed in registers(15) {
        let mut fast = PairGenerators::new([seed, 1, 0x1234, seed, 2, seed, seed, 0x3FF3]);
        let in_order = |register| Serial::new(15, 1, 15, places(15, 1), register);
        let shuffled = |register| Serial::new(15, 1, 7, shuffled_places(), register);
        let mut serial = [
            in_order(seed),
            in_order(1),
            in_order(0x1234),
            in_order(seed),
            in_order(2),
            in_order(seed),
            shuffled(seed),
            shuffled(0x3FF3),
        ];
        for advance in 0..200 {
            let hold = advance % 7 == 3;
            let words = fast.draw();
            if hold {
                fast.hold_membrane(&words);
            }
            for (lane, serial) in serial.iter_mut().enumerate() {
                let mask = if lane < 6 { 0x7FFF } else { 0x7F };
                let (origin, bits) = (serial.origin, serial.block);
                assert_eq!(
                    u32::from(words[lane] & mask),
                    serial.draw(bits)[0],
                    "lane {lane}, advance {advance}"
                );
                if hold && lane < 2 {
                    serial.origin = origin;
                }
            }
            assert_eq!(
                fast.registers(),
                serial.each_mut().map(Serial::register),
                "advance {advance}"
            );
        }
    }
}

#[test]
fn output_generator_equals_the_serial_one() {
    for seed in registers(15) {
        let mut fast = OutputGenerator::new(seed);
        let mut serial = Serial::new(15, 1, 7, shuffled_places(), seed);
        for advance in 0..200 {
            assert_eq!(fast.register(), serial.register(), "seed {seed:#x}, advance {advance}");
            assert_eq!(
                u32::from(fast.draw()),
                serial.draw(7)[0],
                "seed {seed:#x}, advance {advance}"
            );
        }
    }
}

#[test]
fn noise_generator_equals_the_serial_one() {
    for seed in registers(17) {
        let mut fast = NoiseGenerator::new(seed);
        let mut serial = Serial::new(17, 3, 32, places(17, 3), seed);
        for advance in 0..200 {
            assert_eq!(fast.register(), serial.register(), "seed {seed:#x}, advance {advance}");
            assert_eq!(fast.draw(), serial.draw(32)[0], "seed {seed:#x}, advance {advance}");
        }
    }
}
