//! Random programs of the chip and random events.

use proptest::prelude::*;
use reckon::{Event, Pair, Params, Shape};

/// Registers of the shape, which have strategies of their own.
const SHAPE: [&str; 3] = ["SPI_NUM_INP_NEUR", "SPI_NUM_REC_NEUR", "SPI_NUM_OUT_NEUR"];

/// The registers with a numeric effect and their greatest values, as SPEC 10 lists them.
const REGISTERS: [(&str, u32); 59] = [
    ("SPI_RST_MODE", 1),
    ("SPI_DO_EPROP", 7),
    ("SPI_FP_LOC_WINP", 7),
    ("SPI_FP_LOC_WREC", 7),
    ("SPI_FP_LOC_WOUT", 7),
    ("SPI_FP_LOC_TINP", 7),
    ("SPI_FP_LOC_TREC", 7),
    ("SPI_FP_LOC_TOUT", 7),
    ("SPI_LEARN_SIG_SCALE", 15),
    ("SPI_REGUL_MODE", 7),
    ("SPI_REGUL_W", 3),
    ("SPI_EN_STOCH_ROUND", 1),
    ("SPI_REGRESSION", 1),
    ("SPI_NO_OUT_ACT", 1),
    ("SPI_SEND_PER_TIMESTEP", 1),
    ("SPI_SEND_LABEL_ONLY", 1),
    ("SPI_NOISE_EN", 1),
    ("SPI_FORCE_TRACES", 1),
    ("SPI_ALPHA_CONF_W0", u32::MAX),
    ("SPI_ALPHA_CONF_W1", u32::MAX),
    ("SPI_ALPHA_CONF_W2", u32::MAX),
    ("SPI_ALPHA_CONF_W3", u32::MAX),
    ("SPI_KAPPA", 255),
    ("SPI_THR_H_0", 0xFFFF),
    ("SPI_THR_H_1", 0xFFFF),
    ("SPI_THR_H_2", 0xFFFF),
    ("SPI_THR_H_3", 0xFFFF),
    ("SPI_H_0", 31),
    ("SPI_H_1", 31),
    ("SPI_H_2", 31),
    ("SPI_H_3", 31),
    ("SPI_H_4", 31),
    ("SPI_LR_R_WINP", 31),
    ("SPI_LR_P_WINP", 31),
    ("SPI_LR_R_WREC", 31),
    ("SPI_LR_P_WREC", 31),
    ("SPI_LR_R_WOUT", 31),
    ("SPI_LR_P_WOUT", 31),
    ("SPI_SEED_INP", 0x1FF_FFFF),
    ("SPI_SEED_REC", 0x1FF_FFFF),
    ("SPI_SEED_OUT", 0x3F_FFFF),
    ("SPI_SEED_STRND_NEUR", 0x3FFF_FFFF),
    ("SPI_SEED_STRND_ONEUR", 0x7FFF),
    ("SPI_SEED_STRND_TINP", 0x3FFF_FFFF),
    ("SPI_SEED_STRND_TREC", 0x3FFF_FFFF),
    ("SPI_SEED_STRND_TOUT", 0x3FFF_FFFF),
    ("SPI_SEED_NOISE_NEUR", 0x1_FFFF),
    ("SPI_REGUL_F0", 0xFFF),
    ("SPI_REGUL_K_INP_R", 31),
    ("SPI_REGUL_K_INP_P", 31),
    ("SPI_REGUL_K_REC_R", 31),
    ("SPI_REGUL_K_REC_P", 31),
    ("SPI_REGUL_K_MUL", 31),
    ("SPI_NOISE_STR", 15),
    ("SPI_SINGLE_LABEL", 1),
    ("SPI_EN_CONF", 1),
    ("SPI_ERROR_HALT", 1),
    ("SPI_LOCAL_TICK", 1),
    ("SPI_TIMING_MODE", 1),
];

fn shape() -> impl Strategy<Value = Shape> {
    let count = prop_oneof![4 => 1_u16..40, 1 => 250_u16..=256];
    (count.clone(), count, 1_u16..=16).prop_map(|(inputs, recurrent, outputs)| Shape {
        inputs,
        recurrent,
        outputs,
    })
}

/// Greatest values of a tame program, as tasks use them: most of the short ways of the fast paths are
/// open to such programs only.
const TAME: [(&str, u32); 20] = [
    ("SPI_NOISE_EN", 0),
    ("SPI_ALPHA_CONF_W0", 0),
    ("SPI_ALPHA_CONF_W1", 0),
    ("SPI_ALPHA_CONF_W2", 0),
    ("SPI_ALPHA_CONF_W3", 0),
    ("SPI_LR_P_WINP", 10),
    ("SPI_LR_P_WREC", 10),
    ("SPI_LR_P_WOUT", 14),
    ("SPI_LR_R_WINP", 3),
    ("SPI_LR_R_WREC", 3),
    ("SPI_LR_R_WOUT", 3),
    ("SPI_H_0", 2),
    ("SPI_H_1", 2),
    ("SPI_H_2", 2),
    ("SPI_H_3", 2),
    ("SPI_REGUL_F0", 20),
    ("SPI_REGUL_K_INP_R", 3),
    ("SPI_REGUL_K_INP_P", 10),
    ("SPI_REGUL_K_REC_R", 3),
    ("SPI_REGUL_K_REC_P", 10),
];

pub(crate) fn program() -> impl Strategy<Value = Params> {
    let values = REGISTERS.map(|(_, max)| prop_oneof![4 => 0..=max, 1 => Just(max), 1 => Just(0)]);
    // A leak factor of exactly 1.0 is an exception of its own.
    let alpha12 = prop_oneof![5 => 0_u16..4096, 1 => Just(0)];
    let threshold = prop_oneof![-600_i16..600, any::<i16>()];
    let pairs = proptest::collection::vec((alpha12, threshold), 128);
    (shape(), Vec::from(values), pairs, any::<bool>()).prop_map(
        |(shape, mut values, pairs, tame)| {
            for (value, (name, _)) in values.iter_mut().zip(REGISTERS) {
                if let Some((_, most)) = TAME.iter().find(|(tamed, _)| tame && *tamed == name) {
                    *value %= most + 1;
                }
            }
            let counts =
                [shape.inputs, shape.recurrent, shape.outputs].map(|count| u32::from(count) - 1);
            let registers = REGISTERS
                .map(|(name, _)| name)
                .into_iter()
                .zip(values)
                .chain(SHAPE.into_iter().zip(counts));
            let pairs = (0..).zip(pairs).map(|(pair, (alpha12, threshold))| Pair {
                pair,
                alpha12,
                threshold,
            });
            Params::parse(registers, pairs).unwrap()
        },
    )
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0_u32..12, any::<u8>()).prop_map(|(tick, address)| Event { tick, address });
    proptest::collection::vec(event, 0..80).prop_map(|mut events| {
        events.sort_by_key(|event| event.tick);
        events
    })
}
