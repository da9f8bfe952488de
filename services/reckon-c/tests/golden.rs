//! Two recorded cases of the chip, driven through C: one of classes, whole sample by whole sample, and one of
//! regression, tick by tick.
#![expect(unsafe_code, reason = "the functions take pointers")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use reckon_c::*;

/// A case as `tests/golden/reckon/README.md` says: the parts that are needed here.
struct Case {
    dir: PathBuf,
    registers: Vec<ReckonRegister>,
    pairs: Vec<ReckonPair>,
    /// Inputs, recurrent neurons, outputs.
    shape: [usize; 3],
    samples: Vec<Recorded>,
}

/// A recorded sample: what is driven into the chip.
#[derive(Default)]
struct Recorded {
    ticks: u32,
    label: u8,
    target_valid: (u32, u32),
    infer_acc: (u32, u32),
    events: Vec<ReckonEvent>,
    /// Regression targets by tick.
    targets: BTreeMap<u32, Vec<i32>>,
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn numbers<T: std::str::FromStr>(words: &[&str]) -> Vec<T> {
    words.iter().map(|word| word.parse().ok().expect("a number")).collect()
}

impl Case {
    fn load(name: &str) -> Case {
        let room = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = room.join("../../tests/golden/reckon").join(name);
        // The addresses that C programs use.
        let header = text(&room.join("include/reckon.h"));
        let addresses: BTreeMap<&str, u32> = header
            .lines()
            .filter_map(|line| line.strip_prefix("#define RECKON_SPI_")?.split_once(' '))
            .map(|(name, address)| (name, address.parse().expect("an address")))
            .collect();
        assert_eq!(addresses.len(), 67);
        let registers: Vec<ReckonRegister> = text(&dir.join("config.txt"))
            .lines()
            .filter_map(|line| line.strip_prefix("SPI_")?.split_once(' '))
            .map(|(name, value)| {
                let value = value.trim().parse().expect("a value");
                ReckonRegister { address: addresses[name], value }
            })
            .collect();
        let pairs = text(&dir.join("neurons.csv"))
            .lines()
            .skip(1)
            .map(|line| {
                let [pair, alpha12, threshold] =
                    numbers::<i32>(&line.split(',').collect::<Vec<_>>())[..]
                else {
                    panic!("a pair has three numbers")
                };
                ReckonPair {
                    pair: pair.try_into().expect("a pair"),
                    alpha12: alpha12.try_into().expect("12 bits"),
                    threshold: threshold.try_into().expect("16 bits"),
                }
            })
            .collect();
        let shape = [RECKON_SPI_NUM_INP_NEUR, RECKON_SPI_NUM_REC_NEUR, RECKON_SPI_NUM_OUT_NEUR]
            .map(|of| registers.iter().find(|register| register.address == of).expect("a shape"))
            .map(|register| usize::try_from(register.value).expect("a count") + 1);
        let samples = samples(&text(&dir.join("samples.txt")));
        Case { dir, registers, pairs, shape, samples }
    }

    /// Rows of a table of the case, without its header.
    fn table(&self, file: &str) -> Vec<Vec<String>> {
        let text = text(&self.dir.join(file));
        text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
    }

    /// The weights in `padded`, three matrices with padded rows, without the padding.
    fn unpadded(&self, padded: &[u8]) -> [Vec<i8>; 3] {
        let [inputs, recurrent, outputs] = self.shape;
        let width = recurrent.div_ceil(16) * 16;
        let (inp, rest) = padded.split_at(inputs * width);
        let (rec, out) = rest.split_at(recurrent * width);
        assert_eq!(out.len(), recurrent * 16);
        let cut = |matrix: &[u8], width: usize, used: usize| {
            let rows = matrix.chunks_exact(width);
            rows.flat_map(|row| &row[..used]).map(|byte| byte.cast_signed()).collect()
        };
        [cut(inp, width, recurrent), cut(rec, width, recurrent), cut(out, 16, outputs)]
    }

    fn initial_weights(&self) -> [Vec<i8>; 3] {
        let files = ["w_inp_init.bin", "w_rec_init.bin", "w_out_init.bin"];
        self.unpadded(&files.map(|file| fs::read(self.dir.join(file)).expect("weights")).concat())
    }

    /// The weights after the samples that `weights_index.csv` names.
    fn recorded_weights(&self) -> BTreeMap<(usize, usize), [Vec<i8>; 3]> {
        let all = fs::read(self.dir.join("weights.bin")).expect("weights");
        let index = self.table("weights_index.csv");
        let dumps = all.chunks_exact(all.len() / index.len());
        let key = |row: &Vec<String>| {
            (row[1].parse().expect("a phase"), row[3].parse().expect("a position"))
        };
        index.iter().map(key).zip(dumps.map(|dump| self.unpadded(dump))).collect()
    }

