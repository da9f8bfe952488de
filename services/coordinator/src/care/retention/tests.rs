//! What is dropped, what is not, and what is said of it afterwards.

use std::path::Path;

use federation::{NodeId, RefusalCode, Settled};
use sqlx::{Connection as _, SqliteConnection};

use super::{AGAIN_MS, DAY_MS, EVERY_MS, FIRST_MS, Housekeeping, Policy};
use crate::audit::{Outcome, Standing, replay, verify};
use crate::core::Limits;
use crate::store::{StoreError, WhichRounds};
use crate::testing::{World, fleet, plan, update};

const NOTHING: Policy = Policy {
    events_days: 0,
    sums_days: 0,
    receipts_days: 0,
    versions_newest: 0,
    versions_every: 0,
};

/// A run of six rounds, of which five are over, a day apart.
async fn aged() -> (World, Vec<NodeId>) {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    world.run("m", plan(2, 6)).await;
    for round in 1..=5 {
        world.tick().await;
        world.answer(&nodes, |_| round * 9).await;
        world.tick().await;
        world.advance(DAY_MS);
    }
    world.tick().await;
    (world, nodes)
}

/// Keeps house until there is nothing more to do, and says in how many steps something was dropped.
async fn keep_house(world: &World, policy: Policy) -> usize {
    world.core.set_limits(Limits { retention: policy, ..world.core.limits() });
    let mut housekeeping = Housekeeping::new(world.core.clone());
    assert!(!housekeeping.tick().await.unwrap(), "not at once");
    world.advance(FIRST_MS);
    let mut steps = 0;
    while housekeeping.tick().await.unwrap() {
        steps += 1;
    }
    assert!(!housekeeping.tick().await.unwrap(), "not for a while");
    world.advance(EVERY_MS);
    assert!(housekeeping.tick().await.unwrap(), "and then again");
    // Each sort says once that there is no more.
    steps - super::KINDS.len()
}

