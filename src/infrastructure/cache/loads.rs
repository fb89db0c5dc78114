//! Loads in progress: readers of one key wait for one load.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use super::drops::Stamp;
use super::entry::Entry;

/// What a load ended with.
pub(super) type Outcome<V, E> = Result<Arc<Entry<V>>, E>;

/// A load in progress, for those who wait for it.
pub(super) struct Flight<V, E> {
    /// The moment at which it began.
    pub(super) began: Stamp,
    end: Arc<End<V, E>>,
}

/// The end of a load.
struct End<V, E> {
    /// `None` if the load was dropped before it had one.
    outcome: OnceLock<Option<Outcome<V, E>>>,
    ended: Notify,
}

impl<V, E> Clone for Flight<V, E> {
    fn clone(&self) -> Self {
        Self { began: self.began, end: Arc::clone(&self.end) }
    }
}

/// The load of a key, which its task ends. If the task panics or is aborted, those who wait learn it.
pub(super) struct Load<K: Eq + Hash, V, E> {
    flights: Arc<Flights<K, V, E>>,
    key: K,
    end: Arc<End<V, E>>,
}

/// The loads in progress of a cache.
pub(super) struct Flights<K, V, E>(Mutex<HashMap<K, Flight<V, E>>>);

/// What a reader of a key does.
pub(super) enum Joined<K: Eq + Hash, V, E> {
    /// Waits for a load in progress.
    Waits(Flight<V, E>),
    /// Begins a load and waits for it.
    Begins(Load<K, V, E>, Flight<V, E>),
}

impl<K, V, E> Default for Flights<K, V, E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, V, E> Flights<K, V, E> {
    /// Joins the load of a key; begins one, at the moment that `now` returns, if there is none that began at a moment
    /// or later.
    pub(super) fn join(
        self: &Arc<Self>,
        key: &K,
        since: Stamp,
        now: impl FnOnce() -> Stamp,
    ) -> Joined<K, V, E> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key).filter(|flight| flight.began >= since) {
            return Joined::Waits(flight.clone());
        }
        let end = Arc::new(End { outcome: OnceLock::new(), ended: Notify::new() });
        let flight = Flight { began: now(), end: Arc::clone(&end) };
        flights.insert(key.clone(), flight.clone());
        let load = Load { flights: Arc::clone(self), key: key.clone(), end };
        Joined::Begins(load, flight)
    }
}

impl<V: Clone, E: Clone> Flight<V, E> {
    /// Waits for the outcome; `None` if the task of the load did not come to an end.
    pub(super) async fn outcome(self) -> Option<Outcome<V, E>> {
        let ended = self.end.ended.notified();
        if self.end.outcome.get().is_none() {
            ended.await;
        }
        self.end.outcome.get()?.clone()
    }
}

impl<K: Eq + Hash, V, E> Load<K, V, E> {
    /// Ends the load.
    pub(super) fn end(self, outcome: Outcome<V, E>) {
        // it has no other yet
        let _ = self.end.outcome.set(Some(outcome));
    }
}

impl<K: Eq + Hash, V, E> Drop for Load<K, V, E> {
    fn drop(&mut self) {
        // unless it came to its end
        let _ = self.end.outcome.set(None);
        self.end.ended.notify_waiters();
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(&flight.end, &self.end)) {
            flights.remove(&self.key);
        }
    }
}
