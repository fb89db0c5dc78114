//! The check mode: an entry that is about to be served is compared with what the source has now.
//!
//! An entry that differs is old only if nothing that it depends on was dropped in between. So after the fresh load, the
//! drops are caught up with once more: what a transaction changed before the load read it is known then, and an entry
//! that is dropped now was not old when it was found. One that is still current, although the source has another value,
//! is a fault of the store.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::timeout;

use super::Cached;
use crate::infrastructure::cache::entry::{Entry, History, Source};
use crate::infrastructure::cache::shared_tier::Shape;

impl<K, V, E> Cached<K, V, E>
where
    K: Eq + Hash + Clone + fmt::Display + Send + Sync + 'static,
    V: Shape + Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// In check mode, compares an entry with a fresh load; returns the fresh one if the entry is old.
    ///
    /// Nothing is concluded if the load fails, or something that the entry depends on was dropped meanwhile.
    pub(super) async fn replacement(&self, key: &K, entry: &Entry<V>) -> Option<Arc<Entry<V>>> {
        let inner = &*self.0;
        let catch_up = inner.check.as_ref()?;
        let history = self.history(inner.drops.now(), Source::Load);
        let fresh = timeout(inner.policy.hard_timeout, (inner.load)(key.clone())).await.ok()?.ok()?;
        let is_same = match (entry.value(), &fresh.value) {
            (Some(kept), Some(fresh)) => kept.is_same(fresh),
            (kept, fresh) => kept.is_none() && fresh.is_none(),
        };
        if !is_same {
            let is_known = catch_up().await && (inner.is_latest)(key.clone()).await;
            if !is_known || !entry.is_current(&inner.drops) {
                return None;
            }
        }

        inner.counters.checks.add(1);
        if is_same {
            return None;
        }
        inner.counters.stale_hits.add(1);
        self.report(key, entry, inner.context.clock.now());
        Some(self.keep(key.clone(), self.entry(fresh, history)))
    }

    /// Logs an old entry with its history: without its value and its key, which may be personal data.
    fn report(&self, key: &K, entry: &Entry<V>, now: Timestamp) {
        // another process has another hash: a code or an id cannot be found by it
        let digest = self.0.hasher.hash_one(key);
        let tags: Vec<_> = entry.tags.iter().map(|tag| format!("{:016x}", tag.to_bits())).collect();
        let History { began, known, source } = entry.history;
        tracing::error!(
            cache = self.0.policy.name,
            key = format!("{digest:016x}"),
            tags = tags.join(" "),
            source = ?source,
            loaded_at = %entry.loaded_at,
            fresh_until = %entry.fresh_until,
            began = began.number(),
            position = known.complete_to.0,
            found_at = %now,
            found = self.0.drops.now().number(),
            complete_to = self.0.drops.complete_to().0,
            "an entry of a cache is old: no tag of it was dropped, and the database has another value"
        );
    }
}
