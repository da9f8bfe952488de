//! A world's TOML, table by table. Every field is taken out of its table, so that what is left is unknown.

use serde_json::Value;
use toml::Table;

use super::{
    ALL_HOURS, Attack, Attackers, By, Device, Faults, Late, Problem, RoundShape, Split, World,
    WorldError,
};

impl World {
    /// Reads a world's text. `place` is what messages call it.
    ///
    /// # Errors
    /// [`WorldError`] with every mistake there is.
    pub fn parse(name: &str, place: &str, text: &str) -> Result<Self, WorldError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| WorldError::Syntax {
            place: place.to_owned(),
            message: error.to_string(),
        })?;
        let mut problems = Vec::new();
        let mut root = Fields::new(String::new(), table, &mut problems);
        let teaches = root.text("teaches").unwrap_or_default();
        let (data, faults, round) = (root.table("data"), root.table("faults"), root.table("round"));
        let (devices, attackers) = (root.tables("device"), root.tables("attackers"));
        let plan = root.table("plan").unwrap_or_default();
        root.end();
        let data = split(Fields::new("data".into(), data.unwrap_or_default(), &mut problems));
        let faults =
            faults_of(Fields::new("faults".into(), faults.unwrap_or_default(), &mut problems));
        let round = shape(Fields::new("round".into(), round.unwrap_or_default(), &mut problems));
        let mut kinds = Vec::new();
        for (index, table) in devices.into_iter().enumerate() {
            kinds.push(device(Fields::new(format!("device[{index}]"), table, &mut problems)));
        }
        if kinds.is_empty() {
            kinds.push(device(Fields::new("device".into(), Table::new(), &mut problems)));
        }
        let mut attacks = Vec::new();
        for (index, table) in attackers.into_iter().enumerate() {
            let fields = Fields::new(format!("attackers[{index}]"), table, &mut problems);
            attacks.extend(attackers_of(fields));
        }
        if attacks.iter().map(|one| one.ppm).sum::<u32>() > MILLION {
            problems.push(Problem {
                field: "attackers".to_owned(),
                code: INVALID,
                expected: "shares that add up to 1 at most".to_owned(),
                got: "more".to_owned(),
            });
        }
        if !problems.is_empty() {
            return Err(WorldError::Invalid { place: place.to_owned(), problems });
        }
        Ok(Self {
            name: name.to_owned(),
            teaches,
            toml: text.to_owned(),
            data,
            devices: kinds,
            faults,
            attackers: attacks,
            round,
            plan: json(toml::Value::Table(plan)),
        })
    }
}

const MILLION: u32 = 1_000_000;
const INVALID: &str = "value_invalid";

fn split(mut fields: Fields<'_>) -> Split {
    let by = fields.text("split");
    let classes = fields.whole("classes_per_node", 1, 16);
    let alpha = fields.part("alpha", 0.001, 1_000.0, 1_000);
    let samples = fields.whole("samples_per_node", 1, 100_000);
    let skew = fields.whole("most_over_least", 1, 1_000).unwrap_or(1);
    let drift = fields.flag("drift").unwrap_or(false);
    let (class, from_round) =
        (fields.whole("late_class", 0, 15), fields.whole("late_from_round", 1, 1_000_000));
    let by = match by.as_deref() {
        None | Some("iid") => By::Chance,
        Some("classes") => {
            By::Classes(u8::try_from(fields.needed("classes_per_node", classes)).unwrap_or(1))
        }
        Some("dirichlet") => By::Dirichlet(fields.needed("alpha", alpha)),
        Some("subject") => By::Subject,
        Some(other) => {
            fields.wrong("split", "iid, classes, dirichlet or subject", format!("`{other}`"));
            By::Chance
        }
    };
    if classes.is_some() && !matches!(by, By::Classes(_)) {
        fields.wrong("classes_per_node", "nothing without split = \"classes\"", "a number".into());
    }
    if alpha.is_some() && !matches!(by, By::Dirichlet(_)) {
        fields.wrong("alpha", "nothing without split = \"dirichlet\"", "a number".into());
    }
    let late = match (class, from_round) {
        (Some(class), Some(from_round)) => {
            Some(Late { class: u8::try_from(class).unwrap_or(0), from_round })
        }
        (None, None) => None,
        (Some(_), None) => {
            fields.needed("late_from_round", from_round);
            None
        }
        (None, Some(_)) => {
            fields.needed("late_class", class);
            None
        }
    };
    if drift && late.is_some() {
        fields.wrong("late_class", "nothing beside drift = true", "a class".into());
    }
    fields.end();
    Split { by, samples, skew, drift, late }
}

