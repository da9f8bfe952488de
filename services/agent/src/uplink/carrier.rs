//! What carries calls: a channel, which connects and connects again, or one connection that is there.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Bytes of answers under way on one connection.
const WINDOW_BYTES: u32 = 4 << 20;

/// A carrier of HTTP/2 requests.
#[derive(Clone, Debug)]
pub(super) enum Carrier {
    /// Connects when it is first used, and again whenever the connection is lost.
    Channel(Channel),
    /// One connection. Whoever calls sends and receives for itself, without a task for each call.
    Line(SendRequest<Bytes>),
}

impl Carrier {
    /// This connection.
    ///
    /// # Errors
    /// When HTTP/2 cannot begin on it.
    pub(super) async fn on<IO>(connection: IO) -> io::Result<Self>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let begun = Builder::new()
            .enable_push(false)
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(connection)
            .await;
        let (requests, connection) = begun.map_err(io::Error::other)?;
        // Whoever calls is told of its end.
        tokio::spawn(async { connection.await.unwrap_or_default() });
        Ok(Self::Line(requests))
    }
}

impl Service<Request<Body>> for Carrier {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Channel(channel) => channel.poll_ready(cx).map_err(Into::into),
            Self::Line(requests) => requests.poll_ready(cx).map_err(Into::into),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            Self::Channel(channel) => {
                let answer = channel.call(request);
                Box::pin(async { Ok(answer.await?) })
            }
            Self::Line(requests) => {
                let (head, body) = request.into_parts();
                let sent =
                    requests.send_request(Request::from_parts(head, ()), body.is_end_stream());
                Box::pin(async { answer(sent?, body).await.map_err(Into::into) })
            }
        }
    }
}

/// Sends a request's body, and waits for the answer's head. What was not sent before it came is sent while the answer is read.
async fn answer(
    (mut answer, stream): (ResponseFuture, SendStream<Bytes>),
    body: Body,
) -> Result<Response<Body>, h2::Error> {
    let mut sending = (!body.is_end_stream()).then(|| Box::pin(send(body, stream)) as Sending);
    let answer = poll_fn(|cx| {
        go_on(&mut sending, cx);
        Pin::new(&mut answer).poll(cx)
    });
    Ok(answer.await?.map(|received| Body::new(Received { received, sending })))
}

/// What there is to send yet.
type Sending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Sends what can be sent now.
fn go_on(sending: &mut Option<Sending>, cx: &mut Context<'_>) {
    if sending.as_mut().is_some_and(|sending| sending.as_mut().poll(cx).is_ready()) {
        *sending = None;
    }
}

/// Sends a body to its end, or as far as the other side takes it: what became of the call is for its answer to say.
async fn send(mut body: Body, mut stream: SendStream<Bytes>) {
    let mut next = frame(&mut body).await;
    while let Some(frame) = next {
        // What a client sends has no trailers.
        let Some(data) = frame.ok().and_then(|frame| frame.into_data().ok()) else {
            return stream.send_reset(Reason::CANCEL);
        };
        // Any room will do for a whole frame: the next one waits until this has gone.
        stream.reserve_capacity(1);
        while stream.capacity() == 0 {
            let Some(Ok(_)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
        }
        // As a rule the last frame is known to be the last one before it is sent.
        let after = poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx))).await;
        let ends = matches!(after, Poll::Ready(None));
        if stream.send_data(data, ends).is_err() || ends {
            return;
        }
        next = match after {
            Poll::Ready(next) => next,
            Poll::Pending => self::frame(&mut body).await,
        };
    }
    // An error is the answer's, too.
    let _ = stream.send_data(Bytes::new(), true);
}

