//! `muster events`: what happens, as it happens.

use std::time::Duration;

use coordinator::shutdown::signals;
use serde_json::Value;
use tokio::select;
use tokio::time::{Instant, sleep, sleep_until};

use crate::client::{Client, query};
use crate::failure::{Failure, status};
use crate::print::{Out, warning};
use crate::remote::Remote;
use crate::sse::{Event, Parser, TooLong};
use crate::table::{Column, text};
use crate::when::{Span, utc};

/// Pause before a stream that broke off is asked for again.
const PAUSE: Duration = Duration::from_secs(2);

/// `muster events`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  muster events                         what happens from now on, until Ctrl-C
  muster events --kept --kind run       what happened to runs
  muster events --after 120 --json      everything after event 120, as JSON lines
  muster events --kind version.published --max 1 --for 10m    wait for a version")]
pub(crate) struct EventsArgs {
    /// Only this kind: `version.published`, or `round` for all that begin so
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Show what is kept, and end
    #[arg(long)]
    kept: bool,
    /// Begin after the event of this number; 0 for the oldest that is kept [default: now]
    #[arg(long, value_name = "N", conflicts_with = "kept")]
    after: Option<u64>,
    /// End after so many events
    #[arg(long, value_name = "N", conflicts_with = "kept", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// End after so long: 30s, 10m; with --max, exit status 1 says that fewer came
    #[arg(long = "for", value_name = "SPAN", conflicts_with = "kept")]
    span: Option<Span>,
    #[command(flatten)]
    at: Remote,
}

const EVENTS: &[Column] = &[
    Column::number("EVENT", |event, _| text(&event["id"])),
    Column::text("WHEN", |event, _| at(event)),
    Column::text("KIND", |event, _| text(&event["kind"])),
    Column::text("SUBJECT", |event, _| text(&event["subject"])),
    Column::text("BY", |event, _| text(&event["actor"])),
    Column::text("DETAIL", |event, _| detail(&event["detail"])).optional(),
];

/// Does what was asked for; answers with the exit status.
pub(crate) async fn run(args: EventsArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    if args.kept {
        let list = client.list("/v1/events", &[("kind", args.kind)]).await?;
        out.list(EVENTS, &list, "Nothing happened yet.")?;
        return Ok(0);
    }
    let mut signals =
        signals().map_err(|error| Failure::new("signals_not_handled", error, status::OS_ERROR))?;
    let until = args.span.map(|span| Instant::now() + Duration::from_millis(span.ms));
    let time_is_up = async {
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    let mut following =
        Following { client, out, kind: args.kind, after: args.after, left: args.max };
    select! {
        biased;
        () = signals.next() => Ok(status::INTERRUPTED),
        // Fewer than were waited for.
        () = time_is_up => Ok(args.max.map_or(0, |_| status::NOT_SO)),
        followed = following.follow() => followed.map(|()| 0),
    }
}

/// A stream that is followed, however often it breaks off.
struct Following {
    client: Client,
    out: Out,
    kind: Option<String>,
    after: Option<u64>,
    left: Option<u64>,
}

impl Following {
    async fn follow(&mut self) -> Result<(), Failure> {
        // What cannot be had at all is told at once; what was there comes back.
        let mut was_there = false;
        loop {
            match self.once(&mut was_there).await {
                Ok(()) => {}
                Err(failure) if was_there && failure.may_pass() => {
                    warning(&format!(
                        "the events broke off and are asked for again: {}",
                        failure.what()
                    ));
                }
                Err(failure) => return Err(failure),
            }
            if self.left == Some(0) {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }

    /// One stream, to its end.
    async fn once(&mut self, was_there: &mut bool) -> Result<(), Failure> {
        let after = self.after.map(|after| after.to_string());
        let max = self.left.map(|left| left.min(u64::from(u32::MAX)).to_string());
        let path = query([
            ("kind", self.kind.as_deref()),
            ("after", after.as_deref()),
            ("max_events", max.as_deref()),
        ]);
        let accept = [("accept", "text/event-stream")];
        let mut stream = self.client.stream(&format!("/v1/events{path}"), &accept).await?;
        *was_there = true;
        let mut parser = Parser::default();
        while let Some(bytes) = stream.next().await? {
            let events = parser.push(&bytes).map_err(|TooLong| {
                Failure::new("answer_not_understood", "an event is too long", status::PROTOCOL)
            })?;
            for event in events {
                self.take(&event)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, event: &Event) -> Result<(), Failure> {
        let data: Value = serde_json::from_str(&event.data).map_err(|error| {
            let what = format!("an event of the stream is no JSON: {error}");
            Failure::new("answer_not_understood", what, status::PROTOCOL)
        })?;
        match event.name.as_str() {
            "bye" => self.after = data["last_event_id"].as_u64().or(self.after),
            "reset" => {
                warning(&format!(
                    "events are missing: the oldest that is kept is {}",
                    data["oldest"]
                ));
            }
            _ => {
                self.after = data["id"].as_u64().or(self.after);
                self.left = self.left.map(|left| left.saturating_sub(1));
                self.out.say(&if self.out.is_json() { data.to_string() } else { line(&data) })?;
            }
        }
        Ok(())
    }
}

/// An event in a line.
fn line(event: &Value) -> String {
    let at = at(event);
    let (id, kind, subject) = (text(&event["id"]), text(&event["kind"]), text(&event["subject"]));
    let (by, more) = (text(&event["actor"]), detail(&event["detail"]));
    let line = format!("{at}  {id:>6}  {kind:<20}  {subject:<16}  {by}  {more}");
    crate::table::printable(line.trim_end())
}

/// When it happened.
pub(crate) fn at(event: &Value) -> String {
    event["at_ms"].as_u64().map_or_else(|| "-".to_owned(), utc)
}

/// What else there is to say, without what is long: `--json` has all of it.
pub(crate) fn detail(detail: &Value) -> String {
    let short = |value: &Value| match value {
        Value::String(text) if text.len() == 64 => crate::table::digest(value),
        Value::Array(items) => format!("[{}]", items.len()),
        Value::Object(_) => "{..}".to_owned(),
        other => text(other),
    };
    let parts = detail.as_object().into_iter().flatten();
    let parts = parts.filter(|(key, _)| !key.ends_with("_digest"));
    let parts: Vec<_> = parts.map(|(key, value)| format!("{key}={}", short(value))).collect();
    parts.join(" ")
}
