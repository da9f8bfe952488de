//! The house rules that a machine can check: who may import whom, where SQL stands, how files begin and how long they
//! are, which licences come in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::support::compose::root;

/// Offline, and therefore for this platform alone: what others need may never have been downloaded.
fn metadata() -> Metadata {
    let rustc = std::process::Command::new("rustc").arg("-vV").output().expect("rustc");
    let about = String::from_utf8_lossy(&rustc.stdout).into_owned();
    let host =
        about.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc tells its host");
    let options = ["--locked", "--offline", "--filter-platform", host].map(str::to_owned);
    MetadataCommand::new()
        .current_dir(root())
        .other_options(options)
        .exec()
        .expect("cargo metadata")
}

/// Every Rust file of the project below `dir`, generated code apart, with its text.
fn sources(dir: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        {
            let path = entry.expect("a directory entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "gen" | "target" | "golden" | ".git") {
                    dirs.push(path);
                }
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                found.insert(path.strip_prefix(root()).expect("below the root").to_owned(), text);
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {dir}");
    found
}

fn is_test(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let unit = ["/tests.rs", "/testing.rs", "/fake.rs"].iter().any(|name| text.ends_with(name));
    unit || text.starts_with("tests/") || text.contains("/tests/")
}

/// The code of a file without its unit tests and comments.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]").next().unwrap_or_default();
    body.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn ours(metadata: &Metadata) -> BTreeMap<&str, &Package> {
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.as_str(), package))
        .collect()
}

fn normal_dependencies(package: &Package) -> BTreeSet<&str> {
    let normal = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development);
    normal.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn our_crates_import_only_whom_they_may() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("reckon", &[][..]),
        ("reckon-c", &["reckon"]),
        ("federation", &[]),
        ("tasks", &["reckon"]),
        ("proto", &["federation"]),
        ("agent", &["federation", "proto", "reckon", "tasks"]),
        ("coordinator", &["federation", "proto"]),
        ("interchange", &["federation", "reckon"]),
        ("simulator", &["agent", "coordinator", "federation", "proto", "reckon", "tasks"]),
        (
            "muster",
            &["agent", "coordinator", "federation", "interchange", "reckon", "simulator", "tasks"],
        ),
        ("bench", &["agent", "federation", "proto", "reckon", "simulator", "tasks"]),
        // All it has are dependencies of its test.
        ("sim", &[]),
    ]);
    let metadata = metadata();
    let packages = ours(&metadata);
    assert_eq!(
        packages.keys().collect::<Vec<_>>(),
        allowed.keys().collect::<Vec<_>>(),
        "crates need an ADR"
    );
    for (name, package) in &packages {
        let uses: BTreeSet<_> = normal_dependencies(package)
            .into_iter()
            .filter(|other| packages.contains_key(other))
            .collect();
        let may: BTreeSet<_> = allowed[name].iter().copied().collect();
        assert!(uses.is_subset(&may), "{name} imports {uses:?}, may import {may:?}");
    }
}

#[test]
fn pure_crates_do_no_io_and_outside_crates_keep_to_their_rooms() {
    let metadata = metadata();
    let packages = ours(&metadata);
    assert!(normal_dependencies(packages["reckon"]).is_empty(), "reckon depends on nothing");
    assert_eq!(normal_dependencies(packages["reckon-c"]), BTreeSet::from(["reckon"]));
    assert_eq!(normal_dependencies(packages["federation"]), BTreeSet::from(["sha2", "thiserror"]));
    let only: [(&str, &[&str]); 7] = [
        ("sqlx", &["coordinator"]),
        ("axum", &["coordinator"]),
        ("prost", &["proto"]),
        ("ed25519-dalek", &["agent", "coordinator"]),
        ("miniz_oxide", &["interchange"]),
        ("turmoil", &[]),
        ("serde", &["coordinator", "muster", "simulator"]),
    ];
    for (outside, rooms) in only {
        for (name, package) in &packages {
            let used = normal_dependencies(package).contains(outside);
            assert!(!used || rooms.contains(name), "{outside} belongs in {rooms:?}, not in {name}");
        }
    }
    for name in ["reckon", "reckon-c"] {
        let lib = root().join("services").join(name).join("src/lib.rs");
        let lib = fs::read_to_string(lib).expect("it has a lib.rs");
        assert!(lib.contains("#![no_std]"), "{name} is no_std");
    }
}

#[test]
fn unsafe_code_stands_in_its_rooms_alone() {
    let rooms =
        ["services/reckon/src/isa", "services/reckon/src/kernels/", "services/reckon-c/src/"];
    for dir in ["proto", "services", "simulator"] {
        for (path, text) in sources(dir) {
            let home = rooms.iter().any(|room| path.to_string_lossy().starts_with(room));
            let used = code(&text).contains("unsafe {") || code(&text).contains("#[unsafe(");
            assert!(home || is_test(&path) || !used, "{} has unsafe code", path.display());
        }
    }
}

