//! Rounds, tick by tick, with a clock that stands still until told.

mod lifecycle;
mod selection;
mod strategies;

use federation::aggregate::{Master, Sum, advance, publish};
use federation::round::RoundState;
use federation::{RefusalCode, Selector, Settled};

use crate::orders::Order;
use crate::store::{RunState, WhichRounds};
use crate::testing::{WEIGHTS, World, artifact, fleet, plan, reproducible, update};

#[tokio::test]
async fn the_goal_closes_a_round_and_the_version_is_the_arithmetic_of_its_updates() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c"]).await;
    let run = world.run("m", plan(3, 2)).await;
    assert_eq!(run.state, RunState::Waiting);
    world.tick().await;
    assert_eq!(world.find_run(&run).await.state, RunState::Running);

    let (first, second) = (world.order(&nodes[0]).await, world.order(&nodes[0]).await);
    assert_eq!(first, second, "asking again gets the same order");
    let mut sum = Sum::new(4);
    for (index, node) in nodes.iter().enumerate() {
        let order = world.order(node).await;
        let delta = i8::try_from(index).unwrap() * 3 - 2;
        let (candidate, payload) = update(&order, node, delta);
        sum.fold(&[delta; 4], candidate.samples);
        world.push(&candidate, &payload).await.unwrap();
        assert_eq!(world.fate(node, order.round).await, Settled::Open);
    }
    world.tick().await;

    let base = artifact(WEIGHTS);
    let mut master = Master::of(base.weights());
    advance(plan(3, 2).strategy, &mut master, &sum, base.layout());
    let expected = base.with_weights(publish(&master, base.layout())).unwrap();
    let versions = world.versions("m").await;
    assert_eq!(versions.len(), 2);
    let version = &versions[1];
    assert_eq!(version.digest, federation::Digest::of(&expected.encode()));
    assert_eq!(version.parent, Some((versions[0].number, versions[0].digest)));
    assert_eq!(version.optimizer_digest, Some(federation::Digest::of(&master.encode())));
    assert_eq!(version.sum_digest, Some(federation::Digest::of(&sum.encode())));
    let (made_by, number, totals) = version.made_by.unwrap();
    assert_eq!((made_by, number), (run.id, 1));
    assert_eq!((totals.updates, totals.samples, totals.correct), (3, 30, 15));
    assert_eq!((totals.synaptic_ops, totals.bytes_up, totals.bytes_down), (3_000, 12, 192));

    assert_eq!(world.fate(&nodes[0], first.round).await, Settled::Published);
    let next = world.order(&nodes[0]).await;
    assert_eq!((next.round.number, next.round.attempt), (2, 1));
    assert_eq!(next.base, version.digest);
    assert_ne!(next.seed, first.seed);
    world.answer(&nodes, |_| 1).await;
    world.tick().await;
    let run = world.find_run(&run).await;
    assert_eq!(
        (run.state, run.rounds_published, run.latest_version.0),
        (RunState::Completed, 2, 3)
    );
    assert!(run.ended_ms.is_some() && run.live.is_none());
    assert!(matches!(world.ask(&nodes[0]).await, Order::Idle(_)));
}

#[tokio::test]
async fn a_late_update_is_refused_and_a_repeated_one_gets_its_receipt() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c"]).await;
    let mut over = plan(2, 1);
    over.cohort.over_selection_permille = 1_500;
    world.run("m", over).await;
    world.tick().await;
    let orders =
        [world.order(&nodes[0]).await, world.order(&nodes[1]).await, world.order(&nodes[2]).await];
    let (first, payload) = update(&orders[0], &nodes[0], 1);
    let receipt = world.push(&first, &payload).await.unwrap();
    assert_eq!(world.push(&first, &payload).await.unwrap(), receipt);
    let (other, other_payload) = update(&orders[0], &nodes[0], 2);
    let refusal = world.push(&other, &other_payload).await.unwrap_err();
    assert_eq!(refusal.code, RefusalCode::UpdateConflict);
    let (second, second_payload) = update(&orders[1], &nodes[1], 1);
    world.push(&second, &second_payload).await.unwrap();

    // At the goal the round takes no more, before any tick.
    let (late, late_payload) = update(&orders[2], &nodes[2], 1);
    let refusal = world.push(&late, &late_payload).await.unwrap_err();
    assert_eq!(refusal.code, RefusalCode::RoundClosed);
    assert_eq!(world.count(&late, &late_payload).await.unwrap_err(), refusal);
    world.advance(5_000);
    world.tick().await;
    assert_eq!(world.versions("m").await[1].made_by.unwrap().2.updates, 2);
    assert_eq!(
        world.push(&first, &payload).await.unwrap(),
        receipt,
        "whatever became of the round"
    );
    assert_eq!(world.count(&first, &payload).await.unwrap(), receipt);
}

