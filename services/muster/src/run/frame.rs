//! A run as it looks on a terminal: what it is, bars of rounds, updates and time, and the curve of its accuracy.

use serde_json::Value;

use super::chart;
use super::seen::{Curve, Seen};
use crate::table::{bytes, text};
use crate::when::span;

/// Characters of a bar, at most and at least.
const BAR: (usize, usize) = (40, 10);
/// Lines of the curve, at most and at least.
const CURVE: (usize, usize) = (14, 4);
/// Characters of the curve, at most.
const CURVE_WIDTH_MAX: usize = 100;
/// Characters before the curve.
const AXIS: usize = 10;
/// What a step of the axis is, in ten-thousandths.
const STEP: u64 = 500;

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Plain,
    Bold,
    Dim,
    Green,
    Red,
    Cyan,
}

impl Look {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Green => "\x1b[32m",
            Self::Red => "\x1b[31m",
            Self::Cyan => "\x1b[36m",
        }
    }
}

type Line = Vec<(Look, String)>;

/// The run in `width` times `height` characters.
pub(super) fn frame(seen: &Seen, width: usize, height: usize, colour: bool) -> Vec<String> {
    let mut lines = head(&seen.run);
    lines.push(Vec::new());
    lines.extend(bars(seen, width));
    lines.push(Vec::new());
    let room = height.saturating_sub(lines.len() + 4);
    if room >= CURVE.1 {
        lines.extend(curve(&seen.curve(), width, room.min(CURVE.0)));
    }
    let sent = |key: &str| bytes(&seen.total(key).into());
    let traffic = format!("received {}, sent {}", sent("bytes_up"), sent("bytes_down"));
    lines.push(vec![(Look::Dim, traffic)]);
    if seen.in_vain > 0 {
        let why = format!("the coordinator does not answer; asked {} times", seen.in_vain);
        lines.push(vec![(Look::Red, why)]);
    }
    lines.truncate(height);
    lines.into_iter().map(|line| drawn(line, width, colour)).collect()
}

fn head(run: &Value) -> Vec<Line> {
    let state = text(&run["state"]);
    let look = match state.as_str() {
        "running" => Look::Cyan,
        "completed" => Look::Green,
        "failed" | "cancelled" => Look::Red,
        _ => Look::Bold,
    };
    let reason = run["reason"].as_str().map_or_else(String::new, |why| format!(": {why}"));
    let plan = &run["plan"];
    let cohort = &plan["cohort"];
    let (goal, quorum) = (text(&cohort["goal"]), text(&cohort["quorum"]));
    let strategy = text(&plan["strategy"]["name"]);
    let about = format!("{strategy}, goal {goal}, quorum {quorum}, {}", super::selection(cohort));
    let what = format!("run {}  {}  ", text(&run["id"]), text(&run["model"]));
    vec![vec![(Look::Bold, what), (look, state), (Look::Plain, reason)], vec![(Look::Dim, about)]]
}

fn bars(seen: &Seen, width: usize) -> Vec<Line> {
    let run = &seen.run;
    let long = (width / 3).clamp(BAR.1, BAR.0);
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let published = number(&run["rounds_published"]);
    let abandoned = match seen.abandoned() {
        0 => String::new(),
        n => format!("  {n} abandoned"),
    };
    let mut lines = vec![match run["plan"]["rounds"].as_u64() {
        Some(rounds) => {
            let told = format!("{published}/{rounds}{abandoned}");
            bar("rounds", published, rounds, long, Look::Green, &told)
        }
        None => {
            let name = format!("{:<10}", "rounds");
            vec![(Look::Dim, name), (Look::Plain, format!("{published}{abandoned}"))]
        }
    }];
    let round = &run["round"];
    if round.is_object() {
        let (updates, goal) = (number(&round["updates"]), number(&round["goal"]));
        let attempt = match number(&round["attempt"]) {
            0 | 1 => String::new(),
            attempt => format!(", attempt {attempt}"),
        };
        let (of, state) = (text(&round["cohort"]), text(&round["state"]));
        let told = format!(
            "{updates}/{goal}  round {}{attempt}, {state}, {of} nodes drawn",
            text(&round["number"])
        );
        lines.push(bar("updates", updates, goal, long, Look::Cyan, &told));
        let (served, deadline) = (number(&round["served_ms"]), number(&round["deadline_ms"]));
        let told = format!("{} left", span(deadline.saturating_sub(served)));
        lines.push(bar("deadline", served, deadline, long, Look::Dim, &told));
    }
    lines
}

fn bar(name: &str, part: u64, whole: u64, long: usize, look: Look, told: &str) -> Line {
    let long = u64::try_from(long).unwrap_or(0);
    let full = part.min(whole) * long / whole.max(1);
    let times = |what: &str, n: u64| what.repeat(usize::try_from(n).unwrap_or(0));
    vec![
        (Look::Dim, format!("{name:<10}")),
        (look, times("█", full)),
        (Look::Dim, times("░", long - full)),
        (Look::Plain, format!("  {told}")),
    ]
}