async fn sql(file: &Path, text: &str) {
    let url = format!("sqlite://{}", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let text = sqlx::AssertSqlSafe(text.to_owned());
    let done = sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    assert!(done.rows_affected() > 0);
    connection.close().await.unwrap();
}

/// What verify and replay say: the verdict, how much was dropped, and each version's outcome.
async fn told(world: &World) -> (Standing, u64, Vec<&'static str>, u8) {
    let found = verify(&world.file(), None).await.unwrap();
    assert_eq!(found.broken, None);
    let replayed = replay(&world.file(), None).await.unwrap();
    assert!(replayed.runs.iter().all(|run| run.differences.is_empty()), "{replayed}");
    let outcome = |outcome: &Outcome| match outcome {
        Outcome::Ok => "ok",
        Outcome::Pruned { .. } => "pruned",
        Outcome::Differs { .. } => "differs",
        Outcome::NotReplayable { .. } => "lost",
    };
    let outcomes = replayed.versions.iter().map(|version| outcome(&version.outcome)).collect();
    (found.verdict, found.dropped, outcomes, replayed.exit_code())
}

#[tokio::test]
async fn by_default_nothing_is_dropped_but_old_events() {
    let (world, _) = aged().await;
    assert_eq!(keep_house(&world, NOTHING).await, 0);
    assert_eq!(told(&world).await, (Standing::Ok, 0, vec!["ok"; 6], 0));
    let events = world.count_rows("events").await;
    let policy = Policy { events_days: 3, ..NOTHING };
    assert_eq!(keep_house(&world, policy).await, 1);
    let left = world.count_rows("events").await;
    assert!(left > 0 && left < events, "{left} of {events}");
    assert_eq!(told(&world).await, (Standing::Ok, 0, vec!["ok"; 6], 0), "the log is whole");
    // Numbers go on, and the youngest are there.
    let mut file =
        SqliteConnection::connect(&format!("sqlite://{}", world.file().display())).await.unwrap();
    let (first, last): (i64, i64) =
        sqlx::query_as("SELECT min(seq), max(seq) FROM events").fetch_one(&mut file).await.unwrap();
    assert_eq!((last - first + 1, last), (left, events + 1), "without holes, one for the entry");
}

#[tokio::test]
async fn artifacts_that_nobody_needs_are_dropped_and_replay_does_without_them() {
    let (mut world, nodes) = aged().await;
    let policy = Policy { versions_newest: 2, versions_every: 4, ..NOTHING };
    // Of versions 1 to 6: the run began from 1, 4 is the fourth, 5 and 6 are the newest.
    assert_eq!(keep_house(&world, policy).await, 1);
    let held = async |world: &World| {
        let mut held = Vec::new();
        for version in world.versions("m").await {
            let bytes = world.core.store.artifact(version.digest).await.unwrap();
            held.push((version.number.0, bytes.is_some()));
        }
        held.into_iter().filter(|(_, there)| *there).map(|(number, _)| number).collect::<Vec<_>>()
    };
    // Not those that memory still holds.
    world = world.reopened(0, 0).await;
    assert_eq!(held(&world).await, [1, 4, 5, 6]);
    assert_eq!(told(&world).await, (Standing::Pruned, 2, vec!["ok"; 6], 0));
    let found = verify(&world.file(), None).await.unwrap();
    assert_eq!(found.exit_code(), 3);
    assert!(found.to_string().starts_with("pruned: ") && found.tombstones == 0, "{found}");
    // The run goes on.
    world.tick().await;
    for node in &nodes {
        world.core.hear(node).await.unwrap().unwrap();
    }
    world.answer(&nodes, |_| 9).await;
    world.tick().await;
    assert_eq!(world.versions("m").await.len(), 7);
    // What comes again is there again.
    let mut file =
        SqliteConnection::connect(&format!("sqlite://{}", world.file().display())).await.unwrap();
    let gone: i64 =
        sqlx::query_scalar("SELECT count(*) FROM artifacts WHERE dropped_ms IS NOT NULL")
            .fetch_one(&mut file)
            .await
            .unwrap();
    assert_eq!(gone, 2);
    world.core.store.close().await;
    // And what was dropped by nobody who says so is missing.
    sql(&world.file(), "UPDATE artifacts SET bytes = x'', dropped_ms = 1 WHERE dropped_ms IS NULL")
        .await;
    let found = verify(&world.file(), None).await.unwrap();
    assert_eq!(found.verdict, Standing::Broken);
    let why = found.broken.unwrap().why;
    assert!(why.contains("the artifact of version m/1 is gone"), "{why}");
}

#[tokio::test]
async fn a_dropped_sum_ends_replay_where_it_was_and_is_said_to_be_dropped() {
    let (world, _) = aged().await;
    // Round 1 ended five days ago, round 5 one day ago.
    let policy = Policy { sums_days: 4, ..NOTHING };
    assert_eq!(keep_house(&world, policy).await, 1);
    assert_eq!(world.count_rows("sums").await, 4);
    let outcomes = vec!["ok", "pruned", "pruned", "pruned", "pruned", "pruned"];
    assert_eq!(told(&world).await, (Standing::Pruned, 2, outcomes, 3));
    let text = replay(&world.file(), None).await.unwrap().to_string();
    assert!(text.contains("m/2: pruned: its sum is not stored any more\n"), "{text}");
    world.core.store.close().await;
    sql(&world.file(), "DELETE FROM sums; UPDATE rounds SET sum_dropped_ms = 1").await;
    let found = verify(&world.file(), None).await.unwrap();
    assert!(found.broken.unwrap().why.contains("the sum of round 1/3/1 is gone"));
}

#[tokio::test]
async fn dropped_receipts_are_neither_miscounted_nor_broken_and_their_nodes_are_told() {
    let (world, nodes) = aged().await;
    let policy = Policy { receipts_days: 3, ..NOTHING };
    // A round at a time.
    assert_eq!(keep_house(&world, policy).await, 3);
    assert_eq!(told(&world).await, (Standing::Pruned, 3, vec!["ok"; 6], 0));
    assert_eq!(world.count_rows("contributions").await, 4);
    let order = world.order(&nodes[0]).await;
    let rounds = world.core.store.rounds(order.round.run, WhichRounds::default(), 0, 10).await;
    let kept: Vec<_> = rounds
        .unwrap()
        .unwrap()
        .iter()
        .map(|round| (round.totals.updates, round.dropped))
        .collect();
    assert_eq!(kept, [(2, 2), (2, 2), (2, 2), (2, 0), (2, 0), (0, 0)], "the record says so");
    let mut old = order.round;
    old.number = 1;
    assert_eq!(world.fate(&nodes[0], old).await, Settled::Unknown);
    old.number = 5;
    assert_eq!(world.fate(&nodes[0], old).await, Settled::Published);
    old.number = 1;
    let (mut late, payload) = update(&order, &nodes[0], 9);
    late.round = old;
    assert_eq!(world.push(&late, &payload).await.unwrap_err().code, RefusalCode::NotSelected);
    world.core.store.close().await;
    sql(&world.file(), "DELETE FROM contributions WHERE round_id = 5").await;
    let replayed = replay(&world.file(), None).await.unwrap();
    assert_eq!(replayed.exit_code(), 1, "what was not dropped is missed: {replayed}");
    let gone = "DELETE FROM cohorts WHERE round_id = 5; UPDATE rounds SET receipts_dropped_ms = 1 WHERE id = 5";
    sql(&world.file(), gone).await;
    let found = verify(&world.file(), None).await.unwrap();
    assert!(found.broken.unwrap().why.contains("the receipts of round 1/5/1 is gone"));
}

#[tokio::test]
async fn a_store_that_fails_is_tried_again_in_a_minute() {
    let (world, _) = aged().await;
    let mut housekeeping = Housekeeping::new(world.core.clone());
    world.core.store.close().await;
    world.advance(FIRST_MS);
    for _ in 0..3 {
        assert!(housekeeping.tick().await.unwrap(), "nothing is asked of the store");
    }
    let error = housekeeping.tick().await.unwrap_err();
    assert!(matches!(error, StoreError::Closed { .. }), "{error}");
    assert!(!housekeeping.tick().await.unwrap());
    world.advance(AGAIN_MS);
    housekeeping.tick().await.unwrap_err();
}
