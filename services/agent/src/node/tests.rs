//! The step machine against a coordinator that refuses, forgets, lies and dies.

use std::path::Path;

use federation::{Metrics, ModelName, RunId};
use tonic::Status;

mod hold;
mod relay;

use super::fake::{Host, World};
use super::*;
use crate::config::EnrolToken;
use crate::journal::Entry;
use crate::residual::Residual;
use crate::testing::{artifact, artifact_with, order, source};
use crate::train::Bench;

#[derive(Debug)]
struct Seven;
impl Entropy for Seven {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn settings(host: &Host, state: &Path) -> Settings {
    Settings {
        coordinator: host.address(),
        state: state.to_owned(),
        name: None,
        enrol_token: None,
        labels: Default::default(),
        data: "navigation:seed=3".parse().unwrap(),
        status_file: None,
    }
}

fn open(host: &Host, state: &Path) -> Node {
    let settings = settings(host, state);
    Node::open(&settings, Uplink::connect(&settings.coordinator), &Seven, Placement::Thread)
        .unwrap()
}

/// One step, during which the coordinator's power may fail. Pauses are not waited for.
async fn step(host: &mut Host, node: &mut Node) -> Progress {
    let step = node.step();
    tokio::pin!(step);
    loop {
        tokio::select! {
            biased;
            () = host.power_fails() => host.restart(),
            progress = &mut step => return progress.unwrap(),
        }
    }
}

async fn drive(host: &mut Host, node: &mut Node, until: impl Fn(&World, &Node) -> bool) {
    for _ in 0..200 {
        if until(&host.world(), node) {
            return;
        }
        step(host, node).await;
    }
    panic!("not reached after {:?}", host.world().calls);
}

/// Until the round that is ordered now has its receipt and the node knows.
async fn one_round(host: &mut Host, node: &mut Node) {
    drive(host, node, |world, node| {
        let round = world.order.as_ref().unwrap().round;
        node.journal.awaiting().any(|awaited| awaited == round)
    })
    .await;
}

fn model() -> ModelName {
    "navigation".parse().unwrap()
}

/// The payload that an undisturbed node with this residual sends.
fn expected(order: &TrainOrder, residual: Residual) -> Vec<u8> {
    Bench::new().train(&source(), &artifact(), order, residual, &|| false).unwrap().payload.to_vec()
}

/// Puts a residual of 200 in the first lane into a node's state directory.
fn with_residual(state: &Path) -> Residual {
    let mut lanes = vec![0; artifact().weights().len()];
    lanes[0] = 200;
    let residual = Residual::new(lanes);
    let mut journal = Journal::open(state).unwrap();
    let round = RoundRef { run: RunId(9), number: 1, attempt: 1 };
    let entry = Entry {
        round,
        model: model(),
        base: federation::Digest::of(b""),
        payload: vec![0; artifact().weights().len()].into(),
        samples: 1,
        metrics: Metrics::default(),
        residual: residual.clone(),
    };
    journal.keep(entry).unwrap();
    journal.counted().unwrap();
    journal.settle(round, Settled::Published).unwrap();
    residual
}

#[tokio::test]
async fn rounds_go_through_and_the_cache_serves_the_second() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let mut node = open(&host, dir.path());
    let artifact = artifact();
    host.world().order(&artifact, order(&artifact, 1));
    one_round(&mut host, &mut node).await;
    let first = order(&artifact, 1).round;
    host.world().settle(first, Settled::Published);
    host.world().order(&artifact, order(&artifact, 2));
    one_round(&mut host, &mut node).await;
    assert_eq!(node.journal.awaiting().collect::<Vec<_>>(), [order(&artifact, 2).round]);

    let world = host.world();
    assert_eq!(world.calls, ["enrol", "wait", "fetch", "report", "push", "wait", "report", "push"]);
    assert_eq!(world.nodes.keys().collect::<Vec<_>>(), [node.id()]);
    let (candidate, payload) = &world.pushed[0];
    assert_eq!(*payload, expected(&order(&artifact, 1), Residual::default()));
    assert_eq!(
        (candidate.samples, candidate.metrics.bytes_down),
        (2, artifact.encode().len() as u64)
    );
    assert_eq!(world.pushed[1].0.metrics.bytes_down, 0);
    assert_eq!((world.evaluations[0].samples, &world.evaluations[0].model), (1, &model()));
}

