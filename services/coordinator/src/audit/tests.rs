//! The audit log and replay on real files: what is told, and how each way of tampering is named.

use std::path::{Path, PathBuf};

use federation::audit::{Deed, Entry, Head};
use federation::{Clock as _, Digest, NodeId, Timestamp};
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::{AuditError, Outcome, Replay, Standing, Verification, export, prune, replay, verify};
use crate::testing::{World, fleet, plan};

/// Entries of a run of three rounds: two nodes, a model, a run, three rounds of two entries, the end.
const ENTRIES: u64 = 11;

/// A coordinator after a run of three rounds over the model `m`.
async fn finished() -> World {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    train(&mut world, &nodes, 3).await;
    world
}

async fn train(world: &mut World, nodes: &[NodeId], rounds: u32) {
    let run = world.run("m", plan(2, rounds)).await;
    for _ in 0..rounds {
        world.tick().await;
        world.answer(nodes, |order| i8::try_from(order.round.number).unwrap() * 9).await;
        world.tick().await;
    }
    assert!(world.find_run(&run).await.ended_ms.is_some());
}

/// The same as a file that nobody holds.
async fn file() -> (TempDir, PathBuf) {
    let world = finished().await;
    world.core.store.close().await;
    let file = world.file();
    (world.dir, file)
}

async fn connect(file: &Path) -> SqliteConnection {
    let url = format!("sqlite://{}", file.display());
    SqliteConnection::connect(&url).await.unwrap()
}

/// Changes the file as someone who knows SQL and means harm.
async fn tamper(file: &Path, sql: &str) {
    let mut connection = connect(file).await;
    let free = "PRAGMA foreign_keys = OFF; DROP TRIGGER IF EXISTS audit_is_never_deleted;
                DROP TRIGGER IF EXISTS audit_is_never_edited;
                DROP TRIGGER IF EXISTS audit_details_are_only_dropped;";
    sqlx::raw_sql(free).execute(&mut connection).await.unwrap();
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    let done = sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    assert!(done.rows_affected() > 0, "nothing was tampered with");
    connection.close().await.unwrap();
}

async fn verdict(file: &Path) -> Verification {
    verify(file, None).await.unwrap()
}

async fn entries(file: &Path) -> Vec<Entry> {
    super::open(file).await.unwrap().entries_after(0, 1_000).await.unwrap()
}

/// Tampers with a fresh file, and expects the first bad entry and words of why.
async fn is_broken(sql: &str, seq: u64, says: &str) {
    let (_dir, file) = file().await;
    tamper(&file, sql).await;
    let found = verdict(&file).await;
    assert_eq!((found.verdict, found.exit_code()), (Standing::Broken, 1), "{sql}");
    let problem = found.broken.clone().unwrap();
    assert_eq!(problem.seq, seq, "{sql}: {}", problem.why);
    assert!(problem.why.contains(says), "{sql}: {}", problem.why);
    assert!(found.to_string().starts_with(&format!("broken: entry {seq}: ")), "{found}");
}

#[tokio::test]
async fn the_log_tells_who_did_what() {
    let (_dir, file) = file().await;
    let entries = entries(&file).await;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| format!("{} {} {}", entry.actor, entry.action, entry.subject))
        .collect();
    let expected = [
        "node:a node.enrolled a",
        "node:b node.enrolled b",
        "test model.created m/1",
        "test run.created 1",
        "coordinator round.opened 1/1/1",
        "coordinator version.published m/2",
        "coordinator round.opened 1/2/1",
        "coordinator version.published m/3",
        "coordinator round.opened 1/3/1",
        "coordinator version.published m/4",
        "coordinator run.ended 1",
    ];
    assert_eq!(told, expected);
    assert_eq!(u64::try_from(entries.len()).unwrap(), ENTRIES);

    let detail = |seq: usize| -> Value {
        serde_json::from_str(entries[seq - 1].detail.as_deref().unwrap()).unwrap()
    };
    assert_eq!(detail(1)["labels"]["task"], "navigation");
    assert_eq!(detail(1)["public_key_digest"], Digest::of(&Digest::of(b"a").0).to_string());
    assert_eq!(
        (&detail(5)["cohort"], detail(11)["state"].as_str()),
        (&2.into(), Some("completed"))
    );
    assert_eq!(detail(5)["cohort_digest"], Digest::of(b"a\nb\n").to_string());
    let mut reader = super::open(&file).await.unwrap();
    let made = reader.lineage(&"m".parse().unwrap(), federation::VersionNumber(3)).await.unwrap();
    let made = made.unwrap();
    let told = detail(8);
    assert_eq!(
        made.audit_head,
        Some(entries[6].hash),
        "the head before the entry that tells of it"
    );
    assert_eq!(told["digest"], made.digest.to_string());
    assert_eq!(told["parent_digest"], detail(6)["digest"]);
    assert_eq!(told["plan_digest"], detail(4)["plan_digest"]);
    assert_eq!(told["sum_digest"], made.sum_digest.unwrap().to_string());
    assert_eq!(told["optimizer_digest"], made.optimizer_digest.unwrap().to_string());
    for (field, value) in
        [("parent", 2), ("run", 1), ("round", 2), ("attempt", 1), ("updates", 2), ("weight", 20)]
    {
        assert_eq!(told[field], value, "{field}");
    }
}

