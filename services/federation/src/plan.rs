//! A run's plan: everything that decides its result.

use std::collections::{BTreeMap, BTreeSet};

use crate::eligibility::Eligibility;
use crate::id::{NodeId, excerpt};
use crate::limits::{
    ATTEMPTS_ENDLESS, ATTEMPTS_MAX, DEADLINE_MS_MAX, DEADLINE_MS_MIN, EPOCHS_MAX,
    LEARNER_BYTES_MAX, OVER_SELECTION_PERMILLE_MAX, ROUNDS_ENDLESS, ROUNDS_MAX, SAMPLES_MAX,
    SCHEDULE_MAX, UPDATES_MAX, VECTORS_MAX,
};
use crate::order::LocalWork;
use crate::selector::Selector;
use crate::strategy::Strategy;

/// A plan. Built by hand or by a parser, then checked by [`Plan::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How updates become a version.
    pub strategy: Strategy,
    /// How many versions to publish; [`ROUNDS_ENDLESS`] in a continuous run, which never ends by itself.
    pub rounds: u32,
    /// Who takes part, and how long a round waits.
    pub cohort: Cohort,
    /// What each node does.
    pub local: Local,
    /// Most samples one update may claim.
    pub samples_max: u32,
    /// Seed of every draw.
    pub seed: u64,
    /// Whether the run must repeat bit for bit from its seed: named nodes, no over-selection, goal = whole cohort.
    pub reproducible: bool,
}

/// Who takes part in a round, and how long it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// Labels of the nodes to draw from.
    pub selector: Selector,
    /// What they must report of themselves.
    pub eligible: Eligibility,
    /// Updates wanted.
    pub goal: u32,
    /// Nodes drawn for each thousand updates wanted.
    pub over_selection_permille: u32,
    /// Fewest updates with which the deadline still publishes.
    pub quorum: u32,
    /// Milliseconds of serving until the deadline.
    pub deadline_ms: u64,
    /// Attempts at one round before the run fails; [`ATTEMPTS_ENDLESS`], in a continuous run, for no end of them.
    pub attempts_max: u32,
    /// The nodes a reproducible run waits for; empty otherwise.
    pub nodes: Vec<NodeId>,
}

impl Cohort {
    /// How many nodes to draw: the goal with over-selection, rounded up.
    #[must_use]
    pub fn size(&self) -> usize {
        let size = (u64::from(self.goal) * u64::from(self.over_selection_permille)).div_ceil(1000);
        usize::try_from(size).unwrap_or(usize::MAX)
    }
}

/// What each node does in a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Samples to learn from, per epoch; all that a node has, where it has fewer.
    pub samples: u32,
    /// Passes over them.
    pub epochs: u32,
    /// Held-out samples on which to evaluate the base version first; 0 for none.
    pub evaluate_samples: u32,
    /// Registers of the learner by round, ascending; each entry holds from its round on until a later one sets the
    /// same register.
    pub schedule: Vec<ScheduleStep>,
}

/// Registers to set from a round on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleStep {
    /// The first round it holds for.
    pub from_round: u32,
    /// Register names of the learner and their values.
    pub registers: BTreeMap<String, u32>,
}

impl Local {
    /// The work of round `number`, its schedule resolved.
    #[must_use]
    pub fn work(&self, number: u32) -> LocalWork {
        let Self { samples, epochs, evaluate_samples, ref schedule } = *self;
        let due = schedule.iter().filter(|step| step.from_round <= number);
        let registers = due.flat_map(|step| step.registers.clone()).collect();
        LocalWork { samples, epochs, evaluate_samples, registers }
    }
}

/// One thing that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanProblem {
    /// The field, as a path: `cohort.goal`.
    pub field: String,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub got: String,
}

impl Plan {
    /// Whether the run never ends by itself.
    #[must_use]
    pub fn is_continuous(&self) -> bool {
        self.rounds == ROUNDS_ENDLESS
    }

