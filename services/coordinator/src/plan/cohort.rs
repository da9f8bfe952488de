//! The cohort of a plan as JSON: who takes part.

use std::collections::BTreeMap;

use federation::{Cohort, Eligibility, NodeId, PlanProblem, Selector, SelectorError, limits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who takes part in a round, and how long it waits.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Cohort)]
pub(super) struct CohortBody {
    /// Labels of the nodes to draw from.
    #[serde(default)]
    select: SelectBody,
    /// What they must report of themselves.
    #[serde(default)]
    eligible: EligibleBody,
    /// Updates wanted.
    #[schema(minimum = 1, maximum = 500_000, examples(10))]
    goal: u32,
    /// Nodes drawn for each update wanted: 1.3, or 1 in a reproducible plan, where not given.
    #[schema(minimum = 1, maximum = 10, examples(1.3))]
    over_selection: Option<f64>,
    /// Fewest updates with which the deadline still publishes; at most the goal.
    #[schema(minimum = 1, maximum = 500_000, examples(6))]
    quorum: u32,
    /// Milliseconds of serving until the deadline.
    #[schema(minimum = 100, maximum = 2_592_000_000_i64, examples(60_000))]
    deadline_ms: u64,
    /// Attempts at one round: 3, or no end of them in a continuous plan, where not given.
    #[schema(minimum = 1, maximum = 1_000)]
    attempts_max: Option<u32>,
    /// The nodes that a reproducible run waits for; empty otherwise.
    #[serde(default)]
    nodes: Vec<String>,
}

/// A selector: labels that a node must carry, or text. What asks no more than labels is shown and stored as labels,
/// as it was before there was text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "not a selector, expected text such as \"site=ams,class in (a,b)\" or an object of labels"
)]
#[schema(as = Select, examples(json!({"task": "navigation"}), json!("site=ams,class in (a,b),!old")))]
enum SelectBody {
    /// Labels that a node must carry.
    Labels(BTreeMap<String, String>),
    /// `key=value`, `key in (a,b)`, `key notin (a)`, `key`, `!key`; commas mean "and".
    Text(String),
}

/// What nodes must report of themselves to be drawn.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Eligible)]
struct EligibleBody {
    /// Mains power.
    charging: bool,
    /// Nothing else to do.
    idle: bool,
    /// This much left in the battery.
    #[schema(minimum = 0, maximum = 100)]
    battery_percent_min: Option<u8>,
    /// This many samples to learn from.
    samples_min: Option<u64>,
    /// A chip of these sizes.
    #[schema(examples(json!({"recurrent": 100})))]
    capacity_min: BTreeMap<String, u64>,
}

impl Default for SelectBody {
    fn default() -> Self {
        Self::Labels(BTreeMap::new())
    }
}

/// Attempts at one round where a plan does not say.
fn attempts_max_default(continuous: bool) -> u32 {
    if continuous { limits::ATTEMPTS_ENDLESS } else { 3 }
}

/// Over-selection where a plan does not say, in thousandths.
fn over_selection_default(reproducible: bool) -> u32 {
    if reproducible { 1000 } else { 1300 }
}

impl CohortBody {
    /// The cohort, and whether its nodes have names. What cannot be read is told to `problems` and left out.
    pub(super) fn parse(
        self,
        reproducible: bool,
        continuous: bool,
        problems: &mut Vec<PlanProblem>,
    ) -> (Cohort, bool) {
        let Self {
            select,
            eligible,
            goal,
            over_selection,
            quorum,
            deadline_ms,
            attempts_max,
            nodes,
        } = self;
        let EligibleBody { charging, idle, battery_percent_min, samples_min, capacity_min } =
            eligible;
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
        let named = names.len() == nodes.len();
        let selector = select.parse().unwrap_or_else(|problem| {
            problems.push(problem);
            Selector::default()
        });
        let cohort = Cohort {
            selector,
            eligible: Eligibility {
                charging,
                idle,
                battery_percent_min,
                samples_min,
                capacity_min,
            },
            goal,
            over_selection_permille: over_selection
                .map_or_else(|| over_selection_default(reproducible), permille),
            quorum,
            deadline_ms,
            attempts_max: attempts_max.unwrap_or_else(|| attempts_max_default(continuous)),
            nodes: names,
        };
        (cohort, named)
    }
}