#[tokio::test]
async fn a_node_asks_again_when_the_answer_to_its_update_says() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let mut node = open(&host, dir.path());
    host.world().idle = Some(Idle { retry_after_ms: 1_700 });
    let told = Duration::from_millis(1_700);
    host.world().order(&artifact(), order(&artifact(), 1));
    while host.world().count("push") == 0 {
        let progress = step(&mut host, &mut node).await;
        let pushed = host.world().count("push") == 1;
        assert_eq!(progress, if pushed { Progress::Waiting(told) } else { Progress::Working });
    }
}

#[tokio::test]
async fn an_answer_lost_to_a_power_failure_changes_nothing() {
    let artifact = artifact();
    for call in ["enrol", "wait", "fetch", "report", "push"] {
        let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
        let mut node = open(&host, dir.path());
        host.world().order(&artifact, order(&artifact, 1));
        host.world().lose = Some(call);
        one_round(&mut host, &mut node).await;
        let world = host.world();
        assert_eq!(world.lose, None, "{call}");
        assert!(world.count(call) >= 2, "{call}: {:?}", world.calls);
        assert_eq!(world.receipts.len(), 1, "{call}");
        let payload = expected(&order(&artifact, 1), Residual::default());
        assert!(world.pushed.iter().all(|(_, pushed)| *pushed == payload), "{call}");
    }
}

#[tokio::test]
async fn the_nodes_own_power_fails_after_every_step() {
    let artifact = artifact();
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let residual = with_residual(dir.path());
    host.world().order(&artifact, order(&artifact, 1));
    let payload = expected(&order(&artifact, 1), residual);
    for lives in 1.. {
        let mut node = open(&host, dir.path());
        for _ in 0..lives {
            step(&mut host, &mut node).await;
        }
        if node.journal.awaiting().len() == 1 {
            break;
        }
        assert!(lives < 20, "{:?}", host.world().calls);
    }
    assert_eq!(host.world().receipts.len(), 1);
    assert!(host.world().pushed.iter().all(|(_, pushed)| *pushed == payload));
    let left = open(&host, dir.path()).journal.residual(&model());
    assert_eq!(i32::from(payload[0].cast_signed()), 127);
    assert!((60..=90).contains(&left.lanes()[0]), "{:?}", left.lanes()[0]);
}

#[tokio::test]
async fn an_unsent_update_is_sent_before_anything_else_and_not_learned_again() {
    let artifact = artifact();
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    host.world().order(&artifact, order(&artifact, 1));
    let mut node = open(&host, dir.path());
    drive(&mut host, &mut node, |_, node| node.journal.outbox().is_some()).await;
    drop(node);
    host.world().calls.clear();
    let mut node = open(&host, dir.path());
    one_round(&mut host, &mut node).await;
    assert_eq!(host.world().calls, ["enrol", "push"]);
}

#[tokio::test]
async fn a_refused_update_drops_its_learning() {
    let artifact = artifact();
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let residual = with_residual(dir.path());
    let mut node = open(&host, dir.path());
    host.world().order(&artifact, order(&artifact, 1));
    host.world().push_refusals.extend([RefusalCode::RoundClosed]);
    drive(&mut host, &mut node, |_, node| node.given_up.is_some()).await;
    assert_eq!((node.journal.outbox(), node.journal.residual(&model())), (None, residual.clone()));

    // The same order again is not taken up; pauses grow.
    let calls = host.world().calls.len();
    let pauses = [
        step(&mut host, &mut node).await,
        step(&mut host, &mut node).await,
        step(&mut host, &mut node).await,
    ];
    assert_eq!(host.world().calls[calls..], ["wait"; 3]);
    let [Progress::Waiting(first), _, Progress::Waiting(third)] = pauses else {
        panic!("{pauses:?}")
    };
    assert!(first < third, "{pauses:?}");

    host.world().order(&artifact, order(&artifact, 2));
    one_round(&mut host, &mut node).await;
    assert_eq!(host.world().pushed[0].1, expected(&order(&artifact, 2), residual));
}

