//! The parameter bank: every register of the chip and every neuron word's constants, range-checked.
//!
//! A [`Params`] that exists is valid: each value fits its register and nothing that the other
//! registers make use of is missing. It is plain data and knows nothing of a running network;
//! [`Network`](crate::Network) keeps a copy.

use crate::param_error::{ParamError, ParamProblem, Text};
use crate::registers::{COUNT, Need, Register, TABLE};

/// Number of neuron pairs of the chip; a pair is two slots that share a threshold and a leak (SPEC
/// 0).
pub const PAIRS: usize = 128;

/// The numbers of neurons of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Input channels, 1..=256 (SPI_NUM_INP_NEUR + 1).
    pub inputs: u16,
    /// Recurrent neurons, 1..=256 (SPI_NUM_REC_NEUR + 1).
    pub recurrent: u16,
    /// Output neurons, 1..=16 (SPI_NUM_OUT_NEUR + 1).
    pub outputs: u16,
}

/// The constants of one neuron pair, as they stand in the top 28 bits of its word (SPEC 1;
/// srnn.v:1037-1066).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Number of the pair, 0..=127; its slots are `2 * pair` and `2 * pair + 1`.
    pub pair: u8,
    /// Low 12 bits of the leak factor, 0..=4095. The factor is (0x7000 | alpha12) / 2^15, or
    /// (0x8000 | alpha12) / 2^15 where the pair's bit of SPI_ALPHA_CONF is set.
    pub alpha12: u16,
    /// Firing threshold, in units of the membrane potential.
    pub threshold: i16,
}

/// The register bank and the constants of the neuron pairs, all within their ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    values: [u32; COUNT],
    /// Bit r: register r was given a value.
    given: u128,
    alpha12: [u16; PAIRS],
    thresholds: [i16; PAIRS],
    /// Bit p: pair p was given.
    given_pairs: u128,
}

impl Params {
    /// A bank from `(name, value)` registers and neuron pairs, in any order.
    ///
    /// Names are those of SPEC 10, with SPI_ALPHA_CONF split into SPI_ALPHA_CONF_W0..W3 (W0 holds
    /// pairs 0..=31); values are unsigned register images. A register left out takes its reset
    /// value; a generator's seed counts as having the reset value of the generator (SPEC 9). A pair
    /// left out is 0, 0, as in a cleared memory.
    ///
    /// # Errors
    ///
    /// On an unknown name, a value that does not fit, a register or pair given twice, and a
    /// register that has no reset value but is needed by the others.
    pub fn parse<'a>(
        registers: impl IntoIterator<Item = (&'a str, u32)>,
        pairs: impl IntoIterator<Item = Pair>,
    ) -> Result<Params, ParamError> {
        let mut params = Params::at_reset();
        for (name, value) in registers {
            params.give(name, value)?;
        }
        for pair in pairs {
            params.give_pair(pair)?;
        }
        params.check_complete()?;
        Ok(params)
    }

    /// A bank from two texts: `NAME VALUE` lines, and `pair,alpha12,thr` lines under a header that
    /// says so.
    ///
    /// Numbers are decimal; `thr` may be negative. Empty lines are skipped.
    ///
    /// # Errors
    ///
    /// Those of [`Params::parse`], and a line that does not read; each with its line number, except
    /// a missing register.
    pub fn parse_text(config: &str, neurons: &str) -> Result<Params, ParamError> {
        let mut params = Params::at_reset();
        for (number, line) in numbered(config) {
            read_register(line)
                .and_then(|(name, value)| params.give(name, value))
                .map_err(|error| error.at_line(Text::Config, number))?;
        }
        let mut lines = numbered(neurons);
        match lines.next() {
            Some((_, NEURONS_HEADER)) => {}
            Some((number, _)) => {
                return Err(ParamError::malformed(NEURONS_HEADER).at_line(Text::Neurons, number));
            }
            None => return Err(ParamError::malformed(NEURONS_HEADER).at_line(Text::Neurons, 1)),
        }
        for (number, line) in lines {
            read_pair(line)
                .and_then(|pair| params.give_pair(pair))
                .map_err(|error| error.at_line(Text::Neurons, number))?;
        }
        params.check_complete()?;
        Ok(params)
    }

    /// Writes one register. On an error the bank is as before.
    ///
    /// # Errors
    ///
    /// On an unknown name, a value that does not fit, and when the new value makes use of a
    /// register that has neither a reset value nor been given (for instance SPI_NOISE_EN = 1 before
    /// SPI_NOISE_STR).
    pub fn set(&mut self, name: &str, value: u32) -> Result<(), ParamError> {
        let register = checked(name, value)?;
        let before = (self.values[register.index()], self.given);
        self.write(register, value);
        self.check_complete().inspect_err(|_| (self.values[register.index()], self.given) = before)
    }

