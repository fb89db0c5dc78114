//! The cursors of subscribers: the rows of `event_cursors`.

use jiff::Timestamp;

use crate::infrastructure::repositories::{Connection, DatabaseError, Outbox, UnitOfWork, from_row};

/// The position of a subscriber in the outbox, and the failed attempts of the next event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    /// The position of the last event that was handled.
    pub position: i64,
    /// The failed attempts to handle the next event.
    pub attempts: i64,
    /// The time of the next attempt; `None` if none failed.
    pub retry_at: Option<Timestamp>,
}

from_row!(Cursor { position, attempts, retry_at });

impl Cursor {
    const COLUMNS: &'static str = "seq, attempts, retry_at";

    /// Returns the cursor of a subscriber; `None` if it has handled nothing yet.
    pub(super) async fn find(
        connection: &mut Connection,
        subscriber: &str,
    ) -> Result<Option<Self>, DatabaseError> {
        let sql = format!("SELECT {} FROM event_cursors WHERE subscriber = $1", Self::COLUMNS);
        connection.first(&sql, &[subscriber.into()]).await
    }

    /// Locks the cursor of a subscriber, so that two processes do not handle the same event, and returns it; `None`
    /// while a failed event waits for its next attempt. A subscriber without a cursor gets one at the start.
    pub(super) async fn lock(work: &mut UnitOfWork, subscriber: &str) -> Result<Option<Self>, DatabaseError> {
        let sql = format!(
            "INSERT INTO event_cursors (subscriber, seq, attempts) VALUES ($1, $3, 0) \
             ON CONFLICT (subscriber) DO UPDATE SET attempts = event_cursors.attempts \
             WHERE event_cursors.retry_at IS NULL OR event_cursors.retry_at <= $2 RETURNING {}",
            Self::COLUMNS
        );
        let values = [subscriber.into(), work.now().into(), Outbox::START.into()];
        work.first(&sql, &values).await
    }

    /// Moves the cursor of a subscriber past the event at `position`, and resets the failed attempts.
    pub(super) async fn advance(
        work: &mut UnitOfWork,
        subscriber: &str,
        position: i64,
    ) -> Result<(), DatabaseError> {
        let sql = "UPDATE event_cursors SET seq = $2, attempts = 0, retry_at = NULL, last_error = NULL \
                   WHERE subscriber = $1";
        work.execute(sql, &[subscriber.into(), position.into()]).await.map(drop)
    }

    /// Records that the next event has failed `attempts` times, with the time of the next attempt.
    pub(super) async fn retry_later(
        work: &mut UnitOfWork,
        subscriber: &str,
        attempts: i64,
        retry_at: Timestamp,
        error: &str,
    ) -> Result<(), DatabaseError> {
        let sql =
            "UPDATE event_cursors SET attempts = $2, retry_at = $3, last_error = $4 WHERE subscriber = $1";
        let values = [subscriber.into(), attempts.into(), retry_at.into(), error.into()];
        work.execute(sql, &values).await.map(drop)
    }
}
