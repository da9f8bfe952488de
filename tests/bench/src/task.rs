//! How well the tasks are learned: federated by a stated split, centralised, chip-exact, in this process.
//!
//! ```text
//! cargo run --release -p bench -- task --task audition:DIR --split subject [--seeds 1..3] [--json]
//! ```
//!
//! The arithmetic is that of a real run ([`simulator::task::rehearsal`]). A line for each seed, then the mean. `--validate` tests
//! on a fifth of the training samples (another for each of five seeds), and learns from the rest: plans are tuned with it,
//! never on the test samples.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use agent::data::Source;
use federation::{Local, ScheduleStep, Strategy, Weighting};
use simulator::task::rehearsal::{Pupil, Rehearsal, rehearse, score};
use simulator::task::{self, Item, Task, halvings};
use tasks::Sample;
use tasks::navigation::Stream;
use tasks::random::permutation;
use tokio::time::Instant;

pub(crate) const USAGE: &str =
    "usage: bench task --task navigation|audition:DIR[,word=DIGIT][,leave-out=SPEAKER]|vision:DIR|tactile:DIR|csv:FILE [--json] [--seeds 1..3] [--validate]
         [--split iid|subject|class|centralised] [--nodes N] [--stored N]
         [--rounds N] [--samples N] [--epochs N] [--cohort N] [--server-rate X] [--momentum X] [--halve ROUND,ROUND,...]
         [--set REGISTER=VALUE] [--from ROUND:REGISTER=VALUE] [--threshold N] [--alpha N] [--spread INPUT,RECURRENT,OUTPUT] [--verbose]";

/// How the samples are dealt out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    /// Shuffled, equal shares.
    Iid,
    /// A node has whole subjects: one each, or several where there are more subjects than nodes.
    Subject,
    /// A node has one class.
    Class,
    /// One node has all.
    Centralised,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    task: String,
    json: bool,
    verbose: bool,
    validate: bool,
    seeds: RangeInclusive<u64>,
    split: Split,
    nodes: u32,
    stored: u64,
    cohort: Option<usize>,
    rounds: Option<u32>,
    samples: Option<u32>,
    epochs: Option<u32>,
    server_rate: Option<f64>,
    momentum: Option<f64>,
    halve: Option<Vec<u32>>,
    set: BTreeMap<String, u32>,
    from: Vec<(u32, String, u32)>,
    threshold: Option<u16>,
    alpha: Option<u16>,
    spread: Option<[u16; 3]>,
}

