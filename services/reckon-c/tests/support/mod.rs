//! What the tests that compile C share: the compilers, the library, honest skipping.
#![allow(dead_code, reason = "each test uses its part")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of this crate.
pub(crate) fn room() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for what the test `name` makes, below the target directory.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reckon-c").join(name);
    std::fs::create_dir_all(&dir).expect("the target directory can be written");
    dir
}

/// The static library that cargo has built with this test: it stands beside the test itself.
pub(crate) fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let built = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("a directory entry").path();
        let name = path.file_name()?.to_str()?;
        let ours = name.starts_with("libreckon_c") && name.ends_with(".a");
        ours.then(|| (path.metadata().and_then(|about| about.modified()).ok(), path))
    };
    let dir = test.parent().expect("a test stands in a folder");
    let found = std::fs::read_dir(dir).expect("the folder of the test").filter_map(built).max();
    found.expect("cargo builds libreckon_c.a before the tests that use it").1
}

/// Whether `name`, which comes with a C compiler, is there; says what is skipped if not.
///
/// # Panics
/// When it is not there and `MUSTER_REQUIRE` asks for `cc`.
pub(crate) fn tool(name: &str, test: &str) -> bool {
    if Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    // Straight to standard output: what `println!` says is captured while a test passes.
    let line = format!("SKIPPED {test}: there is no {name}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("standard output");
    let required = std::env::var_os("MUSTER_REQUIRE").unwrap_or_default();
    let required = required.to_string_lossy();
    let required = required.split(',').any(|word| word.trim() == "cc");
    assert!(!required, "{test}: there is no {name}, and MUSTER_REQUIRE asks for cc");
    false
}

/// Says `line` although the test passes.
pub(crate) fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).expect("standard output");
}

/// Runs a command that must succeed; what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}: {}\n{out}{err}", done.status);
    out.into_owned()
}
