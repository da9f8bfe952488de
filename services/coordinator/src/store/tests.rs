//! The store on a real file: every query, every refusal to open, and what happens when a write goes wrong.

use std::future::poll_fn;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::Poll;

use federation::{
    Digest, Evaluation, ModelName, RefusalCode, RunId, Settled as Fate, Timestamp, limits,
};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::oneshot;

use super::{
    Created, Entry, Fault, ModelExists, NewRun, NotStarted, Offer, OpenError, RunState, Sql, Store,
    StoreError, Which, WhichRounds, WhichRuns,
};
use crate::commit::Uncounted;
use crate::testing::{World, artifact, done, enrolment, fleet, plan, update};

const NOW: Timestamp = Timestamp(1_000);

fn name(text: &str) -> ModelName {
    text.parse().unwrap()
}

/// Changes the file behind the store's back.
async fn tamper(file: &Path, sql: &'static str) {
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn open_error(file: &Path) -> OpenError {
    Store::open(file, 0, &Sql::Awaited).await.unwrap_err()
}

#[tokio::test]
async fn receipts_rest_on_full_synchronisation() {
    let world = World::new().await;
    let read = world.core.store.write("settings", async |tx: &mut SqliteConnection| {
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *tx).await?;
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *tx).await?;
        let keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *tx).await?;
        Ok((synchronous, journal, keys))
    });
    assert_eq!(read.await.unwrap(), (2, "wal".to_owned(), 1));
    let written = world.core.store.read("sneak", async |tx: &mut SqliteConnection| {
        sqlx::query("DELETE FROM nodes").execute(tx).await?;
        Ok(())
    });
    assert!(matches!(written.await, Err(StoreError::Failed { .. })), "readers only read");
}

#[tokio::test]
async fn a_reopened_file_holds_everything() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    let run = world.run("m", plan(2, 2)).await;
    world.tick().await;
    let order = world.order(&nodes[0]).await;
    let (candidate, payload) = update(&order, &nodes[0], 1);
    let receipt = world.push(&candidate, &payload).await.unwrap();
    let evaluation = Evaluation {
        node: nodes[0].clone(),
        model: name("m"),
        version: order.base,
        samples: 9,
        correct: 7,
    };
    world.core.record(evaluation).await.unwrap().unwrap();
    let before = world.core.store.runs(WhichRuns::default(), 0, 10).await.unwrap();
    let versions = world.versions("m").await;
    let accuracy = versions[0].accuracy.unwrap();
    assert_eq!((accuracy.nodes, accuracy.samples, accuracy.correct), (1, 9, 7));

    let world = world.reopened(0, 0).await;
    let store = &world.core.store;
    assert_eq!(store.runs(WhichRuns::default(), 0, 10).await.unwrap(), before);
    assert_eq!(world.versions("m").await, versions);
    assert_eq!(store.nodes(String::new(), 10).await.unwrap().len(), 2);
    assert_eq!(store.node(nodes[1].clone()).await.unwrap().unwrap().id, nodes[1]);
    assert_eq!(world.push(&candidate, &payload).await.unwrap(), receipt);
    assert_eq!(store.settled(receipt.round, nodes[0].clone()).await.unwrap(), Fate::Open);
    let rounds = store.rounds(run.id, WhichRounds::default(), 0, 10).await.unwrap().unwrap();
    assert_eq!((rounds.len(), rounds[0].totals.updates), (1, 1));
    assert!(store.is_counted(rounds[0].key, nodes[0].clone()).await.unwrap());
    assert!(!store.is_counted(rounds[0].key, nodes[1].clone()).await.unwrap());
    assert_eq!(store.live().await.unwrap()[0].live.as_ref().unwrap().updates, 1);
    assert_eq!(store.cohort(rounds[0].key).await.unwrap().len(), 2);
    let bytes = store.artifact(order.base).await.unwrap().unwrap();
    assert_eq!(Digest::of(&bytes), order.base);
    assert_eq!(store.artifact(order.base).await.unwrap().unwrap(), bytes, "from memory");
    assert_eq!(store.artifact(Digest::of(b"x")).await.unwrap(), None);
}

