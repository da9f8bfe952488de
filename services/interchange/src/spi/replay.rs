//! Replays SPI words into a simulated register file and memories, and builds the model that the chip would then have.

use std::str::SplitWhitespace;

use federation::Artifact;
use reckon::{Pair, Params, Shape};

use super::{
    CHUNKS, FULL, NEURONS, OUTPUT_POTENTIALS, PAIRS, REGISTER, WEIGHTS, row_chunks, slots,
};
use crate::error::{ImportError, Place, Problem};
use crate::network::{LEARNER, Range, TENSORS, area, config_text, given, layout, sizes};
use crate::registers::{EN_CONF, REGISTERS, Register};

/// 32-bit chunks of the input and the recurrent weight memory, and of the output weight memory.
const WEIGHT_CHUNKS: [usize; 3] = [4 * 4096, 4 * 4096, 4 * 512];
const NEURON_CHUNKS: usize = 4 * 128;

/// See [`super::read`].
pub(super) fn read(bytes: &[u8]) -> Result<Artifact, ImportError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        ImportError::malformed(Place::Byte(error.valid_up_to()), "text in UTF-8", "other bytes")
    })?;
    let mut chip = Chip::at_reset();
    let mut said = Said { ranges: [None; 3], omitted: Vec::new(), config: None };
    for (number, line) in (1..).zip(text.lines()) {
        let place = || Place::Line(None, number);
        if let Some(directive) = line.strip_prefix("#!") {
            said.read(directive.trim(), &place)?;
            continue;
        }
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        if let Some(command) = words.next() {
            chip.transact(word(command, &place)?, words, &place)?;
        }
    }
    chip.model(said)
}

fn word(text: &str, place: &impl Fn() -> Place) -> Result<u32, ImportError> {
    let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let value = digits.then(|| u32::from_str_radix(text, 16).ok()).flatten();
    value.ok_or_else(|| ImportError::malformed(place(), "a word of 8 hexadecimal digits", text))
}

/// What `#!` lines say.
struct Said {
    ranges: [Option<Range>; 3],
    omitted: Vec<&'static str>,
    config: Option<String>,
}

impl Said {
    fn read(&mut self, directive: &str, place: &impl Fn() -> Place) -> Result<(), ImportError> {
        const EXPECTED: &str =
            "`range TENSOR LEAST GREATEST`, `omit REGISTER` or `config \"LINE\"` after `#!`";
        let malformed = || ImportError::malformed(place(), EXPECTED, directive);
        if let Some(line) = directive.strip_prefix("config ") {
            let line: String = serde_json::from_str(line.trim()).map_err(|_| malformed())?;
            match &mut self.config {
                Some(config) => {
                    config.push('\n');
                    config.push_str(&line);
                }
                None => self.config = Some(line),
            }
            return Ok(());
        }
        let fields: Vec<_> = directive.split_whitespace().collect();
        if let ["omit", name] = fields[..] {
            self.omitted.push(Register::named(name).ok_or_else(malformed)?.name);
            return Ok(());
        }
        let ["range", name, min, max] = fields[..] else { return Err(malformed()) };
        let index = TENSORS.iter().position(|tensor| *tensor == name).ok_or_else(malformed)?;
        let (Ok(min), Ok(max)) = (min.parse(), max.parse()) else { return Err(malformed()) };
        if self.ranges[index].replace((min, max)).is_some() {
            return Err(ImportError::malformed(place(), "one range of each tensor", directive));
        }
        Ok(())
    }
}

/// The chip as far as the bus reaches: `None` is what nothing was written to.
struct Chip {
    en_conf: bool,
    /// Registers written, in the order of their first writes, with their last values.
    registers: Vec<(&'static Register, u32)>,
    neurons: Vec<Option<u32>>,
    weights: [Vec<Option<u32>>; 3],
}

impl Chip {
    fn at_reset() -> Self {
        Self {
            en_conf: true,
            registers: Vec::new(),
            neurons: vec![None; NEURON_CHUNKS],
            weights: WEIGHT_CHUNKS.map(|chunks| vec![None; chunks]),
        }
    }

    fn transact(
        &mut self,
        command: u32,
        data: SplitWhitespace<'_>,
        place: &impl Fn() -> Place,
    ) -> Result<(), ImportError> {
        let fault = |expected, got: String| Err(ImportError::malformed(place(), expected, &got));
        let data = data.map(|text| word(text, place)).collect::<Result<Vec<_>, _>>()?;
        let shown = format!("{command:08x}");
        if command >> 31 == 1 {
            return fault("a command that writes: bit 31 is 0", shown);
        }
        let (code, count, address) = (command >> 28, command >> 16 & 0xFFF, command & 0xFFFF);
        if usize::try_from(count) != Ok(data.len()) || data.is_empty() {
            let got = format!("{} with {} words", shown, data.len());
            return fault("as many data words as bits 27:16 of the command say, at least one", got);
        }
        let closed = "SPI_EN_CONF = 1 before memories and seeds are written";
        if code == REGISTER {
            let address = u16::try_from(address).expect("an address has 16 bits");
            let Some(register) = Register::at(address) else {
                return fault("a register that the chip has", format!("address {address}"));
            };
            if register.is_seed() && !self.en_conf {
                return fault(closed, register.name.to_owned());
            }
            let [value] = data[..] else {
                return fault("one data word for a register", shown);
            };
            // The chip keeps the low bits.
            self.register(register, value & register.max());
            return Ok(());
        }
        if !self.en_conf {
            return fault(closed, shown);
        }
        let memory = match code {
            NEURONS => &mut self.neurons,
            // Every sample starts from zero potentials, whatever is written here.
            OUTPUT_POTENTIALS => return Ok(()),
            _ => match WEIGHTS.iter().position(|weights| *weights == code) {
                Some(matrix) => &mut self.weights[matrix],
                None => return fault("code 0 to 5 in bits 30:28 of the command", shown),
            },
        };
        let start = usize::try_from(address).expect("16 bits fit in memory");
        match memory.get_mut(start..start + data.len()) {
            Some(chunks) => {
                for (chunk, value) in chunks.iter_mut().zip(data) {
                    *chunk = Some(value);
                }
                Ok(())
            }
            None => fault("an address within the memory", shown),
        }
    }

