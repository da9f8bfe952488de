//! Pause, resume, cancel.

use federation::limits::{ATTEMPTS_ENDLESS, ROUNDS_ENDLESS};
use federation::round::RoundState;
use federation::{Plan, RefusalCode, RoundRef, RunId, Settled};

use crate::orders::Order;
use crate::store::{Directive, NotDirected, Opening, Run, RunState, WhichRounds};
use crate::testing::{World, done, fleet, plan, update};

async fn direct(world: &World, run: &Run, directive: Directive) -> Result<Run, NotDirected> {
    let now = federation::Clock::wall(&*world.clock);
    done(now, |deed| world.core.store.direct_run(run.id, directive, deed)).await.unwrap()
}

#[tokio::test]
async fn a_paused_run_finishes_its_round_and_opens_no_other_until_it_is_resumed() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    let run = world.run("m", plan(2, 3)).await;
    world.tick().await;
    let order = world.order(&nodes[0]).await;
    for _ in 0..2 {
        let paused = direct(&world, &run, Directive::Pause).await.unwrap();
        assert_eq!(
            (paused.state, paused.live.map(|live| live.state)),
            (RunState::Paused, Some(RoundState::Open))
        );
    }
    world.tick().await;
    assert_eq!(world.order(&nodes[0]).await.round, order.round, "the open round goes on");
    world.answer(&nodes, |_| 1).await;
    world.serve(5_000).await;
    assert_eq!(world.fate(&nodes[0], order.round).await, Settled::Published);
    let now = world.find_run(&run).await;
    assert_eq!((now.state, now.rounds_published, now.live), (RunState::Paused, 1, None));

    let mut world = world.reopened(1_000, 0).await;
    for node in &nodes {
        assert!(matches!(world.ask(node).await, Order::Idle(_)));
    }
    world.serve(5_000).await;
    assert_eq!(world.find_run(&run).await.live, None, "it stays paused");
    for _ in 0..2 {
        let resumed = direct(&world, &run, Directive::Resume).await.unwrap();
        assert_eq!(resumed.state, RunState::Running);
    }
    for _ in 0..2 {
        world.tick().await;
        world.answer(&nodes, |_| 1).await;
    }
    world.tick().await;
    let now = world.find_run(&run).await;
    assert_eq!((now.state, now.rounds_published), (RunState::Completed, 3));
}

#[tokio::test]
async fn a_run_can_be_paused_before_its_first_round_and_leaves_its_nodes_to_others() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    let run = world.run("m", plan(2, 1)).await;
    assert_eq!(direct(&world, &run, Directive::Pause).await.unwrap().state, RunState::Paused);
    let other = world.run("n", plan(2, 1)).await;
    world.tick().await;
    assert_eq!(world.find_run(&other).await.live.unwrap().cohort, 2);
    world.answer(&nodes, |_| 1).await;
    world.tick().await;
    assert_eq!(world.find_run(&run).await.state, RunState::Paused);
    assert_eq!(direct(&world, &run, Directive::Resume).await.unwrap().state, RunState::Waiting);
    world.tick().await;
    assert_eq!(world.find_run(&run).await.state, RunState::Running);
}

#[tokio::test]
async fn a_paused_run_holds_no_nodes_back_and_wants_none() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c", "d"]).await;
    let endless = |goal| {
        let mut endless = Plan { rounds: ROUNDS_ENDLESS, ..plan(goal, 1) };
        endless.cohort.quorum = goal;
        endless
    };
    let small = world.run("s", endless(2)).await;
    let other = world.run("o", endless(2)).await;
    world.tick().await;
    let wide = world.run("w", endless(4)).await;
    world.tick().await;
    direct(&world, &wide, Directive::Pause).await.unwrap();
    for run in [&small, &other, &small] {
        let live = world.find_run(run).await.live.unwrap();
        let cohort = world.cohort(live.key).await;
        world.answer(&cohort, |_| 1).await;
        world.tick().await;
        let next = world.find_run(run).await.live.expect("nobody holds its nodes back");
        assert_eq!(next.round.number, live.round.number + 1);
    }
    for run in [&small, &other] {
        direct(&world, run, Directive::Cancel).await.unwrap();
    }
    world.serve(2_000).await;
    let fleet = world.core.presence.fleet();
    assert_eq!((fleet.wanted, fleet.others), (0, 4));
    direct(&world, &wide, Directive::Resume).await.unwrap();
    world.serve(2_000).await;
    assert_eq!(world.core.presence.fleet().wanted, 4);
    assert!(matches!(world.ask(&nodes[0]).await, Order::Train(_)));
}

#[tokio::test]
async fn a_run_that_was_paused_while_its_cohort_was_drawn_opens_no_round() {
    let world = World::new().await;
    let nodes = fleet(&world, &["a"]).await;
    let run = world.run("m", plan(1, 1)).await;
    let round = RoundRef { run: run.id, number: 1, attempt: 1 };
    let opening = Opening { round, weights: 4, cohort: nodes.clone() };
    let now = federation::Clock::wall(&*world.clock);
    let open = async || world.core.store.open_round(opening.clone(), now).await.unwrap();
    direct(&world, &run, Directive::Pause).await.unwrap();
    assert_eq!(open().await, None);
    direct(&world, &run, Directive::Resume).await.unwrap();
    assert!(open().await.is_some());
    assert_eq!(open().await, None, "it is open already");
    let turns = world.core.store.node(nodes[0].clone()).await.unwrap().unwrap().turns;
    assert_eq!(turns.count, 1, "what did not open was nobody's turn");
}