fn device(mut fields: Fields<'_>) -> Device {
    let (name, share) = (fields.text("name"), fields.whole("share", 1, 1_000_000));
    let charging = fields.hours("charging");
    let battery = fields.whole("battery_hours", 1, 1_000);
    if charging.is_none() && battery.is_some() {
        fields.wrong("battery_hours", "nothing without `charging`", "a number".into());
    }
    let device = Device {
        name: name.unwrap_or_else(|| "device".to_owned()),
        share: share.unwrap_or(1),
        speed_permille: fields.part("speed", 0.001, 1_000_000.0, 1_000).unwrap_or(1_000),
        neurons: fields.whole("neurons", 1, 256),
        latency_ms: fields.whole("latency_ms", 0, 600_000).unwrap_or(0),
        jitter_ms: fields.whole("jitter_ms", 0, 600_000).unwrap_or(0),
        loss_ppm: fields.part("loss", 0.0, 0.9, MILLION).unwrap_or(0),
        bits_per_s: fields.whole("bits_per_s", 100, u32::MAX),
        on: fields.hours("on").unwrap_or(ALL_HOURS),
        charging,
        battery_hours: battery.unwrap_or(24),
        offset_hours: fields.whole("offset_hours", 0, 23).unwrap_or(0),
    };
    fields.end();
    device
}

fn faults_of(mut fields: Fields<'_>) -> Faults {
    let faults = Faults {
        dropout_ppm: fields.part("dropout", 0.0, 1.0, MILLION).unwrap_or(0),
        dropout_s: fields.whole("dropout_s", 1, 86_400).unwrap_or(600),
        straggler_ppm: fields.part("straggler", 0.0, 1.0, MILLION).unwrap_or(0),
        slowdown: fields.whole("slowdown", 1, 1_000).unwrap_or(10),
    };
    fields.end();
    faults
}

fn attackers_of(mut fields: Fields<'_>) -> Option<Attackers> {
    let share = fields.part("share", 0.0, 1.0, MILLION);
    let ppm = fields.needed("share", share);
    let attack = fields.text("attack");
    let strength = fields.whole("strength", 1, 127);
    let attack = match attack.as_deref() {
        Some("sign_flip") => Some(Attack::SignFlip(strength.unwrap_or(1))),
        Some("random") => {
            Some(Attack::Random(u8::try_from(strength.unwrap_or(127)).unwrap_or(127)))
        }
        other => {
            let got = other.map_or_else(|| "nothing".to_owned(), |other| format!("`{other}`"));
            fields.wrong("attack", "sign_flip or random", got);
            None
        }
    };
    fields.end();
    Some(Attackers { ppm, attack: attack? })
}

fn shape(mut fields: Fields<'_>) -> RoundShape {
    let shape = RoundShape {
        goal_permille: fields.part("goal", 0.001, 1.0, 1_000),
        over_selection_permille: fields.part("over_selection", 1.0, 10.0, 1_000),
        quorum_permille: fields.part("quorum", 0.001, 1.0, 1_000),
        deadline_s: fields.whole("deadline_s", 1, 30 * 86_400),
    };
    fields.end();
    shape
}

