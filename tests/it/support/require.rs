//! Skipping, honestly: a skip is printed, and is a failure where `MUSTER_REQUIRE` names what is missing.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Says that test `name` is skipped because `what` is missing.
///
/// # Panics
/// When `MUSTER_REQUIRE` holds `what`.
pub(crate) fn skip(name: &str, what: &str, why: &str) {
    // Straight to standard output: what `println!` says is captured while a test passes.
    let line = format!("SKIPPED {name}: {why}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    let required = std::env::var_os("MUSTER_REQUIRE").unwrap_or_default();
    let required = required.to_string_lossy();
    assert!(
        !required.split(',').any(|word| word.trim() == what),
        "{name} was skipped ({why}), MUSTER_REQUIRE={required}"
    );
}

/// The folder of a published set beside the project; says that `test` is skipped where it is not there.
pub(crate) fn shared(test: &str, set: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(set);
    if dir.is_dir() {
        return Some(dir);
    }
    skip(test, "data", &format!("../shared/data/{set} is not there"));
    None
}
