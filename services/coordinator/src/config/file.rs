//! The file: TOML, read once, every mistake in it told with its line.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::SETTINGS;
use super::problem::{
    CONFIG_SYNTAX, CONFIG_UNKNOWN_KEY, CONFIG_UNREADABLE, ConfigProblem, nearest,
};
use super::setting::{Form, Setting};

/// Largest file that is read: far more than all settings and words about them.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most letters of a wrong value that are repeated.
const GOT_LETTERS_MAX: usize = 60;

/// A value that the file gives a setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Index of the setting.
    pub(super) setting: usize,
    /// The value without quotes.
    pub(super) text: String,
    /// Its line, from 1.
    pub(super) line: usize,
}

/// The text of a file; `None` if there is no such file.
pub(super) fn load(path: &Path) -> Result<Option<String>, ConfigProblem> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    };
    let mut bytes = Vec::new();
    let mut bounded = file.take(FILE_BYTES_MAX + 1);
    bounded.read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(path, format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        unreadable(path, format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()))
    })
}

/// A file that cannot be read.
pub(super) fn unreadable(path: &Path, why: impl ToString) -> ConfigProblem {
    let why = format!("cannot be read: {}", why.to_string());
    ConfigProblem { code: CONFIG_UNREADABLE, place: path.display().to_string(), why }
}

/// Reads a file's text. What is not TOML is told alone: what follows it is a guess.
pub(super) fn read(path: &Path, text: &str, problems: &mut Vec<ConfigProblem>) -> Vec<Given> {
    let mut reader = Reader { path, text, problems, given: Vec::new() };
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        reader.root(root.get_ref());
    }
    for error in errors {
        let at = error.span().unwrap_or_default().start;
        let place = format!("{}:{}:{}", path.display(), reader.line(at), reader.column(at));
        let why = error.message().trim().to_owned();
        reader.problems.push(ConfigProblem { code: CONFIG_SYNTAX, place, why });
    }
    reader.given.sort_by_key(|given| given.line);
    reader.given
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    problems: &'a mut Vec<ConfigProblem>,
    given: Vec<Given>,
}

impl Reader<'_> {
    fn root(&mut self, root: &DeTable<'_>) {
        for (name, value) in in_order(root) {
            let table = name.get_ref().as_ref();
            let known = SETTINGS.iter().any(|setting| setting.table_and_key().0 == table);
            match value.get_ref() {
                DeValue::Table(entries) if known => self.table(table, entries),
                _ if known => {
                    let place = self.place(name.span().start, table);
                    let got = self.got(value);
                    self.problems.push(ConfigProblem::invalid(place, "a table", got));
                }
                DeValue::Table(_) => {
                    let tables = SETTINGS.iter().map(|setting| setting.table_and_key().0);
                    let meant = nearest(table, tables).map(|table| format!("[{table}]"));
                    self.unknown(name.span().start, table, "table", meant);
                }
                _ => {
                    // A key without its table, or a setting called by its variable's name.
                    let alike = |setting: &&Setting| {
                        setting.field == table || setting.table_and_key().1 == table
                    };
                    let meant = SETTINGS.iter().find(alike).map(|setting| setting.key.to_owned());
                    self.unknown(name.span().start, table, "setting", meant);
                }
            }
        }
    }

    fn table(&mut self, table: &str, entries: &DeTable<'_>) {
        for (name, value) in in_order(entries) {
            let key = format!("{table}.{}", name.get_ref());
            let Some(setting) = SETTINGS.iter().position(|setting| setting.key == key) else {
                let meant = nearest(&key, SETTINGS.iter().map(|setting| setting.key));
                self.unknown(name.span().start, &key, "setting", meant.map(str::to_owned));
                continue;
            };
            let line = self.line(value.span().start);
            match plain(SETTINGS[setting].form, value.get_ref()) {
                Some(text) => self.given.push(Given { setting, text, line }),
                None => {
                    let place = self.place(value.span().start, &key);
                    let got = self.got(value);
                    let expected = SETTINGS[setting].expected();
                    self.problems.push(ConfigProblem::invalid(place, expected, got));
                }
            }
        }
    }

    fn unknown(&mut self, at: usize, name: &str, what: &str, meant: Option<String>) {
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        let (code, place) = (CONFIG_UNKNOWN_KEY, self.place(at, name));
        self.problems.push(ConfigProblem { code, place, why: format!("is no {what}{meant}") });
    }

    fn place(&self, at: usize, key: &str) -> String {
        place(self.path, self.line(at), key)
    }

    fn line(&self, at: usize) -> usize {
        1 + self.before(at).matches('\n').count()
    }

    fn column(&self, at: usize) -> usize {
        1 + self.before(at).rsplit('\n').next().unwrap_or_default().chars().count()
    }

    fn before(&self, at: usize) -> &str {
        self.text.get(..at).unwrap_or(self.text)
    }

    /// What the file says there, cut to what a line can hold.
    fn got(&self, value: &Spanned<DeValue<'_>>) -> String {
        let Range { start, end } = value.span();
        match value.get_ref() {
            DeValue::Table(_) => "a table".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            _ => {
                let line = self.text.get(start..end).and_then(|text| text.lines().next());
                line.unwrap_or_default().chars().take(GOT_LETTERS_MAX).collect()
            }
        }
    }
}

