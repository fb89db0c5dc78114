//! How long the callers of a database wait in one of its queues.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The fewest waits that say something: a single one may have been behind a job.
const SAMPLES: u32 = 3;

/// The waits in a queue since it was last read, in microseconds. While even the least is long, the queue is standing.
#[derive(Debug)]
pub(super) struct QueueWait {
    least: AtomicU64,
    total: AtomicU64,
    waits: AtomicU32,
}

/// How long was waited in a queue for some time, such as by requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueWaits {
    /// The least wait: while even this one is long, the queue is standing.
    pub least: Duration,
    /// The mean of all waits.
    pub mean: Duration,
}

impl QueueWaits {
    /// Returns the longer least wait and the longer mean of two queues. The least wait of one may be the longer one
    /// although its mean is short.
    pub(super) fn longer(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(first), Some(second)) = (one, other) else { return one.or(other) };
        Some(Self { least: first.least.max(second.least), mean: first.mean.max(second.mean) })
    }
}

impl QueueWait {
    pub(super) fn new() -> Self {
        Self { least: AtomicU64::new(u64::MAX), total: AtomicU64::new(0), waits: AtomicU32::new(0) }
    }

    /// Records that there was nothing to wait for.
    pub(super) fn none(&self) {
        self.record(Duration::ZERO);
    }

    /// Records the end of a wait.
    pub(super) fn end(&self, began: Instant) {
        self.record(began.elapsed());
    }

    fn record(&self, waited: Duration) {
        let waited = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.least.fetch_min(waited, Relaxed);
        self.total.fetch_add(waited, Relaxed);
        self.waits.fetch_add(1, Relaxed);
    }

    /// Returns the waits since the last call that returned some. `None` if there are fewer than three; they are counted
    /// by the next call: on a slow disk, two groups of units may take longer than a caller waits.
    pub(super) fn take(&self) -> Option<QueueWaits> {
        if self.waits.load(Relaxed) < SAMPLES {
            return None;
        }
        let (least, total) = (self.least.swap(u64::MAX, Relaxed), self.total.swap(0, Relaxed));
        let waits = self.waits.swap(0, Relaxed);
        let mean = total.checked_div(waits.into())?;
        (least != u64::MAX)
            .then(|| QueueWaits { least: Duration::from_micros(least), mean: Duration::from_micros(mean) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_waits_are_counted_by_a_later_call() {
        let queue = QueueWait::new();
        for waited in [30, 10] {
            queue.record(Duration::from_millis(waited));
            assert_eq!(queue.take(), None);
        }
        queue.record(Duration::from_millis(20));
        let (least, mean) = (Duration::from_millis(10), Duration::from_millis(20));
        assert_eq!(queue.take(), Some(QueueWaits { least, mean }));
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn the_longer_mean_counts_also_of_the_queue_with_the_shorter_least_wait() {
        let waits = |least, mean| {
            let (least, mean) = (Duration::from_millis(least), Duration::from_millis(mean));
            Some(QueueWaits { least, mean })
        };
        assert_eq!(QueueWaits::longer(waits(0, 50), waits(1, 2)), waits(1, 50));
        assert_eq!(QueueWaits::longer(waits(1, 2), None), waits(1, 2));
        assert_eq!(QueueWaits::longer(None, waits(1, 2)), waits(1, 2));
        assert_eq!(QueueWaits::longer(None, None), None);
    }
}
