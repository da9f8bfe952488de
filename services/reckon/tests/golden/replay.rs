//! Running a case on the model and comparing everything it does with what the chip did.

use std::path::Path;

use reckon::{Cycles, Isa, Memory, Network, Pins, Sent, Slot, StepReport};

use crate::case::{Case, GoldenSample, Phase, unreadable};
use crate::expected::{Binary, Csv, Width};
use crate::failure::{Failure, Place};

/// How many samples of a phase were recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Score {
    pub(crate) correct: usize,
    pub(crate) total: usize,
}

/// Reads the case in `dir`, runs it on `isa` and compares.
pub(crate) fn check_case(dir: &Path, isa: Isa) -> Result<Vec<Score>, Failure> {
    let case = Case::load(dir)?;
    replay(&case, dir, isa)
}

/// Runs `case` and compares with the expected files in `dir`, at least one of which must be there.
pub(crate) fn replay(case: &Case, dir: &Path, isa: Isa) -> Result<Vec<Score>, Failure> {
    replay_start(case, dir, case.schedule.len(), isa)
}

/// The same, for files that cover the first `phases` phases only; the rest runs without comparison.
pub(crate) fn replay_start(
    case: &Case,
    dir: &Path,
    phases: usize,
    isa: Isa,
) -> Result<Vec<Score>, Failure> {
    let mut expected = Expected::open(&case.name, dir)?;
    if !expected.any() {
        return Err(unreadable(
            &case.name,
            "results.csv",
            0,
            "no expected result of any kind is there",
        ));
    }
    run(case, &mut expected, phases, isa)
}

struct Expected {
    results: Csv,
    lfsr: Csv,
    out_bus: Csv,
    accuracy: Csv,
    weights_index: Csv,
    weights: Binary,
    spikes: Binary,
    out_u: Binary,
    detail: Binary,
    eprop: Binary,
}

impl Expected {
    fn open(case: &str, dir: &Path) -> Result<Expected, Failure> {
        Ok(Expected {
            results: Csv::open(case, dir, "results.csv")?,
            lfsr: Csv::open(case, dir, "lfsr_after_sample.csv")?,
            out_bus: Csv::open(case, dir, "out_bus.csv")?,
            accuracy: Csv::open(case, dir, "accuracy.csv")?,
            weights_index: Csv::open(case, dir, "weights_index.csv")?,
            weights: Binary::open(case, dir, "weights.bin")?,
            spikes: Binary::open(case, dir, "spikes.bin")?,
            out_u: Binary::open(case, dir, "out_u.bin")?,
            detail: Binary::open(case, dir, "detail.bin")?,
            eprop: Binary::open(case, dir, "eprop.bin")?,
        })
    }

    fn tables(&self) -> [&Csv; 5] {
        [&self.results, &self.lfsr, &self.out_bus, &self.accuracy, &self.weights_index]
    }

    fn binaries(&self) -> [&Binary; 5] {
        [&self.weights, &self.spikes, &self.out_u, &self.detail, &self.eprop]
    }

    fn any(&self) -> bool {
        self.tables().into_iter().any(Csv::present)
            || self.binaries().into_iter().any(Binary::present)
    }

    fn finish(&self, place: &Place) -> Result<(), Failure> {
        self.tables().into_iter().try_for_each(|table| table.finish(place))?;
        self.binaries().into_iter().try_for_each(|binary| binary.finish(place))
    }
}

/// What only the moment after STEP shows.
#[derive(Default)]
struct AfterStep {
    spikes: Vec<u8>,
    potentials: [i16; 16],
    slots: Vec<Slot>,
}

struct Replay<'a, 'm> {
    case: &'a Case,
    expected: &'a mut Expected,
    network: Network<'m>,
    /// NN and NO of the golden README.
    slots: usize,
    outputs: usize,
    columns: usize,
    dumps: usize,
}

fn run(
    case: &Case,
    expected: &mut Expected,
    phases: usize,
    isa: Isa,
) -> Result<Vec<Score>, Failure> {
    let shape = case.params.shape();
    let len = Network::memory_len(shape);
    let (mut weights, mut words) = (vec![0; len.weights], vec![0; len.words]);
    let memory = Memory { weights: &mut weights, words: &mut words };
    let network = Network::new(&case.params, memory).expect("the memory has the length asked for");
    let mut network = network.with_isa(isa).expect("only available paths are tested");
    let [inp, rec, out] = &case.weights;
    network
        .load_padded_weights(inp, rec, out)
        .expect("the lengths were checked when the case was read");

    let mut replay = Replay {
        case,
        expected,
        network,
        slots: shape.inputs.max(shape.recurrent).into(),
        outputs: shape.outputs.into(),
        columns: usize::from(shape.recurrent).div_ceil(16) * 16,
        dumps: 0,
    };
    let mut scores = Vec::new();
    for (index, phase) in case.schedule.iter().enumerate() {
        if index == phases {
            replay.stop_comparing()?;
        }
        scores.push(replay.phase(index, phase)?);
    }
    replay.stop_comparing()?;
    Ok(scores)
}

