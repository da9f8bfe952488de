//! `dat`: a directory of decimal text, its weights as ReckOn's own test bench loads them.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `weights_inp.dat`, `weights_rec.dat`, `weights_out.dat` | one weight a line, row by row, a row per presynaptic neuron |
//! | `config.txt` | the model's configuration as it is: registers, an empty line, neurons |
//! | `model.txt` | the range of each tensor, `range w_inp -128 127` |
//!
//! The weights are in the form and the order of `src/data/init_rand_weights_{inp,rec,out}_cueAcc.dat` in
//! `github.com/ChFrenkel/ReckOn` (commit `5e5c0be`): `src/tbench.sv` reads whitespace-separated numbers with `%d`, four
//! at a time. Point its `PATH_TO_INIT_*_WEIGHTS` at the three files; its loop bounds (40, 100, 2) and its registers
//! (`src/tbench.h`) are its own, and `config.txt` says what they should be.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use federation::Artifact;
use reckon::Params;

use crate::error::{ExportError, ImportError, Place};
use crate::network::{LEARNER, Network, TENSORS, area, layout, sizes};

/// The files, in the order in which they are read.
pub const FILES: [&str; 5] = [CONFIG, MODEL, WEIGHTS[0], WEIGHTS[1], WEIGHTS[2]];

const CONFIG: &str = "config.txt";
const MODEL: &str = "model.txt";
const WEIGHTS: [&str; 3] = ["weights_inp.dat", "weights_rec.dat", "weights_out.dat"];

/// `artifact` as files by name.
///
/// # Errors
/// [`ExportError`] when the model is not a ReckOn network.
pub fn write(artifact: &Artifact) -> Result<BTreeMap<String, Vec<u8>>, ExportError> {
    let network = Network::read(artifact)?;
    let mut files = BTreeMap::new();
    files.insert(CONFIG.to_owned(), artifact.config().to_vec());
    let mut model = String::new();
    for (name, (min, max)) in TENSORS.into_iter().zip(network.ranges) {
        writeln!(model, "range {name} {min} {max}").expect("a String takes whatever is written");
    }
    files.insert(MODEL.to_owned(), model.into_bytes());
    for (file, weights) in WEIGHTS.into_iter().zip(network.weights) {
        let text: String = weights.iter().map(|weight| format!("{weight}\n")).collect();
        files.insert(file.to_owned(), text.into_bytes());
    }
    Ok(files)
}

/// The model that files by name hold.
///
/// # Errors
/// [`ImportError`] names the file and the line.
pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<Artifact, ImportError> {
    let text = |name: &'static str| {
        let bytes = files.get(name).ok_or_else(|| ImportError::missing(Place::File(name), "it"))?;
        std::str::from_utf8(bytes)
            .map_err(|_| ImportError::malformed(Place::File(name), "text in UTF-8", "other bytes"))
    };
    let config = text(CONFIG)?;
    let (registers, neurons) = config.split_once("\n\n").ok_or_else(|| {
        const FORM: &str = "register lines, an empty line and neuron lines";
        ImportError::malformed(Place::File(CONFIG), FORM, config)
    })?;
    let shape = Params::parse_text(registers, neurons)?.shape();
    let mut ranges = [None; 3];
    for (number, line) in (1..).zip(text(MODEL)?.lines()) {
        let malformed = || {
            let place = Place::Line(Some(MODEL), number);
            ImportError::malformed(place, "`range TENSOR LEAST GREATEST`, once a tensor", line)
        };
        let fields: Vec<_> = line.split_whitespace().collect();
        let ["range", name, min, max] = fields[..] else { return Err(malformed()) };
        let index = TENSORS.iter().position(|tensor| *tensor == name).ok_or_else(malformed)?;
        let (Ok(min), Ok(max)) = (min.parse(), max.parse()) else { return Err(malformed()) };
        if ranges[index].replace((min, max)).is_some() {
            return Err(malformed());
        }
    }
    let [Some(inp), Some(rec), Some(out)] = ranges else {
        return Err(ImportError::missing(Place::File(MODEL), "the range of a tensor"));
    };
    let mut weights = Vec::new();
    for (file, size) in WEIGHTS.into_iter().zip(sizes(shape)) {
        let until = weights.len() + area(size);
        for (number, line) in (1..).zip(text(file)?.lines()) {
            let place = || Place::Line(Some(file), number);
            for word in line.split_whitespace() {
                if weights.len() == until {
                    const END: &str = "the end: the registers say that there are no more weights";
                    return Err(ImportError::malformed(place(), END, word));
                }
                let weight = word.parse().map_err(|_| {
                    ImportError::malformed(place(), "a weight from -128 to 127", word)
                })?;
                weights.push(weight);
            }
        }
        if weights.len() < until {
            let what = format!("{} of {} weights", until - weights.len(), area(size));
            return Err(ImportError::missing(Place::File(file), what));
        }
    }
    let layout = layout(shape, [inp, rec, out])?;
    Ok(Artifact::new(LEARNER, layout, config.as_bytes().to_vec(), weights)?)
}
