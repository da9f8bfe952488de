//! `/v1/events`: what happens, as a list and as a stream.
//!
//! The stream (`Accept: text/event-stream`, as browsers and `curl -N` ask for it) begins after `Last-Event-ID`, or
//! after `?after=`, or now. Where events after that point were dropped already it begins with `reset`: whoever kept a
//! picture must make a new one. It ends with `bye`, whose data says why.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use super::answers::problems;
use super::page::{Asks, Everything, LIMIT_DEFAULT, Page, PageQuery, invalid};
use super::problem::{Code, Problem};
use crate::core::Core;
use crate::store::{Event, Kept, StoreError};

/// How often a silent stream says that it lives, for proxies and for those who wait.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client should wait before it comes back.
const RETRY: Duration = Duration::from_secs(2);
/// Longest that a stream can be asked to last, in seconds: a day.
const WAIT_S_MAX: u64 = 86_400;
/// Most bytes of a kind.
const KIND_BYTES_MAX: usize = 64;
/// Events read at once.
const READ: u32 = 256;

/// An event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventBody {
    /// Its number: ascending, never used again.
    #[schema(minimum = 1)]
    id: u64,
    /// When it happened.
    at_ms: u64,
    /// What happened, for example `version.published`.
    kind: String,
    /// To what, for example `navigation/3`.
    subject: String,
    /// Who did it.
    actor: String,
    /// What else there is to say.
    #[schema(value_type = Object)]
    detail: Value,
}

/// What is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Only events of this kind; `round` stands for `round.opened` and all others that begin so.
    #[param(min_length = 1, max_length = 64, example = "round")]
    kind: Option<String>,
    /// Of a list: most items of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Of a list: where the page begins, the `next_cursor` of the page before.
    #[param(min_length = 1, max_length = 300)]
    cursor: Option<String>,
    /// Of a stream: begin after the event of this number; 0 for the oldest that is kept.
    after: Option<u64>,
    /// Of a stream: end it after so many events.
    #[param(minimum = 1, maximum = 4_294_967_295_i64)]
    max_events: Option<u64>,
    /// Of a stream: end it after so many seconds.
    #[param(minimum = 0, maximum = 86_400)]
    wait_s: Option<u64>,
}

/// Where a stream begins.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the description reads it; `last_event_id` reads the header")]
pub(super) struct LastEventParam {
    /// Of a stream: begin after this event, the last that the client has seen.
    #[param(rename = "Last-Event-ID")]
    last_event_id: Option<u64>,
}

problems!(EventsProblems = LIST + [InvalidEventId]);

/// Tells what happens
///
/// As a list, or with `Accept: text/event-stream` as a stream of server-sent events. A stream begins after
/// `Last-Event-ID`, or after `after`, or now. Where events after that point were dropped already it begins with the
/// event `reset`: whoever kept a picture must make a new one. It ends with `bye`, whose data says why.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "events",
    params(EventsQuery, LastEventParam),
    responses(
        (status = 200, description = "A page of events, or their stream.", content(
            (Page<EventBody> = "application/json"),
            (String = "text/event-stream"),
        )),
        EventsProblems,
    )
)]
pub(super) async fn events(
    State(core): State<Arc<Core>>,
    headers: HeaderMap,
    query: EventsQuery,
) -> Result<Response, Problem> {
    if wants_stream(&headers) {
        follow(&core, &headers, &query).await
    } else {
        list(&core, query).await
    }
}

async fn list(core: &Core, query: EventsQuery) -> Result<Response, Problem> {
    let EventsQuery { kind, limit, cursor, after, max_events, wait_s } = query;
    if after.is_some() || max_events.is_some() || wait_s.is_some() {
        let detail = "after, max_events and wait_s are for a stream: Accept: text/event-stream";
        return Err(invalid(detail));
    }
    let page = PageQuery::new("/v1/events", limit.unwrap_or(LIMIT_DEFAULT), cursor, Everything {})?;
    let kind = kind.unwrap_or_default();
    let events = core.store.events(page.after()?.unwrap_or_default(), kind, page.read()).await?;
    let page: Page<EventBody> = page.page(events, |event| event.seq.to_string(), show);
    Ok(Json(page).into_response())
}

