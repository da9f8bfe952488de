//! The chip's configuration registers: name, width, reset value, and when a register without one
//! must be written.
//!
//! One row per register of SPEC 10 (spi_slave.v:300-710), in the order of their addresses; the
//! neuron words are not registers and live in [`Params`](crate::Params) beside them.

/// Number of rows in [`TABLE`].
pub(crate) const COUNT: usize = 67;

/// A configuration register; the discriminant is its row in [`TABLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Register {
    EnConf,
    RoStageSel,
    GetClkintOut,
    GetTarReqOut,
    RstMode,
    DoEprop,
    LocalTick,
    ErrorHalt,
    FpLocWinp,
    FpLocWrec,
    FpLocWout,
    FpLocTinp,
    FpLocTrec,
    FpLocTout,
    LearnSigScale,
    RegulMode,
    RegulW,
    EnStochRound,
    SramSpeedmode,
    TimingMode,
    Regression,
    SingleLabel,
    NoOutAct,
    SendPerTimestep,
    SendLabelOnly,
    NoiseEn,
    ForceTraces,
    CyclesPerTick,
    AlphaConfW0,
    AlphaConfW1,
    AlphaConfW2,
    AlphaConfW3,
    Kappa,
    ThrH0,
    ThrH1,
    ThrH2,
    ThrH3,
    H0,
    H1,
    H2,
    H3,
    H4,
    LrRWinp,
    LrPWinp,
    LrRWrec,
    LrPWrec,
    LrRWout,
    LrPWout,
    SeedInp,
    SeedRec,
    SeedOut,
    SeedStrndNeur,
    SeedStrndOneur,
    SeedStrndTinp,
    SeedStrndTrec,
    SeedStrndTout,
    SeedNoiseNeur,
    NumInpNeur,
    NumRecNeur,
    NumOutNeur,
    RegulF0,
    RegulKInpR,
    RegulKInpP,
    RegulKRecR,
    RegulKRecP,
    RegulKMul,
    NoiseStr,
}

impl Register {
    /// The register's row in [`TABLE`].
    #[expect(clippy::as_conversions, reason = "the discriminant is the row number")]
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The register called `name`, exactly as SPEC 10 spells it.
    pub(crate) fn named(name: &str) -> Option<Register> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.register)
    }

    /// The register's row.
    pub(crate) const fn row(self) -> &'static Row {
        &TABLE[self.index()]
    }
}

/// When a register without a reset value has an effect, and so must have been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Never: it has a reset value, or nothing numeric depends on it.
    Never,
    /// When SPI_DO_EPROP has one of these bits.
    Learning(u32),
    /// When SPI_REGUL_MODE is not 0.
    Regularisation,
    /// When SPI_REGUL_MODE has bit 1 and SPI_REGUL_W this bit.
    Additive(u32),
    /// When SPI_REGUL_MODE has bit 0 and SPI_REGUL_W is not 0.
    Multiplicative,
    /// When SPI_NOISE_EN is 1.
    Noise,
}

/// What is fixed about one register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) register: Register,
    pub(crate) name: &'static str,
    /// Width in bits, 1..=32.
    pub(crate) bits: u32,
    /// Value after reset; `None` where the chip leaves it undefined.
    pub(crate) reset: Option<u32>,
    pub(crate) need: Need,
}

impl Row {
    /// The largest unsigned image the register holds.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a width is 1..=32, checked by a test over the whole table"
    )]
    pub(crate) const fn max(&self) -> u32 {
        u32::MAX >> (32 - self.bits)
    }
}

const fn reset(register: Register, name: &'static str, bits: u32, value: u32) -> Row {
    Row { register, name, bits, reset: Some(value), need: Need::Never }
}

const fn unset(register: Register, name: &'static str, bits: u32, need: Need) -> Row {
    Row { register, name, bits, reset: None, need }
}

/// A seed register of two 15-bit generators has no reset value of its own; its generators have, and
/// start from them.
const fn lanes(lane0: u32, lane1: u32) -> u32 {
    lane0 | lane1 << 15
}

