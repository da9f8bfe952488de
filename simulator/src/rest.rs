//! A small client of the coordinator's REST interface.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use federation::Artifact;
use http::{Method, Request, StatusCode, Uri, header};
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
        self.call(Method::GET, path, Bytes::new()).await
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
        let answer = self.call(Method::POST, path, Bytes::from(body.to_string())).await?;
        self.parse(Method::POST, path, &answer)
    }

    /// Makes a model of an artifact, or finds that it is there already.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn create_model(&self, name: &str, artifact: &Artifact) -> Result<Value, RestError> {
        let body = json!({"name": name, "artifact": STANDARD.encode(artifact.encode())});
        self.post("/v1/models", &body).await
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

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, RestError> {
        let uri = format!("{}{path}", self.base);
        let unreachable =
            |why: String| RestError::Unreachable { method: method.clone(), uri: uri.clone(), why };
        let target: Uri =
            uri.parse().map_err(|error: http::uri::InvalidUri| unreachable(error.to_string()))?;
        let request = Request::builder()
            .method(method.clone())
            .uri(target)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| unreachable(error.to_string()))?;
        let response =
            self.client.request(request).await.map_err(|error| unreachable(chain(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(
            |error| match error.downcast_ref::<LengthLimitError>() {
                Some(_) => RestError::Answer {
                    method: method.clone(),
                    uri: uri.clone(),
                    why: format!("it is longer than {ANSWER_BYTES_MAX} bytes"),
                },
                None => unreachable(error.to_string()),
            },
        )?;
        let body = body.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text =
            |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or("unknown").to_owned();
        Err(RestError::Refused { method, uri, status, code: text("code"), detail: text("detail") })
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
