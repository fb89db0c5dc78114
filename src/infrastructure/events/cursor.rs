//! The cursors of subscribers: the rows of `event_cursors`.

use crate::infrastructure::repositories::{Connection, DatabaseError, Outbox, UnitOfWork};

/// Returns the position of the last event that a subscriber has read; that before all events if it has read none.
pub(super) async fn position(connection: &mut Connection, subscriber: &str) -> Result<i64, DatabaseError> {
    let sql = "SELECT seq FROM event_cursors WHERE subscriber = $1";
    Ok(connection.first(sql, &[subscriber.into()]).await?.unwrap_or(Outbox::START))
}

/// Locks the cursor of a subscriber, so that two processes do not deliver the same events to it, and returns its
/// position. A subscriber without a cursor gets one at the start.
pub(super) async fn lock(work: &mut UnitOfWork, subscriber: &str) -> Result<i64, DatabaseError> {
    let sql = "INSERT INTO event_cursors (subscriber, seq) VALUES ($1, $2) \
               ON CONFLICT (subscriber) DO UPDATE SET seq = event_cursors.seq RETURNING seq";
    work.one(sql, &[subscriber.into(), Outbox::START.into()]).await
}

/// Moves the cursor of a subscriber to `position`.
pub(super) async fn advance(
    work: &mut UnitOfWork,
    subscriber: &str,
    position: i64,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE event_cursors SET seq = $2 WHERE subscriber = $1";
    work.execute(sql, &[subscriber.into(), position.into()]).await.map(drop)
}
