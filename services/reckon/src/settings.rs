//! The registers as the hot loops want them: decoded once, in their own types, under names that say
//! what they do.

use crate::fixed::{low16, sign5};
use crate::flags::Flags;
use crate::params::Params;
use crate::registers::Register;

/// How strongly one kind of change acts on one weight matrix: a left shift, then a right shift.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// The `_P` register, 0..=31.
    pub(crate) up: u32,
    /// The `_R` register, 0..=31.
    pub(crate) down: u32,
}

/// What concerns one of the two matrices that [`crate::eprop`] updates row by row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MatrixSettings {
    /// Its bit of SPI_DO_EPROP.
    pub(crate) learns: bool,
    /// Its bit of SPI_REGUL_W.
    pub(crate) regularised: bool,
    /// SPI_LR_*.
    pub(crate) rate: Rate,
    /// SPI_REGUL_K_*.
    pub(crate) penalty: Rate,
    /// SPI_FP_LOC_T*: right shift of the presynaptic trace.
    pub(crate) trace_shift: u32,
    /// SPI_FP_LOC_W*: left shift of the weight.
    pub(crate) weight_shift: u32,
}

/// Every register that has a numeric effect.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a one-bit register of the chip")]
pub(crate) struct Settings {
    /// nI of SPEC 0: number of input channels less one.
    pub(crate) last_input: usize,
    /// nR: number of recurrent neurons less one.
    pub(crate) last_recurrent: usize,
    /// nO: number of output neurons less one.
    pub(crate) last_output: usize,
    /// nN = max(nI, nR): last slot that PROP and EPROP visit.
    pub(crate) last_scanned: usize,
    /// nS = max(nI, nR, nO): last slot that STEP visits.
    pub(crate) last_stepped: usize,
    /// The pairs that STEP writes: those that its scan completes.
    pub(crate) stepped_pairs: u128,
    /// The pairs that PROP writes for every event: those of the recurrent neurons.
    pub(crate) recurrent_pairs: u128,
    /// The slots up to the last of: inputs, recurrent neurons, slots scanned.
    pub(crate) inputs: Flags,
    pub(crate) neurons: Flags,
    pub(crate) scanned: Flags,
    /// The slots up to the second one of the last pair with a recurrent neuron.
    pub(crate) neuron_pairs: Flags,
    /// The slots of [`Settings::stepped_pairs`].
    pub(crate) stepped: Flags,
    /// SPI_RST_MODE.
    pub(crate) reset_to_zero: bool,
    /// SPI_DO_EPROP is not 0.
    pub(crate) learning: bool,
    /// SPI_DO_EPROP bit 2.
    pub(crate) output_learns: bool,
    pub(crate) input: MatrixSettings,
    pub(crate) recurrent: MatrixSettings,
    pub(crate) output_rate: Rate,
    pub(crate) output_weight_shift: u32,
    pub(crate) output_trace_shift: u32,
    /// What one event adds to a trace, or 0 where that trace is switched off: input, recurrent,
    /// output.
    pub(crate) input_increment: i16,
    pub(crate) recurrent_increment: i16,
    pub(crate) output_increment: i16,
    /// SPI_LEARN_SIG_SCALE.
    pub(crate) signal_shift: u32,
    /// SPI_REGUL_MODE is not 0.
    pub(crate) regularising: bool,
    /// SPI_REGUL_MODE bit 0, with SPI_REGUL_W not 0.
    pub(crate) multiplicative: bool,
    /// SPI_REGUL_MODE bit 1.
    pub(crate) additive: bool,
    /// SPI_REGUL_MODE bits 2 and 1: a pass runs on every step.
    pub(crate) every_step: bool,
    /// SPI_REGUL_F0.
    pub(crate) trace_floor: i16,
    /// SPI_REGUL_K_MUL.
    pub(crate) multiplicative_shift: u32,
    /// SPI_EN_STOCH_ROUND.
    pub(crate) stochastic: bool,
    pub(crate) regression: bool,
    /// SPI_NO_OUT_ACT.
    pub(crate) linear_output: bool,
    pub(crate) send_per_step: bool,
    pub(crate) send_label_only: bool,
    /// SPI_NOISE_STR where SPI_NOISE_EN is set: right shift of the 16-bit noise.
    pub(crate) noise_shift: Option<u32>,
    /// SPI_KAPPA.
    pub(crate) kappa: i16,
    /// SPI_THR_H_0..3.
    pub(crate) slope_bounds: [i16; 4],
    /// SPI_H_0..4.
    pub(crate) slopes: [i16; 5],
}

