//! New caches, over the tiers of a process.

use std::fmt::{self, Write};
use std::future::Future;
use std::hash::{Hash, RandomState};
use std::sync::{Arc, Once};

use moka::notification::RemovalCause;

use super::{Cached, Inner};
use crate::infrastructure::cache::counters::Counters;
use crate::infrastructure::cache::entry::{Entry, Loaded};
use crate::infrastructure::cache::policy::{Jitter, Policy, Spans};
use crate::infrastructure::cache::shared_tier::Shape;
use crate::infrastructure::cache::tiers::Tiers;

impl Tiers {
    /// Returns an empty cache with these tiers, whose entries are dropped by tags.
    ///
    /// The text of a key (its `Display`) identifies it in the shared store: keys that are not equal have different
    /// texts, or a reader gets the value of another key.
    ///
    /// # Panics
    ///
    /// If the times of the policy are longer than 1000 years: `ttl` with the longer one of `stale` and `fail_safe`.
    pub fn cached<K, V, E, F>(
        &self,
        policy: Policy,
        load: impl Fn(K) -> F + Send + Sync + 'static,
    ) -> Cached<K, V, E>
    where
        K: Eq + Hash + Clone + fmt::Display + Send + Sync + 'static,
        V: Shape + Clone + Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        self.cached_by_version(policy, async |_| true, load)
    }

    /// Returns an empty cache with these tiers, whose keys have a version. `is_latest` reads whether there is no later
    /// one, and `false` if that cannot be read; it is asked in check mode only. The text of a key has its version, too;
    /// see [`Tiers::cached`].
    ///
    /// # Panics
    ///
    /// As [`Tiers::cached`].
    pub fn cached_by_version<K, V, E, L, F>(
        &self,
        policy: Policy,
        is_latest: impl Fn(K) -> L + Send + Sync + 'static,
        load: impl Fn(K) -> F + Send + Sync + 'static,
    ) -> Cached<K, V, E>
    where
        K: Eq + Hash + Clone + fmt::Display + Send + Sync + 'static,
        V: Shape + Clone + Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
        L: Future<Output = bool> + Send + 'static,
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let policy = Policy { max_bytes: self.limits.of(&policy), ..policy };
        Cached::new(policy, self, is_latest, load)
    }
}

impl<K, V, E> Cached<K, V, E>
where
    K: Eq + Hash + Clone + fmt::Display + Send + Sync + 'static,
    V: Shape + Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Returns an empty cache, whose values `load` loads; see [`Tiers::cached_by_version`].
    fn new<L, F>(
        policy: Policy,
        tiers: &Tiers,
        is_latest: impl Fn(K) -> L + Send + Sync + 'static,
        load: impl Fn(K) -> F + Send + Sync + 'static,
    ) -> Self
    where
        L: Future<Output = bool> + Send + 'static,
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let Tiers { context, drops, shared, catch_up, check, .. } = tiers.clone();
        let counters = Arc::<Counters>::default();
        let (counted, logged) = (Arc::clone(&counters), Once::new());
        let entries = moka::sync::Cache::builder()
            .max_capacity(policy.max_bytes)
            .time_to_live(policy.ttl + policy.stale.max(policy.fail_safe))
            .weigher(|key: &K, entry: &Arc<Entry<V>>| weigh(key, entry))
            .eviction_listener(move |key: Arc<K>, entry: Arc<Entry<V>>, cause| {
                if cause == RemovalCause::Size {
                    count_removed(&policy, &counted, &logged, weigh(&*key, &entry));
                }
            })
            .build();
        Self(Arc::new(Inner {
            entries,
            loads: Arc::default(),
            loads_of_several: Arc::default(),
            load: Arc::new(move |key| Box::pin(load(key))),
            is_latest: Arc::new(move |key| Box::pin(is_latest(key))),
            counters,
            hasher: RandomState::new(),
            jitter: Jitter::new(&context),
            spans: Spans::of(&policy),
            policy,
            drops,
            shared: shared.filter(|_| V::IS_SHARED),
            catch_up,
            check,
            context,
        }))
    }
}

/// Returns the bytes that an entry takes with its key, about.
fn weigh<V>(key: &impl fmt::Display, entry: &Entry<V>) -> u32 {
    entry.weight().saturating_add(text_length(key))
}

/// Counts an entry with these bytes that the size of a cache does not allow: by itself, which is logged once, or beside
/// others.
fn count_removed(policy: &Policy, counters: &Counters, logged: &Once, bytes: u32) {
    let Policy { name, max_bytes, .. } = *policy;
    // an operator sets 0 for a cache that keeps nothing
    if max_bytes == 0 || u64::from(bytes) <= max_bytes {
        counters.evictions.add(1);
        return;
    }
    counters.too_large.add(1);
    logged.call_once(|| {
        tracing::warn!(
            cache = name,
            bytes,
            limit_bytes = max_bytes,
            setting = format!("caches.limit_bytes.{name}"),
            "an entry is larger than its cache, which does not keep it"
        );
    });
}

/// Returns the length of the text of a key in bytes, about which the key takes.
fn text_length(key: &impl fmt::Display) -> u32 {
    struct Length(u32);

    impl fmt::Write for Length {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
            Ok(())
        }
    }

    let mut length = Length(0);
    // it never fails
    let _ = write!(length, "{key}");
    length.0
}