#[tokio::test]
async fn models_are_made_once() {
    let world = World::new().await;
    let store = &world.core.store;
    let create = async |text, weights| {
        let made = done(NOW, |deed| store.create_model(name(text), artifact(weights), deed));
        made.await.unwrap()
    };
    let Ok(Created::New(made)) = create("m", 4).await else { panic!() };
    assert_eq!(create("m", 4).await, Ok(Created::Same(made.clone())));
    assert_eq!(create("m", 5).await, Err(ModelExists));
    assert!(matches!(create("other", 4).await, Ok(Created::New(_))), "an artifact may be shared");
    assert_eq!(store.model(name("m")).await.unwrap(), Some(made));
    assert_eq!(store.model(name("n")).await.unwrap(), None);
    let listed = store.models("m".to_owned(), 10).await.unwrap();
    assert_eq!(listed.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(store.models(String::new(), 1).await.unwrap().len(), 1);
    for (which, found) in [
        (Which::Latest, true),
        (Which::Number(1), true),
        (Which::Number(2), false),
        (Which::Number(0), false),
    ] {
        assert_eq!(
            store.version(name("m"), which.clone()).await.unwrap().is_some(),
            found,
            "{which:?}"
        );
    }
    assert_eq!(store.version(name("n"), Which::Latest).await.unwrap(), None);
    assert_eq!(store.versions(name("n"), None, 0, 10).await.unwrap(), None);
}

#[tokio::test]
async fn a_model_has_one_run_at_a_time() {
    let world = World::new().await;
    let store = &world.core.store;
    let create = async |text: &str| {
        let new = NewRun { model: name(text), plan: plan(1, 1) };
        done(NOW, |deed| store.create_run(new, deed)).await.unwrap()
    };
    assert_eq!(create("m").await, Err(NotStarted::UnknownModel));
    let run = world.run("m", plan(1, 1)).await;
    assert_eq!(create("m").await, Err(NotStarted::ModelBusy(run.id)));
    assert_eq!(store.run(run.id).await.unwrap(), Some(run.clone()));
    for unknown in [0, 2, u64::MAX] {
        assert_eq!(store.run(RunId(unknown)).await.unwrap(), None);
        assert_eq!(store.rounds(RunId(unknown), WhichRounds::default(), 0, 1).await.unwrap(), None);
    }
    assert_eq!(store.runs(WhichRuns::default(), 1, 10).await.unwrap(), []);
    assert_eq!(run.plan, plan(1, 1));
}

#[tokio::test]
async fn a_key_is_one_node_and_a_name_is_one_key() {
    let world = World::new().await;
    let first = world.core.store.enrol(enrolment("a"), Entry::Open, NOW).await.unwrap().unwrap();
    assert_eq!(
        world.core.store.enrol(enrolment("a"), Entry::Open, NOW).await.unwrap().unwrap(),
        first
    );

    let mut renamed = enrolment("b");
    renamed.public_key = first.public_key;
    renamed.labels.insert("site".to_owned(), "ams".to_owned());
    let same =
        world.core.store.enrol(renamed, Entry::Open, Timestamp(2_000)).await.unwrap().unwrap();
    assert_eq!((same.id, same.enrolled_ms, same.seen_ms), (first.id.clone(), 1_000, 2_000));
    assert_eq!(same.labels.len(), 2, "labels are refreshed");

    let mut thief = enrolment("a");
    thief.public_key = [9; 32];
    let refusal = world.core.store.enrol(thief, Entry::Open, NOW).await.unwrap().unwrap_err();
    assert_eq!(refusal.code, RefusalCode::NameTaken);
    assert_eq!(world.core.store.nodes(String::new(), 10).await.unwrap().len(), 1);
    let count = async |names: &[&str], learner: &str| {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        world.core.store.count_enrolled(names, learner.to_owned()).await.unwrap()
    };
    assert_eq!(count(&["a", "b"], "reckon/1").await, 1);
    assert_eq!(count(&["a"], "other/1").await, 0);
    world.core.store.keep_time(vec![], vec![(first.id.clone(), Timestamp(9_000))]).await.unwrap();
    assert_eq!(world.core.store.node(first.id).await.unwrap().unwrap().seen_ms, 9_000);
}

#[tokio::test]
async fn evaluations_replace_each_other_and_need_a_version() {
    let world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    world.run("m", plan(2, 1)).await;
    let version = world.versions("m").await[0].digest;
    let report = async |node: &str, model: &str, version, samples, correct| {
        let (node, model) = (node.parse().unwrap(), name(model));
        let evaluation = Evaluation { node, model, version, samples, correct };
        world.core.record(evaluation).await.unwrap().map_err(|refusal| refusal.code)
    };
    for (samples, correct) in [(10, 1), (10, 9), (10, 9)] {
        assert_eq!(report("a", "m", version, samples, correct).await, Ok(()));
    }
    assert_eq!(report("b", "m", version, 10, 10).await, Ok(()));
    let accuracy = world.versions("m").await[0].accuracy.unwrap();
    assert_eq!((accuracy.nodes, accuracy.samples, accuracy.correct), (2, 20, 19));
    use RefusalCode::{EvaluationOutOfRange, UnknownNode, UnknownVersion};
    assert_eq!(report("x", "m", version, 10, 1).await, Err(UnknownNode));
    assert_eq!(report("a", "n", version, 10, 1).await, Err(UnknownVersion));
    assert_eq!(report("a", "m", Digest::of(b"x"), 10, 1).await, Err(UnknownVersion));
    for (samples, correct) in [(0, 0), (10, 11), (limits::SAMPLES_MAX + 1, 1)] {
        assert_eq!(report("a", "m", version, samples, correct).await, Err(EvaluationOutOfRange));
    }
    assert_eq!(nodes.len(), 2);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let world = World::new().await;
    world.core.store.close().await;
    tamper(
        &world.file(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', 1, x'00', 0)",
    )
    .await;
    let before = std::fs::read(world.file()).unwrap();
    let OpenError::Newer { found, known } = open_error(&world.file()).await else { panic!() };
    let error = crate::start::open_store(world.dir.path(), 0, &Sql::Awaited).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("schema_newer", 65));
    assert!(error.to_string().contains(&format!("version {found}")), "{error}");
    let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite");
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.split_once('_').unwrap().0.parse::<i64>().unwrap()
    };
    let newest = std::fs::read_dir(migrations).unwrap().map(number).max().unwrap();
    assert_eq!((found, known), (9_999, newest));
    assert_eq!(std::fs::read(world.file()).unwrap(), before);
    // Neither way in leaves a log beside it, nor may one still be about to take it away.
    for beside in ["coordinator.db-wal", "coordinator.db-shm"] {
        assert!(!world.file().with_file_name(beside).exists(), "{beside} is left");
    }
}