impl Replay<'_, '_> {
    /// Nothing more is expected; from here on everything is accepted.
    fn stop_comparing(&mut self) -> Result<(), Failure> {
        let place = Place { case: self.case.name.clone(), ..Place::default() };
        self.expected.finish(&place)?;
        *self.expected = Expected::open(&self.case.name, Path::new("/dev/null"))?;
        Ok(())
    }

    fn phase(&mut self, index: usize, phase: &Phase) -> Result<Score, Failure> {
        let written = self.network.set_register("SPI_DO_EPROP", phase.do_eprop);
        written
            .map_err(|error| unreadable(&self.case.name, "schedule.txt", 0, error.to_string()))?;
        let mut score = Score { correct: 0, total: phase.end - phase.begin };
        for (position, sample) in self.case.samples[phase.begin..phase.end].iter().enumerate() {
            let place = Place {
                case: self.case.name.clone(),
                phase: Some(phase.name.clone()),
                sample: Some(position),
                tick: None,
            };
            let cycles = self.sample(index, phase, position, sample, &place)?;
            self.check_results(index, &place, sample, &cycles)?;
            score.correct += usize::from(self.network.inferred() == sample.label);
            let done = position + 1;
            let at_end = done == score.total && phase.do_eprop != 0;
            if done <= phase.weight_dumps || at_end {
                self.check_weights(index, &place, done)?;
            }
        }
        let place = Place {
            case: self.case.name.clone(),
            phase: Some(phase.name.clone()),
            ..Place::default()
        };
        let row = [
            ("phase_index", index.to_string()),
            ("phase", phase.name.clone()),
            ("correct", score.correct.to_string()),
            ("total", score.total.to_string()),
        ];
        self.expected.accuracy.check(&place, &row)?;
        Ok(score)
    }

    fn sample(
        &mut self,
        index: usize,
        phase: &Phase,
        position: usize,
        sample: &GoldenSample,
        place: &Place,
    ) -> Result<Cycles, Failure> {
        let recorded = position < phase.recorded;
        let detailed = position < phase.detailed;
        let mut cycles = Cycles::default();
        self.network.label(sample.label);
        for tick in 0..sample.ticks {
            let place = Place { tick: Some(tick), ..place.clone() };
            self.drive(sample, tick);
            let inside = |windows: &[(u32, u32)]| {
                windows.iter().any(|&(from, to)| (from..to).contains(&tick))
            };
            let pins = Pins {
                target_valid: phase.targets && inside(&sample.target_valid),
                infer_acc: inside(&sample.infer_acc),
                last: tick + 1 == sample.ticks,
            };
            let mut after_step = AfterStep::default();
            let report = self.network.tick_with(pins, &mut |network| {
                if recorded {
                    after_step = look(network, self.slots, detailed);
                }
            });
            cycles.add(&report.cycles);
            if recorded {
                self.check_spikes(&place, &after_step)?;
            }
            if detailed {
                self.check_detail(&place, &after_step)?;
                if report.learned {
                    self.check_eprop(&place, phase.do_eprop == 4)?;
                }
            }
            self.check_bus(index, position, &place, &report)?;
        }
        Ok(cycles)
    }

    /// Everything that is driven into the chip between the tick before and this one.
    fn drive(&mut self, sample: &GoldenSample, tick: u32) {
        for &address in sample.events.get(&tick).into_iter().flatten() {
            self.network.event(address);
        }
        if let Some(&label) = sample.labels.get(&tick) {
            self.network.label(label);
        }
        let targets = sample.targets.get(&tick).map_or(&[][..], Vec::as_slice);
        for k in 0..self.outputs {
            self.network.target(k, targets.get(k).copied().unwrap_or(0));
        }
    }

    fn check_spikes(&mut self, place: &Place, after_step: &AfterStep) -> Result<(), Failure> {
        let spikes = after_step.spikes.iter().map(|&byte| byte.into());
        self.expected.spikes.check(place, "z", Width::U8, spikes)?;
        let outputs = after_step.potentials[..self.outputs].iter().map(|&value| value.into());
        self.expected.out_u.check(place, "v", Width::I16, outputs)
    }

    fn check_detail(&mut self, place: &Place, after_step: &AfterStep) -> Result<(), Failure> {
        if !self.expected.detail.present() {
            return Ok(());
        }
        let after_prop = look(&self.network, self.slots, true);
        let file = &mut self.expected.detail;
        for (when, slots) in [("STEP", &after_step.slots), ("PROP", &after_prop.slots)] {
            let field = |name: &str| format!("{name} after {when}");
            file.check(
                place,
                &field("u"),
                Width::I16,
                slots.iter().map(|slot| slot.potential.into()),
            )?;
            file.check(
                place,
                &field("tI"),
                Width::U16,
                slots.iter().map(|slot| slot.input_trace.into()),
            )?;
            file.check(
                place,
                &field("tR"),
                Width::U16,
                slots.iter().map(|slot| slot.recurrent_trace.into()),
            )?;
            file.check(
                place,
                &field("tO"),
                Width::U16,
                slots.iter().map(|slot| slot.output_trace.into()),
            )?;
        }
        let outputs = self.network.potentials()[..self.outputs].iter().map(|&value| value.into());
        file.check(place, "v after PROP", Width::I16, outputs)?;
        let generators = self.network.generators().to_array();
        for (name, register) in GENERATORS.into_iter().zip(generators) {
            file.check(place, name, Width::U32, [register.into()])?;
        }
        Ok(())
    }

