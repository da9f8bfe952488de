//! Channels on a real file: who holds what, when a guard decides, and what stays after a restart.

use federation::channel::{State, Steps};
use federation::{Artifact, ChannelName, Enrolment, Evaluation, Hold, Holding, ModelName, NodeId};

use super::*;
use crate::audit::{Standing as Verdict, replay, verify};
use crate::orders::Held;
use crate::store::{
    Channel, Imported, Move, NewChannel, NotMoved, Promotion, RunState, Setup, Which,
};
use crate::testing::{WEIGHTS, World, artifact, done, enrolment, fleet, plan};

fn model() -> ModelName {
    "m".parse().unwrap()
}

fn name(text: &str) -> ChannelName {
    text.parse().unwrap()
}

fn setup(guard: &str, steps: &[u8]) -> Setup {
    Setup {
        guard: (!guard.is_empty()).then(|| guard.parse().unwrap()),
        steps: Steps::new(steps.to_vec()).unwrap(),
        selector: "".parse().unwrap(),
        auto: false,
        approval: false,
        evaluate_samples: 10,
    }
}

/// An artifact with `fill` in every weight.
fn filled(fill: i8) -> Artifact {
    artifact(WEIGHTS).with_weights(vec![fill; WEIGHTS as usize]).unwrap()
}

impl World {
    /// Makes the model with `versions` versions.
    async fn model(&mut self, versions: i8) {
        let now = self.clock.wall();
        let store = &self.core.store;
        let made = done(now, |deed| store.create_model(model(), artifact(WEIGHTS), deed));
        made.await.unwrap().unwrap();
        for fill in 10..9 + versions {
            self.import(fill).await;
        }
    }

    async fn import(&mut self, fill: i8) {
        let (now, store) = (self.clock.wall(), &self.core.store);
        let made = done(now, |deed| store.import_version(model(), filled(fill), deed));
        assert!(matches!(made.await.unwrap().unwrap(), Imported::New(_)));
        self.core.channels.moved();
        self.tick().await;
    }

    async fn channel(&mut self, text: &str, version: u32, setup: Setup) -> Channel {
        let new =
            NewChannel { model: model(), name: name(text), version: Which::Number(version), setup };
        let (now, store) = (self.clock.wall(), &self.core.store);
        let made = done(now, |deed| store.create_channel(new, deed)).await.unwrap().unwrap();
        self.core.channels.moved();
        self.tick().await;
        made
    }

    async fn steer(&mut self, text: &str, wanted: Move) -> Result<Channel, NotMoved> {
        let (now, store) = (self.clock.wall(), &self.core.store);
        let moved = done(now, |deed| store.move_channel(model(), name(text), wanted, deed));
        let moved = moved.await.unwrap();
        self.core.channels.moved();
        self.tick().await;
        moved
    }

    async fn promote(&mut self, text: &str, version: u32) -> Result<Channel, NotMoved> {
        self.steer(text, Move::Promote { version: Which::Number(version), force: false }).await
    }

    async fn force(&mut self, text: &str, version: u32) -> Result<Channel, NotMoved> {
        self.steer(text, Move::Promote { version: Which::Number(version), force: true }).await
    }

    async fn stands(&self, text: &str) -> Channel {
        self.core.store.channel(model(), name(text)).await.unwrap().unwrap()
    }

    async fn history(&self, text: &str) -> Vec<Promotion> {
        self.core.store.promotions(model(), name(text), 0, 100).await.unwrap().unwrap()
    }

    /// Number, version and state of each promotion.
    async fn course(&self, text: &str) -> Vec<(u32, u32, State)> {
        let history = self.history(text).await;
        history.iter().map(|one| (one.number, one.version.0, one.state)).collect()
    }

    async fn hold(&self, node: &NodeId) -> Option<Hold> {
        self.asked(node, None, Held::Nothing).await.hold
    }

    async fn held(&self, nodes: &[NodeId]) -> Vec<u32> {
        let mut versions = Vec::new();
        for node in nodes {
            versions.push(self.hold(node).await.unwrap().version.0);
        }
        versions
    }

    /// Node `node` tries what it should hold: `correct` of 10.
    async fn report(&mut self, node: &NodeId, correct: u32) {
        let hold = self.hold(node).await.unwrap();
        let evaluation = Evaluation {
            node: node.clone(),
            model: hold.model,
            version: hold.digest,
            samples: 10,
            correct,
        };
        self.core.record(evaluation).await.unwrap().unwrap();
        self.tick().await;
    }