#[tokio::test]
async fn the_deadline_publishes_with_the_quorum_and_the_run_no_longer_repeats() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c", "d"]).await;
    let run = world.run("m", reproducible(&nodes, 2)).await;
    world.tick().await;
    world.answer(&nodes[..2], |_| 10).await;
    world.serve(9_999).await;
    assert_eq!(world.versions("m").await.len(), 1);
    world.serve(1).await;
    assert_eq!(world.versions("m").await.len(), 2);
    let rounds =
        world.core.store.rounds(run.id, WhichRounds::default(), 0, 10).await.unwrap().unwrap();
    assert!(rounds[0].at_deadline && rounds[0].state == RoundState::Published);
    let run = world.find_run(&run).await;
    assert!(!run.reproducible && run.state == RunState::Running);
    assert_eq!(run.plan.seed, 7, "the plan stays what it was");
}

#[tokio::test]
async fn without_the_quorum_a_round_is_abandoned_retried_and_at_last_the_run_fails() {
    let mut world = World::new().await;
    let names: Vec<String> = (0..12).map(|i| format!("n{i:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = fleet(&world, &names).await;
    let run = world.run("m", plan(4, 1)).await;
    world.tick().await;
    let first = world.live_cohort().await;
    let order = world.order(&first[0]).await;
    world.answer(&first[..1], |_| 1).await;
    world.serve(10_000).await;

    assert_eq!(world.fate(&first[0], order.round).await, Settled::Abandoned);
    assert_eq!(world.fate(&first[1], order.round).await, Settled::Abandoned, "it sent nothing");
    let second = world.live_cohort().await;
    assert_ne!(first, second, "a fresh cohort");
    let again = world.order(&second[0]).await;
    assert_eq!((again.round.number, again.round.attempt), (1, 2));
    assert_eq!(again.base, order.base);
    world.serve(10_000).await;

    let run = world.find_run(&run).await;
    assert_eq!((run.state, run.reason.as_deref()), (RunState::Failed, Some("quorum_not_reached")));
    assert_eq!(world.versions("m").await.len(), 1, "an abandoned update is in no version");
    let rounds =
        world.core.store.rounds(run.id, WhichRounds::default(), 0, 10).await.unwrap().unwrap();
    let seen: Vec<_> = rounds.iter().map(|round| (round.round.attempt, round.state)).collect();
    assert_eq!(seen, [(1, RoundState::Abandoned), (2, RoundState::Abandoned)]);
    assert_eq!(rounds[0].totals.updates, 1);
    assert!(matches!(world.ask(&nodes[0]).await, Order::Idle(_)));
    let next = world.run("m", plan(4, 1)).await;
    assert_eq!(next.id.0, 2, "the model is free again");
}

#[tokio::test]
async fn downtime_does_not_count_and_the_round_goes_on_where_it_was() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    let run = world.run("m", plan(2, 1)).await;
    world.serve(4_000).await;
    let order = world.order(&nodes[0]).await;
    assert_eq!(order.deadline_in_ms, 6_000);
    let (candidate, payload) = update(&order, &nodes[0], 5);
    let receipt = world.push(&candidate, &payload).await.unwrap();

    let mut world = world.reopened(3_600_000, 0).await;
    assert_eq!(world.push(&candidate, &payload).await.unwrap(), receipt, "byte for byte");
    world.tick().await;
    assert_eq!(
        world.order(&nodes[1]).await.deadline_in_ms,
        6_000,
        "an hour down is no hour served"
    );
    world.answer(&nodes[1..], |_| 5).await;
    world.tick().await;
    let (_, _, totals) = world.versions("m").await[1].made_by.unwrap();
    assert_eq!(totals.updates, 2, "counted once, before the restart and after it");
    let run = world.find_run(&run).await;
    assert_eq!(run.state, RunState::Completed);
}

#[tokio::test]
async fn a_process_that_was_stopped_did_not_serve() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    world.run("m", plan(2, 1)).await;
    world.tick().await;
    world.advance(3_600_000);
    world.tick().await;
    assert_eq!(world.order(&nodes[0]).await.deadline_in_ms, 8_000, "one step, two seconds");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_versions_in_any_order_of_arrival() {
    let mut digests = Vec::new();
    for turn in 0..2 {
        let mut world = World::new().await;
        let mut nodes = fleet(&world, &["a", "b", "c"]).await;
        if turn == 1 {
            // Other runs before it, and another order of arrival, make no difference.
            let other = world.run("other", plan(3, 1)).await;
            world.tick().await;
            world.answer(&nodes, |_| 9).await;
            world.tick().await;
            assert_eq!(world.find_run(&other).await.state, RunState::Completed);
            nodes.reverse();
        }
        let run = world.run("m", reproducible(&nodes, 3)).await;
        world.tick().await;
        for _ in 0..3 {
            let learn = |order: &federation::TrainOrder| {
                order.seed.to_le_bytes()[0].cast_signed().max(-127)
            };
            world.answer(&nodes, learn).await;
            world.tick().await;
        }
        let run = world.find_run(&run).await;
        assert!(run.state == RunState::Completed && run.reproducible);
        digests.push(world.versions("m").await.iter().map(|v| v.digest).collect::<Vec<_>>());
    }
    assert_eq!(digests[0].len(), 4);
    assert_eq!(digests[0], digests[1]);
}

#[tokio::test]
async fn a_reproducible_run_waits_for_its_nodes_and_any_other_for_its_quorum() {
    let mut world = World::new().await;
    let named: Vec<_> = ["a", "b", "late"].iter().map(|name| name.parse().unwrap()).collect();
    let repeat = world.run("m", reproducible(&named, 1)).await;
    let mut other = plan(4, 1);
    other.cohort.selector = Selector::default();
    let quick = world.run("n", other).await;
    fleet(&world, &["a"]).await;
    world.serve(5_000).await;
    assert_eq!(world.find_run(&quick).await.state, RunState::Waiting, "no quorum");
    fleet(&world, &["b"]).await;
    world.serve(1_000).await;
    assert_eq!(world.find_run(&quick).await.state, RunState::Waiting, "the goal may yet come");
    world.serve(1_000).await;
    assert_eq!(world.find_run(&quick).await.live.unwrap().cohort, 2);
    assert_eq!(world.find_run(&repeat).await.state, RunState::Waiting);
    world.enrol("late").await;
    world.tick().await;
    assert_eq!(world.find_run(&repeat).await.state, RunState::Waiting, "two of its nodes are busy");
    world.answer(&named[..2], |_| 1).await;
    world.serve(10_000).await;
    assert_eq!(world.find_run(&quick).await.state, RunState::Completed);
    assert_eq!(world.find_run(&repeat).await.live.unwrap().cohort, 3);
}

#[tokio::test]
async fn a_node_is_in_one_cohort_at_a_time() {
    let mut world = World::new().await;
    fleet(&world, &["a", "b", "c", "d", "e"]).await;
    let first = world.run("m", plan(3, 1)).await;
    let second = world.run("n", plan(2, 1)).await;
    world.tick().await;
    let live = world.core.store.live().await.unwrap();
    let mut drawn = Vec::new();
    for run in &live {
        drawn.extend(world.cohort(run.live.as_ref().unwrap().key).await);
    }
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 5);
    // Each node has the order of its own run, and both runs end.
    world.answer(&drawn, |_| 1).await;
    world.tick().await;
    for run in [&first, &second] {
        assert_eq!(world.find_run(run).await.state, RunState::Completed);
    }
}

