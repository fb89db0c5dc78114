//! Delivers the events of the outbox to each subscriber, in order and at its own pace.
//!
//! A handler runs in the unit of work that moves its subscriber's cursor past the event, so its changes of the database
//! are committed exactly once. If it fails, its changes are rolled back to a savepoint, and the event is retried with
//! exponential backoff; after the last attempt it becomes a dead letter. Until then its subscriber gets no later event.
//! Retryable failures, such as a database that is unavailable, are not attempts: the whole batch is delivered again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::cursor::Cursor;
use super::envelope::Envelope;
use super::subscriber::Subscriber;
use crate::domain::ids::DeadLetterId;
use crate::infrastructure::exceptions::{Failure, Kind, NotFound, Technical};
use crate::infrastructure::repositories::{Database, DeadLetter, Outbox, UnitOfWork};

/// The shortest retention of an event; one that a subscriber has not read is kept longer.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The most events delivered in one unit of work.
const BATCH: i64 = 100;
/// The number of failed attempts after which an event becomes a dead letter.
const MAX_ATTEMPTS: i64 = 8;

/// Delivers events to subscribers. Clones share the subscribers.
#[derive(Clone)]
pub struct EventDispatcher {
    database: Database,
    subscribers: Arc<[Subscriber]>,
}

impl EventDispatcher {
    /// Returns a dispatcher for these subscribers.
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

    /// Delivers every event that can be delivered now; returns the number of events that need no further attempt. Stops
    /// between two units of work once `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// The first retryable failure. The other subscribers have got their events nevertheless.
    pub async fn deliver(&self, stop: &CancellationToken) -> Result<u64, Failure> {
        let (mut delivered, mut failed) = (0, None);
        for subscriber in self.subscribers.iter() {
            while !stop.is_cancelled() {
                match self.deliver_batch(subscriber).await {
                    Ok(0) => break,
                    Ok(batch) => delivered += batch,
                    Err(failure) => {
                        failed.get_or_insert(failure);
                        break;
                    }
                }
            }
        }
        failed.map_or(Ok(delivered), Err)
    }

