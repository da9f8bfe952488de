//! Errors as nodes see them: the one map from what went wrong to a gRPC status. It is total, and lets no internal text
//! out. Each carries its stable code as `google.rpc.ErrorInfo.reason`; those worth another try say when.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use proto::convert::Malformed;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::access::Denied;
use crate::commit::Uncounted;
use crate::store::StoreError;

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// The request breaks the contract.
    Malformed(Malformed),
    /// The stream of the request broke, or a message in it is too long.
    Stream(Status),
    /// The call may not be made.
    Denied(Denied),
    /// Too many secrets that do not hold came from this address; worth another try after so many milliseconds.
    TooManyAttempts(u64),
    /// Too many updates are being received.
    Overloaded,
    /// The update did not come to its end in time.
    TooSlow,
    /// The update could not be counted.
    Uncounted(Uncounted),
    /// The database.
    Store(StoreError),
    /// The call was not answered within its time.
    OutOfTime,
    /// The code panicked.
    Panicked,
}

/// The domain of our codes in `google.rpc.ErrorInfo`.
const DOMAIN: &str = "muster";

/// When an overloaded coordinator, or the one that follows this one, is worth another try.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// When a full disk may have been noticed by someone.
const RETRY_FULL: Duration = Duration::from_secs(10);

impl From<Malformed> for CallError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Denied> for CallError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Uncounted> for CallError {
    fn from(uncounted: Uncounted) -> Self {
        Self::Uncounted(uncounted)
    }
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Malformed(malformed) => {
                status(Code::InvalidArgument, malformed.code(), malformed.to_string(), None)
            }
            CallError::Stream(status) => of_stream(&status),
            CallError::Denied(denied) => of_denied(denied),
            CallError::TooManyAttempts(ms) => {
                let message = "too many attempts came from this address that did not hold";
                let retry = Some(Duration::from_millis(ms));
                status(Code::ResourceExhausted, "too_many_attempts", message, retry)
            }
            CallError::Overloaded => {
                let message = "too many updates are being received";
                status(Code::ResourceExhausted, "overloaded", message, Some(RETRY_SOON))
            }
            CallError::TooSlow => {
                let message = "the update did not come to its end in time";
                status(Code::DeadlineExceeded, "push_timeout", message, Some(RETRY_SOON))
            }
            CallError::Uncounted(uncounted) => of_uncounted(&uncounted),
            CallError::Store(error) => of_store(&error),
            CallError::OutOfTime => {
                let message = "the call was not answered within its time";
                status(Code::DeadlineExceeded, "call_timeout", message, Some(RETRY_SOON))
            }
            CallError::Panicked => internal(),
        }
    }
}

fn of_denied(denied: Denied) -> Status {
    match denied {
        Denied::Unauthenticated => {
            let message = "this needs the node's credential; without one that holds, enrol with an enrolment token";
            status(Code::Unauthenticated, "unauthenticated", message, None)
        }
        Denied::NodeMismatch => {
            let message = "node_id is another node than the credential's";
            status(Code::PermissionDenied, "node_mismatch", message, None)
        }
        Denied::TooOften(ms) => {
            let message = "too many calls of this node, or too many at once";
            let retry = Some(Duration::from_millis(ms));
            status(Code::ResourceExhausted, "rate_limited", message, retry)
        }
    }
}

/// What became of a group is logged where it was committed.
fn of_uncounted(uncounted: &Uncounted) -> Status {
    match uncounted {
        Uncounted::Busy => {
            let message = "too many updates wait to be counted";
            status(Code::ResourceExhausted, "overloaded", message, Some(RETRY_SOON))
        }
        Uncounted::Closed => shutting_down(),
        Uncounted::Failed(error) => match **error {
            StoreError::Full { .. } => storage_full(),
            StoreError::Busy { .. } => of_uncounted(&Uncounted::Busy),
            StoreError::Closed { .. } => shutting_down(),
            StoreError::Failed { .. } => internal(),
        },
    }
}

