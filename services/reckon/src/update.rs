//! The stochastic change of weights by one unit (SPEC 6.2 and 6.3; srnn.v:1522-1605).

use crate::eprop::{HiddenJob, OutputJob, Row};
use crate::lfsr::{RowGenerator, output_word};
use crate::memory::{LANES, Lanes, WeightLanes};
use crate::settings::{MatrixSettings, Rate, Settings};

/// The largest value a random word of the hidden matrices takes: 32 bits.
const HIDDEN_MAX: u32 = u32::MAX;
/// The largest value a random word of the output matrix takes: 28 bits.
const OUTPUT_MAX: u32 = 0xFFF_FFFF;

/// Bounds below which the short ways of the SIMD kernels are exact, for the traces of a pass.
///
/// With |gain| * trace < 2^27 the chip's underflow guard (bit 27 of the change) is never set for an
/// increase, and for a decrease it changes nothing. With that bound and the penalty's, the change
/// less the penalty is itself, and never the most negative number, which always happens. What is
/// left is the rate's left shift, which saturates: it may be applied to gain and penalty instead
/// where the result has room in 32 bits, or in 31 and a sign.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Of |gain|, without a penalty.
    pub(crate) plain: u32,
    /// Of |gain|, with a penalty.
    pub(crate) penalised: u32,
    /// Of the penalty.
    pub(crate) penalty: u32,
}

#[expect(clippy::arithmetic_side_effects, reason = "a trace of an active row is not 0")]
impl Bounds {
    pub(crate) fn new(active: &[Row], up: u32) -> Bounds {
        let trace = active.iter().map(|row| row.trace).max().unwrap_or(1).cast_unsigned();
        let guard = (1 << 27) - 1;
        Bounds {
            plain: guard.min(u32::MAX >> up) / trace,
            penalised: guard.min(u32::MAX >> up >> 2) / trace,
            penalty: u32::MAX >> up >> 2,
        }
    }
}

/// What drives the changes of one hidden matrix in 16 neighbouring columns during one pass.
#[derive(Debug)]
pub(crate) struct Drive {
    /// `L * h`: multiplied by a presynaptic trace it gives the wanted change `E`.
    gain: [i32; LANES],
    /// `A`, which regularisation subtracts.
    penalty: [u32; LANES],
    /// `M`: sixteenths of a wanted increase that regularisation lets through.
    passed: [i32; LANES],
    rate: Rate,
    /// Rows without a trace are skipped altogether (`Z`).
    skips_quiet: bool,
    /// Some column is not let through whole.
    multiplicative: bool,
    /// Some gain is not 0.
    driven: bool,
    /// The changes of a row without a trace, or of any row if no gain drives it.
    quiet: Wanted,
}

/// The wanted changes of 16 weights.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// The change is made if the random word is not above this.
    reach: [u32; LANES],
    /// -1, 0 or +1.
    step: WeightLanes,
}

impl Drive {
    pub(crate) fn new(
        signal: &Lanes,
        slope: &Lanes,
        excess: &Lanes,
        matrix: &MatrixSettings,
        settings: &Settings,
    ) -> Drive {
        let mut gain = [0; LANES];
        let mut penalty = [0; LANES];
        let mut passed = [16; LANES];
        for n in 0..LANES {
            gain[n] = i32::from(signal[n]).wrapping_mul(i32::from(slope[n]));
            let excess = u32::from(excess[n].cast_unsigned());
            if settings.additive && matrix.regularised {
                penalty[n] =
                    excess.wrapping_shl(matrix.penalty.up).wrapping_shr(matrix.penalty.down);
            }
            if settings.multiplicative {
                let blocked = excess.wrapping_shr(settings.multiplicative_shift).min(16);
                passed[n] = 16_i32.wrapping_sub(blocked.cast_signed());
            }
        }
        let mut drive = Drive {
            gain,
            penalty,
            passed,
            rate: matrix.rate,
            skips_quiet: !settings.regularising || *excess == [0; LANES],
            multiplicative: passed != [16; LANES],
            driven: gain != [0; LANES],
            quiet: Wanted { reach: [0; LANES], step: [0; LANES] },
        };
        drive.quiet = drive.wanted(0);
        drive
    }

    /// Changes the weights of a row whose presynaptic trace is `trace`, 0..=4095, and returns
    /// whether it was visited at all; if not, the generator stays where it is. Lane `own`, where a
    /// neuron meets itself, becomes 0 instead of moving.
    #[inline]
    pub(crate) fn change(
        &self,
        row: &mut WeightLanes,
        trace: i32,
        own: Option<usize>,
        generator: &mut RowGenerator,
    ) -> bool {
        if trace == 0 && self.skips_quiet {
            return false;
        }
        let random = generator.draw();
        let deltas = if trace == 0 || !self.driven {
            self.quiet.decided(&random)
        } else {
            self.wanted(trace).decided(&random)
        };
        for n in 0..LANES {
            row[n] = row[n].saturating_add(deltas[n]);
        }
        if let Some(own) = own
            && deltas[own] != 0
        {
            row[own] = 0;
        }
        true
    }

