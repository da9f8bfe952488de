//! Keeps `include/reckon.h` equal to what the crate says.
//!
//! The header is made by cbindgen, as a library, from the sources in `src`. Where it differs, the new text is written
//! and the test fails, so that a stale header cannot pass twice. Nothing is generated in a build.

use std::fs;
use std::path::Path;

#[test]
fn the_committed_header_is_what_the_crate_says() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(room.join("cbindgen.toml")).unwrap();
    // The other files are found through the modules.
    let builder = cbindgen::Builder::new().with_config(config).with_src(room.join("src/lib.rs"));
    let mut fresh = Vec::new();
    builder.generate().unwrap().write(&mut fresh);

    let header = room.join("include/reckon.h");
    if fs::read(&header).ok().as_deref() != Some(fresh.as_slice()) {
        fs::write(&header, fresh).unwrap();
        panic!("include/reckon.h was stale and is now rewritten; look and commit");
    }
}

#[test]
fn every_exported_function_is_in_the_header() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = fs::read_to_string(room.join("include/reckon.h")).unwrap();
    let mut exported = 0;
    for entry in fs::read_dir(room.join("src")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for after in text.split("#[unsafe(no_mangle)]\n").skip(1) {
            let (_, name) = after.split_once(" fn ").unwrap();
            let (name, _) = name.split_once('(').unwrap();
            assert!(name.starts_with("reckon_"), "{name}");
            assert!(header.contains(&format!("{name}(")), "{name} is missing");
            exported += 1;
        }
    }
    assert_eq!(exported, 13);
}