/// The curve with its axis. Its range is a few steps around what there is.
fn curve(curve: &Curve, width: usize, height: usize) -> Vec<Line> {
    let Some((last, accuracy)) = curve.points.last().copied() else {
        return vec![vec![(Look::Dim, "no accuracy was told of any version yet".to_owned())]];
    };
    let first = curve.points.first().map_or(last, |point| point.0);
    let heights = || curve.points.iter().map(|point| point.1);
    let low = heights().min().unwrap_or(0) / STEP * STEP;
    let high = (heights().max().unwrap_or(0) / STEP * STEP + STEP).min(10_000).max(low + STEP);
    let of =
        if curve.held_out { "samples that nodes hold out" } else { "the samples learned from" };
    let told = format!("  at version {last}, on {of} ({} nodes)", curve.nodes);
    let across = width.saturating_sub(AXIS).clamp(8, CURVE_WIDTH_MAX);
    let size = (u64::try_from(across).unwrap_or(8), u64::try_from(height).unwrap_or(4));
    let drawn = chart::draw(&curve.points, low, high, size.0, size.1);
    let mut lines: Vec<Line> = vec![vec![
        (Look::Plain, "accuracy  ".to_owned()),
        (Look::Bold, percent(accuracy)),
        (Look::Dim, told),
    ]];
    for (index, row) in drawn.into_iter().enumerate() {
        let mark = match index {
            0 => format!("{:>7} ┤", percent(high)),
            index if index + 1 == height => format!("{:>7} ┤", percent(low)),
            _ => format!("{:>7} │", ""),
        };
        lines.push(vec![(Look::Dim, mark), (Look::Green, row)]);
    }
    let end = format!("version {last}");
    let between = across.saturating_sub(first.to_string().len());
    lines.push(vec![(Look::Dim, format!("{:9}{first}{end:>between$}", ""))]);
    lines
}

/// Ten-thousandths as percent, to a tenth.
pub(super) fn percent(accuracy: u64) -> String {
    let tenths = (accuracy + 5) / 10;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A line, cut where the terminal ends.
fn drawn(line: Line, width: usize, colour: bool) -> String {
    let mut room = width;
    let mut text = String::new();
    for (look, piece) in line {
        let cut: String = piece.chars().filter(|c| !c.is_control()).take(room).collect();
        room -= cut.chars().count();
        if colour && look != Look::Plain && !cut.is_empty() {
            text += &format!("{}{cut}\x1b[0m", look.code());
        } else {
            text += &cut;
        }
    }
    if colour { text } else { text.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(state: &str) -> Seen {
        let cohort = json!({"goal": 20, "quorum": 10, "select": "site=ams", "nodes": []});
        let run = json!({
            "id": 3, "model": "navigation", "state": state, "reason": null, "base_version": 1,
            "latest_version": 4, "rounds_published": 3,
            "plan": {"rounds": 10, "strategy": {"name": "fedavg"}, "cohort": cohort},
            "round": {
                "number": 4, "attempt": 2, "state": "open", "updates": 12, "cohort": 26, "goal": 20,
                "served_ms": 100_000, "deadline_ms": 600_000,
            },
        });
        let round =
            |state: &str| json!({"state": state, "bytes_up": 140_000, "bytes_down": 200_000});
        let told = |n: u64| json!({"nodes": 20, "samples": 1_000, "correct": 500 + n * 100});
        let version = |n: u64| json!({"number": n, "evaluation": told(n)});
        let rounds = ["published", "published", "published", "abandoned", "open"];
        Seen::of(run, rounds.map(round).to_vec(), (1..=4).map(version).collect())
    }

    #[test]
    fn a_run_looks_like_this() {
        let expected = "\
run 3  navigation  running
fedavg, goal 20, quorum 10, of site=ams

rounds    ██████░░░░░░░░░░░░░░  3/10  1 abandoned
updates   ████████████░░░░░░░░  12/20  round 4, attempt 2, o
deadline  ███░░░░░░░░░░░░░░░░░  8 m 20 s left

accuracy  90.0 %  at version 4, on samples that nodes hold o
 95.0 % ┤                                                ⢀⣀
        │                                       ⣀⣀⡠⠤⠤⠒⠒⠉⠉⠁
        │                             ⣀⣀⣀⠤⠤⠔⠒⠒⠉⠉
        │                  ⣀⣀⣀⠤⠤⠔⠒⠒⠊⠉⠉
        │        ⢀⣀⣀⠤⠤⠒⠒⠊⠉⠉
 60.0 % ┤⣀⡠⠤⠤⠒⠒⠉⠉⠁
         1                                        version 4
received 700.0 kB, sent 1.0 MB";
        let drawn = frame(&seen("running"), 60, 17, false);
        assert_eq!(drawn.join("\n"), expected);
        let wide = frame(&seen("running"), 200, 50, true).join("\n");
        assert!(wide.contains("\x1b[36mrunning\x1b[0m"), "{wide}");
        assert!(frame(&seen("failed"), 80, 24, true)[0].contains("\x1b[31mfailed\x1b[0m"));
    }

    #[test]
    fn a_frame_fits_whatever_the_size() {
        let mut seen = seen("running");
        seen.in_vain = 3;
        for (width, height) in [(1, 1), (8, 3), (20, 9), (33, 12), (80, 24), (500, 200)] {
            let drawn = frame(&seen, width, height, false);
            assert!(drawn.len() <= height, "{width} {height}");
            assert!(drawn.iter().all(|line| line.chars().count() <= width), "{width} {height}");
        }
        let drawn = frame(&seen, 80, 24, false).join("\n");
        assert!(drawn.ends_with("the coordinator does not answer; asked 3 times"), "{drawn}");
    }

    #[test]
    fn nothing_seen_is_said() {
        let mut seen = seen("running");
        seen.run["round"] = Value::Null;
        seen.run["plan"]["rounds"] = Value::Null;
        let bare = Seen::of(seen.run, vec![], vec![]);
        let drawn = frame(&bare, 80, 24, false).join("\n");
        assert!(drawn.contains("rounds    3\n"), "{drawn}");
        assert!(drawn.contains("no accuracy was told of any version yet"), "{drawn}");
    }
}
