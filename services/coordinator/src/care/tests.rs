//! Copies, their way back and the doctor, on real files.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use federation::{Clock as _, Settled};
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::{CareError, Diagnosis, Health, backup, beside, doctor, restore};
use crate::audit::{Standing, verify};
use crate::core::Readiness;
use crate::start::take_data_dir;
use crate::store::StoreError;
use crate::testing::{World, artifact, done, fleet, plan, update};

/// A coordinator in the second of three rounds, with one of two updates counted.
async fn busy() -> (World, Vec<federation::NodeId>) {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    world.run("m", plan(2, 3)).await;
    world.tick().await;
    world.answer(&nodes, |_| 9).await;
    world.tick().await;
    world.tick().await;
    world.answer(&nodes[..1], |_| 9).await;
    (world, nodes)
}

/// A data directory that nobody holds, in the same state.
async fn quiet() -> TempDir {
    let (world, _) = busy().await;
    world.core.store.close().await;
    world.dir
}

async fn sql(file: &Path, text: &str) {
    let url = format!("sqlite://{}", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let text = sqlx::AssertSqlSafe(text.to_owned());
    sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The names in a directory, in order.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

async fn backed_up(data: &Path, to: &Path) -> Result<super::Backup, CareError> {
    backup(data, to, |_| {}).await
}

async fn restored(file: &Path, to: &Path, replace: bool) -> Result<super::Restored, CareError> {
    restore(file, to, replace, &*World::new().await.clock, |_| {}).await
}

/// Overwrites the page that holds some of the file's data.
fn damage(file: &Path) {
    let mut file = fs::OpenOptions::new().write(true).open(file).unwrap();
    // The second page is the root of the first table or index: never free.
    file.seek(SeekFrom::Start(4_096)).unwrap();
    file.write_all(&[0xa5; 4_096]).unwrap();
}

#[tokio::test]
async fn a_backup_is_whole_private_and_alone() {
    let (world, _) = busy().await;
    let out = tempfile::tempdir().unwrap();
    let to = out.path().join("muster.backup");
    // The writer is in the middle of something, and goes on writing.
    let (release, released) = tokio::sync::oneshot::channel();
    let store = &world.core.store;
    let (made, ()) = tokio::join!(
        async {
            let made = backed_up(world.dir.path(), &to).await.unwrap();
            release.send(()).unwrap();
            made
        },
        store.hold(released)
    );
    assert_eq!(names(out.path()), ["muster.backup"]);
    let about = fs::metadata(&to).unwrap();
    assert_eq!((about.permissions().mode() & 0o777, about.len()), (0o600, made.bytes));
    assert_eq!((made.contents.receipts, made.contents.nodes, made.contents.versions), (3, 2, 2));
    let audit = made.audit.unwrap();
    assert_eq!(audit, verify(&world.file(), None).await.unwrap());
    assert_eq!(audit.verdict, Standing::Ok);

    let error = backed_up(world.dir.path(), &to).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("backup_exists", 73));
    assert_eq!(fs::metadata(&to).unwrap().len(), made.bytes, "it is left as it was");
}

#[tokio::test]
async fn a_backup_that_was_interrupted_is_in_no_ones_way_and_one_that_runs_is() {
    let data = quiet().await;
    let out = tempfile::tempdir().unwrap();
    let to = out.path().join("b");
    fs::write(beside(&to, ".partial"), b"half of a copy").unwrap();
    let running = fs::File::open(beside(&to, ".partial")).unwrap();
    running.lock().unwrap();
    let error = backed_up(data.path(), &to).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("backup_running", 75));
    drop(running);
    backed_up(data.path(), &to).await.unwrap();
    assert_eq!(names(out.path()), ["b"]);
    assert_eq!(names(data.path()), ["coordinator.db"], "nothing is left beside the database");
}

