//! A small client of the coordinator's REST interface.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use agent::uplink::Trust;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use federation::Artifact;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

/// Largest answer that is read, in bytes: the largest artifact, with room for lists.
const ANSWER_BYTES_MAX: usize = federation::limits::REST_BODY_BYTES_MAX;

/// A client of one coordinator.
#[derive(Clone, Debug)]
pub struct Rest {
    base: String,
    /// Sent with each request.
    authorization: Option<HeaderValue>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// How a coordinator is reached.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Its address: `http://HOST:PORT` or `https://HOST:PORT`.
    pub url: String,
    /// The certificates that vouch for one of https, in PEM; `None` for those the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The token to show.
    pub token: Option<String>,
}

/// Without the token, which is secret.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, ca_file, token } = self;
        f.debug_struct("Access")
            .field("url", url)
            .field("ca_file", ca_file)
            .field("token", &token.is_some())
            .finish()
    }
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
    /// The way to the coordinator cannot be used.
    #[error("{why}")]
    Access {
        /// A stable code: `ca_file_invalid`, `system_roots_missing`, `token_invalid`.
        code: &'static str,
        /// What is wrong with it.
        why: String,
    },
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
        problem: Box<Value>,
        /// After how many seconds it is worth another try, where the answer says it.
        retry_after_s: Option<u32>,
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
    /// A client of the coordinator at `base`, for example `http://127.0.0.1:7400`. One of https wants [`Rest::connect`]:
    /// this client trusts no certificate.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self::over(base, None, &Trust::default())
    }

    /// A client of the coordinator at `access`.
    ///
    /// # Errors
    /// [`RestError::Access`] when a file or a token cannot be used.
    pub fn connect(access: &Access) -> Result<Self, RestError> {
        let Access { url, ca_file, token } = access;
        let bad = |code| move |why| RestError::Access { code, why };
        let trust = match ca_file {
            // A certificate does nothing for an address of http.
            _ if !is_https(url) => Trust::default(),
            Some(file) => Trust::of_file(file).map_err(bad("ca_file_invalid"))?,
            None => Trust::of_system().map_err(bad("system_roots_missing"))?,
        };
        let authorization = token.as_ref().map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                bad("token_invalid")("a token has letters, digits, `-` and `_` only".to_owned())
            })?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self::over(url, authorization.transpose()?, &trust))
    }

    fn over(base: &str, authorization: Option<HeaderValue>, trust: &Trust) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has suites for both versions")
            .with_root_certificates(trust.roots())
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new()).build(connector.build());
        Self { base: base.trim_end_matches('/').to_owned(), authorization, client }
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

    /// What is POSTed to `/v1/models/NAME/versions` to make an artifact the next version of a model.
    #[must_use]
    pub fn new_version(artifact: &Artifact) -> Value {
        json!({"artifact": STANDARD.encode(artifact.encode())})
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
        let mut request =
            request.body(Full::new(body)).map_err(|error| unreachable(error.to_string()))?;
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.clone());
        }
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
            problem: Box::new(problem),
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

fn is_https(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
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