impl From<&Cohort> for CohortBody {
    fn from(cohort: &Cohort) -> Self {
        let Cohort {
            selector,
            eligible,
            goal,
            over_selection_permille,
            quorum,
            deadline_ms,
            attempts_max,
            nodes,
        } = cohort;
        let Eligibility { charging, idle, battery_percent_min, samples_min, capacity_min } =
            eligible;
        Self {
            select: match selector.as_labels() {
                Some(labels) => SelectBody::Labels(labels),
                None => SelectBody::Text(selector.to_string()),
            },
            eligible: EligibleBody {
                charging: *charging,
                idle: *idle,
                battery_percent_min: *battery_percent_min,
                samples_min: *samples_min,
                capacity_min: capacity_min.clone(),
            },
            goal: *goal,
            over_selection: Some(f64::from(*over_selection_permille) / 1000.0),
            quorum: *quorum,
            deadline_ms: *deadline_ms,
            attempts_max: (*attempts_max != limits::ATTEMPTS_ENDLESS).then_some(*attempts_max),
            nodes: nodes.iter().map(|node| node.as_str().to_owned()).collect(),
        }
    }
}

impl SelectBody {
    fn parse(self) -> Result<Selector, PlanProblem> {
        let parsed = match self {
            Self::Labels(labels) => Selector::of_labels(&labels),
            Self::Text(text) => text.parse(),
        };
        parsed.map_err(|SelectorError { place, expected, got }| PlanProblem {
            field: "cohort.select".to_owned(),
            expected: format!("at {place}, {expected}"),
            got,
        })
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
    use serde_json::{Value, json};

    use super::*;

    fn parse(change: Value) -> Result<Cohort, Vec<PlanProblem>> {
        let mut body = json!({"goal": 10, "quorum": 6, "deadline_ms": 1000});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let body: CohortBody = serde_json::from_value(body).unwrap();
        let mut problems = Vec::new();
        let (cohort, _) = body.parse(false, false, &mut problems);
        if problems.is_empty() { Ok(cohort) } else { Err(problems) }
    }

    fn shown(cohort: &Cohort) -> Value {
        serde_json::to_value(CohortBody::from(cohort)).unwrap()
    }

    #[test]
    fn a_selector_is_labels_or_text_and_labels_stay_labels() {
        let labels = json!({"site": "ams", "task": "navigation"});
        let as_labels = parse(json!({"select": labels})).unwrap();
        assert_eq!(parse(json!({"select": "task=navigation,site=ams"})).unwrap(), as_labels);
        assert_eq!(shown(&as_labels)["select"], labels);
        let text = parse(json!({"select": "site in (b, a), !old"})).unwrap();
        assert_eq!(shown(&text)["select"], "!old,site in (a,b)");
        for cohort in
            [as_labels, text, parse(json!({})).unwrap(), parse(json!({"select": ""})).unwrap()]
        {
            assert_eq!(parse(shown(&cohort)).unwrap(), cohort);
        }
    }

    #[test]
    fn what_is_wrong_with_a_selector_is_told_with_its_place() {
        let problem = |select: Value| parse(json!({"select": select})).unwrap_err().remove(0);
        let error = problem(json!("site=ams, class in a"));
        assert_eq!(
            (error.field.as_str(), error.expected.as_str(), error.got.as_str()),
            ("cohort.select", "at column 20, `(`", "`a`")
        );
        let error = problem(json!({"A": "b"}));
        assert!(error.expected.contains("label `A=b`"), "{error:?}");
        let wrong = json!({"goal": 1, "quorum": 1, "deadline_ms": 1, "select": 7});
        let error = serde_json::from_value::<CohortBody>(wrong).unwrap_err().to_string();
        assert!(error.contains("expected text such as"), "{error}");
    }

    #[test]
    fn wishes_round_trip_and_default_to_none() {
        let wishes = json!({
            "charging": true, "idle": true, "battery_percent_min": 30, "samples_min": 50,
            "capacity_min": {"recurrent": 100}
        });
        let cohort = parse(json!({"eligible": wishes})).unwrap();
        assert_eq!(shown(&cohort)["eligible"], wishes);
        assert_eq!(cohort.eligible.capacity_min["recurrent"], 100);
        let none = parse(json!({"eligible": {}})).unwrap();
        assert_eq!(none.eligible, Eligibility::default());
        assert_eq!(parse(shown(&none)).unwrap(), none);
        let typo = json!({"goal": 1, "quorum": 1, "deadline_ms": 1, "eligible": {"chargin": true}});
        assert!(serde_json::from_value::<CohortBody>(typo).is_err());
    }

    #[test]
    fn factors_that_are_none_are_refused_by_the_check() {
        for (factor, expected) in [(1.3, 1300), (1.0004, 1000), (-1.0, 0), (f64::NAN, 0)] {
            assert_eq!(permille(factor), expected);
        }
        assert_eq!(permille(f64::INFINITY), u32::MAX);
    }
}
