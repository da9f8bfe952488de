//! `spi`: the 32-bit words that program a ReckOn chip or FPGA with a model, over its SPI bus.
//!
//! The file is text. A line is one transaction: a command word and its data words, in hexadecimal, most significant bit
//! sent first; `#` begins a comment. To program the chip, pulse RST, then send every word of every line:
//!
//! ```text
//! 00010000 00000001  # SPI_EN_CONF = 1
//! 0001000e 00000003  # SPI_FP_LOC_WOUT = 3
//! 10040000 00000000 00000000 00000000 fef02660  # pair 0: threshold 614, alpha12 4079
//! 301c0040 ...       # w_inp from 1
//! ```
//!
//! A command is `{R/W: 1, code: 3, count: 12, address: 16}`; a write has R/W 0 and `count` data words. The widths and the
//! polarity are those of `spi_slave.v` in the public RTL (`github.com/ChFrenkel/ReckOn`, commit `5e5c0be`: the
//! table in its header, and the condition `!spi_addr[31]` of its write branch). The codes: 0 registers, 1 neuron
//! memory, 2 output potentials, 3, 4, 5 the input, recurrent and output weights. In a memory the address counts
//! 32-bit chunks, four to a word, and moves on with each data word; a register takes one data word.
//!
//! What is written, in this order:
//!
//! 1. SPI_EN_CONF = 1, which opens memories and seeds to the bus.
//! 2. The registers that the model's configuration gives, in its order; then those that it leaves out and reset gives no
//!    value either, as 0. The rest keep what reset gave them, which is why RST comes first.
//! 3. The neuron words of all pairs that the chip visits or the configuration names: threshold, leak, state 0.
//! 4. The weights, a row a line, 16 columns at a time; columns beyond the network as 0. Slots that are no neurons but that
//!    the chip visits, and that may fire, get rows of 0, as in the chip model.
//! 5. SPI_EN_CONF = 0. The chip is ready.
//!
//! Lines that begin with `#!` are comments to the chip and say what words cannot: `#! range w_inp -128 127`;
//! `#! omit SPI_RO_STAGE_SEL`, that the configuration leaves this register out; and, where the configuration is written in
//! another way than the usual one (other spellings, another order of neurons), its text line by line, as JSON strings,
//! `#! config "..."`. [`read`] replays the words into a simulated register file and memories and builds the model from
//! those; a configuration in `#!` lines must agree with them, and without one the usual form is taken.

mod replay;

use std::fmt::Write as _;

use federation::Artifact;
use reckon::{Pair, Params, Shape};

use crate::error::{ExportError, ImportError};
use crate::network::{FULL, Network, TENSORS, config_text, sizes};
use crate::registers::{EN_CONF, REGISTERS, Register};

/// Codes of the memories in a command word.
const REGISTER: u32 = 0;
const NEURONS: u32 = 1;
const OUTPUT_POTENTIALS: u32 = 2;
/// The codes of the three weight memories, in the order of the tensors.
const WEIGHTS: [u32; 3] = [3, 4, 5];
/// 32-bit chunks of a memory word.
const CHUNKS: u16 = 4;
/// Neuron pairs of the chip.
const PAIRS: u16 = 128;

/// `artifact` as SPI words.
///
/// # Errors
/// [`ExportError`] when the model is not a ReckOn network.
pub fn write(artifact: &Artifact) -> Result<String, ExportError> {
    let network = Network::read(artifact)?;
    let shape = network.params.shape();
    let mut out = Words::default();
    heading(&mut out.text, shape);
    for (name, (min, max)) in TENSORS.into_iter().zip(network.ranges) {
        out.line(&format!("#! range {name} {min} {max}"));
    }
    let (given, left_out) = registers(&network);
    let named = given.iter().map(|(register, value)| (register.name, *value));
    if config_text(named, pairs(&network.params)) == network.config {
        for (register, _) in &left_out {
            out.line(&format!("#! omit {}", register.name));
        }
    } else {
        for line in network.config.split('\n') {
            out.line(&format!("#! config {}", serde_json::Value::from(line)));
        }
    }
    out.register(EN_CONF, "SPI_EN_CONF", 1);
    for (register, value) in given.into_iter().chain(left_out) {
        out.register(register.address, register.name, value);
    }
    for Pair { pair, alpha12, threshold } in pairs(&network.params) {
        let word = u32::from(alpha12) << 20 | u32::from(threshold.cast_unsigned()) << 4;
        let comment = format!("pair {pair}: threshold {threshold}, alpha12 {alpha12}");
        out.transaction(NEURONS, CHUNKS * u16::from(pair), &[0, 0, 0, word], &comment);
    }
    let slots = slots(shape);
    for (matrix, (rows, cols)) in sizes(shape).into_iter().enumerate() {
        let stride = row_chunks(matrix);
        // A row of the output matrix is one memory word; the others have as many as there are groups of 16 columns.
        let chunks = usize::from(cols.div_ceil(16) * CHUNKS);
        let mut from = network.weights[matrix].chunks(usize::from(cols));
        for row in 0..if matrix == 0 { rows } else { slots } {
            let weights = from.next().unwrap_or(&[]);
            let comment = match weights {
                [] => format!("{} from {row}, which is no neuron", TENSORS[matrix]),
                _ => format!("{} from {row}", TENSORS[matrix]),
            };
            out.transaction(WEIGHTS[matrix], row * stride, &packed(weights, chunks), &comment);
        }
    }
    out.register(EN_CONF, "SPI_EN_CONF", 0);
    Ok(out.text)
}

