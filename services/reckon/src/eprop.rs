//! EPROP: one pass of on-chip learning over all weights (SPEC 6).
//!
//! srnn.v:766-963, 1173-1186. For each group of 16 neurons the chip first walks over those neurons,
//! which yields their learning signal, slope and excess activity and updates their output weights
//! (the post phase), and then over all presynaptic slots, updating one row of 16 weights of each
//! hidden matrix per slot (the pre phase). Every update is at most one unit, applied when a random
//! word does not exceed the magnitude of the wanted change ([`crate::update`]).

use crate::fixed::{count, saturate16};
use crate::lfsr::{OutputRowGenerator, RowGenerator};
use crate::memory::{LANES, Lanes, Learning, Neurons, PairWord, WeightLanes, Weights};
use crate::settings::{MatrixSettings, Settings};
use crate::update::{Drive, change_outputs};

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

/// What a pass reads and writes. The neurons, `stale` and `errors` stay as they are.
#[derive(Debug)]
pub(crate) struct Pass<'a, 'm> {
    pub(crate) settings: &'a Settings,
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
    pub(crate) fn run(&mut self) -> Learned {
        let mut weights_drawn = 0_u64;
        for group in 0..=self.settings.last_recurrent >> 4 {
            weights_drawn = weights_drawn.saturating_add(self.post_phase(group));
            if self.settings.hidden_learns() {
                weights_drawn = weights_drawn.saturating_add(self.pre_phase(group));
            }
        }
        Learned { cycles: cycles(self.settings), weights_drawn }
    }

    /// SPEC 6.2 (a): the 16 neurons of `group`, whose numbers may run past the last one.
    fn post_phase(&mut self, group: usize) -> u64 {
        let mut weights_drawn = 0;
        for lane in 0..LANES {
            let neuron = group << 4 | lane;
            let side = lane & 1;
            let word = self.word(neuron >> 1);
            self.learning.slope[group][lane] = slope(word.potential[side], self.settings);
            if self.settings.regularising {
                let trace = word.recurrent_trace[side] >> self.settings.recurrent.trace_shift;
                self.learning.excess[group][lane] =
                    trace.saturating_sub(self.settings.trace_floor).max(0);
            }
            let row = self.weights.output.get_mut(neuron);
            self.learning.signal[group][lane] = match &row {
                Some(row) if self.settings.hidden_learns() => {
                    signal(self.errors, row, self.settings)
                }
                _ => 0,
            };
            if let Some(row) = row
                && self.settings.output_learns
                && self.target_valid
            {
                let trace = word.output_trace[side] >> self.settings.output_trace_shift;
                if trace != 0 {
                    let outputs = self.settings.last_output.saturating_add(1);
                    let random = self.generators.output.draw(outputs);
                    change_outputs(row, self.errors, trace, self.settings.output_rate, &random);
                    weights_drawn = count(outputs).saturating_add(weights_drawn);
                }
            }
        }
        weights_drawn
    }

    /// SPEC 6.2 (b): the rows of both matrices, as far as they lie in the columns of `group`. The
    /// chip takes the two matrices in turns; they share nothing that changes, so here they go one
    /// after the other.
    fn pre_phase(&mut self, group: usize) -> u64 {
        let Settings { input, recurrent, last_input, last_recurrent, .. } = self.settings;
        let groups = self.weights.groups;
        let mut rows = 0_u64;
        if let Some(drive) = self.drive(group, input) {
            for pre in 0..=*last_input {
                let trace = self.trace(pre, self.neurons.input_trace, &self.stale.input_trace)
                    >> input.trace_shift;
                let row = &mut self.weights.input[groups.wrapping_mul(pre).wrapping_add(group)];
                let visited = drive.change(row, trace, None, &mut self.generators.input);
                rows = rows.wrapping_add(visited.into());
            }
        }
        if let Some(drive) = self.drive(group, recurrent) {
            for pre in 0..=*last_recurrent {
                let stale = &self.stale.recurrent_trace;
                let trace =
                    self.trace(pre, self.neurons.recurrent_trace, stale) >> recurrent.trace_shift;
                let row = &mut self.weights.recurrent[groups.wrapping_mul(pre).wrapping_add(group)];
                let own = (pre >> 4 == group).then_some(pre & 15);
                let visited = drive.change(row, trace, own, &mut self.generators.recurrent);
                rows = rows.wrapping_add(visited.into());
            }
        }
        rows.saturating_mul(count(LANES))
    }

    /// What drives the changes of one matrix in the columns of `group`; `None` if it does not
    /// change in this pass.
    fn drive(&self, group: usize, matrix: &MatrixSettings) -> Option<Drive> {
        let acts = self.target_valid || self.settings.every_step && matrix.regularised;
        (matrix.learns && acts).then(|| {
            let learning = &self.learning;
            Drive::new(
                &learning.signal[group],
                &learning.slope[group],
                &learning.excess[group],
                matrix,
                self.settings,
            )
        })
    }

    /// The word of pair `pair`, as this pass sees it: raw, whether or not the sample has written
    /// it. Pairs beyond the last one are not read, and leave the word of the last one in place.
    /// Only the flag of pair 0, at which the address of the flags stands, can hide it.
    fn word(&self, pair: usize) -> PairWord {
        if self.neurons.written & 1 == 0 {
            PairWord::default()
        } else if self.target_valid {
            self.neurons.read(pair.min(self.settings.last_scanned >> 1))
        } else {
            *self.stale
        }
    }

    /// One trace of slot `slot`, under the same rules.
    fn trace(&self, slot: usize, field: &[Lanes], stale: &[i16; 2]) -> i16 {
        if self.neurons.written & 1 == 0 {
            0
        } else if self.target_valid {
            field.as_flattened()[slot]
        } else {
            stale[slot & 1]
        }
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