#[tokio::test]
async fn what_cannot_be_copied_is_told_and_leaves_nothing() {
    let out = tempfile::tempdir().unwrap();
    let to = out.path().join("b");
    let error = backed_up(&out.path().join("none"), &to).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("database_missing", 66));
    let data = quiet().await;
    let error = backed_up(data.path(), &out.path().join("none/b")).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("copy_unwritable", 73));

    sql(&data.path().join("coordinator.db"), "PRAGMA foreign_keys = OFF; DELETE FROM nodes").await;
    let error = backed_up(data.path(), &to).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("database_damaged", 65));
    assert!(error.to_string().contains("refers to no row of nodes"), "{error}");

    let data = quiet().await;
    let tamper = "DROP TRIGGER audit_is_never_edited; UPDATE audit SET actor = 'x' WHERE seq = 2";
    sql(&data.path().join("coordinator.db"), tamper).await;
    let error = backed_up(data.path(), &to).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("audit_broken", 65));
    assert!(error.to_string().contains("entry 2: "), "{error}");

    let data = quiet().await;
    damage(&data.path().join("coordinator.db"));
    let error = backed_up(data.path(), &to).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("database_invalid", 65));
    assert_eq!(names(out.path()), [""; 0]);
}

#[tokio::test]
async fn a_restored_database_goes_on_where_the_copy_was_and_gives_no_number_twice() {
    let (mut world, nodes) = busy().await;
    let out = tempfile::tempdir().unwrap();
    let (copy, place) = (out.path().join("b"), tempfile::tempdir().unwrap());
    backed_up(world.dir.path(), &copy).await.unwrap();
    let events = world.count_rows("events").await;
    // What is lost: the rest of the round, the round after it, and another run.
    let lost = world.order(&nodes[1]).await;
    world.answer(&nodes[1..], |_| 9).await;
    world.tick().await;
    world.tick().await;
    let later = world.order(&nodes[0]).await.round;
    world.answer(&nodes[..1], |_| 9).await;
    let other = world.run("n", plan(2, 1)).await;
    assert_eq!(other.id.0, 2);
    world.core.store.close().await;

    let done = restored(&copy, place.path(), false).await.unwrap();
    assert_eq!((done.contents.receipts, &done.replaced), (3, &None));
    assert_eq!(done.audit.as_ref().unwrap().verdict, Standing::Ok);
    assert_eq!(names(place.path()), ["coordinator.db", "coordinator.lock"]);
    let mut world = World::on(place).await;
    world.tick().await;
    // The node that had a receipt for what is lost is asked for it again, and what it sends counts.
    let again = world.order(&nodes[1]).await;
    assert_eq!((again.round, again.base, again.seed), (lost.round, lost.base, lost.seed));
    assert_eq!(world.fate(&nodes[1], lost.round).await, Settled::Abandoned);
    // The update for a round that is not known has a code, and its fate too.
    let (mut stray, payload) = update(&again, &nodes[0], 9);
    stray.round = later;
    assert_eq!(world.push(&stray, &payload).await.unwrap_err().code.as_str(), "unknown_round");
    assert_eq!(world.fate(&nodes[0], later).await, Settled::Abandoned);
    world.answer(&nodes[1..], |_| 9).await;
    world.tick().await;
    world.tick().await;
    world.answer(&nodes, |_| 9).await;
    world.tick().await;
    assert_eq!(world.versions("m").await.len(), 4);
    let fresh = world.run("n", plan(2, 1)).await;
    assert!(fresh.id.0 > other.id.0, "no run has the number of a lost one: {}", fresh.id);
    assert!(world.count_rows("events").await > events);
    world.core.store.close().await;
    assert_eq!(verify(&world.file(), None).await.unwrap().verdict, Standing::Ok);
}

