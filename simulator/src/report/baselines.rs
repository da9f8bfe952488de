//! What the same data give without federation: one chip that learns from all of it, or each node for itself.
//!
//! Both begin with the run's first version and learn from as many samples a round as the run's nodes. A chip alone goes on
//! with its own weights where a node begins a round with the fleet's; and it learns with the registers of that version, as
//! its task configures a chip, not with those of the plan's schedule, which are tuned for the mean of many.

use std::collections::BTreeMap;

use agent::data::{Part, Source};
use agent::learner::LearnError;
use bytes::Bytes;
use federation::Artifact;
use reckon::Event;
use serde_json::Value;
use tasks::Sample;
use tasks::random::derive;

use super::data::{Baselines, Data};
use crate::cost::meter::{Chip, order};

impl Data {
    /// Learns without federation what the run's nodes had, for [`Data::baselines`]. Plan and seed must stand already;
    /// `artifacts` are versions by number, of which the first is needed.
    ///
    /// # Errors
    /// [`LearnError`] when version or plan fit no chip.
    pub(crate) fn compare(
        &mut self,
        artifacts: &BTreeMap<u64, Bytes>,
        rounds: u32,
        nodes: &[Source],
        test: &[Sample],
    ) -> Result<(), LearnError> {
        let first = artifacts.get(&1).and_then(|bytes| Artifact::parse(bytes).ok());
        let Some(first) = first else { return Ok(()) };
        let (first, plan, seed) = (&first, &self.plan, self.seed);
        let comparison = Comparison { first, plan, rounds, seed, nodes, test };
        self.baselines = Some(comparison.baselines()?);
        Ok(())
    }
}

/// A run to compare with.
#[derive(Clone, Copy, Debug)]
struct Comparison<'r> {
    /// Its first version.
    first: &'r Artifact,
    /// Its plan.
    plan: &'r Value,
    /// Rounds that it published.
    rounds: u32,
    /// Its seed.
    seed: u64,
    /// The data of its nodes.
    nodes: &'r [Source],
    /// The samples that no node trained on.
    test: &'r [Sample],
}

impl Comparison<'_> {
    /// Learns both ways, on this thread: as much work as the run's nodes had together, twice.
    ///
    /// # Errors
    /// [`LearnError`] when version or plan fit no chip.
    fn baselines(&self) -> Result<Baselines, LearnError> {
        let all: Vec<&Source> = self.nodes.iter().collect();
        let centralised = self.learn(&all)?;
        let mut alone = 0.0;
        for node in self.nodes {
            alone += self.learn(&[node])?;
        }
        let nodes = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        Ok(Baselines {
            centralised: (nodes > 0).then_some(centralised),
            local_only: (nodes > 0).then(|| alone / f64::from(nodes)),
        })
    }

    /// One chip learns from the data of `nodes`, turn by turn. Returns its accuracy.
    fn learn(&self, nodes: &[&Source]) -> Result<f64, LearnError> {
        let number = |key: &str| {
            let value = self.plan["local"][key].as_u64().unwrap_or(1);
            u32::try_from(value).unwrap_or(u32::MAX)
        };
        let (samples, epochs) = (number("samples"), number("epochs"));
        let mut artifact = self.first.clone();
        let mut events: Vec<Event> = Vec::new();
        for round in 1..=self.rounds {
            let registers = BTreeMap::new();
            let seed = derive(self.seed, &[u64::from(round)]);
            let draw_by = order(round, samples, &registers, seed);
            let draws: Vec<_> = nodes.iter().map(|node| node.draw(&draw_by)).collect();
            let mut chip = Chip::to_learn(&artifact, &registers, seed)?;
            let mut network = chip.network();
            for _ in 0..epochs {
                for index in 0..samples {
                    for (node, draw) in nodes.iter().zip(&draws) {
                        if let Some(index) = draw.index(index) {
                            network.run(&node.sample(Part::Training, index, &mut events));
                        }
                    }
                }
            }
            let mut weights = vec![0; artifact.weights().len()];
            let shape = network.params().shape();
            let (first, second) = (
                usize::from(shape.inputs) * usize::from(shape.recurrent),
                usize::from(shape.recurrent) * usize::from(shape.recurrent),
            );
            let (input, rest) = weights.split_at_mut(first);
            let (recurrent, output) = rest.split_at_mut(second);
            network.read_weights(input, recurrent, output).expect("the artifact has this shape");
            artifact = Artifact::new(
                artifact.learner(),
                artifact.layout().clone(),
                artifact.config().to_vec(),
                weights,
            )
            .expect("it differs from an artifact in its weights alone");
        }
        let mut chip = Chip::to_infer(&artifact, self.seed)?;
        let mut network = chip.network();
        let right = self
            .test
            .iter()
            .filter(|sample| network.run(&sample.as_sample()).label == sample.label);
        let right = u32::try_from(right.count()).unwrap_or(u32::MAX);
        let tried = u32::try_from(self.test.len()).unwrap_or(u32::MAX).max(1);
        Ok(f64::from(right) / f64::from(tried))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever it reaches, it is the same every time, and of one node both ways are the same way.
    #[test]
    fn one_node_alone_is_all_there_is() {
        let stream = tasks::navigation::Stream::new(9);
        let test: Vec<_> = (0..20).map(|index| stream.sample(index)).collect();
        let first = crate::demo::navigation_artifact(1);
        let plan = serde_json::json!({"local": {"samples": 5, "epochs": 1, "schedule": []}});
        let nodes = ["navigation:seed=1", "navigation:seed=2"]
            .map(|spec| Source::open(&spec.parse().unwrap(), 0).unwrap());
        let compare = |nodes| Comparison {
            first: &first,
            plan: &plan,
            rounds: 3,
            seed: 1,
            nodes,
            test: &test,
        };
        let one = compare(&nodes[..1]).baselines().unwrap();
        assert!(one.centralised.is_some() && one.centralised == one.local_only, "{one:?}");
        let two = compare(&nodes[..]).baselines().unwrap();
        assert_eq!(two, compare(&nodes[..]).baselines().unwrap());
        assert_eq!(compare(&[]).baselines().unwrap(), Baselines::default());
        // It does learn: something is different afterwards.
        let untrained = Comparison { rounds: 0, ..compare(&nodes[..1]) }.baselines().unwrap();
        assert_ne!(untrained, one);
    }
}
