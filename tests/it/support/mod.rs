//! What the end-to-end tests share.

pub(crate) mod browser;
pub(crate) mod compose;
pub(crate) mod fixture;
pub(crate) mod plain;
pub(crate) mod process;
pub(crate) mod python;
pub(crate) mod require;
