//! Keeps `src/gen` equal to what `fleet.proto` says.
//!
//! Regenerates into a temporary folder with protox and tonic-prost-build, compares, and where something differs writes
//! the new text into `src/gen` and fails, so that a stale file cannot pass twice. `cargo bless` runs just this. Nothing
//! is generated in a build, and no `protoc` is needed anywhere.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::Path;

use prost::Message as _;

const PROTO: &str = "muster/fleet/v1/fleet.proto";
const DESCRIPTORS: &str = "fleet.bin";

#[test]
fn the_committed_code_is_what_the_contract_generates() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().unwrap();
    generate(room, fresh.path());

    let committed = room.join("src/gen");
    fs::create_dir_all(&committed).unwrap();
    let names = file_names(fresh.path());
    assert_eq!(names, [DESCRIPTORS, "muster.fleet.v1.rs"]);
    let mut stale = Vec::new();
    for name in &names {
        let new = fs::read(fresh.path().join(name)).unwrap();
        if fs::read(committed.join(name)).ok().as_deref() != Some(new.as_slice()) {
            fs::write(committed.join(name), new).unwrap();
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "src/gen was stale and is now rewritten: {stale:?}; look and commit");
    assert_eq!(file_names(&committed), names, "src/gen holds generated files only");
}

/// Generates client, server and file descriptors of the contract in `room` into `out`.
fn generate(room: &Path, out: &Path) {
    let mut descriptors = protox::compile([PROTO], [room]).unwrap();
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::codec::SmallCodec")
        .emit_rerun_if_changed(false)
        .out_dir(out)
        .compile_fds(descriptors.clone())
        .unwrap();
    // Reflection needs no comments; without them a reworded comment leaves the file as it is.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    fs::write(out.join(DESCRIPTORS), descriptors.encode_to_vec()).unwrap();
}

/// Names of the files in `folder`, ascending.
fn file_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}