    /// SPI_DO_EPROP, whether targets are valid, and the samples of each phase.
    fn phases(&self) -> Vec<(u32, bool, &[Recorded])> {
        let text = text(&self.dir.join("schedule.txt"));
        let phases = text.lines().filter(|line| !line.starts_with('#'));
        phases
            .map(|line| {
                let words: Vec<&str> = line.split_ascii_whitespace().collect();
                let [learns, targets, begin, end] = numbers::<usize>(&words[1..5])[..] else {
                    panic!("a phase has four numbers")
                };
                let learns = learns.try_into().expect("3 bits");
                (learns, targets == 1, &self.samples[begin..end])
            })
            .collect()
    }
}

fn samples(text: &str) -> Vec<Recorded> {
    let mut samples: Vec<Recorded> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if words[0] == "sample" {
            let (ticks, label) =
                (words[2].parse().expect("ticks"), words[3].parse().expect("a label"));
            samples.push(Recorded { ticks, label, ..Recorded::default() });
            continue;
        }
        let sample = samples.last_mut().expect("a sample begins the file");
        let tick = words[1].parse().expect("a tick");
        let more = &words[2..];
        match words[0] {
            "tv" => sample.target_valid = (tick, numbers(more)[0]),
            "ia" => sample.infer_acc = (tick, numbers(more)[0]),
            "y" => assert!(sample.targets.insert(tick, numbers(more)).is_none()),
            "e" => {
                let addresses = numbers(more).into_iter();
                sample.events.extend(addresses.map(|address| ReckonEvent { tick, address }));
            }
            other => panic!("not made for lines of `{other}`"),
        }
    }
    samples
}

#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line {
    _bytes: [u8; 64],
}

/// Runs `work` on the network of `case`.
fn with_network(case: &Case, work: impl FnOnce(*mut ReckonNetwork)) {
    let [inputs, recurrent, outputs] =
        case.shape.map(|count| u32::try_from(count).expect("256 at most"));
    let size = reckon_memory_size(inputs, recurrent, outputs);
    let mut block = vec![Line { _bytes: [0xA5; 64] }; size.div_ceil(64)];
    let config = ReckonConfig {
        registers: case.registers.as_ptr(),
        registers_len: case.registers.len(),
        pairs: case.pairs.as_ptr(),
        pairs_len: case.pairs.len(),
    };
    let mut network = null_mut();
    let [inp, rec, out] = case.initial_weights();
    let start = block.as_mut_ptr().cast();
    // SAFETY: every pointer points to what its type says.
    unsafe {
        assert_eq!(reckon_new(start, size, &config, &mut network, null_mut()), RECKON_OK);
        let (a, b, c) = (inp.as_ptr(), rec.as_ptr(), out.as_ptr());
        let code = reckon_load_weights(network, a, inp.len(), b, rec.len(), c, out.len());
        assert_eq!(code, RECKON_OK);
    }
    work(network);
}

fn read_weights(network: *const ReckonNetwork, case: &Case) -> [Vec<i8>; 3] {
    let [inputs, recurrent, outputs] = case.shape;
    let [mut inp, mut rec, mut out] =
        [inputs * recurrent, recurrent * recurrent, recurrent * outputs].map(|len| vec![0; len]);
    let (a, b, c) = (inp.as_mut_ptr(), rec.as_mut_ptr(), out.as_mut_ptr());
    // SAFETY: every pointer points to what its type says.
    let code = unsafe { reckon_read_weights(network, a, inp.len(), b, rec.len(), c, out.len()) };
    assert_eq!(code, RECKON_OK);
    [inp, rec, out]
}

