//! Reading the inputs of a case: configuration, initial weights, samples and schedule.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use reckon::{Params, Shape};

use crate::failure::Failure;

/// The inputs of one case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) params: Params,
    /// Input, recurrent and output weights, rows padded as in the chip.
    pub(crate) weights: [Vec<i8>; 3],
    pub(crate) samples: Vec<GoldenSample>,
    pub(crate) schedule: Vec<Phase>,
}

/// One sample with everything that is driven into the chip, by tick.
#[derive(Debug, Clone)]
pub(crate) struct GoldenSample {
    pub(crate) id: String,
    pub(crate) ticks: u32,
    pub(crate) label: u8,
    pub(crate) target_valid: Vec<(u32, u32)>,
    pub(crate) infer_acc: Vec<(u32, u32)>,
    pub(crate) events: BTreeMap<u32, Vec<u8>>,
    pub(crate) labels: BTreeMap<u32, u8>,
    pub(crate) targets: BTreeMap<u32, Vec<i16>>,
}

/// A run of consecutive samples under one value of SPI_DO_EPROP.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) do_eprop: u32,
    pub(crate) targets: bool,
    pub(crate) begin: usize,
    pub(crate) end: usize,
    pub(crate) recorded: usize,
    pub(crate) detailed: usize,
    pub(crate) weight_dumps: usize,
}

impl Case {
    pub(crate) fn load(dir: &Path) -> Result<Case, Failure> {
        let name = dir
            .file_name()
            .map_or_else(|| dir.display().to_string(), |name| name.display().to_string());
        let config = text(&name, dir, "config.txt")?;
        let neurons = text(&name, dir, "neurons.csv")?;
        let params = Params::parse_text(&config, &neurons).map_err(|error| {
            let (file, line) = match error.line() {
                Some((reckon::Text::Neurons, line)) => ("neurons.csv", line),
                Some((reckon::Text::Config, line)) => ("config.txt", line),
                None => ("config.txt", 0),
            };
            unreadable(&name, file, line.try_into().unwrap_or(0), error.to_string())
        })?;
        let Shape { inputs, recurrent, .. } = params.shape();
        let columns = usize::from(recurrent).div_ceil(16) * 16;
        let weights = [
            weights(&name, dir, "w_inp_init.bin", usize::from(inputs) * columns)?,
            weights(&name, dir, "w_rec_init.bin", usize::from(recurrent) * columns)?,
            weights(&name, dir, "w_out_init.bin", usize::from(recurrent) * 16)?,
        ];
        let samples = read_samples(&name, &text(&name, dir, "samples.txt")?)?;
        let schedule = read_schedule(&name, &text(&name, dir, "schedule.txt")?, samples.len())?;
        Ok(Case { name, params, weights, samples, schedule })
    }
}

/// The contents of `file`, or of its `.zst` copy decoded; `None` if there is neither.
pub(crate) fn contents(case: &str, dir: &Path, file: &str) -> Result<Option<Vec<u8>>, Failure> {
    let plain = dir.join(file);
    if plain.exists() {
        return fs::read(&plain)
            .map(Some)
            .map_err(|error| unreadable(case, file, 0, error.to_string()));
    }
    let packed_name = format!("{file}.zst");
    let packed = dir.join(&packed_name);
    if !packed.exists() {
        return Ok(None);
    }
    let why = |why: String| unreadable(case, &packed_name, 0, why);
    let packed = fs::read(&packed).map_err(|error| why(error.to_string()))?;
    let mut bytes = Vec::new();
    let mut rest = packed.as_slice();
    while !rest.is_empty() {
        let mut frame = ruzstd::decoding::StreamingDecoder::new(&mut rest)
            .map_err(|error| why(error.to_string()))?;
        frame.read_to_end(&mut bytes).map_err(|error| why(error.to_string()))?;
    }
    Ok(Some(bytes))
}

pub(crate) fn unreadable(case: &str, file: &str, line: usize, why: impl Into<String>) -> Failure {
    Failure::Unreadable { case: case.into(), file: file.into(), line, why: why.into() }
}

