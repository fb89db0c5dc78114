//! The cursors of subscribers: the rows of `event_cursors`.

use jiff::Timestamp;
use uuid::Uuid;

use crate::infrastructure::repositories::{Connection, DatabaseError, Outbox, UnitOfWork, params};

/// The name of the cursor of the relay, which publishes events to a broker.
pub const RELAY: &str = "broker";

/// The right of one process to move a cursor, until a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    /// Identifies the lease.
    pub(super) id: Uuid,
    /// The time at which another process may lease the cursor.
    pub(super) until: Timestamp,
}

/// Returns the position of the last event that a subscriber has read; that before all events if it has read none.
pub(super) async fn position(connection: &mut Connection, subscriber: &str) -> Result<i64, DatabaseError> {
    let sql = "SELECT seq FROM event_cursors WHERE subscriber = $1";
    Ok(connection.first(sql, &[subscriber.into()]).await?.unwrap_or(Outbox::START))
}

const LOCK: &str = "INSERT INTO event_cursors (subscriber, seq) VALUES ($1, $2) \
                    ON CONFLICT (subscriber) DO UPDATE SET seq = event_cursors.seq RETURNING seq";

/// Locks the cursor of a subscriber, so that two processes do not deliver the same events to it, and returns its
/// position. A subscriber without a cursor gets one at the start.
pub(super) async fn lock(work: &mut UnitOfWork, subscriber: &str) -> Result<i64, DatabaseError> {
    work.one(LOCK, &params![subscriber, Outbox::START]).await
}

/// Sends the statement of [`lock`] together with the next one, which begins when the cursor is locked.
pub(super) fn lock_ahead(work: &mut UnitOfWork, subscriber: &str) {
    work.send_ahead(LOCK, &params![subscriber, Outbox::START]);
}

/// Moves the cursor of a subscriber to `position`.
pub(super) async fn advance(
    work: &mut UnitOfWork,
    subscriber: &str,
    position: i64,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE event_cursors SET seq = $2 WHERE subscriber = $1";
    work.defer(sql, &params![subscriber, position]).await
}

/// Returns whether another process has the lease of a cursor at `now`. This costs less than trying to get it.
pub(super) async fn is_leased_by_other(
    connection: &mut Connection,
    subscriber: &str,
    lease: Uuid,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM event_cursors \
               WHERE subscriber = $1 AND lease <> $2 AND leased_until > $3)";
    connection.one(sql, &params![subscriber, lease, now]).await
}

/// Leases a cursor or extends the lease; returns the position, `None` while another process has the lease.
pub(super) async fn lease(
    work: &mut UnitOfWork,
    subscriber: &str,
    lease: Lease,
) -> Result<Option<i64>, DatabaseError> {
    let sql = "INSERT INTO event_cursors (subscriber, seq, lease, leased_until) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (subscriber) DO UPDATE SET lease = excluded.lease, leased_until = excluded.leased_until \
               WHERE event_cursors.lease IS NULL OR event_cursors.lease = excluded.lease \
               OR event_cursors.leased_until <= $5 RETURNING seq";
    let values = params![subscriber, Outbox::START, lease.id, lease.until, work.now()];
    work.first(sql, &values).await
}

/// Moves a leased cursor to `position`; returns whether the lease is still the one of the row.
pub(super) async fn advance_leased(
    work: &mut UnitOfWork,
    subscriber: &str,
    position: i64,
    lease: Lease,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE event_cursors SET seq = $2 WHERE subscriber = $1 AND lease = $3";
    Ok(work.execute(sql, &params![subscriber, position, lease.id]).await? == 1)
}

/// Ends a lease, so that another process can have the next one at once.
pub(super) async fn release(
    work: &mut UnitOfWork,
    subscriber: &str,
    lease: Uuid,
) -> Result<(), DatabaseError> {
    let sql =
        "UPDATE event_cursors SET lease = NULL, leased_until = NULL WHERE subscriber = $1 AND lease = $2";
    work.execute(sql, &params![subscriber, lease]).await.map(drop)
}
