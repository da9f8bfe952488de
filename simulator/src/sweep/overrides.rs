//! Flags that change a task's plan: what a sweep varies, and people too.

use std::collections::BTreeMap;

use agent::LearnError;
use federation::Artifact;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::cost::meter::Chip;

/// Changes to a plan.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
pub struct Overrides {
    /// Change a value of the task's plan: `local.samples=5`, `strategy.server_learning_rate=1.5`. Can be given again.
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = parse_set)]
    pub set: Vec<(String, Value)>,
    /// Set a register of the chip in every round, whatever the plan's schedule says of it. Can be given again.
    #[arg(long = "register", value_name = "NAME=VALUE", value_parser = parse_register)]
    pub registers: Vec<(String, u32)>,
}

/// Why a plan cannot be changed so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OverrideError {
    /// A path leads nowhere.
    #[error("--set {path}: `{at}` of the plan is not a group of values")]
    Path {
        /// The path that was given.
        path: String,
        /// The part of it that leads nowhere.
        at: String,
    },
    /// No chip takes the registers.
    #[error("from round {from_round} on, {why}")]
    Register {
        /// The first round that has them.
        from_round: u64,
        /// What is wrong with them.
        why: LearnError,
    },
}

impl OverrideError {
    /// A stable code. A wrong register has the code of what is wrong with it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Path { .. } => "plan_path_unknown",
            Self::Register { why, .. } => why.code(),
        }
    }
}

impl Overrides {
    /// Changes a plan. What the plan's values must be like is the coordinator's to say.
    ///
    /// # Errors
    /// [`OverrideError::Path`] when one leads through something that has no parts.
    pub fn apply(&self, plan: &mut Value) -> Result<(), OverrideError> {
        for (path, value) in &self.set {
            let mut place = &mut *plan;
            let mut walked: Vec<&str> = Vec::new();
            for part in path.split('.') {
                let at = || OverrideError::Path { path: path.clone(), at: walked.join(".") };
                place =
                    place.as_object_mut().ok_or_else(at)?.entry(part).or_insert_with(|| json!({}));
                walked.push(part);
            }
            *place = value.clone();
        }
        for (name, value) in &self.registers {
            fix(plan, name, *value);
        }
        Ok(())
    }