    /// The unsigned image of a register; `None` when there is no such register, or when it has
    /// neither a reset value nor been given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u32> {
        let register = Register::named(name)?;
        self.known(register).then(|| self.value(register))
    }

    /// All registers that have a value, with their unsigned images, in the order of SPEC 10.
    pub fn registers(&self) -> impl Iterator<Item = (&'static str, u32)> {
        TABLE
            .iter()
            .filter(|row| self.known(row.register))
            .map(|row| (row.name, self.value(row.register)))
    }

    /// The constants of neuron pair `pair`, or `None` above 127.
    #[must_use]
    pub fn pair(&self, pair: u8) -> Option<Pair> {
        let index = usize::from(pair);
        Some(Pair {
            pair,
            alpha12: *self.alpha12.get(index)?,
            threshold: *self.thresholds.get(index)?,
        })
    }

    /// The numbers of neurons.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let count = |register| crate::fixed::low16(self.value(register)).saturating_add(1);
        Shape {
            inputs: count(Register::NumInpNeur),
            recurrent: count(Register::NumRecNeur),
            outputs: count(Register::NumOutNeur),
        }
    }

    pub(crate) const fn value(&self, register: Register) -> u32 {
        self.values[register.index()]
    }

    /// The leak factor of a pair as its distance from 1.0, in units of 2^-16: -8192..=8190
    /// (srnn.v:1063-1065).
    pub(crate) fn leak(&self, pair: usize) -> i16 {
        let conf = [
            Register::AlphaConfW0,
            Register::AlphaConfW1,
            Register::AlphaConfW2,
            Register::AlphaConfW3,
        ];
        let above_one = self.value(conf[pair >> 5]) >> (pair & 31) & 1 == 1;
        let alpha = if above_one { 0x8000 } else { 0x7000 } | self.alpha12[pair];
        alpha.wrapping_sub(0x8000).cast_signed().wrapping_mul(2)
    }

    pub(crate) const fn threshold(&self, pair: usize) -> i16 {
        self.thresholds[pair]
    }

    fn at_reset() -> Params {
        let mut values = [0; COUNT];
        for (value, row) in values.iter_mut().zip(&TABLE) {
            *value = row.reset.unwrap_or(0);
        }
        Params { values, given: 0, alpha12: [0; PAIRS], thresholds: [0; PAIRS], given_pairs: 0 }
    }

    fn known(&self, register: Register) -> bool {
        register.row().reset.is_some() || self.given >> register.index() & 1 == 1
    }

    fn write(&mut self, register: Register, value: u32) {
        self.values[register.index()] = value;
        self.given |= 1 << register.index();
    }

    fn give(&mut self, name: &str, value: u32) -> Result<(), ParamError> {
        let register = checked(name, value)?;
        if self.given >> register.index() & 1 == 1 {
            return Err(ParamError::of(register.row().name, ParamProblem::Duplicate));
        }
        self.write(register, value);
        Ok(())
    }

    fn give_pair(&mut self, pair: Pair) -> Result<(), ParamError> {
        let index = usize::from(pair.pair);
        let outside = |name, value: u32, max| {
            Err(ParamError::of(name, ParamProblem::OutOfRange { value, max }).at_pair(pair.pair))
        };
        if index >= PAIRS {
            return outside("pair", pair.pair.into(), 127);
        }
        if pair.alpha12 > 0xFFF {
            return outside("alpha12", pair.alpha12.into(), 0xFFF);
        }
        if self.given_pairs >> index & 1 == 1 {
            return Err(ParamError::of("pair", ParamProblem::Duplicate).at_pair(pair.pair));
        }
        self.alpha12[index] = pair.alpha12;
        self.thresholds[index] = pair.threshold;
        self.given_pairs |= 1 << index;
        Ok(())
    }

    /// Every register that the others make use of has a value.
    fn check_complete(&self) -> Result<(), ParamError> {
        let mode = self.value(Register::RegulMode);
        let matrices = self.value(Register::RegulW);
        for row in &TABLE {
            let needed = match row.need {
                Need::Never => false,
                Need::Learning(bits) => self.value(Register::DoEprop) & bits != 0,
                Need::Regularisation => mode != 0,
                Need::Additive(bit) => mode & 2 != 0 && matrices & bit != 0,
                Need::Multiplicative => mode & 1 != 0 && matrices != 0,
                Need::Noise => self.value(Register::NoiseEn) != 0,
            };
            if needed && !self.known(row.register) {
                return Err(ParamError::of(row.name, ParamProblem::Missing));
            }
        }
        Ok(())
    }
}

const NEURONS_HEADER: &str = "pair,alpha12,thr";
const CONFIG_LINE: &str = "NAME VALUE, with VALUE decimal in 0..=4294967295";
const NEURONS_LINE: &str = "pair,alpha12,thr, each decimal, with thr in -32768..=32767";

/// The register called `name`, if it can hold `value`.
fn checked(name: &str, value: u32) -> Result<Register, ParamError> {
    let register = Register::named(name).ok_or_else(|| ParamError::unknown(name))?;
    let max = register.row().max();
    if value > max {
        return Err(ParamError::of(register.row().name, ParamProblem::OutOfRange { value, max }));
    }
    Ok(register)
}

/// The lines of a text that are not empty, trimmed, counted from 1.
fn numbered(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1_u32..)
        .zip(text.lines())
        .map(|(number, line)| (number, line.trim()))
        .filter(|(_, line)| !line.is_empty())
}

fn read_register(line: &str) -> Result<(&str, u32), ParamError> {
    let mut words = line.split_ascii_whitespace();
    match (words.next(), words.next().map(str::parse), words.next()) {
        (Some(name), Some(Ok(value)), None) => Ok((name, value)),
        _ => Err(ParamError::malformed(CONFIG_LINE)),
    }
}

fn read_pair(line: &str) -> Result<Pair, ParamError> {
    let mut fields = line.split(',').map(str::trim);
    let pair = fields.next().map(str::parse);
    let alpha12 = fields.next().map(str::parse);
    let threshold = fields.next().map(str::parse);
    match (pair, alpha12, threshold, fields.next()) {
        (Some(Ok(pair)), Some(Ok(alpha12)), Some(Ok(threshold)), None) => {
            Ok(Pair { pair, alpha12, threshold })
        }
        _ => Err(ParamError::malformed(NEURONS_LINE)),
    }
}

#[cfg(test)]
mod tests;
