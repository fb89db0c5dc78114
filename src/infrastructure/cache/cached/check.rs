//! The check mode: an entry that is about to be served is compared with what the source has now.
//!
//! An entry that differs is old only if nothing that it depends on was dropped in between. So after the fresh load, the
//! drops are caught up with once more: what a transaction changed before the load read it is known then, and an entry
//! that is dropped now was not old when it was found. One that is still current, although the source has another value,
//! is a fault of the store.
//!
//! The bytes that are kept beside a value ([`Rendered`](crate::infrastructure::cache::Rendered)) are compared when they
//! are served: with those to which the value that was just loaded is rendered.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use tokio::time::timeout;

use super::Cached;
use crate::infrastructure::cache::entry::{Entry, History, Source};
use crate::infrastructure::cache::read::{Comparison, Outcome, Read};
use crate::infrastructure::cache::shared_tier::Shape;
use crate::infrastructure::cache::tiers::CatchUp;

impl<K, V, E> Cached<K, V, E>
where
    K: Eq + Hash + Clone + fmt::Display + Send + Sync + 'static,
    V: Shape + Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Returns an entry that this reader did not load; in check mode, what replaces it if it is old.
    pub(super) async fn checked(&self, key: &K, entry: Arc<Entry<V>>, outcome: Outcome) -> Read<V> {
        match &self.0.check {
            Some(catch_up) => Box::pin(self.compared(key, entry, outcome, catch_up)).await,
            None => Read::new(entry, outcome),
        }
    }

    /// Compares an entry with a fresh load; returns the fresh one if the entry is old.
    ///
    /// Nothing is concluded if the load fails, or something that the entry depends on was dropped meanwhile.
    async fn compared(&self, key: &K, entry: Arc<Entry<V>>, outcome: Outcome, catch_up: &CatchUp) -> Read<V> {
        let inner = &*self.0;
        let history = self.history(inner.drops.now(), Source::Load);
        let loaded = timeout(inner.policy.hard_timeout, self.load_from_source(key)).await;
        let Ok(Ok(fresh)) = loaded else { return Read::new(entry, outcome) };
        let is_same = match (entry.value(), &fresh.value) {
            (Some(kept), Some(fresh)) => kept.is_same(fresh),
            (kept, fresh) => kept.is_none() && fresh.is_none(),
        };
        if !is_same {
            let is_known = catch_up().await && (inner.is_latest)(key.clone()).await;
            if !is_known || !entry.is_current(&inner.drops) {
                return Read::new(entry, outcome);
            }
        }

        inner.counters.checks.add(1);
        if is_same {
            let comparison = fresh.value.map(|fresh| Arc::new(self.comparison(key, &entry, fresh)));
            return Read { entry, outcome, comparison };
        }
        self.report(key, &entry, None);
        let outcome = Outcome::Loaded { was_kept: true, collapsed: false };
        Read::new(self.keep(key.clone(), self.entry(fresh, history)), outcome)
    }

    /// Returns what the bytes beside the value of an entry are compared with: a loaded value, which is the same. An
    /// entry whose bytes differ is reported as an old one, and removed.
    fn comparison(&self, key: &K, entry: &Arc<Entry<V>>, fresh: V) -> Comparison<V> {
        let (cached, key, entry) = (self.clone(), key.clone(), Arc::clone(entry));
        let report = move |form: &str| {
            cached.report(&key, &entry, Some(form));
            cached.remove(&key);
        };
        Comparison { fresh, report: Box::new(report) }
    }

    /// Counts and logs an old entry, or one whose form with this name is, with its history: without its value and its
    /// key, which may be personal data.
    fn report(&self, key: &K, entry: &Entry<V>, form: Option<&str>) {
        self.0.counters.stale_hits.add(1);
        let is_old = match form {
            Some(_) => "the bytes beside an entry of a cache are old: its value is rendered to others",
            None => {
                "an entry of a cache is old: no tag of it was dropped, and the database has another value"
            }
        };
        // another process has another hash: a code or an id cannot be found by it
        let digest = self.0.hasher.hash_one(key);
        let tags: Vec<_> = entry.tags.iter().map(|tag| format!("{:016x}", tag.to_bits())).collect();
        let History { began, known, source } = entry.history;
        tracing::error!(
            cache = self.0.policy.name,
            key = format!("{digest:016x}"),
            tags = tags.join(" "),
            form,
            source = ?source,
            loaded_at = %entry.loaded_at,
            fresh_until = %entry.fresh_until,
            began = began.number(),
            position = known.complete_to.0,
            found_at = %self.0.context.clock.now(),
            found = self.0.drops.now().number(),
            complete_to = self.0.drops.complete_to().0,
            "{is_old}"
        );
    }
}
