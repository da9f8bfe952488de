//! EPROP: one pass of on-chip learning over all weights (SPEC 6).
//!
//! srnn.v:766-963, 1173-1186. For each group of 16 neurons the chip first walks over those neurons,
//! which yields their learning signal, slope and excess activity and updates their output weights
//! (the post phase), and then over all presynaptic slots, updating one row of 16 weights of each
//! hidden matrix per slot (the pre phase). Every update is at most one unit, applied when a random
//! word does not exceed the magnitude of the wanted change ([`crate::update`]).

use core::ops::Range;

use crate::fixed::{count, saturate16};
use crate::kernels::Kernels;
use crate::lfsr::{OutputRowGenerator, RowGenerator};
use crate::memory::{LANES, Lanes, Learning, Neurons, PairWord, WeightLanes, Weights};
use crate::settings::{MatrixSettings, Settings};

/// The three generators of weight updates.
#[derive(Debug, Clone)]
pub(crate) struct WeightGenerators {
    pub(crate) input: RowGenerator,
    pub(crate) recurrent: RowGenerator,
    pub(crate) output: OutputRowGenerator,
}

/// What one pass did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Learned {
    /// Clock cycles (SPEC 11).
    pub(crate) cycles: u64,
    /// Weights for which a random word was drawn.
    pub(crate) weights_drawn: u64,
}

/// The output errors when a target is valid (SPEC 6.1): wanted less actual activity, 0 above nO.
pub(crate) fn output_errors(
    potentials: &Lanes,
    targets: &Lanes,
    label: u8,
    settings: &Settings,
) -> Lanes {
    const ONE: i16 = 2048;
    let mut errors = [0; LANES];
    for (k, error) in errors.iter_mut().enumerate().take(settings.last_output.saturating_add(1)) {
        let actual = match potentials[k] {
            potential if settings.linear_output => potential,
            ONE.. => ONE,
            potential if potential < -ONE => 0,
            potential => potential.wrapping_add(ONE) >> 1,
        };
        let wanted = match settings.regression {
            true => targets[k],
            false if usize::from(label) == k => ONE,
            false => 0,
        };
        *error = wanted.saturating_sub(actual);
    }
    errors
}

/// A row of weights that a pass may change: its number, and the presynaptic trace of its slot, as
/// learning uses it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row {
    pub(crate) index: u32,
    /// 0..=4095; of an output row 1..=1023.
    pub(crate) trace: i32,
}

/// What [`Kernels::signals`] works on: the 16 neurons of a group.
#[derive(Debug)]
pub(crate) struct SignalJob<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) errors: &'a Lanes,
    pub(crate) potential: &'a Lanes,
    pub(crate) recurrent_trace: &'a Lanes,
    /// The neurons' output weights; rows of lanes that are no neurons are 0.
    pub(crate) rows: &'a [WeightLanes; LANES],
    /// To be filled: `L`, unless no hidden matrix learns; then it is to be 0.
    pub(crate) signal: &'a mut Lanes,
    /// To be filled: `h`.
    pub(crate) slope: &'a mut Lanes,
    /// To be filled if [`Settings::regularising`]: `g`.
    pub(crate) excess: &'a mut Lanes,
}

/// What [`Kernels::change_outputs`] works on.
#[derive(Debug)]
pub(crate) struct OutputJob<'a> {
    pub(crate) settings: &'a Settings,
    /// 0 above nO.
    pub(crate) errors: &'a Lanes,
    pub(crate) matrix: &'a mut [WeightLanes],
    /// The rows to change, in order; no trace is 0.
    pub(crate) rows: &'a [Row],
    pub(crate) generator: &'a mut OutputRowGenerator,
}

/// What [`Kernels::change_hidden`] works on: one hidden matrix, its columns in groups of 16 and in
/// each group its rows.
#[derive(Debug)]
pub(crate) struct HiddenJob<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) matrix_settings: &'a MatrixSettings,
    pub(crate) learning: &'a Learning<'a>,
    /// Rows of `groups` groups.
    pub(crate) matrix: &'a mut [WeightLanes],
    pub(crate) groups: usize,
    pub(crate) rows: Rows<'a>,
    pub(crate) generator: &'a mut RowGenerator,
}

/// The rows of a hidden matrix as a pass sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Every row, in order; empty where regularisation is off.
    pub(crate) all: &'a [Row],
    /// The rows with a trace, in order: the only ones visited in a group where nobody is too active.
    pub(crate) active: &'a [Row],
    /// Where in `active` the row numbers reach 0, 16, 32 and so on.
    pub(crate) starts: &'a [usize; LANES + 1],
    /// The matrix is the recurrent one, where a neuron meets itself.
    pub(crate) recurrent: bool,
}

