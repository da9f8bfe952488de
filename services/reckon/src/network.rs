//! A network: the chip's state, its pins, and whole samples.

use core::mem::MaybeUninit;

use crate::eprop::{Pass, WeightGenerators, output_errors};
use crate::fixed::count;
use crate::flags::Flags;
use crate::isa::{Isa, IsaError};
use crate::kernels::{self, Kernels};
use crate::lfsr::{NoiseGenerator, OutputRowGenerator, Rounding, RowGenerator};
use crate::memory::{
    self, LANES, Lanes, Learning, Memory, MemoryError, MemoryLen, Neurons, PairWord, Weights,
};
use crate::param_error::{ParamError, ParamProblem};
use crate::params::{Params, Shape};
use crate::prop::Prop;
use crate::registers::Register;
use crate::report::{Cycles, Pins, Sample, SampleReport, Sent, StepReport};
use crate::settings::Settings;
use crate::step;

/// One chip with its program, weights and state, in memory lent by the caller.
///
/// Between samples the weights, the generators and the last class label persist; everything else
/// starts from zero in every sample.
#[derive(Debug)]
pub struct Network<'m> {
    pub(crate) params: Params,
    pub(crate) settings: Settings,
    pub(crate) weights: Weights<'m>,
    pub(crate) neurons: Neurons<'m>,
    pub(crate) learning: Learning<'m>,
    pub(crate) weight_generators: WeightGenerators,
    pub(crate) rounding: Rounding,
    pub(crate) noise_generator: NoiseGenerator,
    /// `z`: recurrent spikes of this tick's STEP.
    pub(crate) spikes: Flags,
    /// `x`: input events that this tick's PROP integrates.
    inputs: Flags,
    /// `xn`: input events since the last tick.
    next_inputs: Flags,
    /// `v`.
    pub(crate) outputs: Lanes,
    /// `cnt`, kept after a sample until the next one starts.
    pub(crate) votes: [u16; LANES],
    label: u8,
    targets: Lanes,
    /// The errors of the last pass.
    pub(crate) errors: Lanes,
    /// TARGET_VALID behind its synchroniser, which stands still while SPI_DO_EPROP is 0
    /// (srnn.v:426-434).
    pub(crate) target_valid: bool,
    /// A sample has started and not ended.
    pub(crate) running: bool,
    traces_live: bool,
    pub(crate) kernels: &'static Kernels,
}

impl<'m> Network<'m> {
    /// How much memory [`Network::new`] needs for a network of this shape.
    #[must_use]
    pub const fn memory_len(shape: Shape) -> MemoryLen {
        memory::memory_len(shape)
    }

    /// A network programmed with `params`: generators seeded, weights and neuron memory zero, no
    /// sample running.
    ///
    /// # Errors
    ///
    /// When a slice of `memory` is shorter than [`Network::memory_len`] says.
    pub fn new(params: &Params, memory: Memory<'m>) -> Result<Network<'m>, MemoryError> {
        let (weights, neurons, learning) = memory::lay_out(params.shape(), memory)?;
        let mut network = Network::empty(params, weights, neurons, learning);
        network.load();
        Ok(network)
    }

    /// [`Network::new`] in the caller's `place`: the network, which has 20 KB, does not pass over
    /// the stack where the compiler optimises.
    ///
    /// # Errors
    ///
    /// Those of [`Network::new`].
    pub fn place<'p>(
        place: &'p mut MaybeUninit<Network<'m>>,
        params: &Params,
        memory: Memory<'m>,
    ) -> Result<&'p mut Network<'m>, MemoryError> {
        let (weights, neurons, learning) = memory::lay_out(params.shape(), memory)?;
        let network = place.write(Network::empty(params, weights, neurons, learning));
        network.load();
        Ok(network)
    }

