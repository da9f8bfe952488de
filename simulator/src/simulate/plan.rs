//! The plan of a simulation: the task's recipe, what the world says of rounds, what the command line says of both.

use federation::NodeId;
use serde_json::{Map, Value, json};

use super::Args;
use super::world::World;
use crate::sweep::OverrideError;
use crate::task::Task;

/// The label by which runs find the fleet.
pub(crate) const LABEL: (&str, &str) = ("fleet", "demo");
/// Most nodes whose names stand in a plan: of more, a round takes all that are there, which is the same in virtual time.
const NAMED_MAX: u32 = 1_000;
/// Deadline where every node answers, in milliseconds: a day, which decides nothing.
const DEADLINE_MS: u64 = 86_400_000;
/// Deadline where some do not, in milliseconds.
const DEADLINE_FAULTY_MS: u64 = 3_600_000;

/// What is decided about rounds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planned {
    /// As `POST /v1/runs` takes it.
    pub(crate) plan: Value,
    /// Rounds.
    pub(crate) rounds: u32,
    /// Updates that a round wants.
    pub(crate) goal: u32,
    /// Whether a round closes before all that were drawn have answered, so that it matters who is first.
    pub(crate) races: bool,
}

/// Plans the run of `args` in `world`.
///
/// # Errors
/// [`OverrideError`] when the command line changes something that a plan does not have.
pub(crate) fn plan(
    task: &Task,
    world: &World,
    args: &Args,
    names: &[NodeId],
) -> Result<Planned, OverrideError> {
    let recipe = &task.recipe;
    let rounds = args.rounds.unwrap_or(recipe.rounds);
    let samples = args.samples.unwrap_or(recipe.samples);
    let epochs = args.epochs.unwrap_or(recipe.epochs);
    let shape = world.round;
    let of = |whole: u32, permille: u32| {
        let part = (u64::from(whole) * u64::from(permille)).div_ceil(1_000).max(1);
        u32::try_from(part).unwrap_or(whole).min(whole)
    };
    let goal = args.cohort.unwrap_or_else(|| of(args.nodes, shape.goal_permille.unwrap_or(1_000)));
    let goal = goal.min(args.nodes);
    let over = shape.over_selection_permille.unwrap_or(1_000);
    let punctual = world.is_punctual();
    let usual = if punctual { 1_000 } else { 500 };
    let quorum = of(goal, shape.quorum_permille.unwrap_or(usual));
    let deadline_ms = match shape.deadline_s {
        Some(seconds) => u64::from(seconds) * 1_000,
        None if punctual => DEADLINE_MS,
        None => DEADLINE_FAULTY_MS,
    };
    let named = goal == args.nodes && over == 1_000 && punctual && args.nodes <= NAMED_MAX;
    let mut cohort = json!({
        "select": {LABEL.0: LABEL.1},
        "goal": goal,
        "quorum": quorum,
        "deadline_ms": deadline_ms,
        "attempts_max": 100,
    });
    if named {
        cohort["nodes"] = names.iter().map(|name| Value::from(name.as_str())).collect();
    } else {
        cohort["over_selection"] = (f64::from(over) / 1_000.0).into();
    }
    let mut plan = recipe.plan(cohort, args.seed);
    plan["rounds"] = rounds.into();
    plan["local"]["samples"] = samples.into();
    plan["local"]["epochs"] = epochs.into();
    plan["local"]["evaluate_samples"] = args.evaluate_samples.into();
    plan["reproducible"] = named.into();
    let wishes = world.plan.clone();
    if let Some(name) = wishes["strategy"]["name"].as_str()
        && name != "fedavg"
    {
        // Other strategies have other fields: of this one only the rate is kept.
        plan["strategy"] = json!({"server_learning_rate": recipe.server_learning_rate});
    }
    merge(&mut plan, wishes);
    args.overrides.apply(&mut plan)?;
    let number = |value: &Value, usual| {
        value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(usual)
    };
    let (rounds, goal) = (number(&plan["rounds"], rounds), number(&plan["cohort"]["goal"], goal));
    Ok(Planned { plan, rounds, goal, races: over > 1_000 || !punctual })
}

/// Puts `wishes` into `base`, table by table.
fn merge(base: &mut Value, wishes: Value) {
    match (base, wishes) {
        (Value::Object(base), Value::Object(wishes)) => {
            for (key, wish) in wishes {
                merge(base.entry(key).or_insert_with(|| Value::Object(Map::new())), wish);
            }
        }
        (base, wish) => *base = wish,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::shares::name_of;
    use crate::task::navigation;

    fn planned(world: &str, change: impl FnOnce(&mut Args)) -> Planned {
        let mut args = Args { nodes: 10, ..Args::default() };
        change(&mut args);
        let names: Vec<_> = (0..10).map(name_of).collect();
        plan(&navigation(1), &World::open(world).unwrap(), &args, &names).unwrap()
    }

    #[test]
    fn a_calm_fleet_repeats_and_a_part_of_it_does_not_say_so() {
        let all = planned("calm", |_| {});
        assert_eq!((all.plan["reproducible"].clone(), all.races), (json!(true), false));
        assert_eq!(all.plan["cohort"]["nodes"].as_array().map(Vec::len), Some(10));
        assert_eq!((all.plan["cohort"]["quorum"].clone(), all.goal), (json!(10), 10));
        let some = planned("calm", |args| args.cohort = Some(4));
        assert_eq!((some.plan["reproducible"].clone(), some.goal), (json!(false), 4));
        assert_eq!(some.plan["cohort"]["nodes"], Value::Null);
        assert!(!some.races, "all that are drawn answer");
    }

    #[test]
    fn a_world_shapes_rounds_and_strategy() {
        let lines = planned("bad-lines", |_| {});
        let cohort = &lines.plan["cohort"];
        assert_eq!((&cohort["goal"], &cohort["quorum"]), (&json!(6), &json!(3)));
        assert_eq!(
            (&cohort["over_selection"], &cohort["deadline_ms"]),
            (&json!(1.35), &json!(600_000))
        );
        assert!(lines.races);
        let median = planned("saboteurs", |_| {});
        assert_eq!(median.plan["strategy"], json!({"name": "median", "server_learning_rate": 2.0}));
        let night = planned("night-shift", |_| {});
        assert_eq!(night.plan["cohort"]["eligible"], json!({"battery_percent_min": 40}));
    }
}
