//! One numpy array as `.npy` bytes: format version 1.0 when written; versions 1 to 3, row or column order, when read.

use crate::error::{ImportError, Place};

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// An array of one-byte elements or byte strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Array {
    /// Its element type as numpy writes it, for example `|i1`.
    pub(crate) descr: String,
    pub(crate) shape: Vec<usize>,
    /// The elements in row order.
    pub(crate) data: Vec<u8>,
}

/// `array` as numpy's `save` would write it.
pub(crate) fn write(array: &Array) -> Vec<u8> {
    let dims: String = array.shape.iter().map(|dim| format!("{dim}, ")).collect();
    let dims = if array.shape.len() == 1 { dims.trim_end() } else { dims.trim_end_matches(", ") };
    let Array { descr, data, .. } = array;
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}");
    // The data begin at a multiple of 64 bytes.
    while !(MAGIC.len() + 4 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let len = u16::try_from(header.len()).expect("two dimensions make a short header");
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&[1, 0]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(data);
    out
}

/// Reads `.npy` bytes of the array called `name`.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Array, ImportError> {
    let fault =
        |expected, got: &str| ImportError::malformed(Place::Key(name.to_owned()), expected, got);
    let not_npy = || fault("an array in .npy format, version 1 to 3", "other bytes");
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(not_npy)?;
    let (start, len) = match rest {
        [1, _, a, b, ..] => (4, usize::from(u16::from_le_bytes([*a, *b]))),
        [2 | 3, _, a, b, c, d, ..] => {
            (6, usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX))
        }
        _ => return Err(not_npy()),
    };
    let end = len.checked_add(start).filter(|end| *end <= rest.len()).ok_or_else(not_npy)?;
    let header = std::str::from_utf8(&rest[start..end]).map_err(|_| not_npy())?;
    let no_header = || fault("a header with descr, fortran_order and shape", header);
    let (descr, fortran, shape) = fields(header).ok_or_else(no_header)?;
    let data = &rest[end..];
    let width = width(descr).ok_or_else(|| fault("elements of type |i1, |u1 or |S", descr))?;
    let elements = shape.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    if elements.and_then(|count| count.checked_mul(width)) != Some(data.len()) {
        let got = format!("{} bytes for shape {shape:?}", data.len());
        return Err(fault("as many bytes as the shape says", &got));
    }
    let data = match (fortran, &shape[..]) {
        (true, &[rows, cols]) => {
            let element = |at: usize| data[at * width..][..width].iter().copied();
            (0..rows).flat_map(|r| (0..cols).flat_map(move |c| element(c * rows + r))).collect()
        }
        (true, [_, _, _, ..]) => return Err(fault("at most two dimensions", header)),
        _ => data.to_vec(),
    };
    Ok(Array { descr: descr.to_owned(), shape, data })
}

/// Bytes of one element.
fn width(descr: &str) -> Option<usize> {
    match descr {
        "|i1" | "|u1" => Some(1),
        _ => descr.strip_prefix("|S")?.parse().ok().filter(|width| *width > 0),
    }
}

/// The three values of a header, which is a Python dictionary of literals.
fn fields(header: &str) -> Option<(&str, bool, Vec<usize>)> {
    let after = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}'"))?;
        rest.trim_start().strip_prefix(':').map(str::trim_start)
    };
    let (descr, _) = after("descr")?.strip_prefix('\'')?.split_once('\'')?;
    let order = after("fortran_order")?;
    let fortran = order.starts_with("True");
    if !fortran && !order.starts_with("False") {
        return None;
    }
    let (dims, _) = after("shape")?.strip_prefix('(')?.split_once(')')?;
    let dims = dims.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    Some((descr, fortran, dims.map(str::parse).collect::<Result<_, _>>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], data: &[u8]) -> Array {
        Array { descr: "|i1".to_owned(), shape: shape.to_vec(), data: data.to_vec() }
    }

    #[test]
    fn the_bytes_are_those_of_numpy() {
        let bytes = write(&array(&[2, 3], b"abcdef"));
        let header =
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '|i1', 'fortran_order': False, 'shape': (2, 3), }";
        assert!(bytes.starts_with(header));
        assert_eq!((bytes.len(), &bytes[127..]), (134, &b"\nabcdef"[..]));
        assert!(String::from_utf8_lossy(&write(&array(&[3], b"abc"))).contains("(3,), }"));
        assert!(String::from_utf8_lossy(&write(&array(&[], b"a"))).contains("(), }"));
    }

    #[test]
    fn column_order_is_turned() {
        let bytes = write(&array(&[2, 3], b"adbecf"));
        let text: Vec<u8> = String::from_utf8_lossy(&bytes[10..]).replace("False", "True ").into();
        let read = read("w", &[&bytes[..10], &text].concat()).unwrap();
        assert_eq!(read, array(&[2, 3], b"abcdef"));
    }
}