    fn wanted(&self, trace: i32) -> Wanted {
        // K >> 4, and bit 31 of K all over a word.
        let mut scaled = [0; LANES];
        let mut bit31 = [0; LANES];
        if self.multiplicative {
            for n in 0..LANES {
                let change = self.gain[n].wrapping_mul(trace);
                let passed = if change < 0 { 16 } else { self.passed[n] };
                let low = (change & 15).wrapping_mul(passed) >> 4;
                scaled[n] = (change >> 4).wrapping_mul(passed).wrapping_add(low);
                bit31[n] = change.wrapping_mul(passed) >> 31;
            }
        } else {
            for n in 0..LANES {
                let change = self.gain[n].wrapping_mul(trace);
                scaled[n] = change;
                bit31[n] = change.wrapping_shl(4) >> 31;
            }
        }
        let mut wanted = Wanted { reach: [0; LANES], step: [0; LANES] };
        for n in 0..LANES {
            let difference = scaled[n].wrapping_sub_unsigned(self.penalty[n]);
            // The chip's underflow guard looks at bit 31 of K, which is not its sign.
            let change = if (difference >= 0) & (bit31[n] < 0) { i32::MIN } else { difference };
            wanted.reach[n] = reach(change, i32::MIN, HIDDEN_MAX, self.rate);
            wanted.step[n] = i8::from(change > 0).wrapping_sub(i8::from(change < 0));
        }
        wanted
    }
}

impl Wanted {
    #[inline]
    fn decided(&self, random: &[u32; LANES]) -> WeightLanes {
        let mut deltas = self.step;
        for n in 0..LANES {
            deltas[n] = if self.reach[n] >= random[n] { deltas[n] } else { 0 };
        }
        deltas
    }
}

/// The largest random word that lets `change` happen: its magnitude, scaled by the rate. The most
/// negative change always happens.
#[inline]
fn reach(change: i32, least: i32, max: u32, rate: Rate) -> u32 {
    let magnitude = change.unsigned_abs();
    let saturated =
        if magnitude > max.wrapping_shr(rate.up) { max } else { magnitude.wrapping_shl(rate.up) };
    if change == least { max } else { saturated.wrapping_shr(rate.down) }
}

/// [`Kernels::change_hidden`](crate::kernels::Kernels::change_hidden) in plain code.
pub(crate) fn change_hidden(job: &mut HiddenJob<'_>) -> u64 {
    let mut visited = 0_u64;
    for group in 0..job.groups {
        let learning = job.learning;
        let drive = Drive::new(
            &learning.signal[group],
            &learning.slope[group],
            &learning.excess[group],
            job.matrix_settings,
            job.settings,
        );
        let (rows, _) = job.rows.visited(group, drive.skips_quiet);
        for row in rows {
            let pre = usize::try_from(row.index).expect("at most 256 rows");
            let weights = &mut job.matrix[job.groups.wrapping_mul(pre).wrapping_add(group)];
            let own = (job.rows.recurrent && pre >> 4 == group).then_some(pre & 15);
            visited =
                visited.wrapping_add(drive.change(weights, row.trace, own, job.generator).into());
        }
    }
    visited
}

/// [`Kernels::change_outputs`](crate::kernels::Kernels::change_outputs) in plain code.
pub(crate) fn change_outputs(job: &mut OutputJob<'_>) {
    let outputs = job.settings.last_output.saturating_add(1);
    for row in job.rows {
        let words = job.generator.draw(1);
        let mut random = [0; LANES];
        for (k, random) in random.iter_mut().enumerate().take(outputs) {
            *random = output_word(words, k);
        }
        let weights = &mut job.matrix[usize::try_from(row.index).expect("at most 256 rows")];
        change_output_row(weights, job.errors, row.trace, job.settings.output_rate, &random);
    }
}

/// Updates the output weights of one neuron; `trace` is its output trace, 1..=1023.
fn change_output_row(
    row: &mut WeightLanes,
    errors: &Lanes,
    trace: i32,
    rate: Rate,
    random: &[u32; LANES],
) {
    for ((weight, &error), &random) in row.iter_mut().zip(errors).zip(random) {
        let change = i32::from(error).wrapping_mul(trace);
        if change != 0 && reach(change, -0x800_0000, OUTPUT_MAX, rate) >= random {
            *weight = weight.saturating_add(if change < 0 { -1 } else { 1 });
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test may overflow: it fails then")]
mod tests;
