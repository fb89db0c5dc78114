//! What a cache counts. Each read is counted once: hits, stale ones, waits and loads add up to the reads. The looks for
//! what was invalidated are those of all caches of the process.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of the durations by which looks are counted.
pub const LOOK_BOUNDS: [Duration; 12] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
];

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
    pub(super) too_large: Counter,
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
    /// Reads that waited for a load that another reader began; of several keys that are loaded together, each.
    pub waits: u64,
    /// Reads that began a load, and those that began none because the source is away; of several keys that are loaded
    /// together, each.
    pub loads: u64,
    /// Loads that are not counted as a read: in the background, or the second one of a reader.
    pub refreshes: u64,
    /// Reads that are counted as one of these, too, and got an entry that was dropped or after its end, because its
    /// load failed or took too long.
    pub fallbacks: u64,
    /// Loads whose entry was in the shared store.
    pub shared: u64,
    /// Loads that found an entry in the shared store and did not use it, because it was dropped, had ended, was that
    /// which is to be loaded again before its end, or was damaged.
    pub rejected: u64,
    /// Entries that are larger than the cache, which does not keep them.
    pub too_large: u64,
    /// Loads whose entry came from the source; of several keys that are loaded together, each.
    pub from_source: u64,
    /// Loads that failed, and reads that began none because the source is away; of several keys that are loaded
    /// together, each.
    pub failures: u64,
    /// Entries that were removed from memory, or not kept, to make room for others.
    pub evictions: u64,
    /// Entries that were compared with a load of the same version, in check mode.
    pub checks: u64,
    /// Entries that such a load proved to be old, by their value or by the bytes that are kept beside it.
    pub stale_hits: u64,
}

/// The counters of the looks of a process; [`LookCounts`] says what each counts.
#[derive(Debug, Default)]
pub(super) struct LookCounters {
    by_duration: [Counter; LOOK_BOUNDS.len() + 1],
    microseconds: Counter,
    failed: Counter,
}

/// The looks of a process for what was invalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookCounts {
    /// Looks that took at most as long as each of [`LOOK_BOUNDS`], and longer than the one before it; in the end those
    /// that took longer than all of these.
    pub by_duration: [u64; LOOK_BOUNDS.len() + 1],
    /// How long all of them took.
    pub took: Duration,
    /// Looks that failed, which are among these, too.
    pub failed: u64,
}

impl LookCounts {
    /// Returns the number of looks.
    pub fn looks(&self) -> u64 {
        self.by_duration.iter().sum()
    }
}

impl LookCounters {
    /// Counts a look.
    pub(super) fn add(&self, took: Duration, is_failed: bool) {
        let place = LOOK_BOUNDS.partition_point(|bound| *bound < took);
        self.by_duration[place].add(1);
        self.microseconds.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.failed.add(is_failed.into());
    }

    /// Returns the values.
    pub(super) fn counts(&self) -> LookCounts {
        LookCounts {
            by_duration: self.by_duration.each_ref().map(Counter::get),
            took: Duration::from_micros(self.microseconds.get()),
            failed: self.failed.get(),
        }
    }
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
            too_large: self.too_large.get(),
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

    #[test]
    fn looks_are_counted_by_how_long_they_took() {
        let counters = LookCounters::default();
        for (microseconds, is_failed) in [(100, false), (101, false), (12_000_000, true)] {
            counters.add(Duration::from_micros(microseconds), is_failed);
        }
        let counts = counters.counts();
        assert_eq!((counts.looks(), counts.failed), (3, 1));
        assert_eq!(counts.took, Duration::from_micros(12_000_201));
        let [first, second, .., last] = counts.by_duration;
        assert_eq!((first, second, last), (1, 1, 1));
    }
}
