//! Looking into a network: everything the chip's memories and registers would show, and nothing
//! that changes them.

use crate::isa::Isa;
use crate::network::Network;
use crate::params::Params;

/// The registers of the 13 generators, in the order of SPEC 9: bit i is the chip's d_i.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generators {
    /// `winp`, 25 bits.
    pub winp: u32,
    /// `wrec`, 25 bits.
    pub wrec: u32,
    /// `wout`, 22 bits.
    pub wout: u32,
    /// `neur[0..=1]`, 15 bits each.
    pub neur: [u32; 2],
    /// `oneur`, 15 bits.
    pub oneur: u32,
    /// `tinp[0..=1]`, 15 bits each.
    pub tinp: [u32; 2],
    /// `trec[0..=1]`, 15 bits each.
    pub trec: [u32; 2],
    /// `tout[0..=1]`, 15 bits each.
    pub tout: [u32; 2],
    /// `noise`, 17 bits.
    pub noise: u32,
}

impl Generators {
    /// The registers in a row: winp, wrec, wout, neur0, neur1, oneur, tinp0, tinp1, trec0, trec1,
    /// tout0, tout1, noise.
    #[must_use]
    pub const fn to_array(&self) -> [u32; 13] {
        let Generators { winp, wrec, wout, neur, oneur, tinp, trec, tout, noise } = *self;
        [
            winp, wrec, wout, neur[0], neur[1], oneur, tinp[0], tinp[1], trec[0], trec[1], tout[0],
            tout[1], noise,
        ]
    }

    /// The seed registers that bring fresh generators to this state, with
    /// [`Network::set_register`].
    #[must_use]
    pub const fn seeds(&self) -> [(&'static str, u32); 9] {
        [
            ("SPI_SEED_INP", self.winp),
            ("SPI_SEED_REC", self.wrec),
            ("SPI_SEED_OUT", self.wout),
            ("SPI_SEED_STRND_NEUR", seed_of(self.neur)),
            ("SPI_SEED_STRND_ONEUR", self.oneur),
            ("SPI_SEED_STRND_TINP", seed_of(self.tinp)),
            ("SPI_SEED_STRND_TREC", seed_of(self.trec)),
            ("SPI_SEED_STRND_TOUT", seed_of(self.tout)),
            ("SPI_SEED_NOISE_NEUR", self.noise),
        ]
    }
}

const fn seed_of(lanes: [u32; 2]) -> u32 {
    lanes[0] | lanes[1] << 15
}

/// The learning registers of one neuron after a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LearningRegisters {
    /// Learning signal `L`.
    pub signal: i16,
    /// Pseudo-derivative `h`, -16..=15.
    pub slope: i16,
    /// Trace above SPI_REGUL_F0, `g`, 0..=4095.
    pub excess: i16,
}

/// Potential and traces of one slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slot {
    /// Membrane potential `u`.
    pub potential: i16,
    /// Input trace `tI`, 0..=4095.
    pub input_trace: i16,
    /// Recurrent trace `tR`, 0..=4095.
    pub recurrent_trace: i16,
    /// Output trace `tO`, 0..=1023.
    pub output_trace: i16,
}

impl Network<'_> {
    /// The registers the network is programmed with. Seeds are those written, not where the
    /// generators are now.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The instruction set in use.
    #[must_use]
    pub const fn isa(&self) -> Isa {
        self.kernels.isa
    }

    /// Where the generators are now.
    #[must_use]
    pub fn generators(&self) -> Generators {
        let [neur, tinp, trec, tout, [oneur, _]] = self.rounding.registers();
        Generators {
            winp: self.weight_generators.input.register(),
            wrec: self.weight_generators.recurrent.register(),
            wout: self.weight_generators.output.register(),
            neur,
            oneur,
            tinp,
            trec,
            tout,
            noise: self.noise_generator.register(),
        }
    }

    /// Potential and traces of slot `slot`, all 0 while the running sample has not written its
    /// pair; `None` above the last slot that STEP visits (the greatest of the three counts, less
    /// one).
    #[must_use]
    pub fn slot(&self, slot: u8) -> Option<Slot> {
        let slot = usize::from(slot);
        let neurons = &self.neurons;
        (slot <= self.settings.last_stepped).then(|| Slot {
            potential: neurons.effective(neurons.potential, slot),
            input_trace: neurons.effective(neurons.input_trace, slot),
            recurrent_trace: neurons.effective(neurons.recurrent_trace, slot),
            output_trace: neurons.effective(neurons.output_trace, slot),
        })
    }

    /// Whether slot `slot` fired in the last STEP and its spike has not been integrated yet. This
    /// is of interest inside [`Network::tick_with`] only: at the end of a tick no spike is left.
    #[must_use]
    pub fn spiked(&self, slot: u8) -> bool {
        self.spikes.has(slot.into())
    }

    /// Output potentials `v`; entries above the last output stay 0. All 0 between samples.
    #[must_use]
    pub const fn potentials(&self) -> &[i16; 16] {
        &self.outputs
    }

    /// Votes of the running or the last sample, per class.
    #[must_use]
    pub const fn votes(&self) -> &[u16; 16] {
        &self.votes
    }

    /// The class with the most votes of the running or the last sample, the lowest on a tie.
    #[must_use]
    pub fn inferred(&self) -> u8 {
        self.winner()
    }

    /// Output errors of the last learning pass.
    #[must_use]
    pub const fn errors(&self) -> &[i16; 16] {
        &self.errors
    }

    /// The learning registers that the last pass left for column `column`, 0 before the first;
    /// `None` beyond the padded columns, 16 * ceil(NR / 16).
    #[must_use]
    pub fn learning(&self, column: u8) -> Option<LearningRegisters> {
        let column = usize::from(column);
        let learning = &self.learning;
        Some(LearningRegisters {
            signal: *learning.signal.as_flattened().get(column)?,
            slope: *learning.slope.as_flattened().get(column)?,
            excess: *learning.excess.as_flattened().get(column)?,
        })
    }

    /// TARGET_VALID behind its synchroniser, which keeps its last value while SPI_DO_EPROP is 0.
    #[must_use]
    pub const fn target_valid(&self) -> bool {
        self.target_valid
    }

    /// Whether a sample has started and not ended.
    #[must_use]
    pub const fn running(&self) -> bool {
        self.running
    }
}
