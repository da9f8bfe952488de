//! Who counts as present, who suits, and what a node costs.

use federation::Selector;
use federation::pace::Fleet;

use super::*;
use crate::entropy::SystemEntropy;
use crate::testing::{StillClock, plan};

const LEARNER: &str = "reckon/1";

fn node(i: u32, labels: &[(&str, &str)]) -> Node {
    let label = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    Node {
        id: format!("node-{i:06}").parse().unwrap(),
        public_key: [0; 32],
        labels: labels.iter().map(label).collect(),
        learners: vec![LEARNER.to_owned()],
        enrolled_ms: 0,
        seen_ms: 0,
        turns: Turns { last: u64::from(i), count: i },
        credential: None,
        enrolment_token: None,
        revoked_ms: None,
    }
}

fn cohort(select: &str) -> Cohort {
    Cohort { selector: select.parse().unwrap(), ..plan(1, 1).cohort }
}

fn status(recurrent: u64) -> NodeStatus {
    let capacity = BTreeMap::from([("recurrent".to_owned(), recurrent)]);
    NodeStatus { charging: Some(true), capacity: Arc::new(capacity), ..NodeStatus::default() }
}

#[test]
fn candidates_carry_the_labels_meet_the_wishes_and_bring_their_turns() {
    let (presence, clock) = (Presence::new(&SystemEntropy), StillClock::new());
    presence.admit(node(1, &[("site", "ams")]), &clock);
    presence.admit(node(2, &[("site", "ber")]), &clock);
    presence.admit(node(3, &[("site", "ams")]), &clock);
    let names = |cohort: &Cohort| {
        let found = presence.candidates(cohort, LEARNER, &clock);
        assert!(found.iter().all(|one| presence.suits(&one.node, cohort, LEARNER)));
        found.into_iter().map(|one| one.turns).collect::<Vec<_>>()
    };
    assert_eq!(names(&cohort("")), [1, 2, 3]);
    assert_eq!(names(&cohort("site=ams")), [1, 3]);
    assert_eq!(names(&cohort("site!=ams")), [2]);
    assert_eq!(presence.candidates(&cohort(""), "other/1", &clock), []);
    let mut charging = cohort("site=ams");
    charging.eligible.charging = true;
    charging.eligible.capacity_min = BTreeMap::from([("recurrent".to_owned(), 100)]);
    assert_eq!(names(&charging), [] as [u32; 0]);
    let third: NodeId = "node-000003".parse().unwrap();
    presence.report(&third, status(100), false);
    assert_eq!(names(&charging), [3]);
    presence.drawn(std::slice::from_ref(&third), 77);
    let found = presence.candidates(&charging, LEARNER, &clock);
    assert_eq!(found, [Standby { node: third.clone(), drawn: 77, turns: 4 }]);
    // Enrolling again changes the labels and nothing else.
    presence.admit(node(3, &[("site", "ber")]), &clock);
    assert_eq!(names(&charging), [] as [u32; 0]);
    assert_eq!(presence.candidates(&cohort("site=ber"), LEARNER, &clock)[1].drawn, 77);
    presence.report(&third, NodeStatus::default(), false);
    charging.selector = Selector::default();
    assert_eq!(names(&charging), [] as [u32; 0], "what a node no longer says is no longer so");
}

#[test]
fn a_node_counts_until_it_should_have_been_heard_of() {
    let (presence, clock) = (Presence::new(&SystemEntropy), StillClock::new());
    let (near, far) = (node(1, &[]), node(2, &[]));
    presence.admit(near.clone(), &clock);
    presence.admit(far.clone(), &clock);
    presence.away(&far.id, limits::RETRY_MS_MAX, &clock);
    let there = || presence.candidates(&cohort(""), LEARNER, &clock).len();
    let wait_ms = u64::from(limits::WAIT_MS_MAX);
    clock.advance(wait_ms + LATE_MS);
    assert_eq!(there(), 2);
    clock.advance(1);
    assert_eq!(there(), 1);
    assert_eq!(presence.touch(&near.id, &clock), Heard::Yes);
    assert_eq!(presence.touch(&"x".parse().unwrap(), &clock), Heard::Unknown);
    assert_eq!(there(), 2);
    clock.advance(u64::from(limits::RETRY_MS_MAX) - wait_ms - 1);
    assert_eq!(there(), 1, "the far one is late, the near one gone");
    clock.advance(1);
    assert_eq!(there(), 0);
}

#[test]
fn with_a_choice_nodes_that_were_told_to_stay_away_are_left_alone() {
    let (presence, clock) = (Presence::new(&SystemEntropy), StillClock::new());
    for i in 0..10 {
        presence.admit(node(i, &[]), &clock);
    }
    let far: NodeId = "node-000003".parse().unwrap();
    presence.away(&far, 60_000, &clock);
    presence.away(&"node-000004".parse().unwrap(), 5_000, &clock);
    let left = |size| {
        let mut free = presence.candidates(&cohort(""), LEARNER, &clock);
        presence.prefer_near(&mut free, size, &clock);
        assert_eq!(free.iter().any(|one| one.node == far), free.len() == 10);
        free.len()
    };
    assert_eq!((left(9), left(10)), (9, 10), "without the choice all are taken");
    clock.advance(55_000);
    assert_eq!(left(9), 10, "it is due soon");
    presence.away(&far, 60_000, &clock);
    assert_eq!(left(1), 9);
    presence.touch(&far, &clock);
    assert_eq!(left(1), 10, "it is back");
}

