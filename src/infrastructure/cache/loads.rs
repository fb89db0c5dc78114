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
pub(super) struct LoadInProgress<V, E> {
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

impl<V, E> Clone for LoadInProgress<V, E> {
    fn clone(&self) -> Self {
        Self { began: self.began, end: Arc::clone(&self.end) }
    }
}

/// The load of a key, which its task ends. If the task panics or is aborted, those who wait learn it.
pub(super) struct Load<K: Eq + Hash, V, E> {
    loads: Arc<Loads<K, V, E>>,
    key: K,
    end: Arc<End<V, E>>,
}

/// The loads in progress of a cache.
pub(super) struct Loads<K, V, E>(Mutex<HashMap<K, LoadInProgress<V, E>>>);

/// What a reader of a key does.
pub(super) enum Joined<K: Eq + Hash, V, E> {
    /// Waits for a load in progress.
    Waits(LoadInProgress<V, E>),
    /// Begins a load and waits for it.
    Begins(Load<K, V, E>, LoadInProgress<V, E>),
}

impl<K, V, E> Default for Loads<K, V, E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, V, E> Loads<K, V, E> {
    /// Joins the load of a key; begins one, at the moment that `now` returns, if there is none that began at a moment
    /// or later.
    pub(super) fn join(
        self: &Arc<Self>,
        key: &K,
        since: Stamp,
        now: impl FnOnce() -> Stamp,
    ) -> Joined<K, V, E> {
        let mut loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(in_progress) = loads.get(key).filter(|in_progress| in_progress.began >= since) {
            return Joined::Waits(in_progress.clone());
        }
        let end = Arc::new(End { outcome: OnceLock::new(), ended: Notify::new() });
        let in_progress = LoadInProgress { began: now(), end: Arc::clone(&end) };
        loads.insert(key.clone(), in_progress.clone());
        let load = Load { loads: Arc::clone(self), key: key.clone(), end };
        Joined::Begins(load, in_progress)
    }
}

impl<V: Clone, E: Clone> LoadInProgress<V, E> {
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
        let mut loads = self.loads.0.lock().unwrap_or_else(PoisonError::into_inner);
        if loads.get(&self.key).is_some_and(|in_progress| Arc::ptr_eq(&in_progress.end, &self.end)) {
            loads.remove(&self.key);
        }
    }
}
