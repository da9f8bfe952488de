//! Looks into the versions of a run: what a report tells beyond what the coordinator knows.

use std::collections::BTreeMap;
use std::time::Duration;

use agent::learner::LearnError;
use federation::{Artifact, ArtifactError};
use reckon::Isa;
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde_json::Value;
use tasks::Sample;
use thiserror::Error;
use tokio::time::Instant;

use super::data::{Data, Device, Histogram, Speed};
use crate::cost::meter::Chip;
use crate::cost::{Cost, Counts, Footprint, PICOJOULES_PER_SYNAPTIC_OP, Total, Work, energy_nj};
use crate::task::some;

/// Versions whose weights are shown.
const HISTOGRAMS_MAX: usize = 6;
/// Samples over which learning and inference are measured.
const MEASURED: usize = 25;
/// How long learning is timed.
const TIMED: Duration = Duration::from_millis(500);

/// Why a version cannot be looked into.
#[derive(Debug, Error)]
#[error("version {number}: {why}")]
pub struct ExamineError {
    /// Its number.
    pub number: u64,
    /// What is wrong with it.
    pub why: ExamineProblem,
}

/// What is wrong with a version.
#[derive(Debug, Error)]
pub enum ExamineProblem {
    /// It is no artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// It is no network, or the plan's registers do not fit it.
    #[error(transparent)]
    Learn(#[from] LearnError),
}

impl ExamineError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.why {
            ExamineProblem::Artifact(_) => "version_not_an_artifact",
            ExamineProblem::Learn(_) => "version_not_a_network",
        }
    }
}

impl Data {
    /// Fills what the artifacts tell: histograms, a trace, the chip's cost, this machine's speed. Versions, rounds, plan
    /// and [`Data::step_us`] must stand already. `artifacts` are versions by number, all or some, the last one last;
    /// `test` the samples that no node trained on. Without either the fields stay empty.
    ///
    /// # Errors
    /// [`ExamineError`] when an artifact is not a network.
    pub fn examine<B: AsRef<[u8]>>(
        &mut self,
        artifacts: &BTreeMap<u64, B>,
        test: &[Sample],
        clock_mhz: f64,
    ) -> Result<(), ExamineError> {
        self.device = device();
        let numbers: Vec<u64> = artifacts.keys().copied().collect();
        self.histograms.clear();
        for number in spread(&numbers, HISTOGRAMS_MAX) {
            let artifact = parse(number, artifacts[&number].as_ref())?;
            self.histograms.extend(histograms(number, &artifact));
        }
        let Some((&number, bytes)) = artifacts.last_key_value() else { return Ok(()) };
        let artifact = parse(number, bytes.as_ref())?;
        let fail = |why: LearnError| ExamineError { number, why: ExamineProblem::Learn(why) };
        let measured = &some(test, MEASURED)[..];
        let Some(first) = measured.first() else { return Ok(()) };

        let mut chip = Chip::to_infer(&artifact, self.seed).map_err(fail)?;
        self.trace = Some(chip.trace(number, first));
        let (inference, neurobench) = chip.benchmark(measured);
        let registers = registers_of(&self.plan, self.last_round());
        let mut chip = Chip::to_learn(&artifact, &registers, self.seed).map_err(fail)?;
        let learning = chip.count(measured);
        self.speed = Some(self.time(&mut chip, measured));
        let work = |counts| Work::of(counts, clock_mhz, self.step_us);
        self.cost = Some(Cost {
            clock_mhz,
            pj_per_synaptic_op: PICOJOULES_PER_SYNAPTIC_OP,
            footprint: Footprint::of(chip.shape()),
            learning: Some(work(learning)),
            inference: Some(work(inference)),
            neurobench: Some(neurobench),
            run: Some(self.total(&learning, clock_mhz)),
        });
        Ok(())
    }

    fn last_round(&self) -> u64 {
        self.rounds.iter().map(|round| round.number).max().unwrap_or(1)
    }

