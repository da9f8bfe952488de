//! The real agent and the real coordinator, its SQLite file included, in a simulated world: simulated network and time,
//! faults drawn from a seed, and an oracle at the end.

mod hosts;
mod log;
mod net;
mod oracle;
mod replay;
mod scenario;
mod world;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use replay::{Case, setting};
use scenario::Scenario;

/// The run that `SIM_SEED` and `SIM_SCENARIO` name. Every other test runs this one in processes of its own.
#[test]
fn one() {
    if let Err(wrong) = Case::named().run() {
        panic!("{wrong}");
    }
}

/// Each scenario by itself, so that what breaks has a name.
#[test]
fn every_scenario_holds() {
    let cases = Scenario::ALL.map(|(_, scenario)| Case { scenario, seed: 1 });
    all_hold(&cases);
}

/// The same seed, the same run, line by line.
#[test]
fn a_seed_repeats_in_another_process() {
    for seed in [1, 2, 3] {
        let case = Case { scenario: Scenario::Mixed, seed };
        let run = || case.run_apart().unwrap_or_else(|wrong| panic!("{wrong}"));
        let (first, second) = thread::scope(|scope| {
            let second = scope.spawn(run);
            (run(), second.join().expect("the other process"))
        });
        assert!(first.lines().count() > 100, "a run has more to tell:\n{first}");
        for (line, (a, b)) in first.lines().zip(second.lines()).enumerate() {
            assert_eq!(a, b, "seed {seed}, line {line}");
        }
        assert_eq!(first.lines().count(), second.lines().count(), "seed {seed}");
    }
}

/// Seeds that nobody has seen, everything going wrong at once: 25, and 1,000 with `MUSTER_LONG=1`.
#[test]
fn fresh_seeds_hold() {
    let count = if setting("MUSTER_LONG").is_some_and(|long| long == "1") { 1_000 } else { 25 };
    // The operating system's randomness, by way of the standard library.
    let base = RandomState::new().hash_one(0) >> 16;
    println!("{count} fresh seeds from {base}");
    let cases: Vec<Case> =
        (base..base + count).map(|seed| Case { scenario: Scenario::Mixed, seed }).collect();
    all_hold(&cases);
}

/// Runs all cases, a few at a time, and tells every one that fails.
fn all_hold(cases: &[Case]) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(case.run_apart().err());
        }
        wrong
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let wrong: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    assert!(wrong.is_empty(), "{} of {} failed\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}
