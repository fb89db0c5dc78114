//! What a connection is waiting for, seen from its stream, its request's body and its handler.
//!
//! All of them only note the change; the connection's task turns it into a deadline once, when it has nothing
//! more to do. So a request costs a few atomic steps and one look at the clock, and no timer of its own.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The rest of a request's head, or, on a new connection, all of it.
    Head,
    /// The handler.
    Handler,
    /// The client, to send more of the body.
    Body,
    /// The client, to take the answer or to ask something else.
    Idle,
    /// The client, to close after it was told why we do not read on.
    Closing,
    /// The handler ran out of time.
    HandlerLate,
    /// The body ran out of time.
    BodyLate,
}

impl Phase {
    const ALL: [Self; 7] =
        [Self::Head, Self::Handler, Self::Body, Self::Idle, Self::Closing, Self::HandlerLate, Self::BodyLate];

    /// Whether a request is being answered.
    pub(super) fn is_request(self) -> bool {
        matches!(self, Self::Handler | Self::Body | Self::HandlerLate | Self::BodyLate)
    }
}

/// The phase of a connection, and how many requests it has begun.
pub(super) struct Watch {
    /// The phase in the lowest three bits; above them, how often it changed.
    state: AtomicU32,
    requests: AtomicU32,
    /// Whether the handler did without the end of the body.
    unread: AtomicBool,
}

/// What was noted until some moment. Two are equal if nothing happened between them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    state: u32,
    /// The number of the request that is or was last answered.
    pub(super) request: u32,
}

impl Noted {
    pub(super) fn phase(self) -> Phase {
        Phase::ALL[(self.state & 0b111) as usize % Phase::ALL.len()]
    }
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU32::new(Phase::Head as u32),
            requests: AtomicU32::new(0),
            unread: AtomicBool::new(false),
        }
    }

    pub(super) fn noted(&self) -> Noted {
        Noted { state: self.state.load(Relaxed), request: self.requests.load(Relaxed) }
    }

    pub(super) fn phase(&self) -> Phase {
        self.noted().phase()
    }

    /// Notes that a request begins.
    pub(super) fn begin(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.unread.store(false, Relaxed);
        self.turn(Phase::Handler, |_| true);
    }

    /// Notes that the handler has answered.
    pub(super) fn answered(&self) {
        self.turn(Phase::Idle, |_| true);
    }

    /// Notes that what was awaited did not come in time. Says whether it was a request, that can be told.
    pub(super) fn late(&self) -> bool {
        match self.phase() {
            Phase::Body => self.turn(Phase::BodyLate, |_| true),
            Phase::Handler => self.turn(Phase::HandlerLate, |_| true),
            _ => return false,
        }
        true
    }

    /// Goes on to another phase from one that `allowed` accepts. That is a compare-and-swap, since a handler may
    /// read its body in another task.
    fn turn(&self, to: Phase, allowed: impl Fn(Phase) -> bool) {
        // refused is as good as done: the phase has already moved on
        let _ = self.state.fetch_update(Relaxed, Relaxed, |state| {
            let now = Noted { state, request: 0 };
            allowed(now.phase()).then(|| (state & !0b111).wrapping_add(0b1000) | to as u32)
        });
    }
}

/// A connection's stream.
pub(super) struct WatchedStream {
    stream: TcpStream,
    watch: Arc<Watch>,
}

impl WatchedStream {
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Self { stream, watch }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.watch.turn(Phase::Idle, |phase| matches!(phase, Phase::Idle | Phase::Head));
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.watch.turn(Phase::Head, |phase| phase == Phase::Idle);
        }
        read
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says that no more is written. Then, if a body was not read to its end, takes what is still sent, until the
    /// client closes or its time is over: to close with bytes unread would reset the connection, and the client
    /// would lose the answer that told it why.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watch.phase() != Phase::Closing {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.watch.turn(Phase::Closing, |_| true);
        }
        let mut thrown_away = [0; 4096];
        while self.watch.unread.load(Relaxed) {
            let mut buf = ReadBuf::new(&mut thrown_away);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A request's body on its way.
pub(super) struct WatchedBody {
    body: Incoming,
    ended: bool,
    watch: Arc<Watch>,
}

impl WatchedBody {
    pub(super) fn new(body: Incoming, watch: Arc<Watch>) -> Self {
        Self { body, ended: false, watch }
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Pending => self.watch.turn(Phase::Body, |phase| phase == Phase::Handler),
            Poll::Ready(Some(Ok(_))) if !self.body.is_end_stream() => {}
            Poll::Ready(_) => {
                self.ended = true;
                self.watch.turn(Phase::Handler, |phase| phase == Phase::Body);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if !self.ended {
            self.watch.unread.store(true, Relaxed);
            self.watch.turn(Phase::Handler, |phase| phase == Phase::Body);
        }
    }
}
