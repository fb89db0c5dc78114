//! How long the callers of a database wait in one of its queues.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The least wait in a queue since it was last read, in microseconds. While even this one is long, the queue is
/// standing.
#[derive(Debug)]
pub(super) struct QueueWait(AtomicU64);

impl QueueWait {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// Records the end of a wait.
    pub(super) fn end(&self, began: Instant) {
        let waited = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_min(waited, Relaxed);
    }

    /// Returns the least wait since the last call; `None` if there was none.
    pub(super) fn take(&self) -> Option<Duration> {
        let least = self.0.swap(u64::MAX, Relaxed);
        (least != u64::MAX).then(|| Duration::from_micros(least))
    }
}
