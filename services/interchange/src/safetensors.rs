//! `safetensors`: tensors with a JSON header, as `safetensors.numpy`, PyTorch and JAX read them.
//!
//! Any model can be written whose configuration is text. Each tensor is I8, rows x columns. The metadata hold
//!
//! * `learner`: who can learn with it,
//! * `config`: the configuration,
//! * `layout`: a line for each tensor, in order: its name, least and greatest value of its weights.
//!
//! A program that saves changed tensors passes the metadata on (`save_file(tensors, path, metadata)`); the order in which
//! it writes the tensors does not matter.

use federation::{Artifact, Layout, Tensor};
use serde_json::{Map, Value, json};

use crate::error::{ExportError, ImportError, Place, Problem};
use crate::limits::HEADER_BYTES_MAX;

const METADATA: &str = "__metadata__";

/// `artifact` as a safetensors file.
///
/// # Errors
/// [`ExportError::NotText`], or [`ExportError::Reserved`] for a tensor called `__metadata__`.
pub fn write(artifact: &Artifact) -> Result<Vec<u8>, ExportError> {
    let config = std::str::from_utf8(artifact.config()).map_err(|_| ExportError::NotText)?;
    let tensors = artifact.layout().tensors();
    let mut header = Map::new();
    let mut layout = String::new();
    let mut start = 0;
    for Tensor { name, rows, cols, min, max } in tensors {
        if name == METADATA {
            return Err(ExportError::Reserved { name: name.clone() });
        }
        let end = start + u64::from(*rows) * u64::from(*cols);
        let about = json!({"dtype": "I8", "shape": [rows, cols], "data_offsets": [start, end]});
        header.insert(name.clone(), about);
        layout.push_str(&format!("{name} {min} {max}\n"));
        start = end;
    }
    let about = json!({"learner": artifact.learner(), "config": config, "layout": layout});
    header.insert(METADATA.to_owned(), about);
    let mut header = Value::Object(header).to_string();
    // The data begin at a multiple of 8 bytes.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let len = u64::try_from(header.len()).expect("a header fits in memory");
    let mut out = len.to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.extend(artifact.weights().iter().map(|weight| weight.cast_unsigned()));
    Ok(out)
}

/// The model in a safetensors file.
///
/// # Errors
/// [`ImportError`] names the byte or the key.
pub fn read(bytes: &[u8]) -> Result<Artifact, ImportError> {
    let truncated = |at, what| ImportError::new(Place::Byte(at), Problem::Truncated { what });
    let (len, rest) = bytes
        .split_first_chunk::<8>()
        .ok_or_else(|| truncated(bytes.len(), "the length of the header"))?;
    let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
    if len > HEADER_BYTES_MAX {
        return Err(ImportError::new(Place::Byte(0), Problem::TooLarge { got: len }));
    }
    let (header, data) =
        rest.split_at_checked(len).ok_or_else(|| truncated(bytes.len(), "the header"))?;
    let header: Value = serde_json::from_slice(header).map_err(|error| {
        ImportError::malformed(Place::Byte(8), "a JSON header", &error.to_string())
    })?;
    let mut tensors = Vec::new();
    let mut weights = Vec::new();
    for line in metadata(&header, "layout")?.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        let malformed =
            || ImportError::malformed(key("layout"), "`TENSOR LEAST GREATEST` a line", line);
        let [name, min, max] = fields[..] else { return Err(malformed()) };
        let (Ok(min), Ok(max)) = (min.parse(), max.parse()) else { return Err(malformed()) };
        let (rows, cols, part) = tensor(&header, name, data)?;
        tensors.push(Tensor { name: name.to_owned(), rows, cols, min, max });
        weights.extend(part.iter().map(|byte| byte.cast_signed()));
        // Before the next one is read, so that names that repeat a large tensor come to an end.
        Layout::new(tensors.clone())?;
    }
    let config = metadata(&header, "config")?.as_bytes().to_vec();
    let learner = metadata(&header, "learner")?;
    Ok(Artifact::new(learner, Layout::new(tensors)?, config, weights)?)
}

fn key(name: &str) -> Place {
    Place::Key(format!("{METADATA}.{name}"))
}

fn metadata<'a>(header: &'a Value, name: &str) -> Result<&'a str, ImportError> {
    let value = header.get(METADATA).and_then(|metadata| metadata.get(name));
    value
        .and_then(Value::as_str)
        .ok_or_else(|| ImportError::missing(key(name), "this metadata text"))
}

/// Rows, columns and bytes of a tensor.
fn tensor<'a>(
    header: &Value,
    name: &str,
    data: &'a [u8],
) -> Result<(u32, u32, &'a [u8]), ImportError> {
    let place = || Place::Key(name.to_owned());
    let about = header.get(name).ok_or_else(|| ImportError::missing(place(), "the tensor"))?;
    let malformed = |expected| ImportError::malformed(place(), expected, &about.to_string());
    let pair = |field: &str| {
        let [first, second] = about.get(field)?.as_array()?.as_slice() else { return None };
        Some((first.as_u64()?, second.as_u64()?))
    };
    if about.get("dtype").and_then(Value::as_str) != Some("I8") {
        return Err(malformed("dtype I8"));
    }
    let (rows, cols) = pair("shape").ok_or_else(|| malformed("a shape of two dimensions"))?;
    let (start, end) = pair("data_offsets").ok_or_else(|| malformed("two data offsets"))?;
    let (Ok(narrow_rows), Ok(narrow_cols)) = (u32::try_from(rows), u32::try_from(cols)) else {
        return Err(malformed("dimensions below 2^32"));
    };
    let whole = end.checked_sub(start).is_some_and(|len| rows.checked_mul(cols) == Some(len));
    if !whole {
        return Err(malformed("as many bytes as the shape says"));
    }
    let within = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
    let part = data.get(within(start)..within(end));
    Ok((narrow_rows, narrow_cols, part.ok_or_else(|| malformed("offsets within the file"))?))
}
