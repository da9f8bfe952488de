//! Strategies through the store: what is kept, what is folded, and that the version is the arithmetic of both.

use federation::aggregate::{Master, Sum, advance, median, publish, trimmed_mean};
use federation::{
    Artifact, Digest, NodeId, Plan, RefusalCode, Settled, Strategy, TrainOrder, Weighting,
};

use crate::audit::Replay;
use crate::commit::Uncounted;
use crate::store::{Contribution, ContributionKey, RunState};
use crate::testing::{WEIGHTS, World, artifact, fleet, plan, update};

const DELTAS: [i8; 5] = [3, -2, 120, 5, 4];

fn with(strategy: Strategy, goal: u32, rounds: u32) -> Plan {
    Plan { strategy, ..plan(goal, rounds) }
}

/// Computes every version again from the file.
async fn replay(world: &World) -> Replay {
    let replayed = crate::audit::replay(&world.file(), None).await.unwrap();
    assert_eq!(replayed.exit_code(), 0, "{replayed:?}");
    replayed
}

/// Lets the nodes answer the round they have orders for, each with its delta.
async fn answer(world: &mut World, nodes: &[NodeId], deltas: &[i8]) {
    for (node, &delta) in nodes.iter().zip(deltas) {
        let order = world.order(node).await;
        push(world, node, &order, delta).await.unwrap();
    }
    world.tick().await;
}

async fn push(
    world: &World,
    node: &NodeId,
    order: &TrainOrder,
    delta: i8,
) -> federation::Answer<federation::Receipt> {
    let (candidate, payload) = update(order, node, delta);
    world.push(&candidate, &payload).await
}

/// The version that `master` makes when it is moved by `sum`, and the digests of sum and optimiser.
fn next(strategy: Strategy, master: &mut Master, sum: &Sum) -> (Artifact, Digest, Digest) {
    let base = artifact(WEIGHTS);
    advance(strategy, master, sum, base.layout());
    let version = base.with_weights(publish(master, base.layout())).unwrap();
    (version, Digest::of(&sum.encode()), Digest::of(&master.encode()))
}

#[tokio::test]
async fn robust_strategies_keep_vectors_until_the_round_is_published() {
    let rows: Vec<Vec<i8>> = DELTAS.iter().map(|&delta| vec![delta; 4]).collect();
    let rows: Vec<&[i8]> = rows.iter().map(Vec::as_slice).collect();
    let rate = 1.0;
    let cases = [
        (Strategy::Median { server_learning_rate: rate }, median(&rows)),
        (
            Strategy::TrimmedMean { server_learning_rate: rate, trim_permille: 200 },
            trimmed_mean(&rows, 200),
        ),
    ];
    for (strategy, sum) in cases {
        let mut world = World::new().await;
        let nodes = fleet(&world, &["a", "b", "c", "d", "e"]).await;
        world.run("m", with(strategy, 5, 1)).await;
        world.tick().await;
        answer(&mut world, &nodes[..4], &DELTAS[..4]).await;
        assert_eq!(world.count_rows("vectors").await, 4);
        let mut world = world.reopened(0, 0).await;
        world.tick().await;
        answer(&mut world, &nodes[4..], &DELTAS[4..]).await;
        let mut master = Master::of(artifact(WEIGHTS).weights());
        let (expected, sum_digest, optimizer) = next(strategy, &mut master, &sum);
        let version = &world.versions("m").await[1];
        assert_eq!(version.digest, Digest::of(&expected.encode()), "{strategy:?}");
        assert_eq!(version.sum_digest, Some(sum_digest), "the aggregate is the stored sum");
        assert_eq!(version.optimizer_digest, Some(optimizer));
        assert_eq!(world.count_rows("vectors").await, 0, "and the vectors are gone");
        let replayed = replay(&world).await;
        assert!(replayed.versions[1].vectors_gone, "and replay says so");
    }
}

#[tokio::test]
async fn an_abandoned_round_forgets_its_vectors() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c"]).await;
    let mut robust = with(Strategy::Median { server_learning_rate: 1.0 }, 3, 1);
    robust.cohort.attempts_max = 1;
    let run = world.run("m", robust).await;
    world.tick().await;
    answer(&mut world, &nodes[..1], &[1]).await;
    assert_eq!(world.count_rows("vectors").await, 1);
    world.serve(11_000).await;
    assert_eq!(world.find_run(&run).await.state, RunState::Failed);
    assert_eq!(world.count_rows("vectors").await, 0);
}

#[tokio::test]
async fn optimisers_carry_their_state_from_round_to_round_and_over_a_restart() {
    let weighting = Weighting::Samples;
    let strategies = [
        Strategy::FedAvgM { server_learning_rate: 1.0, weighting, momentum: 0.9 },
        Strategy::FedAdam {
            server_learning_rate: 1.0,
            weighting,
            beta1: 0.9,
            beta2: 0.99,
            tau: 0.001,
        },
    ];
    for strategy in strategies {
        let mut world = World::new().await;
        let nodes = fleet(&world, &["a", "b"]).await;
        world.run("m", with(strategy, 2, 3)).await;
        let mut master = Master::of(artifact(WEIGHTS).weights());
        for number in 1..=3 {
            world.tick().await;
            answer(&mut world, &nodes, &[4, 7]).await;
            let mut sum = Sum::new(4);
            sum.fold(&[4; 4], 10);
            sum.fold(&[7; 4], 10);
            let (expected, _, optimizer) = next(strategy, &mut master, &sum);
            let version = &world.versions("m").await[number];
            assert_eq!(version.digest, Digest::of(&expected.encode()), "{strategy:?} {number}");
            assert_eq!(version.optimizer_digest, Some(optimizer), "{strategy:?} {number}");
            world = world.reopened(0, 0).await;
            for node in &nodes {
                world.ask(node).await;
            }
        }
        assert_eq!(replay(&world).await.versions.len(), 4);
    }
}

