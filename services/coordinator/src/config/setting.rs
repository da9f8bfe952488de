//! What a setting is: one entry of one declaration, from which flags, variables, the file and all texts about it come.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use super::{Auth, Config, LogFormat};

/// One setting of the coordinator.
#[derive(Debug)]
pub struct Setting {
    /// Its field in [`Config`], of which flag and variable have their names.
    pub(super) field: &'static str,
    /// Its table and key in the file, such as `http.listen`.
    pub key: &'static str,
    /// What it is, in one sentence.
    pub(super) doc: &'static str,
    /// What its value is called.
    pub(super) takes: &'static str,
    /// When a change counts.
    pub effect: Effect,
    /// From where to where a number may go.
    pub(super) range: Option<RangeInclusive<u64>>,
    /// How it is written in the file.
    pub(super) form: Form,
    /// What it should be, apart from its range.
    pub(super) kind: fn() -> String,
    /// Sets it; says whether the text could be read.
    pub(super) set: fn(&mut Config, &OsStr) -> bool,
    /// Its value, as the file has it.
    pub(super) get: fn(&Config) -> toml::Value,
    /// Sets it to what it is in another configuration.
    pub(crate) copy: fn(&mut Config, &Config),
}

/// When a change of a setting counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// At a reload.
    Reload,
    /// At the next start.
    Restart,
}

/// How a value is written in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In quotes.
    Text,
    /// As a whole number.
    Number,
    /// As `true` or `false`.
    Truth,
}

/// A type that settings have.
pub(super) trait Kind: Sized {
    /// How it is written in the file.
    const FORM: Form;
    /// What a text should be to be one.
    fn expected() -> String;
    /// Reads it.
    fn read(text: &OsStr) -> Option<Self>;
    /// Writes it.
    fn write(&self) -> toml::Value;
}

/// Makes [`Config`], its default and the list of all settings. An entry is
/// `/// doc`, `field: type = default => "table.key", VALUE_NAME, Effect, range;`, the range for numbers only.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+
       $field:ident: $kind:ty = $default:expr => $key:literal, $takes:ident, $effect:ident $(, $range:expr)?;)+) => {
        /// A coordinator's configuration.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $kind,)+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        /// All settings, table by table.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            field: stringify!($field),
            key: $key,
            doc: concat!($($doc),+),
            takes: stringify!($takes),
            effect: Effect::$effect,
            range: settings!(@range $($range)?),
            form: <$kind as Kind>::FORM,
            kind: <$kind as Kind>::expected,
            set: |config, text| match <$kind as Kind>::read(text) {
                Some(value) => {
                    config.$field = value;
                    true
                }
                None => false,
            },
            get: |config| config.$field.write(),
            copy: |to, from| to.$field.clone_from(&from.$field),
        }),+];
    };
    (@range) => { None };
    (@range $range:expr) => { Some($range) };
}
pub(super) use settings;

impl Setting {
    /// Its flag, such as `--http-listen`.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.field.replace('_', "-"))
    }

    /// Its variable, such as `MUSTER_HTTP_LISTEN`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("MUSTER_{}", self.field.to_uppercase())
    }

    /// What it is, in one sentence without a full stop.
    #[must_use]
    pub fn about(&self) -> &'static str {
        self.doc.trim()
    }

    /// Its table in the file and its key there.
    pub(super) fn table_and_key(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').expect("a test sees that each key has a table")
    }

    /// What its value should be.
    pub(super) fn expected(&self) -> String {
        match &self.range {
            Some(range) => format!("{} from {} to {}", (self.kind)(), range.start(), range.end()),
            None => (self.kind)(),
        }
    }

    /// Its value in `config` as the file has it.
    #[must_use]
    pub fn value(&self, config: &Config) -> toml::Value {
        (self.get)(config)
    }
}

impl Kind for String {
    const FORM: Form = Form::Text;
    fn expected() -> String {
        "a text".to_owned()
    }
    fn read(text: &OsStr) -> Option<Self> {
        text.to_str().map(str::to_owned)
    }
    fn write(&self) -> toml::Value {
        self.as_str().into()
    }
}

