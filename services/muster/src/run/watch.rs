//! `muster run watch`: a run as it goes. Live on a terminal, a line for each round elsewhere, JSON lines for programs.

use std::time::Duration;

use coordinator::shutdown::{Signals, signals};
use serde_json::Value;
use tokio::select;
use tokio::time::sleep;

use super::frame::{frame, percent};
use super::screen::Screen;
use super::seen::Seen;
use super::{ended, progress};
use crate::client::Client;
use crate::failure::{Failure, status};
use crate::print::Out;
use crate::remote::Remote;
use crate::table::text;
use crate::when::Span;

/// How often a run is looked at where nothing says it.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// What a terminal is taken for that does not say its size.
const SIZE: (u16, u16) = (80, 24);
/// Lines of the last picture, which stays.
const LAST_LINES: u16 = 20;

/// `muster run watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    /// The run's number
    #[arg(value_name = "RUN")]
    run: u64,
    /// How often to look [default: 500ms]
    #[arg(long, value_name = "SPAN")]
    interval: Option<Span>,
    #[command(flatten)]
    at: Remote,
}

/// How watching ended.
pub(super) enum Ending {
    /// With the run, and the exit status that says how.
    Over(u8),
    /// Somebody wanted no more.
    Interrupted,
}

/// Where what is seen goes.
enum Shown {
    Nowhere,
    Screen(Screen, Vec<String>),
    Lines(Out, String),
    Json(Out, Value),
}

/// Follows a run to its end.
pub(super) async fn run(args: WatchArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let interval = args.interval.map_or(INTERVAL, |span| Duration::from_millis(span.ms));
    follow(&client, out, args.run, interval).await
}

/// Follows a run to its end, and shows it.
pub(super) async fn follow(
    client: &Client,
    out: Out,
    id: u64,
    interval: Duration,
) -> Result<u8, Failure> {
    let mut seen = Seen::first(client, id).await?;
    // Before the screen is taken: who ends it early gets it back.
    let signals = taken()?;
    let shown = match (out.is_json(), out.is_screen()) {
        (true, _) => Shown::Json(out, Value::Null),
        (false, true) => Shown::Screen(Screen::take(out)?, Vec::new()),
        (false, false) => Shown::Lines(out, String::new()),
    };
    let ending = until_over(client, &mut seen, shown, interval, signals).await?;
    if out.is_screen() {
        let (columns, rows) = out.size().unwrap_or(SIZE);
        let lines = frame(&seen, columns.into(), rows.min(LAST_LINES).into(), out.has_colour());
        out.say(&lines.join("\n"))?;
    }
    Ok(match ending {
        Ending::Over(status) => status,
        Ending::Interrupted => status::INTERRUPTED,
    })
}

/// Waits for a run's end.
pub(super) async fn wait(client: &Client, id: u64, interval: Duration) -> Result<Ending, Failure> {
    let mut seen = Seen::first(client, id).await?;
    until_over(client, &mut seen, Shown::Nowhere, interval, taken()?).await
}

async fn until_over(
    client: &Client,
    seen: &mut Seen,
    mut shown: Shown,
    interval: Duration,
    mut signals: Signals,
) -> Result<Ending, Failure> {
    loop {
        shown.show(seen)?;
        if let Some(status) = ended(&seen.run) {
            return Ok(Ending::Over(status));
        }
        let next = async {
            sleep(interval).await;
            seen.look(client).await
        };
        select! {
            biased;
            () = signals.next() => return Ok(Ending::Interrupted),
            looked = next => looked?,
        }
    }
}

fn taken() -> Result<Signals, Failure> {
    signals().map_err(|error| Failure::new("signals_not_handled", error, status::OS_ERROR))
}

impl Shown {
    fn show(&mut self, seen: &Seen) -> Result<(), Failure> {
        match self {
            Self::Nowhere => {}
            Self::Screen(screen, drawn) => {
                let out = screen.out();
                let (columns, rows) = out.size().unwrap_or(SIZE);
                let lines = frame(seen, columns.into(), rows.into(), out.has_colour());
                if lines != *drawn {
                    screen.draw(&lines)?;
                    *drawn = lines;
                }
            }
            Self::Lines(out, told) => {
                let line = line(seen);
                if line != *told {
                    out.say(&line)?;
                    *told = line;
                }
            }
            Self::Json(out, told) => {
                let now = news(&seen.run);
                if now != *told {
                    out.say(&seen.run.to_string())?;
                    *told = now;
                }
            }
        }
        Ok(())
    }
}

/// A run without what changes all the time.
fn news(run: &Value) -> Value {
    let mut news = run.clone();
    if let Some(round) = news["round"].as_object_mut() {
        round.remove("served_ms");
    }
    news
}

/// A run in a line, which changes when a round ends or a version is evaluated.
fn line(seen: &Seen) -> String {
    let run = &seen.run;
    let state = text(&run["state"]);
    let reason = run["reason"].as_str().map_or_else(String::new, |why| format!(" ({why})"));
    let mut line = format!(
        "run {}: {state}{reason}, round {} published, version {}",
        text(&run["id"]),
        progress(run),
        text(&run["latest_version"])
    );
    if seen.abandoned() > 0 {
        line += &format!(", {} abandoned", seen.abandoned());
    }
    let curve = seen.curve();
    if let Some((version, accuracy)) = curve.points.last() {
        let of = if curve.held_out { "held-out" } else { "training" };
        line += &format!(", {of} accuracy {} at version {version}", percent(*accuracy));
    }
    if seen.in_vain > 0 {
        line += ", the coordinator does not answer";
    }
    line
}
