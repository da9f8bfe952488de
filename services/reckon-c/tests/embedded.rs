//! `tests/embedded`: what the linker leaves of a firmware that trains one sample, what it needs, and what it computes.
//!
//! The image is linked without any library, so that its symbols are all there is. The same code, linked as an ordinary
//! program, runs here on a painted stack. Linux alone: other linkers take other words.
#![cfg(target_os = "linux")]

mod support;

#[path = "../../../tests/embedded/src/program.rs"]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "the firmware's constants are computed in constant functions, with small numbers"
)]
mod program;

use std::path::{Path, PathBuf};
use std::process::Command;

use program::{EMPTY, LARGE, Outcome, SMALL, digest, events, moved, params, sample, weights};
use reckon::{Event, Isa, Memory, Network, Shape};
use support::{room, run, say, scratch, tool};

/// The functions that a step goes through. Tables hold their addresses, so that no optimisation does without them.
const STEP: [&str; 6] = [
    "reckon::step::extend",
    "reckon::step::blocks",
    "reckon::prop::propagate",
    "reckon::eprop::signals",
    "reckon::update::change_outputs",
    "reckon::update::change_hidden",
];

/// Whether a symbol belongs to an allocator or to the formatting of text. `mangled` as it stands in the object file,
/// `name` as people read it.
fn is_unwanted(mangled: &str, name: &str) -> bool {
    mangled.contains("alloc")
        || name.contains("alloc")
        || ["4core3fmt", "core..fmt"].iter().any(|part| mangled.contains(part))
        || name.contains("core::fmt")
}

#[test]
fn unwanted_symbols_are_known_by_name() {
    for (mangled, name) in [
        ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
        ("_RNvMsa_NtCs1234_4core3fmtNtB5_9Formatter3pad", "<core[1]::fmt::Formatter>::pad"),
        ("_ZN42_$LT$i8$u20$as$u20$core..fmt..Debug$GT$3fmt17h0E", "<i8 as core::fmt::Debug>::fmt"),
        ("__rust_alloc", "__rust_alloc"),
        ("_ZN5alloc7raw_vec11finish_grow17h0123456789abcdefE", "alloc::raw_vec::finish_grow"),
        ("malloc", "malloc"),
    ] {
        assert!(is_unwanted(mangled, name), "{name}");
    }
    assert!(!is_unwanted("_ZN6reckon4step6blocks17h0123456789abcdefE", "reckon::step::blocks"));
    assert!(!is_unwanted("_RNvNtCs_4core9panicking9panic_fmt", "core::panicking::panic_fmt"));
}

struct Case {
    entry: &'static str,
    shape: Shape,
    inp: Vec<i8>,
    rec: Vec<i8>,
    out: Vec<i8>,
    events: Vec<Event>,
    /// RAM of the machine it must fit.
    ram: usize,
}

#[test]
fn a_firmware_trains_in_static_memory() {
    let test = "a_firmware_trains_in_static_memory";
    if !["cc", "nm", "size"].iter().all(|name| tool(name, test)) {
        return;
    }
    let library = build();
    let small = Case {
        entry: "train_40_100_2",
        shape: SMALL,
        inp: weights::<4000>(1, 60).to_vec(),
        rec: weights::<10_000>(2, 12).to_vec(),
        out: weights::<200>(3, 60).to_vec(),
        events: events::<240>(40).to_vec(),
        ram: 64 << 10,
    };
    let large = Case {
        entry: "train_256_256_16",
        shape: LARGE,
        inp: weights::<65_536>(4, 60).to_vec(),
        rec: weights::<65_536>(5, 8).to_vec(),
        out: weights::<4096>(6, 60).to_vec(),
        events: events::<600>(256).to_vec(),
        ram: 256 << 10,
    };
    for case in [small, large] {
        let expected = on_the_host(&case);
        assert!(expected.moved > 100, "the sample teaches something: {expected:?}");
        assert!(expected.votes.iter().sum::<u16>() > 0, "the sample is voted on: {expected:?}");
        let image = link_alone(&library, case.entry);
        check_symbols(&image, case.entry);
        let [text, data, bss] = sections(&image);
        let stack = run_hosted(&library, &case, &expected);
        // The events are constants here and stand in ROM; a sensor's would be in RAM.
        let events = size_of_val(&case.events[..]);
        let ram = data + bss + stack + events;
        say(&format!(
            "{}: {text} bytes of code and constants; RAM {ram}: static {}, stack {stack}, events {events}",
            case.entry,
            data + bss
        ));
        assert!(ram <= case.ram, "{}: {ram} bytes of RAM, {} are there", case.entry, case.ram);
    }
}

/// Builds the firmware's library.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let target = target.join("embedded");
    let manifest = room().join("../../tests/embedded/Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--offline", "--locked", "--quiet"]);
    run(cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(&target));
    target.join("release/libembedded.a")
}

