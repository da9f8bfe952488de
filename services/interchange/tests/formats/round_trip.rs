//! What goes out comes back, byte for byte, and what the words program is the same chip.

use std::fs;
use std::path::Path;

use federation::Artifact;
use interchange::{Format, export, import};
use proptest::prelude::*;
use reckon::{Memory, Network, Params};
use tasks::navigation::{Stream, chip, initial_weights};

use crate::models;

const BACK: [Format; 5] =
    [Format::Muster, Format::Spi, Format::Dat, Format::Npz, Format::Safetensors];

fn check(artifact: &Artifact, format: Format) {
    let back = import(&export(artifact, format).unwrap(), format)
        .unwrap_or_else(|error| panic!("{format}: {error}"));
    assert_eq!(back.encode(), artifact.encode(), "{format}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn networks_come_back(artifact in models::networks()) {
        for format in BACK {
            check(&artifact, format);
        }
    }

    #[test]
    fn any_model_comes_back_where_the_format_takes_it(artifact in models::generic()) {
        for format in [Format::Muster, Format::Npz, Format::Safetensors] {
            check(&artifact, format);
        }
    }
}

fn navigation() -> Artifact {
    let config = format!("{}\n{}", chip::config_text(), chip::neurons_text());
    let weights = initial_weights(3);
    let weights = [weights.input, weights.recurrent, weights.output].concat();
    let layout = models::network(&config, 0).layout().clone();
    Artifact::new("reckon/1", layout, config.into_bytes(), weights).unwrap()
}

/// Learns from one sample and returns all weights.
fn learned(artifact: &Artifact) -> (Params, Vec<i8>) {
    let config = std::str::from_utf8(artifact.config()).unwrap();
    let (registers, neurons) = config.split_once("\n\n").unwrap();
    let mut params = Params::parse_text(registers, neurons).unwrap();
    params.set("SPI_DO_EPROP", chip::DO_EPROP_TRAIN).unwrap();
    let len = Network::memory_len(params.shape());
    let (mut weights, mut words) = (vec![0; len.weights], vec![0; len.words]);
    let memory = Memory { weights: &mut weights, words: &mut words };
    let mut network = Network::new(&params, memory).unwrap();
    let (input, rest) = artifact.weights().split_at(4_000);
    let (recurrent, output) = rest.split_at(10_000);
    network.load_weights(input, recurrent, output).unwrap();
    network.run(&Stream::new(1).sample(0).as_sample());
    let (mut input, mut recurrent, mut output) = (vec![0; 4_000], vec![0; 10_000], vec![0; 200]);
    network.read_weights(&mut input, &mut recurrent, &mut output).unwrap();
    (params, [input, recurrent, output].concat())
}

#[test]
fn the_words_replayed_learn_the_same_weights() {
    let artifact = navigation();
    let words = interchange::spi::write(&artifact).unwrap();
    assert!(!words.contains("#! config"), "the usual form needs no more than its words");
    let bare: String =
        words.lines().map(|line| line.split('#').next().unwrap().to_owned() + "\n").collect();
    let replayed = interchange::spi::read(bare.as_bytes()).unwrap();
    assert_eq!(interchange::spi::read(words.as_bytes()).unwrap(), artifact);
    assert_eq!(replayed.weights(), artifact.weights());
    let ((params, weights), (replayed, again)) = (learned(&artifact), learned(&replayed));
    let omitted = |name: &str| name == "SPI_RO_STAGE_SEL";
    assert!(replayed.registers().filter(|(name, _)| !omitted(name)).eq(params.registers()));
    assert!((0..128).all(|pair| replayed.pair(pair) == params.pair(pair)));
    assert_eq!(again, weights);
    assert_ne!(weights, artifact.weights(), "it did learn");
}

#[test]
fn the_golden_networks_come_back() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/reckon");
    let mut seen = 0;
    for case in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(registers) = fs::read_to_string(case.join("config.txt")) else { continue };
        let neurons = fs::read_to_string(case.join("neurons.csv")).unwrap();
        let artifact = models::network(&format!("{registers}\n{neurons}"), 8);
        for format in BACK {
            check(&artifact, format);
        }
        seen += 1;
    }
    assert!(seen >= 20, "{seen} golden cases");
}