impl Options {
    /// Parses the arguments after `task`.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            task: String::new(),
            json: false,
            verbose: false,
            validate: false,
            seeds: 1..=3,
            split: Split::Iid,
            nodes: 10,
            stored: 5,
            cohort: None,
            rounds: None,
            samples: None,
            epochs: None,
            server_rate: None,
            momentum: None,
            halve: None,
            set: BTreeMap::new(),
            from: Vec::new(),
            threshold: None,
            alpha: None,
            spread: None,
        };
        while let Some(flag) = arguments.next() {
            match flag.as_str() {
                "--json" => options.json = true,
                "--verbose" => options.verbose = true,
                "--validate" => options.validate = true,
                _ => {
                    let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
                    options
                        .take(&flag, &value)
                        .ok_or_else(|| format!("{flag} {value}: not understood"))?;
                }
            }
        }
        if options.task.is_empty() { Err("--task is missing".to_owned()) } else { Ok(options) }
    }

    fn take(&mut self, flag: &str, value: &str) -> Option<()> {
        let three = |value: &str| -> Option<[u16; 3]> {
            let numbers: Option<Vec<u16>> = value.split(',').map(|one| one.parse().ok()).collect();
            numbers?.try_into().ok()
        };
        let register = |text: &str| -> Option<(String, u32)> {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        match flag {
            "--task" => self.task = value.to_owned(),
            "--seeds" => {
                let (from, to) = value.split_once("..").unwrap_or((value, value));
                self.seeds = from.parse().ok()?..=to.parse().ok()?;
            }
            "--split" => {
                self.split = match value {
                    "iid" => Split::Iid,
                    "subject" => Split::Subject,
                    "class" => Split::Class,
                    "centralised" => Split::Centralised,
                    _ => return None,
                }
            }
            "--nodes" => self.nodes = value.parse().ok().filter(|&nodes| nodes > 0)?,
            "--stored" => self.stored = value.parse().ok().filter(|&stored| stored > 0)?,
            "--cohort" => self.cohort = Some(value.parse().ok()?),
            "--rounds" => self.rounds = Some(value.parse().ok()?),
            "--samples" => self.samples = Some(value.parse().ok()?),
            "--epochs" => self.epochs = Some(value.parse().ok()?),
            "--server-rate" => self.server_rate = Some(value.parse().ok()?),
            "--momentum" => self.momentum = Some(value.parse().ok()?),
            "--halve" => {
                let rounds = value.split(',').filter(|one| !one.is_empty());
                self.halve = Some(rounds.map(|one| one.parse().ok()).collect::<Option<_>>()?);
            }
            "--set" => self.set.extend([register(value)?]),
            "--from" => {
                let (round, rest) = value.split_once(':')?;
                let (name, value) = register(rest)?;
                self.from.push((round.parse().ok()?, name, value));
            }
            "--threshold" => self.threshold = Some(value.parse().ok()?),
            "--alpha" => self.alpha = Some(value.parse().ok()?),
            "--spread" => self.spread = Some(three(value)?),
            _ => return None,
        }
        Some(())
    }

    fn open(&self, seed: u64) -> Result<Task, String> {
        let mut task = task::open(&self.task, seed).map_err(|error| error.to_string())?;
        if self.split == Split::Class {
            task = task.of_one_class_each();
        }
        self.change(&mut task);
        Ok(task)
    }

    /// Puts what the command line says in the place of what the recipe says.
    fn change(&self, task: &mut Task) {
        let recipe = &mut task.recipe;
        let set = |text: &str, name: &str, value: u32| -> String {
            let line = |line: &str| match line.split_once(' ') {
                Some((own, _)) if own == name => format!("{name} {value}\n"),
                _ => format!("{line}\n"),
            };
            text.lines().map(line).collect()
        };
        for (name, &value) in &self.set {
            recipe.registers = set(&recipe.registers, name, value);
            recipe.schedule.iter_mut().for_each(|step| {
                step.registers.remove(name);
            });
        }
        if let Some(threshold) = self.threshold {
            let low = |value: u32| 65_536 - value;
            let threshold_32 = u32::from(threshold);
            for (name, value) in [
                ("SPI_THR_H_0", low(threshold_32)),
                ("SPI_THR_H_1", low(threshold_32 / 2)),
                ("SPI_THR_H_2", (9 * threshold_32).min(32_767)),
            ] {
                recipe.registers = set(&recipe.registers, name, value);
            }
            recipe.neurons =
                columns(&recipe.neurons, |pair, alpha, _| format!("{pair},{alpha},{threshold}\n"));
        }
        if let Some(alpha) = self.alpha {
            recipe.neurons = columns(&recipe.neurons, |pair, _, threshold| {
                format!("{pair},{alpha},{threshold}\n")
            });
        }
        if let (Some(spread), task::Initial::Normal { hundredths, .. }) =
            (self.spread, &mut recipe.initial)
        {
            *hundredths = spread;
        }
        recipe.rounds = self.rounds.unwrap_or(recipe.rounds);
        recipe.samples = self.samples.unwrap_or(recipe.samples);
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.server_learning_rate = self.server_rate.unwrap_or(recipe.server_learning_rate);
        if let Some(rounds) = &self.halve {
            let rate = |name: &str| {
                let line = recipe.registers.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
            };
            let rates = ["SPI_LR_P_WINP ", "SPI_LR_P_WREC ", "SPI_LR_P_WOUT "].map(rate);
            for step in &mut recipe.schedule {
                step.registers.retain(|name, _| !name.starts_with("SPI_LR_"));
            }
            recipe.schedule.extend(halvings(rates, rounds));
        }
        let own = |(from_round, name, value): &(u32, String, u32)| ScheduleStep {
            from_round: *from_round,
            registers: BTreeMap::from([(name.clone(), *value)]),
        };
        recipe.schedule.extend(self.from.iter().map(own));
        recipe.schedule.sort_by_key(|step| step.from_round);
    }
}

fn columns(neurons: &str, line: impl Fn(&str, &str, &str) -> String) -> String {
    let mut text = String::new();
    for (index, own) in neurons.lines().enumerate() {
        let fields: Vec<&str> = own.split(',').collect();
        match fields.as_slice() {
            &[pair, alpha, threshold] if index > 0 => text.push_str(&line(pair, alpha, threshold)),
            _ => text.extend([own, "\n"]),
        }
    }
    text
}

