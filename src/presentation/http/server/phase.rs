//! The phase of a connection, tracked by its stream, its handler, and the bodies of its request and its response.
//!
//! They only record changes. The connection's task computes the deadline from the last one when it has nothing else to
//! do, so that a request costs a few atomic operations and one read of the clock, and no timer of its own.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::infrastructure::middleware::{Late, Lateness};

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The head of a request, or the rest of it.
    Head,
    /// The handler.
    Handler,
    /// More of the request's body.
    Body,
    /// The client, to send another request.
    Idle,
    /// More of the response's body.
    Responding,
    /// The client, to read more of the response.
    Sending,
    /// The client, to close the connection after a response that ends it.
    Closing,
    /// Nothing more: the handler exceeded its time.
    HandlerLate,
    /// Nothing more: the body exceeded its time.
    BodyLate,
}

impl Phase {
    const ALL: [Self; 9] = [
        Self::Head,
        Self::Handler,
        Self::Body,
        Self::Idle,
        Self::Responding,
        Self::Sending,
        Self::Closing,
        Self::HandlerLate,
        Self::BodyLate,
    ];

    /// Whether a request is in progress: its handler runs, or its response is not written yet.
    pub(super) fn is_request(self) -> bool {
        !matches!(self, Self::Head | Self::Idle | Self::Closing)
    }

    /// Whether a request is in progress that waits for its client, to send more of it or to read more of its response.
    pub(super) fn is_waiting_for_client(self) -> bool {
        matches!(self, Self::Body | Self::Sending)
    }
}

/// The phase of a connection and the number of its requests, shared by all that changes them.
pub(super) struct PhaseTracker {
    /// The phase in the lowest four bits; above them, the number of changes.
    state: AtomicU32,
    requests: AtomicU32,
    /// The bytes of the body that have arrived.
    received: AtomicU64,
    /// The bytes that were written since the request began.
    sent: AtomicU64,
    /// Whether the handler dropped the body before its end.
    unread: AtomicBool,
    /// Whether the response has more of its body.
    responding: AtomicBool,
}

/// The state of a [`PhaseTracker`] at one moment. Two are equal if nothing changed between them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot {
    state: u32,
    /// The number of the last request.
    pub(super) request: u32,
}

impl Snapshot {
    pub(super) fn phase(self) -> Phase {
        Phase::ALL[(self.state & 0b1111) as usize % Phase::ALL.len()]
    }
}

/// The bytes that were transferred since a request began.
#[derive(Clone, Copy)]
pub(super) struct Transferred {
    /// Those of its body that have arrived.
    pub(super) received: u64,
    /// Those of its response that were written.
    pub(super) sent: u64,
}

impl PhaseTracker {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU32::new(Phase::Head as u32),
            requests: AtomicU32::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            responding: AtomicBool::new(false),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { state: self.state.load(Relaxed), request: self.requests.load(Relaxed) }
    }

    pub(super) fn phase(&self) -> Phase {
        self.snapshot().phase()
    }

    /// Records that a request begins.
    pub(super) fn begin_request(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.unread.store(false, Relaxed);
        self.received.store(0, Relaxed);
        self.sent.store(0, Relaxed);
        self.change(Phase::Handler, |_| true);
    }

    /// Returns the bytes that were transferred since the last request began.
    pub(super) fn transferred(&self) -> Transferred {
        Transferred { received: self.received.load(Relaxed), sent: self.sent.load(Relaxed) }
    }

    /// Records a write: the client reads, or has to read before more is written.
    pub(super) fn record_write(&self, written: &Poll<io::Result<usize>>) {
        let after = if self.responding.load(Relaxed) { Phase::Responding } else { Phase::Idle };
        let is_after = |phase| matches!(phase, Phase::Idle | Phase::Responding);
        match written {
            Poll::Ready(Ok(length @ 1..)) => {
                self.sent.fetch_add(*length as u64, Relaxed);
                self.change(after, |phase| is_after(phase) || matches!(phase, Phase::Head | Phase::Sending));
            }
            Poll::Pending => self.change(Phase::Sending, is_after),
            Poll::Ready(_) => {}
        }
    }

    /// Records that the handler has responded: the body of its response follows.
    pub(super) fn begin_response(&self) {
        self.responding.store(true, Relaxed);
        self.change(Phase::Responding, |_| true);
    }

    /// Records that the body of the response has ended; the client may still have to read of it.
    pub(super) fn end_response(&self) {
        self.responding.store(false, Relaxed);
        self.change(Phase::Idle, |phase| phase == Phase::Responding);
    }

    /// Returns whether the handler dropped the body before its end.
    pub(super) fn is_body_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Records that the deadline has passed; returns whether a request was in progress, which then gets a response.
    pub(super) fn expire(&self) -> bool {
        match self.phase() {
            Phase::Body => self.change(Phase::BodyLate, |_| true),
            Phase::Handler => self.change(Phase::HandlerLate, |_| true),
            _ => return false,
        }
        true
    }

    /// Changes to another phase if `allowed` accepts the present one. This compares and swaps, because a handler may
    /// read its body in another task.
    fn change(&self, to: Phase, allowed: impl Fn(Phase) -> bool) {
        // no change is no error: the phase has changed meanwhile
        let _ = self.state.fetch_update(Relaxed, Relaxed, |state| {
            let present = Snapshot { state, request: 0 };
            allowed(present.phase()).then(|| (state & !0b1111).wrapping_add(0b1_0000) | to as u32)
        });
    }
}

impl Lateness for PhaseTracker {
    fn late(&self) -> Option<Late> {
        match self.phase() {
            Phase::BodyLate => Some(Late::Body),
            Phase::HandlerLate => Some(Late::Handler),
            _ => None,
        }
    }
}

/// The stream of a connection.
pub(super) struct TrackedStream {
    stream: TcpStream,
    tracker: Arc<PhaseTracker>,
}

impl TrackedStream {
    pub(super) fn new(stream: TcpStream, tracker: Arc<PhaseTracker>) -> Self {
        Self { stream, tracker }
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.tracker.change(Phase::Head, |phase| phase == Phase::Idle);
        }
        read
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.tracker.record_write(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.tracker.record_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Shuts down the writing side. If a body was not read to its end, then reads and discards what the client still
    /// sends, until it closes the connection or its time is over: closing with unread bytes would reset the connection,
    /// and the client would lose the response.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.tracker.phase() != Phase::Closing {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.tracker.change(Phase::Closing, |_| true);
        }
        let mut discarded = [0; 4096];
        while self.tracker.is_body_unread() {
            let mut buf = ReadBuf::new(&mut discarded);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The body of a request.
pub(super) struct TrackedBody {
    body: Incoming,
    ended: bool,
    tracker: Arc<PhaseTracker>,
}

impl TrackedBody {
    pub(super) fn new(body: Incoming, tracker: Arc<PhaseTracker>) -> Self {
        Self { body, ended: false, tracker }
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Pending => self.tracker.change(Phase::Body, |phase| phase == Phase::Handler),
            Poll::Ready(Some(Ok(frame))) if !self.body.is_end_stream() => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.tracker.received.fetch_add(length, Relaxed);
                self.tracker.change(Phase::Body, |phase| phase == Phase::Body);
            }
            Poll::Ready(_) => {
                self.ended = true;
                self.tracker.change(Phase::Handler, |phase| phase == Phase::Body);
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

impl Drop for TrackedBody {
    fn drop(&mut self) {
        if !self.ended {
            self.tracker.unread.store(true, Relaxed);
            self.tracker.change(Phase::Handler, |phase| phase == Phase::Body);
        }
    }
}