    /// Every problem of the plan, all at once; none means that it can run.
    #[must_use]
    pub fn check(&self) -> Vec<PlanProblem> {
        let mut problems = Vec::new();
        let mut must = |ok: bool, field: &str, expected: String, got: String| {
            if !ok {
                problems.push(PlanProblem { field: field.to_owned(), expected, got });
            }
        };
        self.strategy.check(&mut must);
        let cohort = &self.cohort;
        let local = &self.local;
        let claimed = u64::from(local.samples) * u64::from(local.epochs);
        let rounds = if self.is_continuous() { ROUNDS_MAX } else { self.rounds };
        let tries_on = self.is_continuous() && cohort.attempts_max == ATTEMPTS_ENDLESS;
        let attempts = if tries_on { ATTEMPTS_MAX } else { cohort.attempts_max };
        let ranges = [
            ("rounds", u64::from(rounds), 1, u64::from(ROUNDS_MAX)),
            ("samples_max", u64::from(self.samples_max), 1, u64::from(SAMPLES_MAX)),
            ("cohort.goal", u64::from(cohort.goal), 1, u64::from(UPDATES_MAX)),
            (
                "cohort.over_selection",
                u64::from(cohort.over_selection_permille),
                1000,
                u64::from(OVER_SELECTION_PERMILLE_MAX),
            ),
            ("cohort.quorum", u64::from(cohort.quorum), 1, u64::from(cohort.goal)),
            ("cohort.deadline_ms", cohort.deadline_ms, DEADLINE_MS_MIN, DEADLINE_MS_MAX),
            ("cohort.attempts_max", u64::from(attempts), 1, u64::from(ATTEMPTS_MAX)),
            ("local.samples", u64::from(local.samples), 1, u64::from(SAMPLES_MAX)),
            ("local.epochs", u64::from(local.epochs), 1, u64::from(EPOCHS_MAX)),
            (
                "local.evaluate_samples",
                u64::from(local.evaluate_samples),
                0,
                u64::from(SAMPLES_MAX),
            ),
        ];
        for (field, got, min, max) in ranges {
            must((min..=max).contains(&got), field, format!("{min} to {max}"), got.to_string());
        }
        must(
            claimed <= u64::from(self.samples_max),
            "local.samples",
            format!("at most samples_max, {}, when multiplied by local.epochs", self.samples_max),
            claimed.to_string(),
        );
        cohort.eligible.check(&mut must);
        must(
            !self.strategy.keeps_vectors() || cohort.goal <= VECTORS_MAX,
            "cohort.goal",
            format!("at most {VECTORS_MAX} with a strategy that keeps every vector"),
            cohort.goal.to_string(),
        );
        check_schedule(&local.schedule, &mut must);
        check_reproducible(self, &mut must);
        problems
    }
}

fn check_schedule(schedule: &[ScheduleStep], must: &mut impl FnMut(bool, &str, String, String)) {
    let most = format!("at most {SCHEDULE_MAX} entries");
    must(
        schedule.len() <= SCHEDULE_MAX,
        "local.schedule",
        most.clone(),
        schedule.len().to_string(),
    );
    let mut last = 0;
    for (index, step) in schedule.iter().enumerate() {
        let field = format!("local.schedule[{index}]");
        let after = format!("from_round above {last}");
        must(step.from_round > last, &field, after, step.from_round.to_string());
        last = step.from_round;
        must(
            step.registers.len() <= SCHEDULE_MAX,
            &field,
            most.clone(),
            step.registers.len().to_string(),
        );
        for name in step.registers.keys() {
            let plain =
                name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            let fits = !name.is_empty() && name.len() <= LEARNER_BYTES_MAX;
            must(
                plain && fits,
                &field,
                "register names of A-Z, 0-9, `_`".to_owned(),
                excerpt(name),
            );
        }
    }
    // An order carries them all once the last step is due.
    let names: BTreeSet<&String> = schedule.iter().flat_map(|step| step.registers.keys()).collect();
    let all = format!("at most {SCHEDULE_MAX} registers in all");
    must(names.len() <= SCHEDULE_MAX, "local.schedule", all, names.len().to_string());
}

