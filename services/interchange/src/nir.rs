//! `nir`: the Neuromorphic Intermediate Representation, in HDF5, as the Python package `nir` reads it.
//!
//! ```text
//! input ─▶ w_inp ─▶ lif ─▶ w_out ─▶ li ─▶ output
//!                   │ ▲
//!                   ▼ │
//!                  w_rec
//! ```
//!
//! One unit everywhere, the least significant bit of the chip's membrane potential; `dt` is one tick, taken as 1 ms, as in
//! the navigation task (a model does not say how long its ticks are). Then
//!
//! | NIR | from the chip |
//! | --- | --- |
//! | `Linear.weight[post][pre]` | `weight << SPI_FP_LOC_W*` |
//! | `LIF.tau` | `dt / (1 - alpha)`, so that a forward Euler step of `dt` multiplies by `alpha` |
//! | `LIF.r` | `tau / dt`, so that a spike adds its weight to the potential within that step |
//! | `LIF.v_threshold` | the threshold of the neuron's pair |
//! | `LIF.v_reset`, `LIF.v_leak` | 0 |
//! | `LI.tau`, `LI.r` | the same with `kappa` |
//!
//! What NIR cannot carry, and what a simulation will therefore not repeat bit for bit:
//!
//! * integers: the chip rounds every leak, at random with SPI_EN_STOCH_ROUND, saturates and wraps at 16 bits;
//! * reset by subtraction (SPI_RST_MODE 0): NIR's neurons reset to a value. The configuration in the metadata says which
//!   it was;
//! * the order within a tick: the chip compares before it leaks, fires at or above the threshold (NIR: above), and delivers
//!   spikes after that, in the same tick;
//! * learning: e-prop, its registers, traces and generators; membrane noise;
//! * votes: the chip counts the highest output over the ticks of a sample, NIR ends at the potentials.
//!
//! Leak factors of 1 and above have no time constant and are refused. The root's metadata hold `learner`, `config` (the
//! whole configuration as text), `dt` in seconds and `digest`, the SHA-256 of the artifact. There is no way back.

use federation::{Artifact, Digest};
use reckon::Params;

use crate::error::ExportError;
use crate::hdf5::{self, Object};
use crate::network::Network;

/// The NIR version that is written.
const VERSION: &str = "1.0";
/// Seconds of one tick.
const DT: f64 = 1e-3;

/// `artifact` as a NIR graph in HDF5.
///
/// # Errors
/// [`ExportError`] when the model is not a ReckOn network, or has leak factors of 1 and above.
pub fn write(artifact: &Artifact) -> Result<Vec<u8>, ExportError> {
    let network = Network::read(artifact)?;
    let params = &network.params;
    let shape = params.shape();
    let [inputs, recurrent, outputs] =
        [shape.inputs, shape.recurrent, shape.outputs].map(usize::from);
    let [w_inp, w_rec, w_out] = network.weights;
    let shift = |name| params.get(name).expect("these registers have reset values");
    let mut tau = Vec::with_capacity(recurrent);
    let mut threshold = Vec::with_capacity(recurrent);
    for pair in (0..recurrent).map(|neuron| neuron / 2) {
        tau.push(time_constant(
            &format!("neuron pair {pair}"),
            one_minus_alpha(params, pair),
            1 << 15,
        )?);
        let pair = u8::try_from(pair).ok().and_then(|pair| params.pair(pair));
        threshold.push(f32::from(pair.expect("a network has at most 128 pairs").threshold));
    }
    let kappa = i32::try_from(shift("SPI_KAPPA")).expect("kappa has 8 bits");
    let tau_out = vec![time_constant("SPI_KAPPA", 128 - kappa, 128)?; outputs];
    let nodes = vec![
        ("input", end("Input", inputs)),
        ("w_inp", linear(w_inp, inputs, recurrent, shift("SPI_FP_LOC_WINP"))),
        ("lif", neurons("LIF", &tau, Some(threshold))),
        ("w_rec", linear(w_rec, recurrent, recurrent, shift("SPI_FP_LOC_WREC"))),
        ("w_out", linear(w_out, recurrent, outputs, shift("SPI_FP_LOC_WOUT"))),
        ("li", neurons("LI", &tau_out, None)),
        ("output", end("Output", outputs)),
    ];
    let metadata = vec![
        ("learner", Object::Text(artifact.learner().to_owned())),
        ("config", Object::Text(network.config.to_owned())),
        ("digest", Object::Text(Digest::of(&artifact.encode()).to_string())),
        ("dt", Object::Float(DT)),
    ];
    let graph = vec![
        ("type", text("NIRGraph")),
        ("edges", Object::Texts([EDGES.len() as u64, 2], EDGES.concat())),
        ("metadata", Object::Group(metadata)),
        ("nodes", Object::Group(nodes)),
    ];
    Ok(hdf5::write(vec![("version", text(VERSION)), ("node", Object::Group(graph))]))
}

