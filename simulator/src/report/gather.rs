//! Asks a coordinator what it knows of a run.

use std::collections::BTreeMap;

use serde_json::Value;

use super::data::{Data, Participation, Round, Version};
use crate::cost::energy_nj;
use crate::rest::{Rest, RestError};

impl Data {
    /// Fills plan, versions, rounds and participation of run `run` of `model` from the coordinator's answers; what only
    /// others know (accuracies, the world's time) stays as it is. `nodes` are those who could have taken part.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn gather(
        &mut self,
        rest: &Rest,
        model: &str,
        run: u64,
        nodes: impl IntoIterator<Item = &str>,
    ) -> Result<(), RestError> {
        let about: Value = rest.get(&format!("/v1/runs/{run}")).await?;
        let begin = number(&about, "created_at_ms");
        self.plan = about["plan"].clone();
        let versions = pages(rest, &format!("/v1/models/{model}/versions")).await?;
        self.versions = versions.iter().map(|value| version(value, begin)).collect();
        let rounds = pages(rest, &format!("/v1/runs/{run}/rounds")).await?;
        self.rounds = rounds.iter().map(|value| round(value, begin)).collect();

        let mut parts: BTreeMap<String, Participation> = nodes
            .into_iter()
            .map(|node| {
                (node.to_owned(), Participation { node: node.to_owned(), ..Default::default() })
            })
            .collect();
        let mut last = 0;
        for round in &self.rounds {
            // Attempts at a round stand one after the other, and are listed together.
            if std::mem::replace(&mut last, round.number) == round.number {
                continue;
            }
            let path = format!("/v1/runs/{run}/rounds/{}/contributions", round.number);
            for value in pages(rest, &path).await? {
                let node = text(&value, "node_id");
                let part = parts
                    .entry(node.clone())
                    .or_insert_with(|| Participation { node, ..Default::default() });
                part.counted += 1;
                part.samples += number(&value, "samples");
                part.synaptic_ops += number(&value, "synaptic_ops");
            }
        }
        self.participation = parts.into_values().collect();
        Ok(())
    }
}

/// All items of a list.
async fn pages(rest: &Rest, path: &str) -> Result<Vec<Value>, RestError> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page: Value = rest.get(&format!("{path}?limit=1000{cursor}")).await?;
        if let Value::Array(more) = page["items"].take() {
            items.extend(more);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(items),
        }
    }
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn version(value: &Value, begin: u64) -> Version {
    let (updates, synaptic_ops) = (number(value, "updates"), number(value, "synaptic_ops"));
    Version {
        number: number(value, "number"),
        digest: text(value, "digest"),
        parent: value["parent"].as_u64(),
        accuracy: None,
        updates,
        samples: number(value, "samples"),
        bytes_up: number(value, "bytes_up"),
        bytes_down: number(value, "bytes_down"),
        energy_nj: energy_nj(synaptic_ops, updates),
        synaptic_ops,
        cycles: None,
        published_at_ms: Some(number(value, "created_at_ms").saturating_sub(begin)),
    }
}

fn round(value: &Value, begin: u64) -> Round {
    Round {
        number: number(value, "number"),
        attempt: number(value, "attempt"),
        state: text(value, "state"),
        reason: value["reason"].as_str().map(str::to_owned),
        version: value["version"].as_u64(),
        opened_ms: number(value, "opened_at_ms").saturating_sub(begin),
        closed_ms: value["closed_at_ms"].as_u64().map(|closed| closed.saturating_sub(begin)),
        cohort: number(value, "cohort"),
        goal: number(value, "goal"),
        updates: number(value, "updates"),
        // Refusals are not recorded; whoever ran the nodes may know of them.
        refused: BTreeMap::new(),
        at_deadline: value["at_deadline"] == true,
    }
}