/// One table, from which fields are taken.
struct Fields<'a> {
    path: String,
    table: Table,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Fields<'a> {
    fn new(path: String, table: Table, problems: &'a mut Vec<Problem>) -> Self {
        Self { path, table, problems }
    }

    fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn tell(&mut self, key: &str, code: &'static str, expected: String, got: String) {
        let field = self.field(key);
        self.problems.push(Problem { field, code, expected, got });
    }

    fn wrong(&mut self, key: &str, expected: &str, got: String) {
        self.tell(key, INVALID, expected.to_owned(), got);
    }

    /// `value`, or a complaint that it is missing.
    fn needed(&mut self, key: &str, value: Option<u32>) -> u32 {
        let field = self.field(key);
        if value.is_none() && !self.problems.iter().any(|problem| problem.field == field) {
            self.tell(key, "field_missing", "a value".to_owned(), "none".to_owned());
        }
        value.unwrap_or(1)
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key)? {
            toml::Value::String(text) => Some(text),
            other => {
                self.wrong(key, "a text", kind(&other));
                None
            }
        }
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        match self.table.remove(key)? {
            toml::Value::Boolean(flag) => Some(flag),
            other => {
                self.wrong(key, "true or false", kind(&other));
                None
            }
        }
    }

    fn whole(&mut self, key: &str, min: u32, max: u32) -> Option<u32> {
        let value = self.table.remove(key)?;
        let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.wrong(key, &format!("a whole number from {min} to {max}"), kind(&value));
        }
        number
    }

    /// A number as so many parts of `unit`, rounded.
    fn part(&mut self, key: &str, min: f64, max: f64, unit: u32) -> Option<u32> {
        let value = self.table.remove(key)?;
        #[expect(clippy::cast_precision_loss, reason = "what people write has few digits")]
        let number = value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.wrong(key, &format!("a number from {min} to {max}"), kind(&value));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked, and a cast of a float saturates"
        )]
        number.map(|number| (number * f64::from(unit)).round() as u32)
    }

    /// Hours of a day: `"22-6"`, `"8-12 14-18"`.
    fn hours(&mut self, key: &str) -> Option<u32> {
        let text = self.text(key)?;
        let mut hours = 0;
        for span in text.split_whitespace() {
            let ends = span.split_once('-').and_then(|(from, to)| {
                let from = from.parse::<u32>().ok().filter(|hour| *hour < 24)?;
                let to = to.parse::<u32>().ok().filter(|hour| *hour <= 24)?;
                Some((from, to))
            });
            let Some((from, to)) = ends.filter(|(from, to)| from != to) else {
                self.wrong(key, "spans of hours such as \"22-6\"", format!("`{span}`"));
                return None;
            };
            let length = if to > from { to - from } else { 24 - from + to };
            for hour in from..from + length {
                hours |= 1 << (hour % 24);
            }
        }
        if hours == 0 {
            self.wrong(key, "spans of hours such as \"22-6\"", "none".to_owned());
            return None;
        }
        Some(hours)
    }

    fn table(&mut self, key: &str) -> Option<Table> {
        match self.table.remove(key)? {
            toml::Value::Table(table) => Some(table),
            other => {
                self.wrong(key, "a table", kind(&other));
                None
            }
        }
    }

    fn tables(&mut self, key: &str) -> Vec<Table> {
        let value = match self.table.remove(key) {
            None => return Vec::new(),
            Some(toml::Value::Array(values)) => values,
            Some(other) => vec![other],
        };
        let mut tables = Vec::new();
        for value in value {
            match value {
                toml::Value::Table(table) => tables.push(table),
                other => self.wrong(key, "tables", kind(&other)),
            }
        }
        tables
    }

    /// Nothing may be left.
    fn end(mut self) {
        let left: Vec<String> = self.table.keys().cloned().collect();
        for key in left {
            let expected = "no such field".to_owned();
            self.tell(&key, "field_unknown", expected, "one".to_owned());
        }
    }
}

fn kind(value: &toml::Value) -> String {
    match value {
        toml::Value::Table(_) | toml::Value::Array(_) => format!("a {}", value.type_str()),
        other => format!("`{}`", other.to_string().trim_matches('"')),
    }
}

fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect())
        }
    }
}
