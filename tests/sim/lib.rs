//! Nothing: the simulation is this package's test. Run it with `cargo test -p sim`; CONTRIBUTING.md says how to replay
//! a seed, docs/adr/0013-simulation.md why it is as it is.
