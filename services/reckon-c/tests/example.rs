//! The example in C, compiled and run, against the same in Rust; and the header as C and as C++.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use reckon::{Event, Memory, Network, Pair, Params, Sample, SampleReport};
use support::{library, room, run, scratch, tool};

const STRICT: [&str; 5] = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"];
const SYSTEM: [&str; 3] = ["-lpthread", "-ldl", "-lm"];

#[test]
fn the_example_prints_what_rust_computes() {
    if !tool("cc", "the_example_prints_what_rust_computes") {
        return;
    }
    let program = scratch("example").join("learn");
    let mut cc = Command::new("cc");
    cc.args(STRICT).arg("-I").arg(room().join("include"));
    cc.arg(room().join("examples/learn.c")).arg(library()).args(SYSTEM);
    run(cc.arg("-o").arg(&program));
    let printed = run(&mut Command::new(program));
    assert_eq!(printed, the_example_in_rust());
    // It is an example of learning.
    let class = |line: &str| {
        let line = printed.lines().find(|found| found.starts_with(line)).expect("a line");
        line.split_once("class ").expect("a class").1.chars().next()
    };
    assert_ne!(class("before"), class("after"));
    assert_eq!(class("taught"), class("after"));
}

#[test]
fn the_device_learns_and_knows_after_its_next_start_what_it_learnt() {
    if !tool("cc", "the_device_learns_and_knows_after_its_next_start_what_it_learnt") {
        return;
    }
    let dir = scratch("device");
    let (program, flash) = (dir.join("device"), dir.join("weights.bin"));
    // An earlier run of this test may have left its own.
    let _ = fs::remove_file(&flash);
    let mut cc = Command::new("cc");
    cc.args(STRICT).arg("-I").arg(room().join("include"));
    cc.arg(room().join("../../deploy/examples/c/device.c")).arg(library()).args(SYSTEM);
    run(cc.arg("-o").arg(&program));
    let right = |printed: &str| -> Vec<u32> {
        let figures =
            printed.lines().filter_map(|line| line.split_once(": ")?.1.split_once(" of "));
        figures.map(|(right, _)| right.parse().expect("a count")).collect()
    };
    let first = run(Command::new(&program).arg(&flash));
    assert!(first.starts_with("weights to begin with\n"), "{first}");
    let learnt = right(&first);
    assert!(learnt[0] < 80 && learnt[3] > 95, "of a hundred each: {learnt:?}");
    let second = run(Command::new(&program).arg(&flash));
    assert!(second.starts_with("weights from flash\n"), "{second}");
    assert!(right(&second)[0] > 95, "{second}");
}