#[tokio::test]
async fn what_is_refused_or_repeated_is_not_told_and_a_failed_run_is() {
    let mut world = World::new().await;
    let nodes = fleet(&world, &["a", "b"]).await;
    world.enrol("a").await;
    world.run("m", plan(2, 1)).await;
    world.tick().await;
    world.serve(30_000).await;
    let actions: Vec<String> = entries(&world.file())
        .await
        .iter()
        .map(|e| format!("{} {}", e.action, e.subject))
        .collect();
    let expected = [
        "node.enrolled a",
        "node.enrolled b",
        "model.created m/1",
        "run.created 1",
        "round.opened 1/1/1",
        "round.abandoned 1/1/1",
        "round.opened 1/1/2",
        "round.abandoned 1/1/2",
        "run.ended 1",
    ];
    assert_eq!((actions, nodes.len()), (expected.map(str::to_owned).to_vec(), 2));
}

#[tokio::test]
async fn a_log_as_it_was_written_is_ok_also_while_a_coordinator_runs() {
    let world = finished().await;
    let found = verdict(&world.file()).await;
    assert_eq!((found.verdict, found.exit_code(), found.entries), (Standing::Ok, 0, ENTRIES));
    assert_eq!((found.versions.as_told, found.versions.not_in_the_log), (4, 0));
    assert!(found.to_string().contains("written anew"), "{found}");
    let head: Digest = found.head.parse().unwrap();
    world.core.store.close().await;
    let found = verify(&world.file(), Some(head)).await.unwrap();
    assert_eq!(found.verdict, Standing::Ok);
    assert!(found.to_string().contains("The head given is in the log"), "{found}");
    let left: Vec<_> =
        std::fs::read_dir(world.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["coordinator.db"], "nothing is left beside the file");
}

