//! A call as whoever makes it sees it: how long it may take, and what its failure means.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use proto::convert::Malformed;
use proto::v1;
use proto::v1::relay_response::Answer;
use thiserror::Error;
use tokio::time::timeout;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use super::relay::Relay;
use super::trust;

/// When a failed call is worth making again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After a short pause that grows.
    Soon,
    /// After at least so many milliseconds: the coordinator said so.
    After(u64),
    /// After a long pause: somebody has to change something first.
    Later,
    /// Not with this request: it is wrong in itself.
    Never,
}

/// A call that got no answer, or none that can be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{call}: {message}")]
pub struct UplinkError {
    /// The call.
    pub call: &'static str,
    /// A stable code: that of gRPC in snake case, `timed_out`, `malformed_answer`, `version_damaged`,
    /// `certificate_untrusted`, or `tls_failed`.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// When to try again.
    pub retry: Retry,
}

/// The code of a call that shows no credential that holds.
pub const UNAUTHENTICATED: &str = "unauthenticated";

/// What a gRPC error means for trying again, and its stable code.
#[must_use]
pub fn retry_of(code: Code) -> (Retry, &'static str) {
    match code {
        Code::Ok => (Retry::Soon, "ok"),
        Code::Cancelled => (Retry::Soon, "cancelled"),
        Code::Unknown => (Retry::Soon, "unknown"),
        Code::DeadlineExceeded => (Retry::Soon, "deadline_exceeded"),
        Code::ResourceExhausted => (Retry::Soon, "resource_exhausted"),
        Code::Aborted => (Retry::Soon, "aborted"),
        Code::Internal => (Retry::Soon, "internal"),
        Code::Unavailable => (Retry::Soon, "unavailable"),
        Code::DataLoss => (Retry::Soon, "data_loss"),
        Code::NotFound => (Retry::Later, "not_found"),
        Code::AlreadyExists => (Retry::Later, "already_exists"),
        Code::PermissionDenied => (Retry::Later, "permission_denied"),
        Code::FailedPrecondition => (Retry::Later, "failed_precondition"),
        Code::Unimplemented => (Retry::Later, "unimplemented"),
        Code::Unauthenticated => (Retry::Later, UNAUTHENTICATED),
        Code::InvalidArgument => (Retry::Never, "invalid_argument"),
        Code::OutOfRange => (Retry::Never, "out_of_range"),
    }
}

/// One call: its name in messages, and how long it may take.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) name: &'static str,
    /// How long it may take, in milliseconds.
    pub(super) ms: u64,
}

impl Call {
    /// What comes of it. It is large, and so it stays where it is.
    pub(super) async fn made<M>(
        &self,
        answer: Pin<&mut impl Future<Output = Result<Response<M>, Status>>>,
    ) -> Result<M, UplinkError> {
        let answer = async { answer.await.map_err(|status| self.failed(&status)) };
        self.in_time(answer).await.map(Response::into_inner)
    }

    /// What a relay brings, which is to be an `answer` to this call.
    pub(super) async fn relayed<M>(
        &self,
        relay: &Relay,
        request: v1::RelayRequest,
        answer: impl FnOnce(Answer) -> Option<M>,
    ) -> Result<M, UplinkError> {
        let brought = async { relay.call(request).await.map_err(|status| self.failed(&status)) };
        let brought = self.in_time(brought).await?;
        answer(brought).ok_or_else(|| self.unclear("the answer is that to another call".to_owned()))
    }

    pub(super) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, UplinkError>>,
    ) -> Result<T, UplinkError> {
        let late =
            |_| self.error("timed_out", format!("no answer within {} ms", self.ms), Retry::Soon);
        timeout(Duration::from_millis(self.ms), answer).await.map_err(late)?
    }

    pub(super) fn parse<M, T: TryFrom<M, Error = Malformed>>(
        &self,
        message: M,
    ) -> Result<T, UplinkError> {
        message.try_into().map_err(|malformed: Malformed| self.unclear(malformed.to_string()))
    }

    pub(super) fn failed(&self, status: &Status) -> UplinkError {
        if let Some(error) = trust::failure(status) {
            return match error {
                rustls::Error::InvalidCertificate(why) => {
                    let why = rustls::Error::InvalidCertificate(why);
                    let message = format!(
                        "the coordinator's certificate is not trusted ({why}); --ca-file names the certificate that vouches for it"
                    );
                    self.error("certificate_untrusted", message, Retry::Later)
                }
                other => self.error(
                    "tls_failed",
                    format!("the TLS handshake failed: {other}"),
                    Retry::Soon,
                ),
            };
        }
        let (retry, code) = retry_of(status.code());
        let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let retry = match asked {
            Some(delay) => Retry::After(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            None => retry,
        };
        let cause = std::error::Error::source(status)
            .map(root)
            .filter(|cause| !status.message().contains(cause));
        let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
        self.error(code, format!("{}{cause}", status.message()), retry)
    }

    pub(super) fn damaged(&self, message: &str) -> UplinkError {
        self.error("version_damaged", message.to_owned(), Retry::Soon)
    }

    /// The coordinator speaks another protocol than this release, or is broken.
    pub(super) fn unclear(&self, message: String) -> UplinkError {
        self.error("malformed_answer", message, Retry::Later)
    }

    fn error(&self, code: &'static str, message: String, retry: Retry) -> UplinkError {
        UplinkError { call: self.name, code, message, retry }
    }
}

/// The innermost cause, which of a lost connection is what the operating system says.
fn root<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_is_asked_for_is_kept() {
        use tonic_types::ErrorDetails;
        let call = Call { name: "push an update", ms: 1 };
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1500)));
        let status = Status::with_error_details(Code::ResourceExhausted, "busy", details);
        let error = call.failed(&status);
        assert_eq!((error.retry, error.code), (Retry::After(1500), "resource_exhausted"));
        assert_eq!(error.to_string(), "push an update: busy");
        assert_eq!(call.failed(&Status::unavailable("x")).retry, Retry::Soon);
        assert_eq!(call.failed(&Status::invalid_argument("x")).retry, Retry::Never);
        assert_eq!(call.failed(&Status::unimplemented("x")).retry, Retry::Later);
    }
}
