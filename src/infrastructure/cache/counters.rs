//! What a cache counts. Each read is counted once: hits, stale ones, waits and loads add up to the reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds to the number.
    pub(super) fn add(&self, number: u64) {
        self.0.fetch_add(number, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counters of a cache, since the start; [`Counts`] says what each counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: Counter,
    pub(super) stale: Counter,
    pub(super) waits: Counter,
    pub(super) loads: Counter,
    pub(super) refreshes: Counter,
    pub(super) fallbacks: Counter,
    pub(super) shared: Counter,
    pub(super) rejected: Counter,
    pub(super) from_source: Counter,
    pub(super) failures: Counter,
    pub(super) evictions: Counter,
    pub(super) checks: Counter,
    pub(super) stale_hits: Counter,
}

/// The values of the counters of a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads of a fresh entry in memory.
    pub hits: u64,
    /// Reads of an entry in memory that was dropped or after its end, which waited for no load: it was loaded again
    /// meanwhile, or that failed a moment ago.
    pub stale: u64,
    /// Reads that waited for a load that another reader began.
    pub waits: u64,
    /// Reads that began a load; of several keys that are loaded together, each.
    pub loads: u64,
    /// Loads that are not counted as a read: in the background, or the second one of a reader.
    pub refreshes: u64,
    /// Reads that are counted as one of these, too, and got an entry that was dropped or after its end, because its
    /// load failed or took too long.
    pub fallbacks: u64,
    /// Loads whose entry was in the shared store.
    pub shared: u64,
    /// Loads that found an entry in the shared store and did not use it, because it was dropped, had ended, was that
    /// which is to be loaded again before its end, or was damaged; and entries that are larger than the cache, which
    /// does not keep them.
    pub rejected: u64,
    /// Loads whose entry came from the source; of several keys that are loaded together, each.
    pub from_source: u64,
    /// Loads that failed.
    pub failures: u64,
    /// Entries that were removed from memory, or not kept, to make room for others.
    pub evictions: u64,
    /// Entries that were compared with a load of the same version, in check mode.
    pub checks: u64,
    /// Entries that such a load proved to be old.
    pub stale_hits: u64,
}

impl Counts {
    /// Returns the number of reads.
    pub fn reads(&self) -> u64 {
        self.hits + self.stale + self.waits + self.loads
    }

    /// Returns the part of the reads that waited for no load, from 0 to 1; `None` before the first read.
    pub fn hit_ratio(&self) -> Option<f64> {
        // numbers of reads are far below those that a float does not have
        #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
        let [served, reads] = [self.hits + self.stale, self.reads()].map(|number| number as f64);
        (reads > 0.0).then(|| served / reads)
    }
}

impl Counters {
    /// Returns the values.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            hits: self.hits.get(),
            stale: self.stale.get(),
            waits: self.waits.get(),
            loads: self.loads.get(),
            refreshes: self.refreshes.get(),
            fallbacks: self.fallbacks.get(),
            shared: self.shared.get(),
            rejected: self.rejected.get(),
            from_source: self.from_source.get(),
            failures: self.failures.get(),
            evictions: self.evictions.get(),
            checks: self.checks.get(),
            stale_hits: self.stale_hits.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hit_ratio_is_that_of_the_reads_that_waited_for_nothing() {
        let counts = Counts { hits: 5, stale: 1, waits: 1, loads: 1, refreshes: 9, ..Counts::default() };
        assert_eq!((counts.reads(), counts.hit_ratio()), (8, Some(0.75)));
        assert_eq!(Counts::default().hit_ratio(), None);
    }
}