    fn check_eprop(&mut self, place: &Place, errors_only: bool) -> Result<(), Failure> {
        let file = &mut self.expected.eprop;
        file.check(place, "tick", Width::U32, place.tick.map(i64::from))?;
        file.check(
            place,
            "err",
            Width::I16,
            self.network.errors().iter().map(|&error| error.into()),
        )?;
        let learning = |column: usize| match u8::try_from(column) {
            Ok(column) if !errors_only => self.network.learning(column).unwrap_or_default(),
            _ => reckon::LearningRegisters::default(),
        };
        let columns = 0..self.columns;
        file.check(
            place,
            "L",
            Width::I16,
            columns.clone().map(|column| learning(column).signal.into()),
        )?;
        file.check(
            place,
            "h",
            Width::I8,
            columns.clone().map(|column| learning(column).slope.into()),
        )?;
        file.check(place, "g", Width::U16, columns.map(|column| learning(column).excess.into()))
    }

    fn check_bus(
        &mut self,
        index: usize,
        position: usize,
        place: &Place,
        report: &StepReport,
    ) -> Result<(), Failure> {
        let bytes: Vec<u8> = match report.sent {
            None => return Ok(()),
            Some(Sent::Label(label)) => vec![label],
            Some(Sent::Potentials(potentials)) => potentials[..self.outputs]
                .iter()
                .flat_map(|potential| potential.to_le_bytes())
                .collect(),
        };
        let row = [
            ("phase_index", index.to_string()),
            ("pos", position.to_string()),
            ("tick", place.tick.unwrap_or(0).to_string()),
            ("bytes", bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        ];
        self.expected.out_bus.check(place, &row)
    }

    fn check_results(
        &mut self,
        index: usize,
        place: &Place,
        sample: &GoldenSample,
        cycles: &Cycles,
    ) -> Result<(), Failure> {
        let position = place.sample.unwrap_or(0).to_string();
        let votes = self.network.votes();
        let vote_names: Vec<String> = (0..self.outputs).map(|k| format!("cnt{k}")).collect();
        let mut row = vec![
            ("phase_index", index.to_string()),
            ("phase", place.phase.clone().unwrap_or_default()),
            ("pos", position.clone()),
            ("sample", sample.id.clone()),
            ("label", sample.label.to_string()),
            ("inferred", self.network.inferred().to_string()),
            ("cycles_step", cycles.step.to_string()),
            ("cycles_sdone", cycles.sdone.to_string()),
            ("cycles_prop_active", cycles.prop.to_string()),
            ("cycles_eprop", cycles.eprop.to_string()),
        ];
        row.extend(vote_names.iter().map(String::as_str).zip(votes.map(|count| count.to_string())));
        self.expected.results.check(place, &row)?;

        let mut row = vec![("phase_index", index.to_string()), ("pos", position)];
        let generators = self.network.generators().to_array();
        row.extend(GENERATORS.into_iter().zip(generators.map(|register| register.to_string())));
        self.expected.lfsr.check(place, &row)
    }

    fn check_weights(&mut self, index: usize, place: &Place, done: usize) -> Result<(), Failure> {
        let row = [
            ("dump", self.dumps.to_string()),
            ("phase_index", index.to_string()),
            ("phase", place.phase.clone().unwrap_or_default()),
            ("samples_done_in_phase", done.to_string()),
        ];
        self.dumps += 1;
        self.expected.weights_index.check(place, &row)?;
        for (field, matrix) in ["WI", "WR", "WO"].into_iter().zip(self.network.padded_weights()) {
            self.expected.weights.check(
                place,
                field,
                Width::I8,
                matrix.iter().map(|&weight| weight.into()),
            )?;
        }
        Ok(())
    }
}

const GENERATORS: [&str; 13] = [
    "winp", "wrec", "wout", "neur0", "neur1", "oneur", "tinp0", "tinp1", "trec0", "trec1", "tout0",
    "tout1", "noise",
];

/// Spikes as bytes, output potentials and, where asked for, all slots.
fn look(network: &Network<'_>, slots: usize, detailed: bool) -> AfterStep {
    let mut spikes = vec![0; slots.div_ceil(8)];
    let mut all = Vec::new();
    for (index, slot) in (0..=u8::MAX).enumerate().take(slots) {
        spikes[index >> 3] |= u8::from(network.spiked(slot)) << (index & 7);
        if detailed {
            all.push(network.slot(slot).expect("the slot is below NN"));
        }
    }
    AfterStep { spikes, potentials: *network.potentials(), slots: all }
}