impl<'a> Rows<'a> {
    /// The rows that are visited in a group of columns, and where among them those of the group's
    /// own neurons are. `quiet`: nobody in the group is too active.
    #[inline]
    pub(crate) fn visited(&self, group: usize, quiet: bool) -> (&'a [Row], Range<usize>) {
        let (rows, starts) = if quiet {
            (self.active, [self.starts[group], self.starts[group.saturating_add(1)]])
        } else {
            let first = group.saturating_mul(LANES);
            (self.all, [first, first.saturating_add(LANES)])
        };
        let [from, to] = starts.map(|start| start.min(rows.len()));
        (rows, if self.recurrent { from..to } else { 0..0 })
    }
}

/// What a pass reads and writes. The neurons, `stale` and `errors` stay as they are.
#[derive(Debug)]
pub(crate) struct Pass<'a, 'm> {
    pub(crate) settings: &'a Settings,
    pub(crate) kernels: &'a Kernels,
    pub(crate) neurons: &'a Neurons<'m>,
    pub(crate) weights: &'a mut Weights<'m>,
    pub(crate) learning: &'a mut Learning<'m>,
    pub(crate) generators: &'a mut WeightGenerators,
    /// TARGET_VALID, synchronised. Without it only regularisation acts, and on stale data (SPEC
    /// 6.4).
    pub(crate) target_valid: bool,
    /// The word that STEP read last.
    pub(crate) stale: &'a PairWord,
    /// Output errors; all 0 without a target.
    pub(crate) errors: &'a Lanes,
}

impl Pass<'_, '_> {
    /// The chip takes the groups of columns one after the other and the phases of each in turn.
    /// What a phase reads is either constant during the pass or its own, so that here one kind of
    /// work goes after the other: only the order within each matrix counts.
    pub(crate) fn run(&mut self) -> Learned {
        for group in 0..self.weights.groups {
            self.signals(group);
        }
        let mut weights_drawn = 0_u64;
        if self.settings.output_learns && self.target_valid {
            weights_drawn = self.change_outputs();
        }
        if self.settings.hidden_learns() {
            let input = self.change_hidden(&self.settings.input, false);
            let recurrent = self.change_hidden(&self.settings.recurrent, true);
            weights_drawn = weights_drawn
                .saturating_add(input.saturating_add(recurrent).saturating_mul(count(LANES)));
        }
        Learned { cycles: cycles(self.settings), weights_drawn }
    }

    /// SPEC 6.2 (a) without the weights: the 16 neurons of `group`, whose numbers may run past the
    /// last one.
    fn signals(&mut self, group: usize) {
        let neurons = self.neurons;
        let seen = group << 4 | (LANES - 1) <= self.settings.last_scanned | 1 && self.sees_all();
        let mut copies = [[0; LANES]; 2];
        let (potential, recurrent_trace) = if seen {
            (&neurons.potential[group], &neurons.recurrent_trace[group])
        } else {
            let [potentials, traces] = &mut copies;
            for (lane, (potential, trace)) in potentials.iter_mut().zip(traces).enumerate() {
                let word = self.word((group << 4 | lane) >> 1);
                *potential = word.potential[lane & 1];
                *trace = word.recurrent_trace[lane & 1];
            }
            (&copies[0], &copies[1])
        };
        let learning = &mut *self.learning;
        (self.kernels.signals)(&mut SignalJob {
            settings: self.settings,
            errors: self.errors,
            potential,
            recurrent_trace,
            rows: &self.weights.output.as_chunks().0[group],
            signal: &mut learning.signal[group],
            slope: &mut learning.slope[group],
            excess: &mut learning.excess[group],
        });
    }

    /// SPEC 6.2 (a), the output weights of all neurons.
    fn change_outputs(&mut self) -> u64 {
        let last = self.settings.last_recurrent;
        let shift = self.settings.output_trace_shift;
        let mut rows = [Row::default(); 256];
        let filter = self.filter(self.stale.output_trace);
        let traces = &self.neurons.output_trace.as_flattened()[..=last];
        let len = filter.active(traces, 0, shift, &mut rows, 0);
        (self.kernels.change_outputs)(&mut OutputJob {
            settings: self.settings,
            errors: self.errors,
            matrix: self.weights.output,
            rows: &rows[..len],
            generator: &mut self.generators.output,
        });
        let outputs = count(self.settings.last_output).saturating_add(1);
        count(len).saturating_mul(outputs)
    }

    /// SPEC 6.2 (b), one matrix; returns the number of rows of 16 weights visited.
    fn change_hidden(&mut self, matrix: &MatrixSettings, recurrent: bool) -> u64 {
        let acts = self.target_valid || self.settings.every_step && matrix.regularised;
        if !(matrix.learns && acts) {
            return 0;
        }
        let settings = self.settings;
        let (last, field, stale) = if recurrent {
            (settings.last_recurrent, &*self.neurons.recurrent_trace, self.stale.recurrent_trace)
        } else {
            (settings.last_input, &*self.neurons.input_trace, self.stale.input_trace)
        };
        let filter = self.filter(stale);
        let traces = &field.as_flattened()[..=last];
        let mut active = [Row::default(); 256];
        let mut starts = [0; LANES + 1];
        let mut len = 0;
        for (group, traces) in traces.chunks(LANES).enumerate() {
            len = filter.active(traces, group << 4, matrix.trace_shift, &mut active, len);
            starts[group.saturating_add(1)..].fill(len);
        }
        let mut all = [Row::default(); 256];
        let all = if settings.regularising {
            for (index, (row, &trace)) in all.iter_mut().zip(traces).enumerate() {
                *row = filter.row(index, trace, matrix.trace_shift);
            }
            &all[..traces.len()]
        } else {
            &[]
        };
        let weights = &mut *self.weights;
        let groups = weights.groups;
        let (matrix_weights, generator) = if recurrent {
            (weights.recurrent_mut(), &mut self.generators.recurrent)
        } else {
            (weights.input_mut(), &mut self.generators.input)
        };
        (self.kernels.change_hidden)(&mut HiddenJob {
            settings,
            matrix_settings: matrix,
            learning: self.learning,
            matrix: matrix_weights,
            groups,
            rows: Rows { all, active: &active[..len], starts: &starts, recurrent },
            generator,
        })
    }

