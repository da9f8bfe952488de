//! What a receipt means, sentence by sentence: groups on a real file.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use federation::aggregate::Sum;
use federation::{Candidate, NodeId, Receipt, RefusalCode, RoundRef, Timestamp};
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::oneshot;

use super::{GroupLimits, Uncounted};
use crate::core::Limits;
use crate::store::{Counting, Offer};
use crate::testing::{World, fleet, plan, update};

const NOW: Timestamp = Timestamp(5);

/// Bounds that gather nothing by time.
const BOUNDS: GroupLimits =
    GroupLimits { updates_max: 100, bytes_max: 1 << 20, wait: Duration::ZERO, queue_max: 100 };

/// A world with a round open for `goal` of the nodes.
async fn opened(mut world: World, names: &[&str], goal: u32) -> (World, Vec<NodeId>) {
    let nodes = fleet(&world, names).await;
    let mut plan = plan(goal, 1);
    plan.cohort.over_selection_permille =
        u32::try_from(names.len() * 1_000).unwrap().div_ceil(goal);
    world.run("m", plan).await;
    world.tick().await;
    (world, nodes)
}

async fn offer(world: &World, node: &NodeId, delta: i8) -> Offer {
    let (candidate, payload) = update(&world.order(node).await, node, delta);
    Offer { candidate, payload: payload.into() }
}

fn code(counting: &Counting) -> &'static str {
    match counting {
        Counting::Done(Ok(_)) => "counted",
        Counting::Done(Err(refusal)) => refusal.code.as_str(),
        Counting::Later => "later",
    }
}

/// Keeps the store's writer busy until told.
fn hold(world: &World) -> (oneshot::Sender<()>, impl Future<Output = ()> + use<>) {
    let (release, released) = oneshot::channel();
    let core = Arc::clone(&world.core);
    (release, async move { core.store.hold(released).await })
}

