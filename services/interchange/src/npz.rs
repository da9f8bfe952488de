//! `npz`: arrays for `numpy.load`, without pickle.
//!
//! Any model can be written, not only ReckOn networks:
//!
//! | array | type | what it holds |
//! | --- | --- | --- |
//! | each tensor, for example `w_inp` | int8, rows x columns | its weights, a row per presynaptic neuron |
//! | `tensors` | bytes (`S`), one per tensor | the tensors' names, in order |
//! | `ranges` | int8, tensors x 2 | least and greatest value of each tensor's weights |
//! | `learner` | bytes (`S`), a scalar | who can learn with it |
//! | `config` | uint8 | the configuration, `bytes(data["config"]).decode()` |
//!
//! What `numpy.savez` and `savez_compressed` write of the same arrays is read back, in any order of entries and in row
//! or column order. Arrays of other names are ignored.

use std::collections::BTreeMap;

use federation::{Artifact, Layout, Tensor};

use crate::error::{ExportError, ImportError, Place};
use crate::{npy, zip};

/// The arrays that are no tensors.
const NAMES: &str = "tensors";
const RANGES: &str = "ranges";
const LEARNER: &str = "learner";
const CONFIG: &str = "config";

/// `artifact` as an npz archive.
///
/// # Errors
/// [`ExportError::Reserved`] when a tensor has the name of one of the arrays beside them.
pub fn write(artifact: &Artifact) -> Result<Vec<u8>, ExportError> {
    let tensors = artifact.layout().tensors();
    let mut entries = Vec::new();
    let mut put = |name: &str, descr: &str, shape: Vec<usize>, data: Vec<u8>| {
        let array = npy::Array { descr: descr.to_owned(), shape, data };
        entries.push((format!("{name}.npy"), npy::write(&array)));
    };
    let mut rest = artifact.weights();
    for tensor in tensors {
        if [NAMES, RANGES, LEARNER, CONFIG].contains(&tensor.name.as_str()) {
            return Err(ExportError::Reserved { name: tensor.name.clone() });
        }
        let shape = [tensor.rows, tensor.cols]
            .map(|dim| usize::try_from(dim).expect("a checked layout fits in memory"));
        let (weights, after) = rest.split_at(shape[0] * shape[1]);
        rest = after;
        put(&tensor.name, "|i1", shape.to_vec(), bytes(weights));
    }
    let width = tensors.iter().map(|tensor| tensor.name.len()).max().unwrap_or(1);
    let padded = |name: &str| {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(width, 0);
        bytes
    };
    let names = tensors.iter().flat_map(|tensor| padded(&tensor.name)).collect();
    put(NAMES, &format!("|S{width}"), vec![tensors.len()], names);
    let ranges: Vec<_> = tensors.iter().flat_map(|tensor| [tensor.min, tensor.max]).collect();
    put(RANGES, "|i1", vec![tensors.len(), 2], bytes(&ranges));
    let learner = artifact.learner().as_bytes().to_vec();
    put(LEARNER, &format!("|S{}", learner.len()), vec![], learner);
    put(CONFIG, "|u1", vec![artifact.config().len()], artifact.config().to_vec());
    Ok(zip::write(&entries))
}

/// The model in an npz archive.
///
/// # Errors
/// [`ImportError`] names the array or the byte.
pub fn read(archive: &[u8]) -> Result<Artifact, ImportError> {
    let mut arrays = BTreeMap::new();
    for (entry, data) in zip::read(archive)? {
        let name = entry.strip_suffix(".npy").unwrap_or(&entry).to_owned();
        if arrays.insert(name.clone(), data).is_some() {
            return Err(ImportError::malformed(Place::Key(name), "one array of this name", "two"));
        }
    }
    let array = |name: &str, kind: &str, dims: usize| {
        let place = || Place::Key(name.to_owned());
        let data = arrays.get(name).ok_or_else(|| ImportError::missing(place(), "the array"))?;
        let array = npy::read(name, data)?;
        if !array.descr.starts_with(kind) || array.shape.len() != dims {
            let got = format!("{} of {} dimensions", array.descr, array.shape.len());
            const EXPECTED: &str = "the type and number of dimensions that the format says";
            return Err(ImportError::malformed(place(), EXPECTED, &got));
        }
        Ok(array)
    };
    let names = array(NAMES, "|S", 1)?;
    let ranges = array(RANGES, "|i1", 2)?;
    if ranges.shape != [names.shape[0], 2] {
        let got = format!("{:?}", ranges.shape);
        let place = Place::Key(RANGES.to_owned());
        return Err(ImportError::malformed(place, "two values for each of `tensors`", &got));
    }
    let mut tensors = Vec::new();
    let mut weights = Vec::new();
    let width = names.data.len().checked_div(names.shape[0]).unwrap_or(0).max(1);
    for (name, range) in names.data.chunks(width).zip(ranges.data.chunks(2)) {
        let name = text(name);
        let tensor = array(&name, "|i1", 2)?;
        let [rows, cols] = [0, 1].map(|dim| u32::try_from(tensor.shape[dim]).unwrap_or(u32::MAX));
        let (min, max) = (range[0].cast_signed(), range[1].cast_signed());
        tensors.push(Tensor { name, rows, cols, min, max });
        weights.extend(tensor.data.iter().map(|byte| byte.cast_signed()));
        // Before the next one is read, so that names that repeat a large array come to an end.
        Layout::new(tensors.clone())?;
    }
    let learner = text(&array(LEARNER, "|S", 0)?.data);
    let config = array(CONFIG, "|u1", 1)?.data;
    Ok(Artifact::new(&learner, Layout::new(tensors)?, config, weights)?)
}

/// A byte string of numpy, which pads with zeros.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

fn bytes(weights: &[i8]) -> Vec<u8> {
    weights.iter().map(|weight| weight.cast_unsigned()).collect()
}