pub(crate) fn text(case: &str, dir: &Path, file: &str) -> Result<String, Failure> {
    let bytes =
        contents(case, dir, file)?.ok_or_else(|| unreadable(case, file, 0, "is not there"))?;
    String::from_utf8(bytes).map_err(|error| unreadable(case, file, 0, error.to_string()))
}

fn weights(case: &str, dir: &Path, file: &str, len: usize) -> Result<Vec<i8>, Failure> {
    let bytes =
        contents(case, dir, file)?.ok_or_else(|| unreadable(case, file, 0, "is not there"))?;
    if bytes.len() != len {
        return Err(unreadable(
            case,
            file,
            0,
            format!("has {} bytes, the shape needs {len}", bytes.len()),
        ));
    }
    Ok(bytes.into_iter().map(u8::cast_signed).collect())
}

fn read_samples(case: &str, text: &str) -> Result<Vec<GoldenSample>, Failure> {
    let mut samples: Vec<GoldenSample> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let read = match (words.as_slice(), samples.last_mut()) {
            ([], _) => Some(()),
            (["sample", id, ticks, label], _) => {
                new_sample(id, ticks, label).map(|sample| samples.push(sample))
            }
            (["tv", from, to], Some(sample)) => {
                window(from, to).map(|window| sample.target_valid.push(window))
            }
            (["ia", from, to], Some(sample)) => {
                window(from, to).map(|window| sample.infer_acc.push(window))
            }
            (["e", tick, addresses @ ..], Some(sample)) => at(tick, numbers::<u8>(addresses))
                .map(|(tick, list)| sample.events.entry(tick).or_default().extend(list)),
            (["lab", tick, label], Some(sample)) => {
                at(tick, label.parse().ok()).map(|(tick, label)| {
                    sample.labels.insert(tick, label);
                })
            }
            (["y", tick, values @ ..], Some(sample)) => {
                at(tick, numbers(values)).map(|(tick, values)| {
                    sample.targets.insert(tick, values);
                })
            }
            _ => None,
        };
        read.ok_or_else(|| {
            unreadable(case, "samples.txt", index + 1, format!("cannot read `{line}`"))
        })?;
    }
    Ok(samples)
}

fn new_sample(id: &str, ticks: &str, label: &str) -> Option<GoldenSample> {
    Some(GoldenSample {
        id: id.into(),
        ticks: ticks.parse().ok().filter(|&ticks| ticks >= 2)?,
        label: label.parse().ok()?,
        target_valid: Vec::new(),
        infer_acc: Vec::new(),
        events: BTreeMap::new(),
        labels: BTreeMap::new(),
        targets: BTreeMap::new(),
    })
}

fn window(from: &str, to: &str) -> Option<(u32, u32)> {
    Some((from.parse().ok()?, to.parse().ok()?))
}

fn at<T>(tick: &str, value: Option<T>) -> Option<(u32, T)> {
    Some((tick.parse().ok()?, value?))
}

fn numbers<T: std::str::FromStr>(words: &[&str]) -> Option<Vec<T>> {
    words.iter().map(|word| word.parse().ok()).collect()
}

fn read_schedule(case: &str, text: &str, samples: usize) -> Result<Vec<Phase>, Failure> {
    let mut schedule = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let phase =
            read_phase(line).filter(|phase| phase.begin <= phase.end && phase.end <= samples);
        let why = || unreadable(case, "schedule.txt", index + 1, format!("cannot read `{line}`"));
        schedule.push(phase.ok_or_else(why)?);
    }
    Ok(schedule)
}

fn read_phase(line: &str) -> Option<Phase> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [name, do_eprop, targets, counts @ ..] = words.as_slice() else { return None };
    let &[begin, end, recorded, detailed, weight_dumps] = numbers(counts)?.as_slice() else {
        return None;
    };
    let targets = match *targets {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    let do_eprop = do_eprop.parse().ok()?;
    Some(Phase {
        name: (*name).into(),
        do_eprop,
        targets,
        begin,
        end,
        recorded,
        detailed,
        weight_dumps,
    })
}
