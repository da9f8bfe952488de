//! The Python of tests that look from another language.

use std::path::PathBuf;
use std::process::Command;

/// What deploy/examples/python imports.
pub(crate) const EXAMPLES: &str = "cryptography, grpc, grpc_tools.protoc, matplotlib, numpy";

/// `MUSTER_PYTHON`, else python3; none if it cannot import `modules`.
pub(crate) fn python(modules: &str) -> Option<PathBuf> {
    let python =
        std::env::var_os("MUSTER_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let usable = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    usable.is_ok_and(|output| output.status.success()).then_some(python)
}
