//! A plan as JSON: the same in a request, in an answer and in the database.

use std::collections::BTreeMap;

use federation::{Cohort, Local, NodeId, Plan, PlanProblem, ScheduleStep, Selector, limits};
use serde::{Deserialize, Serialize};

use self::strategy::StrategyBody;

mod strategy;

/// A plan. Unknown fields are refused: a misspelt field is a different experiment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanBody {
    strategy: StrategyBody,
    rounds: u32,
    cohort: CohortBody,
    local: LocalBody,
    #[serde(default = "samples_max_default")]
    samples_max: u32,
    seed: u64,
    #[serde(default)]
    reproducible: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CohortBody {
    #[serde(default)]
    select: BTreeMap<String, String>,
    goal: u32,
    /// 1.3, or 1 in a reproducible plan, where not given.
    over_selection: Option<f64>,
    quorum: u32,
    deadline_ms: u64,
    #[serde(default = "attempts_max_default")]
    attempts_max: u32,
    #[serde(default)]
    nodes: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LocalBody {
    samples: u32,
    #[serde(default = "epochs_default")]
    epochs: u32,
    #[serde(default)]
    evaluate_samples: u32,
    #[serde(default)]
    schedule: Vec<StepBody>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepBody {
    from_round: u32,
    registers: BTreeMap<String, u32>,
}

fn samples_max_default() -> u32 {
    limits::SAMPLES_MAX_DEFAULT
}

fn attempts_max_default() -> u32 {
    3
}

fn epochs_default() -> u32 {
    1
}

/// Over-selection where a plan does not say, in thousandths.
fn over_selection_default(reproducible: bool) -> u32 {
    if reproducible { 1000 } else { 1300 }
}

/// The plan, checked, or everything that is wrong with it.
impl TryFrom<PlanBody> for Plan {
    type Error = Vec<PlanProblem>;

    fn try_from(body: PlanBody) -> Result<Self, Vec<PlanProblem>> {
        let PlanBody { strategy, rounds, cohort, local, samples_max, seed, reproducible } = body;
        let CohortBody { select, goal, over_selection, quorum, deadline_ms, attempts_max, nodes } =
            cohort;
        let LocalBody { samples, epochs, evaluate_samples, schedule } = local;
        let mut problems = Vec::new();
        let mut names = Vec::with_capacity(nodes.len());
        for (index, name) in nodes.iter().enumerate() {
            match name.parse::<NodeId>() {
                Ok(node) => names.push(node),
                Err(error) => problems.push(PlanProblem {
                    field: format!("cohort.nodes[{index}]"),
                    expected: "a node's name".to_owned(),
                    got: error.to_string(),
                }),
            }
        }
        let step = |StepBody { from_round, registers }| ScheduleStep { from_round, registers };
        let plan = Self {
            strategy: strategy.into(),
            rounds,
            cohort: Cohort {
                selector: Selector(select),
                goal,
                over_selection_permille: over_selection
                    .map_or_else(|| over_selection_default(reproducible), permille),
                quorum,
                deadline_ms,
                attempts_max,
                nodes: names,
            },
            local: Local {
                samples,
                epochs,
                evaluate_samples,
                schedule: schedule.into_iter().map(step).collect(),
            },
            samples_max,
            seed,
            reproducible,
        };
        // A name that is none would be counted as missing; tell only the cause.
        if problems.is_empty() {
            problems = plan.check();
        }
        if problems.is_empty() { Ok(plan) } else { Err(problems) }
    }
}

impl From<&Plan> for PlanBody {
    fn from(plan: &Plan) -> Self {
        let Plan { strategy, rounds, cohort, local, samples_max, seed, reproducible } = plan;
        let step = |step: &ScheduleStep| StepBody {
            from_round: step.from_round,
            registers: step.registers.clone(),
        };
        Self {
            strategy: (*strategy).into(),
            rounds: *rounds,
            cohort: CohortBody {
                select: cohort.selector.0.clone(),
                goal: cohort.goal,
                over_selection: Some(f64::from(cohort.over_selection_permille) / 1000.0),
                quorum: cohort.quorum,
                deadline_ms: cohort.deadline_ms,
                attempts_max: cohort.attempts_max,
                nodes: cohort.nodes.iter().map(|node| node.as_str().to_owned()).collect(),
            },
            local: LocalBody {
                samples: local.samples,
                epochs: local.epochs,
                evaluate_samples: local.evaluate_samples,
                schedule: local.schedule.iter().map(step).collect(),
            },
            samples_max: *samples_max,
            seed: *seed,
            reproducible: *reproducible,
        }
    }
}

/// Thousandths of a factor, held inside u32; the plan's own check judges the range.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float-to-integer cast saturates, and NaN becomes 0, which the plan's check refuses"
)]
fn permille(factor: f64) -> u32 {
    (factor * 1000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Plan, Vec<PlanProblem>> {
        Plan::try_from(serde_json::from_str::<PlanBody>(text).unwrap())
    }

    const SHORT: &str = r#"{
        "strategy": {"name": "fedavg", "server_learning_rate": 1.5, "weighting": "samples"},
        "rounds": 3, "seed": 18446744073709551615,
        "cohort": {"goal": 10, "quorum": 6, "deadline_ms": 1000},
        "local": {"samples": 5}
    }"#;

    #[test]
    fn defaults_are_the_documented_ones_and_a_plan_round_trips() {
        let plan = parse(SHORT).unwrap();
        assert_eq!(plan.seed, u64::MAX);
        assert_eq!(plan.cohort.over_selection_permille, 1300);
        assert_eq!((plan.cohort.attempts_max, plan.samples_max, plan.local.epochs), (3, 1000, 1));
        let text = serde_json::to_string(&PlanBody::from(&plan)).unwrap();
        assert_eq!(parse(&text).unwrap(), plan);
    }

    #[test]
    fn a_reproducible_plan_is_not_over_selected_unless_it_says_so() {
        let named = SHORT
            .replace("\"goal\": 10, \"quorum\": 6", r#""goal": 1, "quorum": 1, "nodes": ["a"]"#)
            .replace("\"rounds\": 3", "\"rounds\": 3, \"reproducible\": true");
        assert_eq!(parse(&named).unwrap().cohort.over_selection_permille, 1000);
        let problems = parse(&named.replace("[\"a\"]", "[\"A B\"]")).unwrap_err();
        assert_eq!(problems[0].field, "cohort.nodes[0]");
        let over = named.replace("\"goal\": 1,", "\"goal\": 1, \"over_selection\": 1.3,");
        assert_eq!(parse(&over).unwrap_err()[0].field, "cohort.over_selection");
    }

    #[test]
    fn factors_that_are_none_are_refused_by_the_check() {
        for (factor, expected) in [(1.3, 1300), (1.0004, 1000), (-1.0, 0), (f64::NAN, 0)] {
            assert_eq!(permille(factor), expected);
        }
        assert_eq!(permille(f64::INFINITY), u32::MAX);
    }
}
