//! Keeps the numbers of keys in the memory of the process, a bounded number of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::gcra::{self, Decision};
use super::quota::Quota;
use super::{RateKey, RateLimitStore};

/// The parts, each with a lock of its own.
const PARTS: usize = 16;
/// The most keys: about 6 MB.
const MOST_KEYS: usize = 65_536;
/// The share of the keys that is removed if all of them are in use: one in this many.
const SHARE: usize = 4;

/// The keys of this process.
#[derive(Debug)]
pub struct MemoryStore {
    hasher: RandomState,
    parts: Vec<Mutex<HashMap<RateKey, i64>>>,
    /// The most keys of a part.
    most: usize,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::bounded(MOST_KEYS)
    }
}

impl MemoryStore {
    /// Returns a store of about this many keys. If there are more, those are removed of which the least is counted.
    pub fn bounded(most_keys: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            most: most_keys.div_ceil(PARTS).max(1),
        }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| locked(part).len()).sum()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts one at `now`, if the quota allows it.
    pub fn count_now(&self, key: RateKey, quota: Quota, now: i64) -> Decision {
        let mut part = self.part(&key);
        if part.len() >= self.most && !part.contains_key(&key) {
            make_room(&mut part, now);
        }
        match part.entry(key) {
            Entry::Occupied(mut kept) => {
                let (decision, next) = gcra::count(Some(*kept.get()), now, quota);
                *kept.get_mut() = next.unwrap_or(*kept.get());
                decision
            }
            Entry::Vacant(room) => {
                let (decision, next) = gcra::count(None, now, quota);
                next.map(|next| room.insert(next));
                decision
            }
        }
    }

    /// Removes one that was counted.
    pub fn uncount_now(&self, key: RateKey, quota: Quota, now: i64) {
        let mut part = self.part(&key);
        match gcra::uncount(part.get(&key).copied(), now, quota) {
            Some(until) => part.insert(key, until),
            None => part.remove(&key),
        };
    }

    fn part(&self, key: &RateKey) -> MutexGuard<'_, HashMap<RateKey, i64>> {
        // the remainder is less than the number of parts
        let at = self.hasher.hash_one(key) % PARTS as u64;
        locked(&self.parts[usize::try_from(at).unwrap_or(0)])
    }
}

fn locked(part: &Mutex<HashMap<RateKey, i64>>) -> MutexGuard<'_, HashMap<RateKey, i64>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the keys whose numbers are in the past, which changes no decision. If fewer than a share are, the share of
/// the keys that would be in the past first is removed, so that the next search is far away.
fn make_room(part: &mut HashMap<RateKey, i64>, now: i64) {
    let share = part.len().div_ceil(SHARE);
    let most = part.len() - share;
    part.retain(|_, until| *until > now);
    if part.len() > most {
        let mut times: Vec<_> = part.values().copied().collect();
        let (_, last, _) = times.select_nth_unstable(share - 1);
        let last = *last;
        part.retain(|_, until| *until > last);
    }
}

impl RateLimitStore for MemoryStore {
    fn count(&self, key: RateKey, quota: Quota, now: i64) -> BoxFuture<'_, Decision> {
        ready(self.count_now(key, quota, now)).boxed()
    }

    fn uncount(&self, key: RateKey, quota: Quota, now: i64) -> BoxFuture<'_, ()> {
        self.uncount_now(key, quota, now);
        ready(()).boxed()
    }
}