#[test]
fn whole_samples_of_classes_are_those_recorded() {
    let case = Case::load("a11_partial_plasticity");
    let mut results = case.table("results.csv").into_iter();
    let mut weights = case.recorded_weights();
    with_network(&case, |network| {
        for (index, (learns, targets, samples)) in case.phases().into_iter().enumerate() {
            // SAFETY: the handle is a network's.
            let code = unsafe { reckon_set_register(network, RECKON_SPI_DO_EPROP, learns) };
            assert_eq!(code, RECKON_OK);
            for (position, recorded) in samples.iter().enumerate() {
                let (begin, end) = if targets { recorded.target_valid } else { (0, 0) };
                let sample = ReckonSample {
                    events: recorded.events.as_ptr(),
                    events_len: recorded.events.len(),
                    ticks: recorded.ticks,
                    target_valid_begin: begin,
                    target_valid_end: end,
                    infer_acc_begin: recorded.infer_acc.0,
                    infer_acc_end: recorded.infer_acc.1,
                    label: recorded.label,
                };
                let (mut report, mut result) = (ReckonReport::default(), ReckonResult::default());
                // SAFETY: every pointer points to what its type says.
                unsafe {
                    assert_eq!(reckon_run(network, &sample, &mut report), RECKON_OK);
                    assert_eq!(reckon_result(network, &mut result), RECKON_OK);
                }
                let row = results.next().expect("a result for every sample");
                let expected: Vec<u64> =
                    row[4..8].iter().map(|cell| cell.parse().expect("a number")).collect();
                let [zero, one, rest @ ..] = report.votes;
                let got = [sample.label, report.label].map(u64::from).into_iter();
                let got: Vec<u64> = got.chain([zero, one].map(u64::from)).collect();
                assert_eq!(got, expected, "phase {index}, sample {position}");
                assert_eq!(rest, [0; 14]);
                let cycles: u64 =
                    row[9..13].iter().map(|cell| cell.parse::<u64>().expect("a number")).sum();
                assert_eq!(report.cycles, cycles, "phase {index}, sample {position}");
                assert_eq!(
                    (result.label, result.votes, result.running),
                    (report.label, report.votes, 0)
                );
                let recorded = weights.remove(&(index, position + 1)).expect("weights after it");
                assert_eq!(
                    read_weights(network, &case),
                    recorded,
                    "phase {index}, sample {position}"
                );
            }
        }
    });
    assert!(results.next().is_none() && weights.is_empty(), "everything recorded was compared");
}

#[test]
fn ticks_of_regression_send_what_is_recorded() {
    let case = Case::load("a04_regression_per_step_output");
    let outputs = case.shape[2];
    let mut bus = case.table("out_bus.csv").into_iter();
    let mut weights = case.recorded_weights();
    let (mut learned, compared) = (0, weights.len());
    with_network(&case, |network| {
        for (index, (learns, targets, samples)) in case.phases().into_iter().enumerate() {
            // SAFETY: the handle is a network's.
            let code = unsafe { reckon_set_register(network, RECKON_SPI_DO_EPROP, learns) };
            assert_eq!(code, RECKON_OK);
            for (position, recorded) in samples.iter().enumerate() {
                for tick in 0..recorded.ticks {
                    let step = drive(network, recorded, tick, targets, outputs);
                    learned += u32::from(step.learned);
                    if step.sent == RECKON_SENT_NOTHING {
                        continue;
                    }
                    assert_eq!(step.sent, RECKON_SENT_POTENTIALS);
                    let bytes =
                        step.potentials[..outputs].iter().flat_map(|sent| sent.to_le_bytes());
                    let bytes: String = bytes.map(|byte| format!("{byte:02x}")).collect();
                    let row = [index.to_string(), position.to_string(), tick.to_string(), bytes];
                    assert_eq!(row[..], bus.next().expect("a message for every step"));
                }
                if let Some(recorded) = weights.remove(&(index, position + 1)) {
                    assert_eq!(
                        read_weights(network, &case),
                        recorded,
                        "phase {index}, sample {position}"
                    );
                }
            }
        }
    });
    assert!(bus.next().is_none() && weights.is_empty(), "everything recorded was compared");
    assert!(learned > 0 && compared > 0);
}

/// Everything that a recorded sample does at one tick.
fn drive(
    network: *mut ReckonNetwork,
    recorded: &Recorded,
    tick: u32,
    targets: bool,
    outputs: usize,
) -> ReckonStep {
    let mut step = ReckonStep::default();
    let inside = |(begin, end): (u32, u32)| (begin..end).contains(&tick);
    let pin = |pin: u32, high: bool| if high { pin } else { 0 };
    let pins = pin(RECKON_PIN_TARGET_VALID, targets && inside(recorded.target_valid))
        | pin(RECKON_PIN_INFER_ACC, inside(recorded.infer_acc))
        | pin(RECKON_PIN_LAST, tick + 1 == recorded.ticks);
    let values = recorded.targets.get(&tick).cloned().unwrap_or_else(|| vec![0; outputs]);
    // SAFETY: the handle is a network's, and the step is there.
    unsafe {
        assert_eq!(reckon_label(network, recorded.label.into()), RECKON_OK);
        for event in recorded.events.iter().filter(|event| event.tick == tick) {
            assert_eq!(reckon_event(network, event.address.into()), RECKON_OK);
        }
        for (output, value) in (0..).zip(values) {
            assert_eq!(reckon_target(network, output, value), RECKON_OK);
        }
        assert_eq!(reckon_tick(network, pins, &mut step), RECKON_OK);
    }
    step
}