    /// Whether this pass reads the neuron memory: raw, whether or not the sample has written it.
    /// Only the flag of pair 0, at which the address of the flags stands, can hide it.
    fn sees_all(&self) -> bool {
        self.neurons.written & 1 == 1 && self.target_valid
    }

    /// The word of pair `pair`, as this pass sees it. Pairs beyond the last one are not read, and
    /// leave the word of the last one in place.
    fn word(&self, pair: usize) -> PairWord {
        if self.neurons.written & 1 == 0 {
            PairWord::default()
        } else if self.target_valid {
            self.neurons.read(pair.min(self.settings.last_scanned >> 1))
        } else {
            *self.stale
        }
    }

    /// The traces as this pass sees them, under the same rules.
    fn filter(&self, stale: [i16; 2]) -> Filter {
        if self.sees_all() {
            Filter { keep: -1, instead: [0; 2] }
        } else if self.neurons.written & 1 == 1 {
            Filter { keep: 0, instead: stale }
        } else {
            Filter { keep: 0, instead: [0; 2] }
        }
    }
}

/// What makes a trace in the neuron memory what a pass sees of it.
#[derive(Clone, Copy)]
struct Filter {
    /// All ones, or 0 if the memory is not read.
    keep: i16,
    /// Instead, by side of the pair; 0 if it is.
    instead: [i16; 2],
}

impl Filter {
    #[inline]
    fn row(self, index: usize, trace: i16, shift: u32) -> Row {
        let trace = (trace & self.keep | self.instead[index & 1]) >> shift;
        Row { index: u32::try_from(index).expect("at most 256 rows"), trace: trace.into() }
    }

    /// Puts the rows with a trace into `rows` from `len` on; returns where they end. The traces are
    /// those of the slots from `first` on.
    #[inline]
    fn active(
        self,
        traces: &[i16],
        first: usize,
        shift: u32,
        rows: &mut [Row; 256],
        mut len: usize,
    ) -> usize {
        for (index, &trace) in (first..).zip(traces) {
            // Not a branch, which would be hard to foresee: the place is taken or used again.
            let row = self.row(index, trace, shift);
            rows[len & 255] = row;
            len = len.wrapping_add(usize::from(row.trace != 0));
        }
        len
    }
}

/// [`Kernels::signals`] in plain code.
pub(crate) fn signals(job: &mut SignalJob<'_>) {
    let settings = job.settings;
    for lane in 0..LANES {
        job.slope[lane] = slope(job.potential[lane], settings);
        if settings.regularising {
            let trace = job.recurrent_trace[lane] >> settings.recurrent.trace_shift;
            job.excess[lane] = trace.saturating_sub(settings.trace_floor).max(0);
        }
        job.signal[lane] = match settings.hidden_learns() {
            true => signal(job.errors, &job.rows[lane], settings),
            false => 0,
        };
    }
}

/// The pseudo-derivative: the level of the potential among the four bounds (srnn.v:841-846).
fn slope(potential: i16, settings: &Settings) -> i16 {
    let above = settings.slope_bounds.iter().take_while(|&&bound| potential >= bound).count();
    settings.slopes[above]
}

/// The learning signal of one neuron: the output errors, fed back through its own output weights.
/// The sum has 28 bits, the shifted sum 44; bits 27..12 are kept, saturating.
fn signal(errors: &Lanes, row: &WeightLanes, settings: &Settings) -> i16 {
    let products = errors
        .iter()
        .zip(row)
        .map(|(&error, &weight)| i32::from(error).wrapping_mul(i32::from(weight)));
    let sum = products.fold(0_i32, i32::wrapping_add);
    let scaled = i64::from(sum).wrapping_shl(settings.signal_shift) >> 12;
    saturate16(scaled)
}

/// SPEC 11, EPROP.
fn cycles(settings: &Settings) -> u64 {
    let counted = |last: usize| count(last).saturating_add(1);
    if !settings.hidden_learns() {
        return counted(settings.last_recurrent).saturating_mul(2);
    }
    let groups = counted(settings.last_recurrent >> 4);
    groups.saturating_mul(counted(settings.last_scanned).saturating_mul(2).saturating_add(32))
}