fn c_source(name: &str) -> PathBuf {
    room().join("../../tests/embedded/c").join(name)
}

/// Links the entry point and what it needs, without any other library.
fn link_alone(library: &Path, entry: &str) -> PathBuf {
    let image = scratch("embedded").join(format!("{entry}.elf"));
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-builtin"]);
    cc.args(["-fno-tree-loop-distribute-patterns", "-ffunction-sections", "-nostdlib", "-static"]);
    cc.arg(format!("-Wl,--gc-sections,-e,{entry},-u,{entry}"));
    run(cc.arg(c_source("freestanding.c")).arg(library).arg("-o").arg(&image));
    image
}

fn check_symbols(image: &Path, entry: &str) {
    let listed = |options: &[&str]| -> Vec<String> {
        let symbols = run(Command::new("nm").args(options).arg(image));
        let name = |line: &str| line.get(19..).map(str::to_owned);
        symbols.lines().filter_map(name).collect()
    };
    let (mangled, names) = (listed(&["-p"]), listed(&["-p", "-C"]));
    assert_eq!(mangled.len(), names.len());
    for wanted in STEP.iter().chain([&entry]) {
        assert!(names.iter().any(|name| name == wanted), "{wanted} is missing: {names:#?}");
    }
    let unwanted = mangled.iter().zip(&names).filter(|(mangled, name)| is_unwanted(mangled, name));
    let unwanted: Vec<_> = unwanted.collect();
    assert!(unwanted.is_empty(), "{entry} holds {unwanted:#?}");
}

/// Bytes of code and constants, of initialised data, of zeroed data.
fn sections(image: &Path) -> [usize; 3] {
    let sizes = run(Command::new("size").arg(image));
    let row = sizes.lines().nth(1).expect("a row below the header");
    let mut cells = row.split_ascii_whitespace().map(|cell| cell.parse().expect("a number"));
    [(); 3].map(|()| cells.next().expect("text, data and bss"))
}

/// Runs the same code as a program, with vectors and without, and compares; returns the stack it took.
fn run_hosted(library: &Path, case: &Case, expected: &Outcome) -> usize {
    let program = scratch("embedded").join(case.entry);
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-std=gnu99", "-Wall", "-Wextra", "-Werror", "-Wl,--gc-sections"]);
    cc.arg(format!("-DTRAIN={}", case.entry)).arg(c_source("main.c")).arg(library);
    run(cc.arg("-lpthread").arg("-o").arg(&program));
    let mut deepest = 0;
    for arguments in [&[][..], &["portable"]] {
        let printed = run(Command::new(&program).args(arguments));
        let (outcome, stack) = printed.trim_end().rsplit_once("\nstack ").expect("its last line");
        assert_eq!(outcome, told(expected), "{} {arguments:?}", case.entry);
        deepest = deepest.max(stack.parse().expect("a number"));
    }
    assert!(deepest > 1000, "a sample takes some stack");
    deepest
}

/// An outcome as the program tells it.
fn told(outcome: &Outcome) -> String {
    let Outcome { digest, moved, votes, label } = outcome;
    let votes: String = votes.iter().map(|votes| format!(" {votes}")).collect();
    format!("code 0\nlabel {label}\nvotes{votes}\ndigest {digest:016x}\nmoved {moved}")
}

/// The sample on this machine, the same on every path it has.
fn on_the_host(case: &Case) -> Outcome {
    let available = Isa::ALL.into_iter().filter(|isa| isa.is_available());
    let outcomes: Vec<Outcome> = available.map(|isa| on_path(case, isa)).collect();
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{outcomes:?}");
    outcomes[0]
}

fn on_path(case: &Case, isa: Isa) -> Outcome {
    let params = params(case.shape).expect("complete");
    let len = Network::memory_len(case.shape);
    let (mut weights, mut words) = (vec![0; len.weights], vec![0; len.words]);
    let memory = Memory { weights: &mut weights, words: &mut words };
    let network = Network::new(&params, memory).expect("as long as asked for");
    let mut network = network.with_isa(isa).expect("an available one");
    let before = [&case.inp[..], &case.rec, &case.out];
    network.load_weights(before[0], before[1], before[2]).expect("the lengths of the shape");
    let done = network.run(&sample(&case.events));
    let mut outcome = Outcome { votes: done.votes, label: done.label, digest: EMPTY, moved: 0 };
    let columns = [case.shape.recurrent, case.shape.recurrent, case.shape.outputs].map(usize::from);
    for ((now, before), columns) in network.padded_weights().into_iter().zip(before).zip(columns) {
        outcome.digest = digest(outcome.digest, now);
        outcome.moved += moved(now, columns.div_ceil(16) * 16, before, columns);
    }
    outcome
}
