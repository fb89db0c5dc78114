//! Loads in progress: readers of one key share one load, which they run themselves while they wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, FusedFuture, Shared, WeakShared, ready};
use tokio::runtime::Handle;

use super::drops::Stamp;
use super::entry::Entry;

/// What a load ends with.
pub(super) type Outcome<V, E> = Result<Arc<Entry<V>>, E>;

type Load<V, E> = BoxFuture<'static, Outcome<V, E>>;

/// The loads in progress of a cache.
pub(super) struct Loads<K, V, E>(Mutex<Running<K, V, E>>);

struct Running<K, V, E> {
    by_key: HashMap<K, KnownLoad<V, E>>,
    /// The number of loads that began.
    count: u64,
}

/// A load with its number, and the moment at which it began. It ends with its last reader.
struct KnownLoad<V, E> {
    number: u64,
    began: Stamp,
    load: WeakShared<Load<V, E>>,
}

/// A load in progress, for a reader that waits for it.
pub(super) struct LoadInProgress<V, E> {
    /// The moment at which it began.
    pub(super) began: Stamp,
    /// Whether this reader began it.
    pub(super) is_new: bool,
    load: Shared<Load<V, E>>,
}

/// The reader that began a load. If it goes away, the load goes on in a task.
struct FirstReader<V, E>(Shared<Load<V, E>>)
where
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static;

/// A load among those in progress, until it ends or is dropped.
struct Registered<K: Eq + Hash, V, E> {
    loads: Arc<Loads<K, V, E>>,
    key: K,
    number: u64,
}

impl<K, V, E> Default for Loads<K, V, E> {
    fn default() -> Self {
        Self(Mutex::new(Running { by_key: HashMap::new(), count: 0 }))
    }
}

impl<K, V, E> Loads<K, V, E>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Joins the load of a key. If there is none that began at a moment or later, the outcome is what `kept` returns:
    /// an entry that a load has put in which ended after this reader looked for one. Otherwise a load begins, which
    /// `begin` returns with the moment at which it begins.
    pub(super) fn join<F>(
        self: &Arc<Self>,
        key: &K,
        since: Stamp,
        kept: impl FnOnce() -> Option<Arc<Entry<V>>>,
        begin: impl FnOnce() -> (Stamp, F),
    ) -> LoadInProgress<V, E>
    where
        F: Future<Output = Outcome<V, E>> + Send + 'static,
    {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(KnownLoad { began, load, .. }) = running.by_key.get(key)
            && *began >= since
            && let Some(load) = load.upgrade()
        {
            return LoadInProgress { began: *began, is_new: false, load };
        }
        // a load puts its entry in before it is no longer among those in progress
        if let Some(entry) = kept() {
            let began = entry.history.began;
            return LoadInProgress { began, is_new: false, load: ready(Ok(entry)).boxed().shared() };
        }

        let (began, load) = begin();
        running.count += 1;
        let registered = Registered { loads: Arc::clone(self), key: key.clone(), number: running.count };
        let load = load.map(move |outcome| {
            drop(registered);
            outcome
        });
        let load = load.boxed().shared();
        if let Some(weak) = load.downgrade() {
            let number = running.count;
            running.by_key.insert(key.clone(), KnownLoad { number, began, load: weak });
        }
        LoadInProgress { began, is_new: true, load }
    }
}

impl<V, E> LoadInProgress<V, E>
where
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Waits for the outcome, and runs the load meanwhile.
    pub(super) async fn outcome(self) -> Outcome<V, E> {
        if self.is_new { FirstReader(self.load).await } else { self.load.await }
    }
}

impl<V, E> Future for FirstReader<V, E>
where
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    type Output = Outcome<V, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context)
    }
}

impl<V, E> Drop for FirstReader<V, E>
where
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    fn drop(&mut self) {
        if !self.0.is_terminated()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(self.0.clone());
        }
    }
}

impl<K: Eq + Hash, V, E> Drop for Registered<K, V, E> {
    fn drop(&mut self) {
        let mut running = self.loads.0.lock().unwrap_or_else(PoisonError::into_inner);
        // a later load of the key may have taken its place
        if running.by_key.get(&self.key).is_some_and(|known| known.number == self.number) {
            running.by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::infrastructure::cache::drops::KnownLog;
    use crate::infrastructure::cache::entry::{History, Loaded, Source};

    fn entry(value: u32) -> Arc<Entry<u32>> {
        let history = History { began: Stamp::default(), known: KnownLog::default(), source: Source::Load };
        let loaded = Loaded { value: Some(value), tags: Vec::new(), bytes: 4 };
        Arc::new(Entry::new(loaded, history, Timestamp::UNIX_EPOCH, Timestamp::MAX))
    }

    #[tokio::test]
    async fn a_load_that_ended_since_the_reader_looked_is_not_begun_again() {
        let loads: Arc<Loads<&str, u32, ()>> = Arc::default();
        let load = async |value| Ok(entry(value));
        let first = loads.join(&"tea", Stamp::default(), || None, || (Stamp::default(), load(1)));
        let joined = loads.join(&"tea", Stamp::default(), || Some(entry(2)), || (Stamp::default(), load(3)));
        assert!(first.is_new && !joined.is_new);
        assert_eq!(first.outcome().await.unwrap().value(), Some(&1));
        assert_eq!(joined.outcome().await.unwrap().value(), Some(&1), "it was in progress");

        let ended = loads.join(&"tea", Stamp::default(), || Some(entry(2)), || (Stamp::default(), load(3)));
        assert!(!ended.is_new);
        assert_eq!(ended.outcome().await.unwrap().value(), Some(&2));
        let begun = loads.join(&"tea", Stamp::default(), || None, || (Stamp::default(), load(3)));
        assert!(begun.is_new);
        assert_eq!(begun.outcome().await.unwrap().value(), Some(&3));
    }
}
