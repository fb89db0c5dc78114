//! Delivers the events of the outbox to each subscriber, in order and at its own pace.
//!
//! A handler runs in the unit of work that moves its subscriber's cursor past the event: what it changes in the
//! database, it changes exactly once. An event whose handler fails is retried with growing waits and becomes a dead
//! letter after the last attempt; until then its subscriber delivers nothing behind it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::cursor::Cursor;
use super::envelope::Envelope;
use super::subscriber::Subscriber;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Database, DatabaseError, EventPosition, Outbox, UnitOfWork};

/// How long an event is kept after it happened, at least; a subscriber that has not read it keeps it longer.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The most events delivered in one unit of work.
const BATCH: i64 = 100;
/// The attempts after which an event becomes a dead letter.
const MAX_ATTEMPTS: i64 = 8;

/// Delivers events to subscribers. Clones share the subscribers.
#[derive(Clone)]
pub struct EventDispatcher {
    database: Database,
    subscribers: Arc<[Subscriber]>,
}

impl EventDispatcher {
    /// A dispatcher for these subscribers.
    ///
    /// # Panics
    ///
    /// If two subscribers have the same name: they would share a cursor, and each would miss events.
    pub fn new(database: Database, subscribers: impl Into<Arc<[Subscriber]>>) -> Self {
        let subscribers = subscribers.into();
        let mut names: Vec<_> = subscribers.iter().map(Subscriber::name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, next| one < next), "subscribers share a name: {names:?}");
        Self { database, subscribers }
    }

    /// Delivers every event that can be delivered now, and returns how many there were. Stops between two units of
    /// work once `stop` is cancelled.
    pub async fn deliver(&self, stop: &CancellationToken) -> Result<u64, Failure> {
        let mut delivered = 0;
        for subscriber in self.subscribers.iter() {
            while !stop.is_cancelled() {
                let batch = match self.deliver_batch(subscriber, BATCH).await {
                    Ok(batch) => batch,
                    Err(failure) => {
                        tracing::debug!(subscriber = subscriber.name(), %failure, "a batch of events failed");
                        self.deliver_next(subscriber).await?
                    }
                };
                delivered += batch;
                if batch == 0 {
                    break;
                }
            }
        }
        Ok(delivered)
    }

    /// Deletes up to `limit` events that every subscriber has read and that are older than [`RETENTION`]; returns how
    /// many. Events with dead letters stay.
    pub async fn purge(&self, limit: i64) -> Result<u64, Failure> {
        let Some(read_by_all) = self.first_cursor().await? else { return Ok(0) };
        self.database
            .write((read_by_all, limit), async |work, (read_by_all, limit)| {
                let before = work.now().checked_sub(RETENTION).unwrap_or(Timestamp::MIN);
                Ok(Outbox(work).purge(*read_by_all, before, *limit).await?)
            })
            .await
    }

    /// The position that every subscriber has reached; `None` without subscribers.
    async fn first_cursor(&self) -> Result<Option<EventPosition>, Failure> {
        let mut connection = self.database.read().await?;
        let mut first = None;
        for subscriber in self.subscribers.iter() {
            let cursor = Cursor::find(&mut connection, subscriber.name()).await?;
            let position = cursor.map_or(EventPosition::START, |cursor| cursor.position);
            first = Some(first.map_or(position, |first: EventPosition| first.min(position)));
        }
        Ok(first)
    }

    /// Delivers up to `limit` events in one unit of work; returns how many.
    async fn deliver_batch(&self, subscriber: &Subscriber, limit: i64) -> Result<u64, Failure> {
        if !self.has_events_for(subscriber).await? {
            return Ok(0);
        }
        self.database
            .write((subscriber.clone(), limit), async |work, (subscriber, limit)| {
                let Some(cursor) = Cursor::lock(work, subscriber.name()).await? else { return Ok(0) };
                let events = events_after(work, cursor, *limit).await?;
                for event in &events {
                    subscriber.handle(work, event).await?;
                }
                if let Some(last) = events.last() {
                    Cursor::advance(work, subscriber.name(), last.position).await?;
                }
                Ok(events.len() as u64)
            })
            .await
    }

    /// Delivers the next event alone. If its handler fails, it is retried later, or becomes a dead letter; returns how
    /// many events need no further attempt.
    async fn deliver_next(&self, subscriber: &Subscriber) -> Result<u64, Failure> {
        let failure = match self.deliver_batch(subscriber, 1).await {
            Ok(delivered) => return Ok(delivered),
            Err(failure) => failure,
        };
        let given = (subscriber.name(), failure.report().to_string());
        self.database.write(given, async |work, (name, error)| record_failure(work, name, error).await).await
    }

    /// Whether a subscriber can read on now. This costs less than a unit of work that would find nothing.
    async fn has_events_for(&self, subscriber: &Subscriber) -> Result<bool, Failure> {
        let mut connection = self.database.read().await?;
        let cursor = Cursor::find(&mut connection, subscriber.name()).await?;
        let retry_at = cursor.and_then(|cursor| cursor.retry_at);
        if retry_at.is_some_and(|at| at > self.database.context().clock.now()) {
            return Ok(false);
        }
        let position = cursor.map_or(EventPosition::START, |cursor| cursor.position);
        Ok(!Outbox(&mut connection).after::<EventPosition>(position, "tx, seq", 1).await?.is_empty())
    }
}

/// The next events behind a cursor, in their order.
async fn events_after(
    work: &mut UnitOfWork,
    cursor: Cursor,
    limit: i64,
) -> Result<Vec<Envelope>, DatabaseError> {
    Outbox(work).after(cursor.position, Envelope::COLUMNS, limit).await
}

/// Schedules the next attempt for the event behind a subscriber's cursor, or makes it a dead letter after the last
/// one; returns how many events need no further attempt.
async fn record_failure(work: &mut UnitOfWork, subscriber: &str, error: &str) -> Result<u64, Failure> {
    let Some(cursor) = Cursor::lock(work, subscriber).await? else { return Ok(0) };
    let Some(event) = events_after(work, cursor, 1).await?.pop() else { return Ok(0) };
    let now = work.now();
    let attempts = cursor.attempts + 1;

    if attempts < MAX_ATTEMPTS {
        let wait = SignedDuration::from_secs(1_i64 << attempts);
        let retry_at = now.checked_add(wait).unwrap_or(now);
        Cursor::retry_later(work, subscriber, attempts, retry_at, error).await?;
        return Ok(0);
    }

    let sql = "INSERT INTO dead_letters (subscriber, seq, attempts, error, died_at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT DO NOTHING";
    let seq = event.position.seq;
    let values = [subscriber.into(), seq.into(), attempts.into(), error.into(), now.into()];
    work.execute(sql, &values).await?;
    Cursor::advance(work, subscriber, event.position).await?;
    tracing::error!(subscriber, event = %event.id, error, "an event became a dead letter");
    Ok(1)
}
