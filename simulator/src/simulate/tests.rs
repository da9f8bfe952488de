//! Each world that comes with the project is lived in for a few rounds, twice, and is the same both times.

use serde_json::Value;

use super::outcome::Outcome;
use super::shares::{Share, Shares};
use super::world::{SHIPPED, World};
use super::{Args, Mode, simulate};

async fn lived(args: &Args) -> Outcome {
    let (_, outcome) = simulate(args, std::future::pending()).await.expect("it can be simulated");
    assert!(outcome.failed.is_none(), "{:?}", outcome.failed);
    outcome
}

fn small(world: &str) -> Args {
    Args {
        nodes: 12,
        world: world.to_owned(),
        rounds: Some(3),
        samples: Some(1),
        test_samples: Some(4),
        json: true,
        ..Args::default()
    }
}

/// All of a report that a seed decides.
fn decided(outcome: &Outcome) -> Value {
    let data = &outcome.data;
    let versions: Vec<_> = data.versions.iter().map(|version| &version.digest).collect();
    let rounds = serde_json::to_value(&data.rounds).expect("it is data");
    serde_json::json!([versions, rounds, data.virtual_s])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_world_repeats() {
    for (name, _) in SHIPPED {
        let args = small(name);
        let (first, again) = (lived(&args).await, lived(&args).await);
        assert_eq!(decided(&first), decided(&again), "{name}");
        let data = &first.data;
        assert_eq!(data.versions.len(), 4, "{name}: {:?}", data.rounds);
        assert!(data.reproducible && !data.partial, "{name}");
        assert!(data.virtual_s.is_some_and(|seconds| seconds > 2.0), "{name}");
        let counted: u64 = data.participation.iter().map(|part| part.counted).sum();
        let updates: u64 = data.rounds.iter().map(|round| round.updates).sum();
        assert_eq!(counted, updates, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_and_faults_take_their_toll() {
    let calm = lived(&small("calm")).await.data;
    let lines = lived(&small("bad-lines")).await.data;
    let orders = |data: &crate::report::Data| -> u64 {
        data.participation.iter().filter_map(|part| part.orders).sum()
    };
    let counted = |data: &crate::report::Data| -> u64 {
        data.participation.iter().map(|part| part.counted).sum()
    };
    assert_eq!(orders(&calm), counted(&calm), "nobody is in vain");
    assert!(orders(&lines) > counted(&lines), "over-selection wastes some");
    assert!(lines.virtual_s > calm.virtual_s, "{:?} {:?}", lines.virtual_s, calm.virtual_s);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_of_a_part_of_the_fleet_repeats_over_sockets_and_in_memory() {
    let memory = Args { cohort: Some(5), ..small("calm") };
    let task = Args { mode: Mode::Task, fetch_each: true, ..memory.clone() };
    let (memory, task) = (lived(&memory).await, lived(&task).await);
    assert_eq!(decided(&memory), decided(&task));
    let bytes = |outcome: &Outcome| -> Vec<u64> {
        outcome.data.versions.iter().map(|version| version.bytes_down).collect()
    };
    assert_eq!(bytes(&memory), bytes(&task), "shared or not, each node's bytes are counted");
    assert!(memory.data.rounds.iter().all(|round| round.cohort == 5 && round.updates == 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_learned_where_nothing_should_be() {
    let args = Args { no_learning: true, ..small("calm") };
    let outcome = lived(&args).await;
    assert_eq!(outcome.figures.pushes, 36);
    assert!(outcome.figures.asks >= 36 + 12);
    assert!(outcome.data.versions.iter().all(|version| version.synaptic_ops == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_few_samples_claims_few() {
    let args = Args { samples: Some(10), ..small("hoarders") };
    let data = lived(&args).await.data;
    let world = World::open("hoarders").expect("it comes with the project");
    let task = crate::task::navigation(args.seed);
    let shares = Shares::deal(&task, &world.data, args.nodes, args.seed);
    let claims = |index: usize| match shares.of(index) {
        Share::Stream { .. } => 10,
        Share::Samples(all) => all.len().min(10) as u64,
    };
    let claimed: Vec<u64> = data.participation.iter().map(|part| part.samples).collect();
    assert_eq!(claimed, (0..12).map(|index| 3 * claims(index)).collect::<Vec<_>>());
    assert!(claimed.contains(&30) && claimed.iter().any(|&samples| samples < 30), "{claimed:?}");
}
