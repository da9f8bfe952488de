//! A rehearsal in one process publishes what the coordinator and its nodes publish, bit for bit.

use std::process::Stdio;
use std::sync::Arc;

use agent::data::Source;
use federation::{Digest, Local, Strategy, Weighting};
use serde_json::Value;
use simulator::task::rehearsal::{Pupil, Rehearsal, rehearse};
use simulator::task::{navigation, node_seed};

use crate::support::process::muster;

const SEED: u64 = 5;
const NODES: u32 = 3;
const ROUNDS: u32 = 3;

fn rehearsed() -> Vec<String> {
    let recipe = navigation(SEED).recipe;
    let mut digests = Vec::new();
    let first = recipe.artifact(SEED).unwrap();
    // An endless stream gives each round new samples; a pupil's are drawn by the same order.
    let pupils: Vec<Pupil> = (1..=NODES)
        .map(|node| {
            let spec = format!("navigation:seed={}", node_seed(SEED, node)).parse().unwrap();
            Pupil {
                node: format!("node-{node:03}").parse().unwrap(),
                source: Arc::new(Source::open(&spec, 0).unwrap()),
            }
        })
        .collect();
    let plan = Rehearsal {
        strategy: Strategy::FedAvg {
            server_learning_rate: recipe.server_learning_rate,
            weighting: Weighting::Samples,
        },
        rounds: ROUNDS,
        cohort: pupils.len(),
        local: Local {
            samples: recipe.samples,
            epochs: recipe.epochs,
            evaluate_samples: 1,
            schedule: recipe.schedule.clone(),
        },
        seed: SEED,
        threads: 2,
    };
    digests.push(Digest::of(&first.encode()).to_string());
    rehearse(&first, &pupils, &plan, |one| {
        digests.push(Digest::of(&one.artifact.encode()).to_string());
    })
    .unwrap();
    digests
}

#[tokio::test]
async fn a_rehearsal_publishes_what_a_run_publishes() {
    let (seed, nodes, rounds) = (SEED.to_string(), NODES.to_string(), ROUNDS.to_string());
    let arguments = ["demo", "--json", "--seed", &seed, "--nodes", &nodes, "--rounds", &rounds];
    let mut command = muster();
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let digests: Vec<&str> = report["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["digest"].as_str().unwrap())
        .collect();
    let rehearsed = rehearsed();
    assert_eq!(digests.len(), rehearsed.len());
    assert_eq!(digests, rehearsed);
}
