//! Tests of guards, steps and decisions.

use proptest::prelude::*;

use super::*;

fn guard(text: &str) -> Guard {
    text.parse().unwrap()
}

fn evidence(nodes: u64, samples: u64, correct: u64) -> Evidence {
    Evidence { nodes, samples, correct }
}

#[test]
fn guards_are_read_and_written_the_same() {
    for (text, same) in [
        ("accuracy >= 0.93 over 50 nodes", "accuracy >= 0.93 over 50 nodes"),
        ("accuracy>=0.930 over 1 nodes", "accuracy >= 0.93 over 1 node"),
        ("  accuracy  >=  1\tover 1000000 node ", "accuracy >= 1 over 1000000 nodes"),
        ("accuracy >= 0 over 7 nodes", "accuracy >= 0 over 7 nodes"),
        ("accuracy >= 1.000000 over 7 nodes", "accuracy >= 1 over 7 nodes"),
        ("accuracy >= 0.000001 over 7 nodes", "accuracy >= 0.000001 over 7 nodes"),
    ] {
        assert_eq!(guard(text).to_string(), same);
        assert_eq!(guard(same), guard(text));
    }
}

#[test]
fn a_wrong_guard_is_told_with_its_place() {
    for (text, at, expected, got) in [
        ("", 1, "`accuracy`", "nothing"),
        ("loss >= 0.9 over 5 nodes", 1, "`accuracy`", "`loss`"),
        ("accuracy > 0.9 over 5 nodes", 10, "`>=`", "`>`"),
        ("accuracy = 0.9 over 5 nodes", 10, "`>=`", "`=`"),
        ("accuracy >= 1.1 over 5 nodes", 13, "an accuracy", "`1.1`"),
        ("accuracy >= 93 over 5 nodes", 13, "an accuracy", "`93`"),
        ("accuracy >= -0.9 over 5 nodes", 13, "an accuracy", "`-0.9`"),
        ("accuracy >= 0.9e0 over 5 nodes", 13, "an accuracy", "`0.9e0`"),
        ("accuracy >= .9 over 5 nodes", 13, "an accuracy", "`.9`"),
        ("accuracy >= 0. over 5 nodes", 13, "an accuracy", "`0.`"),
        ("accuracy >= 0.1234567 over 5 nodes", 13, "an accuracy", "`0.1234567`"),
        ("accuracy >= 0.9 for 5 nodes", 17, "`over`", "`for`"),
        ("accuracy >= 0.9 over 0 nodes", 22, "a number of nodes", "`0`"),
        ("accuracy >= 0.9 over +5 nodes", 22, "a number of nodes", "`+5`"),
        ("accuracy >= 0.9 over 1000001 nodes", 22, "a number of nodes", "`1000001`"),
        ("accuracy >= 0.9 over 5 devices", 24, "`nodes`", "`devices`"),
        ("accuracy >= 0.9 over 5", 23, "`nodes`", "nothing"),
        ("accuracy >= 0.9 over 5 nodes!", 24, "`nodes`", "`nodes!`"),
        ("accuracy >= 0.9 over 5 nodes and more", 30, "nothing more", "`and more`"),
        ("é accuracy", 1, "`accuracy`", "`\\u{e9}`"),
        ("accuracy é", 10, "`>=`", "`\\u{e9}`"),
    ] {
        let error = text.parse::<Guard>().unwrap_err();
        assert_eq!((error.at, error.got.as_str()), (at, got), "{text}: {error}");
        assert!(error.expected.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn a_guard_compares_exactly() {
    let most = u64::MAX / 2;
    for (text, correct, samples, good) in [
        ("accuracy >= 0.93 over 1 node", 93, 100, true),
        ("accuracy >= 0.93 over 1 node", 929_999, 1_000_000, false),
        ("accuracy >= 0.93 over 1 node", 930_000, 1_000_000, true),
        ("accuracy >= 0.333333 over 1 node", 1, 3, true),
        ("accuracy >= 0.333334 over 1 node", 1, 3, false),
        ("accuracy >= 1 over 1 node", most - 1, most, false),
        ("accuracy >= 1 over 1 node", most, most, true),
        ("accuracy >= 0 over 1 node", 0, 1, true),
    ] {
        let judged = guard(text).judge(evidence(1, samples, correct), 1);
        assert_eq!(judged, Some(good), "{text}, {correct} of {samples}");
    }
}

#[test]
fn a_guard_waits_for_its_nodes_or_for_all_of_a_smaller_step() {
    let guard = guard("accuracy >= 0.5 over 10 nodes");
    for (nodes, members, decides) in [
        (9, 100, false),
        (10, 100, true),
        (11, 100, true),
        (4, 5, false),
        (5, 5, true),
        (0, 0, true),
    ] {
        let judged = guard.judge(evidence(nodes, nodes * 10, nodes * 5), members);
        assert_eq!(judged.is_some(), decides, "{nodes} of {members}");
    }
}

#[test]
fn decisions() {
    let steps = Steps::default();
    let bad = evidence(10, 100, 10);
    let good = evidence(10, 100, 90);
    let few = evidence(9, 90, 0);
    let (a, d, t, w) = (Decision::Advance, Decision::Done, Decision::Trip, Decision::Wait);
    for (state, percent, evidence, expected) in [
        (State::Rolling, 1, few, w),
        (State::Rolling, 1, good, a(10)),
        (State::Rolling, 10, good, a(50)),
        (State::Rolling, 50, good, a(100)),
        (State::Rolling, 60, good, a(100)),
        (State::Rolling, 100, good, d),
        (State::Rolling, 1, bad, t),
        (State::Rolling, 100, bad, t),
        (State::Done, 100, few, w),
        (State::Done, 100, good, w),
        (State::Done, 100, bad, t),
        (State::Waiting, 0, bad, w),
        (State::Tripped, 1, bad, w),
        (State::RolledBack, 1, bad, w),
        (State::Superseded, 1, bad, w),
    ] {
        let guard = Some(guard("accuracy >= 0.5 over 10 nodes"));
        let rollout = Rollout {
            state,
            watched: true,
            guard,
            steps: &steps,
            percent,
            evidence,
            members: 99,
            fresh: 10,
            added: 99,
        };
        assert_eq!(decide(&rollout), expected, "{state} at {percent} with {evidence:?}");
        // Nobody watches: what nodes report decides nothing.
        let unwatched = [Rollout { watched: false, ..rollout }, Rollout { guard: None, ..rollout }];
        for rollout in unwatched {
            let goes = match state {
                State::Rolling => steps.after(percent).map_or(d, a),
                _ => w,
            };
            assert_eq!(decide(&rollout), goes, "{state} at {percent}");
        }
    }
}

#[test]
fn a_step_goes_on_by_the_word_of_the_nodes_it_added_but_is_turned_back_by_all() {
    let steps = Steps::default();
    let guard = Some(guard("accuracy >= 0.5 over 10 nodes"));
    let (good, bad) = (evidence(12, 120, 60), evidence(12, 120, 59));
    let (a, t, w) = (Decision::Advance(50), Decision::Trip, Decision::Wait);
    for (evidence, fresh, added, expected) in [
        (good, 9, 90, w),
        (good, 10, 90, a),
        (good, 0, 0, a),
        (good, 3, 4, w),
        (good, 4, 4, a),
        (bad, 0, 90, t),
        (bad, 10, 90, t),
    ] {
        let state = State::Rolling;
        let (watched, steps, percent, members) = (true, &steps, 10, 100);
        let rollout =
            Rollout { state, watched, guard, steps, percent, evidence, members, fresh, added };
        assert_eq!(decide(&rollout), expected, "{fresh} of {added}");
    }
}

#[test]
fn steps_ascend_to_the_whole() {
    for good in [&[100][..], &[1, 100], &[1, 2, 3, 100]] {
        assert_eq!(Steps::new(good.to_vec()).unwrap().percents(), good);
    }
    let many: Vec<u8> = (84..=100).collect();
    for bad in [&[][..], &[0, 100], &[1], &[100, 100], &[50, 10, 100], &[1, 101], &many] {
        assert_eq!(Steps::new(bad.to_vec()), Err(StepsError), "{bad:?}");
    }
    let steps = Steps::default();
    assert_eq!((steps.first(), steps.after(1), steps.after(100)), (1, Some(10), None));
    assert_eq!((steps.before(1), steps.before(10), steps.before(60)), (0, 1, 50));
}

#[test]
fn objections() {
    type Case = (bool, bool, State, bool, Result<(), Objection>);
    let cases: [Case; 8] = [
        (false, false, State::Done, false, Ok(())),
        (false, false, State::Waiting, false, Ok(())),
        (false, true, State::Done, false, Err(Objection::Bad)),
        (false, true, State::Done, true, Ok(())),
        (false, false, State::Rolling, false, Err(Objection::Running)),
        (false, false, State::Rolling, true, Ok(())),
        (true, true, State::Rolling, true, Err(Objection::Pinned)),
        (false, true, State::Rolling, false, Err(Objection::Bad)),
    ];
    for (pinned, bad, state, force, expected) in cases {
        assert_eq!(may_promote(pinned, bad, state, force), expected, "{pinned} {bad} {state}");
    }
}

#[test]
fn places_are_fixed_forever_and_spread() {
    let (model, channel) = ("m".parse().unwrap(), "stable".parse().unwrap());
    let node = |i: u32| format!("node-{i:04}").parse().unwrap();
    let first: Vec<u8> = (0..4).map(|i| place(&model, &channel, 1, &node(i))).collect();
    assert_eq!(first, FIRST_PLACES);
    let mut counts = [0_u32; 100];
    for i in 0..10_000 {
        counts[usize::from(place(&model, &channel, 1, &node(i)))] += 1;
    }
    // 100 in each are expected, with a standard deviation of 10.
    assert!(counts.iter().all(|count| (50..=150).contains(count)), "{counts:?}");
    let other = (0..100)
        .filter(|&i| place(&model, &channel, 1, &node(i)) != place(&model, &channel, 2, &node(i)));
    assert!(other.count() > 90, "each promotion begins with other nodes");
}

#[test]
fn names_that_find_versions_otherwise_are_taken() {
    for (name, free) in [("stable", true), ("canary-2", true), ("latest", false), ("7", false)] {
        assert_eq!(is_free(&name.parse().unwrap()), free, "{name}");
    }
}

#[test]
fn states_round_trip_as_text() {
    for state in State::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    assert!("gone".parse::<State>().is_err());
}

proptest! {
    #[test]
    fn each_step_holds_the_one_before(
        node in "[a-z][a-z0-9]{0,8}", promotion in 1_u32.., percents in steps(),
    ) {
        let (model, channel) = ("m".parse().unwrap(), "canary".parse().unwrap());
        let place = place(&model, &channel, promotion, &node.parse().unwrap());
        let inside: Vec<bool> =
            percents.percents().iter().map(|&percent| place < percent).collect();
        prop_assert!(inside.is_sorted() && inside.ends_with(&[true]), "{inside:?}");
    }

    #[test]
    fn a_promotion_trips_at_most_once_and_never_goes_back_a_step(
        percents in steps(), reports in prop::collection::vec((0_u64..20, 0_u64..=10), 1..60),
    ) {
        let guard = Some(guard("accuracy >= 0.5 over 3 nodes"));
        let (mut state, mut percent, mut trips) = (State::Rolling, percents.first(), 0);
        for (nodes, correct) in reports {
            let evidence = evidence(nodes, nodes * 10, nodes * correct);
            let rollout =
                Rollout { state, watched: true, guard, steps: &percents, percent, evidence, members: 20, fresh: nodes, added: 20 };
            let decision = decide(&rollout);
            prop_assert!(decision != Decision::Trip || (nodes >= 3 && correct < 5));
            trips += u32::from(decision == Decision::Trip);
            if let Decision::Advance(to) = decision {
                prop_assert!(to > percent && percents.percents().contains(&to));
                percent = to;
            }
            state = state.by(decision);
        }
        prop_assert!(trips <= 1);
        prop_assert_eq!(trips == 1, state == State::Tripped);
    }

    #[test]
    fn what_is_known_to_be_bad_comes_back_by_force_alone(
        pinned: bool, at in 0..State::ALL.len(), force: bool,
    ) {
        let state = State::ALL[at];
        prop_assert!(may_promote(pinned, true, state, force).is_err() || (force && !pinned));
    }

    #[test]
    fn any_guard_survives_its_text(least in 0_u32..=1_000_000, nodes in 1_u32..=1_000_000) {
        let text = format!("accuracy >= {}.{:06} over {nodes} nodes", least / 1_000_000, least % 1_000_000);
        let read = guard(&text);
        prop_assert_eq!(guard(&read.to_string()), read);
        let exact = read.judge(evidence(u64::from(nodes), 1_000_000, u64::from(least)), 1 << 40);
        prop_assert_eq!(exact, Some(true));
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,40}") {
        let _ = text.parse::<Guard>();
    }
}

fn steps() -> impl Strategy<Value = Steps> {
    prop::collection::btree_set(1_u8..100, 0..15).prop_map(|percents| {
        let percents = percents.into_iter().chain([100]).collect();
        Steps::new(percents).unwrap()
    })
}

const FIRST_PLACES: [u8; 4] = [7, 98, 87, 58];
