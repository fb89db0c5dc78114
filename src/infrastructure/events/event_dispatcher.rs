//! Hands the outbox to each subscriber, in order, at its own pace.
//!
//! An event is handled in the same unit of work that moves the subscriber's cursor past it: what a reaction does to
//! the database happens exactly once. A reaction that fails is tried again later; after some tries its event is set
//! aside as a dead letter, and the subscriber goes on. What everybody has read is kept for a week.

use std::pin::Pin;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::envelope::Envelope;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{
    Connection, Database, DatabaseError, EventPosition, Outbox, UnitOfWork, from_row,
};

/// How long an event is kept after it happened: what went wrong over a long weekend can still be looked into.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Events handled in one unit of work.
const BATCH: i64 = 100;
/// Tries before an event is set aside.
const TRIES: i64 = 8;

/// What a subscriber does with an event.
pub type Reaction = for<'a> fn(
    &'a mut UnitOfWork,
    &'a Envelope,
) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// Somebody who wants to know what happened.
#[derive(Clone, Copy)]
pub struct Subscriber {
    name: &'static str,
    kinds: &'static [&'static str],
    reaction: Reaction,
}

impl Subscriber {
    /// A subscriber by a name that stays its own, to events of these types.
    pub fn new(name: &'static str, kinds: &'static [&'static str], reaction: Reaction) -> Self {
        Self { name, kinds, reaction }
    }
}

/// Hands events to subscribers.
#[derive(Clone)]
pub struct EventDispatcher {
    database: Database,
    subscribers: Arc<[Subscriber]>,
}

/// How far a subscriber is.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    place: EventPosition,
    attempts: i64,
    retry_at: Option<Timestamp>,
}

impl Cursor {
    const COLUMNS: &'static str = "tx, seq, attempts, retry_at";
}

from_row!(Cursor { place, attempts, retry_at });

impl EventDispatcher {
    /// A dispatcher for these subscribers.
    pub fn new(database: Database, subscribers: impl Into<Arc<[Subscriber]>>) -> Self {
        Self { database, subscribers: subscribers.into() }
    }

    /// Delivers until every subscriber has everything it can have now, or it is told to stop; how many events were
    /// handled.
    pub async fn deliver(&self, stop: &CancellationToken) -> Result<u64, Failure> {
        let mut handled = 0;
        for &subscriber in self.subscribers.iter() {
            while !stop.is_cancelled() {
                let batch = match self.handle(subscriber, BATCH).await {
                    Ok(batch) => batch,
                    Err(failure) => {
                        // One of them fails: find out which, and let those before it through.
                        tracing::debug!(subscriber = subscriber.name, %failure, "a batch failed");
                        self.handle_one(subscriber).await?
                    }
                };
                handled += batch.unsigned_abs();
                if batch == 0 {
                    break;
                }
            }
        }
        Ok(handled)
    }

    /// Clears away events that every subscriber has read and that are older than [`RETENTION`]; how many.
    pub async fn forget(&self, limit: i64) -> Result<u64, Failure> {
        let mut read = Vec::new();
        let mut connection = self.database.read().await?;
        for subscriber in self.subscribers.iter() {
            read.push(
                look(&mut connection, subscriber.name)
                    .await?
                    .map_or(EventPosition::START, |cursor| cursor.place),
            );
        }
        drop(connection);
        let Some(until) = read.into_iter().min() else { return Ok(0) };
        self.database
            .write_boxed(move |work| {
                Box::pin(async move {
                    let now = work.now();
                    let before = now.checked_sub(RETENTION).unwrap_or(Timestamp::MIN);
                    Ok(Outbox(work).purge(until, before, limit).await?)
                })
            })
            .await
    }

    /// Whether a subscriber can read on now. To look costs less than to take its cursor in vain.
    async fn is_behind(&self, subscriber: Subscriber) -> Result<bool, Failure> {
        let mut connection = self.database.read().await?;
        let cursor = look(&mut connection, subscriber.name).await?;
        let retry_at = cursor.and_then(|cursor| cursor.retry_at);
        if retry_at.is_some_and(|at| at > self.database.context().clock.now()) {
            return Ok(false);
        }
        let place = cursor.map_or(EventPosition::START, |cursor| cursor.place);
        Ok(!Outbox(&mut connection).after::<i64>(place, "seq", 1).await?.is_empty())
    }

