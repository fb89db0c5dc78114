//! Loads in progress: readers of one key share one load, which they run themselves while they wait. So do readers of
//! several keys that are loaded together, for which the list of them is the key.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, FusedFuture, Shared, WeakShared, ready};
use tokio::runtime::Handle;

use super::drops::Stamp;

type Load<T, E> = BoxFuture<'static, Result<T, E>>;

/// The loads in progress of a cache: of entries, each of one key, or of lists of them.
pub(super) struct Loads<K, T, E>(Mutex<Running<K, T, E>>);

struct Running<K, T, E> {
    by_key: HashMap<K, KnownLoad<T, E>>,
    /// The number of loads that began.
    count: u64,
}

/// A load with its number, and the moment at which it began. It ends with its last reader.
struct KnownLoad<T, E> {
    number: u64,
    began: Stamp,
    load: WeakShared<Load<T, E>>,
}

/// A load in progress, for a reader that waits for it.
pub(super) struct LoadInProgress<T, E> {
    /// The moment at which it began.
    pub(super) began: Stamp,
    /// Whether this reader began it.
    pub(super) is_new: bool,
    load: Shared<Load<T, E>>,
}

/// The reader that began a load. If it goes away, the load goes on in a task.
struct FirstReader<T, E>(Shared<Load<T, E>>)
where
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static;

/// A load among those in progress, until it ends or is dropped.
struct Registered<K: Eq + Hash, T, E> {
    loads: Arc<Loads<K, T, E>>,
    key: K,
    number: u64,
}

impl<K, T, E> Default for Loads<K, T, E> {
    fn default() -> Self {
        Self(Mutex::new(Running { by_key: HashMap::new(), count: 0 }))
    }
}

impl<K, T, E> Loads<K, T, E>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Joins the load of a key. If there is none that began at a moment or later, the outcome is what `kept` returns
    /// with the moment at which its load began: what a load has put in which ended after this reader looked for it.
    /// Otherwise a load begins, which `begin` returns with the moment at which it begins.
    pub(super) fn join<F>(
        self: &Arc<Self>,
        key: &K,
        since: Stamp,
        kept: impl FnOnce() -> Option<(Stamp, T)>,
        begin: impl FnOnce() -> (Stamp, F),
    ) -> LoadInProgress<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(KnownLoad { began, load, .. }) = running.by_key.get(key)
            && *began >= since
            && let Some(load) = load.upgrade()
        {
            return LoadInProgress { began: *began, is_new: false, load };
        }
        // a load puts its entries in before it is no longer among those in progress
        if let Some((began, kept)) = kept() {
            return LoadInProgress { began, is_new: false, load: ready(Ok(kept)).boxed().shared() };
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

impl<T, E> LoadInProgress<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Waits for the outcome, and runs the load meanwhile.
    pub(super) async fn outcome(self) -> Result<T, E> {
        if self.is_new { FirstReader(self.load).await } else { self.load.await }
    }
}

impl<T, E> Future for FirstReader<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context)
    }
}

impl<T, E> Drop for FirstReader<T, E>
where
    T: Clone + Send + Sync + 'static,
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

impl<K: Eq + Hash, T, E> Drop for Registered<K, T, E> {
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
    use super::*;

    #[tokio::test]
    async fn a_load_that_ended_since_the_reader_looked_is_not_begun_again() {
        let loads: Arc<Loads<&str, u32, ()>> = Arc::default();
        let (moment, load) = (Stamp::default(), async |value: u32| Ok(value));
        let first = loads.join(&"tea", moment, || None, || (moment, load(1)));
        let joined = loads.join(&"tea", moment, || Some((moment, 2)), || (moment, load(3)));
        assert!(first.is_new && !joined.is_new);
        assert_eq!(first.outcome().await, Ok(1));
        assert_eq!(joined.outcome().await, Ok(1), "it was in progress");

        let ended = loads.join(&"tea", moment, || Some((moment, 2)), || (moment, load(3)));
        assert!(!ended.is_new);
        assert_eq!(ended.outcome().await, Ok(2));
        let begun = loads.join(&"tea", moment, || None, || (moment, load(3)));
        assert!(begun.is_new);
        assert_eq!(begun.outcome().await, Ok(3));
    }
}
