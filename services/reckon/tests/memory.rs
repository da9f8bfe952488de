//! The table of shapes and bytes in the crate's documentation, and what must fit where.

#![expect(clippy::unwrap_used, reason = "test code")]

use reckon::{Network, Shape};

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