    /// What the run cost, with cycles as reported or as `measured` suggests.
    #[expect(clippy::cast_precision_loss, reason = "estimates")]
    fn total(&self, measured: &Counts, clock_mhz: f64) -> Total {
        let mut total = Total { cycles_exact: true, ..Total::default() };
        let mut exact = 0;
        for version in &self.versions {
            total.updates += version.updates;
            total.samples += version.samples;
            total.synaptic_ops += version.synaptic_ops;
            exact += version.cycles.unwrap_or(0);
            total.cycles_exact &= version.cycles.is_some() || version.updates == 0;
        }
        let estimate = u128::from(total.samples) * u128::from(measured.cycles.total())
            / u128::from(measured.samples.max(1));
        total.cycles =
            if total.cycles_exact { exact } else { u64::try_from(estimate).unwrap_or(u64::MAX) };
        total.energy_nj = energy_nj(total.synaptic_ops, 1);
        total.chip_s = total.cycles as f64 / clock_mhz / 1e6;
        total
    }

    /// Learns for a while on this thread.
    #[expect(clippy::cast_precision_loss, reason = "a measured rate")]
    fn time(&self, chip: &mut Chip, samples: &[Sample]) -> Speed {
        let (begin, spent) = (Instant::now(), thread_s());
        let (mut learnt, mut ticks) = (0, 0);
        let elapsed = chip.learn_while(samples, |sample| {
            learnt += 1;
            ticks += u64::from(sample.ticks);
            let elapsed = begin.elapsed();
            (elapsed >= TIMED).then_some(elapsed)
        });
        let wall_s = elapsed.as_secs_f64();
        // Never 0, which no thread takes to learn a sample.
        let cpu_s = (thread_s() - spent).max(1e-6);
        let real_s = ticks as f64 * self.step_us as f64 / 1e6;
        Speed {
            samples: learnt,
            steps: ticks,
            wall_s,
            cpu_s,
            times_real_time: real_s / cpu_s,
            isa: Isa::detect().name().to_owned(),
        }
    }
}

fn parse(number: u64, bytes: &[u8]) -> Result<Artifact, ExamineError> {
    Artifact::parse(bytes).map_err(|why| ExamineError { number, why: why.into() })
}

/// At most `most` of `numbers`, spread evenly, the first and the last among them.
fn spread(numbers: &[u64], most: usize) -> Vec<u64> {
    if numbers.len() <= most {
        return numbers.to_vec();
    }
    (0..most).map(|index| numbers[index * (numbers.len() - 1) / (most - 1)]).collect()
}

/// How an artifact's weights are spread, tensor by tensor.
fn histograms(version: u64, artifact: &Artifact) -> Vec<Histogram> {
    let mut weights = artifact.weights();
    let mut histograms = Vec::new();
    for tensor in artifact.layout().tensors() {
        let len = usize::try_from(u64::from(tensor.rows) * u64::from(tensor.cols))
            .expect("a tensor that was parsed fits memory");
        let (layer, rest) = weights.split_at(len);
        weights = rest;
        let mut counts = vec![0; 256];
        for &weight in layer {
            counts[usize::from(weight.cast_unsigned() ^ 0x80)] += 1;
        }
        histograms.push(Histogram { version, layer: tensor.name.clone(), counts });
    }
    histograms
}

/// The registers that a plan's schedule sets in a round.
#[must_use]
pub fn registers_of(plan: &Value, round: u64) -> BTreeMap<String, u32> {
    let mut registers = BTreeMap::new();
    let steps = plan["local"]["schedule"].as_array().map_or(&[][..], Vec::as_slice);
    for step in steps.iter().filter(|step| step["from_round"].as_u64().unwrap_or(1) <= round) {
        for (name, value) in step["registers"].as_object().into_iter().flatten() {
            if let Some(value) = value.as_u64().and_then(|value| u32::try_from(value).ok()) {
                registers.insert(name.clone(), value);
            }
        }
    }
    registers
}

