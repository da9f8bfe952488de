//! Enrolments in groups against the same ones made one by one, and what becomes of a group that fails.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use federation::audit::{Chain, Deed, Entry as Told, Head, Verdict};
use federation::{Digest, RefusalCode, TokenName, limits};
use tokio::task::JoinSet;

use super::*;
use crate::store::enrolment::NewEnrolmentToken;
use crate::testing::{World, done, enrolment};

/// Keys that enrol. There are fewer names, so that names clash.
const KEYS: u64 = 30;
const NAMES: u64 = 24;
/// When one of the tokens expires. The clock goes from 1,000 on.
const EXPIRES: u64 = 3_000;
/// Tables that an enrolment may change.
const TABLES: [&str; 5] = ["nodes", "enrolment_tokens", "audit", "events", "sqlite_sequence"];

/// Chance from a fixed seed.
struct Dice(u64);

impl Dice {
    /// SplitMix64.
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, sides: u64) -> u64 {
        self.throw() % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }
}

fn secret(token: u64) -> Digest {
    Digest::of(format!("token {token}").as_bytes())
}

fn credential(key: u64, which: u64) -> Digest {
    Digest::of(format!("credential {key} {which}").as_bytes())
}

fn labels(key: &str, count: u64) -> BTreeMap<String, String> {
    (0..count).map(|i| (format!("{key}{i}"), "x".to_owned())).collect()
}

/// Six tokens: one that lets in many, one for few, one with many labels, one that expires, one that is revoked at once and
/// one that [`disturb`] revokes.
async fn give_tokens(store: &Store) {
    for id in 1..=6 {
        let name: TokenName = format!("t{id}").parse().unwrap();
        let site = [("site".to_owned(), format!("s{id}"))].into();
        let labels = if id == 3 { labels("t", 20) } else { site };
        let uses_max = if id == 2 { 3 } else { 1_000 };
        let expires_ms = (id == 4).then_some(EXPIRES);
        let new = NewEnrolmentToken { name, labels, uses_max, expires_ms, hash: secret(id) };
        done(Timestamp(1), |deed| store.create_enrolment_token(new, deed)).await.unwrap().unwrap();
    }
    done(Timestamp(1), |deed| store.revoke_enrolment_token(5, deed)).await.unwrap().unwrap();
}

fn wish(dice: &mut Dice, now_ms: u64) -> Wish {
    let key = dice.below(KEYS);
    let name = if dice.one_in(5) { dice.below(NAMES) } else { key.min(NAMES - 1) };
    let mut enrolment = enrolment(&format!("n{name}"));
    enrolment.public_key = Digest::of(format!("key {key}").as_bytes()).0;
    if dice.one_in(3) {
        let most = u64::try_from(limits::LABELS_MAX).unwrap();
        let more = dice.below(most - 1) + 1;
        enrolment.labels = labels("l", more);
        enrolment.labels.insert("site".to_owned(), "own".to_owned());
    }
    if dice.one_in(3) {
        enrolment.learners = vec!["a/1".to_owned(), "b/2".to_owned()];
    }
    let shown = dice.one_in(2).then(|| {
        let whose = if dice.one_in(4) { dice.below(NAMES) } else { key };
        (format!("n{whose}").parse().unwrap(), credential(key, dice.below(2)))
    });
    let proof = (!dice.one_in(4)).then(|| {
        let id = 1 + dice.below(7);
        let hash = if dice.one_in(8) { secret(99) } else { secret(id) };
        (id, hash, credential(key, dice.below(2)))
    });
    let entry = if dice.one_in(6) { Entry::Open } else { Entry::Guarded { shown, proof } };
    // A clock may be set back.
    let now = Timestamp(if dice.one_in(10) { now_ms - 400 } else { now_ms });
    Wish { enrolment, entry, now }
}

/// What happens between groups: a node is revoked, one has its turn, and late a token is revoked.
async fn disturb(store: &Store, at: u64, node: u64) {
    let by = Timestamp(at);
    let name = format!("n{node}");
    if at.is_multiple_of(3) {
        let id = name.parse().unwrap();
        let _ = done(by, |deed| store.revoke_node(id, deed)).await.unwrap();
    }
    if at > EXPIRES {
        done(by, |deed| store.revoke_enrolment_token(6, deed)).await.unwrap().unwrap();
    }
    let turn = async move |tx: &mut SqliteConnection| {
        sqlx::query(
            "INSERT INTO turns (node_id, round_id, turns) SELECT id, ?1, 1 FROM nodes WHERE id = ?2
             ON CONFLICT (node_id) DO UPDATE SET round_id = excluded.round_id, turns = turns + 1",
        )
        .bind(sql(at))
        .bind(name)
        .execute(tx)
        .await?;
        Ok(())
    };
    store.write("turn", turn).await.unwrap();
}

