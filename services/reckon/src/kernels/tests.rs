//! The kernels of every instruction set against the plain ones, at the limits of their ranges, which
//! whole networks hardly reach.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::eprop::{Row, Rows};
use crate::lfsr::{OutputRowGenerator, RowGenerator};
use crate::memory::{LANES, Lanes, Learning, WeightLanes};
use crate::params::Params;
use crate::settings::{MatrixSettings, Rate, Settings};

const GROUPS: usize = 2;
const ROWS: usize = 27;

/// A number of a random width, so that small ones are as likely as great ones.
fn number(bits: u32) -> impl Strategy<Value = i16> {
    (any::<i16>(), 16 - bits..16).prop_map(|(value, shift)| value >> shift)
}

/// The same, not negative; often 0.
fn magnitude(bits: u32) -> impl Strategy<Value = i16> {
    prop_oneof![1 => Just(0), 3 => number(bits).prop_map(|value| value & i16::MAX)]
}

fn lanes(values: impl Strategy<Value = i16>) -> impl Strategy<Value = [Lanes; GROUPS]> {
    proptest::collection::vec(values, GROUPS * LANES)
        .prop_map(|values| *values.as_chunks().0.first_chunk().unwrap())
}

fn rate() -> impl Strategy<Value = Rate> {
    let small = (0..12_u32, 0..12_u32);
    let any = (0..32_u32, 0..32_u32);
    prop_oneof![2 => small, 1 => any].prop_map(|(up, down)| Rate { up, down })
}

fn settings() -> Settings {
    let registers = [("SPI_NUM_INP_NEUR", 31), ("SPI_NUM_REC_NEUR", 31), ("SPI_DO_EPROP", 0)];
    Settings::decode(&Params::parse(registers, []).unwrap())
}

/// What one kernel made of a matrix, and of its generator.
type Outcome = (u64, Vec<WeightLanes>, u32);

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hidden_matrices_change_alike(
        signal in lanes(number(16)),
        slope in lanes(number(5)),
        excess in prop_oneof![Just([[0; LANES]; GROUPS]), lanes(magnitude(12))],
        traces in proptest::collection::vec(magnitude(13), ROWS),
        weights in proptest::collection::vec(any::<[i8; LANES]>(), ROWS * GROUPS),
        rates in (rate(), rate(), 0..16_u32),
        modes in (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        seed in 0_u32..1 << 25,
    ) {
        let (multiplicative, additive, regularised, recurrent) = modes;
        let mut settings = settings();
        settings.regularising = multiplicative || additive || excess != [[0; LANES]; GROUPS];
        settings.multiplicative = multiplicative;
        settings.additive = additive;
        settings.multiplicative_shift = rates.2;
        let matrix_settings = MatrixSettings {
            learns: true,
            regularised,
            rate: rates.0,
            penalty: rates.1,
            trace_shift: 0,
            weight_shift: 0,
        };
        let all: Vec<Row> =
            (0..).zip(&traces).map(|(index, &trace)| Row { index, trace: (trace & 0xFFF).into() }).collect();
        let active: Vec<Row> = all.iter().copied().filter(|row| row.trace != 0).collect();
        let mut starts = [active.len(); LANES + 1];
        for (group, start) in starts.iter_mut().enumerate() {
            *start = active.iter().take_while(|row| row.index < (group * LANES).try_into().unwrap()).count();
        }
        let run = |kernels: &Kernels| -> Outcome {
            let (mut signal, mut slope, mut excess) = (signal, slope, excess);
            let learning = Learning { signal: &mut signal, slope: &mut slope, excess: &mut excess };
            let mut matrix = weights.clone();
            let mut generator = RowGenerator::EMPTY;
        generator.load(seed);
            let visited = (kernels.change_hidden)(&mut HiddenJob {
                settings: &settings,
                matrix_settings: &matrix_settings,
                learning: &learning,
                matrix: &mut matrix,
                groups: GROUPS,
                rows: Rows { all: &all, active: &active, starts: &starts, recurrent },
                generator: &mut generator,
            });
            (visited, matrix, generator.register())
        };
        let plain = run(&PORTABLE);
        for kernels in Isa::ALL.into_iter().filter_map(of) {
            prop_assert_eq!(&run(kernels), &plain, "{:?}", kernels);
        }
    }

    #[test]
    fn output_matrices_change_alike(
        errors in lanes(number(16)),
        traces in proptest::collection::vec(1..1024_i32, ROWS),
        weights in proptest::collection::vec(any::<[i8; LANES]>(), ROWS),
        rate in rate(),
        last_output in 0..16_usize,
        seed in 0_u32..1 << 22,
    ) {
        let mut settings = settings();
        settings.last_output = last_output;
        settings.output_rate = rate;
        let mut errors = errors[0];
        errors[last_output + 1..].fill(0);
        let rows: Vec<Row> = (0..).zip(traces).map(|(index, trace)| Row { index, trace }).collect();
        let run = |kernels: &Kernels| -> Outcome {
            let mut matrix = weights.clone();
            let mut generator = OutputRowGenerator::EMPTY;
        generator.load(seed);
            (kernels.change_outputs)(&mut OutputJob {
                settings: &settings,
                errors: &errors,
                matrix: &mut matrix,
                rows: &rows,
                generator: &mut generator,
            });
            (0, matrix, generator.register())
        };
        let plain = run(&PORTABLE);
        for kernels in Isa::ALL.into_iter().filter_map(of) {
            prop_assert_eq!(&run(kernels), &plain, "{:?}", kernels);
        }
    }

    #[test]
    fn signals_are_alike(
        errors in lanes(number(16)),
        potential in lanes(any::<i16>()),
        trace in lanes(magnitude(12)),
        weights in proptest::collection::vec(any::<[i8; LANES]>(), LANES),
        slopes in (any::<[i16; 4]>(), proptest::array::uniform5(-16_i16..16)),
        signal_shift in 0..16_u32,
        last_output in 0..16_usize,
        floor in 0..4096_i16,
    ) {
        let mut settings = settings();
        settings.last_output = last_output;
        settings.signal_shift = signal_shift;
        (settings.slope_bounds, settings.slopes) = slopes;
        settings.regularising = true;
        settings.trace_floor = floor;
        settings.input.learns = true;
        let mut errors = errors[0];
        errors[last_output + 1..].fill(0);
        let run = |kernels: &Kernels| {
            let mut out = [[0; LANES]; 3];
            let [signal, slope, excess] = &mut out;
            (kernels.signals)(&mut SignalJob {
                settings: &settings,
                errors: &errors,
                potential: &potential[0],
                recurrent_trace: &trace[0],
                rows: weights.first_chunk().unwrap(),
                signal,
                slope,
                excess,
            });
            out
        };
        let plain = run(&PORTABLE);
        for kernels in Isa::ALL.into_iter().filter_map(of) {
            prop_assert_eq!(run(kernels), plain, "{:?}", kernels);
        }
    }
}
