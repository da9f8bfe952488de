//! `core`: steps and samples of the chip model, beside the floor.

use reckon::{Event, Isa, Network, Sample, SampleReport, Shape};

use crate::clock::best_ns;
use crate::figures::{Line, Measured};
use crate::navigation::{Navigation, NavigationSample};
use crate::networks::{
    LARGE, SMALL, params, plain_sample, random_events, relay_weights, with_network,
};
use crate::roof::{Floor, Roof};

/// Measures every case and the floor `runs` times, in turns.
pub(crate) fn run(isa: Isa, runs: usize) -> Vec<Line> {
    let roof = Roof::build().inspect_err(|why| eprintln!("no floor: {why}")).ok();
    let navigation =
        Navigation::load(4).inspect_err(|why| eprintln!("SKIPPED 40-100-2 sample: {why}")).ok();
    let mut measured = Measured::default();
    for _ in 0..runs {
        let floors = roof
            .as_ref()
            .and_then(|roof| roof.run().inspect_err(|why| eprintln!("no floor: {why}")).ok());
        let [small, large] = floors.map_or([None, None], |floors| floors.map(Some));
        shape(isa, "40-100-2", SMALL, small.as_ref(), &mut measured);
        if let Some(navigation) = &navigation {
            real_sample(isa, navigation, small.as_ref(), &mut measured);
        }
        shape(isa, "256-256-16", LARGE, large.as_ref(), &mut measured);
        artificial_sample(isa, large.as_ref(), &mut measured);
    }
    measured.lines()
}

/// Probability of an event per input, and of a spike per neuron, of each line of the floor.
const DENSITIES: [(&str, f64, f64); 4] =
    [("0.4%", 0.0065, 0.004), ("2%", 0.01, 0.02), ("5%", 0.05, 0.05), ("10%", 0.10, 0.10)];

/// Steps of one shape.
fn shape(isa: Isa, name: &str, shape: Shape, floor: Option<&Floor>, measured: &mut Measured) {
    for (density, inputs, spikes) in DENSITIES {
        let events = random_events(shape, 2000, inputs);
        let fanout = spikes / (inputs * f64::from(shape.inputs));
        let weights = relay_weights(shape, fanout);
        let sample = plain_sample(2000, &events);
        let changes = [("SPI_DO_EPROP", 0), ("SPI_FORCE_TRACES", 1)];
        let (time, visits) = with_network(isa, &params(shape, &changes), &weights, |network| {
            let spikes = network.run(&sample).spikes;
            (best_ns(15, || _ = network.run(&sample)), spikes + events.len() as u64)
        });
        let floor = floor.map(|floor| floor.infer_at(visits as f64 / 2000.0));
        let case = match density {
            "0.4%" => format!("{name} infer"),
            _ => format!("{name} infer {density}"),
        };
        measured.add(case, "ns", time / 2000.0, floor);
    }
    for (case, mode) in [("learn", 0), ("learn reg", 2)] {
        let floor = floor.map(|floor| if mode == 0 { floor.learn } else { floor.learn_reg });
        measured.add(format!("{name} {case}"), "ns", learning_step(isa, shape, mode), floor);
    }
}

/// A learning step with all traces: what a step with a target takes more than one without.
fn learning_step(isa: Isa, shape: Shape, mode: u32) -> f64 {
    const TICKS: u32 = 400;
    const FIRST: u32 = 40;
    // Every input has an event, and every neuron a spike, at each of the first ticks, and then every
    // 16 ticks, so that no trace decays to 0.
    let mut events = Vec::new();
    for tick in (0..FIRST).chain((FIRST..TICKS).step_by(16)) {
        for address in (0..=u8::MAX).take(shape.inputs.into()) {
            events.push(Event { tick, address });
        }
    }
    let weights = relay_weights(shape, 1.0);
    let changes = [("SPI_DO_EPROP", 7), ("SPI_REGUL_MODE", mode), ("SPI_FP_LOC_TOUT", 7)];
    let without = plain_sample(TICKS, &events);
    let with = Sample { target_valid: FIRST..TICKS, ..without.clone() };
    with_network(isa, &params(shape, &changes), &weights, |network| {
        let all = u64::from(TICKS - FIRST - 1) * weights_drawn(shape);
        let drawn = network.run(&with).weights_drawn;
        assert!(drawn == all, "some trace is 0: {drawn} of {all} weights");
        let mut best = [f64::INFINITY; 2];
        for _ in 0..15 {
            for (best, sample) in best.iter_mut().zip([&with, &without]) {
                *best = best.min(best_ns(1, || _ = network.run(sample)));
            }
        }
        (best[0] - best[1]) / f64::from(TICKS - FIRST - 1)
    })
}

