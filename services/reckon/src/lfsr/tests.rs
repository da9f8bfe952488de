//! Each generator against a bit-serial one, written from the table of SPEC 9 alone.

extern crate std;

use std::vec::Vec;

use super::*;
use crate::isa::Isa;
use crate::kernels;

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
        let mut fast = RowGenerator::EMPTY;
        fast.load(seed);
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
        let mut fast = OutputRowGenerator::EMPTY;
        fast.load(seed);
        let mut serial = Serial::new(22, 1, 448, places(22, 1), seed);
        for advance in 0..40 {
            assert_eq!(fast.register(), serial.register(), "seed {seed:#x}, advance {advance}");
            let blocks = 1 + advance % 16;
            let words = fast.draw(blocks);
            for block in 0..blocks {
                let got: Vec<u32> = (0..16).map(|k| output_word(&words[7 * block..], k)).collect();
                assert_eq!(got, serial.draw(28), "seed {seed:#x}, advance {advance}");
            }
        }
    }
}

#[test]
fn rounding_streams_equal_the_serial_generators() {
    for (index, seed) in registers(15).enumerate() {
        let registers = [[seed, 1], [0x1234, seed], [2, seed], [seed, 0x3FF3], [seed, 0]];
        for isa in Isa::ALL {
            let Some(kernels) = kernels::of(isa) else { continue };
            if kernels.planes {
                continue;
            }
            let mut fast = Rounding::EMPTY;
            fast.load(registers, None);
            let mut serial: Vec<Serial> = (0..10)
                .map(|lane| match (lane, registers.as_flattened()[lane]) {
                    (0..6, seed) => Serial::new(15, 1, 15, places(15, 1), seed),
                    (_, seed) => Serial::new(15, 1, 7, shuffled_places(), seed),
                })
                .collect();
            for step in 0..30 {
                let counts = [128, (step * 37 + index) % 129, 50, 50, 16];
                let Rounding::Streams(streams) = &mut fast else { panic!("not asked for planes") };
                let firsts = draw(streams, counts, kernels.extend);
                for lane in 0..10 {
                    let words = streams[lane / 2].words(firsts[lane / 2]);
                    let bits = serial[lane].block;
                    for word in &words[..counts[lane / 2]] {
                        let got = (word >> (lane % 2 * 16) & 0xFFFF) >> (16 - bits);
                        let expected = serial[lane].draw(bits)[0];
                        assert_eq!(got, expected, "{isa}, lane {lane}, step {step}");
                    }
                }
                let registers = fast.registers();
                for (lane, serial) in serial.iter_mut().enumerate() {
                    assert_eq!(registers[lane / 2][lane % 2], serial.register());
                }
                if step == 20 {
                    let before = fast.registers();
                    fast.reload(3, before[3]);
                    assert_eq!(fast.registers(), before);
                }
            }
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
