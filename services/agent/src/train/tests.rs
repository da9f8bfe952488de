//! Training repeats to the byte, alone, after other jobs and on a thread; what does not fit is told.

use super::*;
use crate::compute::{Compute, Placement};
use crate::testing::{artifact, order, source};
use federation::{Digest, NodeId};

fn node() -> NodeId {
    "node".parse().unwrap()
}

fn bench() -> Bench {
    Bench::new()
}

fn trained(bench: &mut Bench, order: &TrainOrder) -> Trained {
    bench.train(&source(), &artifact(), order, Residual::default(), &|| false).unwrap()
}

#[test]
fn the_same_order_gives_the_same_bytes() {
    let (artifact, first) = (artifact(), order(&artifact(), 1));
    let fresh = trained(&mut bench(), &first);
    assert!(fresh.payload.iter().any(|&byte| byte != 0), "something is learned");
    assert!(!fresh.payload.contains(&0x80), "-128 is never sent");
    assert_eq!(fresh.samples, 2);
    assert!(
        fresh.metrics.correct <= 2 && fresh.metrics.synaptic_ops > 10_000,
        "{:?}",
        fresh.metrics
    );

    let mut used = bench();
    let second = trained(&mut used, &order(&artifact, 2));
    assert_ne!(Digest::of(&second.payload), Digest::of(&fresh.payload));
    used.evaluate(&source(), &artifact, &Trial::of_order(&first), &|| false).unwrap();
    assert_eq!(trained(&mut used, &first), fresh, "after other jobs");

    let mut other_attempt = first.clone();
    other_attempt.round.attempt = 2;
    assert_eq!(
        trained(&mut used, &other_attempt),
        fresh,
        "samples follow the round, chance the seed"
    );
    let other_seed = TrainOrder { seed: 1, ..first };
    assert_ne!(trained(&mut used, &other_seed).payload, fresh.payload);
}

#[tokio::test]
async fn a_thread_gives_the_same_as_the_caller() {
    let (artifact, order) = (Arc::new(artifact()), order(&artifact(), 1));
    let mut results = Vec::new();
    for placement in [Placement::Inline, Placement::Thread] {
        let mut compute = Compute::new(source(), placement).unwrap();
        let evaluated = compute.evaluate(artifact.clone(), &Trial::of_order(&order)).await.unwrap();
        let trained =
            compute.train(&node(), artifact.clone(), &order, Residual::default()).await.unwrap();
        results.push((evaluated, trained));
    }
    assert_eq!(results[0], results[1]);
}

#[tokio::test]
async fn a_job_that_nobody_waits_for_stops() {
    let artifact = Arc::new(artifact());
    let mut endless = order(&artifact, 1);
    endless.work.samples = 1000;
    endless.work.epochs = 100;
    endless.samples_max = 100_000;
    let mut compute = Compute::new(source(), Placement::Thread).unwrap();
    let node = node();
    tokio::select! {
        biased;
        _ = compute.train(&node, artifact.clone(), &endless, Residual::default()) => panic!("too fast"),
        () = tokio::task::yield_now() => {}
    }
    let next = compute
        .train(&node, artifact.clone(), &order(&artifact, 1), Residual::default())
        .await
        .unwrap();
    assert_eq!(next, trained(&mut bench(), &order(&artifact, 1)));
}

#[test]
fn epochs_pass_over_the_same_samples_and_each_counts() {
    let mut order = order(&artifact(), 1);
    order.work.epochs = 3;
    let result = trained(&mut bench(), &order);
    assert_eq!(result.samples, 6);
    order.samples_max = 5;
    let error =
        bench().train(&source(), &artifact(), &order, Residual::default(), &|| false).unwrap_err();
    assert_eq!(error.code(), "order_samples_above_max");
    assert!(error.to_string().contains("2 samples times 3 epochs"), "{error}");
}