async fn run_sql(world: &World, sql: &'static str) {
    let url = format!("sqlite://{}?mode=rwc", world.file().display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_waits_for_the_writer_is_counted_in_one_transaction() {
    let names = ["a", "b", "c", "d", "e"];
    let (mut world, nodes) = opened(World::bounded(BOUNDS).await, &names, 5).await;
    let (release, held) = hold(&world);
    let mut offers = Vec::new();
    for (node, delta) in nodes.iter().zip(1..) {
        offers.push(offer(&world, node, delta).await);
    }
    let core = Arc::clone(&world.core);
    let push = async |offer: &Offer| {
        let Offer { candidate, payload } = offer;
        let payload = payload.clone();
        let room = Arc::clone(&core.payload_room).acquire_owned().await.unwrap();
        core.count(candidate, payload, room).await.unwrap().unwrap()
    };
    let all_wait = async {
        while core.payload_room.available_permits() + 5 != 64 << 10
            || core.groups.sender.capacity() < 96
        {
            tokio::task::yield_now().await;
        }
    };
    let pushes = async {
        tokio::join!(
            push(&offers[0]),
            push(&offers[1]),
            push(&offers[2]),
            push(&offers[3]),
            push(&offers[4])
        )
    };
    let mut held = pin!(held);
    let mut pushes = pin!(pushes);
    tokio::select! {
        biased;
        () = &mut held => unreachable!("it is held"),
        _ = &mut pushes => unreachable!("nothing is counted while the writer is held"),
        () = all_wait => {}
    }
    release.send(()).unwrap();
    tokio::join!(held, pushes);
    let groups = &core.groups;
    assert_eq!(groups.updates.load(Ordering::Relaxed), 5);
    assert!(groups.groups.load(Ordering::Relaxed) <= 2, "{groups:?}");
    world.tick().await;
    assert_eq!(world.versions("m").await[1].made_by.unwrap().2.updates, 5);
}

#[tokio::test]
async fn a_group_is_bounded_by_number_and_by_bytes_as_the_bounds_are_then() {
    for bounds in [GroupLimits { updates_max: 1, ..BOUNDS }, GroupLimits { bytes_max: 1, ..BOUNDS }]
    {
        let (world, nodes) = opened(World::bounded(BOUNDS).await, &["a", "b", "c"], 3).await;
        world.core.set_limits(Limits { groups: bounds, ..world.core.limits() });
        let orders = [
            offer(&world, &nodes[0], 1).await,
            offer(&world, &nodes[1], 1).await,
            offer(&world, &nodes[2], 1).await,
        ];
        let push = async |offer: &Offer| world.count(&offer.candidate, &[1; 4]).await.unwrap();
        tokio::join!(push(&orders[0]), push(&orders[1]), push(&orders[2]));
        assert_eq!(world.core.groups.groups.load(Ordering::Relaxed), 3, "{bounds:?}");
    }
}

#[tokio::test]
async fn one_bad_update_refuses_itself_and_never_its_group() {
    let (world, nodes) = opened(World::new().await, &["a", "b", "c"], 3).await;
    let good = offer(&world, &nodes[0], 1).await;
    let other = offer(&world, &nodes[1], 2).await;
    let with = |change: fn(&mut Candidate)| {
        let mut bad = good.clone();
        change(&mut bad.candidate);
        bad
    };
    let offers = vec![
        with(|candidate| candidate.node = "stranger".parse().unwrap()),
        with(|candidate| candidate.round = RoundRef { number: 9, ..candidate.round }),
        good.clone(),
        with(|candidate| candidate.payload = federation::Digest::of(b"else")),
        with(|candidate| (candidate.node, candidate.samples) = ("c".parse().unwrap(), 0)),
        other,
    ];
    let tally = world.core.store.count_group(offers, NOW).await.unwrap();
    let codes: Vec<_> = tally.answers.iter().map(code).collect();
    let expected =
        ["not_selected", "unknown_round", "counted", "later", "samples_out_of_range", "counted"];
    assert_eq!(codes, expected);
    assert!(!tally.closes);
    let conflict = with(|candidate| candidate.payload = federation::Digest::of(b"else"));
    let tally = world.core.store.count_group(vec![conflict], NOW).await.unwrap();
    assert_eq!(code(&tally.answers[0]), "update_conflict");
    assert_eq!(world.core.store.live().await.unwrap()[0].live.as_ref().unwrap().updates, 2);
}

#[tokio::test]
async fn a_group_that_passes_the_goal_is_counted_to_the_goal() {
    let (mut world, nodes) = opened(World::new().await, &["a", "b", "c"], 2).await;
    let mut offers = Vec::new();
    for (node, delta) in nodes.iter().zip([1, 10, 100]) {
        offers.push(offer(&world, node, delta).await);
    }
    let tally = world.core.store.count_group(offers.clone(), NOW).await.unwrap();
    let codes: Vec<_> = tally.answers.iter().map(code).collect();
    assert_eq!(codes, ["counted", "counted", "round_full"]);
    assert!(tally.closes);
    world.tick().await;
    let mut sum = Sum::new(4);
    sum.fold(&[1; 4], 10);
    sum.fold(&[10; 4], 10);
    let digest = federation::Digest::of(&sum.encode());
    assert_eq!(
        world.versions("m").await[1].sum_digest,
        Some(digest),
        "what was refused left no trace"
    );
    let late = world.core.store.count_group(offers, Timestamp(9)).await.unwrap();
    let codes: Vec<_> = late.answers.iter().map(code).collect();
    assert_eq!(codes, ["counted", "counted", "round_closed"]);
    assert_eq!(late.answers[0], tally.answers[0], "the first receipt, byte for byte");
}

#[tokio::test]
async fn the_same_update_twice_in_a_group_is_counted_once() {
    let (world, nodes) = opened(World::new().await, &["a"], 1).await;
    let offered = offer(&world, &nodes[0], 1).await;
    let tally = world.core.store.count_group(vec![offered.clone(); 3], NOW).await.unwrap();
    let codes: Vec<_> = tally.answers.iter().map(code).collect();
    assert_eq!(codes, ["counted", "later", "later"]);
    let again = world.core.store.count_group(vec![offered; 2], Timestamp(9)).await.unwrap();
    assert_eq!(again.answers, [tally.answers[0].clone(), tally.answers[0].clone()]);
}

#[tokio::test]
async fn a_group_may_be_wider_than_one_statement() {
    let names: Vec<String> = (0..300).map(|i| format!("n{i:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (world, nodes) = opened(World::new().await, &names, 300).await;
    let mut offers = Vec::new();
    for (node, delta) in nodes.iter().zip((0..100).cycle()) {
        offers.push(offer(&world, node, delta).await);
    }
    let tally = world.core.store.count_group(offers.clone(), NOW).await.unwrap();
    assert!(tally.closes && tally.answers.iter().all(|answer| code(answer) == "counted"));
    let again = world.core.store.count_group(offers, Timestamp(9)).await.unwrap();
    assert_eq!(again.answers, tally.answers, "each has the receipt of its own update");
}

#[tokio::test]
async fn a_failed_commit_gives_no_receipt_and_the_sum_is_read_again() {
    let (mut world, nodes) = opened(World::new().await, &["a", "b", "c"], 3).await;
    let first = offer(&world, &nodes[0], 1).await;
    world.count(&first.candidate, &[1; 4]).await.unwrap();
    run_sql(
        &world,
        "CREATE TRIGGER refuse BEFORE UPDATE ON sums BEGIN SELECT raise(ABORT, 'as a bad disk would'); END",
    )
    .await;
    let second = offer(&world, &nodes[1], 2).await;
    let error = world.try_count(&second.candidate, &[2; 4]).await.unwrap_err();
    assert!(matches!(error, Uncounted::Failed(_)), "{error:?}");
    assert_eq!(world.order(&nodes[1]).await.round, second.candidate.round, "it is still wanted");
    run_sql(&world, "DROP TRIGGER refuse").await;
    let receipt: Receipt = world.count(&second.candidate, &[2; 4]).await.unwrap();
    assert_eq!(receipt.payload, second.candidate.payload);
    let third = offer(&world, &nodes[2], 3).await;
    world.count(&third.candidate, &[3; 4]).await.unwrap();
    world.tick().await;
    let mut sum = Sum::new(4);
    for delta in 1..=3 {
        sum.fold(&[delta; 4], 10);
    }
    let version = &world.versions("m").await[1];
    assert_eq!(version.sum_digest, Some(federation::Digest::of(&sum.encode())));
}

#[tokio::test]
async fn a_full_queue_says_busy_and_holds_no_more() {
    let bounds = GroupLimits { updates_max: 1, queue_max: 1, ..BOUNDS };
    let (world, nodes) = opened(World::bounded(bounds).await, &["a", "b", "c"], 3).await;
    let mut offers = Vec::new();
    for node in &nodes {
        offers.push(offer(&world, node, 1).await);
    }
    let room = world.core.payload_room.available_permits();
    let (release, held) = hold(&world);
    let mut held = pin!(held);
    let push = async |offer: &Offer| world.try_count(&offer.candidate, &[1; 4]).await;
    let mut first = pin!(push(&offers[0]));
    let mut second = pin!(push(&offers[1]));
    let in_commit = async {
        while world.core.groups.sender.capacity() != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = &mut held => unreachable!("it is held"),
        _ = &mut first => unreachable!("the writer is held"),
        () = async { tokio::task::yield_now().await; in_commit.await } => {}
    }
    let third = async {
        while world.core.groups.sender.capacity() != 0 {
            tokio::task::yield_now().await;
        }
        push(&offers[2]).await
    };
    let refused = tokio::select! {
        biased;
        _ = &mut second => unreachable!("it waits for the first"),
        refused = third => refused,
    };
    assert!(matches!(refused, Err(Uncounted::Busy)), "{refused:?}");
    assert_eq!(world.core.payload_room.available_permits(), room - 2, "what waits has its room");
    release.send(()).unwrap();
    let (first, second, ()) = tokio::join!(first, second, held);
    first.unwrap().unwrap();
    second.unwrap().unwrap();
    assert_eq!(world.core.payload_room.available_permits(), room);
    world.count(&offers[2].candidate, &[1; 4]).await.unwrap();
}

#[tokio::test]
async fn an_update_of_a_node_that_is_known_to_be_counted_is_judged_by_the_database() {
    let (world, nodes) = opened(World::new().await, &["a", "b"], 2).await;
    let offered = offer(&world, &nodes[0], 1).await;
    let receipt = world.push(&offered.candidate, &[1; 4]).await.unwrap();
    assert_eq!(world.push(&offered.candidate, &[1; 4]).await.unwrap(), receipt);
    let mut other = offered.candidate;
    other.payload = federation::Digest::of(&[2; 4]);
    let refusal = world.push(&other, &[2; 4]).await.unwrap_err();
    assert_eq!(refusal.code, RefusalCode::UpdateConflict);
}