async fn follow(
    core: &Arc<Core>,
    headers: &HeaderMap,
    query: &EventsQuery,
) -> Result<Response, Problem> {
    if query.limit.is_some() || query.cursor.is_some() {
        let detail = "limit and cursor are for a list; a stream takes after, max_events and wait_s";
        return Err(invalid(detail));
    }
    let last = last_event_id(headers)?.or(query.after);
    let seat = Arc::clone(&core.streams).try_acquire_owned().map_err(|_| {
        Problem::new(Code::Overloaded, "as many event streams are open as the coordinator serves")
    })?;
    // Before the first read, so that nothing is missed between the two.
    let news = core.store.news();
    let kept = core.store.events_kept().await?;
    let mut waiting = VecDeque::new();
    let after = match last {
        None => kept.newest,
        Some(last) if is_gap(last, kept) => {
            waiting.push_back(reset(kept));
            kept.oldest - 1
        }
        Some(last) => last,
    };
    let stream = Follower {
        core: Arc::clone(core),
        news,
        stop: core.stop.clone(),
        kind: query.kind.clone().unwrap_or_default(),
        after,
        left: query.max_events.unwrap_or(u64::MAX),
        until: query.wait_s.map(|wait_s| Instant::now() + Duration::from_secs(wait_s)),
        waiting,
        over: false,
        _seat: seat,
    };
    let stream = stream::unfold(stream, async |mut follower| {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((no_store, Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
        .into_response())
}

/// One stream.
struct Follower {
    core: Arc<Core>,
    news: watch::Receiver<()>,
    stop: CancellationToken,
    kind: String,
    after: u64,
    /// Events until its end.
    left: u64,
    until: Option<Instant>,
    waiting: VecDeque<sse::Event>,
    over: bool,
    _seat: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event; `None` after the last.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            if self.left == 0 {
                return Some(self.bye("max_events"));
            }
            self.news.mark_unchanged();
            match self.read().await {
                Ok(()) if !self.waiting.is_empty() => {}
                Ok(()) => {
                    if let Some(why) = self.wait().await {
                        return Some(self.bye(why));
                    }
                }
                Err(error) => {
                    let why = if self.stop.is_cancelled() { "shutdown" } else { "failed" };
                    tracing::warn!(%error, "a stream of events ends");
                    return Some(self.bye(why));
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        let limit = u32::try_from(self.left).unwrap_or(READ).min(READ);
        let events = self.core.store.events(self.after, self.kind.clone(), limit).await?;
        for event in events {
            self.after = event.seq;
            self.left -= 1;
            let named = sse::Event::default().id(event.seq.to_string()).event(&event.kind);
            self.waiting.push_back(named.data(json!(show(event)).to_string()));
        }
        Ok(())
    }

    /// Waits for news; says why there will be none.
    async fn wait(&mut self) -> Option<&'static str> {
        let time_is_up = async {
            match self.until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Some("shutdown"),
            () = time_is_up => Some("wait_s"),
            // The store outlives the streams; were it gone, so would be the coordinator.
            changed = self.news.changed() => changed.err().map(|_| "shutdown"),
        }
    }

    fn bye(&mut self, why: &str) -> sse::Event {
        self.over = true;
        let data = json!({"reason": why, "last_event_id": self.after});
        sse::Event::default().event("bye").retry(RETRY).data(data.to_string())
    }
}

/// Whether events that a client wants next are gone, or its number is from another life of the database.
fn is_gap(last: u64, kept: Kept) -> bool {
    (last > 0 && last + 1 < kept.oldest) || last > kept.newest
}

fn reset(kept: Kept) -> sse::Event {
    let data = json!({"oldest": kept.oldest, "newest": kept.newest});
    sse::Event::default().event("reset").data(data.to_string())
}

fn show(event: Event) -> EventBody {
    let Event { seq, at, kind, subject, actor, detail } = event;
    EventBody { id: seq, at_ms: at.0, kind, subject, actor, detail }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT).iter().filter_map(|list| list.to_str().ok());
    let mut types = lists.flat_map(|list| list.split(','));
    types.any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("text/event-stream")
    })
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let id = id.to_str().ok().and_then(|id| id.parse().ok());
    // No event has a greater one.
    let id = id.filter(|id| *id <= u64::MAX >> 1);
    let wrong = || Problem::new(Code::InvalidEventId, "Last-Event-ID should be an event's id");
    id.map(Some).ok_or_else(wrong)
}

impl<S: Send + Sync> FromRequestParts<S> for EventsQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Asks(query) = Asks::<Self>::from_request_parts(parts, state).await?;
        if query.kind.as_ref().is_some_and(|kind| !(1..=KIND_BYTES_MAX).contains(&kind.len())) {
            return Err(invalid(format!("kind should have 1 to {KIND_BYTES_MAX} bytes")));
        }
        for (name, value, range) in [
            ("after", query.after, 0..=u64::MAX >> 1),
            ("max_events", query.max_events, 1..=u64::from(u32::MAX)),
            ("wait_s", query.wait_s, 0..=WAIT_S_MAX),
        ] {
            if let Some(got) = value.filter(|value| !range.contains(value)) {
                let (min, max) = range.into_inner();
                return Err(invalid(format!("{name} should be {min} to {max}, got {got}")));
            }
        }
        Ok(query)
    }
}