fn of_store(error: &StoreError) -> Status {
    match error {
        StoreError::Full { .. } => {
            tracing::error!(%error, "the call was not carried out");
            storage_full()
        }
        StoreError::Busy { .. } => {
            tracing::warn!(%error, "the call was not carried out");
            let message = "too many calls wait for the database";
            status(Code::ResourceExhausted, "overloaded", message, Some(RETRY_SOON))
        }
        StoreError::Closed { .. } => shutting_down(),
        StoreError::Failed { .. } => {
            tracing::error!(%error, "the call was not carried out");
            internal()
        }
    }
}

/// A broken stream is the sender's affair. Most will not read this; one that sent too long a message will.
fn of_stream(error: &Status) -> Status {
    let (code, reason) = if error.code() == Code::OutOfRange {
        (Code::InvalidArgument, Malformed::CODE)
    } else {
        (error.code(), "stream_broken")
    };
    status(code, reason, error.message(), None)
}

fn storage_full() -> Status {
    let message = "the coordinator's disk or database is full";
    status(Code::ResourceExhausted, "storage_full", message, Some(RETRY_FULL))
}

fn shutting_down() -> Status {
    let message = "the coordinator is shutting down";
    status(Code::Unavailable, "shutting_down", message, Some(RETRY_SOON))
}

fn internal() -> Status {
    status(Code::Internal, "internal", "the coordinator failed; its log says why", None)
}

fn status(
    code: Code,
    reason: &'static str,
    message: impl Into<String>,
    retry: Option<Duration>,
) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    if retry.is_some() {
        details.set_retry_info(retry);
    }
    Status::with_error_details(code, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Fault;

    #[test]
    fn every_error_has_its_code_and_no_internal_text() {
        let source = || std::io::Error::other("secret").into();
        let cases = [
            (CallError::Overloaded, Code::ResourceExhausted, "overloaded", true),
            (
                CallError::Denied(Denied::Unauthenticated),
                Code::Unauthenticated,
                "unauthenticated",
                false,
            ),
            (
                CallError::Denied(Denied::NodeMismatch),
                Code::PermissionDenied,
                "node_mismatch",
                false,
            ),
            (CallError::Denied(Denied::TooOften(5)), Code::ResourceExhausted, "rate_limited", true),
            (CallError::TooManyAttempts(5), Code::ResourceExhausted, "too_many_attempts", true),
            (CallError::TooSlow, Code::DeadlineExceeded, "push_timeout", true),
            (CallError::OutOfTime, Code::DeadlineExceeded, "call_timeout", true),
            (CallError::Panicked, Code::Internal, "internal", false),
            (
                CallError::Store(StoreError::Full { tx: "secret", source: source() }),
                Code::ResourceExhausted,
                "storage_full",
                true,
            ),
            (
                CallError::Store(StoreError::Busy { tx: "secret" }),
                Code::ResourceExhausted,
                "overloaded",
                true,
            ),
            (
                CallError::Store(StoreError::Closed { tx: "secret" }),
                Code::Unavailable,
                "shutting_down",
                true,
            ),
            (
                CallError::Store(StoreError::Failed { tx: "secret", fault: Fault::Sql(source()) }),
                Code::Internal,
                "internal",
                false,
            ),
            (
                CallError::Stream(Status::out_of_range("too long")),
                Code::InvalidArgument,
                "malformed",
                false,
            ),
            (CallError::Stream(Status::cancelled("gone")), Code::Cancelled, "stream_broken", false),
        ];
        for (error, code, reason, retry) in cases {
            let status = Status::from(error);
            assert_eq!(status.code(), code, "{status}");
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, reason);
            assert_eq!(details.retry_info().is_some(), retry, "{status}");
            assert!(!status.to_string().contains("secret"), "{status}");
        }
    }
}
