//! Loads in progress: readers of one key wait for one load.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::drops::Stamp;
use super::entry::Entry;

/// What a load ended with.
pub(super) type Outcome<V, E> = Result<Arc<Entry<V>>, E>;

/// A load in progress, for those who wait for it.
pub(super) struct Flight<V, E> {
    /// The moment at which it began.
    pub(super) began: Stamp,
    outcome: watch::Receiver<Option<Outcome<V, E>>>,
}

impl<V, E> Clone for Flight<V, E> {
    fn clone(&self) -> Self {
        Self { began: self.began, outcome: self.outcome.clone() }
    }
}

/// The load of a key, which its task ends. If the task panics or is aborted, those who wait learn it.
pub(super) struct Load<K: Eq + Hash, V, E> {
    flights: Arc<Flights<K, V, E>>,
    key: K,
    outcome: watch::Sender<Option<Outcome<V, E>>>,
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
        let (sender, receiver) = watch::channel(None);
        let flight = Flight { began: now(), outcome: receiver };
        flights.insert(key.clone(), flight.clone());
        let load = Load { flights: Arc::clone(self), key: key.clone(), outcome: sender };
        Joined::Begins(load, flight)
    }
}

impl<V: Clone, E: Clone> Flight<V, E> {
    /// Waits for the outcome; `None` if the task of the load did not come to an end.
    pub(super) async fn outcome(mut self) -> Option<Outcome<V, E>> {
        let outcome = self.outcome.wait_for(Option::is_some).await.ok()?;
        outcome.clone()
    }
}

impl<K: Eq + Hash, V, E> Load<K, V, E> {
    /// Ends the load.
    pub(super) fn end(self, outcome: Outcome<V, E>) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl<K: Eq + Hash, V, E> Drop for Load<K, V, E> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = |flight: &Flight<V, E>| flight.outcome.same_channel(&self.outcome.subscribe());
        if flights.get(&self.key).is_some_and(is_own) {
            flights.remove(&self.key);
        }
    }
}