/// All rows of a table, as SQL writes their values.
async fn rows(store: &Store, table: &'static str) -> Vec<String> {
    let read = store.read("rows", async move |tx: &mut SqliteConnection| {
        let columns: String = sqlx::query_scalar(
            "SELECT group_concat('quote(' || name || ')', ' || '', '' || ') FROM pragma_table_info(?)",
        )
        .bind(table)
        .fetch_one(&mut *tx)
        .await?;
        let query = format!("SELECT {columns} FROM {table} ORDER BY 1");
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_all(tx).await?)
    });
    read.await.unwrap()
}

async fn together(store: &Store, wishes: &[Wish]) -> Vec<Answer<Node>> {
    let wishes = wishes.to_vec();
    let group = async move |tx: &mut SqliteConnection| {
        let wishes: Vec<&Wish> = wishes.iter().collect();
        enrol(tx, &wishes).await
    };
    store.write(ENROL, group).await.unwrap()
}

/// Enrols the same list one by one and in groups; the codes of all refusals.
async fn check(seed: u64) -> BTreeSet<&'static str> {
    let (mut dice, mut at, mut codes) = (Dice(seed), 1_000, BTreeSet::new());
    let (alone, grouped) = (World::new().await, World::new().await);
    let (alone, grouped) = (&alone.core.store, &grouped.core.store);
    for store in [alone, grouped] {
        give_tokens(store).await;
    }
    while at < EXPIRES + 1_000 {
        let size = 1 + dice.below(60);
        let mut wishes = Vec::new();
        for _ in 0..size {
            at += dice.below(10);
            wishes.push(wish(&mut dice, at));
        }
        let mut expected = Vec::new();
        for Wish { enrolment, entry, now } in wishes.clone() {
            let answer = alone.enrol(enrolment, entry, now).await.unwrap();
            if let Ok(node) = &answer {
                let written = alone.node(node.id.clone()).await.unwrap().unwrap();
                assert_eq!(*node, written, "the answer is what was written");
            }
            codes.extend(answer.as_ref().err().map(|refusal| refusal.code.as_str()));
            expected.push(answer);
        }
        assert_eq!(together(grouped, &wishes).await, expected, "seed {seed}");
        at += 10;
        let node = dice.below(NAMES);
        for store in [alone, grouped] {
            disturb(store, at, node).await;
        }
        for table in TABLES {
            assert_eq!(
                rows(grouped, table).await,
                rows(alone, table).await,
                "{table}, seed {seed}"
            );
        }
    }
    let (entries, head) =
        grouped.audit_entries(String::new(), String::new(), 0, 100_000).await.unwrap();
    let mut chain = Chain::new(None);
    for entry in &entries {
        chain.follow(entry).unwrap();
    }
    assert_eq!(chain.end(), Verdict::Ok { head });
    for action in ["node.enrolled", "node.credential_replaced"] {
        assert!(entries.iter().any(|entry| entry.action == action), "{action}");
    }
    codes
}

#[tokio::test]
async fn a_group_is_what_its_enrolments_are_one_by_one() {
    let mut codes = BTreeSet::new();
    for seed in 0..4 {
        codes.extend(check(seed).await);
    }
    let all = [
        RefusalCode::EnrolmentTokenExhausted,
        RefusalCode::EnrolmentTokenExpired,
        RefusalCode::EnrolmentTokenMissing,
        RefusalCode::EnrolmentTokenRevoked,
        RefusalCode::EnrolmentTokenUnknown,
        RefusalCode::LabelsTooMany,
        RefusalCode::NameTaken,
        RefusalCode::NodeRevoked,
    ];
    let all: BTreeSet<_> = all.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes, all, "each refusal comes up");
}

#[tokio::test]
async fn events_tell_what_the_log_says_in_its_order() {
    let world = World::new().await;
    let store = &world.core.store;
    let mut news = store.news();
    news.mark_unchanged();
    let wishes: Vec<_> = ["b", "c", "a"].map(enrolment).map(open).into();
    together(store, &wishes).await;
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    together(store, &wishes).await;
    assert!(!news.has_changed().unwrap(), "nothing to tell");
    let (entries, _) = store.audit_entries(String::new(), String::new(), 0, 9).await.unwrap();
    let events = store.events(0, String::new(), 9).await.unwrap();
    assert_eq!(entries.iter().map(|entry| &*entry.subject).collect::<Vec<_>>(), ["b", "c", "a"]);
    assert_eq!(events.len(), 3);
    for (entry, event) in entries.iter().zip(&events) {
        assert_eq!((entry.seq, entry.at), (event.seq, event.at));
        assert_eq!((&entry.actor, &entry.action), (&event.actor, &event.kind));
        assert_eq!(entry.subject, event.subject);
        assert_eq!(entry.detail, Some(event.detail.to_string()));
    }
}

