//! Eligibility: what a node says of itself when it asks for work, and what a run asks of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{excerpt, is_name};
use crate::limits::{CAPACITIES_MAX, STATUS_COUNT_MAX};

/// How a node is doing, as far as it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// Whether it is on external power.
    pub charging: Option<bool>,
    /// Whether its owner leaves it alone.
    pub idle: Option<bool>,
    /// Charge of its battery, 0 to 100.
    pub battery_percent: Option<u8>,
    /// Samples at hand to learn from.
    pub samples: Option<u64>,
    /// Sizes of its chip, by names that its learner gives them. Shared, because most of a fleet is alike.
    pub capacity: Arc<BTreeMap<String, u64>>,
}

/// What a run asks of a node beyond its labels. The default asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eligibility {
    /// It must be on external power.
    pub charging: bool,
    /// Its owner must leave it alone.
    pub idle: bool,
    /// Least charge of its battery.
    pub battery_percent_min: Option<u8>,
    /// Least samples at hand.
    pub samples_min: Option<u64>,
    /// Least sizes of its chip.
    pub capacity_min: BTreeMap<String, u64>,
}

/// Whether a node with `status` is eligible. What is asked and not reported is not there.
#[must_use]
pub fn eligible(wanted: &Eligibility, status: &NodeStatus) -> bool {
    let Eligibility { charging, idle, battery_percent_min, samples_min, capacity_min } = wanted;
    let enough =
        |size: (&String, &u64)| status.capacity.get(size.0).is_some_and(|has| has >= size.1);
    (!charging || status.charging == Some(true))
        && (!idle || status.idle == Some(true))
        && battery_percent_min
            .is_none_or(|min| status.battery_percent.is_some_and(|has| has >= min))
        && samples_min.is_none_or(|min| status.samples.is_some_and(|has| has >= min))
        && capacity_min.iter().all(enough)
}

impl Eligibility {
    /// Tells everything that is wrong with it to `must`, as a plan's check does.
    pub(crate) fn check(&self, must: &mut impl FnMut(bool, &str, String, String)) {
        let Self { charging: _, idle: _, battery_percent_min, samples_min, capacity_min } = self;
        let percent = battery_percent_min.unwrap_or(0);
        let field = "cohort.eligible.battery_percent_min";
        must(percent <= 100, field, "0 to 100".to_owned(), percent.to_string());
        let count = |value: u64, field: &str, must: &mut dyn FnMut(bool, &str, String, String)| {
            let expected = format!("0 to {STATUS_COUNT_MAX}");
            must(value <= STATUS_COUNT_MAX, field, expected, value.to_string());
        };
        count(samples_min.unwrap_or(0), "cohort.eligible.samples_min", must);
        let field = "cohort.eligible.capacity_min";
        let most = format!("at most {CAPACITIES_MAX} names");
        must(capacity_min.len() <= CAPACITIES_MAX, field, most, capacity_min.len().to_string());
        for (name, &value) in capacity_min {
            must(is_name(name), field, "plain names".to_owned(), excerpt(name));
            count(value, &format!("{field}.{}", excerpt(name)), must);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(sizes: &[(&str, u64)]) -> BTreeMap<String, u64> {
        sizes.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
    }

    fn good() -> NodeStatus {
        NodeStatus {
            charging: Some(true),
            idle: Some(true),
            battery_percent: Some(30),
            samples: Some(50),
            capacity: Arc::new(sizes(&[("inputs", 256), ("recurrent", 100)])),
        }
    }

    fn all() -> Eligibility {
        Eligibility {
            charging: true,
            idle: true,
            battery_percent_min: Some(30),
            samples_min: Some(50),
            capacity_min: sizes(&[("recurrent", 100)]),
        }
    }

    #[test]
    fn every_wish_must_be_met_and_silence_meets_none() {
        assert!(eligible(&all(), &good()));
        assert!(eligible(&Eligibility::default(), &NodeStatus::default()));
        type Change = fn(&mut NodeStatus);
        let short: [Change; 10] = [
            |status| status.charging = Some(false),
            |status| status.charging = None,
            |status| status.idle = Some(false),
            |status| status.idle = None,
            |status| status.battery_percent = Some(29),
            |status| status.battery_percent = None,
            |status| status.samples = Some(49),
            |status| status.samples = None,
            |status| status.capacity = Arc::new(sizes(&[("inputs", 256), ("recurrent", 99)])),
            |status| status.capacity = Arc::default(),
        ];
        for (index, change) in short.iter().enumerate() {
            let mut status = good();
            change(&mut status);
            assert!(!eligible(&all(), &status), "{index}");
            assert!(eligible(&Eligibility::default(), &status), "{index}");
        }
    }

    #[test]
    fn each_wish_stands_alone() {
        let none = Eligibility::default;
        let wishes = [
            Eligibility { charging: true, ..none() },
            Eligibility { idle: true, ..none() },
            Eligibility { battery_percent_min: Some(30), ..none() },
            Eligibility { samples_min: Some(50), ..none() },
            Eligibility { capacity_min: sizes(&[("recurrent", 100)]), ..none() },
        ];
        for wish in wishes {
            assert!(
                eligible(&wish, &good()) && !eligible(&wish, &NodeStatus::default()),
                "{wish:?}"
            );
        }
        let zero = Eligibility { samples_min: Some(0), ..none() };
        assert!(!eligible(&zero, &NodeStatus::default()), "not even nothing was reported");
    }

    #[test]
    fn wishes_have_limits() {
        let problems = |change: fn(&mut Eligibility)| {
            let (mut wanted, mut fields) = (all(), Vec::new());
            change(&mut wanted);
            wanted.check(&mut |ok, field, _, _| {
                if !ok {
                    fields.push(field.to_owned());
                }
            });
            fields
        };
        assert_eq!(problems(|_| ()), Vec::<String>::new());
        assert_eq!(
            problems(|wanted| wanted.battery_percent_min = Some(101)),
            ["cohort.eligible.battery_percent_min"]
        );
        assert_eq!(
            problems(|wanted| wanted.samples_min = Some(STATUS_COUNT_MAX + 1)),
            ["cohort.eligible.samples_min"]
        );
        assert_eq!(
            problems(|wanted| wanted.capacity_min = sizes(&[("A b", 1)])),
            ["cohort.eligible.capacity_min"]
        );
        assert_eq!(
            problems(|wanted| wanted.capacity_min = sizes(&[("a", u64::MAX)])),
            ["cohort.eligible.capacity_min.a"]
        );
        assert_eq!(
            problems(|wanted| {
                wanted.capacity_min = (0..17).map(|i| (format!("c{i}"), 1)).collect();
            }),
            ["cohort.eligible.capacity_min"]
        );
    }
}