    /// Handles up to `limit` events in one unit of work.
    async fn handle(&self, subscriber: Subscriber, limit: i64) -> Result<i64, Failure> {
        if !self.is_behind(subscriber).await? {
            return Ok(0);
        }
        self.database
            .write_boxed(move |work| {
                Box::pin(async move {
                    let cursor = take_cursor(work, subscriber.name).await?;
                    let Some(cursor) = cursor else { return Ok(0) };
                    let events = read_after(work, cursor, limit).await?;
                    let mut read = 0;
                    for event in &events {
                        read += 1;
                        if subscriber.kinds.contains(&event.kind.as_str()) {
                            (subscriber.reaction)(work, event).await?;
                        }
                    }
                    if let Some(last) = events.last() {
                        move_cursor(work, subscriber.name, last).await?;
                    }
                    Ok(read)
                })
            })
            .await
    }

    /// Handles the next event alone; one that fails is put off, or set aside after its last try.
    async fn handle_one(&self, subscriber: Subscriber) -> Result<i64, Failure> {
        match self.handle(subscriber, 1).await {
            Ok(read) => Ok(read),
            Err(failure) => {
                let error = failure.to_string();
                self.database
                    .write_boxed(move |work| {
                        let error = error.clone();
                        Box::pin(async move { put_off(work, subscriber.name, &error).await })
                    })
                    .await
            }
        }
    }
}

/// How far a subscriber is; `None` if it has not begun.
async fn look(connection: &mut Connection, name: &str) -> Result<Option<Cursor>, DatabaseError> {
    let sql = format!("SELECT {} FROM event_cursors WHERE subscriber = $1", Cursor::COLUMNS);
    connection.first(&sql, &[name.into()]).await
}

/// Takes a subscriber's cursor for this unit of work, so that two nodes do not deliver the same; `None` while a
/// failed event waits for its next try.
async fn take_cursor(work: &mut UnitOfWork, name: &str) -> Result<Option<Cursor>, DatabaseError> {
    let now = work.now();
    let sql = format!(
        "INSERT INTO event_cursors (subscriber, tx, seq, attempts) VALUES ($1, $3, $4, 0) \
         ON CONFLICT (subscriber) DO UPDATE SET attempts = event_cursors.attempts \
         WHERE event_cursors.retry_at IS NULL OR event_cursors.retry_at <= $2 RETURNING {}",
        Cursor::COLUMNS
    );
    let EventPosition { tx, seq } = EventPosition::START;
    work.first(&sql, &[name.into(), now.into(), tx.into(), seq.into()]).await
}

/// The events behind a cursor, in their order.
async fn read_after(
    work: &mut UnitOfWork,
    cursor: Cursor,
    limit: i64,
) -> Result<Vec<Envelope>, DatabaseError> {
    Outbox(work).after(cursor.place, Envelope::COLUMNS, limit).await
}

async fn move_cursor(work: &mut UnitOfWork, name: &str, last: &Envelope) -> Result<(), DatabaseError> {
    let sql = "UPDATE event_cursors SET tx = $2, seq = $3, attempts = 0, retry_at = NULL, last_error = NULL \
               WHERE subscriber = $1";
    work.execute(sql, &[name.into(), last.tx.into(), last.seq.into()]).await.map(drop)
}

/// Puts the next event off, or sets it aside after its last try; how many events are done with.
async fn put_off(work: &mut UnitOfWork, name: &str, error: &str) -> Result<i64, Failure> {
    let Some(cursor) = take_cursor(work, name).await? else { return Ok(0) };
    let Some(event) = read_after(work, cursor, 1).await?.pop() else { return Ok(0) };
    let attempts = cursor.attempts + 1;
    let now = work.now();
    if attempts >= TRIES {
        let sql = "INSERT INTO dead_letters (subscriber, seq, attempts, error, died_at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT DO NOTHING";
        let values = [name.into(), event.seq.into(), attempts.into(), error.into(), now.into()];
        work.execute(sql, &values).await?;
        tracing::error!(subscriber = name, event = %event.id, error, "an event was set aside");
        move_cursor(work, name, &event).await?;
        return Ok(1);
    }
    let wait = SignedDuration::from_secs(1_i64 << attempts);
    let retry_at = now.checked_add(wait).unwrap_or(now);
    let sql = "UPDATE event_cursors SET attempts = $2, retry_at = $3, last_error = $4 WHERE subscriber = $1";
    work.execute(sql, &[name.into(), attempts.into(), retry_at.into(), error.into()]).await?;
    Ok(0)
}
