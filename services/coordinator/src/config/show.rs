//! The configuration in words: what would be used and where it comes from, a file to begin with, rows for the docs.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::args::{Loaded, Origin};
use super::setting::{Effect, Setting};
use super::{Config, SETTINGS};

/// Widest comment in a file that we write.
const COLUMNS: usize = 100;

impl Loaded {
    /// The configuration as a file that gives the same one, each value with where it comes from.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        by_table(&mut text, |text, index, setting| {
            let key = setting.table_and_key().1;
            let (value, origin) = (setting.value(&self.config), self.origin(index));
            let _ = writeln!(text, "{key} = {value}  # {origin}");
        });
        text
    }

    /// The configuration as JSON: a list of settings, each with its value and where it comes from.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let settings = SETTINGS.iter().enumerate().map(|(index, setting)| {
            let kind = match self.origins[index] {
                Origin::Default => "default",
                Origin::File { .. } => "file",
                Origin::Variable => "variable",
                Origin::Flag => "flag",
            };
            json!({
                "key": setting.key,
                "value": setting.value(&self.config),
                "origin": kind,
                "origin_name": self.origin(index),
                "variable": setting.variable(),
                "flag": setting.flag(),
                "reloads": setting.effect == Effect::Reload,
            })
        });
        let file = self.file.as_ref().map(|file| file.display().to_string());
        json!({ "file": file, "settings": settings.collect::<Vec<_>>() })
    }

    fn origin(&self, index: usize) -> String {
        let setting = &SETTINGS[index];
        match self.origins[index] {
            Origin::Default => "default".to_owned(),
            Origin::File { line } => {
                let file = self.file.as_deref().map(Path::display);
                let file = file.expect("what comes from a file has one");
                format!("{file}:{line}")
            }
            Origin::Variable => setting.variable(),
            Origin::Flag => setting.flag(),
        }
    }
}

/// A file of all settings with what they mean, each at its default and commented out.
#[must_use]
pub fn default_file() -> String {
    let mut text = String::from(
        "# Settings of `muster serve`. Each stands here with its default, commented out: remove the `#` before a line to\n\
         # change it. A variable counts before this file, a flag before a variable. `muster serve --print-config` shows\n\
         # what comes of it, `muster config check` what is wrong with it. On SIGHUP the file is read again, and\n\
         # what reloads changes. Paths are relative to the working directory.\n\n",
    );
    let default = Config::default();
    by_table(&mut text, |text, _, setting| {
        comment(text, &format!("{}.", setting.about()));
        comment(text, &setting.details());
        let key = setting.table_and_key().1;
        let _ = writeln!(text, "#{key} = {}\n", setting.value(&default));
    });
    text
}

impl Setting {
    /// From where to where it goes, when a change counts, and how else it is given.
    fn details(&self) -> String {
        let range = self.range.as_ref();
        let range = range.map(|range| format!("{} to {}; ", range.start(), range.end()));
        let changes = match self.effect {
            Effect::Reload => "reloads",
            Effect::Restart => "needs a restart",
        };
        let (variable, flag) = (self.variable(), self.flag());
        format!("{}{changes}; {variable}, {flag}", range.unwrap_or_default())
    }

    /// Its default without quotes, unless it is not set then.
    pub(super) fn default_text(&self) -> Option<String> {
        let value = self.value(&Config::default());
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (!text.is_empty()).then_some(text)
    }

    /// Its row in the table of docs/reference/configuration.md.
    #[must_use]
    pub fn row(&self) -> String {
        let default = self.default_text().map(|text| format!(" (default `{text}`)"));
        format!(
            "| `{}` | `{}` | `{}` | {}{} |",
            self.key,
            self.variable(),
            self.flag(),
            self.about().replace('|', "\\|"),
            default.unwrap_or_default()
        )
    }
}

/// Has each setting written below the name of its table.
fn by_table(text: &mut String, mut write: impl FnMut(&mut String, usize, &Setting)) {
    let mut table = "";
    for (index, setting) in SETTINGS.iter().enumerate() {
        let its = setting.table_and_key().0;
        if its != table {
            if !table.is_empty() && !text.ends_with("\n\n") {
                text.push('\n');
            }
            let _ = writeln!(text, "[{its}]");
            table = its;
        }
        write(text, index, setting);
    }
}

/// Adds comment lines that are not too wide.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > COLUMNS {
            text.push_str(&line);
            line = String::from("\n#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
