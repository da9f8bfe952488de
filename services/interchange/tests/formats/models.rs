//! Random models.

use federation::{Artifact, Layout, Tensor};
use proptest::prelude::*;
use proptest::sample::subsequence;
use reckon::{Params, Shape};

/// Registers and their greatest values; those of the shape, and those that make others necessary, are apart.
const REGISTERS: [(&str, u32); 24] = [
    ("SPI_EN_CONF", 1),
    ("SPI_RO_STAGE_SEL", 511),
    ("SPI_GET_TAR_REQ_OUT", 1),
    ("SPI_RST_MODE", 1),
    ("SPI_FP_LOC_WINP", 7),
    ("SPI_FP_LOC_TOUT", 7),
    ("SPI_LEARN_SIG_SCALE", 15),
    ("SPI_SRAM_SPEEDMODE", 255),
    ("SPI_SINGLE_LABEL", 1),
    ("SPI_CYCLES_PER_TICK", u32::MAX),
    ("SPI_ALPHA_CONF_W0", u32::MAX),
    ("SPI_ALPHA_CONF_W3", u32::MAX),
    ("SPI_KAPPA", 255),
    ("SPI_THR_H_0", 0xFFFF),
    ("SPI_H_4", 31),
    ("SPI_LR_R_WINP", 31),
    ("SPI_SEED_INP", 0x1FF_FFFF),
    ("SPI_SEED_STRND_NEUR", 0x3FFF_FFFF),
    ("SPI_SEED_STRND_TOUT", 0x3FFF_FFFF),
    ("SPI_SEED_NOISE_NEUR", 0x1_FFFF),
    ("SPI_REGUL_F0", 0xFFF),
    ("SPI_REGUL_K_MUL", 31),
    ("SPI_NOISE_STR", 15),
    ("SPI_GET_CLKINT_OUT", 1),
];

/// Shapes of all kinds: odd, single, full.
fn shape() -> impl Strategy<Value = Shape> {
    let count = || prop_oneof![8 => 1_u16..40, 1 => Just(256), 1 => 250_u16..256];
    let any = (count(), count(), 1_u16..=16);
    let any = any.prop_map(|(inputs, recurrent, outputs)| Shape { inputs, recurrent, outputs });
    let full = Just(Shape { inputs: 256, recurrent: 256, outputs: 16 });
    prop_oneof![9 => any, 1 => full]
}

/// A line, perhaps in another spelling that reads the same.
fn spelled(line: String, kind: u8) -> String {
    match kind {
        0 => format!("  {line}"),
        1 => format!("{line}\r"),
        2 => line.replacen(' ', "   ", 1),
        3 => line.replacen(' ', " +", 1),
        _ => line,
    }
}

/// Models of ReckOn networks whose configurations give some registers, in any order and spelling.
pub(crate) fn networks() -> impl Strategy<Value = Artifact> {
    let registers = subsequence(REGISTERS.to_vec(), 0..=REGISTERS.len()).prop_shuffle();
    let values = proptest::collection::vec(any::<u32>(), REGISTERS.len());
    let pairs = subsequence((0_u8..128).collect::<Vec<_>>(), 0..=128).prop_shuffle();
    let constants = proptest::collection::vec((0_u16..4096, any::<i16>()), 128);
    let spelling = proptest::collection::vec(0_u8..200, 256);
    let usual = any::<bool>();
    (shape(), registers, values, pairs, constants, spelling, usual, any::<u64>()).prop_map(
        |(shape, registers, values, mut pairs, constants, spelling, usual, seed)| {
            let Shape { inputs, recurrent, outputs } = shape;
            let mut lines = vec![
                format!("SPI_NUM_INP_NEUR {}", inputs - 1),
                format!("SPI_NUM_REC_NEUR {}", recurrent - 1),
                format!("SPI_NUM_OUT_NEUR {}", outputs - 1),
                "SPI_DO_EPROP 0".to_owned(),
            ];
            let value =
                |max: u32, value: u32| if max == u32::MAX { value } else { value % (max + 1) };
            let registers = registers.into_iter().zip(values);
            lines.extend(registers.map(|((name, max), v)| format!("{name} {}", value(max, v))));
            if usual {
                pairs.sort_unstable();
            }
            let mut neurons = vec!["pair,alpha12,thr".to_owned()];
            neurons.extend(pairs.into_iter().map(|pair| {
                let (alpha12, threshold) = constants[usize::from(pair)];
                format!("{pair},{alpha12},{threshold}")
            }));
            let mut spelling = spelling.into_iter();
            let mut text = |lines: Vec<String>| -> String {
                let spell =
                    |line| if usual { line } else { spelled(line, spelling.next().unwrap_or(9)) };
                lines.into_iter().map(spell).map(|line| line + "\n").collect()
            };
            let config = format!("{}\n{}", text(lines), text(neurons));
            network(&config, seed)
        },
    )
}

/// A model with this configuration and weights drawn from `seed`.
pub(crate) fn network(config: &str, seed: u64) -> Artifact {
    let (registers, neurons) = config.split_once("\n\n").unwrap();
    let Shape { inputs, recurrent, outputs } =
        Params::parse_text(registers, neurons).unwrap().shape();
    let (min, max) = if seed.is_multiple_of(2) { (-128, 127) } else { (-127, 99) };
    let tensor = |name: &str, rows: u16, cols: u16| Tensor {
        name: name.to_owned(),
        rows: rows.into(),
        cols: cols.into(),
        min,
        max,
    };
    let layout = Layout::new(vec![
        tensor("w_inp", inputs, recurrent),
        tensor("w_rec", recurrent, recurrent),
        tensor("w_out", recurrent, outputs),
    ]);
    artifact("reckon/1", layout.unwrap(), config.as_bytes().to_vec(), seed)
}

/// Models of any learner.
pub(crate) fn generic() -> impl Strategy<Value = Artifact> {
    let tensor = ("[a-z0-9_]{1,32}", 1_u32..60, 1_u32..60, -128_i8..=-1, 0_i8..=127);
    let tensors = proptest::collection::vec(tensor, 1..8);
    (tensors, "[a-z/-]{1,32}", "\\PC{0,200}", any::<u64>()).prop_map(
        |(tensors, learner, config, seed)| {
            let mut tensors: Vec<_> = tensors
                .into_iter()
                .map(|(name, rows, cols, min, max)| Tensor { name, rows, cols, min, max })
                .collect();
            tensors.sort_by(|a, b| b.name.cmp(&a.name));
            tensors.dedup_by(|a, b| a.name == b.name);
            artifact(&learner, Layout::new(tensors).unwrap(), config.into_bytes(), seed)
        },
    )
}

fn artifact(learner: &str, layout: Layout, config: Vec<u8>, seed: u64) -> Artifact {
    let mut state = seed;
    let weights = layout.ranges().map(|(min, max)| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = (state >> 56).to_le_bytes()[0].cast_signed();
        drawn.clamp(min, max)
    });
    let weights = weights.collect();
    Artifact::new(learner, layout, config, weights).unwrap()
}
