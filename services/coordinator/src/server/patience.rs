//! Connections that end when the other side takes its time: to open HTTP/2, or to take what is sent to it.
//!
//! HTTP/2 has a keepalive, but it begins after the opening; HTTP/1 has a time for a head, but none for an answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Bytes of the preface, `PRI * HTTP/2.0` and so on.
const PREFACE_BYTES: usize = 24;
/// Bytes of a frame's head, which begins with the length of the rest in 3 bytes.
const FRAME_HEAD_BYTES: usize = 9;

/// A connection with a limit to its patience.
#[derive(Debug)]
pub(crate) struct Patient<IO> {
    io: IO,
    opening: Option<Box<Opening>>,
    stall: Option<Duration>,
    stalled: Option<Pin<Box<Sleep>>>,
}

/// What has come of an HTTP/2 connection's opening.
#[derive(Debug)]
struct Opening {
    until: Pin<Box<Sleep>>,
    head: [u8; PREFACE_BYTES + 3],
    got: usize,
}

impl<IO> Patient<IO> {
    /// A connection that must open as HTTP/2 within `time`.
    pub(crate) fn opening(io: IO, time: Duration) -> Self {
        let until = Box::pin(sleep(time));
        let opening = Opening { until, head: [0; PREFACE_BYTES + 3], got: 0 };
        Self { io, opening: Some(Box::new(opening)), stall: None, stalled: None }
    }

    /// A connection whose other side must take something of what it is sent within `time`.
    pub(crate) fn taking(io: IO, time: Duration) -> Self {
        Self { io, opening: None, stall: Some(time), stalled: None }
    }

    /// Looks at what came of a write: one that has to wait may do so for a time.
    fn taken<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(time) = self.stall else { return polled };
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let until = Instant::now() + time;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if stalled.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(too_slow("nothing of the answer was taken for too long")));
        }
        Poll::Pending
    }
}

impl Opening {
    fn take(&mut self, bytes: &[u8]) {
        let room = self.head.get_mut(self.got..).unwrap_or_default();
        let known = room.len().min(bytes.len());
        room[..known].copy_from_slice(&bytes[..known]);
        self.got += bytes.len();
    }

    /// Whether the preface and one frame are there. That the frame holds settings is for HTTP/2 to see.
    fn is_whole(&self) -> bool {
        let [.., a, b, c] = self.head;
        let frame = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.got >= self.head.len() && self.got >= PREFACE_BYTES + FRAME_HEAD_BYTES + frame
    }
}

fn too_slow(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<IO: AsyncRead + Unpin> AsyncRead for Patient<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let Some(opening) = &mut self.opening else { return polled };
        opening.take(buf.filled().get(before..).unwrap_or_default());
        if opening.is_whole() {
            self.opening = None;
        } else if opening.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(too_slow("the connection did not open as HTTP/2 in time")));
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Patient<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.taken(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.taken(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.taken(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.taken(cx, polled)
    }
}
