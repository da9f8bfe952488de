//! The table of shapes and bytes in the crate's documentation, what must fit where, and networks in place.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::mem::MaybeUninit;

use reckon::{Isa, Memory, Network, Pair, Params, Shape};

/// A row of the table: the shape, then weights, words, network, together.
fn read(row: &str) -> (Shape, [usize; 4]) {
    let mut cells = row.trim_matches('|').split('|').map(str::trim);
    let counts: Vec<u16> =
        cells.next().unwrap().split('-').map(|count| count.parse().unwrap()).collect();
    let shape = Shape { inputs: counts[0], recurrent: counts[1], outputs: counts[2] };
    let bytes: Vec<usize> = cells.map(|cell| cell.parse().unwrap()).collect();
    (shape, bytes.try_into().unwrap())
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_table_in_the_documentation_is_true() {
    let rows: Vec<_> = include_str!("../src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .filter(|line| line.starts_with("| ") && line.contains("-1"))
        .map(read)
        .collect();
    assert_eq!(rows.len(), 3);
    for (shape, stated) in rows {
        let len = Network::memory_len(shape);
        let network = size_of::<Network<'_>>();
        let words = len.words * 2;
        assert_eq!(len.bytes(), len.weights + words);
        assert_eq!(stated, [len.weights, words, network, len.bytes() + network], "{shape:?}");
    }
}

#[test]
fn networks_fit_small_machines() {
    let bytes = |inputs, recurrent, outputs| {
        Network::memory_len(Shape { inputs, recurrent, outputs }).bytes() + size_of::<Network<'_>>()
    };
    assert!(bytes(40, 100, 2) < 64 << 10);
    assert!(bytes(256, 256, 16) < 256 << 10);
}

#[test]
fn a_network_made_in_place_is_the_one_that_is_returned() {
    let registers = [("SPI_NUM_INP_NEUR", 39), ("SPI_NUM_REC_NEUR", 99), ("SPI_DO_EPROP", 0)];
    let pairs = [3, 70].map(|pair| Pair { pair, alpha12: 4079, threshold: 60 });
    let params = Params::parse(registers, pairs).unwrap();
    let len = Network::memory_len(params.shape());
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        // What memory holds before does not matter; where it lies is the same for both.
        let (mut weights, mut words) = (vec![-1; len.weights], vec![-1; len.words]);
        let memory = Memory { weights: &mut weights, words: &mut words };
        let returned = Network::new(&params, memory).unwrap().with_isa(isa).unwrap();
        let returned = format!("{returned:?}");
        let memory = Memory { weights: &mut weights, words: &mut words };
        let mut place = MaybeUninit::uninit();
        let placed = Network::place(&mut place, &params, memory).unwrap();
        placed.set_isa(isa).unwrap();
        assert_eq!(format!("{placed:?}"), returned, "{isa}");
    }
    let memory = Memory { weights: &mut [], words: &mut [] };
    let refused = Network::place(&mut MaybeUninit::uninit(), &params, memory).unwrap_err();
    assert_eq!((refused.slice, refused.got), ("weights", 0));
}