const EDGES: [[&str; 2]; 7] = [
    ["input", "w_inp"],
    ["w_inp", "lif"],
    ["lif", "w_rec"],
    ["w_rec", "lif"],
    ["lif", "w_out"],
    ["w_out", "li"],
    ["li", "output"],
];

fn text(text: &str) -> Object {
    Object::Text(text.to_owned())
}

fn end(kind: &str, neurons: usize) -> Object {
    let count = i64::try_from(neurons).expect("at most 256 neurons");
    Object::Group(vec![("type", text(kind)), ("shape", Object::Integers(vec![count]))])
}

/// NIR has a row per postsynaptic neuron, the chip one per presynaptic neuron.
fn linear(weights: &[i8], rows: usize, cols: usize, shift: u32) -> Object {
    let scaled = |weight: i8| f32::from(i16::from(weight) << shift);
    let column = |col| (0..rows).map(move |row| scaled(weights[row * cols + col]));
    let values = (0..cols).flat_map(column).collect();
    let weight = Object::Floats(vec![cols as u64, rows as u64], values);
    Object::Group(vec![("type", text("Linear")), ("weight", weight)])
}

/// Neurons whose time constants are `tau` ticks.
fn neurons(kind: &str, tau: &[f64], threshold: Option<Vec<f32>>) -> Object {
    let dims = vec![tau.len() as u64];
    let each = |values: Vec<f32>| Object::Floats(dims.clone(), values);
    let zeros = || each(vec![0.0; tau.len()]);
    let narrow = |scale: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounded to the nearest f32, as NIR files have"
        )]
        tau.iter().map(|tau| (tau * scale) as f32).collect()
    };
    let mut parts = vec![
        ("type", text(kind)),
        ("tau", each(narrow(DT))),
        ("r", each(narrow(1.0))),
        ("v_leak", zeros()),
    ];
    if let Some(threshold) = threshold {
        parts.push(("v_threshold", each(threshold)));
        parts.push(("v_reset", zeros()));
    }
    Object::Group(parts)
}

/// The distance of a pair's leak factor from 1, in units of 2^-15 (SPEC 2).
fn one_minus_alpha(params: &Params, pair: usize) -> i32 {
    const CONF: [&str; 4] =
        ["SPI_ALPHA_CONF_W0", "SPI_ALPHA_CONF_W1", "SPI_ALPHA_CONF_W2", "SPI_ALPHA_CONF_W3"];
    let above = params.get(CONF[pair / 32]).is_some_and(|conf| conf >> (pair % 32) & 1 == 1);
    let pair = u8::try_from(pair).ok().and_then(|pair| params.pair(pair));
    let low = i32::from(pair.expect("a network has at most 128 pairs").alpha12);
    0x8000 - (if above { 0x8000 } else { 0x7000 } | low)
}

/// The time constant, in ticks, of what keeps all but `lost` of `whole` in each of them.
fn time_constant(what: &str, lost: i32, whole: i32) -> Result<f64, ExportError> {
    if lost > 0 {
        return Ok(f64::from(whole) / f64::from(lost));
    }
    let kept = f64::from(whole - lost) / f64::from(whole);
    let why = format!("its leak factor is {kept}, which is not below 1");
    Err(ExportError::NoSuchNeuron { what: what.to_owned(), why })
}
