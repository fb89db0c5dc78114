//! A cache of values that are loaded when they are first asked for.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use super::CacheState;
use super::counters::Counters;
use super::drops::{Drops, Stamp};
use super::entry::{Entry, Loaded};
use super::flights::{Flight, Flights, Joined, Load};
use super::policy::Policy;
use super::shared_tier::{Arrival, Shape, SharedTier};
use crate::domain::context::Context;

/// Loads the value of a key.
type Loader<K, V, E> = Arc<dyn Fn(K) -> BoxFuture<'static, Result<Loaded<V>, E>> + Send + Sync>;

/// A value could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError<E> {
    /// The load failed.
    #[error("{0}")]
    Failed(E),
    /// The load took longer than its policy allows.
    #[error("the load took too long")]
    TimedOut,
    /// The load panicked.
    #[error("the load panicked")]
    Panicked,
    /// There is no value for the key.
    #[error("there is no value")]
    Missing,
}

/// Where a reader got its entry from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was in memory and fresh.
    Hit,
    /// It was in memory, and is loaded again meanwhile or cannot be loaded.
    Stale,
    /// It was loaded, by this reader or another.
    Miss,
}

/// A cache. Clones share the entries.
pub struct Cached<K, V, E>(Arc<Inner<K, V, E>>);

struct Inner<K, V, E> {
    policy: Policy,
    entries: moka::sync::Cache<K, Arc<Entry<V>>>,
    flights: Arc<Flights<K, V, LoadError<E>>>,
    load: Loader<K, V, E>,
    drops: Arc<Drops>,
    shared: Option<SharedTier>,
    context: Context,
    counters: Counters,
}

