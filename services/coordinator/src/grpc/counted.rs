//! Counts calls by method and code: what goes out with the head of an answer. A stream that breaks off later counts as
//! well begun.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::{Code, Status};
use tower::Service;

use crate::core::Core;

/// The path of the fleet service; what follows is the method.
const SERVICE: &str = "/muster.fleet.v1.FleetService/";
/// Its methods. Whoever calls may not make up labels.
const METHODS: [&str; 5] = ["Enrol", "WaitOrder", "FetchVersion", "PushUpdate", "ReportEvaluation"];

/// A service whose calls are counted.
#[derive(Clone, Debug)]
pub(super) struct Counted<S> {
    inner: S,
    core: Arc<Core>,
}

impl<S> Counted<S> {
    /// Counts the calls of `inner`.
    pub(super) fn new(inner: S, core: Arc<Core>) -> Self {
        Self { inner, core }
    }
}

impl<S, A, B> Service<Request<A>> for Counted<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let method = request.uri().path().strip_prefix(SERVICE).unwrap_or_default();
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let core = Arc::clone(&self.core);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            // An answer without messages has its status in the head; one with them was a success.
            let status = Status::from_header_map(answer.headers());
            let code = status.map_or(Code::Ok, |status| status.code());
            core.metrics.call(method, name(code));
            Ok(answer)
        })
    }
}

/// A code as metrics name it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "Ok",
        Code::Cancelled => "Cancelled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