fn buffered(staleness_max: u32) -> Plan {
    let strategy =
        Strategy::FedBuff { server_learning_rate: 1.0, weighting: Weighting::Equal, staleness_max };
    let mut plan = with(strategy, 2, 3);
    plan.cohort.over_selection_permille = 1_500;
    plan
}

#[tokio::test]
async fn a_late_update_counts_in_the_open_round_and_weighs_less() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c"]).await;
    world.run("m", buffered(5)).await;
    world.tick().await;
    let slow = world.order(&nodes[2]).await;
    answer(&mut world, &nodes[..2], &[10, 10]).await;
    assert_eq!(world.versions("m").await.len(), 2);

    let receipt = push(&world, &nodes[2], &slow, 100).await.unwrap();
    assert_eq!(receipt.round, slow.round, "a receipt names the round of the order");
    assert_eq!(world.fate(&nodes[2], slow.round).await, Settled::Open);
    assert_eq!(push(&world, &nodes[2], &slow, 100).await.unwrap(), receipt, "and is had again");
    let conflict = push(&world, &nodes[2], &slow, 99).await.unwrap_err();
    assert_eq!(conflict.code, RefusalCode::UpdateConflict);
    answer(&mut world, &nodes[..1], &[10]).await;

    let strategy = buffered(5).strategy;
    let mut sum = Sum::new(4);
    let weight = |staleness| strategy.weight(10, staleness).unwrap();
    sum.fold_all(&[(&[100; 4], weight(1)), (&[10; 4], weight(0))]);
    let versions = world.versions("m").await;
    assert_eq!(versions[2].sum_digest, Some(Digest::of(&sum.encode())));
    assert_eq!(versions[2].made_by.unwrap().2.updates, 2);
    assert_eq!(world.fate(&nodes[2], slow.round).await, Settled::Published);
    replay(&world).await;
}

#[tokio::test]
async fn a_late_contribution_is_shown_in_the_round_that_counted_it() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c"]).await;
    let run = world.run("m", buffered(5)).await;
    world.tick().await;
    let slow = world.order(&nodes[2]).await;
    answer(&mut world, &nodes[..2], &[1, 1]).await;
    push(&world, &nodes[2], &slow, 1).await.unwrap();
    answer(&mut world, &nodes[..1], &[1]).await;
    let store = &world.core.store;
    let page = async |number, after, limit| {
        store.round_contributions(run.id, number, after, limit).await.unwrap().unwrap()
    };
    let place = |one: &Contribution| (one.node.to_string(), one.ordered.number, one.counted.number);
    let told = async |number| {
        page(number, ContributionKey::default(), 10).await.iter().map(place).collect::<Vec<_>>()
    };
    let expected = |list: &[(&str, u32, u32)]| -> Vec<_> {
        list.iter().map(|&(node, ordered, counted)| (node.to_owned(), ordered, counted)).collect()
    };
    assert_eq!(told(1).await, expected(&[("a", 1, 1), ("b", 1, 1)]));
    assert_eq!(told(2).await, expected(&[("a", 2, 2), ("c", 1, 2)]));
    let mut one_by_one = Vec::new();
    let mut after = ContributionKey::default();
    while let [one] = &page(2, after.clone(), 1).await[..] {
        after = one.key.cursor().parse().unwrap();
        assert_eq!(after, one.key);
        one_by_one.push(place(one));
    }
    assert_eq!(one_by_one, told(2).await);
    let of_node = store.node_contributions(nodes[2].clone(), 0, 10).await.unwrap().unwrap();
    assert_eq!(of_node.iter().map(place).collect::<Vec<_>>(), expected(&[("c", 1, 2)]));
    let next = store.node_contributions(nodes[2].clone(), of_node[0].key.ordered(), 10).await;
    assert_eq!(next.unwrap().unwrap(), []);
    for none in ["", "1", "1.2", "x.1.a", "1.x.a"] {
        assert!(none.parse::<ContributionKey>().is_err(), "{none}");
    }
}

#[tokio::test]
async fn an_update_that_is_too_stale_is_refused_and_one_between_two_buffers_waits() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c"]).await;
    let run = world.run("m", buffered(0)).await;
    world.tick().await;
    let slow = world.order(&nodes[2]).await;
    for node in &nodes[..2] {
        let order = world.order(node).await;
        push(&world, node, &order, 1).await.unwrap();
    }
    // The buffer is full and no tick has emptied it: the update is neither late nor lost.
    let (candidate, payload) = update(&slow, &nodes[2], 1);
    let waits = world.try_count(&candidate, &payload).await;
    assert!(matches!(waits, Err(Uncounted::Busy)), "{waits:?}");
    world.tick().await;
    let stale = push(&world, &nodes[2], &slow, 1).await.unwrap_err();
    assert_eq!(stale.code, RefusalCode::UpdateStale);
    for _ in 0..2 {
        answer(&mut world, &nodes[..2], &[1, 1]).await;
    }
    assert_eq!(world.find_run(&run).await.state, RunState::Completed);
    let over = push(&world, &nodes[2], &slow, 1).await.unwrap_err();
    assert_eq!(over.code, RefusalCode::RoundClosed);
}