/// The first samples of a navigation stream, as a recording that the node has.
fn stored(samples: u64) -> Source {
    let stream = tasks::navigation::Stream::new(3);
    let samples = (0..samples).map(|index| Arc::new(stream.sample(index))).collect();
    Source::of_samples(40, 2, samples, Vec::new())
}

#[test]
fn a_node_learns_from_what_it_has_and_claims_no_more() {
    let artifact = artifact();
    let learned = |there: u64, asked: u32| {
        let mut order = order(&artifact, 1);
        (order.work.samples, order.work.epochs) = (asked, 2);
        let source = stored(there);
        let trained =
            bench().train(&source, &artifact, &order, Residual::default(), &|| false).unwrap();
        assert_eq!(trained.samples, source.claims(&order));
        (trained.samples, Digest::of(&trained.payload).to_string())
    };
    let claims = |samples, digest: &str| (samples, digest.to_owned());
    // These two were the same when a node with fewer samples than asked for began again from its first.
    let three = claims(6, "183a6f6c8bec0bfaedabbd2702021e86d4eadd60b1713bbfb076b99b4cdbd680");
    let five = claims(10, "a16a565c1aae5175fcfb58b48dee2a5d830753ca538a476869358fede8ad988e");
    assert_eq!(learned(3, 3), three);
    assert_eq!(learned(7, 5), five, "a part of what it has");
    assert_eq!(learned(3, 5), three, "none is learned from twice in an epoch");
    assert_eq!(learned(3, 50), three);
}

#[test]
fn a_residual_goes_out_with_the_next_update() {
    let (artifact, order) = (artifact(), order(&artifact(), 1));
    let plain = trained(&mut bench(), &order);
    let mut lanes = vec![0; artifact.weights().len()];
    lanes[0] = 200;
    let with =
        bench().train(&source(), &artifact, &order, Residual::new(lanes), &|| false).unwrap();
    let learned = i32::from(plain.payload[0].cast_signed());
    assert_eq!(i32::from(with.payload[0].cast_signed()), (200 + learned).clamp(-127, 127));
    assert_eq!(with.residual.lanes()[0], 200 + learned - (200 + learned).clamp(-127, 127));
    assert_eq!(with.payload[1..], plain.payload[1..]);
    let of_another_shape = Residual::new(vec![1; 3]);
    assert_eq!(
        bench().train(&source(), &artifact, &order, of_another_shape, &|| false).unwrap(),
        plain
    );
}

#[test]
fn evaluating_learns_nothing_and_repeats() {
    let artifact = artifact();
    let mut order = order(&artifact, 1);
    order.work.evaluate_samples = 12;
    let trial = Trial::of_order(&order);
    let mut bench = bench();
    let first = bench.evaluate(&source(), &artifact, &trial, &|| false).unwrap();
    assert_eq!(first.samples, 12);
    assert!(first.correct <= 12);
    assert_eq!(bench.evaluate(&source(), &artifact, &trial, &|| false).unwrap(), first);
}

#[test]
fn what_does_not_fit_is_told() {
    let artifact = artifact();
    let good = order(&artifact, 1);
    let other = TrainOrder { weights: 5, ..good.clone() };
    let error =
        bench().train(&source(), &artifact, &other, Residual::default(), &|| false).unwrap_err();
    assert_eq!(error.code(), "order_weights_mismatch");
    let stopped = bench().train(&source(), &artifact, &good, Residual::default(), &|| true);
    assert_eq!(stopped.unwrap_err().code(), "learning_stopped");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wide");
    std::fs::write(&path, "1\n0, 0\n-2, 0\n-1, 20\n").unwrap();
    let spec = format!("aer:{},channels=41,from=10", path.display());
    let wide = Source::open(&spec.parse().unwrap(), 0).unwrap();
    let error = bench().train(&wide, &artifact, &good, Residual::default(), &|| false);
    assert_eq!(error.unwrap_err().code(), "data_shape_mismatch");
    let error = bench().evaluate(&wide, &artifact, &Trial::of_order(&good), &|| false);
    assert_eq!(error.unwrap_err().code(), "data_shape_mismatch");
}
