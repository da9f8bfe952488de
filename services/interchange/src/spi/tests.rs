//! The words themselves, and what a replay refuses.

use super::*;
use crate::error::Place;
use crate::network::layout;

/// 3 inputs, 5 recurrent neurons, 2 outputs; a configuration not in the usual form, for its two spaces.
fn small() -> Artifact {
    let config = "SPI_NUM_INP_NEUR 2\nSPI_NUM_REC_NEUR 4\nSPI_NUM_OUT_NEUR 1\nSPI_DO_EPROP 0\nSPI_SEED_INP  5\n\n\
                  pair,alpha12,thr\n0,4079,614\n1,1,-2\n2,4095,32767\n";
    let shape = Shape { inputs: 3, recurrent: 5, outputs: 2 };
    let weights = (-25..25).collect();
    let layout = layout(shape, [(-128, 127), (-30, 30), (-128, 127)]).unwrap();
    Artifact::new("reckon/1", layout, config.into(), weights).unwrap()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).collect()
}

#[test]
fn the_words_are_those_of_the_bus() {
    let text = write(&small()).unwrap();
    let words: Vec<_> = lines(&text).into_iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(words[0], "00010000 00000001");
    assert_eq!(words[1], "0001005e 00000002", "SPI_NUM_INP_NEUR is register 94");
    assert_eq!(words[5], "00010055 00000005", "SPI_SEED_INP is register 85");
    assert_eq!(words[6], "00010001 00000000", "SPI_RO_STAGE_SEL has no reset value");
    assert!(!text.contains("SPI_KAPPA ="), "reset gives it a value");
    let expected = [
        // thr 614 = 0x266 in bits 115:100, alpha12 4079 = 0xFEF in bits 127:116.
        "10040000 00000000 00000000 00000000 fef02660",
        "10040004 00000000 00000000 00000000 001fffe0",
        "10040008 00000000 00000000 00000000 fff7fff0",
        // w_inp: 5 columns of 16; -25 is 0xe7, least significant byte first.
        "30040000 eae9e8e7 000000eb 00000000 00000000",
        "30040040 efeeedec 000000f0 00000000 00000000",
        "30040080 f4f3f2f1 000000f5 00000000 00000000",
        "40040000 f9f8f7f6 000000fa 00000000 00000000",
        "40040040 fefdfcfb 000000ff 00000000 00000000",
        "40040080 03020100 00000004 00000000 00000000",
        "400400c0 08070605 00000009 00000000 00000000",
        "40040100 0d0c0b0a 0000000e 00000000 00000000",
        // The second slot of the last pair is no neuron, and is visited.
        "40040140 00000000 00000000 00000000 00000000",
        "50040000 0000100f 00000000 00000000 00000000",
        "50040004 00001211 00000000 00000000 00000000",
        "50040008 00001413 00000000 00000000 00000000",
        "5004000c 00001615 00000000 00000000 00000000",
        "50040010 00001817 00000000 00000000 00000000",
        "50040014 00000000 00000000 00000000 00000000",
        "00010000 00000000",
    ];
    assert_eq!(words[words.len() - expected.len()..], expected);
}

#[test]
fn a_file_without_comments_is_the_same_network() {
    let artifact = small();
    let bare = lines(&write(&artifact).unwrap()).join("\n");
    let read = read(bare.as_bytes()).unwrap();
    assert_eq!(read.weights(), artifact.weights());
    let (network, expected) = (Network::read(&read).unwrap(), Network::read(&artifact).unwrap());
    assert!((0..128).all(|pair| network.params.pair(pair) == expected.params.pair(pair)));
    let known: Vec<_> = expected.params.registers().collect();
    assert!(!known.is_empty());
    for (name, value) in known {
        assert_eq!(network.params.get(name), Some(value), "{name}");
    }
    assert_eq!(network.ranges, [FULL; 3]);
}

#[track_caller]
fn refused(from: &str, to: &str, says: &str) {
    let text = write(&small()).unwrap();
    assert!(text.contains(from), "{from} is not there");
    let error = read(text.replacen(from, to, 1).as_bytes()).unwrap_err();
    assert!(error.to_string().contains(says), "wanted `{says}`, got `{error}`");
}

#[test]
fn what_is_wrong_is_named() {
    refused("0001005e", "8001005e", "line 19: expected a command that writes");
    refused("0001005e", "0001001c", "a register that the chip has, got `address 28`");
    refused("0001005e", "0002005e", "as many data words");
    refused("0001005e", "1005e", "line 19: expected a word of 8 hexadecimal digits, got `1005e`");
    refused("00010000 00000001", "00010000 00000000", "SPI_EN_CONF = 1 before");
    let late = "00010000 00000000\n00010055 00000005";
    refused("00010000 00000000", late, "before memories and seeds are written, got `SPI_SEED_INP`");
    refused("00010000 00000000", "", "SPI_EN_CONF = 0 at the end is missing");
    refused("10040000", "100401ff", "an address within the memory");
    refused("10040008", "1004000c", "the word of neuron pair 2 is missing");
    refused("30040040", "30040400", "the weight of w_inp from 1 to 0 (chunk 64) is missing");
    refused("50040010", "60040010", "code 0 to 5");
    refused("00010055 00000005", "00010055 00000006", "`#!`: SPI_SEED_INP is 5 here and 6 there");
    refused("fef02660", "fef02670", "neuron pair 0 is");
    refused("#! range w_rec -30", "#! range w_ink -30", "line 5: expected `range TENSOR");
    refused("#! range w_rec -30 30", "#! range w_rec -3 3", "outside its tensor's range");
}

#[test]
fn the_last_write_counts_and_extra_bits_are_cut() {
    let text = write(&small()).unwrap();
    let again = "00010055 fe000005\n40010142 ffffffff\n10010002 12345678\n00010000 00000000";
    let more = text.replacen("00010000 00000000", again, 1);
    assert_eq!(read(more.as_bytes()).unwrap(), small());
    let error = read(more.replacen("fe000005", "ff000005", 1).as_bytes()).unwrap_err();
    assert_eq!(error.place(), &Place::Key("#!".to_owned()));
}
