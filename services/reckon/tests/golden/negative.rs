//! The harness must fail: one wrong bit in each kind of file, and it names the place.

use std::fs;
use std::path::{Path, PathBuf};

use reckon::Isa;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::failure::{Failure, Mismatch, Place};
use crate::replay::{Score, check_case};
use crate::shipped;

/// A case of 4 samples with details, learning, messages at every step and 3 outputs: 3 phases, NN =
/// NR = 24, COLS = 32.
const CASE: &str = "a04_regression_per_step_output";

/// A fresh copy of [`CASE`] under the name `test`.
fn copy(test: &str) -> PathBuf {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden").join(test);
    if to.exists() {
        fs::remove_dir_all(&to).unwrap();
    }
    fs::create_dir_all(&to).unwrap();
    for file in fs::read_dir(shipped().join(CASE)).unwrap().map(|entry| entry.unwrap().path()) {
        fs::write(to.join(file.file_name().unwrap()), fs::read(&file).unwrap()).unwrap();
    }
    to
}

fn check(dir: &Path) -> Result<Vec<Score>, Failure> {
    check_case(dir, Isa::detect())
}

/// Rewrites `file` of the case in `dir`.
fn edit(dir: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.join(file);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Where and in what the case in `dir` differs.
fn difference(dir: &Path) -> (Place, &'static str, String, Option<usize>) {
    let failure = check(dir).expect_err("the harness lets a wrong bit pass");
    match failure {
        Failure::Differs(mismatch) => {
            let Mismatch { place, file, field, index, expected, got } = *mismatch;
            assert_ne!(expected, got);
            (place, file, field, index)
        }
        Failure::Unreadable { .. } => panic!("{failure}"),
    }
}

/// Flips bit `bit` of byte `at` of `file`, and expects the harness to name this place.
fn check_flip(
    file: &'static str,
    at: usize,
    bit: u32,
    at_place: (&str, Option<usize>, Option<u32>),
    field: &str,
    index: usize,
) {
    let test = format!("{file}_{at}_{bit}");
    let dir = copy(&test);
    edit(&dir, file, |bytes| bytes[at] ^= 1 << bit);
    let (phase, sample, tick) = at_place;
    let place = Place { case: test, phase: Some(phase.to_owned()), sample, tick };
    assert_eq!(difference(&dir), (place, file, field.to_owned(), Some(index)));
}

#[test]
fn an_untouched_copy_passes() {
    check(&copy("untouched")).unwrap();
}

#[test]
fn a_wrong_bit_in_a_binary_file_is_named() {
    let (ticks, slots, outputs) = (70, 24, 3);
    // Sample 1, tick 5.
    check_flip("spikes.bin", (ticks + 5) * 3 + 2, 7, ("train1", Some(1), Some(5)), "z", 2);
    check_flip(
        "out_u.bin",
        ((ticks + 5) * outputs + 1) * 2,
        0,
        ("train1", Some(1), Some(5)),
        "v",
        1,
    );
    // The second phase starts with sample 0 again.
    check_flip(
        "out_u.bin",
        (4 * ticks * outputs + 2) * 2 + 1,
        7,
        ("train2", Some(0), Some(0)),
        "v",
        2,
    );
    let record = 16 * slots + 2 * outputs + 52;
    let tick_5 = ("train1", Some(0), Some(5));
    check_flip("detail.bin", 5 * record + 7 * 2, 3, tick_5, "u after STEP", 7);
    check_flip("detail.bin", 5 * record + (slots + 23) * 2, 0, tick_5, "tI after STEP", 23);
    check_flip("detail.bin", 5 * record + (6 * slots) * 2 + 1, 3, tick_5, "tR after PROP", 0);
    check_flip("detail.bin", 5 * record + (7 * slots + 4) * 2, 1, tick_5, "tO after PROP", 4);
    check_flip("detail.bin", 5 * record + (8 * slots + 1) * 2, 1, tick_5, "v after PROP", 1);
    check_flip(
        "detail.bin",
        5 * record + (8 * slots + outputs) * 2 + 12 * 4,
        0,
        tick_5,
        "noise",
        0,
    );
    let pass = 36 + 5 * 32;
    let tick_4 = ("train1", Some(0), Some(4));
    check_flip("eprop.bin", 3 * pass, 5, tick_4, "tick", 0);
    check_flip("eprop.bin", 3 * pass + 4 + 2 * 2, 0, tick_4, "err", 2);
    check_flip("eprop.bin", 3 * pass + 36 + 9 * 2, 0, tick_4, "L", 9);
    check_flip("eprop.bin", 3 * pass + 36 + 64 + 31, 0, tick_4, "h", 31);
    check_flip("eprop.bin", 3 * pass + 36 + 96 + 5 * 2, 0, tick_4, "g", 5);
    let dump = (16 + 24) * 32 + 24 * 16;
    check_flip("weights.bin", dump + 100, 0, ("train1", Some(1), None), "WI", 100);
    check_flip("weights.bin", dump + 16 * 32 + 9, 7, ("train1", Some(1), None), "WR", 9);
    check_flip("weights.bin", dump + 40 * 32 + 16, 0, ("train1", Some(1), None), "WO", 16);
}

/// Replaces one cell in row `row` (from 0, under the header) of `file`, and expects the harness to
/// name this place.
fn check_cell(
    file: &'static str,
    row: usize,
    column: usize,
    at_place: (&str, Option<usize>, Option<u32>),
    field: &str,
) {
    let test = format!("{file}_{row}_{column}");
    let dir = copy(&test);
    edit(&dir, file, |bytes| {
        let mut lines: Vec<String> =
            str::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
        let mut cells: Vec<String> = lines[row + 1].split(',').map(str::to_owned).collect();
        // One bit of the last digit.
        let mut digits = cells[column].clone().into_bytes();
        *digits.last_mut().unwrap() ^= 1;
        cells[column] = String::from_utf8(digits).unwrap();
        lines[row + 1] = cells.join(",");
        *bytes = format!("{}\n", lines.join("\n")).into_bytes();
    });
    let (phase, sample, tick) = at_place;
    let place = Place { case: test, phase: Some(phase.to_owned()), sample, tick };
    assert_eq!(difference(&dir), (place, file, field.to_owned(), None));
}

#[test]
fn a_wrong_bit_in_a_table_is_named() {
    let train2 = ("train2", Some(1), None);
    check_cell("results.csv", 5, 5, train2, "inferred");
    check_cell("results.csv", 5, 6, train2, "cnt0");
    check_cell("results.csv", 5, 10, train2, "cycles_step");
    check_cell("results.csv", 5, 11, train2, "cycles_sdone");
    check_cell("results.csv", 5, 12, train2, "cycles_prop_active");
    check_cell("results.csv", 5, 13, train2, "cycles_eprop");
    check_cell("lfsr_after_sample.csv", 5, 2, train2, "winp");
    check_cell("lfsr_after_sample.csv", 5, 14, train2, "noise");
    check_cell("weights_index.csv", 5, 3, train2, "samples_done_in_phase");
    check_cell("accuracy.csv", 1, 2, ("train2", None, None), "correct");
    // 69 messages a sample.
    check_cell("out_bus.csv", 5 * 69 + 3, 3, ("train2", Some(1), Some(4)), "bytes");
}

#[test]
fn a_wrong_bit_in_a_compressed_file_is_named() {
    let dir = copy("compressed");
    for file in ["out_u.bin", "detail.bin", "samples.txt"] {
        let bytes = fs::read(dir.join(file)).unwrap();
        fs::remove_file(dir.join(file)).unwrap();
        let packed = compress_to_vec(bytes.as_slice(), CompressionLevel::Fastest);
        fs::write(dir.join(format!("{file}.zst")), packed).unwrap();
    }
    check(&dir).unwrap();

    let mut bytes = fs::read(shipped().join(CASE).join("out_u.bin")).unwrap();
    bytes[30] ^= 4;
    let packed = compress_to_vec(bytes.as_slice(), CompressionLevel::Fastest);
    fs::write(dir.join("out_u.bin.zst"), packed).unwrap();
    let (place, file, field, index) = difference(&dir);
    assert_eq!((place.tick, file, field.as_str(), index), (Some(5), "out_u.bin", "v", Some(0)));

    edit(&dir, "out_u.bin.zst", |bytes| bytes.truncate(40));
    assert!(
        matches!(check(&dir), Err(Failure::Unreadable { file, .. }) if file == "out_u.bin.zst")
    );
}

#[test]
fn a_file_that_ends_early_or_late_is_named() {
    for file in ["spikes.bin", "out_u.bin", "detail.bin", "eprop.bin", "weights.bin"] {
        let dir = copy(&format!("short_{file}"));
        edit(&dir, file, |bytes| bytes.truncate(bytes.len() - 1));
        let failure = check(&dir).unwrap_err().to_string();
        assert!(failure.contains(file) && failure.contains("expected end of file"), "{failure}");

        let dir = copy(&format!("long_{file}"));
        edit(&dir, file, |bytes| bytes.push(0));
        let failure = check(&dir).unwrap_err().to_string();
        assert!(failure.contains(file) && failure.contains("expected 1 more bytes"), "{failure}");
    }
    for file in
        ["results.csv", "lfsr_after_sample.csv", "out_bus.csv", "accuracy.csv", "weights_index.csv"]
    {
        let dir = copy(&format!("short_{file}"));
        edit(&dir, file, |bytes| {
            let rest = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap();
            bytes.truncate(rest + 1);
        });
        let failure = check(&dir).unwrap_err().to_string();
        assert!(failure.contains(file) && failure.contains("expected end of file"), "{failure}");

        let dir = copy(&format!("long_{file}"));
        edit(&dir, file, |bytes| bytes.extend(b"0,0\n"));
        let failure = check(&dir).unwrap_err().to_string();
        assert!(failure.contains(file) && failure.contains("no more rows"), "{failure}");
    }
}

/// Appends `line` to `file` of a fresh copy, and expects the failure to speak of `file` and to
/// contain `why`.
fn check_input(file: &str, change: impl FnOnce(&mut Vec<u8>), why: &str) {
    let dir = copy(&format!("input_{file}_{}", why.replace([' ', '`', ':'], "_")));
    edit(&dir, file, change);
    let failure = check(&dir).unwrap_err();
    assert!(
        matches!(&failure, Failure::Unreadable { file: named, .. } if named == file),
        "{failure}"
    );
    assert!(failure.to_string().contains(why), "{failure}");
}

#[test]
fn an_unusable_input_is_named() {
    check_input("config.txt", |text| text.extend(b"SPI_KAPPA\n"), "NAME VALUE");
    check_input("config.txt", |text| text.extend(b"SPI_NO_SUCH 1\n"), "SPI_NO_SUCH");
    check_input("config.txt", |text| text.extend(b"SPI_KAPPA 1\n"), "SPI_KAPPA: given twice");
    check_input("config.txt", |text| text.extend(b"SPI_EN_CONF 2\n"), "value 2 is outside 0..=1");
    check_input("neurons.csv", |text| text.extend(b"128,0,0\n"), "value 128 is outside 0..=127");
    check_input("neurons.csv", |text| text.clear(), "pair,alpha12,thr");
    check_input("w_rec_init.bin", |bytes| bytes.truncate(bytes.len() - 1), "767 bytes");
    check_input("samples.txt", |text| text.extend(b"e x 1\n"), "cannot read `e x 1`");
    check_input("schedule.txt", |text| text.extend(b"more 7 1 0 5 0 0 0\n"), "cannot read `more");
    let dir = copy("no_samples");
    fs::remove_file(dir.join("samples.txt")).unwrap();
    assert!(check(&dir).unwrap_err().to_string().contains("samples.txt: is not there"));
}

#[test]
fn expected_files_may_be_absent_but_not_all() {
    let dir = copy("absent");
    let results = [
        "results.csv",
        "lfsr_after_sample.csv",
        "out_bus.csv",
        "accuracy.csv",
        "weights_index.csv",
        "weights.bin",
        "spikes.bin",
        "detail.bin",
        "eprop.bin",
    ];
    for file in results {
        fs::remove_file(dir.join(file)).unwrap();
        check(&dir).unwrap();
    }
    fs::remove_file(dir.join("out_u.bin")).unwrap();
    assert!(check(&dir).unwrap_err().to_string().contains("no expected result"));
}
