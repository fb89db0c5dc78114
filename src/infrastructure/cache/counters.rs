//! What a cache counts. Hits, stale ones, waits and loads add up to its reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of a cache, since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    hits: AtomicU64,
    stale: AtomicU64,
    waits: AtomicU64,
    loads: AtomicU64,
    brought: AtomicU64,
    failures: AtomicU64,
}

/// The values of the counters of a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads of a fresh entry in memory.
    pub hits: u64,
    /// Reads of an entry after its end.
    pub stale: u64,
    /// Joins of a load that another reader began.
    pub waits: u64,
    /// Loads that were begun, those from the shared store included.
    pub loads: u64,
    /// Loads whose entry was in the shared store.
    pub brought: u64,
    /// Loads that failed.
    pub failures: u64,
}

impl Counters {
    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Relaxed);
    }

    pub(super) fn stale(&self) {
        self.stale.fetch_add(1, Relaxed);
    }

    pub(super) fn waited(&self) {
        self.waits.fetch_add(1, Relaxed);
    }

    pub(super) fn loaded(&self) {
        self.loads.fetch_add(1, Relaxed);
    }

    pub(super) fn brought(&self) {
        self.brought.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// Returns the values.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            hits: self.hits.load(Relaxed),
            stale: self.stale.load(Relaxed),
            waits: self.waits.load(Relaxed),
            loads: self.loads.load(Relaxed),
            brought: self.brought.load(Relaxed),
            failures: self.failures.load(Relaxed),
        }
    }
}
