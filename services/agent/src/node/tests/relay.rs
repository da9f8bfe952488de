//! A node whose calls go over a relay.

use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;

fn open(host: &Host, state: &Path, token: Option<&str>) -> Node {
    let enrol_token = token.map(|token| EnrolToken::parse(token).unwrap());
    let settings = Settings { enrol_token, ..settings(host, state) };
    let uplink = Uplink::connect(&settings.coordinator).relaying();
    Node::open(&settings, uplink, &Seven, Placement::Thread).unwrap()
}

#[tokio::test]
async fn an_answer_lost_on_a_relay_changes_nothing_and_another_relay_begins() {
    let artifact = artifact();
    for call in ["wait", "report", "push"] {
        let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
        let mut node = open(&host, dir.path(), None);
        host.world().order(&artifact, order(&artifact, 1));
        host.world().lose = Some(call);
        one_round(&mut host, &mut node).await;
        let world = host.world();
        assert_eq!((world.lose, world.count(call)), (None, 2), "{call}: {:?}", world.calls);
        assert!(world.relays >= 2, "{call}: {}", world.relays);
        assert_eq!(world.receipts.len(), 1, "{call}");
        let payload = expected(&order(&artifact, 1), Residual::default());
        assert!(world.pushed.iter().all(|(_, pushed)| *pushed == payload), "{call}");
    }
}

#[tokio::test]
async fn a_relayed_call_shows_the_nodes_credential() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    host.world().wants = Some(token());
    host.world().order(&artifact(), order(&artifact(), 1));
    let mut node = open(&host, dir.path(), Some(&token()));
    one_round(&mut host, &mut node).await;
    let world = host.world();
    assert_eq!(world.calls, ["enrol", "wait", "fetch", "report", "push"]);
    assert_eq!(world.relays, 1);
}

#[tokio::test]
async fn a_failure_means_on_a_relay_what_it_means_elsewhere() {
    let busy = ErrorDetails::with_retry_info(Some(Duration::from_millis(1_500)));
    let busy = Status::with_error_details(Code::ResourceExhausted, "busy", busy);
    for (status, pushes, pause) in [
        (Status::invalid_argument("x"), 1, None),
        (Status::unavailable("x"), 2, None),
        (busy, 2, Some(Duration::from_millis(1_500))),
    ] {
        let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
        let mut node = open(&host, dir.path(), None);
        host.world().order(&artifact(), order(&artifact(), 1));
        host.world().push_errors.push_back(status);
        let mut longest = Duration::ZERO;
        while host.world().count("push") == 0 || node.journal.outbox().is_some() {
            if let Progress::Waiting(pause) = step(&mut host, &mut node).await {
                longest = longest.max(pause);
            }
        }
        let world = host.world();
        assert_eq!((world.count("push"), world.relays), (pushes, 1));
        assert!(pause.is_none_or(|pause| longest >= pause), "{longest:?}");
    }
}

#[tokio::test]
async fn a_relay_that_nobody_has_any_more_ends() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let mut node = open(&host, dir.path(), None);
    host.world().order(&artifact(), order(&artifact(), 1));
    one_round(&mut host, &mut node).await;
    let ended = host.world().relay_ended.clone();
    drop(node);
    ended.notified().await;
}
