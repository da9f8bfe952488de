//! Worlds as they should be and as they should not.

use super::*;

fn problems(toml: &str) -> Vec<String> {
    match World::parse("test", "test.toml", toml) {
        Err(WorldError::Invalid { problems, .. }) => {
            problems.iter().map(|problem| format!("{} {problem}", problem.code)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn those_that_come_with_the_project_are_worlds_and_say_what_they_teach() {
    for (name, toml) in SHIPPED {
        let world = World::open(name).unwrap();
        assert_eq!((world.name.as_str(), world.toml.as_str()), (name, toml));
        assert!(world.teaches.len() > 20, "{name}");
        assert!(toml.starts_with("# "), "{name} explains itself");
    }
    let still = SHIPPED.iter().filter(|(name, _)| World::open(name).unwrap().is_still());
    let still: Vec<&str> = still.map(|(name, _)| *name).collect();
    assert_eq!(still, ["calm", "one-class", "dirichlet", "subjects", "hoarders"]);
}

#[test]
fn every_mistake_is_told_at_once() {
    let told = problems(
        r#"
        teaches = 7
        weather = "bad"
        [data]
        split = "classes"
        alpha = 0.3
        samples_per_node = 0
        late_class = 1
        [[device]]
        speed = "fast"
        on = "25-3"
        [[device]]
        battery_hours = 8
        bandwidth = 3
        [faults]
        dropout = 1.5
        [[attackers]]
        share = 0.7
        attack = "rename"
        [round]
        goal = 0
        "#,
    );
    let expected = [
        "value_invalid teaches: expected a text, got `7`",
        "field_unknown weather: expected no such field, got one",
        "value_invalid data.samples_per_node: expected a whole number from 1 to 100000, got `0`",
        "field_missing data.classes_per_node: expected a value, got none",
        "value_invalid data.alpha: expected nothing without split = \"dirichlet\", got a number",
        "field_missing data.late_from_round: expected a value, got none",
        "value_invalid faults.dropout: expected a number from 0 to 1, got `1.5`",
        "value_invalid round.goal: expected a number from 0.001 to 1, got `0`",
        "value_invalid device[0].on: expected spans of hours such as \"22-6\", got `25-3`",
        "value_invalid device[0].speed: expected a number from 0.001 to 1000000, got `fast`",
        "value_invalid device[1].battery_hours: expected nothing without `charging`, got a number",
        "field_unknown device[1].bandwidth: expected no such field, got one",
        "value_invalid attackers[0].attack: expected sign_flip or random, got `rename`",
    ];
    let mut missing: Vec<&str> = expected.to_vec();
    missing.retain(|one| !told.iter().any(|told| told == one));
    assert!(missing.is_empty(), "missing {missing:#?} in {told:#?}");
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn shares_of_attackers_add_up_to_one_at_most() {
    let one = "[[attackers]]\nshare = 0.6\nattack = \"random\"\n";
    assert!(World::parse("test", "test", one).is_ok());
    assert_eq!(problems(&one.repeat(2)).len(), 1);
}

#[test]
fn hours_wrap_around_midnight() {
    let device = |on: &str| {
        let toml = format!("[[device]]\non = \"{on}\"");
        World::parse("test", "test", &toml).unwrap().devices[0].on
    };
    assert_eq!(device("0-24"), ALL_HOURS);
    assert_eq!(device("22-2"), 1 << 22 | 1 << 23 | 1 | 1 << 1);
    assert_eq!(device("8-9 23-24"), 1 << 8 | 1 << 23);
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    let error = World::parse("test", "w.toml", "a = ").unwrap_err();
    assert_eq!(error.code(), "world_malformed");
    assert!(error.to_string().starts_with("w.toml: "), "{error}");
    assert_eq!(World::open("atlantis").unwrap_err().code(), "world_unknown");
}
