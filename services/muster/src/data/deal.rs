//! `muster data deal`: what a fleet of real nodes needs to learn a task, as files: version 1 of the model, the plan, and
//! for each node its samples.
//!
//! All of it is a function of the data and the seed. A node gets whole subjects where there are enough of them, else its
//! share by chance; its samples are in random order, so that `holdout` keeps some of everything.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use simulator::task::{Item, Recipe, Task, open};
use tasks::Sample;
use tasks::events;
use tasks::random::{Rng, derive};

use crate::failure::{Failure, status};
use crate::print::Out;

/// `muster data deal`.
#[derive(Debug, clap::Args)]
pub(crate) struct DealArgs {
    /// What the fleet shall learn: `csv:FILE.toml` for recordings of your own, `audition:DIR`, `vision:DIR`, `tactile:DIR`,
    /// `reckon:DIR`, or `navigation`, whose nodes make their samples themselves
    #[arg(value_name = "TASK")]
    task: String,
    /// How many nodes there will be, 1 to 10,000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    nodes: u32,
    /// Where first weights, order and shares are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Directory for the files, made if it is not there: model.muster, plan.json, node-1.mev and so on
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What the seed is drawn for.
const ORDER: u64 = 31;
/// Longest that a round is open, in milliseconds: time to start the nodes by hand.
const DEADLINE_MS: u64 = 600_000;

/// Does it.
pub(super) fn run(args: &DealArgs) -> Result<u8, Failure> {
    let DealArgs { task, nodes, seed, out, json } = args;
    let task =
        open(task, *seed).map_err(|error| Failure::new(error.code(), &error, status::NO_INPUT))?;
    let wrong = |error: &dyn std::fmt::Display| Failure::new("data_malformed", error, status::DATA);
    let artifact = task.recipe.artifact(*seed).map_err(|error| wrong(&error))?;
    std::fs::create_dir_all(out).map_err(|error| unwritable(out, &error))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).map_err(|error| unwritable(&path, &error))?;
        Ok::<_, Failure>(path.display().to_string())
    };
    let model = write("model.muster", &artifact.encode())?;
    let plan = plan(&task.recipe, u64::from(*nodes), DEADLINE_MS, *seed);
    let text = serde_json::to_string_pretty(&plan).expect("a plan is always JSON");
    let plan = write("plan.json", format!("{text}\n").as_bytes())?;
    let mut shares = Vec::new();
    for (samples, number) in deal(&task, *nodes, *seed).into_iter().zip(1..) {
        let count = samples.len();
        let file = events::encode(task.channels, task.classes, samples.into_iter());
        let path = write(&format!("node-{number}.mev"), &file.map_err(|error| wrong(&error))?)?;
        shares.push(json!({"samples": count, "data": format!("events:{path}")}));
    }
    let about = json!({
        "task": task.name,
        "channels": task.channels,
        "classes": task.classes,
        "model": model,
        "plan": plan,
        "nodes": shares,
    });
    Out::new(*json).tell(&about, |_| describe(&about))?;
    Ok(0)
}

fn unwritable(path: &std::path::Path, error: &std::io::Error) -> Failure {
    let what = format!("{}: {error}", path.display());
    Failure::new("file_not_usable", what, status::CANNOT_CREATE)
}

/// The samples of each node; none of a task whose nodes make theirs themselves.
fn deal(task: &Task, nodes: u32, seed: u64) -> Vec<Vec<&Sample>> {
    let mut items: Vec<&Item> = task.pool.items().iter().collect();
    if items.is_empty() {
        return Vec::new();
    }
    Rng::new(derive(seed, &[ORDER])).shuffle(&mut items);
    // Those who test are subjects, too, and have nothing to learn from.
    let subjects: BTreeSet<u32> = items.iter().map(|item| item.subject).collect();
    let count = usize::try_from(nodes).unwrap_or(usize::MAX);
    let mut shares = vec![Vec::new(); count];
    for (index, item) in items.iter().enumerate() {
        let home =
            if subjects.len() >= count { subjects.range(..item.subject).count() } else { index };
        shares[home % count].push(&*item.sample);
    }
    // Of fewer samples than nodes, some have the same ones.
    for index in 0..count {
        if shares[index].is_empty() {
            shares[index].push(&items[index % items.len()].sample);
        }
    }
    shares
}

/// The plan of `recipe` for so many nodes of which half suffice, as `POST /v1/runs` takes it.
pub(crate) fn plan(recipe: &Recipe, nodes: u64, deadline_ms: u64, seed: u64) -> Value {
    let cohort = json!({
        "goal": nodes,
        "quorum": nodes.div_ceil(2),
        "over_selection": 1.0,
        "deadline_ms": deadline_ms,
    });
    recipe.plan(cohort, seed)
}

fn describe(about: &Value) -> String {
    let text = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
    let mut lines = vec![
        format!("{} channels, {} classes", about["channels"], about["classes"]),
        format!("{}  muster model import --format muster {} {0}", text("model"), text("task")),
        format!("{}  muster run create --model {} --plan {0}", text("plan"), text("task")),
    ];
    for node in about["nodes"].as_array().into_iter().flatten() {
        let data = node["data"].as_str().unwrap_or_default();
        lines.push(format!("{} samples  muster node --data {data}", node["samples"]));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use simulator::task::{Pool, navigation};
    use tasks::navigation::Stream;

    use super::*;

    /// Navigation with 12 recorded samples of 3 subjects, four each; dora tests.
    fn recorded() -> Task {
        let stream = Stream::new(1);
        let item =
            |index: u32| Item { sample: Arc::new(stream.sample(index.into())), subject: index % 3 };
        let pool = Pool::Recorded((0..12).map(item).collect());
        let subjects = ["ann", "bob", "cleo", "dora"].map(str::to_owned).to_vec();
        Task { pool, subjects, ..navigation(1) }
    }

    #[test]
    fn nodes_get_subjects_or_shares_and_nothing_twice() {
        let task = recorded();
        for (nodes, each) in [(1, 12), (3, 4), (4, 3), (12, 1)] {
            let shares = deal(&task, nodes, 1);
            assert!(shares.iter().all(|share| share.len() == each), "{nodes}");
            let all: Vec<_> = shares.concat();
            let of = |item: &Item| all.iter().filter(|sample| ***sample == *item.sample).count();
            assert!(task.pool.items().iter().all(|item| of(item) == 1), "{nodes}");
        }
        let subject = |sample: &Sample| {
            task.pool.items().iter().find(|item| *item.sample == *sample).map(|item| item.subject)
        };
        for share in deal(&task, 3, 1) {
            assert!(share.iter().all(|sample| subject(sample) == subject(share[0])));
        }
        assert!(deal(&task, 13, 1).iter().all(|share| share.len() == 1));
        assert_ne!(deal(&task, 1, 1), deal(&task, 1, 2), "the order is drawn");
        assert!(deal(&navigation(1), 3, 1).is_empty());
    }

    #[test]
    fn the_plan_is_the_recipes() {
        let plan = plan(&navigation(1).recipe, 3, DEADLINE_MS, 7);
        assert_eq!((&plan["cohort"]["goal"], &plan["cohort"]["quorum"]), (&json!(3), &json!(2)));
        assert_eq!((&plan["local"]["samples"], &plan["seed"]), (&json!(10), &json!(7)));
        assert_eq!(plan["local"]["schedule"][0]["registers"]["SPI_REGUL_MODE"], 0);
    }
}