    /// Delivers the event of a dead letter to its subscriber once more, after the later events that the subscriber has
    /// got since. If the handler succeeds, the dead letter is removed; otherwise it is returned with the error.
    ///
    /// # Errors
    ///
    /// [`NotFound::DeadLetter`], and [`Technical`] if there is no such subscriber any more.
    pub async fn retry(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, Failure> {
        let write = self.database.write((self.clone(), id), async |work, (dispatcher, id)| {
            let letter: DeadLetter = work.find(*id).await?.ok_or(NotFound::DeadLetter)?;
            // of concurrent attempts one removes it
            if !work.remove::<DeadLetter>(*id).await? {
                return Err(NotFound::DeadLetter.into());
            }
            let subscriber = dispatcher.subscribers.iter().find(|known| known.name() == letter.subscriber);
            let missing = || Technical::internal(format!("there is no subscriber {}", letter.subscriber));
            let event = Outbox(work).get(letter.seq, Envelope::COLUMNS).await?;
            let Err(failure) = handle(work, subscriber.ok_or_else(missing)?, &event).await? else {
                return Ok(None);
            };

            let error = failure.report().to_string();
            let letter = DeadLetter { attempts: letter.attempts + 1, error, failed_at: work.now(), ..letter };
            work.insert(&letter).await?;
            Ok(Some(letter))
        });
        write.await
    }

    /// Deletes up to `limit` events that every subscriber has read and that are older than [`RETENTION`]; returns their
    /// number. Events with dead letters are kept.
    pub async fn purge(&self, limit: i64) -> Result<u64, Failure> {
        let Some(read_by_all) = self.first_cursor().await? else { return Ok(0) };
        self.database
            .write((read_by_all, limit), async |work, (read_by_all, limit)| {
                let before = work.now().checked_sub(RETENTION).unwrap_or(Timestamp::MIN);
                Ok(Outbox(work).purge(*read_by_all, before, *limit).await?)
            })
            .await
    }

    /// Returns the position that every subscriber has reached; `None` without subscribers.
    async fn first_cursor(&self) -> Result<Option<i64>, Failure> {
        let mut connection = self.database.read().await?;
        let mut first = None;
        for subscriber in self.subscribers.iter() {
            let cursor = Cursor::find(&mut connection, subscriber.name()).await?;
            let position = cursor.map_or(Outbox::START, |cursor| cursor.position);
            first = Some(first.map_or(position, |first: i64| first.min(position)));
        }
        Ok(first)
    }

    /// Delivers the next events in one unit of work, up to the first that fails; returns the number of events that need
    /// no further attempt.
    async fn deliver_batch(&self, subscriber: &Subscriber) -> Result<u64, Failure> {
        if !self.has_events_for(subscriber).await? {
            return Ok(0);
        }
        self.database
            .write(subscriber.clone(), async |work, subscriber| {
                let Some(cursor) = Cursor::lock(work, subscriber.name()).await? else { return Ok(0) };
                let events: Vec<Envelope> =
                    Outbox(work).after(cursor.position, Envelope::COLUMNS, BATCH).await?;
                let (mut delivered, mut failed) = (0_usize, None);
                for event in &events {
                    if let Err(failure) = handle(work, subscriber, event).await? {
                        failed = Some((event, failure.report().to_string()));
                        break;
                    }
                    delivered += 1;
                }
                if let Some(last) = events[..delivered].last() {
                    Cursor::advance(work, subscriber.name(), last.position).await?;
                }
                let Some((event, error)) = failed else { return Ok(delivered as u64) };

                let attempts = if delivered == 0 { cursor.attempts + 1 } else { 1 };
                let is_dead = record_failure(work, subscriber.name(), event, attempts, &error).await?;
                Ok(delivered as u64 + u64::from(is_dead))
            })
            .await
    }

    /// Returns whether there is an event to deliver to a subscriber now. This costs less than a unit of work that finds
    /// none.
    async fn has_events_for(&self, subscriber: &Subscriber) -> Result<bool, Failure> {
        let mut connection = self.database.read().await?;
        let cursor = Cursor::find(&mut connection, subscriber.name()).await?;
        let retry_at = cursor.and_then(|cursor| cursor.retry_at);
        if retry_at.is_some_and(|at| at > self.database.context().clock.now()) {
            return Ok(false);
        }
        let position = cursor.map_or(Outbox::START, |cursor| cursor.position);
        Ok(!Outbox(&mut connection).after::<i64>(position, "seq", 1).await?.is_empty())
    }
}

/// Runs the handlers of a subscriber for an event. The inner result is that of the handlers: if they fail or panic,
/// their changes are rolled back. The outer error is a retryable failure or one of the savepoint: it ends the unit of
/// work.
async fn handle(
    work: &mut UnitOfWork,
    subscriber: &Subscriber,
    event: &Envelope,
) -> Result<Result<(), Failure>, Failure> {
    if !subscriber.handles(&event.event_type) {
        return Ok(Ok(()));
    }

    work.savepoint()?;
    let run = AssertUnwindSafe(subscriber.handle(work, event)).catch_unwind().await;
    let handled = match run {
        // on PostgreSQL this returns the errors of the statements that the handlers queued
        Ok(Ok(())) => work.release_savepoint().await.map_err(Failure::from),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(Technical::internal("a handler panicked").into()),
    };
    match handled {
        Err(failure) if failure.kind() == Kind::Retryable => Err(failure),
        Err(failure) => {
            work.rollback_to_savepoint().await?;
            Ok(Err(failure))
        }
        Ok(()) => Ok(Ok(())),
    }
}

/// Schedules the next attempt for an event that has failed `attempts` times, or makes it a dead letter; returns whether
/// it became one.
async fn record_failure(
    work: &mut UnitOfWork,
    subscriber: &str,
    event: &Envelope,
    attempts: i64,
    error: &str,
) -> Result<bool, Failure> {
    let now = work.now();
    if attempts < MAX_ATTEMPTS {
        let wait = SignedDuration::from_secs(1_i64 << attempts);
        let retry_at = now.checked_add(wait).unwrap_or(now);
        Cursor::retry_later(work, subscriber, attempts, retry_at, error).await?;
        return Ok(false);
    }

    let letter = DeadLetter {
        id: work.id(),
        subscriber: subscriber.to_owned(),
        seq: event.position,
        event_id: event.id,
        event_type: event.event_type.clone(),
        subject: event.subject.clone(),
        attempts,
        error: error.to_owned(),
        failed_at: now,
    };
    work.insert_new(&letter).await?;
    Cursor::advance(work, subscriber, event.position).await?;
    tracing::error!(subscriber, event = %event.id, error, "an event became a dead letter");
    Ok(true)
}