#[test]
fn sql_stands_in_the_store_alone() {
    let words =
        ["sqlx", "SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "CREATE TABLE", "PRAGMA "];
    for dir in ["proto", "services", "simulator"] {
        for (path, text) in sources(dir) {
            let home = path.starts_with("services/coordinator/src/store");
            for word in words {
                assert!(
                    home || is_test(&path) || !code(&text).contains(word),
                    "{} says `{word}`",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn transport_types_stop_at_the_doors() {
    let doors = [
        (
            "tonic::",
            &[
                "proto/",
                "services/coordinator/src/grpc/",
                "services/coordinator/src/server",
                "services/agent/src/uplink",
            ][..],
        ),
        ("axum::", &["services/coordinator/src/http/", "services/coordinator/src/server"]),
        (
            "proto::v1",
            &[
                "proto/",
                "services/coordinator/src/grpc/",
                "services/coordinator/src/server",
                "services/agent/src/uplink",
            ],
        ),
    ];
    for dir in ["proto", "services", "simulator"] {
        for (path, text) in sources(dir) {
            for (word, allowed) in doors {
                let home = allowed.iter().any(|door| path.to_string_lossy().starts_with(door));
                assert!(
                    home || is_test(&path) || !code(&text).contains(word),
                    "{} uses {word}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn only_one_module_of_muster_prints() {
    for dir in ["proto/src", "services", "simulator/src"] {
        for (path, text) in sources(dir) {
            let prints = ["println!(", "print!(", "eprintln!(", "eprint!("]
                .iter()
                .any(|word| code(&text).contains(word));
            // A build script prints to cargo.
            let home =
                path == Path::new("services/muster/src/print.rs") || path.ends_with("build.rs");
            assert!(home || is_test(&path) || !prints, "{} prints", path.display());
        }
    }
}

#[test]
fn every_crate_keeps_the_workspace_lints() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path).expect("a manifest is text");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} opts out of the workspace lints",
            package.name
        );
    }
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    for dir in ["proto", "services", "simulator", "tests/it", "tests/sim"] {
        for (path, text) in sources(dir) {
            assert!(
                text.starts_with("//!"),
                "{} does not begin with what it is for",
                path.display()
            );
            let lines = text.lines().count();
            assert!(
                lines <= 500 || is_test(&path),
                "{} has {lines} lines, more than 500",
                path.display()
            );
        }
    }
}

#[test]
fn one_library_encrypts() {
    let metadata = metadata();
    let others =
        ["aws-lc-rs", "aws-lc-sys", "boring", "native-tls", "openssl", "openssl-sys", "schannel"];
    for package in &metadata.packages {
        assert!(!others.contains(&package.name.as_str()), "{} beside ring", package.name);
    }
    let versions =
        |name: &str| metadata.packages.iter().filter(|package| package.name == name).count();
    assert_eq!((versions("rustls"), versions("ring")), (1, 1));
    // A provider for the whole process would be chosen by whoever comes first.
    for dir in ["proto", "services", "simulator", "tests"] {
        for (path, text) in sources(dir) {
            let word = concat!("install", "_default");
            assert!(!text.contains(word), "{} says `{word}`", path.display());
        }
    }
}

#[test]
fn merged_migrations_are_never_edited() {
    let dir = root().join("migrations/sqlite");
    let list =
        fs::read_to_string(root().join("migrations/SHA256SUMS")).expect("migrations/SHA256SUMS");
    let known: BTreeMap<_, _> = list
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, file)| (file, sum))
        .collect();
    let mut seen = 0;
    for entry in fs::read_dir(&dir).expect("migrations/sqlite") {
        let path = entry.expect("a directory entry").path();
        let file = format!("sqlite/{}", path.file_name().unwrap_or_default().to_string_lossy());
        let sum = federation::Digest::of(&fs::read(&path).expect("a migration")).to_string();
        assert_eq!(
            known.get(file.as_str()),
            Some(&sum.as_str()),
            "{file}: add a migration, never edit one"
        );
        seen += 1;
    }
    assert_eq!(seen, known.len(), "SHA256SUMS lists a migration that is gone");
}

#[test]
fn licences_are_ones_we_know() {
    let known = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "Unlicense",
        "0BSD",
        "CC0-1.0",
        "BSL-1.0",
        "MIT-0",
        "Apache-2.0 WITH LLVM-exception",
    ];
    // Tools of the tests, in nothing that is built for users.
    let tools = [("cbindgen", "MPL-2.0")];
    for package in &metadata().packages {
        let licence = package.license.clone().unwrap_or_default().replace('/', " OR ");
        // Every part of an AND must be known; of an OR, one suffices.
        let fine = licence.split(" AND ").all(|part| {
            part.trim_matches(['(', ')'])
                .split(" OR ")
                .any(|name| known.contains(&name.trim_matches(['(', ')', ' '])))
        });
        let fine = fine || tools.contains(&(package.name.as_str(), licence.as_str()));
        assert!(fine, "{} {}: licence `{licence}`", package.name, package.version);
    }
}
