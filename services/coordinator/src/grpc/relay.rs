//! A relay: calls of many nodes on one stream, each answered as a call of its own would be.
//!
//! What a call of HTTP/2 costs beside its message, headers and the state of a stream at both ends, is spent once.

use std::pin::Pin;

use futures_util::{StreamExt as _, TryStreamExt as _};
use proto::convert::Malformed;
use proto::v1;
use proto::v1::relay_request::Call;
use proto::v1::relay_response::Answer;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::calls::relayed;
use super::fleet::{Fleet, Shown};
use super::status::CallError;

/// Most calls of one relay under way; more stay unread.
const CALLS_MAX: usize = 1_024;

/// The answers of one relay.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<v1::RelayResponse, Status>> + Send>>;

/// The answers to these calls, in the order in which they are done. When the coordinator stops no more are read.
pub(super) fn answers(fleet: Fleet, calls: Streaming<v1::RelayRequest>) -> Answers {
    let stop = fleet.core.stop.clone().cancelled_owned();
    let answers = calls
        .take_until(stop)
        .map_err(|status| CallError::Stream(status).into())
        // It is large, and so it stays where it is.
        .map_ok(move |call| Box::pin(answer(fleet.clone(), call)))
        .try_buffer_unordered(CALLS_MAX);
    Box::pin(answers)
}

/// Answers a call. Its failure is an answer, too.
async fn answer(fleet: Fleet, request: v1::RelayRequest) -> Result<v1::RelayResponse, Status> {
    let v1::RelayRequest { call_id, authorization, traceparent, call } = request;
    let shown = &Shown::in_text(Some(&authorization));
    // It may be long, and so may the call wait.
    drop(authorization);
    let core = &*fleet.core;
    let answer = match call {
        Some(Call::WaitOrder(ask)) => {
            let handler = fleet.wait(shown, ask);
            relayed(core, "WaitOrder", traceparent, handler).await.map(Answer::WaitOrder)
        }
        Some(Call::PushUpdate(update)) => {
            // What waits is bounded by the room there is, whoever sent it.
            let bytes = u64::try_from(update.payload.len()).unwrap_or(u64::MAX);
            let handler = async { fleet.take_whole(shown, update, fleet.room(bytes)?).await };
            relayed(core, "PushUpdate", traceparent, handler).await.map(Answer::PushUpdate)
        }
        Some(Call::ReportEvaluation(report)) => {
            let handler = fleet.report(shown, report);
            relayed(core, "ReportEvaluation", traceparent, handler)
                .await
                .map(Answer::ReportEvaluation)
        }
        None => Err(CallError::Malformed(Malformed::absent("call", "a call")).into()),
    };
    let answer = answer.unwrap_or_else(|status| Answer::Failed(failure(&status)));
    Ok(v1::RelayResponse { call_id, answer: Some(answer) })
}

/// A status as a message.
fn failure(status: &Status) -> v1::CallError {
    v1::CallError {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: status.details().to_vec().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::testing::World;

    #[tokio::test]
    async fn an_update_for_which_there_is_no_room_is_worth_another_try() {
        let world = World::new().await;
        let room = Arc::clone(&world.core.payload_room);
        let all = u32::try_from(room.available_permits()).unwrap();
        let _taken = room.acquire_many(all).await.unwrap();
        let update = v1::WholeUpdate { header: None, payload: vec![0; 10].into() };
        let call = Some(Call::PushUpdate(update));
        let request = v1::RelayRequest { call_id: 3, call, ..v1::RelayRequest::default() };
        let response = answer(Fleet::new(Arc::clone(&world.core), None), request).await.unwrap();
        let Some(Answer::Failed(v1::CallError { code, message, details })) = response.answer else {
            panic!("{response:?}")
        };
        let status = Status::with_details(Code::from_i32(code), message, details);
        assert_eq!((response.call_id, status.code()), (3, Code::ResourceExhausted));
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "overloaded");
        assert!(details.retry_info().is_some());
    }
}