impl Kind for PathBuf {
    const FORM: Form = Form::Text;
    fn expected() -> String {
        "a path".to_owned()
    }
    fn read(text: &OsStr) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }
    fn write(&self) -> toml::Value {
        self.to_string_lossy().into_owned().into()
    }
}

impl Kind for SocketAddr {
    const FORM: Form = Form::Text;
    fn expected() -> String {
        "an IP address and a port, such as 127.0.0.1:7400".to_owned()
    }
    fn read(text: &OsStr) -> Option<Self> {
        parse(text)
    }
    fn write(&self) -> toml::Value {
        self.to_string().into()
    }
}

impl Kind for u64 {
    const FORM: Form = Form::Number;
    fn expected() -> String {
        "a whole number".to_owned()
    }
    fn read(text: &OsStr) -> Option<Self> {
        parse(text)
    }
    fn write(&self) -> toml::Value {
        i64::try_from(*self).unwrap_or(i64::MAX).into()
    }
}

impl Kind for u32 {
    const FORM: Form = Form::Number;
    fn expected() -> String {
        u64::expected()
    }
    fn read(text: &OsStr) -> Option<Self> {
        parse(text)
    }
    fn write(&self) -> toml::Value {
        i64::from(*self).into()
    }
}

impl Kind for bool {
    const FORM: Form = Form::Truth;
    fn expected() -> String {
        "true or false".to_owned()
    }
    fn read(text: &OsStr) -> Option<Self> {
        // The words that clap has, because nodes share variables with us.
        match text.to_str()?.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        }
    }
    fn write(&self) -> toml::Value {
        (*self).into()
    }
}

/// Not set is an empty text, so that a variable can say so too.
impl Kind for Option<PathBuf> {
    const FORM: Form = Form::Text;
    fn expected() -> String {
        PathBuf::expected()
    }
    fn read(text: &OsStr) -> Option<Self> {
        Some(PathBuf::read(text))
    }
    fn write(&self) -> toml::Value {
        self.clone().unwrap_or_default().write()
    }
}

/// Types that are one of a few words.
macro_rules! words {
    ($($kind:ty),+) => {$(
        impl Kind for $kind {
            const FORM: Form = Form::Text;
            fn expected() -> String {
                let words = <$kind>::value_variants().iter().filter_map(word);
                words.collect::<Vec<_>>().join(" or ")
            }
            fn read(text: &OsStr) -> Option<Self> {
                <$kind>::from_str(text.to_str()?.trim(), false).ok()
            }
            fn write(&self) -> toml::Value {
                word(self).unwrap_or_default().into()
            }
        }
    )+};
}
words!(LogFormat);
words!(Auth);

fn word(value: &impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|word| word.get_name().to_owned())
}

fn parse<T: FromStr>(text: &OsStr) -> Option<T> {
    text.to_str()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Kind>(text: &str) -> Option<T> {
        T::read(OsStr::new(text))
    }

    #[test]
    fn each_kind_reads_what_it_writes_and_refuses_the_rest() {
        assert_eq!(read(" 7 "), Some(7_u64));
        assert_eq!(read::<u64>("-7"), None);
        assert_eq!(read::<u32>("4294967296"), None);
        assert_eq!((read("on"), read("0"), read::<bool>("maybe")), (Some(true), Some(false), None));
        assert_eq!(read::<PathBuf>(""), None, "an empty path is a mistake");
        assert_eq!(read("x"), Some(Some(PathBuf::from("x"))));
        assert_eq!((read(""), None::<PathBuf>.write()), (Some(None::<PathBuf>), "".into()));
        assert_eq!(LogFormat::expected(), "text or json");
        assert_eq!(LogFormat::Json.write(), "json".into());
        assert_eq!(u64::MAX.write(), i64::MAX.into(), "TOML has no more");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_text() {
        use std::os::unix::ffi::OsStrExt as _;
        let odd = OsStr::from_bytes(b"a\xff");
        assert_eq!(PathBuf::read(odd), Some(PathBuf::from(odd)));
        assert_eq!(String::read(odd), None);
    }
}