/// What `examples/learn.c` does, step by step, with `reckon`.
fn the_example_in_rust() -> String {
    let registers = [
        ("SPI_NUM_INP_NEUR", 7),
        ("SPI_NUM_REC_NEUR", 15),
        ("SPI_NUM_OUT_NEUR", 1),
        ("SPI_DO_EPROP", 0),
        ("SPI_RST_MODE", 1),
        ("SPI_FP_LOC_WINP", 3),
        ("SPI_FP_LOC_WREC", 3),
        ("SPI_FP_LOC_WOUT", 3),
        ("SPI_FP_LOC_TINP", 3),
        ("SPI_FP_LOC_TREC", 4),
        ("SPI_FP_LOC_TOUT", 6),
        ("SPI_LEARN_SIG_SCALE", 5),
        ("SPI_EN_STOCH_ROUND", 1),
        ("SPI_THR_H_0", 0),
        ("SPI_THR_H_1", 100),
        ("SPI_THR_H_2", 300),
        ("SPI_THR_H_3", 500),
        ("SPI_H_0", 0),
        ("SPI_H_1", 1),
        ("SPI_H_2", 2),
        ("SPI_H_3", 3),
        ("SPI_H_4", 4),
        ("SPI_LR_R_WINP", 0),
        ("SPI_LR_P_WINP", 8),
        ("SPI_LR_R_WREC", 0),
        ("SPI_LR_P_WREC", 8),
        ("SPI_LR_R_WOUT", 0),
        ("SPI_LR_P_WOUT", 10),
    ];
    let pairs = (0..8).map(|pair| Pair { pair, alpha12: 4000, threshold: 600 });
    let params = Params::parse(registers, pairs).expect("complete");
    let len = Network::memory_len(params.shape());
    let (mut weights, mut words) = (vec![0; len.weights], vec![0; len.words]);
    let memory = Memory { weights: &mut weights, words: &mut words };
    let mut network = Network::new(&params, memory).expect("as long as asked for");

    let mut state = 1_u32;
    let mut fill = |count: usize, limit: u32| -> Vec<i8> {
        let mut weight = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            i8::try_from(i64::from((state >> 16) % (2 * limit + 1)) - i64::from(limit))
        };
        (0..count).map(|_| weight().expect("a limit below 128")).collect()
    };
    let (mut inp, mut rec, mut out) = (fill(128, 100), fill(256, 20), fill(32, 60));
    network.load_weights(&inp, &rec, &out).expect("the lengths of 8-16-2");

    let address = |tick: u32| u8::try_from(tick * tick % 8).expect("below 8");
    let events: Vec<Event> = (0..100).map(|tick| Event { tick, address: address(tick) }).collect();
    let sample = |label| Sample {
        ticks: 100,
        events: &events,
        target_valid: 50..100,
        infer_acc: 50..100,
        label,
    };
    let mut text = String::new();
    let mut print = |when: &str, report: &SampleReport| {
        let SampleReport { label, votes: [zero, one, ..], spikes, .. } = report;
        writeln!(text, "{when}: class {label}, votes {zero} and {one}, {spikes} spikes")
            .expect("text");
    };

    let before = network.run(&sample(0));
    print("before", &before);
    let taught = u8::from(before.label == 0);
    network.set_register("SPI_DO_EPROP", 7).expect("a register");
    let drawn: u64 = (0..20).map(|_| network.run(&sample(taught)).weights_drawn).sum();
    network.set_register("SPI_DO_EPROP", 0).expect("a register");
    let after = network.run(&sample(taught));
    print("after", &after);
    let lesson = format!("taught: class {taught}, 20 times, {drawn} weights drawn\n");
    let second = text.find("after").expect("printed above");
    text.insert_str(second, &lesson);

    network.read_weights(&mut inp, &mut rec, &mut out).expect("the lengths of 8-16-2");
    let all = inp.iter().chain(&rec).chain(&out);
    let sum = all.fold(0, |sum: i64, &weight| (sum * 31 + i64::from(weight) + 128) % 1_000_003);
    writeln!(text, "weights: {sum}").expect("text");
    text
}

#[test]
fn the_header_is_cpp_too() {
    if !tool("c++", "the_header_is_cpp_too") {
        return;
    }
    let source = scratch("cpp").join("header.cpp");
    fs::write(&source, "#include \"reckon.h\"\nint main() { return reckon_abi() == 0; }\n")
        .expect("scratch");
    let program = source.with_extension("out");
    let mut cpp = Command::new("c++");
    cpp.args(["-Wall", "-Wextra", "-Werror", "-I"]).arg(room().join("include"));
    cpp.arg(source).arg(library()).args(SYSTEM).arg("-o").arg(&program);
    run(&mut cpp);
    run(&mut Command::new(program));
}

#[test]
fn the_memory_size_of_the_header_is_that_of_the_library() {
    if !tool("cc", "the_memory_size_of_the_header_is_that_of_the_library") {
        return;
    }
    let counts: [u32; 14] = [1, 2, 15, 16, 17, 31, 32, 33, 40, 100, 128, 250, 255, 256];
    let shapes = counts.iter().flat_map(|&inputs| counts.map(|recurrent| (inputs, recurrent)));
    let shapes: Vec<(u32, u32, u32)> = shapes
        .flat_map(|(inputs, recurrent)| [1, 2, 15, 16].map(|outputs| (inputs, recurrent, outputs)))
        .collect();
    let mut text = "#include <stdio.h>\n#include \"reckon.h\"\nint main(void) {\n".to_owned();
    let mut expected = String::new();
    for (inputs, recurrent, outputs) in &shapes {
        let shape = format!("{inputs}, {recurrent}, {outputs}");
        writeln!(text, "printf(\"%lu\\n\", (unsigned long)RECKON_MEMORY_SIZE({shape}));")
            .expect("text");
        let size = reckon_c::reckon_memory_size(*inputs, *recurrent, *outputs);
        writeln!(expected, "{size}").expect("text");
    }
    text.push_str("return 0; }\n");
    let source = scratch("size").join("size.c");
    fs::write(&source, text).expect("scratch");
    let program = source.with_extension("out");
    let mut cc = Command::new("cc");
    cc.args(STRICT).arg("-I").arg(room().join("include")).arg(source).arg("-o").arg(&program);
    run(&mut cc);
    assert_eq!(run(&mut Command::new(program)), expected);
    assert_eq!(expected.lines().count(), 14 * 14 * 4);
}