#[tokio::test]
async fn only_suitable_and_present_nodes_are_drawn() {
    let mut world = World::new().await;
    fleet(&world, &["gone"]).await;
    world.advance(10 * 60_000);
    let nodes = fleet(&world, &["a", "b"]).await;
    let mut foreign = crate::testing::enrolment("foreign");
    foreign.learners = vec!["other/1".to_owned()];
    world.core.enrol(foreign, None).await.unwrap().unwrap();
    let mut elsewhere = crate::testing::enrolment("elsewhere");
    elsewhere.labels.clear();
    world.core.enrol(elsewhere, None).await.unwrap().unwrap();
    let run = world.run("m", plan(4, 1)).await;
    world.serve(3_000).await;
    let live = world.find_run(&run).await.live.unwrap();
    assert_eq!(world.cohort(live.key).await, nodes);
}

#[tokio::test]
async fn the_next_order_is_near_for_a_node_of_a_running_run_and_spread_for_the_rest() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    let retry = async |world: &World, node| match world.ask(node).await {
        Order::Idle(idle) => idle.retry_after_ms,
        Order::Train(order) => panic!("{order:?}"),
    };
    let far = retry(&world, &nodes[0]).await;
    assert_ne!(far, retry(&world, &nodes[1]).await);
    // Both are due by then.
    world.advance(5_000);
    world.run("m", plan(2, 1)).await;
    world.tick().await;
    world.answer(&nodes[..1], |_| 1).await;
    let near = retry(&world, &nodes[0]).await;
    assert!((50..=500).contains(&near) && (50..=5_000).contains(&far));
}