impl Settings {
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "shifts by 3-bit registers, of constants below 16, and numbers of slots"
    )]
    pub(crate) fn decode(params: &Params) -> Settings {
        let value = |register| params.value(register);
        let count = |register| usize::from(low16(value(register)));
        let flag = |register| value(register) == 1;
        let rate = |up, down| Rate { up: value(up), down: value(down) };
        let bit = |register, bit: u32| value(register) >> bit & 1 == 1;
        let signed = |register| low16(value(register)).cast_signed();

        let last_input = count(Register::NumInpNeur);
        let last_recurrent = count(Register::NumRecNeur);
        let last_output = count(Register::NumOutNeur);
        let last_scanned = last_input.max(last_recurrent);
        let forced = flag(Register::ForceTraces);
        let increment = |enable, unit: i16, shift| {
            if forced || bit(Register::DoEprop, enable) { unit << value(shift) } else { 0 }
        };
        let last_stepped = last_scanned.max(last_output);
        // The first `count` pairs, 0..=128.
        let pairs = |count: usize| {
            if count == 0 { 0 } else { u128::MAX >> 128_usize.saturating_sub(count) }
        };
        Settings {
            last_input,
            last_recurrent,
            last_output,
            last_scanned,
            last_stepped,
            stepped_pairs: pairs(last_stepped.div_ceil(2)),
            inputs: Flags::all_up_to(last_input),
            neurons: Flags::all_up_to(last_recurrent),
            scanned: Flags::all_up_to(last_scanned),
            neuron_pairs: Flags::all_up_to(last_recurrent | 1),
            stepped: match last_stepped.div_ceil(2) {
                0 => Flags::EMPTY,
                pairs => Flags::all_up_to(2 * pairs - 1),
            },
            recurrent_pairs: pairs(last_recurrent / 2 + 1),
            reset_to_zero: flag(Register::RstMode),
            learning: value(Register::DoEprop) != 0,
            output_learns: bit(Register::DoEprop, 2),
            input: MatrixSettings {
                learns: bit(Register::DoEprop, 0),
                regularised: bit(Register::RegulW, 0),
                rate: rate(Register::LrPWinp, Register::LrRWinp),
                penalty: rate(Register::RegulKInpP, Register::RegulKInpR),
                trace_shift: value(Register::FpLocTinp),
                weight_shift: value(Register::FpLocWinp),
            },
            recurrent: MatrixSettings {
                learns: bit(Register::DoEprop, 1),
                regularised: bit(Register::RegulW, 1),
                rate: rate(Register::LrPWrec, Register::LrRWrec),
                penalty: rate(Register::RegulKRecP, Register::RegulKRecR),
                trace_shift: value(Register::FpLocTrec),
                weight_shift: value(Register::FpLocWrec),
            },
            output_rate: rate(Register::LrPWout, Register::LrRWout),
            output_weight_shift: value(Register::FpLocWout),
            output_trace_shift: value(Register::FpLocTout),
            input_increment: increment(0, 8, Register::FpLocTinp),
            recurrent_increment: increment(1, 8, Register::FpLocTrec),
            output_increment: increment(2, 2, Register::FpLocTout),
            signal_shift: value(Register::LearnSigScale),
            regularising: value(Register::RegulMode) != 0,
            multiplicative: bit(Register::RegulMode, 0) && value(Register::RegulW) != 0,
            additive: bit(Register::RegulMode, 1),
            every_step: bit(Register::RegulMode, 1) && bit(Register::RegulMode, 2),
            trace_floor: signed(Register::RegulF0),
            multiplicative_shift: value(Register::RegulKMul),
            stochastic: flag(Register::EnStochRound),
            regression: flag(Register::Regression),
            linear_output: flag(Register::NoOutAct),
            send_per_step: flag(Register::SendPerTimestep),
            send_label_only: flag(Register::SendLabelOnly),
            noise_shift: flag(Register::NoiseEn).then(|| value(Register::NoiseStr)),
            kappa: signed(Register::Kappa),
            slope_bounds: [Register::ThrH0, Register::ThrH1, Register::ThrH2, Register::ThrH3]
                .map(signed),
            slopes: [Register::H0, Register::H1, Register::H2, Register::H3, Register::H4]
                .map(|register| sign5(value(register))),
        }
    }

    /// The matrices that learn in the pre phase of a pass: SPI_DO_EPROP bits 1:0 are not 0.
    pub(crate) const fn hidden_learns(&self) -> bool {
        self.input.learns || self.recurrent.learns
    }
}