/// Where a file says something about `key`.
pub(super) fn place(path: &Path, line: usize, key: &str) -> String {
    format!("{}:{line}: {key}", path.display())
}

/// A table's entries as they stand in the file.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<toml::de::DeString<'i>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// A value without quotes, if it is written as `form` asks.
fn plain(form: Form, value: &DeValue<'_>) -> Option<String> {
    match (form, value) {
        (Form::Text, DeValue::String(text)) => Some(text.clone().into_owned()),
        (Form::Number, DeValue::Integer(number)) => {
            let number = i128::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(number.to_string())
        }
        (Form::Truth, DeValue::Boolean(truth)) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, given: &[(&str, &str, usize)], told: &[&str]) {
        let mut problems = Vec::new();
        let read = read(Path::new("muster.toml"), text, &mut problems);
        let read: Vec<_> = read
            .iter()
            .map(|Given { setting, text, line }| (SETTINGS[*setting].key, text.as_str(), *line))
            .collect();
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(read, given, "{text}");
        assert_eq!(problems, told, "{text}");
    }

    #[test]
    fn values_come_with_their_lines() {
        check("", &[], &[]);
        check(
            "# mine\n[rounds]\ntick_ms = 0x64\n\n[http]\nlisten = '127.0.0.1:1'\n",
            &[("rounds.tick_ms", "100", 3), ("http.listen", "127.0.0.1:1", 6)],
            &[],
        );
        check(
            "http.listen = \"a\"\r\nlog = { level = 'b' }",
            &[("http.listen", "a", 1), ("log.level", "b", 2)],
            &[],
        );
        check(
            "[limits]\nqueue_updates_max = 4_096",
            &[("limits.queue_updates_max", "4096", 2)],
            &[],
        );
    }

    #[test]
    fn values_of_another_form_are_told_as_they_stand() {
        check(
            "[rounds]\ntick_ms = \"100\"\n[http]\nlisten = 7400\n[log]\nlevel = [\n'info']\nformat.x = 1\n",
            &[],
            &[
                "muster.toml:2: rounds.tick_ms: should be a whole number from 10 to 1000, got `\"100\"` (config_invalid)",
                "muster.toml:4: http.listen: should be an IP address and a port, such as 127.0.0.1:7400, got `7400` (config_invalid)",
                "muster.toml:6: log.level: should be a text, got `a list` (config_invalid)",
                "muster.toml:8: log.format: should be text or json, got `a table` (config_invalid)",
            ],
        );
        check(
            "http = 1\n[[grpc]]\nlisten = 'x'",
            &[],
            &[
                "muster.toml:1: http: should be a table, got `1` (config_invalid)",
                "muster.toml:2: grpc: should be a table, got `a list` (config_invalid)",
            ],
        );
    }

    #[test]
    fn unknown_names_are_told_with_what_was_meant() {
        check(
            "tick_ms = 5\nhttp_listen = 'x'\n[htp]\nlisten = 'x'\n[http]\nlissten = 'x'\n[unheard]\nof = 1\n[log]\nof = 1",
            &[],
            &[
                "muster.toml:1: tick_ms: is no setting; did you mean rounds.tick_ms? (config_unknown_key)",
                "muster.toml:2: http_listen: is no setting; did you mean http.listen? (config_unknown_key)",
                "muster.toml:3: htp: is no table; did you mean [http]? (config_unknown_key)",
                "muster.toml:6: http.lissten: is no setting; did you mean http.listen? (config_unknown_key)",
                "muster.toml:7: unheard: is no table (config_unknown_key)",
                "muster.toml:10: log.of: is no setting (config_unknown_key)",
            ],
        );
    }

    #[test]
    fn what_is_not_toml_is_told_with_line_and_column() {
        check(
            "[http]\nlisten = 'a'\nlisten = 'b'\n[http]\n",
            &[],
            &[
                "muster.toml:3:1: duplicate key (config_syntax)",
                "muster.toml:4:2: duplicate key (config_syntax)",
            ],
        );
        check(
            "[http]\nlisten 'a'\n",
            &[],
            &["muster.toml:2:8: key with no value, expected `=` (config_syntax)"],
        );
    }

    #[test]
    fn no_text_is_too_odd_to_be_told() {
        let whole = super::super::default_file().replace("\n#", "\n");
        let deep = "[".repeat(100_000);
        let cut = (0..whole.len()).filter_map(|end| whole.get(..end));
        for text in cut.chain([&*deep, "\u{feff}a=1", "a=1\0", "=", "\"", "\'\'\' \u{e9}"]) {
            let mut problems = Vec::new();
            read(Path::new("f"), text, &mut problems);
            let placed = |problem: &ConfigProblem| problem.place.starts_with("f:");
            assert!(problems.iter().all(placed), "{problems:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let told = |path: &Path| load(path).unwrap_err().to_string();
        assert!(told(dir.path()).contains("cannot be read"));
        assert!(told(dir.path()).contains(CONFIG_UNREADABLE));
        let file = dir.path().join("muster.toml");
        assert_eq!(load(&file), Ok(None));
        std::fs::write(&file, b"a\xff").unwrap();
        assert!(told(&file).contains("byte 1 is not UTF-8"));
        std::fs::write(&file, vec![b'#'; (1 << 20) + 1]).unwrap();
        assert!(told(&file).contains("larger than 1048576 bytes"));
    }
}
