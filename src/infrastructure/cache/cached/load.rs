//! Loads of a cache: one for all readers of a key, from the shared store or the source.

use std::fmt;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::SignedDuration;
use tokio::time::{sleep, timeout};

use super::{Cached, Inner, LoadError};
use crate::domain::time::later;
use crate::infrastructure::cache::drops::{KnownLog, Stamp};
use crate::infrastructure::cache::entry::{Entry, Source};
use crate::infrastructure::cache::loads::{self, LoadInProgress};
use crate::infrastructure::cache::read::{Outcome, Read};
use crate::infrastructure::cache::shared_tier::{Found, Shape, SharedTier, Turn};

/// The waits before the looks after a load. What is loaded right after a change cannot be shared before everything up
/// to the change is known, for which a look of PostgreSQL asks once in this time.
const LOOKS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(100)];

/// What a load ends with.
type LoadOutcome<V, E> = loads::Outcome<V, LoadError<E>>;

/// How a reader waits for a load.
#[derive(Clone, Copy)]
enum Reader {
    /// It runs the load itself.
    Alone,
    /// It has something to serve after the soft time-out, and must not be kept from that by the load.
    WithFallback,
}

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
            Some(entry) if entry.is_paused(inner.context.clock.coarse_now(), &inner.drops) => {
                inner.counters.stale.add(1);
                inner.counters.fallbacks.add(1);
                return Ok(self.checked(key, Arc::clone(entry), Outcome::Fallback).await);
            }
            Some(_) => {
                let load = self.load_current(key, Reader::WithFallback);
                let in_time = timeout(inner.policy.soft_timeout, load).await;
                in_time.unwrap_or((Err(LoadError::TimedOut), false))
            }
            None => self.load_current(key, Reader::Alone).await,
        };

        match (outcome, fallback) {
            (Ok(entry), _) => {
                let outcome = match entry.history.source {
                    Source::Shared => Outcome::Shared,
                    Source::Load | Source::Commit => Outcome::Loaded { was_kept, collapsed },
                };
                // what another reader loaded may be older than this one
                if collapsed {
                    Ok(self.checked(key, entry, outcome).await)
                } else {
                    Ok(Read { entry, outcome })
                }
            }
            (Err(_), Some(entry)) => {
                self.pause(&entry, asked);
                inner.counters.fallbacks.add(1);
                Ok(self.checked(key, entry, Outcome::Fallback).await)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Lets an entry be served without a further load for a while, after one failed that sees what was dropped until a
    /// moment.
    pub(super) fn pause(&self, entry: &Entry<V>, moment: Stamp) {
        let Inner { policy, jitter, context, .. } = &*self.0;
        let pause = SignedDuration::try_from(policy.pause_for(jitter.next())).unwrap_or(SignedDuration::MAX);
        entry.pause(moment, later(context.clock.now(), pause));
    }

    /// Waits for a load, and for a second one if the first began before a drop of what it loaded. Returns the outcome,
    /// and whether another reader began the load.
    async fn load_current(&self, key: &K, reader: Reader) -> (LoadOutcome<V, E>, bool) {
        let inner = &*self.0;
        let asked = inner.drops.now();
        let first = self.join_or_load(key, Stamp::default());
        let (began, is_new) = (first.began, first.is_new);
        let counter = if is_new { &inner.counters.loads } else { &inner.counters.waits };
        counter.add(1);
        let outcome = reader.wait_for(first).await;
        let is_old = match &outcome {
            Ok(entry) => !entry.began_since(asked) && !entry.is_current(&inner.drops),
            // what it failed for may have been dropped since
            Err(_) => began < asked,
        };
        if !is_old {
            return (outcome, !is_new);
        }

        let second = self.join_or_load(key, asked);
        let is_new = second.is_new;
        inner.counters.refreshes.add(is_new.into());
        (reader.wait_for(second).await, !is_new)
    }

    /// Joins the load of a key; begins one if there is none that began at a moment or later, and no fresh entry, which
    /// another reader may have loaded meanwhile. It does not end with this reader.
    fn join_or_load(&self, key: &K, since: Stamp) -> LoadInProgress<V, LoadError<E>> {
        let Inner { entries, drops, context, .. } = &*self.0;
        let is_fresh = |entry: &Arc<Entry<V>>| entry.is_fresh(context.clock.coarse_now(), drops);
        // a look for a key that is not there would count as a further read, by which moka chooses what it keeps
        let kept = || entries.contains_key(key).then(|| entries.get(key)).flatten();
        self.join(key, since, || kept().filter(is_fresh))
    }

    /// Joins the load of a key, or begins one, although there may be a fresh entry.
    pub(super) fn join_or_load_again(&self, key: &K) -> LoadInProgress<V, LoadError<E>> {
        self.join(key, Stamp::default(), || None)
    }

    fn join(
        &self,
        key: &K,
        since: Stamp,
        kept: impl FnOnce() -> Option<Arc<Entry<V>>>,
    ) -> LoadInProgress<V, LoadError<E>> {
        let inner = &*self.0;
        inner.loads.join(key, since, kept, || {
            let began = inner.drops.now();
            let load = AssertUnwindSafe(self.clone().run_load(key.clone(), began)).catch_unwind();
            (began, load.map(|ended| ended.unwrap_or(Err(LoadError::Panicked))))
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
        let shared = inner.shared.as_ref().filter(|_| inner.drops.follows_log());
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
        let turn = match found {
            Found::Entry(entry) => {
                inner.counters.shared.add(1);
                let entry = self.keep(key.clone(), entry);
                return Ok(self.checked(&key, entry, Outcome::Shared).await.entry);
            }
            Found::ToLoad(turn) => turn,
        };

        let loaded = (inner.load)(key.clone()).await.map_err(LoadError::Failed);
        let outcome = loaded.map(|loaded| {
            inner.counters.from_source.add(1);
            self.keep(key.clone(), self.entry(loaded, history))
        });
        if let Some(shared) = shared.cloned() {
            // no reader waits for it
            let entry = outcome.as_ref().ok().map(Arc::clone);
            tokio::spawn(self.clone().share(shared, key, entry, turn));
        }
        outcome
    }

    /// Puts an entry that was loaded into the shared store, if it may be there, and lets other processes load the key.
    async fn share(self, shared: SharedTier, key: K, entry: Option<Arc<Entry<V>>>, turn: Option<Turn>) {
        if let Some(entry) = entry.filter(|entry| self.keeps(entry) && entry.is_tagged())
            && let Some(known) = self.claim_of(&entry).await
        {
            shared.put(&self.0.policy, &key, &entry, known).await;
        }
        if let Some(turn) = turn {
            shared.end_turn(turn).await;
        }
    }

    /// Returns what an entry that was loaded claims that was known of the log when its load began; `None` if it was
    /// dropped meanwhile, or no other process could use it.
    ///
    /// The load may have read changes that were not known then. After the drops are caught up with, those that concern
    /// the entry are known: one that is current has none of them, and so nothing that its claim does not name.
    async fn claim_of(&self, entry: &Entry<V>) -> Option<KnownLog> {
        let Inner { drops, catch_up, .. } = &*self.0;
        for wait in LOOKS {
            sleep(wait).await;
            if let Some(catch_up) = catch_up
                && !catch_up().await
            {
                return None;
            }
            // in this order: what becomes known in between may concern the entry
            let claim = drops.completed(entry.history.known);
            if !entry.is_current(drops) {
                return None;
            }
            if drops.is_current_at(claim, &entry.tags) {
                return Some(claim);
            }
        }
        None
    }
}

impl Reader {
    async fn wait_for<V, E>(self, load: LoadInProgress<V, LoadError<E>>) -> LoadOutcome<V, E>
    where
        V: Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
    {
        match self {
            Self::Alone => load.outcome().await,
            Self::WithFallback => tokio::spawn(load.outcome()).await.unwrap_or(Err(LoadError::Panicked)),
        }
    }
}