/// The next frame of a body.
async fn frame(body: &mut Body) -> Option<Result<Frame<Bytes>, Status>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// An answer's body, and what is left of the request's.
struct Received {
    received: RecvStream,
    sending: Option<Sending>,
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Self { received, sending } = &mut *self;
        go_on(sending, cx);
        let frame = match ready!(received.poll_data(cx)) {
            Some(Ok(data)) => {
                // It fails only where there is no stream any more, and so nothing to make room for.
                let _ = received.flow_control().release_capacity(data.len());
                Some(Ok(Frame::data(data)))
            }
            Some(Err(error)) => Some(Err(error)),
            None => {
                ready!(received.poll_trailers(cx)).map(|some| some.map(Frame::trailers)).transpose()
            }
        };
        // So whoever answered before the end of a request says that it needs no more of it (RFC 9113, section 8.1).
        let over = |error: &h2::Error| error.is_reset() && error.reason() == Some(Reason::NO_ERROR);
        Poll::Ready(frame.filter(|frame| !frame.as_ref().is_err_and(over)))
    }

    fn is_end_stream(&self) -> bool {
        self.received.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// A body of these frames, each of which is there when it is asked for a second time.
    #[derive(Debug)]
    struct Frames(VecDeque<Bytes>, bool);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.1 = !self.1;
            if self.1 && !self.0.is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    async fn line() -> (Carrier, h2::server::Connection<DuplexStream, Bytes>) {
        let (here, there) = duplex(1 << 10);
        let (carrier, server) = tokio::join!(Carrier::on(here), h2::server::handshake(there));
        (carrier.unwrap(), server.unwrap())
    }

    fn request(frames: &[usize]) -> Request<Body> {
        let frames = frames.iter().map(|&bytes| vec![7; bytes].into()).collect();
        let mut request = Request::new(Body::new(Frames(frames, false)));
        *request.uri_mut() = "http://coordinator/call".parse().unwrap();
        request
    }

    /// The bytes of a body, and whether trailers came after them.
    async fn read(mut body: Body) -> Result<(usize, bool), BoxError> {
        let (mut bytes, mut trailers) = (0, false);
        while let Some(frame) = frame(&mut body).await {
            match frame?.into_data() {
                Ok(data) => bytes += data.len(),
                Err(_) => trailers = true,
            }
        }
        Ok((bytes, trailers))
    }

    #[tokio::test]
    async fn bodies_larger_than_a_window_go_there_and_come_back() {
        const LARGE: usize = 300_000;
        let (mut carrier, mut server) = line().await;
        let served = tokio::spawn(async move {
            let (request, mut respond) = server.accept().await.unwrap().unwrap();
            let answered = tokio::spawn(async move {
                let (mut body, mut got) = (request.into_body(), 0);
                while let Some(data) = body.data().await {
                    got += data.as_ref().unwrap().len();
                    body.flow_control().release_capacity(data.unwrap().len()).unwrap();
                }
                let mut answer = respond.send_response(Response::new(()), false).unwrap();
                answer.send_data(vec![1; LARGE].into(), false).unwrap();
                answer.send_trailers(http::HeaderMap::new()).unwrap();
                got
            });
            while server.accept().await.is_some() {}
            answered.await.unwrap()
        });
        let answer = carrier.call(request(&[5, LARGE, 0, 100])).await.unwrap();
        assert_eq!(read(answer.into_body()).await.unwrap(), (LARGE, true));
        drop(carrier);
        assert_eq!(served.await.unwrap(), LARGE + 105);
    }

    #[tokio::test]
    async fn an_answer_before_the_end_of_a_body_is_read() {
        let (mut carrier, mut server) = line().await;
        tokio::spawn(async move {
            let (_, mut respond) = server.accept().await.unwrap().unwrap();
            let refused = Response::builder().status(403).body(()).unwrap();
            respond.send_response(refused, true).unwrap();
            drop(respond);
            while server.accept().await.is_some() {}
        });
        let answer = carrier.call(request(&[200_000, 200_000])).await.unwrap();
        assert_eq!(answer.status(), 403);
        assert_eq!(read(answer.into_body()).await.unwrap(), (0, false));
    }

    #[tokio::test]
    async fn a_call_fails_when_its_line_is_lost() {
        let (mut carrier, mut server) = line().await;
        tokio::spawn(async move {
            server.accept().await.unwrap().unwrap();
        });
        carrier.call(request(&[10])).await.unwrap_err();
        carrier.call(request(&[])).await.unwrap_err();
    }
}
