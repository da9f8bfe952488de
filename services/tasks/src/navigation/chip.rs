//! The chip's configuration for navigation: the registers of its own test bench (SPEC section 10).

use alloc::string::String;
use core::fmt::Write as _;

use reckon::{Pair, Params};

/// SPI_DO_EPROP while training: all three weight matrices are plastic.
pub const DO_EPROP_TRAIN: u32 = 7;
/// SPI_DO_EPROP while testing: nothing is.
pub const DO_EPROP_TEST: u32 = 0;
/// Neuron pairs of the configuration (threshold and leak are shared by a pair).
pub const PAIRS: u8 = super::NEURONS / 2;
/// Low 12 bits of every pair's leak factor: 0x7FEF / 2^15 = 0.99948 a step, a time constant of 1.9 s.
pub const ALPHA12: u16 = 4079;
/// Every pair's threshold.
pub const THRESHOLD: i16 = 614;

/// Every register that is programmed, with its unsigned register image; seeds as the test bench powers up.
///
/// Signed 16-bit values appear as 65536 - n, signed 5-bit ones as 32 - n. SPI_DO_EPROP is set by phase:
/// [`DO_EPROP_TRAIN`], [`DO_EPROP_TEST`].
pub const REGISTERS: [(&str, u32); 63] = [
    ("SPI_RST_MODE", 0),
    ("SPI_DO_EPROP", 0),
    ("SPI_LOCAL_TICK", 0),
    ("SPI_ERROR_HALT", 1),
    ("SPI_FP_LOC_WINP", 3),
    ("SPI_FP_LOC_WREC", 3),
    ("SPI_FP_LOC_WOUT", 3),
    ("SPI_FP_LOC_TINP", 3),
    ("SPI_FP_LOC_TREC", 4),
    ("SPI_FP_LOC_TOUT", 6),
    ("SPI_LEARN_SIG_SCALE", 5),
    ("SPI_REGUL_MODE", 2),
    ("SPI_REGUL_W", 3),
    ("SPI_EN_STOCH_ROUND", 1),
    ("SPI_SRAM_SPEEDMODE", 0),
    ("SPI_TIMING_MODE", 0),
    ("SPI_REGRESSION", 0),
    ("SPI_SINGLE_LABEL", 1),
    ("SPI_NO_OUT_ACT", 0),
    ("SPI_SEND_PER_TIMESTEP", 0),
    ("SPI_SEND_LABEL_ONLY", 1),
    ("SPI_NOISE_EN", 0),
    ("SPI_FORCE_TRACES", 0),
    ("SPI_CYCLES_PER_TICK", 0),
    ("SPI_KAPPA", 121),
    ("SPI_THR_H_0", 205),
    ("SPI_THR_H_1", 205),
    ("SPI_THR_H_2", 205),
    ("SPI_THR_H_3", 205),
    ("SPI_H_0", 0),
    ("SPI_H_1", 0),
    ("SPI_H_2", 0),
    ("SPI_H_3", 0),
    ("SPI_H_4", 1),
    ("SPI_LR_R_WINP", 0),
    ("SPI_LR_P_WINP", 8),
    ("SPI_LR_R_WREC", 0),
    ("SPI_LR_P_WREC", 8),
    ("SPI_LR_R_WOUT", 0),
    ("SPI_LR_P_WOUT", 14),
    ("SPI_SEED_INP", 61_680),
    ("SPI_SEED_REC", 61_937),
    ("SPI_SEED_OUT", 62_194),
    ("SPI_SEED_STRND_NEUR", 1_061_155_827),
    ("SPI_SEED_STRND_ONEUR", 29_940),
    ("SPI_SEED_STRND_TINP", 1_063_253_493),
    ("SPI_SEED_STRND_TREC", 1_064_302_326),
    ("SPI_SEED_STRND_TOUT", 1_065_351_159),
    ("SPI_SEED_NOISE_NEUR", 4080),
    ("SPI_NUM_INP_NEUR", 39),
    ("SPI_NUM_REC_NEUR", 99),
    ("SPI_NUM_OUT_NEUR", 1),
    ("SPI_REGUL_F0", 160),
    ("SPI_REGUL_K_INP_R", 0),
    ("SPI_REGUL_K_INP_P", 10),
    ("SPI_REGUL_K_REC_R", 0),
    ("SPI_REGUL_K_REC_P", 10),
    ("SPI_REGUL_K_MUL", 0),
    ("SPI_NOISE_STR", 0),
    ("SPI_ALPHA_CONF_W0", 0),
    ("SPI_ALPHA_CONF_W1", 0),
    ("SPI_ALPHA_CONF_W2", 0),
    ("SPI_ALPHA_CONF_W3", 0),
];

/// The neuron pairs.
pub fn pairs() -> impl Iterator<Item = Pair> {
    (0..PAIRS).map(|pair| Pair { pair, alpha12: ALPHA12, threshold: THRESHOLD })
}

/// The configuration as the chip model takes it.
#[must_use]
pub fn params() -> Params {
    Params::parse(REGISTERS, pairs()).expect("a test reads this very table")
}

/// The registers as [`Params::parse_text`] reads them: `NAME VALUE` a line.
#[must_use]
pub fn config_text() -> String {
    let mut text = String::new();
    for (name, value) in REGISTERS {
        writeln!(text, "{name} {value}").expect("a String takes whatever is written");
    }
    text
}

/// The neuron pairs as [`Params::parse_text`] reads them: a heading, then `pair,alpha12,thr` a line.
#[must_use]
pub fn neurons_text() -> String {
    let mut text = String::from("pair,alpha12,thr\n");
    for Pair { pair, alpha12, threshold } in pairs() {
        writeln!(text, "{pair},{alpha12},{threshold}").expect("a String takes whatever is written");
    }
    text
}