/// Every register, in address order.
pub(crate) static TABLE: [Row; COUNT] = [
    reset(Register::EnConf, "SPI_EN_CONF", 1, 1),
    unset(Register::RoStageSel, "SPI_RO_STAGE_SEL", 9, Need::Never),
    reset(Register::GetClkintOut, "SPI_GET_CLKINT_OUT", 1, 0),
    reset(Register::GetTarReqOut, "SPI_GET_TAR_REQ_OUT", 1, 1),
    reset(Register::RstMode, "SPI_RST_MODE", 1, 0),
    reset(Register::DoEprop, "SPI_DO_EPROP", 3, 7),
    reset(Register::LocalTick, "SPI_LOCAL_TICK", 1, 0),
    reset(Register::ErrorHalt, "SPI_ERROR_HALT", 1, 1),
    reset(Register::FpLocWinp, "SPI_FP_LOC_WINP", 3, 0),
    reset(Register::FpLocWrec, "SPI_FP_LOC_WREC", 3, 0),
    reset(Register::FpLocWout, "SPI_FP_LOC_WOUT", 3, 0),
    reset(Register::FpLocTinp, "SPI_FP_LOC_TINP", 3, 0),
    reset(Register::FpLocTrec, "SPI_FP_LOC_TREC", 3, 0),
    reset(Register::FpLocTout, "SPI_FP_LOC_TOUT", 3, 0),
    reset(Register::LearnSigScale, "SPI_LEARN_SIG_SCALE", 4, 0),
    reset(Register::RegulMode, "SPI_REGUL_MODE", 3, 0),
    reset(Register::RegulW, "SPI_REGUL_W", 2, 0),
    reset(Register::EnStochRound, "SPI_EN_STOCH_ROUND", 1, 0),
    reset(Register::SramSpeedmode, "SPI_SRAM_SPEEDMODE", 8, 0),
    reset(Register::TimingMode, "SPI_TIMING_MODE", 1, 0),
    reset(Register::Regression, "SPI_REGRESSION", 1, 0),
    reset(Register::SingleLabel, "SPI_SINGLE_LABEL", 1, 1),
    reset(Register::NoOutAct, "SPI_NO_OUT_ACT", 1, 0),
    reset(Register::SendPerTimestep, "SPI_SEND_PER_TIMESTEP", 1, 0),
    reset(Register::SendLabelOnly, "SPI_SEND_LABEL_ONLY", 1, 1),
    reset(Register::NoiseEn, "SPI_NOISE_EN", 1, 0),
    reset(Register::ForceTraces, "SPI_FORCE_TRACES", 1, 0),
    unset(Register::CyclesPerTick, "SPI_CYCLES_PER_TICK", 32, Need::Never),
    reset(Register::AlphaConfW0, "SPI_ALPHA_CONF_W0", 32, 0),
    reset(Register::AlphaConfW1, "SPI_ALPHA_CONF_W1", 32, 0),
    reset(Register::AlphaConfW2, "SPI_ALPHA_CONF_W2", 32, 0),
    reset(Register::AlphaConfW3, "SPI_ALPHA_CONF_W3", 32, 0),
    reset(Register::Kappa, "SPI_KAPPA", 8, 0x7A),
    unset(Register::ThrH0, "SPI_THR_H_0", 16, Need::Learning(3)),
    unset(Register::ThrH1, "SPI_THR_H_1", 16, Need::Learning(3)),
    unset(Register::ThrH2, "SPI_THR_H_2", 16, Need::Learning(3)),
    unset(Register::ThrH3, "SPI_THR_H_3", 16, Need::Learning(3)),
    unset(Register::H0, "SPI_H_0", 5, Need::Learning(3)),
    unset(Register::H1, "SPI_H_1", 5, Need::Learning(3)),
    unset(Register::H2, "SPI_H_2", 5, Need::Learning(3)),
    unset(Register::H3, "SPI_H_3", 5, Need::Learning(3)),
    unset(Register::H4, "SPI_H_4", 5, Need::Learning(3)),
    unset(Register::LrRWinp, "SPI_LR_R_WINP", 5, Need::Learning(1)),
    unset(Register::LrPWinp, "SPI_LR_P_WINP", 5, Need::Learning(1)),
    unset(Register::LrRWrec, "SPI_LR_R_WREC", 5, Need::Learning(2)),
    unset(Register::LrPWrec, "SPI_LR_P_WREC", 5, Need::Learning(2)),
    unset(Register::LrRWout, "SPI_LR_R_WOUT", 5, Need::Learning(4)),
    unset(Register::LrPWout, "SPI_LR_P_WOUT", 5, Need::Learning(4)),
    reset(Register::SeedInp, "SPI_SEED_INP", 25, 0x1),
    reset(Register::SeedRec, "SPI_SEED_REC", 25, 0x42_4242),
    reset(Register::SeedOut, "SPI_SEED_OUT", 22, 0x1),
    reset(Register::SeedStrndNeur, "SPI_SEED_STRND_NEUR", 30, lanes(0x1234, 0x70F0)),
    reset(Register::SeedStrndOneur, "SPI_SEED_STRND_ONEUR", 15, 0x7ABA),
    reset(Register::SeedStrndTinp, "SPI_SEED_STRND_TINP", 30, lanes(0x1348, 0x7FCF)),
    reset(Register::SeedStrndTrec, "SPI_SEED_STRND_TREC", 30, lanes(0x4321, 0x7BEA)),
    reset(Register::SeedStrndTout, "SPI_SEED_STRND_TOUT", 30, lanes(0x3FF3, 0x7EF0)),
    reset(Register::SeedNoiseNeur, "SPI_SEED_NOISE_NEUR", 17, 0x1_F0F1),
    reset(Register::NumInpNeur, "SPI_NUM_INP_NEUR", 8, 255),
    reset(Register::NumRecNeur, "SPI_NUM_REC_NEUR", 8, 255),
    reset(Register::NumOutNeur, "SPI_NUM_OUT_NEUR", 4, 15),
    unset(Register::RegulF0, "SPI_REGUL_F0", 12, Need::Regularisation),
    unset(Register::RegulKInpR, "SPI_REGUL_K_INP_R", 5, Need::Additive(1)),
    unset(Register::RegulKInpP, "SPI_REGUL_K_INP_P", 5, Need::Additive(1)),
    unset(Register::RegulKRecR, "SPI_REGUL_K_REC_R", 5, Need::Additive(2)),
    unset(Register::RegulKRecP, "SPI_REGUL_K_REC_P", 5, Need::Additive(2)),
    unset(Register::RegulKMul, "SPI_REGUL_K_MUL", 5, Need::Multiplicative),
    unset(Register::NoiseStr, "SPI_NOISE_STR", 4, Need::Noise),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_discriminants() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.register.index(), index, "{}", row.name);
            assert_eq!(
                Register::named(row.name),
                Some(row.register),
                "{} is there twice",
                row.name
            );
            assert!((1..=32).contains(&row.bits), "{}", row.name);
            assert!(row.reset.unwrap_or(0) <= row.max(), "{}", row.name);
        }
        assert_eq!(Register::named("SPI_KAPPA_"), None);
    }
}
