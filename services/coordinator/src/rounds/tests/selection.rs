//! Who is drawn, and whose turn it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use federation::limits::ROUNDS_ENDLESS;
use federation::pace::Pace;
use federation::{NodeId, NodeStatus, Plan, TrainOrder};

use crate::orders::{Held, Order};
use crate::store::{Node, Run, RunState};
use crate::testing::{World, enrolment, fleet, plan, reproducible, update};

/// The cohort of a run's open round; empty when it has none.
async fn cohort(world: &World, run: &Run) -> Vec<NodeId> {
    match world.find_run(run).await.live {
        Some(live) => world.cohort(live.key).await,
        None => Vec::new(),
    }
}

/// Asks for work and says how the node is.
async fn report(world: &World, node: &NodeId, status: NodeStatus) -> Order {
    let told = world.core.wait_order(node, Duration::ZERO, None, Some(status), Held::Apart).await;
    told.unwrap().unwrap().order
}

/// A node with these labels beside its task.
async fn labelled(world: &World, name: &str, labels: &[(&str, &str)]) -> NodeId {
    let mut enrolment = enrolment(name);
    let label = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    enrolment.labels.extend(labels.iter().map(label));
    world.core.enrol(enrolment, None).await.unwrap().unwrap()
}

fn endless(goal: u32) -> Plan {
    Plan { rounds: ROUNDS_ENDLESS, ..plan(goal, 1) }
}

#[tokio::test]
async fn selectors_choose_by_every_form() {
    let mut world = World::new().await;
    for (name, labels) in [
        ("a", &[("site", "ams"), ("class", "x")][..]),
        ("b", &[("site", "ams"), ("class", "y")]),
        ("c", &[("site", "ams"), ("class", "z")]),
        ("d", &[("site", "ber"), ("class", "x")]),
        ("e", &[("site", "ams"), ("class", "x"), ("old", "1")]),
    ] {
        labelled(&world, name, labels).await;
    }
    for (model, select, expected) in [
        ("m1", "site=ams,class in (x,y),!old", &["a", "b"][..]),
        ("m2", "old", &["e"]),
        ("m3", "site!=ams", &["d"]),
        ("m4", "site=ams,class notin (x,y)", &["c"]),
    ] {
        let mut plan = plan(u32::try_from(expected.len()).unwrap(), 1);
        plan.cohort.selector = select.parse().unwrap();
        let run = world.run(model, plan.clone()).await;
        assert_eq!(run.plan, plan, "it is stored as it was said");
        world.tick().await;
        let names: Vec<_> =
            cohort(&world, &run).await.iter().map(|node| node.as_str().to_owned()).collect();
        assert_eq!(names, expected, "{select}");
    }
}

#[tokio::test]
async fn only_nodes_that_report_what_is_asked_are_drawn() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c", "d"]).await;
    let mut picky = plan(2, 1);
    picky.cohort.eligible.charging = true;
    picky.cohort.eligible.battery_percent_min = Some(30);
    picky.cohort.eligible.capacity_min = BTreeMap::from([("recurrent".to_owned(), 100)]);
    let run = world.run("m", picky).await;
    world.serve(5_000).await;
    assert_eq!(world.find_run(&run).await.state, RunState::Waiting, "nobody has said anything");
    let status = |charging, battery, recurrent| NodeStatus {
        charging: Some(charging),
        battery_percent: Some(battery),
        capacity: BTreeMap::from([("recurrent".to_owned(), recurrent)]).into(),
        ..NodeStatus::default()
    };
    report(&world, &nodes[0], status(true, 29, 256)).await;
    report(&world, &nodes[1], status(false, 80, 256)).await;
    report(&world, &nodes[2], status(true, 80, 99)).await;
    report(&world, &nodes[3], status(true, 30, 100)).await;
    report(&world, &nodes[1], status(true, 80, 256)).await;
    world.tick().await;
    assert_eq!(cohort(&world, &run).await, [nodes[1].clone(), nodes[3].clone()]);
    // In the round a node stays in it, however it is by then.
    assert!(matches!(report(&world, &nodes[3], NodeStatus::default()).await, Order::Train(_)));
}

