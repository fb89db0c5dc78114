//! A cache of values that are loaded when they are first asked for.

mod check;
mod load;
mod new;
mod several;

use std::fmt;
use std::hash::{Hash, RandomState};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use self::load::LoadsOfOne;
use self::several::LoadsOfSeveral;
use super::CacheState;
use super::counters::Counters;
use super::drops::{Drops, Stamp};
use super::entry::{Entry, History, Loaded, Source};
use super::policy::{Jitter, Policy, Spans};
use super::read::{Lookup, Outcome, Read, ReadStatus, Served};
use super::shared_tier::{Shape, SharedTier};
use super::tiers::CatchUp;
use crate::domain::context::Context;
use crate::domain::time::later;

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
    /// There is no value for the key. The conversion into a `Failure` by `?` makes it one with status 500: a handler
    /// for which a missing value is no fault, such as one that responds with 404, matches it before.
    #[error("there is no value")]
    Missing,
}

/// A cache. Clones share the entries.
pub struct Cached<K, V, E>(Arc<Inner<K, V, E>>);

struct Inner<K, V, E> {
    policy: Policy,
    spans: Spans,
    entries: moka::sync::Cache<K, Arc<Entry<V>>>,
    loads: Arc<LoadsOfOne<K, V, E>>,
    loads_of_several: Arc<LoadsOfSeveral<K, V, E>>,
    load: Loader<K, V, E>,
    /// Whether the version of a key is the latest one; true if it has none.
    is_latest: Arc<dyn Fn(K) -> BoxFuture<'static, bool> + Send + Sync>,
    drops: Arc<Drops>,
    shared: Option<SharedTier>,
    /// What catches up with the drops before an entry is shared.
    catch_up: Option<CatchUp>,
    /// In check mode, what catches up with the drops.
    check: Option<CatchUp>,
    context: Context,
    counters: Arc<Counters>,
    jitter: Jitter,
    /// Names keys in the log.
    hasher: RandomState,
}

impl<K, V, E> Clone for Cached<K, V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V, E> fmt::Debug for Cached<K, V, E> {
    /// Omits the entries, which may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}

impl<K, V, E> Cached<K, V, E>
where
    K: Eq + Hash + Clone + fmt::Display + Send + Sync + 'static,
    V: Shape + Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Returns the entry of a key, and where it came from.
    ///
    /// It is not older than this call, as far as drops are known: an entry is dropped, also one whose load is in
    /// progress, when one of its tags is. What was not dropped is served up to its end, and as the policy allows
    /// longer; if it cannot be loaded, fail-safe allows what was dropped, too.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if there is no entry and it cannot be loaded.
    pub async fn get(&self, key: &K) -> Result<(Arc<Entry<V>>, Lookup), LoadError<E>> {
        let Read { entry, outcome, .. } = self.read(key).await?;
        Ok((entry, outcome.lookup()))
    }

    async fn read(&self, key: &K) -> Result<Read<V>, LoadError<E>> {
        let inner = &*self.0;
        let now = inner.context.clock.coarse_now();
        match inner.entries.get(key) {
            Some(entry) if entry.is_fresh(now, &inner.drops) => Ok(self.hit(key, entry, now).await),
            Some(entry)
                if entry.value().is_some()
                    && is_within(now, entry.fresh_until, inner.spans.stale)
                    && entry.is_current(&inner.drops) =>
            {
                inner.counters.stale.add(1);
                self.refresh(key, &entry);
                Ok(self.checked(key, entry, Outcome::Stale).await)
            }
            known => self.load(key, known).await,
        }
    }

    /// Returns an entry that was in memory and is fresh, and loads it again meanwhile if it ends soon.
    async fn hit(&self, key: &K, entry: Arc<Entry<V>>, now: Timestamp) -> Read<V> {
        let inner = &*self.0;
        inner.counters.hits.add(1);
        if entry.value().is_some() && is_within(entry.fresh_until, now, inner.spans.eager) {
            self.refresh(key, &entry);
        }
        self.checked(key, entry, Outcome::Hit).await
    }

    /// Loads a key again unless that is in progress, or failed a moment ago. The outcome is put into the cache; no one
    /// waits for it.
    fn refresh(&self, key: &K, entry: &Arc<Entry<V>>) {
        if self.is_paused(entry) {
            return;
        }
        let in_progress = self.join_or_load_again(key);
        if in_progress.is_new {
            self.0.counters.refreshes.add(1);
            let (cached, entry) = (self.clone(), Arc::clone(entry));
            tokio::spawn(async move {
                let began = in_progress.began;
                if in_progress.outcome().await.is_err() {
                    cached.pause(&entry, began);
                }
            });
        }
    }

    /// Returns the value of a key; see [`Cached::get`]. The lookup of a value from the shared store is
    /// [`Lookup::Miss`], as that of a load: [`Cached::served`] tells them apart ([`Outcome::Shared`]).
    ///
    /// # Errors
    ///
    /// [`LoadError`]; it is [`LoadError::Missing`] if there is no value.
    pub async fn value(&self, key: &K) -> Result<(V, Lookup), LoadError<E>> {
        let (entry, lookup) = self.get(key).await?;
        let value = entry.value().cloned().ok_or(LoadError::Missing)?;
        Ok((value, lookup))
    }

