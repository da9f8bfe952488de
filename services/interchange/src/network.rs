//! A ReckOn network in an artifact: its registers and neurons, its three matrices.
//!
//! The configuration of an artifact of `reckon/1` is text: `NAME VALUE` lines, an empty line, the neurons as
//! `pair,alpha12,thr` lines under that heading.

use std::fmt::Write as _;

use federation::{Artifact, Layout, LayoutError, Tensor};
use reckon::{Pair, Params, Shape};

use crate::error::ExportError;

/// The learner whose artifacts hold networks.
pub(crate) const LEARNER: &str = "reckon/1";
/// The tensors, in order.
pub(crate) const TENSORS: [&str; 3] = ["w_inp", "w_rec", "w_out"];

/// The range of a tensor's weights: least and greatest.
pub(crate) type Range = (i8, i8);
/// Every value an 8-bit weight can take.
pub(crate) const FULL: Range = (i8::MIN, i8::MAX);

/// A network read from an artifact.
#[derive(Debug)]
pub(crate) struct Network<'a> {
    pub(crate) params: Params,
    /// The whole configuration.
    pub(crate) config: &'a str,
    /// The names of the registers that it gives, in its order.
    pub(crate) given: Vec<&'a str>,
    /// Inputs x recurrent, recurrent x recurrent, recurrent x outputs; a row per presynaptic neuron.
    pub(crate) weights: [&'a [i8]; 3],
    pub(crate) ranges: [Range; 3],
}

impl<'a> Network<'a> {
    pub(crate) fn read(artifact: &'a Artifact) -> Result<Self, ExportError> {
        if artifact.learner() != LEARNER {
            return Err(ExportError::Learner { got: artifact.learner().to_owned() });
        }
        let config = std::str::from_utf8(artifact.config()).map_err(|_| ExportError::Config)?;
        let (registers, neurons) = config.split_once("\n\n").ok_or(ExportError::Config)?;
        let params = Params::parse_text(registers, neurons)?;
        let shape = params.shape();
        let tensors = artifact.layout().tensors();
        let [inp, rec, out] = tensors else { return Err(mismatch(shape, tensors)) };
        let fits = [inp, rec, out].into_iter().zip(TENSORS).zip(sizes(shape)).all(
            |((tensor, name), (rows, cols))| {
                (tensor.name.as_str(), tensor.rows, tensor.cols) == (name, rows.into(), cols.into())
            },
        );
        if !fits {
            return Err(mismatch(shape, tensors));
        }
        let [first, second, _] = sizes(shape).map(area);
        let (input, rest) = artifact.weights().split_at(first);
        let (recurrent, output) = rest.split_at(second);
        let ranges = [inp, rec, out].map(|tensor| (tensor.min, tensor.max));
        let given = given(registers);
        Ok(Self { params, config, given, weights: [input, recurrent, output], ranges })
    }
}

/// The names of the registers that a configuration gives.
pub(crate) fn given(registers: &str) -> Vec<&str> {
    registers.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

/// Rows and columns of the three matrices.
pub(crate) fn sizes(shape: Shape) -> [(u16, u16); 3] {
    let Shape { inputs, recurrent, outputs } = shape;
    [(inputs, recurrent), (recurrent, recurrent), (recurrent, outputs)]
}

/// Number of weights of a matrix.
pub(crate) fn area((rows, cols): (u16, u16)) -> usize {
    usize::from(rows) * usize::from(cols)
}

/// The layout of a network.
pub(crate) fn layout(shape: Shape, ranges: [Range; 3]) -> Result<Layout, LayoutError> {
    let parts = TENSORS.into_iter().zip(sizes(shape)).zip(ranges);
    let tensor = |((name, (rows, cols)), (min, max)): ((&str, (u16, u16)), Range)| Tensor {
        name: name.to_owned(),
        rows: rows.into(),
        cols: cols.into(),
        min,
        max,
    };
    Layout::new(parts.map(tensor).collect())
}

/// A configuration as text, in its usual form.
pub(crate) fn config_text<'a>(
    registers: impl IntoIterator<Item = (&'a str, u32)>,
    pairs: impl IntoIterator<Item = Pair>,
) -> String {
    let mut text = String::new();
    for (name, value) in registers {
        writeln!(text, "{name} {value}").expect("a String takes whatever is written");
    }
    text.push_str("\npair,alpha12,thr\n");
    for Pair { pair, alpha12, threshold } in pairs {
        writeln!(text, "{pair},{alpha12},{threshold}").expect("a String takes whatever is written");
    }
    text
}

fn mismatch(shape: Shape, got: &[Tensor]) -> ExportError {
    let expected = TENSORS.into_iter().zip(sizes(shape));
    let expected: Vec<_> =
        expected.map(|(name, (rows, cols))| format!("{name} {rows}x{cols}")).collect();
    let got: Vec<_> = got.iter().map(|t| format!("{} {}x{}", t.name, t.rows, t.cols)).collect();
    ExportError::Shape { expected: expected.join(", "), got: got.join(", ") }
}
