//! Which faults happen when: a pure function of scenario and seed.

use std::collections::BTreeMap;

use federation::{Cohort, Eligibility, Local, Plan, Strategy, Weighting};
use serde_json::{Value, json};
use tasks::random::{Rng, derive};

/// What kind of trouble a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    Smoke,
    LostRequests,
    LostReplies,
    Partition,
    HoldAndRelease,
    CoordinatorCrash,
    PowerFailure,
    NodeCrash,
    ClockSkew,
    ForgedUpdates,
    SlowNode,
    /// Everything at once.
    Mixed,
}

impl Scenario {
    pub(crate) const ALL: [(&str, Self); 12] = [
        ("smoke", Self::Smoke),
        ("lost-requests", Self::LostRequests),
        ("lost-replies", Self::LostReplies),
        ("partition", Self::Partition),
        ("hold-and-release", Self::HoldAndRelease),
        ("coordinator-crash", Self::CoordinatorCrash),
        ("power-failure", Self::PowerFailure),
        ("node-crash", Self::NodeCrash),
        ("clock-skew", Self::ClockSkew),
        ("forged-updates", Self::ForgedUpdates),
        ("slow-node", Self::SlowNode),
        ("mixed", Self::Mixed),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, scenario)| *scenario == self).expect("all are listed").0
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, scenario)| scenario)
    }
}

/// A run to be: its fleet, its plan, its faults.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) nodes: usize,
    pub(crate) plan: Plan,
    pub(crate) faults: Vec<Planned>,
    /// Pauses of slow nodes between any two of their steps, in milliseconds.
    pub(crate) slow_ms: BTreeMap<usize, u64>,
    /// Of a hundred updates, how many somebody else pushes at the same time as their node.
    pub(crate) echoes: u32,
    /// Most bytes that come in one piece: the parts of one push arrive at different times.
    pub(crate) piece_bytes: usize,
}

