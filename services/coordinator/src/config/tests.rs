//! The configuration from end to end: what is said where, what comes of it, and what is told about it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::problem::CONFIG_INVALID;
use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn load(flags: &[&str]) -> Result<Loaded, ConfigError> {
    // No file but one that a test names.
    let words = ["muster", "--config=/dev/null"];
    let words: &[&str] =
        if flags.iter().any(|flag| flag.starts_with("--config")) { &words[..1] } else { &words };
    Command::try_parse_from(words.iter().chain(flags)).unwrap().args.load()
}

fn parse(flags: &[&str]) -> Result<Config, ConfigError> {
    load(flags).map(|loaded| loaded.config)
}

/// A file with this text, and the flag that names it.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("muster.toml");
    std::fs::write(&file, text).unwrap();
    let flag = format!("--config={}", file.display());
    (dir, flag)
}

fn codes(error: &ConfigError) -> BTreeSet<&str> {
    error.problems.iter().map(|problem| problem.code).collect()
}

#[test]
fn without_a_word_it_is_the_default() {
    assert_eq!(parse(&[]).unwrap(), Config::default());
}

#[test]
fn every_setting_has_names_of_its_own_in_a_table_of_its_own() {
    let keys: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    assert_eq!(keys.len(), SETTINGS.len());
    let mut tables: Vec<_> = SETTINGS.iter().map(|setting| setting.table_and_key().0).collect();
    tables.dedup();
    let distinct: BTreeSet<_> = tables.iter().collect();
    assert_eq!(distinct.len(), tables.len(), "the settings of a table stand together: {tables:?}");
    for setting in SETTINGS {
        let (_, key) = setting.table_and_key();
        assert!(!key.contains('.') && !setting.about().is_empty(), "{setting:?}");
        assert!(!setting.about().ends_with('.'), "{}: one sentence, no full stop", setting.key);
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let flags = [
        ("--http-listen", "0.0.0.0:7400"),
        ("--grpc-listen", "here"),
        ("--log-format", "xml"),
        ("--log", "=;"),
        ("--tick-ms", "0"),
        ("--shutdown-grace-ms", "-1"),
        ("--database-size-max-mib", "1.5"),
        ("--ask-per-s-max", "0"),
        ("--idle-retry-ms-max", "99999999"),
        ("--group-updates-max", "0"),
        ("--group-kib-max", "x"),
        ("--group-wait-ms", "1001"),
        ("--queue-updates-max", "0"),
        ("--payloads-mib-max", "4"),
        ("--retention-events-days", "36501"),
        ("--retention-sums-days", "x"),
        ("--retention-receipts-days", "-1"),
        ("--retention-versions-newest", "some"),
        ("--retention-versions-every", "0.5"),
    ];
    let joined: Vec<String> = flags.iter().map(|(flag, value)| format!("{flag}={value}")).collect();
    let joined: Vec<&str> = joined.iter().map(String::as_str).collect();
    let error = parse(&joined).unwrap_err();
    let mut told: Vec<_> = error.problems.iter().map(|problem| problem.place.as_str()).collect();
    told.sort_unstable();
    let mut all: Vec<_> = flags.iter().map(|(flag, _)| *flag).collect();
    all.sort_unstable();
    assert_eq!(told, all);
    assert_eq!(error.code(), CONFIG_INVALID);
    assert!(error.to_string().starts_with("19 mistakes\n  --"), "{error}");
}

#[test]
fn only_loopback_may_be_bound() {
    for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:7400", "[::ffff:127.0.0.1]:80"] {
        assert!(parse(&["--http-listen", address]).is_ok(), "{address}");
    }
    for address in ["0.0.0.0:7400", "[::]:7400", "192.168.1.1:80"] {
        let error = parse(&["--grpc-listen", address]).unwrap_err();
        assert_eq!(error.code(), ADDRESS_NOT_LOOPBACK, "{error}");
        // TLS alone lets everybody ask.
        let files = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--http-listen"];
        let error = parse(&[&files[..], &[address]].concat()).unwrap_err();
        assert_eq!(error.code(), ADDRESS_NOT_LOOPBACK, "{error}");
        assert!(parse(&["--insecure", "--grpc-listen", address]).is_ok());
    }
    for half in ["--tls-cert", "--tls-key"] {
        assert_eq!(parse(&[half, "file.pem"]).unwrap_err().code(), TLS_INCOMPLETE);
    }
    assert!(parse(&["--grpc-listen", "127.0.0.1:7400"]).is_err(), "the same twice");
}

#[test]
fn a_certificate_comes_with_its_key() {
    let (dir, flag) = file("[tls]\nkey = 'k.pem'\n");
    let place = format!("{}:2: tls.key", dir.path().join("muster.toml").display());
    for (flags, place) in [(&[&*flag][..], &*place), (&["--tls-cert=k.pem"], "--tls-cert")] {
        let error = load(flags).unwrap_err();
        assert_eq!((error.code(), error.problems[0].place.as_str()), (TLS_INCOMPLETE, place));
    }
    let both = parse(&[&flag, "--tls-cert=c.pem"]).unwrap();
    assert_eq!((both.tls_cert, both.tls_key), (Some("c.pem".into()), Some("k.pem".into())));
}