#[test]
fn the_fleet_is_counted_by_what_runs_want() {
    let (presence, clock) = (Presence::new(&SystemEntropy), StillClock::new());
    for i in 0..10 {
        presence.admit(node(i, &[("half", if i < 5 { "a" } else { "b" })]), &clock);
    }
    assert_eq!(presence.fleet(), Fleet::default());
    let run = |select: &str| {
        let plan = federation::Plan { cohort: cohort(select), ..plan(1, 1) };
        Wanted { learner: LEARNER.to_owned(), plan, ends_ms: 0 }
    };
    presence.count(&[], &clock);
    assert_eq!(presence.fleet(), Fleet { wanted: 0, others: 10 });
    let mut named = run("half=none");
    named.plan.cohort.nodes = vec!["node-000009".parse().unwrap()];
    presence.count(&[run("half=a"), named], &clock);
    assert_eq!(presence.fleet(), Fleet { wanted: 6, others: 4 });
    presence.count(&[run("half=a"), run("half")], &clock);
    assert_eq!(presence.fleet(), Fleet { wanted: 10, others: 0 }, "wanted twice is one node");
    presence.count(&[run("half=a")], &clock);
    assert_eq!(presence.fleet(), Fleet { wanted: 5, others: 5 });
    clock.advance(u64::from(limits::WAIT_MS_MAX) + LATE_MS + 1);
    presence.count(&[run("half=a")], &clock);
    assert_eq!(presence.fleet(), Fleet::default());
}

/// Bytes that the allocator of the C library takes for a block.
fn block(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

#[test]
fn a_node_of_a_large_fleet_costs_at_most_250_bytes() {
    let (presence, clock) = (Presence::new(&SystemEntropy), StillClock::new());
    for i in 0..2_000 {
        let site = format!("site-{}", i % 20);
        let node = node(i, &[("site", &site), ("task", "navigation")]);
        presence.admit(node.clone(), &clock);
        presence.report(&node.id, status(100 + u64::from(i % 3)), false);
    }
    let known = presence.lock();
    assert_eq!((known.profiles.len(), known.capacities.len()), (20, 3), "what is alike is shared");
    // Beside a name and what is known of a node the map keeps a hash, and a quarter of the entries may be empty; its index
    // is a number and a byte for a place, of which 7 in 16 are taken in the worst case.
    let entry = size_of::<NodeId>() + size_of::<Present>() + size_of::<u64>();
    let index = (size_of::<usize>() + 1) * 16 / 7;
    let nodes = known.nodes.len();
    assert!(known.nodes.capacity() <= nodes + nodes / 4 + 16, "it grows by a quarter");
    let name = block(2 * size_of::<usize>() + "node-000000".len());
    let report = block(size_of::<NodeStatus>());
    let worst = entry * 5 / 4 + index + name + report;
    assert!(worst <= 250, "{worst} bytes: {entry} an entry, {name} a name, {report} a report");
}

#[test]
fn it_is_known_when_nodes_come_that_wait_or_were_told() {
    let (presence, clock) = (Presence::new(&SystemEntropy), StillClock::new());
    let ids: Vec<NodeId> = (0..3).map(|i| node(i, &[]).id).collect();
    for i in 0..3 {
        presence.admit(node(i, &[]), &clock);
    }
    let expected = |wanted| presence.expected(&ids, wanted, &clock);
    assert_eq!([0, 1, 4].map(expected), [None; 3], "nobody has asked yet");
    presence.report(&ids[0], NodeStatus::default(), false);
    presence.report(&ids[1], NodeStatus::default(), true);
    presence.report(&ids[2], NodeStatus::default(), true);
    assert_eq!([0, 1, 2].map(|at| presence.polls(&ids[at])), [false, true, true]);
    let now_ms = clock.monotonic_ms();
    assert_eq!([1, 2].map(expected), [Some(now_ms), None], "who polls comes when it likes");
    presence.away(&ids[1], 7_000, &clock);
    presence.away(&ids[2], 3_000, &clock);
    let due = [now_ms, now_ms + 3_000, now_ms + 7_000].map(Some);
    assert_eq!([1, 2, 3].map(expected), due);
    clock.advance(5_000);
    assert_eq!(expected(2), Some(now_ms + 5_000), "who is late is as good as here");
    presence.touch(&ids[2], &clock);
    assert_eq!(expected(3), None, "it came, but did not ask");
    assert!(!presence.polls(&ids[2]), "and may wait when it does");
}

#[test]
fn what_nobody_has_any_more_is_dropped() {
    let (presence, clock) = (Presence::new(&SystemEntropy), StillClock::new());
    for i in 0..100 {
        let room = format!("r{i}");
        presence.admit(node(1, &[("room", &room)]), &clock);
        presence.admit(node(2, &[("room", &room)]), &clock);
        presence.report(&node(1, &[]).id, status(i), false);
        presence.report(&node(2, &[]).id, status(i), false);
    }
    let known = presence.lock();
    assert_eq!((known.profiles.len(), known.nodes.len()), (1, 2));
    assert!(known.capacities.len() <= 2, "the last one, and the empty one of the beginning");
}

#[test]
fn cohorts_share_the_names_of_nodes_that_are_known() {
    let (presence, clock) = (Presence::new(&SystemEntropy), StillClock::new());
    let known = node(1, &[]);
    presence.admit(known.clone(), &clock);
    let read: NodeId = known.id.as_str().parse().unwrap();
    let stranger: NodeId = "x".parse().unwrap();
    let cohort = presence.named(vec![(read.clone(), false), (stranger.clone(), true)]);
    assert!(cohort.names().eq(&BTreeSet::from([read.clone(), stranger])));
    let shared = cohort.names().next().unwrap().as_str().as_ptr();
    assert_eq!(
        shared,
        presence.candidates(&self::cohort(""), LEARNER, &clock)[0].node.as_str().as_ptr()
    );
    assert_ne!(shared, read.as_str().as_ptr());
}
