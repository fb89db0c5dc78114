//! The units of work that wait for the writer of SQLite.
//!
//! A unit that continues a request, such as the one that applies a provider's response, runs before those that begin
//! one: behind them, a checkout would wait for the whole queue with each of its units, and what was done for it would
//! be in vain if its client gave up.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::error::DatabaseError;
use super::queue_wait::{QueueWait, QueueWaits};
use super::sqlite_pool::unavailable;

/// The most units in the queue; further ones wait until there is room.
const LENGTH: usize = 1024;

/// The queue of the writer: any number of tasks add units, and one thread takes them.
pub(super) struct WriterQueue<U> {
    room: Semaphore,
    waiting: Mutex<Waiting<U>>,
    /// A unit was added, or the queue was closed.
    changed: Condvar,
    /// The waits of the units that begin something and were left in the queue by a group.
    waits: QueueWait,
}

/// The units in the queue.
struct Waiting<U> {
    continuing: VecDeque<U>,
    beginning: VecDeque<(U, Instant)>,
    is_closed: bool,
}

impl<U> WriterQueue<U> {
    pub(super) fn new() -> Self {
        Self {
            room: Semaphore::new(LENGTH),
            waiting: Mutex::new(Waiting {
                continuing: VecDeque::new(),
                beginning: VecDeque::new(),
                is_closed: false,
            }),
            changed: Condvar::new(),
            waits: QueueWait::new(),
        }
    }

    /// Adds a unit, as soon as there is room; waits for that for `longest` at most.
    pub(super) async fn add(&self, unit: U, continues: bool, longest: Duration) -> Result<(), DatabaseError> {
        let since = Instant::now();
        let stopped = || unavailable("the writer has stopped");
        let late = |_| unavailable("too many transactions wait for the writer");
        let room = timeout(longest, self.room.acquire()).await.map_err(late)?.map_err(|_| stopped())?;
        let mut waiting = self.waiting();
        if waiting.is_closed {
            return Err(stopped());
        }
        // until the unit is taken
        room.forget();
        if continues {
            waiting.continuing.push_back(unit);
        } else {
            waiting.beginning.push_back((unit, since));
        }
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes the next unit, for which the thread waits; `None` if the queue is empty and closed.
    pub(super) fn wait(&self) -> Option<U> {
        let is_idle = |waiting: &mut Waiting<U>| waiting.len() == 0 && !waiting.is_closed;
        let waiting = self.changed.wait_while(self.waiting(), is_idle);
        self.take(waiting.unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the next unit, if there is one.
    pub(super) fn next(&self) -> Option<U> {
        self.take(self.waiting())
    }

    fn take(&self, mut waiting: MutexGuard<'_, Waiting<U>>) -> Option<U> {
        let unit = if let Some(unit) = waiting.continuing.pop_front() {
            unit
        } else {
            waiting.beginning.pop_front()?.0
        };
        drop(waiting);
        self.room.add_permits(1);
        Some(unit)
    }

    /// Returns the number of units that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Notes that a group has taken what it may: a unit that it left waits for what it could not hold, and the others
    /// only for the commit before.
    pub(super) fn end_group(&self) {
        let left = self.waiting().beginning.front().map(|(_, since)| *since);
        left.map_or_else(|| self.waits.none(), |since| self.waits.end(since));
    }

    /// Returns the waits since the last call of the first unit that each group left in the queue, of those that begin
    /// something.
    pub(super) fn take_waits(&self) -> Option<QueueWaits> {
        self.waits.take()
    }

    /// Refuses further units; those in the queue can still be taken.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.room.close();
        self.changed.notify_one();
    }

    /// Returns whether it was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.room.is_closed()
    }

    /// Drops the units in the queue, whose callers get no result.
    pub(super) fn clear(&self) {
        let mut waiting = self.waiting();
        let units = (mem::take(&mut waiting.continuing), mem::take(&mut waiting.beginning));
        // not under the lock: what they own may be a clone of the database
        drop(waiting);
        drop(units);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<U>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<U> Waiting<U> {
    fn len(&self) -> usize {
        self.continuing.len() + self.beginning.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_unit_that_continues_a_request_runs_before_those_that_begin_one() {
        let queue = WriterQueue::new();
        for (unit, continues) in [("first", false), ("second", false), ("third", true), ("fourth", true)] {
            queue.add(unit, continues, Duration::ZERO).await.unwrap();
        }
        assert_eq!(queue.len(), 4);

        queue.close();
        let taken: Vec<_> = std::iter::from_fn(|| queue.wait()).collect();
        assert_eq!(taken, ["third", "fourth", "first", "second"]);
        let refused = queue.add("late", true, Duration::ZERO).await;
        assert!(matches!(refused, Err(DatabaseError::Unavailable(_))));
    }

    #[tokio::test]
    async fn a_full_queue_has_room_again_when_a_unit_is_taken() {
        let queue = WriterQueue::new();
        for _ in 0..LENGTH {
            queue.add((), false, Duration::ZERO).await.unwrap();
        }
        assert!(matches!(queue.add((), false, Duration::ZERO).await, Err(DatabaseError::Unavailable(_))));
        let (added, taken) =
            tokio::join!(queue.add((), false, Duration::from_mins(1)), async { queue.next() });
        assert!(added.is_ok() && taken.is_some());
    }
}
