//! A coordinator as commands ask it: JSON in and out, lists as a whole, and each change once, however often it is sent.

use std::fmt::Write as _;
use std::time::Duration;

use agent::SystemEntropy;
use federation::{Artifact, Entropy as _};
use serde_json::{Value, json};
use simulator::{Access, Bytes, Method, Rest, RestError, RestStream};
use tokio::time::{sleep, timeout};

use crate::failure::{Failure, status};
use crate::missing;
use crate::remote::Target;

/// Longest that an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// How often a request is sent before it is given up.
const TRIES_MAX: u32 = 4;
/// Longest that a command waits because the coordinator asks it to, in seconds.
const RETRY_AFTER_MAX_S: u32 = 5;
/// Pause before the second try; it doubles with each.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// Items of a page.
const PAGE_ITEMS: u32 = 1_000;
/// Most pages of a list that are put together.
const PAGES_MAX: u32 = 10_000;

/// A client of one coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    rest: Rest,
    url: String,
    /// Where the address comes from, for people.
    origin: String,
}

impl Client {
    /// A client that has not connected yet.
    pub(crate) fn new(target: Target) -> Result<Self, Failure> {
        let Target { url, ca_file, token, origin } = target;
        let rest = Rest::connect(&Access { url: url.clone(), ca_file, token })?;
        Ok(Self { rest, url, origin })
    }

    /// Where the coordinator is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// GETs JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let body = self.ask(Method::GET, path, None).await?;
        self.parse(path, &body)
    }

    /// GETs bytes.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Bytes, Failure> {
        self.ask(Method::GET, path, None).await
    }

    /// POSTs JSON, with a key by which it is done once.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.change(Method::POST, path, body).await
    }

    /// Changes something, with a key by which it is done once.
    pub(crate) async fn change(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        let answer = self.ask(method, path, Some(body)).await?;
        self.parse(path, &answer)
    }

    /// Makes a model of an artifact, or finds that it is there already.
    pub(crate) async fn create_model(
        &self,
        name: &str,
        artifact: &Artifact,
    ) -> Result<Value, Failure> {
        self.post("/v1/models", &Rest::new_model(name, artifact)).await
    }

    /// Makes an artifact the next version of a model, or finds that it is its newest already.
    pub(crate) async fn add_version(
        &self,
        model: &str,
        artifact: &Artifact,
    ) -> Result<Value, Failure> {
        self.post(&format!("/v1/models/{model}/versions"), &Rest::new_version(artifact)).await
    }

    /// GETs a list, all pages of it, in the shape of one page.
    pub(crate) async fn list(
        &self,
        path: &str,
        filters: &[(&str, Option<String>)],
    ) -> Result<Value, Failure> {
        let mut items = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let mut page = self.page(path, filters, cursor.as_deref(), PAGE_ITEMS).await?;
            if let Some(more) = page["items"].as_array_mut() {
                items.append(more);
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(json!({"items": items, "next_cursor": cursor}))
    }

    /// GETs one page of a list.
    pub(crate) async fn page(
        &self,
        path: &str,
        filters: &[(&str, Option<String>)],
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Value, Failure> {
        let own = [("limit", Some(limit.to_string())), ("cursor", cursor.map(str::to_owned))];
        let all = filters.iter().chain(&own);
        self.get(&format!("{path}{}", query(all.map(|(name, value)| (*name, value.as_deref())))))
            .await
    }

    /// GETs an answer that goes on.
    pub(crate) async fn stream(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<RestStream, Failure> {
        let opened = timeout(ANSWER_TIME_MAX, self.rest.stream(path, headers)).await;
        match opened {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.explain(path, None, error).await),
            Err(_) => Err(self.too_slow()),
        }
    }

    fn parse(&self, path: &str, body: &[u8]) -> Result<Value, Failure> {
        serde_json::from_slice(body).map_err(|error| {
            let uri = format!("{}{path}", self.url());
            let why = error.to_string();
            RestError::Answer { method: Method::GET, uri, why }.into()
        })
    }

    /// Asks until there is an answer, as often as makes sense. A change has a key, the same one each time.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Bytes, Failure> {
        let key = body.map(|_| key());
        let text = Bytes::from(body.map(Value::to_string).unwrap_or_default());
        let keyed = key.iter().map(|key| ("idempotency-key", key.as_str()));
        let headers: Vec<_> = keyed.collect();
        let mut tries = 0;
        loop {
            tries += 1;
            let asked = self.rest.ask(method.clone(), path, &headers, text.clone());
            let error = match timeout(ANSWER_TIME_MAX, asked).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => return Err(self.too_slow()),
            };
            match pause(&error, tries).filter(|_| tries < TRIES_MAX) {
                Some(pause) => sleep(pause).await,
                None => return Err(self.explain(path, body, error).await),
            }
        }
    }

    fn too_slow(&self) -> Failure {
        let seconds = ANSWER_TIME_MAX.as_secs();
        let what = format!("{}: no answer within {seconds} s", self.url());
        Failure::new("coordinator_unreachable", what, status::UNAVAILABLE)
            .hint("what was asked for may have been done; look before you ask again")
    }

    /// A failure, with what to do next.
    async fn explain(&self, path: &str, body: Option<&Value>, error: RestError) -> Failure {
        let unreachable = match &error {
            RestError::Unreachable { connected, why, .. } => Some((*connected, why.clone())),
            _ => None,
        };
        let failure = Failure::from(error);
        let Some((connected, why)) = unreachable else {
            let hint = missing::hint(self, path, body, &failure).await;
            return failure.or_hint(|| hint);
        };
        if why.contains("certificate") {
            failure.hint("--ca-file names the certificates that its own is checked against")
        } else if why.contains("InvalidContentType") {
            failure.hint("something without TLS listens there: is the address one of http://?")
        } else if connected && body.is_some() {
            failure.hint("what was asked for may have been done; look before you ask again")
        } else if connected {
            failure.hint("does it speak HTTP, or does it want https://?")
        } else {
            failure.hint(format!(
                "is a coordinator running there? The address is that of {}; --coordinator, MUSTER_URL or a profile \
                 names another",
                self.origin
            ))
        }
    }

    /// Asks once for something that only helps to explain: no answer is one too.
    pub(crate) async fn get_to_explain(&self, path: &str) -> Option<Value> {
        let asked = self.rest.ask(Method::GET, path, &[], Bytes::new());
        let answer = timeout(ANSWER_TIME_MAX, asked).await.ok()?.ok()?;
        serde_json::from_slice(&answer).ok()
    }
}