    /// A network without registers in its generators and constants in its neurons.
    #[inline(always)]
    fn empty(
        params: &Params,
        weights: Weights<'m>,
        neurons: Neurons<'m>,
        learning: Learning<'m>,
    ) -> Network<'m> {
        Network {
            params: params.clone(),
            settings: Settings::decode(params),
            weights,
            neurons,
            learning,
            weight_generators: WeightGenerators {
                input: RowGenerator::EMPTY,
                recurrent: RowGenerator::EMPTY,
                output: OutputRowGenerator::EMPTY,
            },
            rounding: Rounding::EMPTY,
            noise_generator: NoiseGenerator::new(0),
            spikes: Flags::EMPTY,
            inputs: Flags::EMPTY,
            next_inputs: Flags::EMPTY,
            outputs: [0; LANES],
            votes: [0; LANES],
            label: 0,
            targets: [0; LANES],
            errors: [0; LANES],
            target_valid: false,
            running: false,
            traces_live: false,
            kernels: kernels::best(),
        }
    }

    /// Loads generators and neurons from the registers.
    fn load(&mut self) {
        self.neurons.load_constants(&self.params);
        self.weight_generators.input.load(self.params.value(Register::SeedInp));
        self.weight_generators.recurrent.load(self.params.value(Register::SeedRec));
        self.weight_generators.output.load(self.params.value(Register::SeedOut));
        let seeds = ROUNDING_SEEDS.map(|register| lanes_of(self.params.value(register)));
        self.load_rounding(seeds);
        self.noise_generator = NoiseGenerator::new(self.params.value(Register::SeedNoiseNeur));
    }

    /// Loads the rounding generators, kept as the kernels want them.
    fn load_rounding(&mut self, registers: [[u32; 2]; 5]) {
        let [pairs, outputs] = step::words_per_step(&self.settings);
        let planes = self.kernels.planes.then_some([pairs, pairs, pairs, pairs, outputs]);
        self.rounding.load(registers, planes);
    }

    /// The same network on an instruction set of the caller's choice. [`Network::new`] chooses the
    /// fastest there is; the results are the same.
    ///
    /// # Errors
    ///
    /// When this processor lacks `isa`.
    pub fn with_isa(mut self, isa: Isa) -> Result<Network<'m>, IsaError> {
        self.set_isa(isa)?;
        Ok(self)
    }

    /// [`Network::with_isa`] of a network that stays where it is.
    ///
    /// # Errors
    ///
    /// When this processor lacks `isa`; then the network is as before.
    pub fn set_isa(&mut self, isa: Isa) -> Result<(), IsaError> {
        self.kernels = kernels::of(isa).ok_or(IsaError { isa })?;
        self.load_rounding(self.rounding.registers());
        Ok(())
    }

    /// Writes one register, between samples. A seed register reloads its generator.
    ///
    /// # Errors
    ///
    /// Those of [`Params::set`]; on a register that gives the shape (SPI_NUM_*); and while a sample
    /// is running.
    pub fn set_register(&mut self, name: &str, value: u32) -> Result<(), ParamError> {
        let register = Register::named(name).ok_or_else(|| ParamError::unknown(name))?;
        if self.running {
            return Err(ParamError::of(register.row().name, ParamProblem::Busy));
        }
        if matches!(register, Register::NumInpNeur | Register::NumRecNeur | Register::NumOutNeur) {
            return Err(ParamError::of(register.row().name, ParamProblem::Fixed));
        }
        self.params.set(name, value)?;
        self.settings = Settings::decode(&self.params);
        match register {
            Register::AlphaConfW0
            | Register::AlphaConfW1
            | Register::AlphaConfW2
            | Register::AlphaConfW3 => {
                self.neurons.load_constants(&self.params);
            }
            Register::Kappa => {
                // The number of words a step takes may have changed.
                self.load_rounding(self.rounding.registers());
            }
            Register::SeedInp => self.weight_generators.input.load(value),
            Register::SeedRec => self.weight_generators.recurrent.load(value),
            Register::SeedOut => self.weight_generators.output.load(value),
            Register::SeedNoiseNeur => self.noise_generator = NoiseGenerator::new(value),
            _ => {
                if let Some(stream) = ROUNDING_SEEDS.iter().position(|&seed| seed == register) {
                    self.rounding.reload(stream, lanes_of(value));
                }
            }
        }
        Ok(())
    }

    /// An input event: slot `address` is integrated in the PROP of the next tick. Several events of
    /// one slot before one tick count once. An address above both nI and nR is not looked at by the
    /// chip.
    pub fn event(&mut self, address: u8) {
        self.next_inputs.insert(address.into());
    }

    /// Stores the class label, 0..=15 (the low 4 bits of `class`), until the next one.
    pub const fn label(&mut self, class: u8) {
        self.label = class & 15;
    }

    /// Stores the regression target of output `k`, until the next one; ignored when `k` is above
    /// 15. The chip asks for new targets on every learning step; the caller gives them before the
    /// tick.
    pub fn target(&mut self, k: usize, value: i16) {
        if let Some(target) = self.targets.get_mut(k) {
            *target = value;
        }
    }

    /// One TIME_TICK: STEP, vote, learning, PROP (SPEC 3). The first tick starts a sample and has
    /// PROP only; a tick with `last` ends it after the vote. A tick with `last` while no sample is
    /// running does nothing but drop the events that wait.
    pub fn tick(&mut self, pins: Pins) -> StepReport {
        self.advance(pins, |_| {})
    }

    /// [`Network::tick`], showing the network to `after_step` between the vote and the learning.
    pub fn tick_with(
        &mut self,
        pins: Pins,
        after_step: &mut dyn FnMut(&Network<'_>),
    ) -> StepReport {
        self.advance(pins, after_step)
    }

    #[inline]
    fn advance(&mut self, pins: Pins, mut after_step: impl FnMut(&Network<'_>)) -> StepReport {
        let mut report = StepReport::default();
        if self.settings.learning {
            self.target_valid = pins.target_valid;
        }
        self.inputs = core::mem::replace(&mut self.next_inputs, Flags::EMPTY);
        if self.running {
            let stale = self.step(&mut report);
            if pins.infer_acc {
                self.vote();
            }
            after_step(self);
            if pins.last {
                report.sent = Some(self.message());
                self.idle();
                return report;
            }
            let every_step = self.settings.every_step;
            if self.settings.learning && (self.target_valid || every_step) {
                self.learn(&stale, &mut report);
            }
            if self.settings.send_per_step {
                report.sent = Some(self.message());
            }
        } else {
            if pins.last {
                self.idle();
                return report;
            }
            self.running = true;
            self.votes = [0; LANES];
            after_step(self);
        }
        let spikes = core::mem::replace(&mut self.spikes, Flags::EMPTY);
        let inputs = core::mem::replace(&mut self.inputs, Flags::EMPTY);
        let mut prop = Prop {
            settings: &self.settings,
            kernels: self.kernels,
            neurons: &mut self.neurons,
            weights: &self.weights,
            outputs: &mut self.outputs,
            noise: &mut self.noise_generator,
        };
        let done = prop.run(spikes, inputs);
        self.traces_live |= done.traced;
        report.cycles.prop = done.cycles;
        report.synaptic_ops = done.synaptic_ops;
        report
    }

    /// One whole sample: its label, its ticks with their events, and the result. Whether the chip
    /// learns from it is decided by SPI_DO_EPROP and `sample.target_valid`.
    ///
    /// A sample of fewer than 2 ticks never reaches a STEP: nothing runs, and class 0 is reported
    /// without votes. In regression the targets stay those given last; use [`Network::tick`] to
    /// change them from step to step.
    pub fn run(&mut self, sample: &Sample<'_>) -> SampleReport {
        let mut cycles = Cycles::default();
        let mut report = SampleReport::default();
        if sample.ticks < 2 {
            return report;
        }
        self.label(sample.label);
        let mut events = sample.events.iter().peekable();
        for tick in 0..sample.ticks {
            while let Some(event) = events.next_if(|event| event.tick <= tick) {
                self.event(event.address);
            }
            let pins = Pins {
                target_valid: sample.target_valid.contains(&tick),
                infer_acc: sample.infer_acc.contains(&tick),
                last: tick == sample.ticks.wrapping_sub(1),
            };
            let step = self.tick(pins);
            cycles.add(&step.cycles);
            report.synaptic_ops = report.synaptic_ops.saturating_add(step.synaptic_ops);
            report.weights_drawn = report.weights_drawn.saturating_add(step.weights_drawn);
            report.spikes = report.spikes.saturating_add(step.spikes.into());
        }
        SampleReport { label: self.winner(), votes: self.votes, cycles, ..report }
    }

    fn step(&mut self, report: &mut StepReport) -> PairWord {
        let settings = &self.settings;
        let stale = step::all(
            &mut self.neurons,
            &mut self.outputs,
            &mut self.spikes,
            &mut self.rounding,
            settings,
            self.traces_live,
            self.kernels,
        );
        report.cycles.step = count(settings.last_stepped).saturating_add(1);
        report.cycles.sdone = 1;
        report.spikes = self.spikes.count();
        stale
    }

    fn learn(&mut self, stale: &PairWord, report: &mut StepReport) {
        self.errors = if self.target_valid {
            output_errors(&self.outputs, &self.targets, self.label, &self.settings)
        } else {
            [0; LANES]
        };
        let mut pass = Pass {
            settings: &self.settings,
            kernels: self.kernels,
            neurons: &self.neurons,
            weights: &mut self.weights,
            learning: &mut self.learning,
            generators: &mut self.weight_generators,
            target_valid: self.target_valid,
            stale,
            errors: &self.errors,
        };
        let learned = pass.run();
        report.learned = true;
        report.cycles.eprop = learned.cycles;
        report.weights_drawn = learned.weights_drawn;
    }

    /// One vote for the highest output; in regression for index 0 (SPEC 8).
    fn vote(&mut self) {
        let outputs = &self.outputs[..=self.settings.last_output];
        let winner = if self.settings.regression { 0 } else { first_maximum(outputs) };
        self.votes[winner] = self.votes[winner].wrapping_add(1);
    }

    /// The class with the most votes, the lowest one on a tie.
    pub(crate) fn winner(&self) -> u8 {
        u8::try_from(first_maximum(&self.votes[..=self.settings.last_output]))
            .expect("an output is at most 15")
    }

    fn message(&self) -> Sent {
        if self.settings.send_label_only {
            Sent::Label(self.winner())
        } else {
            Sent::Potentials(self.outputs)
        }
    }

    /// The FSM is back in IDLE: all flags and output potentials are cleared.
    fn idle(&mut self) {
        self.running = false;
        self.neurons.written = 0;
        self.spikes = Flags::EMPTY;
        self.inputs = Flags::EMPTY;
        self.next_inputs = Flags::EMPTY;
        self.outputs = [0; LANES];
        self.traces_live = false;
    }
}

/// The seed registers in the order of the streams of [`Rounding`].
const ROUNDING_SEEDS: [Register; 5] = [
    Register::SeedStrndNeur,
    Register::SeedStrndTinp,
    Register::SeedStrndTrec,
    Register::SeedStrndTout,
    Register::SeedStrndOneur,
];

/// The two 15-bit registers in a seed register of 30 bits.
const fn lanes_of(seed: u32) -> [u32; 2] {
    [seed & 0x7FFF, seed >> 15 & 0x7FFF]
}

/// The index of the greatest value, the lowest one on a tie.
fn first_maximum<T: Ord>(values: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
