//! What sections are made of: figures, tables, lists of facts.

use std::fmt::Write as _;

use super::super::data::Data;
use super::super::plot::{Kind, Width};
use super::super::table::{self, Table};
use super::super::text::{count, escape};

/// Rows that a table of the page shows at each end.
const ROWS: usize = 60;

/// Puts a plot, at both widths, with the tables that hold its numbers.
pub(super) fn figure(out: &mut String, data: &Data, name: &str, note: &str, tables: &[Table]) {
    let Some(kind) = Kind::named(name) else { return };
    let (wide, narrow) = (kind.draw(data, kind.wide), kind.draw(data, Width::Narrow));
    let note = if note.is_empty() { String::new() } else { format!("<p>{}</p>", escape(note)) };
    push(
        out,
        &format!(
            "<figure id=\"{name}\"><figcaption>{}</figcaption>{note}{}{}",
            escape(&wide.title),
            wide.inline("wide"),
            narrow.inline("narrow")
        ),
    );
    for table in tables.iter().filter(|table| !table.rows.is_empty()) {
        details(out, "The numbers", table, &wide.desc);
    }
    out.push_str("</figure>\n");
}

/// Puts a table that unfolds.
pub(super) fn details(out: &mut String, summary: &str, table: &Table, caption: &str) {
    push(out, &format!("<details><summary>{}</summary>", escape(summary)));
    put_table(out, table, caption);
    out.push_str("</details>");
}

/// Puts a table: all of it where it is short, else its ends.
pub(super) fn put_table(out: &mut String, table: &Table, caption: &str) {
    let shown: Vec<_> = table
        .columns
        .iter()
        .enumerate()
        .filter_map(|(index, column)| Some((index, column.heading?, column.kind)))
        .collect();
    let class = |kind| match kind {
        table::Kind::Number => " class=\"n\"",
        table::Kind::Code => " class=\"c\"",
        table::Kind::Text => "",
    };
    push(
        out,
        &format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption>{0}</caption><thead><tr>",
            escape(caption)
        ),
    );
    for &(_, heading, kind) in &shown {
        let class = if kind == table::Kind::Number { " class=\"n\"" } else { "" };
        push(out, &format!("<th scope=\"col\"{class}>{}</th>", escape(heading)));
    }
    out.push_str("</tr></thead><tbody>");
    let skipped = table.rows.len().saturating_sub(2 * ROWS + 1);
    let rows = table.rows.len();
    for (number, row) in table.rows.iter().enumerate() {
        if skipped > 0 && number == ROWS {
            let left = count(u64::try_from(skipped + 1).unwrap_or(u64::MAX));
            push(
                out,
                &format!(
                    "<tr><td colspan=\"{}\">{left} rows are left out here; all are in {}.csv</td></tr>",
                    shown.len(),
                    table.name
                ),
            );
        }
        if skipped > 0 && (ROWS..rows - ROWS).contains(&number) {
            continue;
        }
        out.push_str("<tr>");
        for (place, &(index, _, kind)) in shown.iter().enumerate() {
            let cell = row.get(index).map_or("", |cell| cell.shown.as_str());
            let (open, close) = if place == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            push(out, &format!("<{open}{}>{}</{close}>", class(kind), escape(cell)));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}

/// Puts a table of cells that are text already.
pub(in crate::report) fn put_rows(
    out: &mut String,
    heads: &[String],
    rows: &[Vec<String>],
    caption: &str,
) {
    push(
        out,
        &format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption>{0}</caption><thead><tr>",
            escape(caption)
        ),
    );
    for head in heads {
        push(out, &format!("<th scope=\"col\" class=\"n\">{}</th>", escape(head)));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            push(out, &format!("<td class=\"n\">{}</td>", escape(cell)));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}

/// Puts a list of names and values.
pub(super) fn facts(out: &mut String, facts: &[(&str, String)]) {
    out.push_str("<dl class=\"facts\">");
    for (name, value) in facts {
        push(out, &format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value)));
    }
    out.push_str("</dl>\n");
}

/// Puts the beginning of a section.
pub(super) fn section(out: &mut String, id: &str, title: &str, about: &str) {
    push(
        out,
        &format!(
            "<section id=\"{id}\" aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{}</h2>",
            escape(title)
        ),
    );
    if !about.is_empty() {
        push(out, &format!("<p>{}</p>", escape(about)));
    }
}

pub(super) fn push(out: &mut String, text: &str) {
    out.write_str(text).expect("writing to a string cannot fail");
}