fn open(enrolment: Enrolment) -> Wish {
    Wish { enrolment, entry: Entry::Open, now: Timestamp(1) }
}

/// How often the writer was called for enrolments.
async fn calls(world: &World) -> u32 {
    let metrics = crate::metrics::text(&world.core).await.unwrap();
    let prefix = "muster_tx_seconds_count{tx=\"enrol\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(prefix));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Polls `work` exactly once.
async fn poll_once<F: Future>(mut work: Pin<&mut F>) -> bool {
    poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await
}

#[tokio::test]
async fn whoever_is_in_a_group_that_fails_is_tried_alone() {
    let world = World::new().await;
    world.enrol("bad").await;
    let damage = async |tx: &mut SqliteConnection| {
        sqlx::query("UPDATE nodes SET enrolled_ms = -1").execute(tx).await?;
        Ok(())
    };
    world.core.store.write("damage", damage).await.unwrap();
    let before = calls(&world).await;
    let (release, released) = oneshot::channel();
    let mut tasks = JoinSet::new();
    let held = Arc::clone(&world.core);
    tasks.spawn(async move {
        held.store.hold(released).await;
        true
    });
    let names = ["a", "bad", "c"];
    for name in names {
        let core = Arc::clone(&world.core);
        tasks.spawn(async move {
            let answer = core.store.enrol(enrolment(name), Entry::Open, Timestamp(1)).await;
            match answer {
                Ok(answer) => answer.unwrap().id.as_str() == name,
                Err(StoreError::Failed { fault: Fault::Corrupt(_), .. }) => name == "bad",
                Err(other) => panic!("{name}: {other}"),
            }
        });
    }
    while world.core.store.enrolments_waiting() < names.len() {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    assert!(tasks.join_all().await.into_iter().all(|as_it_should| as_it_should));
    assert_eq!(calls(&world).await - before, 4, "a group, and each alone");
    assert_eq!(world.count_rows("nodes").await, 3);
}

#[tokio::test]
async fn whoever_called_the_writer_may_hang_up() {
    let world = World::new().await;
    let store = &world.core.store;
    let (release, released) = oneshot::channel();
    let mut hold = pin!(store.hold(released));
    assert!(!poll_once(hold.as_mut()).await);
    let mut second = pin!(store.enrol(enrolment("b"), Entry::Open, Timestamp(1)));
    {
        let mut first = pin!(store.enrol(enrolment("a"), Entry::Open, Timestamp(1)));
        assert!(!poll_once(first.as_mut()).await);
        assert!(!poll_once(second.as_mut()).await);
    }
    release.send(()).unwrap();
    hold.await;
    assert_eq!(second.await.unwrap().unwrap().id.as_str(), "b");
    assert!(store.node("a".parse().unwrap()).await.unwrap().is_some());
    assert_eq!(calls(&world).await, 0, "nobody waited for the only one, so it is not counted");
}

#[tokio::test]
async fn what_the_log_is_to_say_is_written_to_the_byte() {
    let world = World::new().await;
    let store = &world.core.store;
    let texts =
        ["", "12", "null", "a\"b\\c'd", "\u{1}\t\r\n\u{7f}\0", "ü€😀\u{2028}", "[\"a\", 1]"];
    let deed = |text: &str| Deed {
        at: Timestamp(7),
        actor: text.to_owned(),
        action: text.to_owned(),
        subject: text.to_owned(),
        detail: to_json(&text),
    };
    let deeds = texts.map(deed);
    let told = deeds.clone();
    let append = async move |tx: &mut SqliteConnection| {
        audit::append_all(tx, told[..2].to_vec()).await?;
        audit::append_all(tx, told[2..].to_vec()).await
    };
    store.write("append", append).await.unwrap();
    let (entries, head) = store.audit_entries(String::new(), String::new(), 0, 99).await.unwrap();
    let mut end = Head::EMPTY;
    for (deed, entry) in deeds.into_iter().zip(&entries) {
        assert_eq!(*entry, Told::after(end, deed));
        end = entry.head();
    }
    assert_eq!((head, entries.len()), (end, texts.len()));
    let events = store.events(0, String::new(), 99).await.unwrap();
    let details = events.iter().map(|event| (event.kind.as_str(), event.detail.as_str().unwrap()));
    assert_eq!(details.collect::<Vec<_>>(), texts.map(|text| (text, text)));
}