#[tokio::test]
async fn turns_go_round_and_survive_a_restart() {
    let mut world = World::new().await;
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let nodes = fleet(&world, &names).await;
    let run = world.run("m", endless(3)).await;
    let mut turns: BTreeMap<NodeId, u32> = nodes.iter().map(|node| (node.clone(), 0)).collect();
    for round in 0..28 {
        world.tick().await;
        let drawn = cohort(&world, &run).await;
        assert_eq!(drawn.len(), 3);
        for node in &drawn {
            *turns.get_mut(node).unwrap() += 1;
        }
        let (least, most) = (turns.values().min().unwrap(), turns.values().max().unwrap());
        assert!(most - least <= 1, "round {round}: {turns:?}");
        world.answer(&drawn, |_| 1).await;
        if round % 5 == 0 {
            world = world.reopened(1_000, 0).await;
            for node in &nodes {
                world.core.hear(node).await.unwrap().unwrap();
            }
        }
    }
    world.tick().await;
    let stored = world.core.store.nodes(String::new(), 10).await.unwrap();
    let last = cohort(&world, &run).await;
    for node in stored {
        let now = turns[&node.id] + u32::from(last.contains(&node.id));
        assert_eq!((node.turns.count, node.turns.last > 0), (now, true));
    }
    let run = world.find_run(&run).await;
    assert_eq!(
        (run.state, run.rounds_published),
        (RunState::Running, 28),
        "it never ends by itself"
    );
}

#[tokio::test]
async fn runs_that_want_the_same_scarce_nodes_alternate() {
    let mut world = World::new().await;
    fleet(&world, &["a", "b", "c", "d"]).await;
    let runs = [world.run("m", endless(3)).await, world.run("n", endless(3)).await];
    let mut turns = Vec::new();
    for _ in 0..8 {
        world.tick().await;
        let cohorts = [cohort(&world, &runs[0]).await, cohort(&world, &runs[1]).await];
        let open = cohorts.iter().position(|cohort| !cohort.is_empty()).unwrap();
        assert!(cohorts[1 - open].is_empty(), "four nodes are enough for one of them");
        turns.push(open);
        world.answer(&cohorts[open], |_| 1).await;
    }
    assert_eq!(turns, [0, 1, 0, 1, 0, 1, 0, 1]);
}

#[tokio::test]
async fn a_wide_run_is_not_starved_by_narrow_ones() {
    let mut world = World::new().await;
    fleet(&world, &["a", "b", "c", "d"]).await;
    let narrow = [world.run("m", endless(2)).await, world.run("n", endless(2)).await];
    world.tick().await;
    let mut wide = endless(4);
    wide.cohort.quorum = 4;
    let wide = world.run("w", wide).await;
    world.tick().await;
    // The narrow ones never end at the same time. The first to end would start again if nobody waited.
    world.answer(&cohort(&world, &narrow[0]).await, |_| 1).await;
    world.tick().await;
    assert_eq!(cohort(&world, &narrow[0]).await, [], "its nodes are held for the wide one");
    assert_eq!(cohort(&world, &narrow[1]).await.len(), 2);
    world.answer(&cohort(&world, &narrow[1]).await, |_| 1).await;
    world.tick().await;
    let all = cohort(&world, &wide).await;
    assert_eq!(all.len(), 4);
    world.answer(&all, |_| 1).await;
    world.tick().await;
    for run in &narrow {
        assert_eq!(cohort(&world, run).await.len(), 2, "now it is their turn");
    }
}

#[tokio::test]
async fn a_run_that_cannot_run_holds_nothing_back() {
    let mut world = World::new().await;
    fleet(&world, &["a", "b", "c"]).await;
    let mut large = plan(8, 1);
    large.cohort.quorum = 4;
    let large = world.run("large", large).await;
    let stranger: NodeId = "stranger".parse().unwrap();
    let named = world.run("named", reproducible(&["a".parse().unwrap(), stranger], 1)).await;
    let small = world.run("small", endless(3)).await;
    for published in 0..3 {
        world.tick().await;
        assert_eq!(world.find_run(&small).await.rounds_published, published);
        world.answer(&cohort(&world, &small).await, |_| 1).await;
    }
    for run in [&large, &named] {
        assert_eq!(world.find_run(run).await.state, RunState::Waiting);
    }
}

