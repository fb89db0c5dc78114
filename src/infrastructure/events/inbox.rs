//! The inbox: the rows of `inbox`, by which an event that a broker delivers twice is handled once.
//!
//! A row says that a subscriber has read an event above its cursor. The cursor follows over the events without a gap,
//! and the rows up to it are deleted. Those of a group of another service have no position, and are deleted by
//! [`purge`].

use jiff::SignedDuration;
use uuid::Uuid;

use super::envelope::Envelope;
use super::incoming::ReceivedEvent;
use crate::domain::time::earlier;
use crate::infrastructure::repositories::{
    Conditions, DatabaseError, EventRange, Outbox, UnitOfWork, params,
};

/// How long [`is_first`] remembers an event: four times as long as brokers keep it.
const FOREIGN_RETENTION: SignedDuration = SignedDuration::from_hours(28 * 24);

/// Records that a group of another service has received an event; returns whether it is the first time. The service
/// calls it in the unit of work that handles the event: so a message that comes again has no effect.
pub async fn is_first(
    work: &mut UnitOfWork,
    group: &str,
    event: &ReceivedEvent,
) -> Result<bool, DatabaseError> {
    let sql =
        "INSERT INTO inbox (subscriber, event_id, received_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let values = params![group, event.key(), work.now()];
    Ok(work.execute(sql, &values).await? == 1)
}

/// Returns those of the events at some positions that are in the outbox: the position, the id and the subject of each.
pub(super) async fn known(
    work: &mut UnitOfWork,
    positions: impl Iterator<Item = i64>,
) -> Result<Vec<(i64, Uuid, String)>, DatabaseError> {
    let conditions = Conditions::default().any_of("seq", positions);
    let sql = format!("SELECT seq, id, subject FROM outbox WHERE {conditions}");
    work.all(&sql, conditions.values()).await
}

/// Records that a subscriber has read events.
pub(super) async fn record(
    work: &mut UnitOfWork,
    subscriber: &str,
    events: &[Envelope],
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO inbox (subscriber, event_id, seq, received_at) VALUES ($1, $2, $3, $4)";
    for event in events {
        let values = params![subscriber, event.id, event.position, work.now()];
        work.defer(sql, &values).await?;
    }
    Ok(())
}

/// Returns the position up to which a subscriber has read every event of a range: that before the first unread one.
pub(super) async fn read_until(work: &mut UnitOfWork, range: EventRange<'_>) -> Result<i64, DatabaseError> {
    let first: Vec<i64> = Outbox(work).read(range, "seq", 1).await?;
    Ok(first.first().map_or(range.until, |position| position - 1))
}

/// Deletes up to `limit` rows without a position that are older than [`FOREIGN_RETENTION`]; returns their number. A
/// service that calls [`is_first`] calls this from time to time.
pub async fn purge(work: &mut UnitOfWork, limit: i64) -> Result<u64, DatabaseError> {
    let sql = "DELETE FROM inbox WHERE (subscriber, event_id) IN (SELECT subscriber, event_id FROM inbox \
               WHERE seq IS NULL AND received_at < $1 LIMIT $2)";
    let before = earlier(work.now(), FOREIGN_RETENTION);
    work.execute(sql, &params![before, limit]).await
}

/// Deletes the rows up to a position.
pub(super) async fn clear(work: &mut UnitOfWork, subscriber: &str, until: i64) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM inbox WHERE subscriber = $1 AND seq <= $2";
    work.execute(sql, &params![subscriber, until]).await.map(drop)
}
