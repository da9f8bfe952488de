//! The limits of what is read, each with its reason.

use federation::limits::{ARTIFACT_BYTES_MAX, CONFIG_BYTES_MAX};

/// Longest file that is imported. The longest useful one is text: 135,168 weights in 16 lanes a row as SPI words take
/// 0.4 MiB; a generic artifact in npz takes its own bytes and a few KiB.
pub const FILE_BYTES_MAX: usize = 16 << 20;
/// Bytes of all entries of an npz together, when unpacked: an artifact, with room for a user's own arrays.
pub const ENTRIES_BYTES_MAX: usize = 2 * ARTIFACT_BYTES_MAX;
/// Most entries of an npz: the tensors an artifact may have, and the arrays beside them, with room for a user's own.
pub const ENTRIES_MAX: usize = 256;
/// Longest JSON header of a safetensors file: the configuration, escaped at worst sixfold, and the tensors.
pub const HEADER_BYTES_MAX: usize = 6 * CONFIG_BYTES_MAX + (64 << 10);
