//! Just enough of HDF5 to write a tree of small datasets: superblock version 2, object headers version 2, links in the
//! headers, contiguous data. What is written is read back with libhdf5 (through h5py) by `tests/it/interchange.rs`.
//!
//! After the "HDF5 File Format Specification, version 3.0" (The HDF Group); the message numbers below are its own.

/// Something in the file.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    /// A group: names and members.
    Group(Vec<(&'static str, Object)>),
    /// A scalar string in UTF-8.
    Text(String),
    /// Strings, each shorter than 256 bytes: rows and columns, then row by row.
    Texts([u64; 2], Vec<&'static str>),
    /// 32-bit floats: dimensions, then row by row.
    Floats(Vec<u64>, Vec<f32>),
    /// A scalar 64-bit float.
    Float(f64),
    /// 64-bit integers, one dimension.
    Integers(Vec<i64>),
}

const SUPERBLOCK_LEN: usize = 48;
const UNDEFINED: [u8; 8] = [0xFF; 8];

const DATASPACE: u8 = 1;
const LINK_INFO: u8 = 2;
const DATATYPE: u8 = 3;
const FILL_VALUE: u8 = 5;
const LINK: u8 = 6;
const LAYOUT: u8 = 8;
const GROUP_INFO: u8 = 10;

/// The file whose root group has these members.
pub(crate) fn write(root: Vec<(&'static str, Object)>) -> Vec<u8> {
    let mut out = vec![0; SUPERBLOCK_LEN];
    let root = put(&mut out, &Object::Group(root));
    let mut superblock = b"\x89HDF\r\n\x1a\n".to_vec();
    // Version 2, 8-byte offsets and lengths, no flags; base address 0, no extension.
    superblock.extend_from_slice(&[2, 8, 8, 0]);
    superblock.extend_from_slice(&[0; 8]);
    superblock.extend_from_slice(&UNDEFINED);
    superblock.extend_from_slice(&wide(out.len()).to_le_bytes());
    superblock.extend_from_slice(&root.to_le_bytes());
    let checksum = lookup3(&superblock);
    superblock.extend_from_slice(&checksum.to_le_bytes());
    out[..SUPERBLOCK_LEN].copy_from_slice(&superblock);
    out
}

/// Appends an object, what it refers to first, and returns the address of its header.
fn put(out: &mut Vec<u8>, object: &Object) -> u64 {
    let mut messages = Vec::new();
    match object {
        Object::Group(members) => {
            // Version 0, no flags, neither heap nor index: the links stand in the header.
            message(&mut messages, LINK_INFO, &[&[0, 0], &UNDEFINED[..], &UNDEFINED].concat());
            message(&mut messages, GROUP_INFO, &[0, 0]);
            for (name, member) in members {
                let address = put(out, member);
                let len = u8::try_from(name.len()).expect("names are short");
                // Version 1, a hard link, one byte for the length of the name.
                let link = [&[1, 0, len], name.as_bytes(), &address.to_le_bytes()].concat();
                message(&mut messages, LINK, &link);
            }
        }
        Object::Text(text) => {
            let width = text.len().max(1);
            let mut data = text.as_bytes().to_vec();
            data.resize(width, 0);
            dataset(out, &mut messages, &[], &string(width), &data);
        }
        Object::Texts(dims, texts) => {
            let width = texts.iter().map(|text| text.len()).max().unwrap_or(1).max(1);
            let mut data = Vec::new();
            for text in texts {
                data.extend_from_slice(text.as_bytes());
                data.resize(data.len() + width - text.len(), 0);
            }
            dataset(out, &mut messages, dims, &string(width), &data);
        }
        Object::Floats(dims, values) => {
            let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            dataset(out, &mut messages, dims, &float(4, 31, [23, 8, 0, 23], 127), &data);
        }
        Object::Float(value) => {
            let data = value.to_le_bytes();
            dataset(out, &mut messages, &[], &float(8, 63, [52, 11, 0, 52], 1023), &data);
        }
        Object::Integers(values) => {
            let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            // Class 0, version 1: little-endian, signed; 8 bytes; 64 bits from bit 0.
            let kind = [0x10, 0x08, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0];
            dataset(out, &mut messages, &[wide(values.len())], &kind, &data);
        }
    }
    header(out, &messages)
}

/// Appends the data of a dataset and adds its messages.
fn dataset(out: &mut Vec<u8>, messages: &mut Vec<u8>, dims: &[u64], kind: &[u8], data: &[u8]) {
    align(out);
    let address = wide(out.len());
    out.extend_from_slice(data);
    let rank = u8::try_from(dims.len()).expect("two dimensions at most");
    // Version 2, no maximum sizes, scalar (0) or simple (1).
    let mut space = vec![2, rank, 0, rank.min(1)];
    space.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
    message(messages, DATASPACE, &space);
    message(messages, DATATYPE, kind);
    // Version 3: allocated late, written if set by the user, not defined.
    message(messages, FILL_VALUE, &[3, 0x0A]);
    // Version 3, contiguous.
    let layout = [&[3, 1][..], &address.to_le_bytes(), &wide(data.len()).to_le_bytes()].concat();
    message(messages, LAYOUT, &layout);
}

/// A string of `width` bytes: class 3, version 1, padded with zeros, UTF-8.
fn string(width: usize) -> Vec<u8> {
    let width = u32::try_from(width).expect("a configuration is short");
    [&[0x13, 0x11, 0, 0][..], &width.to_le_bytes()].concat()
}

/// An IEEE float, little-endian: class 1, version 1, implied leading bit. `parts` are the exponent's place and size, the
/// mantissa's place and size.
fn float(bytes: u8, sign: u8, parts: [u8; 4], bias: u32) -> Vec<u8> {
    let size = [bytes, 0, 0, 0, 0, 0, bytes * 8, 0];
    [&[0x11, 0x20, sign, 0][..], &size, &parts, &bias.to_le_bytes()].concat()
}

fn message(messages: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let len = u16::try_from(body.len()).expect("names and types are short");
    messages.push(kind);
    messages.extend_from_slice(&len.to_le_bytes());
    messages.push(0);
    messages.extend_from_slice(body);
}

/// Appends an object header of `messages` and returns its address.
fn header(out: &mut Vec<u8>, messages: &[u8]) -> u64 {
    align(out);
    let start = out.len();
    let len = u32::try_from(messages.len()).expect("groups here have few members");
    // Version 2; four bytes for the size.
    out.extend_from_slice(b"OHDR\x02\x02");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(messages);
    let checksum = lookup3(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
    wide(start)
}

fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(8), 0);
}

fn wide(len: usize) -> u64 {
    u64::try_from(len).expect("a file fits in 64 bits")
}

/// The checksum of HDF5's metadata: Bob Jenkins' lookup3 (hashlittle) from 0.
fn lookup3(data: &[u8]) -> u32 {
    let len = u32::try_from(data.len()).expect("headers are short");
    let start = 0xDEAD_BEEF_u32.wrapping_add(len);
    let (mut a, mut b, mut c) = (start, start, start);
    let blocks = data.chunks(12);
    let last = blocks.len();
    for (number, block) in (1..).zip(blocks) {
        let mut padded = [0; 12];
        padded[..block.len()].copy_from_slice(block);
        let word = |at: usize| {
            u32::from_le_bytes([padded[at], padded[at + 1], padded[at + 2], padded[at + 3]])
        };
        a = a.wrapping_add(word(0));
        b = b.wrapping_add(word(4));
        c = c.wrapping_add(word(8));
        if number < last {
            for (turn, other) in [4, 6, 8, 16, 19, 4].into_iter().zip([0, 1, 2].repeat(2)) {
                let (x, y, z) = match other {
                    0 => (&mut a, &mut b, &mut c),
                    1 => (&mut b, &mut c, &mut a),
                    _ => (&mut c, &mut a, &mut b),
                };
                *x = x.wrapping_sub(*z) ^ z.rotate_left(turn);
                *z = z.wrapping_add(*y);
            }
        }
    }
    if last > 0 {
        for (turn, other) in [14, 11, 25, 16, 4, 14, 24].into_iter().zip([0, 1, 2, 0, 1, 2, 0]) {
            let (x, y) = match other {
                0 => (&mut c, b),
                1 => (&mut a, c),
                _ => (&mut b, a),
            };
            *x = (*x ^ y).wrapping_sub(y.rotate_left(turn));
        }
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_lookup3() {
        // Known answers of hashlittle with an initial value of 0.
        assert_eq!(lookup3(b""), 0xDEAD_BEEF);
        assert_eq!(lookup3(b"Four score and seven years ago"), 0x1777_0551);
    }
}
