//! A node that follows a channel.

use super::*;
use crate::compute::Compute;
use crate::train::Trial;
use federation::{Digest, VersionNumber};

/// The versions of a channel: each another artifact.
fn version(host: &Host, number: u32, promotion: u32) -> Hold {
    let mut weights = artifact().weights().to_vec();
    weights[0] = i8::try_from(number).unwrap();
    let bytes = artifact().with_weights(weights).unwrap().encode();
    let digest = Digest::of(&bytes);
    host.world().versions.insert(digest, bytes);
    let (model, channel) = (model(), "canary".parse().unwrap());
    Hold { model, channel, version: VersionNumber(number), digest, promotion, samples: 3 }
}

fn holding(hold: &Hold) -> Holding {
    Holding { digest: hold.digest, promotion: hold.promotion }
}

async fn comes_to_hold(host: &mut Host, node: &mut Node, hold: &Hold) {
    host.world().hold = Some(hold.clone());
    drive(host, node, |world, _| world.holdings.last() == Some(&Some(holding(hold)))).await;
}

#[tokio::test]
async fn it_fetches_tries_and_reports_a_version_once_and_goes_back_to_a_lower_one() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let mut node = open(&host, dir.path());
    let (good, bad) = (version(&host, 7, 1), version(&host, 9, 2));
    comes_to_hold(&mut host, &mut node, &good).await;
    comes_to_hold(&mut host, &mut node, &bad).await;
    comes_to_hold(&mut host, &mut node, &good).await;
    for _ in 0..3 {
        step(&mut host, &mut node).await;
    }
    let tried: Vec<_> = host
        .world()
        .evaluations
        .iter()
        .map(|evaluation| (evaluation.version, evaluation.samples))
        .collect();
    assert_eq!(tried, [(good.digest, 3), (bad.digest, 3), (good.digest, 3)]);
    assert_eq!(host.world().count("fetch"), 2, "the cache holds the one before");
    assert_eq!(host.world().holdings[0], None);
    let mut compute = Compute::new(source(), Placement::Inline).unwrap();
    let bytes = host.world().versions[&good.digest].clone();
    let artifact = Arc::new(Artifact::parse(&bytes).unwrap());
    let evaluated = compute.evaluate(artifact, &Trial::of_hold(&good)).await.unwrap();
    assert_eq!(host.world().evaluations[0].correct, evaluated.correct);

    // It knows after a restart, and tries again for another promotion.
    drop(node);
    let mut node = open(&host, dir.path());
    drive(&mut host, &mut node, |world, _| world.count("enrol") == 2).await;
    let again = Hold { promotion: 3, ..good.clone() };
    comes_to_hold(&mut host, &mut node, &again).await;
    assert_eq!(host.world().evaluations.len(), 4);
    assert_eq!(host.world().count("fetch"), 2);
}

#[tokio::test]
async fn an_order_that_came_with_a_version_is_carried_out_after_it() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let mut node = open(&host, dir.path());
    let artifact = artifact();
    let hold = version(&host, 7, 1);
    host.world().hold = Some(hold.clone());
    host.world().order(&artifact, order(&artifact, 1));
    one_round(&mut host, &mut node).await;
    assert_eq!(host.world().holdings, [None, Some(holding(&hold))]);
    assert_eq!(
        host.world().calls,
        ["enrol", "wait", "fetch", "report", "wait", "fetch", "report", "push"]
    );
}

#[tokio::test]
async fn an_answer_lost_to_a_power_failure_is_had_again() {
    for call in ["wait", "fetch", "report"] {
        let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
        let mut node = open(&host, dir.path());
        let hold = version(&host, 7, 1);
        host.world().lose = Some(call);
        comes_to_hold(&mut host, &mut node, &hold).await;
        assert_eq!(host.world().lose, None, "{call}");
        let reports = if call == "report" { 2 } else { 1 };
        assert_eq!(host.world().evaluations.len(), reports, "{call}");
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_held_leaves_the_one_before_and_is_not_tried_again() {
    let (mut host, dir) = (Host::start(), tempfile::tempdir().unwrap());
    let mut node = open(&host, dir.path());
    let good = version(&host, 7, 1);
    comes_to_hold(&mut host, &mut node, &good).await;
    let nowhere = Hold { digest: Digest::of(b"nowhere"), promotion: 2, ..good.clone() };
    let noise = Hold { digest: Digest::of(b"noise"), promotion: 3, ..good.clone() };
    host.world().versions.insert(noise.digest, b"noise".to_vec());
    for (hold, fetches) in [(nowhere, 2), (noise, 3)] {
        host.world().hold = Some(hold);
        drive(&mut host, &mut node, |world, _| world.count("fetch") == fetches).await;
        let waits = host.world().count("wait");
        drive(&mut host, &mut node, |world, _| world.count("wait") == waits + 3).await;
        let world = host.world();
        assert_eq!((world.count("fetch"), world.evaluations.len()), (fetches, 1));
        assert_eq!(world.holdings.last(), Some(&Some(holding(&good))));
    }
    // It goes on training, and holds the next version that it can.
    let artifact = artifact();
    host.world().order(&artifact, order(&artifact, 1));
    one_round(&mut host, &mut node).await;
    let next = version(&host, 8, 4);
    comes_to_hold(&mut host, &mut node, &next).await;
}