/// What one seed gave: accuracies of the versions, in their order.
#[derive(Clone, Debug)]
struct Curve {
    seed: u64,
    accuracies: Vec<f64>,
    wall_s: f64,
}

impl Curve {
    fn last(&self) -> f64 {
        self.accuracies.last().copied().unwrap_or(0.0)
    }

    /// Mean and lowest of the last ten.
    fn last_ten(&self) -> (f64, f64) {
        let last = &self.accuracies[self.accuracies.len().saturating_sub(10)..];
        #[expect(clippy::cast_precision_loss, reason = "ten at most")]
        let mean = last.iter().sum::<f64>() / last.len().max(1) as f64;
        (mean, last.iter().copied().fold(1.0, f64::min))
    }
}

/// Runs every seed and says what came of it.
pub(crate) fn run(options: &Options, mut say: impl FnMut(&str)) -> Result<(), String> {
    let mut curves = Vec::new();
    for seed in options.seeds.clone() {
        let curve = learn(options, seed, &mut say)?;
        say(&describe(options, std::slice::from_ref(&curve)));
        curves.push(curve);
    }
    if curves.len() > 1 {
        say(&describe(options, &curves));
    }
    Ok(())
}

fn learn(options: &Options, seed: u64, say: &mut impl FnMut(&str)) -> Result<Curve, String> {
    let begin = Instant::now();
    let mut task = options.open(seed)?;
    let shares = deal(options, &mut task, seed);
    let recipe = &task.recipe;
    let most = shares.iter().map(Vec::len).max().unwrap_or(0);
    let pupils: Vec<Pupil> = shares
        .into_iter()
        .zip(1..)
        .map(|(samples, node)| Pupil {
            node: format!("node-{node:03}").parse().expect("a node's name"),
            source: Arc::new(Source::of_samples(task.channels, task.classes, samples, Vec::new())),
        })
        .collect();
    let (server_learning_rate, weighting) = (recipe.server_learning_rate, Weighting::Samples);
    let centralised = options.split == Split::Centralised;
    let plan = Rehearsal {
        strategy: match options.momentum {
            _ if centralised => Strategy::FedAvg { server_learning_rate: 1.0, weighting },
            None => Strategy::FedAvg { server_learning_rate, weighting },
            Some(momentum) => Strategy::FedAvgM { server_learning_rate, weighting, momentum },
        },
        rounds: recipe.rounds,
        cohort: options.cohort.unwrap_or(pupils.len()),
        local: Local {
            samples: if centralised {
                u32::try_from(most).unwrap_or(u32::MAX)
            } else {
                recipe.samples
            },
            epochs: if centralised { 1 } else { recipe.epochs },
            evaluate_samples: 0,
            schedule: recipe.schedule.clone(),
        },
        seed,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let first = recipe.artifact(seed).map_err(|error| error.to_string())?;
    let mut curve = Curve { seed, accuracies: Vec::new(), wall_s: 0.0 };
    let mut wrong = None;
    rehearse(&first, &pupils, &plan, |version| match score(&version.artifact, task.test.iter()) {
        Err(error) => wrong = Some(error.to_string()),
        Ok(correct) => {
            #[expect(clippy::cast_precision_loss, reason = "a count of test samples")]
            let accuracy = f64::from(correct) / task.test.len().max(1) as f64;
            if options.verbose {
                let (round, training) = (version.round, 100.0 * version.training_accuracy);
                say(&format!(
                    "  seed {seed} round {round}: {:.1} % (while learning {training:.1} %)",
                    100.0 * accuracy
                ));
            }
            curve.accuracies.push(accuracy);
        }
    })
    .map_err(|error| error.to_string())?;
    curve.wall_s = begin.elapsed().as_secs_f64();
    wrong.map_or(Ok(curve), Err)
}

/// Each node's samples. With `--validate` the test samples become a fifth of those to learn from, another one for each of five
/// seeds.
fn deal(options: &Options, task: &mut Task, seed: u64) -> Vec<Vec<Arc<Sample>>> {
    if task.pool.items().is_empty() {
        if options.validate {
            // Other samples than those that the figures are made with.
            let unseen = Stream::unseen(seed);
            task.test = (0..300).map(|index| unseen.sample(index)).collect();
        }
        let shares: Vec<_> = (1..=options.nodes).map(|node| stored(options, seed, node)).collect();
        return if options.split == Split::Centralised { vec![shares.concat()] } else { shares };
    }
    let mut items: Vec<Item> = task.pool.items().to_vec();
    if options.validate {
        let length = items.len() / 5;
        let earlier = usize::try_from(seed.saturating_sub(1) % 5).unwrap_or(0) * length;
        let order = permutation(11, u32::try_from(items.len()).unwrap_or(0));
        let fifth: BTreeSet<usize> = order
            .into_iter()
            .skip(earlier)
            .take(length)
            .filter_map(|at| usize::try_from(at).ok())
            .collect();
        let (test, training): (Vec<_>, Vec<_>) =
            items.into_iter().enumerate().partition(|(at, _)| fifth.contains(at));
        task.test = test.into_iter().map(|(_, item)| (*item.sample).clone()).collect();
        items = training.into_iter().map(|(_, item)| item).collect();
    }
    let nodes = usize::try_from(options.nodes).unwrap_or(usize::MAX);
    let samples = |items: Vec<Item>| items.into_iter().map(|item| item.sample).collect();
    match options.split {
        Split::Centralised => vec![samples(items)],
        Split::Iid => {
            let order = permutation(seed, u32::try_from(items.len()).unwrap_or(0));
            let mut shares = vec![Vec::new(); nodes];
            for (place, at) in order.into_iter().enumerate() {
                shares[place % nodes].extend(
                    items
                        .get(usize::try_from(at).unwrap_or(0))
                        .map(|item| Arc::clone(&item.sample)),
                );
            }
            shares
        }
        Split::Subject => group(items, nodes, |item| item.subject),
        Split::Class => group(items, nodes, |item| item.sample.label.into()),
    }
}

/// What node `node` of a generated task has stored.
fn stored(options: &Options, seed: u64, node: u32) -> Vec<Arc<Sample>> {
    let stream = Stream::new(task::node_seed(seed, node));
    let stream = match options.split {
        Split::Class => stream.of_class(u8::from(node.is_multiple_of(2))),
        Split::Iid | Split::Subject | Split::Centralised => stream,
    };
    (0..options.stored).map(|index| Arc::new(stream.sample(index))).collect()
}

/// Whole groups to each node: the largest first, always to the node that has least.
fn group(items: Vec<Item>, nodes: usize, key: impl Fn(&Item) -> u32) -> Vec<Vec<Arc<Sample>>> {
    let mut groups: BTreeMap<u32, Vec<Arc<Sample>>> = BTreeMap::new();
    for item in items {
        groups.entry(key(&item)).or_default().push(item.sample);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut shares = vec![Vec::new(); nodes.min(groups.len())];
    for group in groups {
        if let Some(least) = shares.iter_mut().min_by_key(|share| share.len()) {
            least.extend(group);
        }
    }
    shares
}

fn describe(options: &Options, curves: &[Curve]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a count of seeds")]
    let mean = |of: &dyn Fn(&Curve) -> f64| {
        100.0 * curves.iter().map(of).sum::<f64>() / curves.len().max(1) as f64
    };
    let (last, ten) = (mean(&Curve::last), mean(&|curve| curve.last_ten().0));
    let worst = curves.iter().map(|curve| 100.0 * curve.last_ten().1).fold(100.0, f64::min);
    let (name, _) = options.task.split_once(':').unwrap_or((&options.task, ""));
    let split = match options.split {
        Split::Iid => "iid",
        Split::Subject => "subject",
        Split::Class => "class",
        Split::Centralised => "centralised",
    };
    let seeds = match curves {
        [one] => format!("seed {}", one.seed),
        _ => format!("mean of {} seeds", curves.len()),
    };
    let wall_s: f64 = curves.iter().map(|curve| curve.wall_s).sum();
    let part = if options.validate { " validation" } else { "" };
    if options.json {
        return format!(
            "{{\"bench\":\"task\",\"case\":\"{name} {split}{part} {seeds}\",\"value\":{last:.2},\"unit\":\"%\",\"last_ten\":{ten:.2},\"last_ten_worst\":{worst:.2},\"wall_s\":{wall_s:.1}}}"
        );
    }
    format!(
        "{name} {split}{part}, {seeds}: {last:.1} %, last ten versions {ten:.1} % (worst {worst:.1} %), {wall_s:.0} s"
    )
}
