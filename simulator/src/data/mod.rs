//! Recordings from files, in the forms in which they are published.
//!
//! A loader reads one form and knows nothing of networks: [`wav`] (speech), [`address_events`] (N-MNIST and DVS recordings, five
//! bytes an event), [`aedat`] (cameras' own files), [`shd`] (spikes in HDF5), [`braille`] (touch), [`table`] (one's own), [`archive`]
//! (folders, packed or not). [`check`] says what lies in a folder. [`crate::task`] makes tasks of what they give.
//! Whatever is not exactly the form is a [`DataError`] that names file and place; no file can make a loader panic or ask for
//! memory without bound.

pub mod address_events;
pub mod aedat;
pub mod archive;
pub mod braille;
pub mod check;
mod error;
pub mod nmnist;
pub mod shd;
pub mod table;
pub mod wav;

pub use self::error::{DataError, Place};
