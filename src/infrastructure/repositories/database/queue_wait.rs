//! How long the callers of a database wait in one of its queues.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The fewest waits of which the least says something: a single one may have been behind a job.
const SAMPLES: u32 = 3;

/// The least wait in a queue since it was last read, in microseconds. While even this one is long, the queue is
/// standing.
#[derive(Debug)]
pub(super) struct QueueWait {
    least: AtomicU64,
    waits: AtomicU32,
}

impl QueueWait {
    pub(super) fn new() -> Self {
        Self { least: AtomicU64::new(u64::MAX), waits: AtomicU32::new(0) }
    }

    /// Records that there was nothing to wait for.
    pub(super) fn none(&self) {
        self.record(0);
    }

    /// Records the end of a wait.
    pub(super) fn end(&self, began: Instant) {
        self.record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }

    fn record(&self, waited: u64) {
        self.least.fetch_min(waited, Relaxed);
        self.waits.fetch_add(1, Relaxed);
    }

    /// Returns the least wait since the last call; `None` if there were fewer than three.
    pub(super) fn take(&self) -> Option<Duration> {
        let least = self.least.swap(u64::MAX, Relaxed);
        let is_known = self.waits.swap(0, Relaxed) >= SAMPLES && least != u64::MAX;
        is_known.then(|| Duration::from_micros(least))
    }
}