#[tokio::test]
async fn a_restore_takes_no_place_by_mistake_and_keeps_what_was_there() {
    let (world, _) = busy().await;
    let out = tempfile::tempdir().unwrap();
    let copy = out.path().join("b");
    backed_up(world.dir.path(), &copy).await.unwrap();
    world.core.store.close().await;
    let data = world.dir.path();

    let held = take_data_dir(data).unwrap();
    let error = restored(&copy, data, true).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("data_dir_in_use", 75));
    drop(held);
    let before = fs::read(world.file()).unwrap();
    let error = restored(&copy, data, false).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("database_exists", 73));
    // What is not a good copy replaces nothing.
    let bad = out.path().join("bad");
    fs::copy(&copy, &bad).unwrap();
    damage(&bad);
    assert_eq!(restored(&bad, data, true).await.unwrap_err().code(), "database_invalid");
    fs::write(&bad, b"no database").unwrap();
    assert_eq!(restored(&bad, data, true).await.unwrap_err().code(), "database_invalid");
    fs::copy(&copy, &bad).unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
                 VALUES (9999, '', 0, TRUE, x'00', 0)";
    sql(&bad, newer).await;
    let error = restored(&bad, data, true).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("schema_newer", 65));
    let error = restored(&out.path().join("none"), data, true).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("database_missing", 66));
    assert_eq!(fs::read(world.file()).unwrap(), before);
    assert_eq!(names(data), ["coordinator.db", "coordinator.lock"]);

    // An interrupted one left half of a copy. The database that is replaced was left by a crash: some of it is in its log.
    fs::write(data.join("coordinator.db.restoring"), b"half").unwrap();
    let url = format!("sqlite://{}", world.file().display());
    let mut crashed = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("PRAGMA wal_autocheckpoint = 0; UPDATE nodes SET seen_ms = 77")
        .execute(&mut crashed)
        .await
        .unwrap();
    let log = fs::read(beside(&world.file(), "-wal")).unwrap();
    assert!(!log.is_empty());
    let left = out.path().join("left.db");
    fs::copy(world.file(), &left).unwrap();
    crashed.close().await.unwrap();
    fs::copy(&left, world.file()).unwrap();
    fs::write(beside(&world.file(), "-wal"), log).unwrap();

    let done = restored(&copy, data, true).await.unwrap();
    let kept = data.join("coordinator.db.replaced-1");
    assert_eq!(done.replaced.as_ref(), Some(&kept));
    assert_eq!(names(data), ["coordinator.db", "coordinator.db.replaced-1", "coordinator.lock"]);
    let mut old = SqliteConnection::connect(&format!("sqlite://{}", kept.display())).await.unwrap();
    let seen: i64 =
        sqlx::query_scalar("SELECT min(seen_ms) FROM nodes").fetch_one(&mut old).await.unwrap();
    assert_eq!(seen, 77, "what its log held is kept with it");
    old.close().await.unwrap();
    assert_eq!(verify(&world.file(), None).await.unwrap().verdict, Standing::Ok);
    // And one that is damaged can be replaced all the same.
    damage(&world.file());
    let done = restored(&copy, data, true).await.unwrap();
    assert_eq!(done.replaced, Some(data.join("coordinator.db.replaced-2")));
}

