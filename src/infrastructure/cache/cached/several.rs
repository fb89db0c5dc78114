//! Reads of several keys, which are loaded together.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use tokio::time::{Instant, timeout};

use super::load::{KeyEntry, caught};
use super::{Cached, LoadError};
use crate::infrastructure::cache::drops::Stamp;
use crate::infrastructure::cache::entry::{Entry, Loaded, Source};
use crate::infrastructure::cache::loads::{LoadInProgress, Loads};
use crate::infrastructure::cache::read::Outcome;
use crate::infrastructure::cache::shared_tier::{Shape, SharedTier};

/// The loads of several keys together, by these keys in their order.
pub(super) type LoadsOfSeveral<K, V, E> = Loads<Arc<[K]>, Several<K, V>, LoadError<E>>;

/// The entries of keys that were loaded together, without those that the source has nothing for.
type Several<K, V> = Arc<[KeyEntry<K, V>]>;

impl<K, V, E> Cached<K, V, E>
where
    K: Ord + Hash + Clone + fmt::Display + Send + Sync + 'static,
    V: Shape + Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Returns the values of keys, in no order, without those that there are not; that of a key which is named twice
    /// may come twice. One that is not kept is loaded as by [`Cached::get`]; several are looked for in the shared store
    /// together, and what it has not is loaded together by `load`, which is the same for all readers: a load for each
    /// of them takes longer than one query. The values come without their keys: one that is needed is a part of the
    /// value.
    ///
    /// A load serves all who ask meanwhile and miss the same keys, and ends without its readers, as that of one key. It
    /// is not for those who miss only some of these keys, or others beside them: they would have to wait for the
    /// slowest of the loads and to load the rest beside them, which is more queries for each reader. What they load is
    /// not older for that: an entry is as old as the beginning of its load, and does not replace one that began to be
    /// loaded after a change. Several processes may load the same keys, also of a dear cache.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the load fails.
    pub async fn get_all<L, F>(&self, keys: &[K], load: L) -> Result<Vec<V>, LoadError<E>>
    where
        L: FnOnce(Vec<K>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Vec<(K, Loaded<V>)>, E>> + Send + 'static,
    {
        let inner = &*self.0;
        let (asked, now) = (inner.drops.now(), inner.context.clock.coarse_now());
        let (mut values, mut missing) = (Vec::with_capacity(keys.len()), Vec::new());
        for key in keys {
            match inner.entries.get(key).filter(|entry| entry.is_fresh(now, &inner.drops)) {
                Some(entry) => values.extend(self.hit(key, entry, now).await.entry.value().cloned()),
                None => missing.push(key.clone()),
            }
        }
        missing.sort_unstable();
        missing.dedup();
        match missing.as_slice() {
            [] => {}
            [key] => values.extend(self.get(key).await?.0.value().cloned()),
            // boxed: a read that hits stays small
            _ => values.extend(Box::pin(self.load_several(missing.into(), asked, load)).await?),
        }
        Ok(values)
    }

    /// Loads keys for a reader that asked at a moment, and returns their values.
    async fn load_several<L, F>(&self, keys: Arc<[K]>, asked: Stamp, load: L) -> Result<Vec<V>, LoadError<E>>
    where
        L: FnOnce(Vec<K>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Vec<(K, Loaded<V>)>, E>> + Send + 'static,
    {
        let number = keys.len();
        // it owns the load, which need not be `Sync`
        let join = move |since| self.join_or_load_several(&keys, since, load.clone());
        // what there was not may be there now
        let is_current = |several: &Several<K, V>| {
            several.len() == number && several.iter().all(|(_, entry)| self.is_of_now(entry, asked))
        };
        let (outcome, collapsed) = self.wait_for(number as u64, asked, join, is_current).await;
        let mut values = Vec::with_capacity(number);
        for (key, entry) in &*outcome? {
            let mut entry = Arc::clone(entry);
            // what another reader loaded may be older than this one
            if collapsed {
                let outcome = Outcome::of(&entry, false, collapsed);
                entry = self.checked(key, entry, outcome).await.entry;
            }
            values.extend(entry.value().cloned());
        }
        Ok(values)
    }

    /// Joins the load of these keys; begins one if there is none that began at a moment or later, and not a fresh entry
    /// of each key.
    fn join_or_load_several<L, F>(
        &self,
        keys: &Arc<[K]>,
        since: Stamp,
        load: L,
    ) -> LoadInProgress<Several<K, V>, LoadError<E>>
    where
        L: FnOnce(Vec<K>) -> F + Send + 'static,
        F: Future<Output = Result<Vec<(K, Loaded<V>)>, E>> + Send + 'static,
    {
        let inner = &*self.0;
        let kept = || {
            let entries = keys.iter().map(|key| Some((key.clone(), self.kept(key)?)));
            let several: Several<K, V> = entries.collect::<Option<_>>()?;
            let began = several.iter().map(|(_, entry)| entry.history.began).min()?;
            Some((began, several))
        };
        inner.loads_of_several.join(keys, since, kept, || {
            let began = inner.drops.now();
            (began, caught(self.clone().run_load_of_several(Arc::clone(keys), began, load)))
        })
    }

    /// Finds the entries of keys in the shared store, and loads the others, in bounded time. After that, compares those
    /// that were found, in check mode.
    async fn run_load_of_several<L, F>(
        self,
        keys: Arc<[K]>,
        began: Stamp,
        load: L,
    ) -> Result<Several<K, V>, LoadError<E>>
    where
        L: FnOnce(Vec<K>) -> F + Send + 'static,
        F: Future<Output = Result<Vec<(K, Loaded<V>)>, E>> + Send + 'static,
    {
        let inner = &*self.0;
        let (came, time) = (Instant::now(), inner.policy.hard_timeout);
        let history = self.history(began, Source::Load);
        let shared = self.shared_at(history.known);
        let failed = |keys: usize| inner.counters.failures.add(keys as u64);
        let (found, missing) = match shared {
            Some(shared) => {
                let looks = timeout(time, self.find_several(shared, &keys, began)).await;
                looks.map_err(|_| LoadError::<E>::TimedOut).inspect_err(|_| failed(keys.len()))?
            }
            None => (Vec::new(), keys.to_vec()),
        };
        inner.counters.shared.add(found.len() as u64);
        let mut several = self.keep_several(found);

        let mut loaded = Vec::new();
        if !missing.is_empty() {
            let number = missing.len();
            let load = caught(async move { load(missing).await.map_err(LoadError::Failed) });
            let outcome = timeout(time.saturating_sub(came.elapsed()), load).await;
            let outcome = outcome.unwrap_or(Err(LoadError::TimedOut)).inspect_err(|_| failed(number))?;
            inner.counters.from_source.add(number as u64);
            let entries = outcome.into_iter().map(|(key, loaded)| (key, self.entry(loaded, history)));
            loaded = self.keep_several(entries);
            if let Some(shared) = shared.cloned() {
                // no reader waits for it
                tokio::spawn(self.clone().share(shared, loaded.clone(), None));
            }
        }
        for (key, entry) in &mut several {
            *entry = self.checked(key, Arc::clone(entry), Outcome::Shared).await.entry;
        }
        several.extend(loaded);
        Ok(several.into())
    }

    /// Looks for keys in the shared store. Returns the entries that are there, and the other keys.
    async fn find_several(
        &self,
        shared: &SharedTier,
        keys: &[K],
        began: Stamp,
    ) -> (Vec<(K, Entry<V>)>, Vec<K>) {
        let inner = &*self.0;
        let known = (&*inner.drops, &*inner.counters);
        let moment = (began, inner.context.clock.now());
        let looked = shared.find_several(&inner.policy, keys, known, moment).await;
        let (mut found, mut missing) = (Vec::with_capacity(keys.len()), Vec::new());
        for (key, entry) in keys.iter().cloned().zip(looked) {
            match entry {
                Some(entry) => found.push((key, entry)),
                None => missing.push(key),
            }
        }
        (found, missing)
    }

    /// Puts entries into the cache, as [`Cached::keep`].
    fn keep_several(&self, entries: impl IntoIterator<Item = (K, Entry<V>)>) -> Vec<KeyEntry<K, V>> {
        let keep = |(key, entry): (K, _)| {
            let entry = self.keep(key.clone(), entry);
            (key, entry)
        };
        entries.into_iter().map(keep).collect()
    }
}