/// Processor time of this thread so far, in seconds.
#[expect(clippy::cast_precision_loss, reason = "a few seconds, in nanoseconds")]
fn thread_s() -> f64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    tv_sec as f64 + tv_nsec as f64 / 1e9
}

/// This machine.
#[must_use]
pub fn device() -> Device {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    Device {
        cpu: name
            .map_or_else(String::new, |name| name.trim_start_matches([' ', '\t', ':']).to_owned()),
        cores: u64::try_from(cores).expect("cores fit 64 bits"),
        isa: Isa::detect().name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_spread_with_both_ends() {
        assert_eq!(spread(&[1, 2, 3], 6), [1, 2, 3]);
        let all: Vec<u64> = (1..=25).collect();
        assert_eq!(spread(&all, 6), [1, 5, 10, 15, 20, 25]);
        assert_eq!(spread(&[], 6), Vec::<u64>::new());
    }

    #[test]
    fn a_schedule_is_resolved_for_a_round() {
        let plan = serde_json::json!({"local": {"schedule": [
            {"from_round": 1, "registers": {"A": 1, "B": 2}},
            {"from_round": 3, "registers": {"A": 5}},
        ]}});
        assert_eq!(registers_of(&plan, 2), BTreeMap::from([("A".into(), 1), ("B".into(), 2)]));
        assert_eq!(registers_of(&plan, 3)["A"], 5);
        assert!(registers_of(&Value::Null, 3).is_empty());
    }

    #[test]
    fn what_the_artifacts_tell_is_filled_in() {
        let stream = tasks::navigation::Stream::new(1);
        let test: Vec<_> = (0..2).map(|index| stream.sample(index)).collect();
        let artifacts: BTreeMap<u64, Vec<u8>> = (1..=2)
            .map(|number| (number, crate::demo::navigation_artifact(number).encode()))
            .collect();
        let version = super::super::Version {
            updates: 2,
            samples: 20,
            synaptic_ops: 1000,
            ..Default::default()
        };
        let mut data = Data { step_us: 1000, versions: vec![version], ..Data::default() };
        data.examine(&artifacts, &test, 13.0).unwrap();
        assert_eq!(data.histograms.len(), 6);
        let input = &data.histograms[0];
        assert_eq!((input.version, input.layer.as_str()), (1, "w_inp"));
        assert_eq!(input.counts.iter().sum::<u64>(), 4000);
        let weights = crate::demo::navigation_artifact(1);
        let zeros = weights.weights()[..4000].iter().filter(|&&weight| weight == 0).count();
        assert_eq!(usize::try_from(input.counts[128]).unwrap(), zeros);
        assert_eq!(data.trace.as_ref().unwrap().version, 2);
        let cost = data.cost.unwrap();
        let learning = cost.learning.unwrap();
        assert_eq!(learning.counts.samples, 2);
        assert!(learning.counts.cycles.eprop > 0);
        assert_eq!(cost.inference.unwrap().counts.cycles.eprop, 0);
        let run = cost.run.unwrap();
        assert_eq!((run.samples, run.cycles_exact), (20, false));
        assert_eq!(run.cycles, 10 * learning.counts.cycles.total());
        let speed = data.speed.unwrap();
        assert!(speed.samples >= 1 && speed.times_real_time > 0.0);
    }

    #[test]
    fn without_versions_or_samples_it_stays_empty() {
        let mut data = Data::default();
        data.examine(&BTreeMap::<u64, Vec<u8>>::new(), &[], 13.0).unwrap();
        assert!(data.trace.is_none() && data.cost.is_none() && data.histograms.is_empty());
        let nonsense = BTreeMap::from([(3, b"nonsense".to_vec())]);
        let error = data.examine(&nonsense, &[], 13.0).unwrap_err();
        assert_eq!((error.number, error.code()), (3, "version_not_an_artifact"));
    }
}