#[tokio::test]
async fn an_abandoned_round_brings_the_residual_back_and_a_published_one_does_not() {
    let artifact = artifact();
    for (outcome, restored) in
        [(Settled::Abandoned, true), (Settled::Published, false), (Settled::Unknown, false)]
    {
        let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
        let residual = with_residual(dir.path());
        let mut node = open(&host, dir.path());
        host.world().order(&artifact, order(&artifact, 1));
        one_round(&mut host, &mut node).await;
        let counted = node.journal.residual(&model());
        assert_ne!(counted, residual);
        host.world().settle(order(&artifact, 1).round, outcome);
        let mut again = order(&artifact, 1);
        again.round.attempt = 2;
        host.world().order(&artifact, again.clone());
        one_round(&mut host, &mut node).await;
        let used = if restored { residual } else { counted };
        assert_eq!(host.world().pushed[1].1, expected(&again, used), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_forgotten_node_enrols_again_whatever_it_was_doing() {
    let artifact = artifact();
    for steps in 1..6 {
        let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
        let mut node = open(&host, dir.path());
        host.world().order(&artifact, order(&artifact, 1));
        for _ in 0..=steps {
            step(&mut host, &mut node).await;
        }
        host.world().nodes.clear();
        one_round(&mut host, &mut node).await;
        {
            let world = host.world();
            assert_eq!((world.count("enrol"), world.receipts.len()), (2, 1), "{steps}");
        }
    }
}

#[tokio::test]
async fn a_version_with_another_digest_is_not_used() {
    let artifact = artifact();
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let mut node = open(&host, dir.path());
    host.world().order(&artifact, order(&artifact, 1));
    host.world().tamper = 2;
    one_round(&mut host, &mut node).await;
    assert_eq!(host.world().count("fetch"), 3);
    assert_eq!(host.world().pushed[0].1, expected(&order(&artifact, 1), Residual::default()));

    // Nor is a cached one that was changed on disk.
    let cached = dir.path().join("cache").join(order(&artifact, 1).base.to_string());
    std::fs::write(&cached, b"something else").unwrap();
    host.world().order(&artifact, order(&artifact, 2));
    one_round(&mut host, &mut node).await;
    assert_eq!(host.world().count("fetch"), 4);
    assert_eq!(std::fs::read(&cached).unwrap(), artifact.encode());
}

#[tokio::test]
async fn an_order_that_cannot_be_carried_out_is_left_and_the_next_one_taken() {
    let good = artifact();
    let mut wrong_register = order(&good, 1);
    wrong_register.work.registers = [("SPI_NO_SUCH".to_owned(), 1)].into();
    let narrow = artifact_with(&[("SPI_KAPPA", 120)]);
    let other =
        Artifact::new("other/1", narrow.layout().clone(), Vec::new(), narrow.weights().to_vec())
            .unwrap();
    let wrong_weights = TrainOrder { weights: 5, ..order(&narrow, 1) };
    let no_version = TrainOrder { base: federation::Digest::of(b"nobody"), ..order(&good, 1) };
    for (artifact, bad, fetches) in [
        (&good, wrong_register, 1),
        (&other, order(&other, 1), 1),
        (&narrow, wrong_weights, 1),
        (&good, no_version, 1),
    ] {
        let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
        let mut node = open(&host, dir.path());
        host.world().order(artifact, bad.clone());
        host.world().versions.retain(|digest, bytes| *digest == federation::Digest::of(bytes));
        drive(&mut host, &mut node, |world, node| {
            node.given_up.is_some() && world.count("wait") == 4
        })
        .await;
        {
            let world = host.world();
            assert_eq!((world.count("fetch"), world.count("push")), (fetches, 0));
        }
        host.world().order(&good, order(&good, 2));
        one_round(&mut host, &mut node).await;
    }
}

#[tokio::test]
async fn a_name_that_is_taken_ends_the_node() {
    let (host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let mut node = open(&host, dir.path());
    host.world().name_taken = true;
    let error = node.step().await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("enrolment_refused", 4));
    assert!(error.to_string().contains("name_taken"), "{error}");
}

#[tokio::test]
async fn a_damaged_payload_is_sent_again_a_few_times_and_a_malformed_one_not() {
    let artifact = artifact();
    let damaged = RefusalCode::PayloadDigestMismatch;
    for (times, pushes, counted) in [(2, 3, true), (9, 4, false)] {
        let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
        let mut node = open(&host, dir.path());
        host.world().order(&artifact, order(&artifact, 1));
        host.world().push_refusals.extend(std::iter::repeat_n(damaged, times));
        drive(&mut host, &mut node, |world, node| {
            world.count("push") > 0 && node.journal.outbox().is_none()
        })
        .await;
        {
            let world = host.world();
            assert_eq!((world.count("push"), world.receipts.len() == 1), (pushes, counted));
        }
    }
    for (status, pushes) in [
        (Status::invalid_argument("x"), 1),
        (Status::unavailable("x"), 2),
        (Status::unauthenticated("x"), 2),
    ] {
        let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
        let mut node = open(&host, dir.path());
        host.world().order(&artifact, order(&artifact, 1));
        host.world().push_errors.push_back(status);
        drive(&mut host, &mut node, |world, node| {
            world.count("push") > 0 && node.journal.outbox().is_none()
        })
        .await;
        assert_eq!(host.world().count("push"), pushes);
    }
}

#[tokio::test]
async fn a_coordinator_that_lost_a_counted_update_gets_the_same_again() {
    let artifact = artifact();
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    with_residual(dir.path());
    let mut node = open(&host, dir.path());
    host.world().order(&artifact, order(&artifact, 1));
    one_round(&mut host, &mut node).await;
    let residual = node.journal.residual(&model());
    host.world().receipts.clear();
    drive(&mut host, &mut node, |world, node| {
        world.pushed.len() == 2 && node.journal.outbox().is_none()
    })
    .await;
    {
        let world = host.world();
        assert_eq!(world.pushed[0].1, world.pushed[1].1);
    }
    assert_eq!((node.journal.residual(&model()), node.journal.awaiting().len()), (residual, 1));
}

#[tokio::test]
async fn without_a_coordinator_pauses_grow_and_nothing_is_lost() {
    let artifact = artifact();
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let mut settings = settings(&host, dir.path());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut offline = settings.clone();
    offline.coordinator = crate::uplink::Address::parse(&format!("http://{nobody}")).unwrap();
    let mut node =
        Node::open(&offline, Uplink::connect(&offline.coordinator), &Seven, Placement::Thread)
            .unwrap();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let Progress::Waiting(pause) = node.step().await.unwrap() else {
            panic!("nobody is there")
        };
        pauses.push(pause);
    }
    assert!(pauses[0] < pauses[4] && pauses[11] <= Duration::from_secs(30), "{pauses:?}");
    drop(node);
    settings.name = Some("node-01".parse().unwrap());
    let mut node =
        Node::open(&settings, Uplink::connect(&settings.coordinator), &Seven, Placement::Inline)
            .unwrap();
    host.world().order(&artifact, order(&artifact, 1));
    one_round(&mut host, &mut node).await;
    assert_eq!(node.id().as_str(), "node-01");
}

#[tokio::test]
async fn a_step_may_be_cancelled_anywhere() {
    let artifact = artifact();
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let mut node = open(&host, dir.path());
    host.world().order(&artifact, order(&artifact, 1));
    for _ in 0..8 {
        // Polled once and dropped, wherever it is by then; then a whole step.
        tokio::select! {
            biased;
            progress = node.step() => drop(progress.unwrap()),
            () = tokio::task::yield_now() => {}
        }
        step(&mut host, &mut node).await;
    }
    one_round(&mut host, &mut node).await;
    assert_eq!(host.world().receipts.len(), 1);
    let payload = expected(&order(&artifact, 1), Residual::default());
    assert!(host.world().pushed.iter().all(|(_, pushed)| *pushed == payload));
}

#[tokio::test]
async fn each_question_says_how_the_device_is_doing_at_that_time() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let file = dir.path().join("status");
    let settings =
        Settings { status_file: Some(file.clone()), ..settings(&host, &dir.path().join("state")) };
    let mut node =
        Node::open(&settings, Uplink::connect(&settings.coordinator), &Seven, Placement::Inline)
            .unwrap();
    for (asked, text) in
        ["", "charging=true\nbattery_percent=30", "charging=false"].iter().enumerate()
    {
        std::fs::write(&file, text).unwrap();
        drive(&mut host, &mut node, |world, _| world.statuses.len() == asked + 1).await;
    }
    let world = host.world();
    let told: Vec<_> =
        world.statuses.iter().map(|status| (status.charging, status.battery_percent)).collect();
    assert_eq!(told, [(None, None), (Some(true), Some(30)), (Some(false), None)]);
    assert_eq!(*world.statuses[0].capacity, learner::capacity());
    assert_eq!(world.statuses[0].capacity["recurrent"], 256);
    assert_eq!(world.statuses[0].samples, Some(federation::limits::STATUS_COUNT_MAX));
}

fn token() -> String {
    format!("mse_7_{}", "ab".repeat(32))
}

/// A node of a coordinator that wants tokens, started with one or without.
fn open_with(host: &Host, state: &Path, token: Option<&str>) -> Node {
    let enrol_token = token.map(|token| EnrolToken::parse(token).unwrap());
    let settings = Settings { enrol_token, ..settings(host, state) };
    let uplink = Uplink::connect(&settings.coordinator);
    Node::open(&settings, uplink, &crate::SystemEntropy, Placement::Thread).unwrap()
}

#[tokio::test]
async fn a_token_lets_a_node_in_and_its_credential_from_then_on() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    host.world().wants = Some(token());
    host.world().order(&artifact(), order(&artifact(), 1));
    let mut node = open_with(&host, dir.path(), Some(&token()));
    one_round(&mut host, &mut node).await;
    assert_eq!(host.world().count("enrol"), 1, "{:?}", host.world().calls);
    let credentials = host.world().credentials.clone();
    drop(node);
    // A restart needs no token; one that is given all the same changes nothing.
    for (number, token) in [(2, None), (3, Some(token()))] {
        host.world().order(&artifact(), order(&artifact(), number));
        let mut node = open_with(&host, dir.path(), token.as_deref());
        one_round(&mut host, &mut node).await;
    }
    assert_eq!(host.world().credentials, credentials);
    // The coordinator lost the node: with the token it gets in again, with the same credential.
    host.world().credentials.clear();
    host.world().order(&artifact(), order(&artifact(), 4));
    let mut node = open_with(&host, dir.path(), Some(&token()));
    one_round(&mut host, &mut node).await;
    assert_eq!(host.world().credentials, credentials);
}