#[tokio::test]
async fn a_long_round_of_old_does_not_make_a_waiting_run_hold_back_everything() {
    let mut world = World::new().await;
    let names: Vec<String> = (0..10).map(|i| format!("n{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fleet(&world, &names).await;
    let long = world.run("long", endless(7)).await;
    world.tick().await;
    assert_eq!(cohort(&world, &long).await.len(), 7);
    let mut waits = endless(5);
    waits.cohort.quorum = 5;
    let waits = world.run("waits", waits).await;
    let small = world.run("small", endless(3)).await;
    for _ in 0..3 {
        world.tick().await;
        let drawn = cohort(&world, &small).await;
        assert_eq!(
            drawn.len(),
            3,
            "when the long round ends there are seven for the one that waits"
        );
        world.answer(&drawn, |_| 1).await;
    }
    world.answer(&cohort(&world, &long).await, |_| 1).await;
    world.tick().await;
    assert_eq!(cohort(&world, &waits).await.len(), 5);
}

#[tokio::test]
async fn no_node_is_in_two_cohorts_not_even_a_named_one() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c", "d", "e"]).await;
    let runs = [
        world.run("m", endless(2)).await,
        world.run("n", reproducible(&nodes[..3], 4)).await,
        world.run("o", endless(2)).await,
    ];
    let mut shared = 0;
    for _ in 0..12 {
        world.tick().await;
        let mut drawn = Vec::new();
        for run in &runs {
            drawn.push(cohort(&world, run).await);
        }
        let all: BTreeSet<_> = drawn.iter().flatten().collect();
        assert_eq!(all.len(), drawn.iter().map(Vec::len).sum::<usize>(), "{drawn:?}");
        shared += u32::from(drawn.iter().filter(|cohort| !cohort.is_empty()).count() > 1);
        // One after the other, so that they come out of step.
        let first = drawn.into_iter().find(|cohort| !cohort.is_empty()).unwrap();
        world.answer(&first, |_| 1).await;
    }
    assert!(shared > 3, "rounds of several runs were open at once");
    let named = world.find_run(&runs[1]).await;
    assert!(named.rounds_published >= 2 && named.reproducible, "{named:?}");
}

#[tokio::test]
async fn a_large_fleet_is_told_to_come_back_at_a_bounded_rate() {
    let mut world = World::new().await;
    let [asks] = fleet(&world, &["asks"]).await.try_into().unwrap();
    let template = world.core.store.node(asks.clone()).await.unwrap().unwrap();
    for i in 0..10_000 {
        let id = format!("n{i}").parse().unwrap();
        world.core.presence.admit(Node { id, ..template.clone() }, &*world.clock);
    }
    let retry = async |world: &World| match world.ask(&asks).await {
        Order::Idle(idle) => idle.retry_after_ms,
        Order::Train(order) => panic!("{order:?}"),
    };
    assert!(retry(&world).await <= 5_000, "nobody has counted them yet");
    let mut times = BTreeSet::new();
    for _ in 0..20 {
        world.serve(1_000).await;
        times.insert(retry(&world).await);
    }
    assert!(times.iter().all(|ms| (10_000..=30_002).contains(ms)), "{times:?}");
    assert!(times.len() > 15, "another time at each question: {times:?}");
    // A run that wants this node alone has it come back within seconds.
    let mut only = reproducible(&[asks.clone(), "unknown".parse().unwrap()], 1);
    only.cohort.selector = "no=such".parse().unwrap();
    world.run("m", only).await;
    world.serve(2_000).await;
    assert!(retry(&world).await < 10_000);
}

#[tokio::test]
async fn nodes_that_poll_ask_once_in_a_round_of_the_whole_fleet() {
    const NODES: u32 = 40;
    const LEARNS_MS: u64 = 2_200;
    let pace = Pace { asks_per_s_max: 10, idle_ms: 5_000 };
    let mut world = World::new().await.at_pace(pace).await;
    let names: Vec<String> = (0..NODES).map(|i| format!("n{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = fleet(&world, &names).await;
    world.run("m", plan(NODES, 8)).await;
    // What each node does next, and when: to ask, or to push what it learned.
    let mut due: BTreeSet<(u64, NodeId)> = nodes.into_iter().map(|node| (0, node)).collect();
    let mut learned: BTreeMap<NodeId, TrainOrder> = BTreeMap::new();
    let mut asks: BTreeMap<u32, u32> = BTreeMap::new();
    let mut now_ms = 0;
    world.tick().await;
    while let Some((at_ms, node)) = due.pop_first() {
        while now_ms < at_ms {
            let step_ms = (at_ms - now_ms).min(1_000);
            world.advance(step_ms);
            now_ms += step_ms;
            world.tick().await;
        }
        let board = world.core.board.get();
        let Some(open) = board.rounds.values().next() else { break };
        let pause_ms = match learned.remove(&node) {
            Some(order) => {
                let (candidate, payload) = update(&order, &node, 1);
                world.push(&candidate, &payload).await.unwrap();
                world.core.rests(&node).unwrap().retry_after_ms.into()
            }
            None => {
                *asks.entry(open.round.number).or_default() += 1;
                match world.ask(&node).await {
                    Order::Train(order) => {
                        learned.insert(node.clone(), order);
                        LEARNS_MS
                    }
                    Order::Idle(idle) => idle.retry_after_ms.into(),
                }
            }
        };
        due.insert((now_ms + pause_ms, node));
        world.tick().await;
    }
    let settled: Vec<u32> = asks.range(3..8).map(|(_, asks)| *asks).collect();
    assert_eq!(settled, [NODES; 5], "{asks:?}");
    // A round lasts until the last node has asked and learned, and hardly longer.
    assert!(now_ms < 8 * 9_000, "{now_ms}");
}

#[tokio::test]
async fn a_node_that_was_told_to_stay_away_for_long_is_present_until_it_is_due() {
    let mut world = World::new().await.at_pace(Pace { asks_per_s_max: 1, idle_ms: 5_000 }).await;
    let names: Vec<String> = (0..400).map(|i| format!("n{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = fleet(&world, &names).await;
    world.tick().await;
    let Order::Idle(idle) = world.ask(&nodes[0]).await else { panic!("there is no run") };
    assert!((200_000..=600_000).contains(&idle.retry_after_ms), "{idle:?}");
    world.advance(idle.retry_after_ms.into());
    let cohort = plan(1, 1).cohort;
    let present =
        |world: &World| world.core.presence.candidates(&cohort, "reckon/1", &*world.clock).len();
    assert_eq!(present(&world), 1, "the others were not heard of for as long");
    world.advance(90_001);
    assert_eq!(present(&world), 0);
}

#[tokio::test]
async fn a_round_with_a_choice_takes_nodes_at_hand() {
    let mut world = World::new().await.at_pace(Pace { asks_per_s_max: 1, idle_ms: 5_000 }).await;
    let nodes = fleet(&world, &["a", "b", "c", "d", "e", "f", "g", "h"]).await;
    for i in 0..400 {
        world.enrol(&format!("n{i}")).await;
    }
    world.tick().await;
    for node in &nodes[..4] {
        world.ask(node).await;
    }
    for size in [4, 6] {
        let mut run = plan(size, 1);
        run.cohort.selector = "task=navigation,few".parse().unwrap();
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            labelled(&world, name, &[("few", "1")]).await;
        }
        for node in &nodes[..4] {
            world.ask(node).await;
        }
        let run = world.run(&format!("m{size}"), run).await;
        world.tick().await;
        let drawn = cohort(&world, &run).await;
        let away = drawn.iter().filter(|node| nodes[..4].contains(node)).count();
        assert_eq!((drawn.len(), away), if size == 4 { (4, 0) } else { (6, 4) }, "{drawn:?}");
        world.answer(&drawn, |_| 1).await;
        world.tick().await;
    }
}
