//! Where the tests find the shared material beside the workspace.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

/// The text of a shared file; where it is absent `None`, said aloud, or a failure if `MUSTER_REQUIRE` holds `data`.
pub(crate) fn shared(test: &str, file: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(why) => {
            let required = std::env::var_os("MUSTER_REQUIRE").unwrap_or_default();
            let required = required.to_string_lossy().split(',').any(|item| item.trim() == "data");
            assert!(!required, "MUSTER_REQUIRE asks for data, but {}: {why}", path.display());
            say(&format!("SKIPPED {test}: {}: {why}", path.display()));
            None
        }
    }
}

/// Straight to standard output: what `println!` says is captured while a test passes.
fn say(text: &str) {
    std::io::stdout()
        .write_all(format!("{text}\n").as_bytes())
        .expect("standard output can be written");
}