#[tokio::test]
async fn edited_deleted_inserted_and_swapped_entries_are_named() {
    is_broken("UPDATE audit SET actor = 'nobody' WHERE seq = 4", 4, "edited").await;
    is_broken("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 11", 11, "edited").await;
    is_broken("UPDATE audit SET detail = '{}' WHERE seq = 6", 6, "detail was edited").await;
    is_broken("UPDATE audit SET detail = NULL WHERE seq = 5", 5, "no entry tells of").await;
    is_broken("DELETE FROM audit WHERE seq = 5", 5, "missing").await;
    is_broken("DELETE FROM audit WHERE seq = 1", 1, "missing").await;
    is_broken(
        "DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5",
        5,
        "written as entry 6",
    )
    .await;
    let swap = "UPDATE audit SET seq = 99 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 7;
                UPDATE audit SET seq = 7 WHERE seq = 99";
    is_broken(swap, 4, "written as entry 7").await;
    let insert = "UPDATE audit SET seq = -seq WHERE seq > 4;";
    let insert = format!("PRAGMA ignore_check_constraints = ON; {insert}
                UPDATE audit SET seq = 1 - seq WHERE seq < 0;
                INSERT INTO audit SELECT 5, at_ms, actor, action, 'x', detail, detail_digest, previous, hash
                FROM audit WHERE seq = 4");
    is_broken(&insert, 5, "edited").await;
}

#[tokio::test]
async fn a_cut_tail_shows_in_the_versions() {
    is_broken("DELETE FROM audit WHERE seq >= 10", 10, "told of version m/4, and that is gone")
        .await;
    is_broken("DELETE FROM audit WHERE seq >= 9", 9, "the log was cut before it").await;
    is_broken("DELETE FROM audit", 1, "the log was cut before it").await;
    is_broken(
        "DELETE FROM audit WHERE seq >= 9; UPDATE versions SET audit_head = NULL WHERE number = 4",
        9,
        "no entry tells of version m/4",
    )
    .await;
}

#[tokio::test]
async fn an_edited_version_is_named_by_the_entry_that_tells_of_it() {
    let other = "(SELECT digest FROM versions WHERE number = 2)";
    is_broken(&format!("UPDATE versions SET digest = {other} WHERE number = 3"), 8, "digest of")
        .await;
    is_broken("UPDATE versions SET sum_digest = zeroblob(32) WHERE number = 2", 6, "sum_digest")
        .await;
    is_broken("UPDATE rounds SET updates = 1 WHERE number = 3", 10, "updates of version m/4").await;
    is_broken("UPDATE runs SET plan = replace(plan, '0.5', '0.25')", 6, "plan_digest").await;
    is_broken("UPDATE versions SET audit_head = NULL WHERE number = 3", 8, "does not hold").await;
    is_broken(
        "UPDATE versions SET audit_head = zeroblob(32) WHERE number = 3",
        8,
        "holds the head",
    )
    .await;
    is_broken("DELETE FROM versions WHERE number = 4", 10, "version m/4, which is not there").await;
}

#[tokio::test]
async fn an_edited_cohort_is_named_by_the_entry_of_its_round() {
    is_broken(
        "DELETE FROM cohorts WHERE round_id = 2 AND node_id = 'a'",
        7,
        "cohort of round 1/2/1",
    )
    .await;
}

/// Writes the whole log anew, and the versions' heads with it: every hash is right again.
async fn rewrite(file: &Path, edit: impl Fn(&mut Deed)) {
    let mut head = Head::EMPTY;
    for old in entries(file).await {
        let Entry { at, actor, action, subject, detail, .. } = old;
        let detail = detail.unwrap();
        let mut deed = Deed { at, actor, action, subject, detail };
        edit(&mut deed);
        let entry = Entry::after(head, deed);
        let hex = |digest: Digest| format!("x'{digest}'");
        tamper(
            file,
            &format!(
                "UPDATE audit SET actor = '{}', detail = '{}', detail_digest = {}, previous = {}, hash = {}
                 WHERE seq = {};
                 UPDATE versions SET audit_head = {} WHERE audit_head = {}",
                entry.actor,
                entry.detail.clone().unwrap(),
                hex(entry.detail_digest),
                hex(entry.previous),
                hex(entry.hash),
                entry.seq,
                hex(entry.hash),
                hex(old.hash),
            ),
        )
        .await;
        head = entry.head();
    }
}

#[tokio::test]
async fn only_a_head_kept_elsewhere_shows_a_log_written_anew() {
    let (_dir, file) = file().await;
    let kept: Digest = verdict(&file).await.head.parse().unwrap();
    rewrite(&file, |deed| {
        if deed.action == "run.created" {
            deed.actor = "somebody-else".to_owned();
        }
    })
    .await;
    let found = verdict(&file).await;
    assert_eq!(found.verdict, Standing::Ok, "{found}");
    assert!(found.to_string().contains("Without --head"), "{found}");
    let found = verify(&file, Some(kept)).await.unwrap();
    assert_eq!((found.verdict, found.head_given), (Standing::Broken, true));
    assert!(found.to_string().contains("cut before it, or written anew"), "{found}");
}

#[tokio::test]
async fn retention_leaves_tombstones_and_is_told_of() {
    let world = finished().await;
    let (file, now) = (world.file(), world.clock.wall());
    // The same lock as a running coordinator's.
    let lock = crate::start::take_data_dir(world.dir.path()).unwrap();
    let busy = prune(&file, now, &*world.clock).await.unwrap_err();
    assert_eq!((busy.code(), busy.exit_code()), ("data_dir_in_use", 75));
    drop(lock);
    world.core.store.close().await;
    assert_eq!(prune(&file, now, &*world.clock).await.unwrap(), 0, "nothing is older");
    assert_eq!(verdict(&file).await.verdict, Standing::Ok);

    world.advance(1_000);
    let later = Timestamp(now.0 + 1);
    assert_eq!(prune(&file, later, &*world.clock).await.unwrap(), ENTRIES);
    let found = verdict(&file).await;
    assert_eq!((found.verdict, found.exit_code()), (Standing::Pruned, 3));
    assert_eq!((found.entries, found.tombstones), (ENTRIES + 1, ENTRIES));
    assert_eq!((found.versions.as_told, found.versions.pruned), (4, 0), "their digests tell");
    let bytes = std::fs::read(&file).unwrap();
    assert!(
        !bytes.windows(13).any(|part| part == b"cohort_digest"),
        "details are gone from the disk"
    );
    assert!(found.to_string().starts_with("pruned: "), "{found}");
    let last = entries(&file).await.pop().unwrap();
    assert_eq!((&*last.action, &*last.subject), ("audit.pruned", "11"));
    assert_eq!(prune(&file, later, &*world.clock).await.unwrap(), 0, "told of once");

    tamper(&file, "UPDATE versions SET sum_digest = zeroblob(32) WHERE number = 3").await;
    let found = verdict(&file).await;
    assert_eq!((found.versions.as_told, found.versions.pruned), (3, 1));
    assert!(found.to_string().contains("only tell the place: 1"), "{found}");
    tamper(&file, "UPDATE audit SET subject = 'x' WHERE seq = 5").await;
    let found = verdict(&file).await;
    assert_eq!(found.broken.unwrap().seq, 5, "a tombstone still holds its place");
}

#[tokio::test]
async fn the_schema_lets_the_log_only_grow() {
    let (_dir, file) = file().await;
    let mut connection = connect(&file).await;
    for sql in [
        "DELETE FROM audit WHERE seq = 11",
        "UPDATE audit SET actor = 'x'",
        "UPDATE audit SET detail = '{}'",
        "INSERT INTO audit SELECT 0, at_ms, actor, action, subject, detail, detail_digest, previous, hash
         FROM audit WHERE seq = 1",
    ] {
        assert!(sqlx::raw_sql(sql).execute(&mut connection).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn the_log_leaves_as_json_lines() {
    let (_dir, file) = file().await;
    let mut lines: Vec<Value> = Vec::new();
    let each = |line: &str| {
        lines.push(serde_json::from_str(line).unwrap());
        Ok(())
    };
    export(&file, each).await.unwrap();
    for (line, entry) in lines.iter().zip(entries(&file).await) {
        assert_eq!(line["seq"], entry.seq);
        assert_eq!(line["hash"], entry.hash.to_string());
        assert_eq!(line["detail"], entry.detail.unwrap(), "the very text that was hashed");
        assert_eq!(line.as_object().unwrap().len(), 9);
    }
    assert_eq!(u64::try_from(lines.len()).unwrap(), ENTRIES);
    let closed = export(&file, |_| Err(std::io::ErrorKind::BrokenPipe.into())).await;
    assert!(matches!(closed, Err(AuditError::Output(_))));
}

fn outcomes(replay: &Replay) -> Vec<(u32, &Outcome)> {
    replay.versions.iter().map(|version| (version.number, &version.outcome)).collect()
}

#[tokio::test]
async fn every_version_can_be_computed_again() {
    let world = finished().await;
    let found = replay(&world.file(), None).await.unwrap();
    let all = [(1, &Outcome::Ok), (2, &Outcome::Ok), (3, &Outcome::Ok), (4, &Outcome::Ok)];
    assert_eq!((outcomes(&found), found.exit_code()), (all.to_vec(), 0));
    assert_eq!((found.runs.len(), found.runs[0].differences.len()), (1, 0), "{found}");
    assert!(found.to_string().contains("m/4: ok: run 1, round 3 gives the same bytes"), "{found}");
    let other = replay(&world.file(), Some(&"n".parse().unwrap())).await.unwrap();
    assert_eq!((other.versions.len(), other.runs.len()), (0, 0));
}

#[tokio::test]
async fn a_second_run_goes_on_from_the_version_and_not_from_the_optimiser_of_the_first() {
    let mut world = finished().await;
    let nodes = ["a", "b"].map(|name| name.parse().unwrap());
    train(&mut world, &nodes, 2).await;
    let found = replay(&world.file(), None).await.unwrap();
    assert_eq!((found.exit_code(), found.versions.len(), found.runs.len()), (0, 6, 2), "{found}");
    assert_eq!(verdict(&world.file()).await.versions.as_told, 6);
}

#[tokio::test]
async fn what_differs_is_named() {
    // The version that differs first, and the fields in which it does.
    let cases: [(&str, u32, &[&str]); 8] = [
        (
            "UPDATE sums SET lanes = x'020900090009000800' WHERE round_id = 2",
            3,
            &["sum_digest", "digest", "optimizer_digest"],
        ),
        (
            "UPDATE versions SET digest = (SELECT digest FROM versions WHERE number = 2) WHERE number = 3",
            3,
            &["digest"],
        ),
        (
            "UPDATE versions SET optimizer_digest = zeroblob(32) WHERE number = 2",
            2,
            &["optimizer_digest"],
        ),
        ("UPDATE versions SET sum_digest = NULL WHERE number = 4", 4, &["sum_digest"]),
        (
            "UPDATE artifacts SET bytes = zeroblob(9) WHERE digest = (SELECT digest FROM versions WHERE number = 4)",
            4,
            &["artifact"],
        ),
        ("UPDATE rounds SET number = 7 WHERE id = 3", 4, &["round"]),
        ("UPDATE versions SET parent = 1 WHERE number = 3", 3, &["parent"]),
        ("UPDATE rounds SET base_version = 1 WHERE id = 2", 3, &["parent", "invariant"]),
    ];
    for (sql, number, fields) in cases {
        let (_dir, file) = file().await;
        tamper(&file, sql).await;
        let found = replay(&file, None).await.unwrap();
        assert_eq!(found.exit_code(), 1, "{sql}: {found}");
        let first = found.versions.iter().find(|version| version.outcome != Outcome::Ok).unwrap();
        let Outcome::Differs { differences } = &first.outcome else { panic!("{sql}: {found}") };
        let named: Vec<_> = differences.iter().map(|difference| &*difference.field).collect();
        assert_eq!((first.number, &*named), (number, fields), "{sql}: {found}");
    }
}

#[tokio::test]
async fn what_follows_from_a_wrong_sum_is_not_replayable_and_from_a_wrong_record_it_is() {
    let (_dir, file) = file().await;
    tamper(&file, "UPDATE sums SET lanes = x'020900090009000800' WHERE round_id = 1").await;
    let found = replay(&file, None).await.unwrap();
    assert_eq!((found.exit_code(), found.runs[0].differences.len()), (1, 0), "{found}");
    let text = found.to_string();
    assert!(
        text.contains("m/3: not replayable: it comes after version 2, which differs"),
        "{text}"
    );
    assert!(
        text.contains("m/4: not replayable: it comes after version 2, which differs"),
        "{text}"
    );
    let (_dir, file) = self::file().await;
    tamper(&file, "UPDATE versions SET optimizer_digest = zeroblob(32) WHERE number = 2").await;
    let found = replay(&file, None).await.unwrap();
    assert_eq!(outcomes(&found)[2..], [(3, &Outcome::Ok), (4, &Outcome::Ok)], "{found}");
    assert_eq!((found.exit_code(), found.runs[0].differences.len()), (1, 0));
}

#[tokio::test]
async fn what_rounds_counted_and_the_optimiser_now_are_compared_too() {
    for (sql, field) in [
        (
            "DELETE FROM contributions WHERE round_id = 2 AND node_id = 'a'",
            "contributions of round 1/2/1",
        ),
        ("UPDATE masters SET lanes = zeroblob(32)", "optimizer state"),
        ("DELETE FROM masters", "optimizer state"),
    ] {
        let (_dir, file) = file().await;
        tamper(&file, sql).await;
        let found = replay(&file, None).await.unwrap();
        assert_eq!(
            (found.exit_code(), &*found.runs[0].differences[0].field),
            (1, field),
            "{found}"
        );
        assert!(outcomes(&found).iter().all(|(_, outcome)| **outcome == Outcome::Ok), "{found}");
    }
}

#[tokio::test]
async fn of_single_updates_that_are_gone_it_says_so() {
    let (_dir, file) = file().await;
    let mut found = replay(&file, None).await.unwrap();
    assert!(found.versions.iter().all(|version| !version.vectors_gone), "sums need no updates");
    found.versions[1].vectors_gone = true;
    let says = "m/2: ok: run 1, round 1 gives the same bytes (its single updates are gone; \
                their stored aggregate was applied)\n";
    assert!(found.to_string().contains(says), "{found}");
}

#[tokio::test]
async fn what_is_not_stored_any_more_is_not_replayable() {
    let (_dir, file) = file().await;
    tamper(&file, "DELETE FROM sums WHERE round_id = 2").await;
    let found = replay(&file, None).await.unwrap();
    assert_eq!(found.exit_code(), 65);
    let text = found.to_string();
    assert!(text.contains("m/3: not replayable: its sum is not stored any more"), "{text}");
    assert!(text.contains("m/4: not replayable: it comes after version 3"), "{text}");
    assert!(text.contains("2 of 4 versions are the same"), "{text}");
}

/// Makes a file of the first migration's schema with the rows that `from` holds.
async fn first_schema(from: &Path, to: &Path) {
    let first = tempfile::tempdir().unwrap();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/sqlite");
    std::fs::copy(migrations.join("0001_initial.sql"), first.path().join("0001_initial.sql"))
        .unwrap();
    let url = format!("sqlite://{}?mode=rwc", to.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    Migrator::new(first.path()).await.unwrap().run(&mut connection).await.unwrap();
    let attach = sqlx::AssertSqlSafe(format!("ATTACH '{}' AS full", from.display()));
    sqlx::raw_sql(attach).execute(&mut connection).await.unwrap();
    for table in [
        "artifacts",
        "models",
        "nodes",
        "runs",
        "masters",
        "rounds",
        "sums",
        "cohorts",
        "contributions",
        "versions",
    ] {
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info(?, 'main')")
                .bind(table)
                .fetch_all(&mut connection)
                .await
                .unwrap();
        let columns = columns.join(", ");
        let copy =
            format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM full.{table}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(copy)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn versions_older_than_the_log_are_not_in_it_and_not_broken() {
    let world = finished().await;
    world.core.store.close().await;
    let (file, old) = (world.file(), world.dir.path().join("old.db"));
    first_schema(&file, &old).await;
    let older = verify(&old, None).await.unwrap_err();
    assert_eq!((older.code(), older.exit_code()), ("schema_older", 65));
    std::fs::rename(&old, &file).unwrap();

    let mut world = world.reopened(0, 0).await;
    let found = verdict(&file).await;
    assert_eq!((found.verdict, found.entries, found.versions.not_in_the_log), (Standing::Ok, 0, 4));
    assert!(found.to_string().contains("older than the log, not in the log: 4"), "{found}");
    assert_eq!(replay(&file, None).await.unwrap().exit_code(), 0);
    assert_eq!(world.versions("m").await[3].audit_head, None);

    let nodes = ["a", "b"].map(|name| name.parse().unwrap());
    for node in &nodes {
        let node: &NodeId = node;
        world.enrol(node.as_str()).await;
    }
    train(&mut world, &nodes, 1).await;
    let found = verdict(&file).await;
    assert_eq!(
        (found.verdict, found.versions.as_told, found.versions.not_in_the_log),
        (Standing::Ok, 1, 4)
    );
    assert_eq!(replay(&file, None).await.unwrap().exit_code(), 0);
}

#[tokio::test]
async fn a_file_that_someone_begins_to_write_to_says_nothing() {
    let (_dir, file) = file().await;
    let mut lines = 0;
    let disturbed = export(&file, |_| {
        lines += 1;
        std::fs::write(file.with_extension("db-wal"), b"")
    });
    let error = disturbed.await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("database_disturbed", 75));
    assert_eq!(lines, ENTRIES);
}

#[tokio::test]
async fn files_that_are_none_of_ours_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.db");
    let missing = verify(&file, None).await.unwrap_err();
    assert_eq!((missing.code(), missing.exit_code()), ("database_missing", 66));
    let missing = prune(&file, Timestamp(1), &crate::SystemClock::new()).await.unwrap_err();
    assert_eq!(missing.code(), "database_missing");
    for bytes in [&[7_u8; 8_192][..], &[]] {
        std::fs::write(&file, bytes).unwrap();
        let invalid = replay(&file, None).await.unwrap_err();
        assert_eq!((invalid.code(), invalid.exit_code()), ("database_invalid", 65), "{invalid}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
}