    /// Returns the value of a key with what came of the read; see [`Cached::get`].
    ///
    /// # Errors
    ///
    /// [`LoadError`]; it is [`LoadError::Missing`] if there is no value.
    pub async fn served(&self, key: &K) -> Result<Served<V>, LoadError<E>> {
        let read = self.read(key).await?;
        self.served_by(&read).ok_or(LoadError::Missing)
    }

    /// Returns the value that is kept for a key, if fail-safe allows it, although it cannot be known whether it was
    /// dropped: the source of the drops is not available, and so the value cannot be loaded either.
    pub fn fallback(&self, key: &K) -> Option<Served<V>> {
        let Inner { entries, counters, .. } = &*self.0;
        let entry = entries.get(key).filter(|entry| self.is_fallback(entry))?;
        let served = self.served_by(&Read::new(entry, Outcome::Fallback))?;
        counters.loads.add(1);
        counters.failures.add(1);
        counters.fallbacks.add(1);
        Some(served)
    }

    /// Returns whether there is a value that [`Cached::fallback`] returns.
    pub(super) fn has_fallback(&self, key: &K) -> bool {
        self.0.entries.get(key).is_some_and(|entry| self.is_fallback(&entry))
    }

    /// Returns whether fail-safe allows an entry.
    fn is_fallback(&self, entry: &Entry<V>) -> bool {
        entry.value().is_some()
            && is_within(self.0.context.clock.now(), entry.loaded_at, self.0.spans.fail_safe)
    }

    /// Returns the value of an entry with what came of the read; `None` if there is no value.
    fn served_by(&self, read: &Read<V>) -> Option<Served<V>> {
        let Read { entry, outcome, comparison } = read;
        let (value, outcome) = (entry.value().cloned()?, *outcome);
        let left = entry.fresh_until.duration_since(self.0.context.clock.coarse_now());
        let left = i64::try_from(left.as_millis().div_euclid(1_000)).unwrap_or(i64::MAX);
        // it may have been dropped before its end
        let ttl_seconds = if outcome == Outcome::Fallback { left.min(0) } else { left };
        let is_stored = u64::from(entry.weight()) <= self.0.policy.max_bytes;
        let status = ReadStatus { outcome, ttl_seconds, is_stored };
        Some(Served { value, status, comparison: comparison.clone() })
    }

    /// Keeps the value of a key that names its version, without a load: a transaction has committed it.
    ///
    /// The entry counts as current from now on. In a cache whose entries are dropped by tags, one that was changed
    /// again before this call would be kept in place of the change: there it is used only if the key names the version.
    pub fn put(&self, key: K, committed: Loaded<V>) {
        let history = self.history(self.0.drops.now(), Source::Commit);
        self.keep(key, self.entry(committed, history));
    }

    /// Returns the history of an entry that begins to be loaded.
    fn history(&self, began: Stamp, source: Source) -> History {
        History { began, known: self.0.drops.known(), source }
    }

    fn entry(&self, loaded: Loaded<V>, history: History) -> Entry<V> {
        let inner = &*self.0;
        let fresh = inner.policy.fresh_for(loaded.value.is_none(), inner.jitter.next());
        let now = inner.context.clock.now();
        let fresh = SignedDuration::try_from(fresh).unwrap_or(SignedDuration::MAX);
        Entry::new(loaded, history, now, later(now, fresh))
    }

    /// Returns whether the policy keeps an entry.
    fn keeps(&self, entry: &Entry<V>) -> bool {
        entry.value().is_some() || self.0.policy.negative_ttl.is_some()
    }

    /// Puts an entry into the cache, if the policy keeps it and none is there that takes precedence.
    fn keep(&self, key: K, entry: Entry<V>) -> Arc<Entry<V>> {
        let entry = Arc::new(entry);
        if self.keeps(&entry) && !self.has_later(&key, &entry) {
            self.0.entries.insert(key, Arc::clone(&entry));
        }
        entry
    }

    /// Returns whether an entry of the key is kept that began to be loaded after a drop that this one may not see, and
    /// that is fresh, or this one was dropped. It would cost a load to replace it.
    fn has_later(&self, key: &K, entry: &Entry<V>) -> bool {
        let Inner { entries, drops, context, .. } = &*self.0;
        // a look would count as a read, by which moka chooses what it keeps
        if entry.began_since(drops.now()) || !entries.contains_key(key) {
            return false;
        }
        entries.get(key).is_some_and(|kept| {
            let is_later = kept.history.began > entry.history.began;
            is_later && (kept.is_fresh(context.clock.coarse_now(), drops) || !entry.is_current(drops))
        })
    }

    /// Removes the entry of a key from the memory of this process, to free it. It does not end what a change made old:
    /// a load in progress puts its entry in afterwards, and the shared store and other processes still have theirs.
    /// [`Drops::drop_tags`] is for changes.
    pub fn remove(&self, key: &K) {
        self.0.entries.invalidate(key);
    }

    /// Returns what the cache counted and keeps.
    pub fn state(&self) -> CacheState {
        let Inner { policy, entries, counters, .. } = &*self.0;
        // the numbers of moka are those of the last time that it did this
        entries.run_pending_tasks();
        CacheState {
            cache: policy.name,
            policy: *policy,
            counts: counters.counts(),
            entries: entries.entry_count(),
            bytes: entries.weighted_size(),
            is_shared: V::IS_SHARED,
        }
    }
}

/// Returns whether a time is within a duration after another one.
fn is_within(time: Timestamp, after: Timestamp, span: SignedDuration) -> bool {
    !span.is_zero() && time.duration_since(after) < span
}