    fn register(&mut self, register: &'static Register, value: u32) {
        if register.address == EN_CONF {
            self.en_conf = value == 1;
            return;
        }
        let written = self.registers.iter_mut().find(|(seen, _)| seen.address == register.address);
        match written {
            Some((_, last)) => *last = value,
            None => self.registers.push((register, value)),
        }
    }

    fn model(&self, said: Said) -> Result<Artifact, ImportError> {
        if self.en_conf {
            return Err(ImportError::missing(Place::Whole, "SPI_EN_CONF = 0 at the end"));
        }
        let pairs = self.pairs()?;
        let registers = || self.registers.iter().map(|(register, value)| (register.name, *value));
        let params = Params::parse(registers(), pairs.iter().copied())?;
        let shape = params.shape();
        let visited = usize::from(slots(shape) / 2);
        if let Some(pair) =
            (0..visited).find(|pair| !pairs.iter().any(|p| usize::from(p.pair) == *pair))
        {
            return Err(ImportError::missing(
                Place::Whole,
                format!("the word of neuron pair {pair}"),
            ));
        }
        let kept = registers().filter(|(name, _)| !said.omitted.contains(name));
        let config = agreed(said.config.unwrap_or_else(|| config_text(kept, pairs)), &params)?;
        let ranges = said.ranges.map(|range| range.unwrap_or(FULL));
        let weights = self.weights(shape)?;
        Ok(Artifact::new(LEARNER, layout(shape, ranges)?, config.into_bytes(), weights)?)
    }

    /// The pairs whose constants were written. State is not looked at: a sample starts from zero.
    fn pairs(&self) -> Result<Vec<Pair>, ImportError> {
        let mut pairs = Vec::new();
        for (pair, word) in (0..PAIRS).zip(self.neurons.chunks_exact(usize::from(CHUNKS))) {
            match word {
                [None, None, None, None] => {}
                [Some(_), Some(_), Some(_), Some(constants)] => pairs.push(Pair {
                    pair: u8::try_from(pair).expect("there are 128 pairs"),
                    alpha12: u16::try_from(constants >> 20).expect("12 bits are left"),
                    threshold: u16::try_from(constants >> 4 & 0xFFFF)
                        .expect("16 bits are left")
                        .cast_signed(),
                }),
                _ => {
                    let what = format!("a part of the word of neuron pair {pair}");
                    return Err(ImportError::missing(Place::Whole, what));
                }
            }
        }
        Ok(pairs)
    }

    fn weights(&self, shape: Shape) -> Result<Vec<i8>, ImportError> {
        let sizes = sizes(shape);
        let mut weights = Vec::with_capacity(sizes.iter().map(|size| area(*size)).sum());
        for (matrix, (rows, cols)) in sizes.into_iter().enumerate() {
            for row in 0..rows {
                for col in 0..cols {
                    let chunk = row * row_chunks(matrix) + col / CHUNKS;
                    let word = self.weights[matrix][usize::from(chunk)].ok_or_else(|| {
                        let name = TENSORS[matrix];
                        let what =
                            format!("the weight of {name} from {row} to {col} (chunk {chunk})");
                        ImportError::missing(Place::Whole, what)
                    })?;
                    weights.push(word.to_le_bytes()[usize::from(col % CHUNKS)].cast_signed());
                }
            }
        }
        Ok(weights)
    }
}

/// `config`, if the chip has what it says.
fn agreed(config: String, chip: &Params) -> Result<String, ImportError> {
    const FORM: &str = "register lines, an empty line and neuron lines in the `#! config` lines";
    let parts = config.split_once("\n\n");
    let (registers, neurons) =
        parts.ok_or_else(|| ImportError::malformed(Place::Whole, FORM, &config))?;
    let params = Params::parse_text(registers, neurons)?;
    let differ = |what: String, words: String, text: String| {
        let place = Place::Key("#!".to_owned());
        Err(ImportError::new(place, Problem::Inconsistent { what, expected: words, got: text }))
    };
    for name in REGISTERS.iter().filter(|register| register.address != EN_CONF).map(|r| r.name) {
        if let Some(text) = params.get(name)
            && let Some(words) = chip.get(name)
            && text != words
        {
            return differ(name.to_owned(), words.to_string(), text.to_string());
        }
        if given(registers).contains(&name) && chip.get(name).is_none() {
            return differ(name.to_owned(), "not written".to_owned(), "given".to_owned());
        }
    }
    for pair in 0..u8::try_from(PAIRS).expect("128 fits") {
        let (text, words) = (params.pair(pair), chip.pair(pair));
        if text != words {
            return differ(
                format!("neuron pair {pair}"),
                format!("{words:?}"),
                format!("{text:?}"),
            );
        }
    }
    Ok(config)
}
