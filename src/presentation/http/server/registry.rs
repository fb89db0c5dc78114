//! The open connections, of which the longest idle ones are closed when there is no room for others.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;

use super::phase::PhaseTracker;

/// One in this many connections is closed at a time, so that the search for them is seldom.
const SHARE: usize = 100;

/// The open connections.
pub(super) struct Registry {
    entries: Mutex<HashMap<u64, Arc<Entry>>>,
    /// Numbers the beginnings and the responses of all connections, in their order.
    sequence: Arc<AtomicU64>,
}

/// An open connection.
pub(super) struct Entry {
    pub(super) tracker: Arc<PhaseTracker>,
    /// The number of the last response, or of the connection's beginning: of two idle connections, that with the lower
    /// number has been idle longer.
    active_at: AtomicU64,
    /// That of the registry.
    sequence: Arc<AtomicU64>,
    closing: AtomicBool,
    close: Notify,
}

impl Entry {
    /// Records that a response begins with its head; returns its body, with whose end the response ends.
    pub(super) fn respond_with(self: &Arc<Self>, body: Body) -> ResponseBody {
        self.tracker.begin_response();
        ResponseBody { body, entry: Arc::clone(self) }
    }

    /// Returns whether the connection is to be closed if it has no request.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    /// Completes when the connection is to be closed.
    pub(super) async fn closing(&self) {
        self.close.notified().await;
    }
}

/// An entry that is removed from its registry when it is dropped.
pub(super) struct Registered<'a> {
    registry: &'a Registry,
    id: u64,
    pub(super) entry: Arc<Entry>,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { entries: Mutex::default(), sequence: Arc::default() }
    }

    /// Adds a connection.
    pub(super) fn register(&self) -> Registered<'_> {
        let id = self.sequence.fetch_add(1, Relaxed);
        let entry = Arc::new(Entry {
            tracker: Arc::new(PhaseTracker::new()),
            active_at: AtomicU64::new(id),
            sequence: Arc::clone(&self.sequence),
            closing: AtomicBool::new(false),
            close: Notify::new(),
        });
        self.entries().insert(id, Arc::clone(&entry));
        Registered { registry: self, id, entry }
    }

    /// Closes connections without a request: those that have had none for the longest time, at least one if there is
    /// any. Returns how many.
    pub(super) fn close_idle(&self) -> usize {
        let entries = self.entries();
        let idle = |entry: &&Arc<Entry>| !entry.tracker.phase().is_request() && !entry.is_closing();
        let mut idle: Vec<_> = entries.values().filter(idle).collect();
        let count = idle.len().min(entries.len().div_ceil(SHARE));
        if count == 0 {
            return 0;
        }

        idle.select_nth_unstable_by_key(count - 1, |entry| entry.active_at.load(Relaxed));
        for entry in &idle[..count] {
            entry.closing.store(true, Relaxed);
            entry.close.notify_one();
        }
        count
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a response. The connection drops it when it has the last of it.
pub(super) struct ResponseBody {
    body: Body,
    entry: Arc<Entry>,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let number = self.entry.sequence.fetch_add(1, Relaxed);
        self.entry.active_at.store(number, Relaxed);
        self.entry.tracker.end_response();
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.registry.entries().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_connection_is_closed_and_never_one_with_a_request() {
        let registry = Registry::new();
        let (busy, old, new) = (registry.register(), registry.register(), registry.register());
        busy.entry.tracker.begin_request();
        new.entry.tracker.begin_request();
        drop(new.entry.respond_with(Body::empty()));

        assert_eq!(registry.close_idle(), 1);
        assert_eq!([&busy, &old, &new].map(|it| it.entry.is_closing()), [false, true, false]);
        drop(old);
        assert_eq!(registry.close_idle(), 1);
        assert_eq!([&busy, &new].map(|it| it.entry.is_closing()), [false, true]);
        assert_eq!(registry.close_idle(), 0, "the last one has a request");

        let body = busy.entry.respond_with(Body::from("late"));
        assert_eq!(registry.close_idle(), 0, "the last one has a response that is not written yet");
        drop(body);
        assert_eq!(registry.close_idle(), 1);
    }
}