/// Random words that a pass over all weights draws.
fn weights_drawn(shape: Shape) -> u64 {
    let [inputs, recurrent, outputs] =
        [shape.inputs, shape.recurrent, shape.outputs].map(u64::from);
    (inputs + recurrent) * recurrent.div_ceil(16) * 16 + recurrent * outputs
}

/// Training on real navigation samples.
fn real_sample(isa: Isa, navigation: &Navigation, floor: Option<&Floor>, measured: &mut Measured) {
    let mut params = navigation.params.clone();
    params.set("SPI_DO_EPROP", 7).expect("the task learns with these registers");
    let samples: Vec<Sample<'_>> = navigation.samples.iter().map(training).collect();
    with_network(isa, &params, &navigation.weights, |network| {
        let floor = floor.map(|floor| (floor, floor.learn_reg));
        samples_of(network, "40-100-2", &samples, floor, measured);
    });
}

fn training(sample: &NavigationSample) -> Sample<'_> {
    Sample {
        ticks: sample.ticks,
        events: &sample.events,
        target_valid: sample.cue..sample.ticks,
        infer_acc: sample.cue..sample.ticks,
        label: sample.label,
    }
}

/// Training on random events of 8% of the inputs, at the length and with the learning window of a
/// navigation sample.
fn artificial_sample(isa: Isa, floor: Option<&Floor>, measured: &mut Measured) {
    const TICKS: u32 = 2250;
    let events = random_events(LARGE, TICKS, 0.08);
    let weights = relay_weights(LARGE, 0.02 / (0.08 * 256.0));
    let changes = [("SPI_DO_EPROP", 7)];
    let window = 2100..TICKS;
    let sample =
        Sample { target_valid: window.clone(), infer_acc: window, ..plain_sample(TICKS, &events) };
    with_network(isa, &params(LARGE, &changes), &weights, |network| {
        let floor = floor.map(|floor| (floor, floor.learn));
        samples_of(network, "256-256-16", &[sample], floor, measured);
    });
}

/// Whole samples. Their floor: every tick an inference step of their density, and every learning
/// step one over all weights.
fn samples_of(
    network: &mut Network<'_>,
    name: &str,
    samples: &[Sample<'_>],
    floor: Option<(&Floor, f64)>,
    measured: &mut Measured,
) {
    let mut reports: Vec<SampleReport> = Vec::new();
    let time = best_ns(7, || {
        reports.clear();
        reports.extend(samples.iter().map(|sample| network.run(sample)));
    });
    let count = samples.len() as f64;
    let time = time / count;
    let total = |of: fn(&SampleReport) -> u64| reports.iter().map(of).sum::<u64>() as f64 / count;
    let mean = |of: fn(&Sample<'_>) -> usize| samples.iter().map(of).sum::<usize>() as f64 / count;
    let ticks = mean(|sample| sample.ticks as usize);
    let events = mean(|sample| sample.events.len()) + total(|report| report.spikes);
    let passes = mean(|sample| sample.target_valid.len() - 1);
    let floor = floor.map(|(floor, learn)| floor.infer_at(events / ticks) * ticks + passes * learn);
    let cycles = total(|report| report.cycles.total());

    let mut add = |what: &str, unit, value, floor| {
        measured.add(format!("{name} {what}"), unit, value, floor);
    };
    add("sample", "ns", time, floor);
    add("samples per second", "1/s", 1e9 / time, None);
    add("synaptic operations per second", "1/s", total(|r| r.synaptic_ops) * 1e9 / time, None);
    add("speed over the chip at 13 MHz", "x", cycles / 13e6 / (time / 1e9), None);
    add("speed over the chip at 115 MHz", "x", cycles / 115e6 / (time / 1e9), None);
}