fn check_reproducible(plan: &Plan, must: &mut impl FnMut(bool, &str, String, String)) {
    let cohort = &plan.cohort;
    let mut names = cohort.nodes.clone();
    names.sort_unstable();
    names.dedup();
    must(
        names.len() == cohort.nodes.len(),
        "cohort.nodes",
        "distinct names".to_owned(),
        "a name twice".to_owned(),
    );
    if plan.reproducible {
        let count = cohort.nodes.len();
        let why = "in a reproducible plan";
        must(
            count > 0,
            "cohort.nodes",
            format!("the names of all nodes, {why}"),
            "none".to_owned(),
        );
        let whole = usize::try_from(cohort.goal).is_ok_and(|goal| goal == count);
        must(
            whole,
            "cohort.goal",
            format!("the whole cohort, {count}, {why}"),
            cohort.goal.to_string(),
        );
        let permille = cohort.over_selection_permille;
        must(
            permille == 1000,
            "cohort.over_selection",
            format!("1 {why}"),
            format!("{permille} thousandths"),
        );
        // It waits for its nodes as they are: what they report must not choose the result.
        must(
            cohort.eligible == Eligibility::default(),
            "cohort.eligible",
            format!("absent {why}"),
            "some".to_owned(),
        );
        must(
            !plan.strategy.asynchronous(),
            "strategy",
            format!("a synchronous one {why}: time decides which updates fill a buffer"),
            "fedbuff".to_owned(),
        );
    } else {
        let got = format!("{} names", cohort.nodes.len());
        must(
            cohort.nodes.is_empty(),
            "cohort.nodes",
            "absent unless the plan is reproducible".to_owned(),
            got,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Weighting;

    fn plan() -> Plan {
        Plan {
            strategy: Strategy::FedAvg { server_learning_rate: 1.5, weighting: Weighting::Samples },
            rounds: 10,
            cohort: Cohort {
                selector: Selector::default(),
                eligible: Eligibility::default(),
                goal: 2,
                over_selection_permille: 1000,
                quorum: 1,
                deadline_ms: 1000,
                attempts_max: 3,
                nodes: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            },
            local: Local { samples: 10, epochs: 2, evaluate_samples: 0, schedule: Vec::new() },
            samples_max: 1000,
            seed: 7,
            reproducible: true,
        }
    }

    fn fields(change: impl FnOnce(&mut Plan)) -> Vec<String> {
        let mut plan = plan();
        change(&mut plan);
        plan.check().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn a_good_plan_has_no_problems_and_a_bad_one_tells_all() {
        assert_eq!(fields(|_| ()), Vec::<String>::new());
        let all = fields(|plan| {
            plan.rounds = 0;
            plan.cohort.quorum = 3;
            plan.cohort.deadline_ms = 1;
            plan.strategy =
                Strategy::FedAvg { server_learning_rate: f64::NAN, weighting: Weighting::Equal };
        });
        assert_eq!(
            all,
            ["strategy.server_learning_rate", "rounds", "cohort.quorum", "cohort.deadline_ms"]
        );
        assert_eq!(fields(|plan| plan.local.epochs = 101), ["local.samples"]);
        assert_eq!(fields(|plan| plan.cohort.goal = 3), ["cohort.goal"]);
        assert_eq!(
            fields(|plan| plan.cohort.over_selection_permille = 1300),
            ["cohort.over_selection"]
        );
        assert_eq!(fields(|plan| plan.reproducible = false), ["cohort.nodes"]);
        assert_eq!(fields(|plan| plan.cohort.eligible.idle = true), ["cohort.eligible"]);
        assert_eq!(
            fields(|plan| plan.cohort.eligible.battery_percent_min = Some(101)),
            ["cohort.eligible.battery_percent_min", "cohort.eligible"]
        );
    }

    #[test]
    fn a_continuous_plan_has_no_number_of_rounds() {
        assert_eq!(fields(|plan| plan.rounds = ROUNDS_MAX), Vec::<String>::new());
        assert_eq!(fields(|plan| plan.rounds = ROUNDS_MAX + 1), ["rounds"]);
        assert_eq!(fields(|plan| plan.rounds = ROUNDS_ENDLESS), Vec::<String>::new());
        assert!(
            !plan().is_continuous() && Plan { rounds: ROUNDS_ENDLESS, ..plan() }.is_continuous()
        );
    }

    #[test]
    fn strategies_and_plans_must_fit_each_other() {
        let median = Strategy::Median { server_learning_rate: 1.0 };
        let goal = |plan: &mut Plan, goal| {
            plan.reproducible = false;
            plan.cohort.nodes.clear();
            plan.cohort.goal = goal;
        };
        let mut robust = plan();
        robust.strategy = median;
        assert_eq!(robust.check(), []);
        goal(&mut robust, VECTORS_MAX);
        assert_eq!(robust.check(), []);
        goal(&mut robust, VECTORS_MAX + 1);
        assert_eq!(robust.check()[0].field, "cohort.goal");
        let mut buffered = plan();
        buffered.strategy = Strategy::FedBuff {
            server_learning_rate: 1.0,
            weighting: Weighting::Equal,
            staleness_max: 10,
        };
        assert_eq!(buffered.check()[0].field, "strategy");
        goal(&mut buffered, VECTORS_MAX + 1);
        assert_eq!(buffered.check(), []);
    }

    #[test]
    fn a_schedule_ascends_and_its_steps_add_up() {
        let step = |from_round, name: &str, value| ScheduleStep {
            from_round,
            registers: BTreeMap::from([(name.to_owned(), value)]),
        };
        let mut plan = plan();
        plan.local.schedule = vec![step(1, "A", 8), step(5, "B", 1), step(9, "A", 7)];
        assert_eq!(plan.check(), []);
        let registers = |round| plan.local.work(round).registers.into_iter().collect::<Vec<_>>();
        assert_eq!(registers(4), [("A".to_owned(), 8)]);
        assert_eq!(registers(5), [("A".to_owned(), 8), ("B".to_owned(), 1)]);
        assert_eq!(registers(10), [("A".to_owned(), 7), ("B".to_owned(), 1)]);
        assert_eq!(
            fields(|plan| plan.local.schedule = vec![step(2, "A", 1), step(2, "A", 1)]),
            ["local.schedule[1]"]
        );
        let wide = |from_round| ScheduleStep {
            from_round,
            registers: (0..200).map(|i| (format!("R{from_round}_{i}"), 1)).collect(),
        };
        let many = |plan: &mut Plan| plan.local.schedule = vec![wide(1), wide(2)];
        assert_eq!(fields(many), ["local.schedule"]);
        assert_eq!(
            fields(|plan| plan.local.schedule = vec![step(1, "a", 1)]),
            ["local.schedule[0]"]
        );
    }

    #[test]
    fn over_selection_rounds_up() {
        let cohort = Cohort { goal: 7, over_selection_permille: 1300, ..plan().cohort };
        assert_eq!(cohort.size(), 10);
    }
}