impl<K, V, E> Clone for Cached<K, V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V, E> Cached<K, V, E>
where
    K: Eq + Hash + Clone + fmt::Display + Send + Sync + 'static,
    V: Shape + Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Returns an empty cache, whose values `load` loads and the tags of `drops` drop.
    pub fn new<F>(
        policy: Policy,
        context: Context,
        drops: Arc<Drops>,
        shared: Option<SharedTier>,
        load: impl Fn(K) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let entries = moka::sync::Cache::builder()
            .max_capacity(policy.max_bytes)
            .time_to_live(policy.ttl + policy.stale.max(policy.fail_safe))
            .weigher(|_, entry: &Arc<Entry<V>>| entry.weight())
            .build();
        Self(Arc::new(Inner {
            entries,
            flights: Arc::default(),
            load: Arc::new(move |key| Box::pin(load(key))),
            counters: Counters::default(),
            policy,
            drops,
            shared: shared.filter(|_| V::IS_SHARED),
            context,
        }))
    }

    /// Returns the entry of a key, and where it came from.
    ///
    /// It is not older than this call, as far as drops are known: an entry is dropped, also one whose load is in
    /// progress, when one of its tags is. What was not dropped is served up to its end, and as the policy allows
    /// longer.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if there is no entry and it cannot be loaded.
    pub async fn get(&self, key: &K) -> Result<(Arc<Entry<V>>, Origin), LoadError<E>> {
        let inner = &*self.0;
        let now = inner.context.clock.now();
        let known = inner.entries.get(key);
        let current = known.as_ref().filter(|entry| entry.is_current(&inner.drops));
        if let Some(entry) = current {
            if now < entry.fresh_until {
                inner.counters.hit();
                return Ok((Arc::clone(entry), Origin::Hit));
            }
            if is_within(now, entry.fresh_until, inner.policy.stale) {
                inner.counters.stale();
                // the outcome is put into the cache; no one waits for it
                drop(self.join(key, Stamp::default()));
                return Ok((Arc::clone(entry), Origin::Stale));
            }
        }

        let fallback = known.filter(|entry| is_within(now, entry.loaded_at, inner.policy.fail_safe));
        self.load(key, fallback).await
    }

    /// Returns the value of a key; see [`Cached::get`].
    ///
    /// # Errors
    ///
    /// [`LoadError`], also if there is no value.
    pub async fn value(&self, key: &K) -> Result<(V, Origin), LoadError<E>> {
        let (entry, origin) = self.get(key).await?;
        let value = entry.value().cloned().ok_or(LoadError::Missing)?;
        Ok((value, origin))
    }

    /// Returns the values of keys, in no order, without those that there are not. One that is not kept is loaded as by
    /// [`Cached::get`]; several are loaded together by `load`, for this reader alone.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the load fails.
    pub async fn get_all<F>(&self, keys: &[K], load: impl FnOnce(Vec<K>) -> F) -> Result<Vec<V>, LoadError<E>>
    where
        F: Future<Output = Result<Vec<(K, Loaded<V>)>, E>>,
    {
        let inner = &*self.0;
        let (began, now) = (inner.drops.now(), inner.context.clock.now());
        let is_fresh = |entry: &Arc<Entry<V>>| entry.is_current(&inner.drops) && now < entry.fresh_until;
        let (mut values, mut missing) = (Vec::with_capacity(keys.len()), Vec::new());
        for key in keys {
            match inner.entries.get(key).filter(is_fresh) {
                Some(entry) => {
                    inner.counters.hit();
                    values.extend(entry.value().cloned());
                }
                None => missing.push(key.clone()),
            }
        }
        match missing.as_slice() {
            [] => {}
            [key] => values.extend(self.get(key).await?.0.value().cloned()),
            _ => {
                inner.counters.loaded();
                let loaded = timeout(inner.policy.hard_timeout, load(missing)).await;
                let loaded = loaded
                    .map_err(|_| LoadError::TimedOut)
                    .and_then(|found| found.map_err(LoadError::Failed));
                for (key, loaded) in loaded.inspect_err(|_| inner.counters.failed())? {
                    values.extend(self.keep(key, self.entry(loaded, began)).value().cloned());
                }
            }
        }
        Ok(values)
    }

    /// Keeps the value of a key that names its version, without a load: a transaction has committed it.
    pub fn put(&self, key: K, committed: Loaded<V>) {
        let entry = self.entry(committed, self.0.drops.now());
        self.keep(key, entry);
    }

    /// Waits for a load, and for a second one if the first began before a drop of what it loaded.
    async fn load(
        &self,
        key: &K,
        fallback: Option<Arc<Entry<V>>>,
    ) -> Result<(Arc<Entry<V>>, Origin), LoadError<E>> {
        let inner = &*self.0;
        let asked = inner.drops.now();
        let limit = if fallback.is_some() { inner.policy.soft_timeout } else { inner.policy.hard_timeout };
        let loaded = async {
            let first = self.join(key, Stamp::default()).outcome().await;
            match first {
                Some(Ok(entry)) if !entry.began_since(asked) && !entry.is_current(&inner.drops) => {
                    self.join(key, asked).outcome().await
                }
                outcome => outcome,
            }
        };
        let error = match timeout(limit, loaded).await {
            Ok(Some(Ok(entry))) => return Ok((entry, Origin::Miss)),
            Ok(Some(Err(error))) => error,
            Ok(None) => LoadError::Panicked,
            Err(_) => LoadError::TimedOut,
        };
        match fallback {
            Some(entry) => {
                inner.counters.stale();
                Ok((entry, Origin::Stale))
            }
            None => Err(error),
        }
    }

    /// Joins the load of a key; begins one if there is none that began at a moment or later.
    fn join(&self, key: &K, since: Stamp) -> Flight<V, LoadError<E>> {
        let inner = &*self.0;
        match inner.flights.join(key, since, || inner.drops.now()) {
            Joined::Waits(flight) => {
                inner.counters.waited();
                flight
            }
            Joined::Begins(load, flight) => {
                inner.counters.loaded();
                let (cache, key) = (self.clone(), key.clone());
                tokio::spawn(cache.fly(key, load, flight.began));
                flight
            }
        }
    }

    /// Brings the entry of a key from the shared store, or loads it, and ends the flight.
    async fn fly(self, key: K, flight: Load<K, V, LoadError<E>>, began: Stamp) {
        let inner = &*self.0;
        let position = inner.drops.complete_to();
        let arrived = match &inner.shared {
            Some(shared) => {
                shared.bring(&inner.policy, &key, &inner.drops, (began, inner.context.clock.now())).await
            }
            None => Arrival::ToLoad(None),
        };
        let turn = match arrived {
            Arrival::Entry(entry) => {
                inner.counters.brought();
                return flight.end(Ok(self.keep(key, entry)));
            }
            Arrival::ToLoad(turn) => turn,
        };

        let loaded = timeout(inner.policy.hard_timeout, (inner.load)(key.clone())).await;
        let outcome = match loaded {
            Ok(Ok(loaded)) => Ok(self.entry(loaded, began)),
            Ok(Err(error)) => Err(LoadError::Failed(error)),
            Err(_) => Err(LoadError::TimedOut),
        };
        match outcome {
            Ok(entry) => {
                let entry = self.keep(key.clone(), entry);
                flight.end(Ok(Arc::clone(&entry)));
                if let Some(shared) = &inner.shared {
                    shared.put(&inner.policy, &key, &entry, position).await;
                }
            }
            Err(error) => {
                inner.counters.failed();
                flight.end(Err(error));
            }
        }
        if let (Some(shared), Some(turn)) = (&inner.shared, turn) {
            shared.end_turn(turn).await;
        }
    }

    fn entry(&self, loaded: Loaded<V>, began: Stamp) -> Entry<V> {
        let inner = &*self.0;
        let mut random = [0; 4];
        inner.context.ids.secret(&mut random);
        let fresh = inner.policy.fresh_for(loaded.value.is_none(), u32::from_le_bytes(random));
        let now = inner.context.clock.now();
        Entry::new(loaded, began, now, later(now, fresh))
    }

    /// Puts an entry into the cache, if the policy keeps it.
    fn keep(&self, key: K, entry: Entry<V>) -> Arc<Entry<V>> {
        let entry = Arc::new(entry);
        if entry.value().is_some() || self.0.policy.negative_ttl.is_some() {
            self.0.entries.insert(key, Arc::clone(&entry));
        }
        entry
    }

    /// Removes the entry of a key.
    pub fn remove(&self, key: &K) {
        self.0.entries.invalidate(key);
    }

    /// Returns what the cache counted and keeps.
    pub fn state(&self) -> CacheState {
        let Inner { policy, entries, counters, .. } = &*self.0;
        CacheState { cache: policy.name, counts: counters.counts(), bytes: entries.weighted_size() }
    }
}

fn later(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// Returns whether `now` is within a duration after a time.
fn is_within(now: Timestamp, after: Timestamp, duration: Duration) -> bool {
    let limit = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    !duration.is_zero() && now.duration_since(after) < limit
}
