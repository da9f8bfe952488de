//! Moving weights in and out of a network.

use core::error::Error;
use core::fmt;

use crate::memory::{LANES, WeightLanes};
use crate::network::Network;

/// A weight slice does not have the length its matrix has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightError {
    /// Which matrix: `inp`, `rec` or `out`.
    pub matrix: &'static str,
    /// Number of weights of the matrix.
    pub needed: usize,
    /// Length of the slice.
    pub got: usize,
}

impl fmt::Display for WeightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WeightError { matrix, needed, got } = self;
        write!(f, "{matrix} holds {got} weights, the network has {needed}")
    }
}

impl Error for WeightError {}

impl Network<'_> {
    /// Replaces all weights. Each slice is row-major without padding, a row per presynaptic slot:
    /// `inp` is inputs x recurrent, `rec` recurrent x recurrent, `out` recurrent x outputs. Padding
    /// becomes 0.
    ///
    /// # Errors
    ///
    /// When a slice is longer or shorter than its matrix; then no weight has changed.
    pub fn load_weights(&mut self, inp: &[i8], rec: &[i8], out: &[i8]) -> Result<(), WeightError> {
        self.check_lengths(inp.len(), rec.len(), out.len())?;
        let shape = self.params.shape();
        let weights = &mut self.weights;
        let groups = weights.groups;
        load(weights.input_mut(), groups, inp, shape.recurrent);
        load(weights.recurrent_mut(), groups, rec, shape.recurrent);
        load(weights.output, 1, out, shape.outputs);
        Ok(())
    }

    /// Copies all weights out, in the layout of [`Network::load_weights`].
    ///
    /// # Errors
    ///
    /// When a slice is longer or shorter than its matrix; then nothing was copied.
    pub fn read_weights(
        &self,
        inp: &mut [i8],
        rec: &mut [i8],
        out: &mut [i8],
    ) -> Result<(), WeightError> {
        self.check_lengths(inp.len(), rec.len(), out.len())?;
        let shape = self.params.shape();
        read(self.weights.input(), self.weights.groups, inp, shape.recurrent);
        read(self.weights.recurrent(), self.weights.groups, rec, shape.recurrent);
        read(self.weights.output, 1, out, shape.outputs);
        Ok(())
    }

    /// The three matrices as the chip stores them: input and recurrent rows padded to 16 * ceil(NR
    /// / 16) columns, output rows to 16. Padded columns belong to no neuron, but additive
    /// regularisation may change them.
    #[must_use]
    pub fn padded_weights(&self) -> [&[i8]; 3] {
        let weights = &self.weights;
        [
            weights.input().as_flattened(),
            weights.recurrent().as_flattened(),
            weights.output[..weights.neurons].as_flattened(),
        ]
    }

    /// Replaces all weights, in the layout of [`Network::padded_weights`].
    ///
    /// # Errors
    ///
    /// When a slice is longer or shorter than its padded matrix; then no weight has changed.
    pub fn load_padded_weights(
        &mut self,
        inp: &[i8],
        rec: &[i8],
        out: &[i8],
    ) -> Result<(), WeightError> {
        let [input, recurrent, output] = self.padded_weights().map(<[i8]>::len);
        check_length("inp", input, inp.len())?;
        check_length("rec", recurrent, rec.len())?;
        check_length("out", output, out.len())?;
        self.weights.input_mut().as_flattened_mut().copy_from_slice(inp);
        self.weights.recurrent_mut().as_flattened_mut().copy_from_slice(rec);
        self.weights.output.as_flattened_mut()[..out.len()].copy_from_slice(out);
        Ok(())
    }

    fn check_lengths(&self, inp: usize, rec: usize, out: usize) -> Result<(), WeightError> {
        let shape = self.params.shape();
        let recurrent = usize::from(shape.recurrent);
        check_length("inp", recurrent.saturating_mul(shape.inputs.into()), inp)?;
        check_length("rec", recurrent.saturating_mul(recurrent), rec)?;
        check_length("out", recurrent.saturating_mul(shape.outputs.into()), out)
    }
}

const fn check_length(matrix: &'static str, needed: usize, got: usize) -> Result<(), WeightError> {
    if needed == got { Ok(()) } else { Err(WeightError { matrix, needed, got }) }
}

fn load(matrix: &mut [WeightLanes], groups: usize, from: &[i8], columns: u16) {
    let rows = matrix.as_flattened_mut().chunks_exact_mut(groups.saturating_mul(LANES));
    for (row, from) in rows.zip(from.chunks_exact(columns.into())) {
        let (used, padding) = row.split_at_mut(from.len());
        used.copy_from_slice(from);
        padding.fill(0);
    }
}

fn read(matrix: &[WeightLanes], groups: usize, to: &mut [i8], columns: u16) {
    let rows = matrix.as_flattened().chunks_exact(groups.saturating_mul(LANES));
    for (row, to) in rows.zip(to.chunks_exact_mut(columns.into())) {
        to.copy_from_slice(&row[..to.len()]);
    }
}
