//! Reports of a small run, of none, of strange ones and of a large one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::data::*;
use super::{fixture, plot, table};

#[test]
fn the_json_has_the_promised_fields_and_comes_back() {
    let data = fixture::small();
    let text = data.json();
    let value: Value = serde_json::from_str(&text).unwrap();
    for field in [
        "seed",
        "task",
        "plan",
        "reproducible",
        "wall_s",
        "final_accuracy",
        "versions",
        "nodes",
        "restarts",
        "test_samples",
    ] {
        assert!(value.get(field).is_some(), "{field}");
    }
    let fields = [
        "number",
        "digest",
        "parent",
        "accuracy",
        "updates",
        "bytes_up",
        "bytes_down",
        "energy_nj",
    ];
    for field in fields {
        assert!(value["versions"][1].get(field).is_some(), "{field}");
    }
    assert_eq!(value["baselines"]["centralised"], 0.981);
    assert_eq!(Data::from_json(&text).unwrap(), data);
    // A version, round or node has a line; nothing that people read is deeper.
    assert!(text.lines().any(|line| line.starts_with("    {\"number\": 2, \"digest\"")), "{text}");
    assert!(text.lines().all(|line| line.len() < 4000));
}

#[test]
fn a_report_of_an_earlier_program_is_read() {
    let data =
        Data::from_json(r#"{"seed": 3, "versions": [{"number": 1, "accuracy": 0.5}]}"#).unwrap();
    assert_eq!((data.seed, data.versions[0].accuracy), (3, Some(0.5)));
    assert!(Data::from_json("3").is_err());
}

#[test]
fn a_report_is_all_its_files() {
    let dir = tempfile::tempdir().unwrap();
    fixture::small().write(dir.path()).unwrap();
    let files: BTreeSet<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".png"))
        .collect();
    let expected = [
        "accuracy.svg",
        "bytes.svg",
        "cost.csv",
        "curve.svg",
        "energy.svg",
        "nodes.csv",
        "participation.svg",
        "potentials.csv",
        "potentials.svg",
        "raster.svg",
        "report.html",
        "report.json",
        "rounds.csv",
        "rounds.svg",
        "spikes.csv",
        "versions.csv",
        "weights.csv",
        "weights.svg",
    ];
    assert_eq!(files, expected.into_iter().map(str::to_owned).collect());
}