#[tokio::test]
async fn a_lost_answer_costs_an_enrolment_nothing() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    host.world().wants = Some(token());
    host.world().order(&artifact(), order(&artifact(), 1));
    host.world().lose = Some("enrol");
    let mut node = open_with(&host, dir.path(), Some(&token()));
    step(&mut host, &mut node).await;
    let credentials = host.world().credentials.clone();
    assert_eq!((host.world().count("enrol"), credentials.len()), (1, 1));
    drop(node);
    // The token is used up by now, and the power failed here too: what is on disk suffices.
    host.world().wants = Some("another".to_owned());
    let mut node = open_with(&host, dir.path(), None);
    one_round(&mut host, &mut node).await;
    assert_eq!(host.world().credentials, credentials);
}

#[tokio::test]
async fn a_node_that_is_not_let_in_ends_and_says_what_to_do() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    host.world().wants = Some(token());
    let mut node = open_with(&host, dir.path(), None);
    let error = node.step().await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("enrolment_token_needed", 4));
    assert!(error.to_string().contains("--enrol-token"), "{error}");
    drop(node);

    // Let in once, and then unknown: it says so as soon as it asks.
    let mut node = open_with(&host, dir.path(), Some(&token()));
    drive(&mut host, &mut node, |world, _| world.count("wait") > 0).await;
    drop(node);
    let mut node = open_with(&host, dir.path(), None);
    drive(&mut host, &mut node, |world, _| world.count("wait") > 1).await;
    host.world().credentials.clear();
    let error = loop {
        if let Err(error) = node.step().await {
            break error;
        }
    };
    assert_eq!(error.code(), "enrolment_token_needed");
}

#[tokio::test]
async fn a_revoked_node_stops_asking() {
    for at in ["enrol", "wait", "push"] {
        let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
        host.world().order(&artifact(), order(&artifact(), 1));
        let mut node = open(&host, dir.path());
        match at {
            "enrol" => {}
            "wait" => drive(&mut host, &mut node, |world, _| world.count("enrol") > 0).await,
            _ => drive(&mut host, &mut node, |_, node| node.journal.outbox().is_some()).await,
        }
        host.world().revoked = true;
        let before = host.world().calls.len();
        let error = loop {
            if let Err(error) = node.step().await {
                break error;
            }
        };
        assert_eq!((error.code(), error.exit_code()), ("node_revoked", 4), "{at}");
        assert_eq!(host.world().calls[before..], [at], "{at}");
        node.step().await.unwrap_err();
        assert_eq!(host.world().calls.len(), before + 1, "it never asks again");
    }
}
