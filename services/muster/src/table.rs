//! Lists as tables and things as lines, of the JSON that the coordinator answers.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

/// Digits of a digest that are shown to people.
const DIGEST_DIGITS: usize = 12;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    numbers: bool,
    optional: bool,
    /// A row's cell, of its JSON and of the time now.
    cell: fn(&Value, u64) -> String,
}

impl Column {
    /// A column of text.
    pub(crate) const fn text(title: &'static str, cell: fn(&Value, u64) -> String) -> Self {
        Self { title, numbers: false, optional: false, cell }
    }

    /// A column of numbers.
    pub(crate) const fn number(title: &'static str, cell: fn(&Value, u64) -> String) -> Self {
        Self { title, numbers: true, optional: false, cell }
    }

    /// The same column, which a narrow terminal can do without; the last one goes first.
    pub(crate) const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// A table, in `width` columns if that is given.
pub(crate) fn draw(
    columns: &[Column],
    items: &[Value],
    now_ms: u64,
    width: Option<u16>,
    colour: bool,
) -> String {
    let cells = |column: &Column| -> Vec<String> {
        let cells = items.iter().map(|item| printable(&(column.cell)(item, now_ms)));
        std::iter::once(column.title.to_owned()).chain(cells).collect()
    };
    let mut drawn: Vec<(&Column, Vec<String>)> =
        columns.iter().map(|column| (column, cells(column))).collect();
    if let Some(width) = width.map(usize::from) {
        let widest = |cells: &[String]| cells.iter().map(|cell| cell.chars().count()).max();
        let all = |drawn: &[(&Column, Vec<String>)]| -> usize {
            drawn.iter().map(|(_, cells)| widest(cells).unwrap_or(0) + BETWEEN).sum()
        };
        while all(&drawn) > width + BETWEEN {
            let Some(last) = drawn.iter().rposition(|(column, _)| column.optional) else { break };
            drawn.remove(last);
        }
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = width {
        table
            .set_width(width.saturating_add(2))
            .set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in 0..=items.len() {
        let cells: Vec<&str> = drawn.iter().map(|(_, cells)| cells[row].as_str()).collect();
        if row == 0 {
            table.set_header(cells)
        } else {
            table.add_row(cells)
        };
    }
    for (index, (column, _)) in drawn.iter().enumerate() {
        if let Some(shown) = table.column_mut(index) {
            shown.set_padding((0, 2));
            if column.numbers {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let text = table.trim_fmt();
    match text.split_once('\n') {
        Some((head, rows)) if colour => format!("\x1b[1m{head}\x1b[0m\n{rows}"),
        _ => text,
    }
}

/// Columns between two columns.
const BETWEEN: usize = 2;

/// Named facts, one a line. A fact of several lines keeps to its side.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let widest = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, fact): &(&str, String)| {
        let lines: Vec<_> = fact.lines().map(printable).collect();
        let between = format!("\n{:widest$}  ", "");
        format!("{name:widest$}  {}", lines.join(&between)).trim_end().to_owned()
    };
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Text without what would move a terminal's cursor: names come from nodes and files.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// What is in a field; `-` for what is not there.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The beginning of a digest.
pub(crate) fn digest(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| "-".to_owned(), |digest| digest.chars().take(DIGEST_DIGITS).collect())
}

/// How long ago a time in milliseconds was.
pub(crate) fn age(value: &Value, now_ms: u64) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |ms| crate::when::age(ms, now_ms))
}

/// A time in milliseconds, in UTC, and how long ago it was.
pub(crate) fn time(value: &Value, now_ms: u64) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |ms| crate::when::time(ms, now_ms))
}

/// `part` of `whole` in percent, to a tenth.
pub(crate) fn percent(part: &Value, whole: &Value) -> String {
    match (part.as_u64(), whole.as_u64()) {
        (Some(part), Some(whole)) if whole > 0 => {
            let tenths = (u128::from(part) * 2_000 / u128::from(whole)).div_ceil(2);
            format!("{}.{} %", tenths / 10, tenths % 10)
        }
        _ => "-".to_owned(),
    }
}