/// Makes a model of this many weights; the answer is whether there was room.
async fn has_room(world: &World, name: &str, weights: u32) -> bool {
    let (store, now) = (&world.core.store, world.clock.wall());
    let name = name.parse().unwrap();
    match done(now, |deed| store.create_model(name, artifact(weights), deed)).await {
        Ok(made) => made.is_ok(),
        Err(StoreError::Full { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_full_database_is_told_apart_and_has_room_again() {
    let (world, _) = busy().await;
    let mut world = world.reopened(0, 2).await;
    let second = async |world: &mut World| {
        world.advance(1_000);
        world.tick().await;
        world.core.readiness()
    };
    // What is too much alone leaves room for others.
    assert!(!has_room(&world, "huge", 2_500_000).await);
    assert_eq!(second(&mut world).await, Readiness::Ready);
    for (round, weights) in [500_000, 100_000, 20_000].into_iter().enumerate() {
        let mut number = 0;
        while has_room(&world, &format!("m{round}-{number}"), weights + number).await {
            number += 1;
            assert!(number < 100, "the size has a limit");
        }
    }
    assert_eq!(second(&mut world).await, Readiness::StorageFull);
    assert_eq!(second(&mut world).await, Readiness::StorageFull, "until there is room");
    // Somebody makes room.
    sql(
        &world.file(),
        "UPDATE artifacts SET bytes = x'', dropped_ms = 1 WHERE length(bytes) > 90000",
    )
    .await;
    assert_eq!(second(&mut world).await, Readiness::Ready);
    assert_eq!(world.count_rows("room").await, 0, "nothing is left of the trial");
    assert!(has_room(&world, "last", 90_000).await);
}

async fn examined(world: &World) -> Diagnosis {
    doctor(world.dir.path(), None, &*world.clock).await
}

fn status(found: &Diagnosis, name: &str) -> Health {
    let check = found.checks.iter().find(|check| check.name == name);
    check.unwrap_or_else(|| panic!("{name} is looked at: {found}")).status
}

fn says(found: &Diagnosis, name: &str) -> String {
    found.checks.iter().find(|check| check.name == name).unwrap().says.clone()
}

#[tokio::test]
async fn a_doctor_finds_nothing_where_nothing_is() {
    let (world, _) = busy().await;
    fs::set_permissions(world.dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let held = take_data_dir(world.dir.path()).unwrap();
    let found = examined(&world).await;
    assert_eq!((found.status, found.exit_code()), (Health::Ok, 0), "{found}");
    assert_eq!(says(&found, "lock"), "a coordinator runs on it");
    drop(held);
    world.core.store.close().await;
    let found = examined(&world).await;
    assert_eq!(found.status, Health::Ok, "{found}");
    assert_eq!(says(&found, "lock"), "no coordinator runs on it");
    assert!(found.to_string().ends_with("All is well."), "{found}");
    assert_eq!(names(world.dir.path()), ["coordinator.db", "coordinator.lock"], "it only looks");
}

#[tokio::test]
async fn a_doctor_knows_the_end_of_a_certificate() {
    let (world, _) = busy().await;
    let file = world.dir.path().join("cert.pem");
    // The world stands on 2023-11-14.
    for ((year, month, day), status, says) in [
        ((2025, 1, 1), Health::Ok, "good for 413 days"),
        ((2023, 12, 1), Health::Warn, "good for 16 days"),
        ((2023, 11, 1), Health::Fail, "over since 13 days"),
    ] {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        fs::write(&file, made.pem()).unwrap();
        let found = doctor(world.dir.path(), Some(&file), &*world.clock).await;
        let check = found.checks.iter().find(|check| check.name == "tls").unwrap();
        assert_eq!(check.status, status, "{found}");
        assert!(check.says.contains(says), "{found}");
    }
}

#[tokio::test]
async fn a_doctor_finds_what_is_wrong() {
    let (world, _) = busy().await;
    world.core.store.close().await;
    let (data, file) = (world.dir.path(), world.file());
    let good = fs::read(&file).unwrap();

    fs::set_permissions(data, fs::Permissions::from_mode(0o755)).unwrap();
    let found = examined(&world).await;
    assert_eq!((status(&found, "directory"), found.exit_code()), (Health::Warn, 1), "{found}");
    fs::set_permissions(data, fs::Permissions::from_mode(0o700)).unwrap();

    let late = world.clock.wall().0 + 3_600_000;
    sql(&file, &format!("UPDATE nodes SET seen_ms = {late} WHERE id = 'a'")).await;
    let found = examined(&world).await;
    assert_eq!((status(&found, "clock"), found.exit_code()), (Health::Warn, 1), "{found}");

    fs::write(&file, &good).unwrap();
    sql(&file, "UPDATE artifacts SET bytes = zeroblob(length(bytes))").await;
    let found = examined(&world).await;
    assert_eq!((status(&found, "artifacts"), found.exit_code()), (Health::Fail, 2), "{found}");

    fs::write(&file, &good).unwrap();
    sql(&file, "UPDATE versions SET created_ms = 0, sum_digest = zeroblob(32)").await;
    let found = examined(&world).await;
    assert_eq!((status(&found, "audit"), found.exit_code()), (Health::Fail, 2), "{found}");

    fs::write(&file, &good).unwrap();
    sql(&file, "DELETE FROM _sqlx_migrations WHERE version > 1").await;
    let found = examined(&world).await;
    assert_eq!((status(&found, "schema"), found.exit_code()), (Health::Warn, 1), "{found}");
    sql(&file, "UPDATE _sqlx_migrations SET version = 9999").await;
    let found = examined(&world).await;
    assert_eq!((status(&found, "schema"), found.exit_code()), (Health::Fail, 2), "{found}");

    fs::write(&file, &good).unwrap();
    damage(&file);
    assert_eq!(examined(&world).await.exit_code(), 2);
    fs::remove_file(&file).unwrap();
    let found = examined(&world).await;
    assert_eq!((status(&found, "database"), found.exit_code()), (Health::Fail, 2), "{found}");
}