/// A fault and when it happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub(crate) when: When,
    pub(crate) fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// At this simulated time, to this node.
    At(u64, usize),
    /// When any node has trained for the n-th time, and is about to push: to that node.
    Trained(u32),
    /// When any node has its n-th receipt: to that node.
    Counted(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What the node sends is lost, for so long.
    LoseRequests(u64),
    /// What it is answered is lost.
    LoseReplies(u64),
    /// Both.
    Partition(u64),
    /// Everything on the way stands still, and comes later.
    Hold(u64),
    /// The coordinator ends as if killed, and starts again on the same file.
    CoordinatorDown(u64),
    /// The power of the coordinator fails at a transaction to come, before it or between its commit and its answer.
    PowerFails { transactions: u32, after: bool, down_ms: u64 },
    /// The node ends as if killed, and starts again on its files.
    NodeDown(u64),
    /// The coordinator's wall clock jumps by so many milliseconds.
    WallClock(i64),
    /// The node's wall clock jumps by so many seconds, as its files show.
    FileClock(i64),
    /// Somebody else sends the node's last update.
    Send(Forgery),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgery {
    /// As it is.
    Replay,
    /// With another payload.
    OtherPayload,
    /// Relative to another version.
    OtherBase,
    /// With a lane of -128, which no node sends.
    OutOfRange,
}

/// The script of `scenario` for `seed`.
pub(crate) fn script(scenario: Scenario, seed: u64) -> Script {
    let mut rng = Rng::new(derive(seed, &[1]));
    let nodes = 5 + rng.below(4);
    let goal = nodes - rng.below(3);
    let plan = Plan {
        strategy: Strategy::FedAvg {
            server_learning_rate: 1.0 + f64::from(rng.below(3)) / 2.0,
            weighting: if rng.chance(1, 2) { Weighting::Equal } else { Weighting::Samples },
        },
        rounds: 3 + rng.below(3),
        cohort: Cohort {
            eligible: Eligibility::default(),
            selector: "task=sim".parse().expect("a selector"),
            goal,
            over_selection_permille: 1_000 + 100 * rng.below(4),
            quorum: if rng.chance(1, 2) { goal } else { goal.div_ceil(2) },
            deadline_ms: 2_000 + u64::from(rng.below(30_000)),
            attempts_max: 500,
            nodes: Vec::new(),
        },
        local: Local { samples: 3, epochs: 2, evaluate_samples: 2, schedule: Vec::new() },
        samples_max: 100,
        seed,
        reproducible: false,
    };
    let updates = goal * plan.rounds;
    let mut script = Script {
        nodes: nodes as usize,
        plan,
        faults: Vec::new(),
        slow_ms: BTreeMap::new(),
        echoes: 0,
        piece_bytes: 40 + rng.below(400) as usize,
    };
    script.echoes = match scenario {
        Scenario::ForgedUpdates => 100,
        Scenario::Mixed => 50 * rng.below(3),
        _ => 0,
    };
    let count = match scenario {
        Scenario::Smoke => 0,
        Scenario::Mixed => 10 + rng.below(10),
        _ => 4 + rng.below(5),
    };
    for _ in 0..count {
        let when = match rng.below(3) {
            0 => When::At(u64::from(200 + rng.below(30_000)), rng.below(nodes) as usize),
            1 => When::Trained(1 + rng.below(updates)),
            _ => When::Counted(1 + rng.below(updates)),
        };
        script.faults.push(planned(scenario, when, &mut rng));
    }
    if scenario == Scenario::SlowNode || (scenario == Scenario::Mixed && rng.chance(1, 3)) {
        for _ in 0..=rng.below(2) {
            script.slow_ms.insert(rng.below(nodes) as usize, u64::from(500 + rng.below(8_000)));
        }
        // A run that needs everybody, and faster than they are, cannot complete.
        script.plan.cohort.quorum = goal.div_ceil(2);
    }
    script
}

/// A plan as REST takes it.
pub(crate) fn json(plan: &Plan) -> Value {
    let Strategy::FedAvg { server_learning_rate, weighting } = plan.strategy else {
        unreachable!("every script averages")
    };
    let weighting = match weighting {
        Weighting::Samples => "samples",
        Weighting::Equal => "equal",
    };
    let cohort = &plan.cohort;
    json!({
        "strategy": {
            "name": "fedavg", "server_learning_rate": server_learning_rate, "weighting": weighting,
        },
        "rounds": plan.rounds,
        "cohort": {
            "select": cohort.selector.to_string(), "goal": cohort.goal, "quorum": cohort.quorum,
            "over_selection": f64::from(cohort.over_selection_permille) / 1_000.0,
            "deadline_ms": cohort.deadline_ms, "attempts_max": cohort.attempts_max,
        },
        "local": {
            "samples": plan.local.samples, "epochs": plan.local.epochs,
            "evaluate_samples": plan.local.evaluate_samples,
        },
        "samples_max": plan.samples_max,
        "seed": plan.seed,
    })
}

/// One fault of `scenario`, when an update is about to be pushed where that is when the fault bites.
fn planned(scenario: Scenario, when: When, rng: &mut Rng) -> Planned {
    let mut ms = |least: u32, most: u32| u64::from(least + rng.below(most - least));
    let pushed = |when| match when {
        When::Counted(n) => When::Trained(n),
        when => when,
    };
    let (when, fault) = match scenario {
        Scenario::LostRequests => (pushed(when), Fault::LoseRequests(ms(20, 3_000))),
        Scenario::LostReplies => (pushed(when), Fault::LoseReplies(ms(20, 3_000))),
        Scenario::Partition => (when, Fault::Partition(ms(20, 20_000))),
        Scenario::HoldAndRelease => (when, Fault::Hold(ms(20, 20_000))),
        Scenario::CoordinatorCrash => (when, Fault::CoordinatorDown(ms(20, 10_000))),
        Scenario::PowerFailure => {
            let down_ms = ms(20, 5_000);
            let (transactions, after) = (rng.below(8), rng.chance(1, 2));
            (pushed(when), Fault::PowerFails { transactions, after, down_ms })
        }
        Scenario::NodeCrash => (when, Fault::NodeDown(ms(20, 10_000))),
        Scenario::ClockSkew => {
            let jump = i64::try_from(ms(1, 200_000)).expect("it is small") * 1_000;
            match rng.below(3) {
                0 => (when, Fault::FileClock(jump - 100_000_000)),
                1 => (when, Fault::WallClock(-jump)),
                _ => (when, Fault::WallClock(jump)),
            }
        }
        Scenario::ForgedUpdates => {
            let forgery =
                [Forgery::Replay, Forgery::OtherPayload, Forgery::OtherBase, Forgery::OutOfRange]
                    [rng.below(4) as usize];
            // Before it is counted, another payload could be counted in its place: nothing says who sends.
            let counted = match when {
                When::Trained(n) if forgery == Forgery::OtherPayload => When::Counted(n),
                When::At(..) => When::Counted(1 + rng.below(10)),
                when => when,
            };
            (counted, Fault::Send(forgery))
        }
        Scenario::Smoke | Scenario::SlowNode => (when, Fault::WallClock(0)),
        Scenario::Mixed => {
            let kinds = [
                Scenario::LostRequests,
                Scenario::LostReplies,
                Scenario::LostReplies,
                Scenario::Partition,
                Scenario::HoldAndRelease,
                Scenario::CoordinatorCrash,
                Scenario::PowerFailure,
                Scenario::PowerFailure,
                Scenario::NodeCrash,
                Scenario::ClockSkew,
                Scenario::ForgedUpdates,
            ];
            let kind = kinds[rng.below(11) as usize];
            return planned(kind, when, rng);
        }
    };
    Planned { when, fault }
}