    /// Whether the network of `artifact` can be learned with the registers of every round: better told before a fleet
    /// begins than by each of its nodes.
    ///
    /// # Errors
    /// [`OverrideError::Register`] when not.
    pub fn check(plan: &Value, artifact: &Artifact) -> Result<(), OverrideError> {
        let steps = plan["local"]["schedule"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut registers = BTreeMap::new();
        for step in steps {
            let from_round = step["from_round"].as_u64().unwrap_or(1);
            for (name, value) in step["registers"].as_object().into_iter().flatten() {
                // What is not a register's value at all is the coordinator's to say.
                let value = value.as_u64().and_then(|value| u32::try_from(value).ok());
                registers.extend(value.map(|value| (name.clone(), value)));
            }
            let fits = Chip::to_learn(artifact, &registers, 0);
            fits.map_err(|why| OverrideError::Register { from_round, why })?;
        }
        Ok(())
    }

    /// The flags again, as they stand on a command line, with a space before each.
    #[must_use]
    pub fn flags(&self) -> String {
        let set = self.set.iter().map(|(path, value)| match value {
            Value::String(text) => format!(" --set {path}={text}"),
            value => format!(" --set {path}={value}"),
        });
        let registers =
            self.registers.iter().map(|(name, value)| format!(" --register {name}={value}"));
        set.chain(registers).collect()
    }
}

/// Sets a register from round 1 on, and nowhere else.
fn fix(plan: &mut Value, name: &str, value: u32) {
    if !plan["local"].is_object() {
        plan["local"] = json!({});
    }
    let schedule = &mut plan["local"]["schedule"];
    if !schedule.is_array() {
        *schedule = json!([]);
    }
    let Value::Array(steps) = schedule else { return };
    for step in steps.iter_mut() {
        if let Some(registers) = step["registers"].as_object_mut() {
            registers.remove(name);
        }
    }
    match steps.iter_mut().find(|step| step["from_round"] == 1) {
        Some(first) => first["registers"][name] = value.into(),
        None => steps.insert(0, json!({"from_round": 1, "registers": {name: value}})),
    }
    // A step that sets nothing any more is none.
    steps.retain(|step| step["registers"].as_object().is_some_and(|all| !all.is_empty()));
}

fn parse_set(text: &str) -> Result<(String, Value), String> {
    let (path, value) = text.split_once('=').ok_or("it is not PATH=VALUE")?;
    if path.is_empty() || path.split('.').any(str::is_empty) {
        return Err(format!("`{path}` is not a path like local.samples"));
    }
    // What is not JSON is text, so that it needs no quotes.
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((path.to_owned(), value))
}

fn parse_register(text: &str) -> Result<(String, u32), String> {
    let (name, value) = text.split_once('=').ok_or("it is not NAME=VALUE")?;
    let value =
        value.parse().map_err(|_| format!("`{value}` is not a number from 0 to 2^32 - 1"))?;
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(set: &[&str], registers: &[&str]) -> Overrides {
        Overrides {
            set: set.iter().map(|text| parse_set(text).unwrap()).collect(),
            registers: registers.iter().map(|text| parse_register(text).unwrap()).collect(),
        }
    }

    #[test]
    fn values_are_put_where_they_belong() {
        let mut plan = json!({"rounds": 2, "strategy": {"name": "fedavg"}});
        let changes =
            overrides(&["rounds=5", "strategy.name=fedadam", "local.samples=3", "a.b=1.5"], &[]);
        changes.apply(&mut plan).unwrap();
        let expected = json!({
            "rounds": 5, "strategy": {"name": "fedadam"}, "local": {"samples": 3}, "a": {"b": 1.5},
        });
        assert_eq!(plan, expected);
        assert_eq!(
            changes.flags(),
            " --set rounds=5 --set strategy.name=fedadam --set local.samples=3 --set a.b=1.5"
        );
        let error = overrides(&["rounds.x=1"], &[]).apply(&mut plan).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--set rounds.x: `rounds` of the plan is not a group of values"
        );
    }

    #[test]
    fn registers_that_no_chip_takes_are_told_with_their_round() {
        let artifact = crate::task::navigation(1).recipe.artifact(1).unwrap();
        let told = |name: &str, value: u32| {
            let plan = json!({"local": {"schedule": [
                {"from_round": 1, "registers": {"SPI_KAPPA": 100}},
                {"from_round": 7, "registers": {name: value}},
            ]}});
            Overrides::check(&plan, &artifact).map_err(|error| (error.code(), error.to_string()))
        };
        assert_eq!(told("SPI_KAPPA", 255), Ok(()));
        let (code, text) = told("SPI_KAPPA", 256).unwrap_err();
        assert_eq!(code, "out_of_range");
        assert_eq!(
            text,
            "from round 7 on, the order's registers: SPI_KAPPA: value 256 is outside 0..=255"
        );
        assert_eq!(told("SPI_LR_P_WIMP", 1).unwrap_err().0, "unknown_register");
    }

    #[test]
    fn a_register_holds_in_every_round() {
        let mut plan = json!({"local": {"schedule": [
            {"from_round": 1, "registers": {"A": 1}},
            {"from_round": 4, "registers": {"B": 2}},
            {"from_round": 6, "registers": {"B": 3, "A": 2}},
        ]}});
        let changes = overrides(&[], &["B=9"]);
        changes.apply(&mut plan).unwrap();
        let expected = json!({"local": {"schedule": [
            {"from_round": 1, "registers": {"A": 1, "B": 9}},
            {"from_round": 6, "registers": {"A": 2}},
        ]}});
        assert_eq!(plan, expected);
        let mut bare = json!({});
        changes.apply(&mut bare).unwrap();
        assert_eq!(
            bare,
            json!({"local": {"schedule": [{"from_round": 1, "registers": {"B": 9}}]}})
        );
        assert_eq!(changes.flags(), " --register B=9");
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for text in ["rounds", "=1", "a..b=1"] {
            assert!(parse_set(text).is_err(), "{text}");
        }
        for text in ["A", "A=-1", "A=x", "A=4294967296"] {
            assert!(parse_register(text).is_err(), "{text}");
        }
    }
}