#[test]
fn a_switch_needs_no_value() {
    assert!(parse(&["--insecure"]).unwrap().insecure);
    assert!(!parse(&["--insecure=false"]).unwrap().insecure);
    let (_dir, flag) = file("[tls]\ninsecure = true\n[http]\nlisten = '0.0.0.0:1'");
    assert!(parse(&[&flag]).unwrap().insecure);
    let (_dir, flag) = file("[tls]\ninsecure = 'yes'\n");
    assert_eq!(load(&[&flag]).unwrap_err().code(), CONFIG_INVALID);
}

#[test]
fn a_flag_counts_before_the_file_and_the_file_before_the_default() {
    let (_dir, flag) = file("[rounds]\ntick_ms = 50\n[limits]\ngroup_wait_ms = 7\n");
    let loaded = load(&[&flag, "--group-wait-ms=9"]).unwrap();
    let expected = Config { tick_ms: 50, group_wait_ms: 9, ..Config::default() };
    assert_eq!(loaded.config, expected);
    let origin = |key| loaded.origins[SETTINGS.iter().position(|s| s.key == key).unwrap()];
    assert_eq!(origin("rounds.tick_ms"), Origin::File { line: 2 });
    assert_eq!(origin("limits.group_wait_ms"), Origin::Flag);
    assert_eq!(origin("limits.queue_updates_max"), Origin::Default);
}

#[test]
fn mistakes_are_told_where_they_were_made() {
    let text = "[grpc]\nlisten = \"0.0.0.0:1\"\n[rounds]\ntick_ms = 5\n[log]\nlevle = \"info\"\n";
    let (dir, flag) = file(text);
    let error = load(&[&flag, "--group-wait-ms=x"]).unwrap_err();
    let file = dir.path().join("muster.toml");
    let told: Vec<_> = error.problems.iter().map(ToString::to_string).collect();
    let file = file.display();
    assert_eq!(
        told,
        [
            format!(
                "{file}:6: log.levle: is no setting; did you mean log.level? (config_unknown_key)"
            ),
            "--group-wait-ms: should be a whole number from 0 to 1000, got `x` (config_invalid)"
                .to_owned(),
            format!(
                "{file}:2: grpc.listen: should be a loopback address: any other needs TLS and \
                 tokens, or --insecure, got `0.0.0.0:1` (address_not_loopback)"
            ),
            format!("{file}:4: rounds.tick_ms: should be 10 to 1000, got `5` (config_invalid)"),
        ]
    );
    assert_eq!(error.code(), CONFIG_INVALID, "several kinds");
}

#[test]
fn a_file_that_was_named_must_be_there_and_be_toml() {
    let error = load(&["--config=/nowhere/muster.toml"]).unwrap_err();
    assert_eq!(error.code(), "config_unreadable", "{error}");
    let (_dir, flag) = file("[http]\nlisten = \"127.0.0.1:1\n[[[\n");
    let error = load(&[&flag, "--tick-ms=1"]).unwrap_err();
    assert_eq!(codes(&error), BTreeSet::from(["config_syntax", "config_invalid"]), "{error}");
}

#[test]
fn the_default_file_says_the_default_with_and_without_its_comments() {
    let text = default_file();
    let bare: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    for (text, given) in [(&text, false), (&bare, true)] {
        let (_dir, flag) = file(text);
        let loaded = load(&[&flag]).unwrap();
        assert_eq!(loaded.config, Config::default());
        for (setting, origin) in SETTINGS.iter().zip(&loaded.origins) {
            let from_file = matches!(origin, Origin::File { .. });
            assert_eq!(from_file, given, "{} is {origin:?}", setting.key);
        }
    }
    assert!(text.lines().all(|line| line.len() <= 120), "{text}");
}

#[test]
fn what_is_shown_gives_the_same_configuration_again() {
    let (dir, flag) = file("[data]\ndir = 'quoted \"dir\"'\n[rounds]\ntick_ms = 50\n");
    let loaded = load(&[&flag, "--log=warn"]).unwrap();
    let shown = loaded.to_toml();
    let file_name = dir.path().join("muster.toml");
    let named = format!("tick_ms = 50  # {}:4\n", file_name.display());
    for line in
        [&*named, "level = \"warn\"  # --log\n", "[http]\nlisten = \"127.0.0.1:7400\"  # default\n"]
    {
        assert!(shown.contains(line), "`{line}` in {shown}");
    }
    let (_dir, flag) = file(&shown);
    assert_eq!(parse(&[&flag]).unwrap(), loaded.config);

    let json = loaded.to_json();
    let of = |key: &str| {
        let settings = json["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).unwrap().clone()
    };
    assert_eq!(json["file"], *file_name.to_str().unwrap());
    assert_eq!(json["settings"].as_array().unwrap().len(), SETTINGS.len());
    assert_eq!(of("rounds.tick_ms")["value"], 50);
    assert_eq!(of("rounds.tick_ms")["origin"], "file");
    assert_eq!(of("log.level")["origin_name"], "--log");
    assert_eq!(of("data.dir")["value"], "quoted \"dir\"");
    assert_eq!(of("http.listen")["origin"], "default");
}

#[test]
fn a_file_alone_can_be_checked() {
    let (dir, _) = file("[rounds]\ntick_ms = 11\n");
    let loaded = Args::of_file(Some(dir.path().join("muster.toml"))).load().unwrap();
    assert_eq!(loaded.config, Config { tick_ms: 11, ..Config::default() });
    let error = Args::of_file(Some(PathBuf::from("nowhere.toml"))).load().unwrap_err();
    assert_eq!(error.problems[0].place, Path::new("nowhere.toml").display().to_string());
}
