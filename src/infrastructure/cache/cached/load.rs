//! Loads of a cache: one for all readers of a key, from the shared store or the source.

use std::fmt;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use jiff::SignedDuration;
use tokio::time::{sleep, timeout};

use super::{Cached, Inner, LoadError};
use crate::domain::time::later;
use crate::infrastructure::cache::drops::{KnownLog, Stamp};
use crate::infrastructure::cache::entry::{Entry, Loaded, Source};
use crate::infrastructure::cache::loads::{LoadInProgress, Loads};
use crate::infrastructure::cache::read::{Outcome, Read};
use crate::infrastructure::cache::shared_tier::{Found, Shape, SharedTier, Turn};

/// The waits before the looks after a load. What is loaded right after a change cannot be shared before everything up
/// to the change is known, for which a look of PostgreSQL asks once in this time.
const LOOKS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(100)];

/// The loads of one key each, by the key.
pub(super) type LoadsOfOne<K, V, E> = Loads<K, Arc<Entry<V>>, LoadError<E>>;

/// A key with its entry.
pub(super) type KeyEntry<K, V> = (K, Arc<Entry<V>>);

/// What a load ends with.
type LoadOutcome<V, E> = Result<Arc<Entry<V>>, LoadError<E>>;

impl<K, V, E> Cached<K, V, E>
where
    K: Eq + Hash + Clone + fmt::Display + Send + Sync + 'static,
    V: Shape + Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Loads the entry of a key, which is not in memory or not current; serves what was known if the policy allows that
    /// and it cannot be loaded.
    pub(super) async fn load(&self, key: &K, known: Option<Arc<Entry<V>>>) -> Result<Read<V>, LoadError<E>> {
        let inner = &*self.0;
        let was_kept = known.is_some();
        let fallback = known.filter(|entry| self.is_fallback(entry));
        let asked = inner.drops.now();
        let (outcome, collapsed) = match &fallback {
            Some(entry) if self.is_paused(entry) => {
                inner.counters.stale.add(1);
                inner.counters.fallbacks.add(1);
                return Ok(self.checked(key, Arc::clone(entry), Outcome::Fallback).await);
            }
            Some(entry) => {
                // in a task: the load must not keep this reader from what it has to serve
                let load = tokio::spawn(self.clone().load_or_pause(key.clone(), asked, Arc::clone(entry)));
                if let Ok(ended) = timeout(inner.policy.soft_timeout, load).await {
                    ended.unwrap_or((Err(LoadError::Panicked), false))
                } else {
                    self.pause(entry, asked);
                    (Err(LoadError::TimedOut), false)
                }
            }
            None => self.load_current(key, asked).await,
        };

        match (outcome, fallback) {
            (Ok(entry), _) => {
                let outcome = Outcome::of(&entry, was_kept, collapsed);
                // what another reader loaded may be older than this one
                if collapsed {
                    Ok(self.checked(key, entry, outcome).await)
                } else {
                    Ok(Read::new(entry, outcome))
                }
            }
            (Err(_), Some(entry)) => {
                inner.counters.fallbacks.add(1);
                Ok(self.checked(key, entry, Outcome::Fallback).await)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Loads for a reader that has an entry to serve, also when it does not wait any more. If the load fails, the entry
    /// is not loaded again for a while from then on.
    async fn load_or_pause(self, key: K, asked: Stamp, kept: Arc<Entry<V>>) -> (LoadOutcome<V, E>, bool) {
        // the load of another reader may have failed since this one looked
        if self.is_paused(&kept) {
            self.0.counters.stale.add(1);
            return (Err(LoadError::TimedOut), true);
        }
        let (outcome, collapsed) = self.load_current(&key, asked).await;
        if outcome.is_err() {
            self.pause(&kept, asked);
        }
        (outcome, collapsed)
    }

    /// Returns whether an entry is served without a further load.
    pub(super) fn is_paused(&self, entry: &Entry<V>) -> bool {
        let Inner { context, spans, drops, .. } = &*self.0;
        entry.is_paused(context.clock.coarse_now(), spans.pause, drops)
    }

    /// Lets an entry be served without a further load for a while, because one failed or is slow. A drop after a
    /// moment, which that load may not see, ends the pause.
    pub(super) fn pause(&self, entry: &Entry<V>, moment: Stamp) {
        let Inner { policy, jitter, context, .. } = &*self.0;
        let pause = SignedDuration::try_from(policy.pause_for(jitter.next())).unwrap_or(SignedDuration::MAX);
        // by the clock with which reads compare it: it is not longer for them
        entry.pause(moment, later(context.clock.coarse_now(), pause));
    }

    /// Waits for a load of a key, see [`Cached::wait_for`].
    async fn load_current(&self, key: &K, asked: Stamp) -> (LoadOutcome<V, E>, bool) {
        let is_current = |entry: &Arc<Entry<V>>| self.is_of_now(entry, asked);
        self.wait_for(1, asked, |since| self.join_or_load(key, since), is_current).await
    }

    /// Waits for a load of so many keys, and for a second one if the first began before a drop of what it loaded, for a
    /// reader that asked at a moment. Returns the outcome, and whether another reader began the load.
    pub(super) async fn wait_for<T>(
        &self,
        keys: u64,
        asked: Stamp,
        join: impl Fn(Stamp) -> LoadInProgress<T, LoadError<E>>,
        is_current: impl Fn(&T) -> bool,
    ) -> (Result<T, LoadError<E>>, bool)
    where
        T: Clone + Send + Sync + 'static,
    {
        let counters = &*self.0.counters;
        let first = join(Stamp::default());
        let (began, is_new) = (first.began, first.is_new);
        let counter = if is_new { &counters.loads } else { &counters.waits };
        counter.add(keys);
        let outcome = first.outcome().await;
        // what it failed for may have been dropped since, too
        if began >= asked || outcome.as_ref().is_ok_and(is_current) {
            return (outcome, !is_new);
        }

        let second = join(asked);
        let is_new = second.is_new;
        if is_new {
            counters.refreshes.add(keys);
        }
        (second.outcome().await, !is_new)
    }

    /// Returns whether an entry is right for a reader that asked at a moment.
    pub(super) fn is_of_now(&self, entry: &Entry<V>, asked: Stamp) -> bool {
        entry.began_since(asked) || entry.is_current(&self.0.drops)
    }

    /// Joins the load of a key; begins one if there is none that began at a moment or later, and no fresh entry, which
    /// another reader may have loaded meanwhile. It does not end with this reader.
    fn join_or_load(&self, key: &K, since: Stamp) -> LoadInProgress<Arc<Entry<V>>, LoadError<E>> {
        self.join(key, since, || self.kept(key))
    }

    /// Returns the fresh entry of a key that another reader has loaded meanwhile.
    pub(super) fn kept(&self, key: &K) -> Option<Arc<Entry<V>>> {
        let Inner { entries, drops, context, .. } = &*self.0;
        // a look for a key that is not there would count as a further read, by which moka chooses what it keeps
        let kept = entries.contains_key(key).then(|| entries.get(key)).flatten();
        kept.filter(|entry| entry.is_fresh(context.clock.coarse_now(), drops))
    }

    /// Joins the load of a key, or begins one, although there may be a fresh entry.
    pub(super) fn join_or_load_again(&self, key: &K) -> LoadInProgress<Arc<Entry<V>>, LoadError<E>> {
        self.join(key, Stamp::default(), || None)
    }

    fn join(
        &self,
        key: &K,
        since: Stamp,
        kept: impl FnOnce() -> Option<Arc<Entry<V>>>,
    ) -> LoadInProgress<Arc<Entry<V>>, LoadError<E>> {
        let inner = &*self.0;
        let kept = || kept().map(|entry| (entry.history.began, entry));
        inner.loads.join(key, since, kept, || {
            let began = inner.drops.now();
            (began, caught(self.clone().run_load(key.clone(), began)))
        })
    }

    /// Finds the entry of a key in the shared store, or loads it, in bounded time.
    async fn run_load(self, key: K, began: Stamp) -> LoadOutcome<V, E> {
        let counters = Arc::clone(&self.0.counters);
        let in_time = timeout(self.0.policy.hard_timeout, self.find_or_load(key, began)).await;
        let outcome = in_time.unwrap_or(Err(LoadError::TimedOut));
        if outcome.is_err() {
            counters.failures.add(1);
        }
        outcome
    }

    async fn find_or_load(self, key: K, began: Stamp) -> LoadOutcome<V, E> {
        let inner = &*self.0;
        let history = self.history(began, Source::Load);
        let shared = self.shared_at(history.known);
        let found = match shared {
            Some(shared) => {
                // one that ends no later than that in memory is that which is to be loaded again
                let now = inner.context.clock.now();
                let kept = inner.entries.get(&key).filter(|entry| entry.is_fresh(now, &inner.drops));
                let moment = (began, kept.map_or(now, |entry| entry.fresh_until));
                let known = (&*inner.drops, &*inner.counters);
                // boxed: the future of a load without a shared store stays small
                Box::pin(shared.find(&inner.policy, &key, known, moment)).await
            }
            None => Found::ToLoad(None),
        };
        let mut turn = match found {
            Found::Entry(entry) => return Ok(self.keep_shared(&key, entry).await),
            Found::ToLoad(turn) => turn,
        };

        let load = self.load_from_source(&key);
        let loaded = match (shared, &mut turn) {
            // boxed, too
            (Some(shared), Some(turn)) => Box::pin(shared.load_in_turn(turn, load)).await,
            _ => load.await,
        };
        let outcome = loaded.map(|loaded| {
            inner.counters.from_source.add(1);
            self.keep(key.clone(), self.entry(loaded, history))
        });
        if let Some(shared) = shared.cloned() {
            // no reader waits for it
            let entry = outcome.as_ref().ok().map(|entry| (key, Arc::clone(entry)));
            tokio::spawn(self.clone().share(shared, entry.into_iter().collect(), turn));
        }
        outcome
    }

    /// Returns the shared store for a load that began when this was known of the log; `None` if the load can neither
    /// use anything of it nor put anything into it, and so has no reason to wait for the turn of another process: while
    /// the log is not followed, and while it has no entry. After the source was restored to an earlier state whose log
    /// has none either, nothing would tell what was put in before from what was put in after it.
    pub(super) fn shared_at(&self, known: KnownLog) -> Option<&SharedTier> {
        let Inner { shared, drops, catch_up, .. } = &*self.0;
        let is_usable = catch_up.is_none() || known.last.is_some();
        shared.as_ref().filter(|_| is_usable && drops.follows_log())
    }

    /// Keeps an entry that was in the shared store.
    async fn keep_shared(&self, key: &K, entry: Entry<V>) -> Arc<Entry<V>> {
        self.0.counters.shared.add(1);
        let entry = self.keep(key.clone(), entry);
        self.checked(key, entry, Outcome::Shared).await.entry
    }

    /// Loads the value of a key from the source. A load that panics fails, and so it is counted and ends its turn.
    pub(super) async fn load_from_source(&self, key: &K) -> Result<Loaded<V>, LoadError<E>> {
        caught(async { (self.0.load)(key.clone()).await.map_err(LoadError::Failed) }).await
    }

    /// Puts entries that were loaded together into the shared store, as far as they may be there, and lets other
    /// processes load the key.
    pub(super) async fn share(self, shared: SharedTier, entries: Vec<KeyEntry<K, V>>, turn: Option<Turn>) {
        self.share_current(&shared, entries).await;
        if let Some(turn) = turn {
            shared.end_turn(turn).await;
        }
    }

    /// Puts entries that were loaded together into the shared store. In it, an entry claims what was known of the log
    /// when its load began. One that was dropped meanwhile, or that no other process could use, is left out.
    ///
    /// The load may have read a change that was committed after it began, and that the claim does not have. Such a
    /// change has dropped the entry once the drops are caught up with: an entry that is still current has none.
    async fn share_current(&self, shared: &SharedTier, mut entries: Vec<KeyEntry<K, V>>) {
        let Inner { policy, drops, catch_up, .. } = &*self.0;
        entries.retain(|(_, entry)| self.keeps(entry) && entry.is_tagged());
        for wait in LOOKS {
            // the same for all
            let Some(known) = entries.first().map(|(_, entry)| entry.history.known) else { return };
            sleep(wait).await;
            if let Some(catch_up) = catch_up
                && !catch_up().await
            {
                return;
            }
            // in this order: what becomes known in between may concern the entries
            let claim = drops.completed(known);
            entries.retain(|(_, entry)| entry.is_current(drops));
            let (usable, others): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|(_, entry)| drops.is_current_at(claim, &entry.tags));
            join_all(usable.iter().map(|(key, entry)| shared.put(policy, key, entry, claim))).await;
            entries = others;
        }
    }
}

/// Runs a load. One that panics fails.
pub(super) async fn caught<T, E>(
    load: impl Future<Output = Result<T, LoadError<E>>>,
) -> Result<T, LoadError<E>> {
    AssertUnwindSafe(load).catch_unwind().await.unwrap_or(Err(LoadError::Panicked))
}
