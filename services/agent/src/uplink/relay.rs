//! A relay: the calls of many nodes on one stream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use proto::v1::relay_response::Answer;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status};

use super::carrier::Carrier;

/// A relay, which all its clones share. Its stream begins with the first call, and again with the first after its end.
#[derive(Clone, Debug)]
pub(super) struct Relay(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: FleetServiceClient<Carrier>,
    calls: Mutex<Calls>,
}

/// The calls under way.
#[derive(Debug, Default)]
struct Calls {
    /// Into the stream, while there is one.
    stream: Option<mpsc::UnboundedSender<v1::RelayRequest>>,
    last_id: u64,
    /// Whoever waits, by the number of the call.
    waiting: BTreeMap<u64, oneshot::Sender<Result<Answer, Status>>>,
}

impl Relay {
    /// A relay over the connections of `client`.
    pub(super) fn over(client: FleetServiceClient<Carrier>) -> Self {
        Self(Arc::new(Shared { client, calls: Mutex::default() }))
    }

    /// Makes a call. It is numbered here.
    pub(super) async fn call(&self, request: v1::RelayRequest) -> Result<Answer, Status> {
        let answer = self.send(request);
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    fn send(&self, request: v1::RelayRequest) -> oneshot::Receiver<Result<Answer, Status>> {
        let (told, answer) = oneshot::channel();
        let mut calls = self.0.calls();
        calls.last_id += 1;
        let call_id = calls.last_id;
        calls.waiting.insert(call_id, told);
        let stream = calls.stream.get_or_insert_with(|| {
            let (stream, requests) = mpsc::unbounded_channel();
            let end = End(Arc::downgrade(&self.0));
            tokio::spawn(run(self.0.client.clone(), requests, end));
            stream
        });
        // A stream that has just ended takes none; its end answers whoever waits.
        let _ = stream.send(v1::RelayRequest { call_id, ..request });
        answer
    }
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a stream: whoever waits for it is told. It does not keep the relay, whose end is that of its stream.
struct End(Weak<Shared>);

impl End {
    /// Hands an answer to whoever waits for it; it may have given up.
    fn answer(&self, response: v1::RelayResponse) {
        let v1::RelayResponse { call_id, answer } = response;
        let Some(shared) = self.0.upgrade() else { return };
        let told = shared.calls().waiting.remove(&call_id);
        let answer = match answer {
            Some(Answer::Failed(error)) => Err(status(error)),
            Some(answer) => Ok(answer),
            None => Err(Status::internal("a relayed call was answered with nothing")),
        };
        if let Some(told) = told {
            let _ = told.send(answer);
        }
    }

    fn with(&self, status: &Status) {
        let Some(shared) = self.0.upgrade() else { return };
        let Calls { stream, waiting, .. } = &mut *shared.calls();
        *stream = None;
        for told in std::mem::take(waiting).into_values() {
            let _ = told.send(Err(status.clone()));
        }
    }
}

impl Drop for End {
    /// After an end in order nobody waits any more.
    fn drop(&mut self) {
        self.with(&ended());
    }
}

/// Carries calls until their stream ends, or there is nobody any more who could make one.
async fn run(
    mut client: FleetServiceClient<Carrier>,
    requests: mpsc::UnboundedReceiver<v1::RelayRequest>,
    end: End,
) {
    let status = match client.relay(UnboundedReceiverStream::new(requests)).await {
        Ok(answers) => {
            let mut answers = answers.into_inner();
            loop {
                match answers.message().await {
                    Ok(Some(response)) => end.answer(response),
                    Ok(None) => break ended(),
                    Err(status) => break status,
                }
            }
        }
        Err(status) => status,
    };
    end.with(&status);
}

fn ended() -> Status {
    Status::unavailable("the relay has ended")
}

/// A failure as the call's own status.
fn status(error: v1::CallError) -> Status {
    let v1::CallError { code, message, details } = error;
    Status::with_details(Code::from_i32(code), message, details)
}

#[cfg(test)]
mod tests {
    use federation::{Digest, Evaluation};
    use tokio::io::{DuplexStream, duplex};

    use super::*;
    use crate::uplink::{Retry, Uplink};

    /// A relay that gets no answers but those of its test, and the other end of its connection.
    async fn relay() -> (Relay, DuplexStream) {
        let (here, there) = duplex(1 << 10);
        let carrier = Carrier::on(here).await.unwrap();
        let client =
            FleetServiceClient::with_origin(carrier, "http://coordinator".parse().unwrap());
        (Relay::over(client), there)
    }

    fn answer(call_id: u64, answer: impl Into<Option<Answer>>) -> v1::RelayResponse {
        v1::RelayResponse { call_id, answer: answer.into() }
    }

    #[tokio::test]
    async fn answers_go_to_whoever_asked() {
        let (relay, _there) = relay().await;
        let [first, second, third] = [(); 3].map(|()| relay.send(v1::RelayRequest::default()));
        let end = End(Arc::downgrade(&relay.0));
        let retry = |ms| {
            Answer::PushUpdate(v1::PushUpdateResponse {
                result: None,
                idle: Some(v1::Idle { retry_after_ms: ms }),
            })
        };
        let failed = v1::CallError { code: 8, message: "busy".to_owned(), details: "d".into() };
        end.answer(answer(7, retry(7)));
        end.answer(answer(3, None));
        end.answer(answer(2, retry(2)));
        end.answer(answer(2, retry(9)));
        end.answer(answer(1, Answer::Failed(failed)));
        let failed = first.await.unwrap().unwrap_err();
        assert_eq!((failed.code(), failed.message()), (Code::ResourceExhausted, "busy"));
        assert_eq!(failed.details(), b"d");
        assert_eq!(second.await.unwrap().unwrap(), retry(2));
        assert_eq!(third.await.unwrap().unwrap_err().code(), Code::Internal);
    }

    #[tokio::test]
    async fn an_answer_to_another_call_is_not_taken_for_one() {
        let (here, _there) = duplex(1 << 10);
        let uplink = Uplink::on(here).await.unwrap().relaying();
        let end = End(Arc::downgrade(&uplink.relay.as_ref().unwrap().0));
        let (node, model) = ("a".parse().unwrap(), "m".parse().unwrap());
        let evaluation =
            Evaluation { node, model, version: Digest::of(b"v"), samples: 1, correct: 1 };
        let another = Answer::WaitOrder(v1::WaitOrderResponse::default());
        let (reported, ()) =
            tokio::join!(uplink.report(&evaluation), async { end.answer(answer(1, another)) });
        let error = reported.unwrap_err();
        assert_eq!((error.code, error.retry), ("malformed_answer", Retry::Later));
    }

    #[tokio::test]
    async fn whoever_waits_is_told_of_the_end() {
        let (relay, there) = relay().await;
        let waits = relay.send(v1::RelayRequest::default());
        drop(there);
        waits.await.unwrap().unwrap_err();
        let panics = relay.send(v1::RelayRequest::default());
        drop(End(Arc::downgrade(&relay.0)));
        assert_eq!(panics.await.unwrap().unwrap_err().code(), Code::Unavailable);
    }
}