/// The model that SPI words program.
///
/// # Errors
/// [`ImportError`] names the line, or what the words leave open.
pub fn read(bytes: &[u8]) -> Result<Artifact, ImportError> {
    replay::read(bytes)
}

/// The registers that are written between the two writes of SPI_EN_CONF, with their values: those that the configuration
/// gives, and those that it leaves out and reset gives no value either.
fn registers(network: &Network<'_>) -> (Vec<Written>, Vec<Written>) {
    let value =
        |register: &'static Register| (register, network.params.get(register.name).unwrap_or(0));
    let given = network.given.iter().filter_map(|name| Register::named(name));
    let left_out = REGISTERS.iter().filter(|r| !r.reset && !network.given.contains(&r.name));
    let given = given.filter(|register| register.address != EN_CONF);
    (given.map(value).collect(), left_out.map(value).collect())
}

/// A register and the value that is written to it.
type Written = (&'static Register, u32);

/// Slots that the chip visits, a whole number of pairs (SPEC 0, 4).
fn slots(shape: Shape) -> u16 {
    shape.inputs.max(shape.recurrent).max(shape.outputs).next_multiple_of(2)
}

/// The pairs that are written: those that the chip visits, and further ones that are not 0.
fn pairs(params: &Params) -> impl Iterator<Item = Pair> {
    let named = |pair: &Pair| (pair.alpha12, pair.threshold) != (0, 0);
    let all = || (0..u8::MAX).map_while(|pair| params.pair(pair));
    let visited = usize::from(slots(params.shape()) / 2);
    let count = all().filter(named).last().map_or(0, |pair| usize::from(pair.pair) + 1);
    all().take(count.max(visited))
}

/// Chunks from one row of a weight memory to the next: 16 words of four chunks, or one.
fn row_chunks(matrix: usize) -> u16 {
    if matrix == 2 { CHUNKS } else { 16 * CHUNKS }
}

/// A row of weights in chunks of four, little-endian, padded with 0.
fn packed(weights: &[i8], chunks: usize) -> Vec<u32> {
    let mut words = vec![0; chunks];
    for (word, weights) in words.iter_mut().zip(weights.chunks(4)) {
        let mut bytes = [0; 4];
        for (byte, weight) in bytes.iter_mut().zip(weights) {
            *byte = weight.cast_unsigned();
        }
        *word = u32::from_le_bytes(bytes);
    }
    words
}

fn heading(text: &mut String, Shape { inputs, recurrent, outputs }: Shape) {
    let lines = [
        format!("# SPI words that program a ReckOn chip with a {inputs}-{recurrent}-{outputs} network."),
        "# A line is one transaction: the command {R/W 1, code 3, count 12, address 16} and its data, each 32 bits,"
            .to_owned(),
        "# sent most significant bit first. Pulse RST before the first word.".to_owned(),
    ];
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
}

#[derive(Default)]
struct Words {
    text: String,
}

impl Words {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn register(&mut self, address: u16, name: &str, value: u32) {
        self.transaction(REGISTER, address, &[value], &format!("{name} = {value}"));
    }

    fn transaction(&mut self, code: u32, address: u16, data: &[u32], comment: &str) {
        let count = u32::try_from(data.len()).expect("a row has at most 64 chunks");
        let command = code << 28 | count << 16 | u32::from(address);
        write!(self.text, "{command:08x}").expect("a String takes whatever is written");
        for word in data {
            write!(self.text, " {word:08x}").expect("a String takes whatever is written");
        }
        self.line(&format!("  # {comment}"));
    }
}

#[cfg(test)]
mod tests;
