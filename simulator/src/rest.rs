//! A small client of the coordinator's REST interface.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use federation::Artifact;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

/// Largest answer that is read, in bytes: the largest artifact, with room for lists.
const ANSWER_BYTES_MAX: usize = federation::limits::REST_BODY_BYTES_MAX;

/// A client of one coordinator.
#[derive(Clone, Debug)]
pub struct Rest {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// The body of an answer, whose errors are told in words.
type Body = BoxBody<Bytes, String>;

/// An answer that is read as it comes.
#[derive(Debug)]
pub struct RestStream {
    uri: String,
    body: Body,
}

/// Why a request got no good answer.
#[derive(Debug, Error)]
pub enum RestError {
    /// The coordinator did not answer.
    #[error("{method} {uri}: no answer: {why}")]
    Unreachable {
        /// The method.
        method: Method,
        /// The address.
        uri: String,
        /// What happened.
        why: String,
        /// Whether there was a connection, so that what was asked for may have been done.
        connected: bool,
    },
    /// It answered with a problem.
    #[error("{method} {uri}: {status}: {detail} ({code})")]
    Refused {
        /// The method.
        method: Method,
        /// The address.
        uri: String,
        /// The HTTP status.
        status: StatusCode,
        /// The problem's stable code.
        code: String,
        /// The problem, for people.
        detail: String,
        /// The problem, whole.
        problem: Value,
        /// After how many seconds it is worth another try, where the answer says it.
        retry_after_s: Option<u64>,
    },
    /// It answered with something that is not what was asked for.
    #[error("{method} {uri}: the answer is not understood: {why}")]
    Answer {
        /// The method.
        method: Method,
        /// The address.
        uri: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Rest {
    /// A client of the coordinator at `base`, for example `http://127.0.0.1:7400`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { base: base.trim_end_matches('/').to_owned(), client }
    }

    /// GETs JSON.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RestError> {
        let body = self.bytes(path).await?;
        self.parse(Method::GET, path, &body)
    }

    /// GETs bytes.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn bytes(&self, path: &str) -> Result<Bytes, RestError> {
        self.ask(Method::GET, path, &[], Bytes::new()).await
    }

    /// POSTs JSON and reads JSON.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, RestError> {
        let answer = self.ask(Method::POST, path, &[], Bytes::from(body.to_string())).await?;
        self.parse(Method::POST, path, &answer)
    }

    /// Makes a model of an artifact, or finds that it is there already.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn create_model(&self, name: &str, artifact: &Artifact) -> Result<Value, RestError> {
        self.post("/v1/models", &Self::new_model(name, artifact)).await
    }

    /// What is POSTed to `/v1/models` to make a model of an artifact.
    #[must_use]
    pub fn new_model(name: &str, artifact: &Artifact) -> Value {
        json!({"name": name, "artifact": STANDARD.encode(artifact.encode())})
    }

    fn parse<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> Result<T, RestError> {
        let uri = format!("{}{path}", self.base);
        serde_json::from_slice(body).map_err(|error| RestError::Answer {
            method,
            uri,
            why: error.to_string(),
        })
    }

    /// Asks with headers of one's own, and reads the answer whole.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Bytes, RestError> {
        let uri = format!("{}{path}", self.base);
        self.read(&method, &uri, self.send(&method, &uri, headers, body).await?).await
    }

    /// GETs an answer that goes on, and returns it as it comes.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn stream(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<RestStream, RestError> {
        let uri = format!("{}{path}", self.base);
        let response = self.send(&Method::GET, &uri, headers, Bytes::new()).await?;
        if !response.status().is_success() {
            self.read(&Method::GET, &uri, response).await?;
            let why = "an answer that is no success was read as one".to_owned();
            return Err(RestError::Answer { method: Method::GET, uri, why });
        }
        Ok(RestStream { uri, body: response.into_body() })
    }

    async fn send(
        &self,
        method: &Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Body>, RestError> {
        let unreachable = |why: String| RestError::Unreachable {
            method: method.clone(),
            uri: uri.to_owned(),
            why,
            connected: false,
        };
        let target: Uri =
            uri.parse().map_err(|error: http::uri::InvalidUri| unreachable(error.to_string()))?;
        let request = Request::builder()
            .method(method.clone())
            .uri(target)
            .header(header::CONTENT_TYPE, "application/json");
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request =
            request.body(Full::new(body)).map_err(|error| unreachable(error.to_string()))?;
        let answer =
            self.client.request(request).await.map_err(|error| RestError::Unreachable {
                method: method.clone(),
                uri: uri.to_owned(),
                why: chain(&error),
                connected: !error.is_connect(),
            })?;
        Ok(answer.map(|body| body.map_err(|error| chain(&error)).boxed()))
    }

    async fn read(
        &self,
        method: &Method,
        uri: &str,
        response: Response<Body>,
    ) -> Result<Bytes, RestError> {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after_s =
            retry_after.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(
            |error| match error.downcast_ref::<LengthLimitError>() {
                Some(_) => RestError::Answer {
                    method: method.clone(),
                    uri: uri.to_owned(),
                    why: format!("it is longer than {ANSWER_BYTES_MAX} bytes"),
                },
                None => RestError::Unreachable {
                    method: method.clone(),
                    uri: uri.to_owned(),
                    why: error.to_string(),
                    connected: true,
                },
            },
        )?;
        let body = body.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text =
            |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or("unknown").to_owned();
        Err(RestError::Refused {
            method: method.clone(),
            uri: uri.to_owned(),
            status,
            code: text("code"),
            detail: text("detail"),
            problem,
            retry_after_s,
        })
    }
}

impl RestStream {
    /// What came next; none at the end.
    ///
    /// # Errors
    /// [`RestError::Unreachable`] when it broke off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RestError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(why)) => {
                    let (method, uri) = (Method::GET, self.uri.clone());
                    return Err(RestError::Unreachable { method, uri, why, connected: true });
                }
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
