//! A plan as JSON: the same in a request, in an answer and in the database.

mod cohort;
mod strategy;

use std::collections::BTreeMap;

use federation::{Local, Plan, PlanProblem, ScheduleStep, limits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::cohort::CohortBody;
use self::strategy::StrategyBody;

/// A plan. Unknown fields are refused: a misspelt field is a different experiment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Plan)]
pub(crate) struct PlanBody {
    /// How updates become a version.
    strategy: StrategyBody,
    /// How many versions to make; absent or null in a continuous plan.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000, examples(20))]
    rounds: Option<u32>,
    /// Whether the run never ends by itself.
    #[serde(default)]
    continuous: bool,
    /// Who takes part, and how long a round waits.
    cohort: CohortBody,
    /// What each node does.
    local: LocalBody,
    /// Most samples that one update may claim.
    #[serde(default = "samples_max_default")]
    #[schema(default = 1_000, minimum = 1, maximum = 100_000)]
    samples_max: u32,
    /// Seed of every draw: any number of 64 bits without a sign.
    #[schema(format = "uint64", examples(7))]
    seed: u64,
    /// Whether the run must repeat bit for bit from its seed: named nodes, no over-selection, and a goal that is the
    /// whole cohort.
    #[serde(default)]
    reproducible: bool,
}

/// What each node does in a round.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Local)]
struct LocalBody {
    /// Samples to learn from in each epoch; all that a node has, where it has fewer; times `epochs` at most `samples_max`.
    #[schema(minimum = 1, maximum = 100_000, examples(20))]
    samples: u32,
    /// Passes over them.
    #[serde(default = "epochs_default")]
    #[schema(default = 1, minimum = 1, maximum = 1_000)]
    epochs: u32,
    /// Held-out samples on which to evaluate the base version first; 0 for none.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100_000)]
    evaluate_samples: u32,
    /// Registers of the learner by round, ascending; each holds until a later step sets it again.
    #[serde(default)]
    #[schema(max_items = 256)]
    schedule: Vec<StepBody>,
}

/// Registers to set from a round on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScheduleStep)]
struct StepBody {
    /// The first round that it holds for.
    #[schema(minimum = 1)]
    from_round: u32,
    /// Names of the learner's registers, in capitals, and their values.
    #[schema(examples(json!({"LR_OUT": 4})))]
    registers: BTreeMap<String, u32>,
}

/// How many rounds: a number or, said in so many words, no end.
fn rounds(rounds: Option<u32>, continuous: bool) -> Result<u32, PlanProblem> {
    let problem = |expected: String, got: String| {
        Err(PlanProblem { field: "rounds".to_owned(), expected, got })
    };
    match (rounds, continuous) {
        (None, true) => Ok(limits::ROUNDS_ENDLESS),
        // The number that stands for no end is not one that can be asked for.
        (Some(limits::ROUNDS_ENDLESS), false) => {
            problem(format!("1 to {}", limits::ROUNDS_MAX), limits::ROUNDS_ENDLESS.to_string())
        }
        (Some(rounds), false) => Ok(rounds),
        (Some(rounds), true) => {
            problem("absent in a continuous plan".to_owned(), rounds.to_string())
        }
        (None, false) => problem("a number, or `continuous` true".to_owned(), "neither".to_owned()),
    }
}

fn samples_max_default() -> u32 {
    limits::SAMPLES_MAX_DEFAULT
}

fn epochs_default() -> u32 {
    1
}

/// The plan, checked, or everything that is wrong with it.
impl TryFrom<PlanBody> for Plan {
    type Error = Vec<PlanProblem>;

    fn try_from(body: PlanBody) -> Result<Self, Vec<PlanProblem>> {
        let PlanBody {
            strategy,
            rounds: count,
            continuous,
            cohort,
            local,
            samples_max,
            seed,
            reproducible,
        } = body;
        let LocalBody { samples, epochs, evaluate_samples, schedule } = local;
        let mut problems = Vec::new();
        let (cohort, named) = cohort.parse(reproducible, continuous, &mut problems);
        let rounds = rounds(count, continuous).unwrap_or_else(|problem| {
            problems.push(problem);
            // Either is fit for the rest of the check.
            if continuous { limits::ROUNDS_ENDLESS } else { limits::ROUNDS_MAX }
        });
        let step = |StepBody { from_round, registers }| ScheduleStep { from_round, registers };
        let plan = Self {
            strategy: strategy.into(),
            rounds,
            cohort,
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
        if named {
            problems.extend(plan.check());
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
            rounds: (!plan.is_continuous()).then_some(*rounds),
            continuous: plan.is_continuous(),
            cohort: CohortBody::from(cohort),
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
    fn a_plan_has_a_number_of_rounds_or_says_that_it_never_ends() {
        let check = |rounds: &str| {
            let parsed = parse(&SHORT.replace("\"rounds\": 3,", rounds));
            parsed.map_err(|problems| problems.into_iter().map(|p| p.field).collect::<Vec<_>>())
        };
        for endless in [r#""continuous": true,"#, r#""rounds": null, "continuous": true,"#] {
            let plan = check(endless).unwrap();
            assert!(plan.is_continuous());
            let body = serde_json::to_value(PlanBody::from(&plan)).unwrap();
            assert_eq!((&body["rounds"], &body["continuous"]), (&Value::Null, &true.into()));
            assert_eq!(body["cohort"]["attempts_max"], Value::Null, "it tries for ever");
            assert_eq!(parse(&body.to_string()).unwrap(), plan);
        }
        for wrong in [
            "",
            r#""rounds": null,"#,
            r#""rounds": 3, "continuous": true,"#,
            r#""rounds": 0,"#,
            r#""rounds": 4294967295,"#,
        ] {
            assert_eq!(check(wrong), Err(vec!["rounds".to_owned()]), "{wrong}");
        }
        assert_eq!(check(r#""rounds": 1000000, "continuous": false,"#).unwrap().rounds, 1_000_000);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let wrong = SHORT
            .replace("\"rounds\": 3,", "")
            .replace("\"goal\": 10", r#""goal": 0, "select": "site=""#);
        let problems = parse(&wrong).unwrap_err();
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["cohort.select", "rounds", "cohort.goal", "cohort.quorum"]);
    }

    #[test]
    fn a_plan_stored_by_an_earlier_release_is_read() {
        let stored = r#"{"strategy":{"name":"fedavg","server_learning_rate":1.0,"weighting":"samples"},
            "rounds":10,"cohort":{"select":{"task":"navigation"},"goal":2,"over_selection":1.3,"quorum":1,
            "deadline_ms":600000,"attempts_max":3,"nodes":[]},"local":{"samples":10,"epochs":1,
            "evaluate_samples":0,"schedule":[]},"samples_max":50,"seed":7,"reproducible":false}"#;
        let plan = parse(stored).unwrap();
        assert_eq!(plan.cohort.selector.to_string(), "task=navigation");
        assert_eq!(plan.cohort.eligible, federation::Eligibility::default());
    }
}