/// Bytes in the unit that fits.
pub(crate) fn bytes(value: &Value) -> String {
    let Some(bytes) = value.as_u64() else { return "-".to_owned() };
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match units.into_iter().find(|(_, size)| bytes >= *size) {
        Some((name, size)) => format!("{}.{} {name}", bytes / size, bytes % size * 10 / size),
        None => format!("{bytes} B"),
    }
}

/// An object of texts as `key=value`s.
pub(crate) fn labels(value: &Value) -> String {
    let Some(labels) = value.as_object().filter(|labels| !labels.is_empty()) else {
        return "-".to_owned();
    };
    let pairs: Vec<_> =
        labels.iter().map(|(key, value)| format!("{key}={}", text(value))).collect();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[
        Column::text("NAME", |item, _| text(&item["name"])),
        Column::number("N", |item, _| text(&item["n"])),
        Column::text("DIGEST", |item, _| digest(&item["digest"])).optional(),
        Column::text("MADE", |item, now| age(&item["made_at_ms"], now)),
    ];

    fn items() -> Vec<Value> {
        vec![
            json!({"name": "a", "n": 7, "digest": "0123456789abcdef", "made_at_ms": 1_000}),
            json!({"name": "navigation", "n": 1_234, "digest": null, "made_at_ms": 3_600_000}),
        ]
    }

    #[test]
    fn columns_stand_under_their_titles() {
        let expected = "\
NAME           N  DIGEST        MADE
a              7  0123456789ab  59 m ago
navigation  1234  -             now";
        assert_eq!(draw(COLUMNS, &items(), 3_600_000, None, false), expected);
        assert_eq!(draw(COLUMNS, &items(), 3_600_000, Some(80), false), expected);
        let bold = draw(COLUMNS, &items(), 3_600_000, Some(80), true);
        assert!(bold.starts_with("\x1b[1mNAME") && bold.contains("MADE\x1b[0m\na "), "{bold:?}");
        assert_eq!(draw(COLUMNS, &[], 0, None, false), "NAME  N  DIGEST  MADE");
    }

    #[test]
    fn a_narrow_terminal_does_without_what_is_optional_and_then_wraps() {
        let narrow = draw(COLUMNS, &items(), 3_600_000, Some(30), false);
        assert_eq!(
            narrow,
            "\
NAME           N  MADE
a              7  59 m ago
navigation  1234  now"
        );
        let narrow = draw(COLUMNS, &items(), 3_600_000, Some(20), false);
        assert!(narrow.lines().all(|line| line.chars().count() <= 20), "{narrow}");
        assert!(narrow.lines().count() > 3, "{narrow}");
    }

    #[test]
    fn cells_are_for_people() {
        assert_eq!(percent(&json!(932), &json!(1_000)), "93.2 %");
        assert_eq!(percent(&json!(2), &json!(3)), "66.7 %");
        assert_eq!(percent(&json!(1), &json!(1)), "100.0 %");
        assert_eq!(percent(&json!(0), &json!(0)), "-");
        assert_eq!(bytes(&json!(999)), "999 B");
        assert_eq!(bytes(&json!(14_240)), "14.2 kB");
        assert_eq!(bytes(&json!(2_000_000_000_u64)), "2.0 GB");
        assert_eq!(labels(&json!({"site": "ams", "room": "7"})), "room=7,site=ams");
        assert_eq!(labels(&json!({})), "-");
        assert_eq!((text(&json!(true)), text(&Value::Null)), ("yes".to_owned(), "-".to_owned()));
    }

    #[test]
    fn what_a_node_calls_itself_cannot_draw() {
        let evil = vec![json!({"name": "a\x1b[2Jb", "n": 1, "digest": "x", "made_at_ms": 0})];
        assert!(!draw(COLUMNS, &evil, 0, None, false).contains('\x1b'));
        assert!(!facts(&[("name", "a\x1b[2Jb".to_owned())]).contains('\x1b'));
    }

    #[test]
    fn facts_stand_beside_their_names() {
        let told =
            facts(&[("id", "1".to_owned()), ("reason", "a\nb".to_owned()), ("x", String::new())]);
        assert_eq!(told, "id      1\nreason  a\n        b\nx");
    }
}
