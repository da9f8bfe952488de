//! What was seen of a run that is watched: the run, its rounds, and the accuracy of its versions.

use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;

/// Items that are read again at each look.
const PAGE_ITEMS: u32 = 100;

/// A list that grows at its end: what stands on full pages is read once.
#[derive(Debug)]
struct Tail {
    path: String,
    filters: Vec<(&'static str, Option<String>)>,
    cursor: Option<String>,
    full: Vec<Value>,
    last: Vec<Value>,
}

impl Tail {
    fn new(path: String, filters: Vec<(&'static str, Option<String>)>) -> Self {
        Self { path, filters, cursor: None, full: Vec::new(), last: Vec::new() }
    }

    async fn look(&mut self, client: &Client) -> Result<(), Failure> {
        loop {
            let mut page =
                client.page(&self.path, &self.filters, self.cursor.as_deref(), PAGE_ITEMS).await?;
            let items = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
            match page["next_cursor"].as_str() {
                Some(next) => {
                    self.full.extend(items);
                    self.cursor = Some(next.to_owned());
                }
                None => {
                    self.last = items;
                    return Ok(());
                }
            }
        }
    }

    fn items(&self) -> impl Iterator<Item = &Value> {
        self.full.iter().chain(&self.last)
    }
}

/// How accurate the versions are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Curve {
    /// Whether nodes told it of samples that they hold out; else it is of the samples they learned from.
    pub(super) held_out: bool,
    /// Version, and accuracy in ten-thousandths.
    pub(super) points: Vec<(u64, u64)>,
    /// Nodes that told the last point.
    pub(super) nodes: u64,
}

/// What was seen of a run.
#[derive(Debug)]
pub(super) struct Seen {
    id: u64,
    /// The run.
    pub(super) run: Value,
    rounds: Tail,
    /// The version that the run began with.
    base: Value,
    /// Those that it made.
    versions: Tail,
    /// Looks in vain since the last answer.
    pub(super) in_vain: u32,
}

impl Seen {
    /// A first look.
    pub(super) async fn first(client: &Client, id: u64) -> Result<Self, Failure> {
        let run = super::fetch(client, id).await?;
        let versions = versions_of(&run);
        let of_run = vec![("run", Some(id.to_string()))];
        let (versions, rounds) = (Tail::new(versions, of_run), format!("/v1/runs/{id}/rounds"));
        let rounds = Tail::new(rounds, Vec::new());
        let mut seen = Self { id, run, rounds, base: Value::Null, versions, in_vain: 0 };
        seen.try_look(client).await?;
        Ok(seen)
    }

    /// What tests say was seen.
    #[cfg(test)]
    pub(super) fn of(run: Value, rounds: Vec<Value>, versions: Vec<Value>) -> Self {
        let tail = |last| Tail { last, ..Tail::new(String::new(), Vec::new()) };
        let (rounds, versions) = (tail(rounds), tail(versions));
        Self { id: 1, run, rounds, base: Value::Null, versions, in_vain: 0 }
    }

    /// Another look. A coordinator that is away or busy comes back: that is no failure.
    pub(super) async fn look(&mut self, client: &Client) -> Result<(), Failure> {
        match self.try_look(client).await {
            Ok(()) => self.in_vain = 0,
            Err(failure) if failure.may_pass() => self.in_vain += 1,
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    async fn try_look(&mut self, client: &Client) -> Result<(), Failure> {
        // The run first: when it says that it is over, all its rounds and versions are there.
        let run = super::fetch(client, self.id).await?;
        self.rounds.look(client).await?;
        let base = format!("{}/{}", versions_of(&run), run["base_version"]);
        self.base = client.get(&base).await?;
        self.versions.look(client).await?;
        self.run = run;
        Ok(())
    }

    /// Rounds that were abandoned.
    pub(super) fn abandoned(&self) -> usize {
        self.rounds.items().filter(|round| round["state"] == "abandoned").count()
    }

    /// The sum of a count over the rounds.
    pub(super) fn total(&self, key: &str) -> u64 {
        self.rounds.items().filter_map(|round| round[key].as_u64()).sum()
    }

    /// Accuracy over the run's versions: as nodes tell it of held-out samples, else of what they learned from.
    pub(super) fn curve(&self) -> Curve {
        let versions = || std::iter::once(&self.base).chain(self.versions.items());
        let held_out: Vec<_> =
            versions().filter_map(|version| point(version, &version["evaluation"])).collect();
        if held_out.is_empty() {
            // What the base was learned from is another run's.
            let made = self.versions.items();
            let points: Vec<_> = made.filter_map(|version| point(version, version)).collect();
            let last = self.versions.items().last();
            let nodes = last.and_then(|version| version["updates"].as_u64()).unwrap_or(0);
            return Curve { held_out: false, points, nodes };
        }
        let nodes = versions().filter_map(|version| version["evaluation"]["nodes"].as_u64());
        let nodes = nodes.last().unwrap_or(0);
        Curve { held_out: true, points: held_out, nodes }
    }
}

/// Where the versions of a run's model are.
fn versions_of(run: &Value) -> String {
    format!("/v1/models/{}/versions", run["model"].as_str().unwrap_or_default())
}

fn point(version: &Value, told: &Value) -> Option<(u64, u64)> {
    let (correct, samples) = (told["correct"].as_u64()?, told["samples"].as_u64()?);
    let accuracy = u128::from(correct) * 10_000 / u128::from(samples.max(1));
    let number = version["number"].as_u64().filter(|_| samples > 0)?;
    Some((number, u64::try_from(accuracy).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_curve_is_of_held_out_samples_if_nodes_tell_of_them() {
        let version = |number: u64, correct: u64, evaluation: Value| json!({"number": number, "samples": 10, "correct": correct, "updates": 3, "evaluation": evaluation});
        let training = vec![version(2, 5, Value::Null), version(3, 6, Value::Null)];
        let mut seen = Seen::of(Value::Null, vec![], training);
        seen.base = version(1, 1, Value::Null);
        let expected = Curve { held_out: false, points: vec![(2, 5_000), (3, 6_000)], nodes: 3 };
        assert_eq!(seen.curve(), expected, "what the base was learned from is another run's");
        let told = json!({"nodes": 7, "samples": 3, "correct": 2});
        let mixed =
            vec![version(2, 5, Value::Null), version(3, 6, told), version(4, 7, Value::Null)];
        let mut seen = Seen::of(Value::Null, vec![], mixed);
        let expected = Curve { held_out: true, points: vec![(3, 6_666)], nodes: 7 };
        assert_eq!(seen.curve(), expected);
        seen.base = version(1, 1, json!({"nodes": 2, "samples": 2, "correct": 1}));
        let expected = Curve { points: vec![(1, 5_000), (3, 6_666)], ..expected };
        assert_eq!(seen.curve(), expected);
    }
}