    async fn actions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let note = |line: &str| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            found.push(entry["action"].as_str().unwrap().to_owned());
            Ok(())
        };
        crate::audit::export(&self.file(), note).await.unwrap();
        found
    }
}

fn labelled(name: &str, channel: Option<&str>) -> Enrolment {
    let mut enrolment = enrolment(name);
    if let Some(channel) = channel {
        enrolment.labels.insert("channel".to_owned(), channel.to_owned());
    }
    enrolment
}

async fn follower(world: &World, name: &str, channel: &str) -> NodeId {
    world.core.enrol(labelled(name, Some(channel)), None).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_node_follows_the_channel_of_its_label_and_without_one_stable() {
    let mut world = World::new().await;
    world.model(2).await;
    let (plain, canary) = (world.enrol("a").await, follower(&world, "b", "canary").await);
    let (lost, apart) = (follower(&world, "c", "nightly").await, world.enrol("d").await);
    assert_eq!(world.hold(&plain).await, None, "there are no channels");
    world.channel("stable", 1, setup("", &[100])).await;
    world.channel("canary", 2, setup("", &[100])).await;
    let hold = world.hold(&plain).await.unwrap();
    assert_eq!((hold.channel.as_str(), hold.version.0, hold.promotion), ("stable", 1, 1));
    assert_eq!((hold.digest, hold.samples), (world.versions("m").await[0].digest, 10));
    let hold = world.hold(&canary).await.unwrap();
    assert_eq!((hold.channel.as_str(), hold.version.0), ("canary", 2));
    assert_eq!(world.hold(&lost).await, None, "no model has its channel");
    assert_eq!(world.asked(&apart, None, Held::Apart).await.hold, None);

    // Whoever holds it already need not be told; the coordinator knows what it holds.
    let holding = Holding { digest: hold.digest, promotion: hold.promotion };
    let told = world.asked(&canary, None, Held::Version(holding)).await;
    assert_eq!(told.hold, None);
    assert_eq!(world.core.presence.holding(&canary), Some(hold.digest));
    assert_eq!(world.core.presence.holding(&plain), None);
    let other = Holding { promotion: 9, ..holding };
    assert!(world.asked(&canary, None, Held::Version(other)).await.hold.is_some());

    // A selector keeps nodes of another task apart.
    let selector = "task=audition".parse().unwrap();
    world.steer("stable", Move::SetUp(Setup { selector, ..setup("", &[100]) })).await.unwrap();
    assert_eq!(world.hold(&plain).await, None);
}

#[tokio::test]
async fn a_version_goes_from_step_to_step_as_its_guard_is_met() {
    let mut world = World::new().await;
    world.model(2).await;
    let names: Vec<String> = (0..40).map(|i| format!("n{i:02}")).collect();
    let nodes = fleet(&world, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut others = Vec::new();
    for text in ["x0", "x1", "x2", "x3", "x4"] {
        others.push(follower(&world, text, "canary").await);
    }
    world.channel("stable", 1, setup("accuracy >= 0.5 over 3 nodes", &[10, 50, 100])).await;
    world.promote("stable", 2).await.unwrap();
    let mut reached: Vec<&NodeId> = Vec::new();
    for percent in [10_u8, 50, 100] {
        let stands = world.stands("stable").await;
        assert_eq!((stands.newest.state, stands.newest.percent), (State::Rolling, percent));
        let versions = world.held(&nodes).await;
        let inside: Vec<_> =
            nodes.iter().zip(&versions).filter(|(_, at)| **at == 2).map(|(node, _)| node).collect();
        let added: Vec<_> = inside.iter().filter(|node| !reached.contains(node)).collect();
        assert!(added.len() > 3 && reached.len() + added.len() == inside.len(), "{versions:?}");
        // Who follows another channel does not count, whatever they say of the version; nor do those of the step before.
        let digest = stands.newest.digest;
        let others = others.iter().map(|node| (node, 0));
        for (node, correct) in others.chain(reached.iter().map(|node| (*node, 10))) {
            let (node, model) = (node.clone(), model());
            let evaluation = Evaluation { node, model, version: digest, samples: 10, correct };
            world.core.record(evaluation).await.unwrap().unwrap();
        }
        for node in &added[..3] {
            let stands = world.stands("stable").await.newest;
            assert_eq!((stands.state, stands.percent), (State::Rolling, percent));
            // The same node again is no other node.
            world.report(node, 9).await;
            world.report(node, 9).await;
        }
        reached = inside;
    }
    assert_eq!(reached.len(), 40);
    let stands = world.stands("stable").await;
    assert_eq!((stands.newest.state, stands.good.version.0), (State::Done, 2));
    assert_eq!(world.held(&nodes).await, vec![2; 40]);
    let actions = world.actions().await;
    let of = |wanted: &str| actions.iter().filter(|action| *action == wanted).count();
    assert_eq!((of("channel.promoted"), of("channel.advanced"), of("channel.reached")), (1, 2, 1));
}

#[tokio::test]
async fn a_guard_turns_a_version_back_once_for_good_and_stops_its_run() {
    let mut world = World::new().await;
    let nodes = [follower(&world, "a", "canary").await, follower(&world, "b", "canary").await];
    let run = world.run("m", plan(2, 5)).await;
    let guard = Setup { auto: true, ..setup("accuracy >= 0.8 over 2 nodes", &[100]) };
    world.channel("canary", 1, guard).await;
    world.answer(&nodes, |_| 9).await;
    world.tick().await;
    assert_eq!(world.held(&nodes).await, [2, 2], "the channel takes the new version by itself");
    world.report(&nodes[0], 9).await;
    world.report(&nodes[1], 9).await;
    assert_eq!(world.stands("canary").await.newest.state, State::Done);
    world.answer(&nodes, |_| 18).await;
    world.tick().await;
    world.report(&nodes[0], 2).await;
    assert_eq!(world.held(&nodes).await, [3, 3], "one node does not decide");
    world.report(&nodes[1], 9).await;

    let told = world.held(&nodes).await;
    assert_eq!(told, [2, 2]);
    assert_eq!(world.hold(&nodes[0]).await.unwrap().promotion, 2, "as when it was good");
    let course =
        [(1, 1, State::Done), (2, 2, State::Done), (3, 3, State::Tripped), (4, 2, State::Done)];
    assert_eq!(world.course("canary").await, course);
    let tripped = &world.history("canary").await[2];
    let evidence = tripped.evidence.unwrap();
    assert_eq!((evidence.nodes, evidence.samples, evidence.correct), (2, 20, 11));
    let ended = world.find_run(&run).await;
    assert_eq!((ended.state, ended.reason.as_deref()), (RunState::Cancelled, Some("guard")));

    // More reports, more ticks, a restart: once is enough.
    let bad = tripped.digest;
    let say = |node: &NodeId, correct| {
        let (node, model) = (node.clone(), model());
        Evaluation { node, model, version: bad, samples: 10, correct }
    };
    world.core.record(say(&nodes[0], 0)).await.unwrap().unwrap();
    world.serve(3_000).await;
    let mut world = world.reopened(1_000, 0).await;
    world.core.record(say(&nodes[1], 0)).await.unwrap().unwrap();
    world.serve(3_000).await;
    assert_eq!(world.course("canary").await, course);
    assert_eq!(world.held(&nodes).await, [2, 2]);
    let actions = world.actions().await;
    let tail: Vec<&str> = actions.iter().map(String::as_str).collect();
    let from = tail.iter().position(|action| *action == "channel.tripped").unwrap();
    let after = ["channel.tripped", "channel.rolled_back", "round.abandoned", "run.ended"];
    assert_eq!(tail[from..], after);

    // By force alone it comes back, and is judged by new reports.
    assert_eq!(world.promote("canary", 3).await.unwrap_err(), NotMoved::Bad(tripped.version));
    world.force("canary", 3).await.unwrap();
    assert_eq!(world.held(&nodes).await, [3, 3]);
    assert_eq!(world.hold(&nodes[0]).await.unwrap().promotion, 5);
    world.report(&nodes[0], 1).await;
    world.report(&nodes[1], 1).await;
    assert_eq!(world.held(&nodes).await, [2, 2]);
    assert_eq!(world.promote("canary", 3).await.unwrap_err(), NotMoved::Bad(tripped.version));
    let file = world.file();
    assert_eq!(verify(&file, None).await.unwrap().verdict, Verdict::Ok);
    assert_eq!(replay(&file, None).await.unwrap().exit_code(), 0);
}

#[tokio::test]
async fn what_was_reported_before_a_restart_counts_after_it() {
    let mut world = World::new().await;
    world.model(2).await;
    let nodes = fleet(&world, &["a", "b", "c"]).await;
    world.channel("stable", 1, setup("accuracy >= 0.5 over 2 nodes", &[100])).await;
    world.promote("stable", 2).await.unwrap();
    world.report(&nodes[0], 0).await;
    let mut world = world.reopened(60_000, 0).await;
    world.tick().await;
    assert_eq!(world.held(&nodes).await, [2, 2, 2]);
    world.report(&nodes[1], 1).await;
    assert_eq!(world.held(&nodes).await, [1, 1, 1]);
}

#[tokio::test]
async fn a_version_is_watched_after_its_last_step_and_what_was_said_before_does_not_count() {
    let mut world = World::new().await;
    world.model(3).await;
    let nodes = fleet(&world, &["a", "b", "c", "d"]).await;
    world.channel("stable", 1, setup("accuracy >= 0.5 over 2 nodes", &[100])).await;
    // Said of version 2 by a node that holds it for another reason, before it is promoted.
    let version = world.versions("m").await[1].digest;
    for node in &nodes {
        let (node, model) = (node.clone(), model());
        let evaluation = Evaluation { node, model, version, samples: 10, correct: 0 };
        world.core.record(evaluation).await.unwrap().unwrap();
    }
    world.promote("stable", 2).await.unwrap();
    world.report(&nodes[0], 10).await;
    world.report(&nodes[1], 10).await;
    assert_eq!(world.stands("stable").await.newest.state, State::Done);
    world.report(&nodes[2], 0).await;
    world.report(&nodes[3], 0).await;
    assert_eq!(world.stands("stable").await.newest.state, State::Done, "20 of 40 are enough");
    world.report(&nodes[0], 9).await;
    assert_eq!(world.held(&nodes).await, [1, 1, 1, 1]);
    assert_eq!(
        world.course("stable").await,
        [(1, 1, State::Done), (2, 2, State::Tripped), (3, 1, State::Done)]
    );
}

#[tokio::test]
async fn a_small_step_is_decided_by_all_its_nodes_and_an_empty_one_is_passed() {
    let mut world = World::new().await;
    world.model(2).await;
    world.channel("stable", 1, setup("accuracy >= 0.5 over 50 nodes", &[1, 100])).await;
    // Neither has the one place of a hundred that the first step holds.
    let mut nodes = fleet(&world, &["a", "d"]).await;
    world.advance(1_000);
    world.promote("stable", 2).await.unwrap();
    let stands = world.stands("stable").await;
    assert_eq!((stands.newest.percent, stands.newest.state), (100, State::Rolling));
    world.report(&nodes[0], 10).await;
    // A third one comes before the second has spoken: all three must.
    nodes.push(world.enrol("c").await);
    world.advance(1_000);
    world.report(&nodes[1], 10).await;
    world.tick().await;
    assert_eq!(world.stands("stable").await.newest.state, State::Rolling);
    world.report(&nodes[2], 10).await;
    assert_eq!(world.stands("stable").await.newest.state, State::Done);
}

#[tokio::test]
async fn an_approval_is_waited_for_and_a_later_version_takes_its_place() {
    let mut world = World::new().await;
    world.model(1).await;
    let nodes = fleet(&world, &["a"]).await;
    let asked = Setup { auto: true, approval: true, ..setup("", &[100]) };
    world.channel("stable", 1, asked).await;
    assert_eq!(
        world.steer("stable", Move::Approve { promotion: None }).await.unwrap_err(),
        NotMoved::NotAsked
    );
    world.import(11).await;
    world.import(12).await;
    let waits = [(1, 1, State::Done), (2, 2, State::Superseded), (3, 3, State::Waiting)];
    assert_eq!(world.course("stable").await, waits);
    assert_eq!(world.held(&nodes).await, [1]);
    let stale = Move::Approve { promotion: Some(2) };
    assert_eq!(world.steer("stable", stale).await.unwrap_err(), NotMoved::NotAsked);
    world.steer("stable", Move::Approve { promotion: Some(3) }).await.unwrap();
    assert_eq!(world.held(&nodes).await, [3], "nobody watches: it goes through at once");
    assert_eq!(world.history("stable").await[2].approved_by.as_deref(), Some("test"));
    world.import(13).await;
    world.steer("stable", Move::RollBack).await.unwrap();
    assert_eq!(world.held(&nodes).await, [3], "an approval is refused by rolling back");
    world.tick().await;
    assert_eq!(world.stands("stable").await.newest.version.0, 3, "and not asked for again");
}

#[tokio::test]
async fn rolling_back_goes_further_each_time_and_ends_at_the_first() {
    let mut world = World::new().await;
    world.model(3).await;
    let nodes = fleet(&world, &["a"]).await;
    world.channel("stable", 1, setup("", &[100])).await;
    assert_eq!(world.steer("stable", Move::RollBack).await.unwrap_err(), NotMoved::NothingBehind);
    world.promote("stable", 2).await.unwrap();
    world.promote("stable", 3).await.unwrap();
    world.promote("stable", 3).await.unwrap();
    assert_eq!(world.history("stable").await.len(), 3, "it is there already");
    for version in [2, 1] {
        world.steer("stable", Move::RollBack).await.unwrap();
        assert_eq!(world.held(&nodes).await, [version]);
    }
    assert_eq!(world.steer("stable", Move::RollBack).await.unwrap_err(), NotMoved::NothingBehind);
    world.promote("stable", 3).await.unwrap();
    world.steer("stable", Move::RollBack).await.unwrap();
    assert_eq!(world.held(&nodes).await, [1]);
}

#[tokio::test]
async fn one_promotion_at_a_time_and_none_of_a_pinned_channel() {
    let mut world = World::new().await;
    world.model(3).await;
    let nodes = fleet(&world, &["a", "b"]).await;
    let guard = Setup { auto: false, ..setup("accuracy >= 0.5 over 2 nodes", &[100]) };
    world.channel("stable", 1, guard).await;
    world.promote("stable", 2).await.unwrap();
    assert_eq!(world.promote("stable", 3).await.unwrap_err(), NotMoved::Running(2));
    assert!(world.promote("stable", 2).await.is_ok(), "the same again");
    world.force("stable", 3).await.unwrap();
    assert_eq!(world.held(&nodes).await, [3, 3]);
    let pin = Move::Pin { version: None, force: false };
    world.steer("stable", pin).await.unwrap();
    assert_eq!(world.held(&nodes).await, [1, 1], "what is on its way was not the channel's yet");
    assert_eq!(world.promote("stable", 2).await.unwrap_err(), NotMoved::Pinned);
    assert_eq!(world.force("stable", 2).await.unwrap_err(), NotMoved::Pinned);
    assert_eq!(world.steer("stable", Move::RollBack).await.unwrap_err(), NotMoved::Pinned);
    let pin = Move::Pin { version: Some(Which::Number(3)), force: false };
    world.steer("stable", pin).await.unwrap();
    world.report(&nodes[0], 0).await;
    world.report(&nodes[1], 0).await;
    assert_eq!(world.held(&nodes).await, [3, 3], "it stays, whatever happens");
    world.steer("stable", Move::Unpin).await.unwrap();
    world.promote("stable", 2).await.unwrap();
    assert_eq!(world.held(&nodes).await, [2, 2]);
    let states: Vec<_> = world.course("stable").await.iter().map(|one| one.2).collect();
    let (d, s, r) = (State::Done, State::Superseded, State::Rolling);
    assert_eq!(states, [d, s, s, d, d, r]);
}

#[tokio::test]
async fn to_promote_what_the_channel_has_takes_back_what_is_on_its_way() {
    let mut world = World::new().await;
    world.model(2).await;
    let nodes = fleet(&world, &["a", "b"]).await;
    world.channel("stable", 1, setup("accuracy >= 0.5 over 2 nodes", &[100])).await;
    world.force("stable", 1).await.unwrap();
    assert_eq!(world.history("stable").await.len(), 1, "it is there already");
    world.promote("stable", 2).await.unwrap();
    assert_eq!(world.held(&nodes).await, [2, 2]);
    world.force("stable", 1).await.unwrap();
    assert_eq!(world.held(&nodes).await, [1, 1]);
    let stands = world.stands("stable").await.newest;
    assert_eq!((stands.state, stands.told, stands.watched), (State::Done, 1, false));
    assert_eq!(world.steer("stable", Move::RollBack).await.unwrap_err(), NotMoved::NothingBehind);
}

#[tokio::test]
async fn what_cannot_be_done_is_told() {
    let mut world = World::new().await;
    world.model(1).await;
    world.channel("stable", 1, setup("", &[100])).await;
    let make = |model: &str, text: &str, version| NewChannel {
        model: model.parse().unwrap(),
        name: name(text),
        version: Which::Number(version),
        setup: setup("", &[100]),
    };
    let store = &world.core.store;
    for (new, expected) in [
        (make("x", "stable", 1), NotMoved::UnknownModel),
        (make("m", "stable", 1), NotMoved::Exists),
        (make("m", "canary", 2), NotMoved::UnknownVersion),
    ] {
        let made = done(world.clock.wall(), |deed| store.create_channel(new, deed)).await;
        assert_eq!(made.unwrap().unwrap_err(), expected);
    }
    assert_eq!(world.promote("stable", 9).await.unwrap_err(), NotMoved::UnknownVersion);
    assert_eq!(world.promote("canary", 1).await.unwrap_err(), NotMoved::UnknownChannel);
    for more in 1..federation::limits::CHANNELS_MAX {
        world.channel(&format!("c{more}"), 1, setup("", &[100])).await;
    }
    let (store, new) = (&world.core.store, make("m", "one-more", 1));
    let made = done(world.clock.wall(), |deed| store.create_channel(new, deed)).await;
    assert_eq!(made.unwrap().unwrap_err(), NotMoved::TooMany);
}

#[tokio::test]
async fn without_channels_nothing_is_looked_at() {
    let mut world = World::new().await;
    world.model(1).await;
    let node = world.enrol("a").await;
    world.tick().await;
    let version = world.versions("m").await[0].digest;
    let evaluation = Evaluation { node, model: model(), version, samples: 10, correct: 0 };
    world.core.record(evaluation).await.unwrap().unwrap();
    let desk = &world.core.channels;
    assert!(!desk.moved.load(Ordering::Relaxed) && !desk.reported.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_version_of_another_shape_or_beside_a_run_is_not_taken() {
    use crate::store::NotImported;
    let mut world = World::new().await;
    world.model(1).await;
    let now = world.clock.wall();
    let store = &world.core.store;
    let bring = async |artifact| {
        done(now, |deed| store.import_version(model(), artifact, deed)).await.unwrap()
    };
    assert_eq!(bring(artifact(WEIGHTS + 1)).await.unwrap_err(), NotImported::OtherModel);
    assert!(matches!(bring(artifact(WEIGHTS)).await.unwrap(), Imported::Same(_)));
    let Imported::New(made) = bring(filled(7)).await.unwrap() else { panic!("it is new") };
    assert_eq!((made.number.0, made.parent.unwrap().0.0, made.made_by), (2, 1, None));
    let run = world.run("m", plan(2, 1)).await;
    assert_eq!(run.base_version.0, 2);
    assert_eq!(bring(filled(8)).await.unwrap_err(), NotImported::ModelBusy(run.id));
    let nodes = fleet(&world, &["a", "b"]).await;
    world.tick().await;
    world.answer(&nodes, |_| 9).await;
    world.tick().await;
    let file = world.file();
    let found = verify(&file, None).await.unwrap();
    assert_eq!((found.verdict, found.versions.as_told), (Verdict::Ok, 3));
    assert_eq!(replay(&file, None).await.unwrap().exit_code(), 0);
}

#[tokio::test]
async fn retention_spares_what_a_channel_has_and_returns_to_and_nothing_else_comes_back() {
    use crate::store::Spared;
    let mut world = World::new().await;
    world.model(5).await;
    let nodes = fleet(&world, &["a"]).await;
    world.channel("stable", 1, setup("", &[100])).await;
    for version in [2, 3] {
        world.promote("stable", version).await.unwrap();
    }
    let spared = Spared { newest: 1, every: 0 };
    let now = world.clock.wall();
    assert_eq!(world.core.store.drop_artifacts(spared, now).await.unwrap(), 2, "1 and 4");
    let number = |number| federation::VersionNumber(number);
    assert_eq!(world.promote("stable", 4).await.unwrap_err(), NotMoved::Pruned(number(4)));
    let pin = Move::Pin { version: Some(Which::Number(1)), force: true };
    assert_eq!(world.steer("stable", pin).await.unwrap_err(), NotMoved::Pruned(number(1)));
    world.steer("stable", Move::RollBack).await.unwrap();
    assert_eq!(world.held(&nodes).await, [2]);
    assert_eq!(world.steer("stable", Move::RollBack).await.unwrap_err(), NotMoved::NothingBehind);
}