#[tokio::test]
async fn a_database_of_the_first_release_keeps_its_turns() {
    let dir = tempfile::tempdir().unwrap();
    let first =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/sqlite/0001_initial.sql");
    std::fs::copy(first, dir.path().join("0001_initial.sql")).unwrap();
    let file = dir.path().join("old.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let migrator = sqlx::migrate::Migrator::new(dir.path()).await.unwrap();
    migrator.run_direct(None, &mut connection, false).await.unwrap();
    connection.close().await.unwrap();
    tamper(
        &file,
        "INSERT INTO artifacts VALUES (zeroblob(32), x'00');
         INSERT INTO models VALUES ('m', 'reckon/1', 4, 0);
         INSERT INTO nodes VALUES ('a', zeroblob(32), '{}', '[]', 0, 0), ('b', randomblob(32), '{}', '[]', 0, 0);
         INSERT INTO runs VALUES (1, 'm', '{}', 'running', NULL, 0, 1, 3, 1, 0, NULL);
         INSERT INTO rounds (id, run_id, number, attempt, state, base_version, cohort, opened_ms, closed_ms)
         VALUES (5, 1, 1, 1, 'published', 1, 1, 0, 0), (9, 1, 2, 1, 'published', 1, 1, 0, 0);
         INSERT INTO cohorts VALUES (5, 'a'), (9, 'a')",
    )
    .await;
    let store = Store::open(&file, 0, &Sql::Awaited).await.unwrap();
    let nodes = store.nodes(String::new(), 10).await.unwrap();
    let turns: Vec<_> = nodes.iter().map(|node| (node.turns.last, node.turns.count)).collect();
    assert_eq!(turns, [(9, 2), (0, 0)]);
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.db");
    std::fs::write(&file, [7; 8_192]).unwrap();
    assert!(matches!(open_error(&file).await, OpenError::Invalid(_)));
    std::fs::remove_file(&file).unwrap();
    tamper(&file, "CREATE TABLE recipes (id INTEGER PRIMARY KEY)").await;
    let error = open_error(&file).await;
    assert!(matches!(&error, OpenError::Invalid(why) if why.contains("recipes")), "{error}");
    let missing = open_error(&dir.path().join("no/such/dir/x.db")).await;
    assert!(matches!(missing, OpenError::Unusable(_)), "{missing}");

    let world = World::new().await;
    world.core.store.close().await;
    let bytes = std::fs::read(world.file()).unwrap();
    std::fs::write(world.file(), &bytes[..bytes.len() / 2]).unwrap();
    let cut = open_error(&world.file()).await;
    assert!(matches!(cut, OpenError::Invalid(_)), "{cut}");
    tamper(&dir.path().join("y.db"), "CREATE TABLE _sqlx_migrations (version INTEGER)").await;
    assert!(Store::open(&dir.path().join("y.db"), 0, &Sql::Awaited).await.is_err());
}

#[tokio::test]
async fn a_full_database_refuses_changes_nothing_and_recovers() {
    const WIDE: u32 = 200_000;
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    let store = &world.core.store;
    let made = done(NOW, |deed| store.create_model(name("m"), artifact(WIDE), deed)).await;
    made.unwrap().unwrap();
    let mut wide = plan(2, 1);
    wide.samples_max = limits::SAMPLES_MAX;
    let new = NewRun { model: name("m"), plan: wide };
    done(NOW, |deed| store.create_run(new, deed)).await.unwrap().unwrap();
    world.tick().await;
    let order = world.order(&nodes[0]).await;
    let size_mib = u32::try_from(std::fs::metadata(world.file()).unwrap().len() >> 20).unwrap();

    // No room is left but for small things.
    let mut world = world.reopened(0, size_mib + 3).await;
    for weights in [100_000, 10_000, 3_000] {
        for i in 0.. {
            let model = name(&format!("fill-{weights}-{i}"));
            let mut fill = artifact(weights);
            let lanes = vec![i8::try_from(i % 100).unwrap(); fill.layout().weights()];
            fill = fill.with_weights(lanes).unwrap();
            let store = &world.core.store;
            match done(NOW, |deed| store.create_model(model.clone(), fill, deed)).await {
                Ok(made) => assert!(matches!(made, Ok(Created::New(_)))),
                Err(StoreError::Full { .. }) => {
                    assert_eq!(world.core.store.model(model).await.unwrap(), None);
                    break;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    // The sum of these samples needs twice the width it had.
    let (mut candidate, payload) = update(&order, &nodes[0], 100);
    candidate.samples = limits::SAMPLES_MAX;
    let error = world.try_count(&candidate, &payload).await.unwrap_err();
    let full = |error: &StoreError| matches!(error, StoreError::Full { .. });
    assert!(matches!(&error, Uncounted::Failed(error) if full(error)), "{error:?}");
    let view = world.core.store.round_view(order.round, nodes[0].clone()).await.unwrap().unwrap();
    assert_eq!(view.receipt, None);
    assert_eq!(world.core.store.live().await.unwrap()[0].live.as_ref().unwrap().updates, 0);
    world.tick().await;

    let mut world = world.reopened(0, 0).await;
    world.push(&candidate, &payload).await.unwrap();
    let (second, payload) = update(&order, &nodes[1], 1);
    let second = federation::Candidate { samples: 10, ..second };
    world.push(&second, &payload).await.unwrap();
    world.tick().await;
    assert_eq!(world.versions("m").await[1].made_by.unwrap().2.updates, 2);
}

#[tokio::test]
async fn a_panic_or_a_fault_in_a_transaction_rolls_it_back_and_the_next_one_works() {
    let world = World::new().await;
    let store = &world.core.store;
    world.enrol("a").await;
    let panicked: Result<(), _> = store
        .write("panic", async |tx: &mut SqliteConnection| {
            sqlx::query("DELETE FROM nodes").execute(tx).await?;
            panic!("as a bug would")
        })
        .await;
    assert!(matches!(panicked, Err(StoreError::Failed { fault: Fault::Panicked, .. })));
    let failed: Result<(), _> = store
        .write("fault", async |tx: &mut SqliteConnection| {
            sqlx::query("DELETE FROM nodes").execute(&mut *tx).await?;
            sqlx::query("INSERT INTO cohorts VALUES (1, 'nobody')").execute(tx).await?;
            Ok(())
        })
        .await;
    assert!(matches!(failed, Err(StoreError::Failed { fault: Fault::Sql(_), .. })));
    world.enrol("b").await;
    assert_eq!(store.nodes(String::new(), 10).await.unwrap().len(), 2);
}

/// Polls `work` exactly once.
async fn poll_once<F: Future>(mut work: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_stop_its_transaction() {
    let world = World::new().await;
    let store = &world.core.store;
    // The writer is held, so that the enrolment can only be queued behind it when its caller goes.
    let (release, held) = oneshot::channel::<()>();
    let mut hold = pin!(store.write("hold", async move |_: &mut SqliteConnection| {
        held.await.unwrap();
        Ok(())
    }));
    assert!(poll_once(hold.as_mut()).await.is_none());
    {
        let mut enrol = pin!(store.enrol(enrolment("a"), Entry::Open, NOW));
        assert!(poll_once(enrol.as_mut()).await.is_none(), "queued, and its caller hangs up");
    }
    release.send(()).unwrap();
    hold.await.unwrap();
    store.keep_time(vec![], vec![]).await.unwrap();
    assert!(store.node("a".parse().unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let world = World::new().await;
    world.core.store.close().await;
    let error = world.core.store.keep_time(vec![], vec![]).await.unwrap_err();
    assert!(matches!(error, StoreError::Closed { .. }));
    assert!(matches!(world.core.store.live().await, Err(StoreError::Closed { .. })));
    let left: Vec<_> =
        std::fs::read_dir(world.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["coordinator.db"], "the write-ahead log is in the file");
}

#[tokio::test]
async fn values_that_were_never_written_are_errors() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a"]).await;
    let run = world.run("m", plan(1, 1)).await;
    world.tick().await;
    let order = world.order(&nodes[0]).await;
    let (candidate, payload) = update(&order, &nodes[0], 1);
    let check = async |sql: &'static str, undo: &'static str| {
        tamper(&world.file(), sql).await;
        let offer = Offer { candidate: candidate.clone(), payload: payload.clone().into() };
        let count = world.core.store.count_group(vec![offer], NOW).await;
        let shown = world.core.store.run(run.id).await;
        tamper(&world.file(), undo).await;
        let corrupt = |error: Option<StoreError>| {
            matches!(error, Some(StoreError::Failed { fault: Fault::Corrupt(_), .. }))
        };
        assert!(corrupt(count.err()) || corrupt(shown.err()), "{sql}");
    };
    check("UPDATE rounds SET state = 'done'", "UPDATE rounds SET state = 'open'").await;
    check("UPDATE sums SET lanes = x'0200'", "UPDATE sums SET lanes = x'020000000000000000'").await;
    check("UPDATE rounds SET updates = -1", "UPDATE rounds SET updates = 0").await;
    check("UPDATE runs SET state = 'lost'", "UPDATE runs SET state = 'running'").await;
    check(
        "UPDATE runs SET plan = replace(plan, '\"seed\"', '\"sead\"')",
        "UPDATE runs SET plan = replace(plan, '\"sead\"', '\"seed\"')",
    )
    .await;
    tamper(&world.file(), "UPDATE artifacts SET bytes = x'00'").await;
    let damaged = world.core.store.artifact(order.base).await.unwrap_err();
    assert!(matches!(damaged, StoreError::Failed { fault: Fault::Corrupt(_), .. }));
    tamper(&world.file(), "DELETE FROM masters").await;
    world.push(&candidate, &payload).await.unwrap();
    assert!(world.rounds.tick().await.is_err(), "no version without its inputs");
    assert_eq!(world.find_run(&run).await.state, RunState::Running);
}