#[tokio::test]
async fn a_paused_round_without_its_quorum_is_abandoned_and_not_retried() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    let run = world.run("m", plan(2, 1)).await;
    world.tick().await;
    direct(&world, &run, Directive::Pause).await.unwrap();
    world.serve(15_000).await;
    let now = world.find_run(&run).await;
    assert_eq!((now.state, now.live), (RunState::Paused, None));
    direct(&world, &run, Directive::Resume).await.unwrap();
    for node in &nodes {
        world.ask(node).await;
    }
    world.tick().await;
    assert_eq!(world.order(&nodes[0]).await.round.attempt, 2);
}

#[tokio::test]
async fn a_cancelled_run_ends_at_once_and_its_open_round_counts_for_nothing() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c"]).await;
    let run = world.run("m", Plan { rounds: ROUNDS_ENDLESS, ..plan(3, 1) }).await;
    world.tick().await;
    world.answer(&nodes, |_| 1).await;
    world.tick().await;
    let order = world.order(&nodes[0]).await;
    assert_eq!(order.round.number, 2);
    let (counted, payload) = update(&order, &nodes[0], 1);
    let receipt = world.push(&counted, &payload).await.unwrap();
    let (late, late_payload) = update(&order, &nodes[1], 1);

    for _ in 0..2 {
        let over = direct(&world, &run, Directive::Cancel).await.unwrap();
        assert_eq!((over.state, over.live.is_none()), (RunState::Cancelled, true));
        assert!(over.ended_ms.is_some() && over.rounds_published == 1);
    }
    assert_eq!(world.fate(&nodes[0], order.round).await, Settled::Abandoned);
    assert_eq!(world.push(&counted, &payload).await.unwrap(), receipt, "a receipt stays one");
    let refusal = world.push(&late, &late_payload).await.unwrap_err();
    assert_eq!(refusal.code, RefusalCode::RoundClosed);
    world.tick().await;
    for node in &nodes {
        assert!(matches!(world.ask(node).await, Order::Idle(_)), "the board has dropped it");
    }
    let rounds =
        world.core.store.rounds(run.id, WhichRounds::default(), 0, 10).await.unwrap().unwrap();
    let last = &rounds[1];
    assert_eq!((last.state, last.reason.as_deref()), (RoundState::Abandoned, Some("cancelled")));
    assert_eq!((last.totals.updates, last.at_deadline), (1, false));
    assert_eq!(world.versions("m").await.len(), 2);
    for directive in [Directive::Pause, Directive::Resume] {
        let refused = direct(&world, &run, directive).await.unwrap_err();
        assert_eq!(refused, NotDirected::RunOver(RunState::Cancelled));
    }

    // The model and the nodes are free again, and stay so after a restart.
    let mut world = world.reopened(0, 0).await;
    assert_eq!(world.find_run(&run).await.state, RunState::Cancelled);
    let next = world.run("m", plan(3, 1)).await;
    for node in &nodes {
        world.ask(node).await;
    }
    world.tick().await;
    world.answer(&nodes, |_| 1).await;
    world.tick().await;
    assert_eq!(world.find_run(&next).await.state, RunState::Completed);
}

#[tokio::test]
async fn a_round_that_has_its_goal_but_no_version_yet_is_cancelled_too() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    let run = world.run("m", plan(2, 1)).await;
    world.tick().await;
    let order = world.order(&nodes[0]).await;
    world.answer(&nodes, |_| 1).await;
    direct(&world, &run, Directive::Cancel).await.unwrap();
    world.tick().await;
    assert_eq!(world.versions("m").await.len(), 1);
    assert_eq!(world.fate(&nodes[1], order.round).await, Settled::Abandoned);
}

#[tokio::test]
async fn what_is_over_stays_over() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a"]).await;
    let done = world.run("m", plan(1, 1)).await;
    world.tick().await;
    world.answer(&nodes, |_| 1).await;
    world.tick().await;
    let mut hasty = plan(1, 1);
    hasty.cohort.attempts_max = 1;
    let failed = world.run("n", hasty).await;
    world.ask(&nodes[0]).await;
    world.serve(10_000).await;
    for (run, state) in [(&done, RunState::Completed), (&failed, RunState::Failed)] {
        assert_eq!(world.find_run(run).await.state, state);
        for directive in [Directive::Pause, Directive::Resume, Directive::Cancel] {
            let refused = direct(&world, run, directive).await.unwrap_err();
            assert_eq!(refused, NotDirected::RunOver(state), "{directive:?}");
        }
    }
    for unknown in [0, 3, u64::MAX] {
        let run = Run { id: RunId(unknown), ..done.clone() };
        let refused = direct(&world, &run, Directive::Cancel).await.unwrap_err();
        assert_eq!(refused, NotDirected::UnknownRun);
    }
}

#[tokio::test]
async fn a_continuous_run_tries_again_for_ever_unless_its_plan_says_how_often() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b", "c", "d"]).await;
    let mut endless = Plan { rounds: ROUNDS_ENDLESS, ..plan(2, 1) };
    let limited = world.run("l", endless.clone()).await;
    endless.cohort.attempts_max = ATTEMPTS_ENDLESS;
    let run = world.run("m", endless).await;
    for _ in 0..6 {
        for node in &nodes {
            world.ask(node).await;
        }
        world.serve(10_000).await;
    }
    assert_eq!(world.find_run(&limited).await.state, RunState::Failed);
    let now = world.find_run(&run).await;
    assert_eq!((now.state, now.rounds_published), (RunState::Running, 0));
    assert!(now.live.unwrap().round.attempt > 4);
    assert_eq!(now.plan.cohort.attempts_max, ATTEMPTS_ENDLESS);
}