/// How long to wait before the same request is sent again; none if that is no use.
fn pause(error: &RestError, tries: u32) -> Option<Duration> {
    let usual = PAUSE_FIRST * 2_u32.saturating_pow(tries.saturating_sub(1));
    match error {
        // The answer was lost. What cannot be reached at all is told at once.
        RestError::Unreachable { connected: true, .. } => Some(usual),
        RestError::Refused { code, .. } if code == "idempotency_key_in_use" => Some(usual),
        RestError::Refused { status, retry_after_s: Some(s), .. }
            if matches!(status.as_u16(), 429 | 503) && *s <= RETRY_AFTER_MAX_S =>
        {
            Some(Duration::from_secs((*s).into()))
        }
        _ => None,
    }
}

/// A key that no other command has.
fn key() -> String {
    let mut bytes = [0; 16];
    SystemEntropy.fill(&mut bytes);
    bytes.iter().fold("muster-".to_owned(), |mut key, byte| {
        write!(key, "{byte:02x}").expect("text takes what is written to it");
        key
    })
}

/// A query of the parameters that have a value.
pub(crate) fn query<'a>(
    parameters: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> String {
    let mut text = String::new();
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        let sign = if text.is_empty() { '?' } else { '&' };
        text += &format!("{sign}{name}={}", escaped(value));
    }
    text
}

/// Text as one part of a path or query.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("text takes what is written to it");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let parameters =
            [("model", None), ("label", Some("site=ams,class in (a)")), ("limit", Some("7"))];
        assert_eq!(query(parameters), "?label=site%3Dams%2Cclass%20in%20%28a%29&limit=7");
        assert_eq!(query([("a", None)]), "");
        assert_eq!(escaped("../é"), "..%2F%C3%A9");
    }

    #[test]
    fn keys_differ_and_are_short() {
        let (a, b) = (key(), key());
        assert_ne!(a, b);
        assert_eq!(a.len(), 39);
    }

    #[test]
    fn what_is_worth_another_try_gets_one() {
        let refused = |status: u16, code: &str, retry_after_s| RestError::Refused {
            method: Method::POST,
            uri: String::new(),
            status: status.try_into().unwrap(),
            code: code.to_owned(),
            detail: String::new(),
            problem: Box::new(Value::Null),
            retry_after_s,
        };
        let lost = |connected| RestError::Unreachable {
            method: Method::POST,
            uri: String::new(),
            why: String::new(),
            connected,
        };
        assert_eq!(pause(&lost(true), 1), Some(PAUSE_FIRST));
        assert_eq!(pause(&lost(true), 3), Some(PAUSE_FIRST * 4));
        assert_eq!(pause(&lost(false), 1), None);
        assert_eq!(pause(&refused(409, "idempotency_key_in_use", None), 1), Some(PAUSE_FIRST));
        assert_eq!(pause(&refused(409, "run_over", None), 1), None);
        assert_eq!(pause(&refused(503, "overloaded", Some(1)), 1), Some(Duration::from_secs(1)));
        assert_eq!(pause(&refused(429, "too_many_attempts", Some(60)), 1), None);
        assert_eq!(pause(&refused(503, "shutting_down", None), 1), None);
    }
}