/// The files that are compared with what was looked over. `BLESS=1` writes them anew.
#[test]
fn the_files_are_as_they_were_looked_over() {
    let data = fixture::small();
    let mut texts = vec![("versions.csv".to_owned(), table::versions(&data).csv())];
    texts.push(("rounds.csv".to_owned(), table::rounds(&data).csv()));
    texts.push(("nodes.csv".to_owned(), table::nodes(&data).csv()));
    texts.push(("cost.csv".to_owned(), table::costs(&data).csv()));
    texts.push(("report.json".to_owned(), data.json()));
    for name in ["curve", "raster", "rounds"] {
        let kind = plot::Kind::named(name).unwrap();
        let svg = kind.draw(&data, plot::Width::Narrow).standalone(plot::Ground::Light);
        texts.push((format!("{name}.svg"), svg));
    }
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/report");
    let bless = std::env::var_os("BLESS").is_some();
    for (name, text) in texts {
        let file = dir.join(&name);
        if bless {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(golden == text, "{name} differs; look it over after BLESS=1:\n{text}");
    }
}

/// Whether markup is well-formed enough for a browser to read it as meant: tags close in order, no bare `&` or `<`.
fn check(markup: &str) {
    let void = ["meta", "br", "link", "input"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') || tag.starts_with('?') {
            continue;
        }
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        assert!(name.chars().all(|char| char.is_ascii_alphanumeric()), "<{tag}>");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !void.contains(&name) {
            open.push(name);
            if name == "script" || name == "style" {
                rest = &rest[rest.find(&format!("</{name}>")).expect("it ends")..];
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn every_plot(data: &Data, see: impl Fn(&str)) {
    for kind in plot::ALL {
        for width in [plot::Width::Page, plot::Width::Half, plot::Width::Narrow] {
            let svg = kind.draw(data, width).standalone(plot::Ground::Either);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}: {svg}", kind.name);
            check(&svg);
            see(&svg);
        }
    }
}

#[test]
fn an_empty_report_draws_too() {
    let data = Data::default();
    every_plot(&data, |svg| assert!(svg.contains("p-note"), "{svg}"));
    let html = data.html();
    check(&html);
    assert!(html.contains("no version was evaluated"));
    for table in table::all(&data) {
        assert_eq!(table.csv().lines().count(), 1, "{}", table.name);
    }
}

#[test]
fn a_run_that_was_stopped_early_draws_what_there_is() {
    let mut data = fixture::small();
    data.partial = true;
    data.versions.truncate(1);
    data.rounds.truncate(1);
    data.rounds[0].closed_ms = None;
    data.rounds[0].state = "open".to_owned();
    data.baselines = Some(Baselines { centralised: None, local_only: Some(0.4) });
    data.node_accuracies.clear();
    data.trace.as_mut().unwrap().potentials = vec![Vec::new(), Vec::new()];
    every_plot(&data, |_| {});
    let html = data.html();
    check(&html);
    assert!(html.contains("partial: stopped"));
}

#[test]
fn text_from_elsewhere_stays_text() {
    let evil = "</script><script>alert(1)</script>\"'&";
    let mut data = fixture::small();
    data.task = evil.to_owned();
    data.command = evil.to_owned();
    data.made_by = evil.to_owned();
    data.mode = evil.to_owned();
    data.plan = serde_json::json!({ evil: evil });
    data.world = Some(World { name: evil.to_owned(), toml: evil.to_owned() });
    data.versions[1].digest = evil.to_owned();
    data.rounds[0].state = evil.to_owned();
    data.rounds[0].reason = Some(evil.to_owned());
    data.participation[0].node = evil.to_owned();
    data.participation[0].label = Some(evil.to_owned());
    data.node_accuracies[0].node = evil.to_owned();
    for histogram in &mut data.histograms {
        histogram.layer = evil.to_owned();
    }
    data.device.cpu = evil.to_owned();
    every_plot(&data, |svg| assert!(!svg.contains("<script")));
    let html = data.html();
    check(&html);
    assert_eq!(html.matches("<script>").count(), 1);
    assert!(!html.contains("alert(1)<"));
    let csv = table::rounds(&data).csv();
    assert!(csv.contains("\"</script><script>alert(1)</script>\"\"'&\""), "{csv}");
}

/// Nothing is loaded and no style stands in an attribute, which the page's own policy would refuse.
#[test]
fn the_page_needs_nothing_else() {
    let html = fixture::small().html();
    check(&html);
    for word in ["http://", "https://", " src=", "url(", "@import", " style=", " onclick", "<link"]
    {
        assert!(!html.replace("http://www.w3.org/2000/svg", "").contains(word), "{word}");
    }
    for kind in plot::ALL {
        for width in ["wide", "narrow"] {
            let id = format!("id=\"{}-{width}-t\"", kind.name);
            assert_eq!(html.matches(&id).count(), 1, "{id}");
        }
    }
    let ids: Vec<_> =
        html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id stands twice: {ids:?}");
}

#[test]
fn a_large_run_makes_a_small_page() {
    let mut data = fixture::small();
    data.participation = (0..100_000)
        .map(|index| Participation {
            node: format!("node-{index:06}"),
            counted: index % 7,
            ..Default::default()
        })
        .collect();
    data.node_accuracies = (0..100_000)
        .map(|index| NodeAccuracy {
            node: format!("node-{index:06}"),
            correct: index % 10,
            total: 9,
            label: None,
        })
        .collect();
    data.versions = (1..=1000)
        .map(|number| Version { number, accuracy: Some(0.9), updates: 1000, ..Default::default() })
        .collect();
    data.rounds = (1..=1000)
        .map(|number| Round {
            number,
            state: "published".to_owned(),
            opened_ms: number * 10,
            closed_ms: Some(number * 10 + 9),
            ..Default::default()
        })
        .collect();
    let trace = data.trace.as_mut().unwrap();
    (trace.ticks, trace.recurrent) = (4000, 250);
    trace.spikes = (0..4000).flat_map(|tick| (0..250).map(move |row| [tick, row])).collect();
    trace.potentials = vec![vec![7; 4000]; 16];
    let html = data.html();
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    assert_eq!(table::nodes(&data).rows.len(), 100_000);
    assert!(html.contains("rows are left out here; all are in nodes.csv"));
}
