//! Delivers the events of the outbox to each subscriber, in order and at its own pace.
//!
//! A handler runs in the unit of work that moves its subscriber's cursor past the event, so its changes of the
//! database are committed exactly once. The new events of a unit of work are attempted together; if a handler fails,
//! all are rolled back, and each is attempted by itself. If it fails then, its changes are rolled back to a
//! savepoint, and the event is postponed: it is retried with exponential backoff, and after the last attempt it
//! becomes a dead letter. Until then its subscriber gets no later event of the same subject. A retryable failure,
//! such as a payment that another process changes, is no attempt. If the transaction itself fails, the whole batch is
//! delivered again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::batch::Batch;
use super::cursor;
use super::envelope::Envelope;
use super::inbox;
use super::postponed::Postponed;
use super::subscriber::Subscriber;
use super::tasks::run_all;
use super::transports;
use crate::domain::ids::DeadLetterId;
use crate::domain::time::earlier;
use crate::infrastructure::exceptions::{Failure, NotFound, RepeatedFailure, Technical};
use crate::infrastructure::repositories::{
    Database, DatabaseError, DeadLetter, EventRange, Outbox, UnitOfWork,
};

/// The shortest retention of an event; one that a subscriber has not read is kept longer.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The longest wait for the next event. A commit ends it, except one of another process of which no notification came.
const POLL: Duration = Duration::from_secs(2);
/// The shortest time between two looks of a subscriber. With many commits a second, each look finds the events of
/// several; one that was committed after a pause is delivered at once.
const PAUSE: Duration = Duration::from_millis(10);
/// The most new events, and the most postponed ones, delivered in one unit of work.
const BATCH: usize = 100;
/// The age of an event after which a subscriber reads it from the outbox, if no broker has delivered it.
const OVERDUE: SignedDuration = SignedDuration::from_secs(30);
/// The most positions that a unit of work reads the events of: with a long backlog, a database would sort all of it to
/// find the first ones.
pub(super) const POSITIONS: i64 = 1000;

/// Delivers events to subscribers. Clones share the subscribers.
#[derive(Clone)]
pub struct EventDispatcher {
    database: Database,
    subscribers: Arc<[Subscriber]>,
    /// Whether a broker delivers new events.
    behind_broker: bool,
}

impl EventDispatcher {
    /// Returns a dispatcher for these subscribers.
    ///
    /// # Panics
    ///
    /// If two subscribers have the same name: they would share a cursor, and each would miss events. If one has the
    /// name of the relay or of the rejected messages, or no handler.
    pub fn new(database: Database, subscribers: impl Into<Arc<[Subscriber]>>) -> Self {
        let subscribers = subscribers.into();
        let mut names = BTreeSet::new();
        for subscriber in subscribers.iter() {
            let reserved = [cursor::RELAY, transports::REJECTED].contains(&subscriber.name());
            assert!(!reserved, "the name of a subscriber is reserved: {}", subscriber.name());
            assert!(names.insert(subscriber.name()), "subscribers share a name: {}", subscriber.name());
            assert!(!subscriber.types().is_empty(), "a subscriber without handlers: {}", subscriber.name());
        }
        Self { database, subscribers, behind_broker: false }
    }

    /// Leaves new events to a [`Receiver`](super::Receiver): the dispatcher delivers those that are postponed, and
    /// those that no broker has delivered 30 seconds after they were published.
    #[must_use]
    pub fn behind_broker(self) -> Self {
        Self { behind_broker: true, ..self }
    }

    /// Returns the subscribers.
    pub fn subscribers(&self) -> &[Subscriber] {
        &self.subscribers
    }

    /// Delivers events as they are committed, to each subscriber at its own pace, until `stop` is cancelled.
    pub async fn run(&self, stop: &CancellationToken) {
        let subscribers = self.subscribers.iter().cloned();
        let running = subscribers.map(|subscriber| {
            let (dispatcher, stop) = (self.clone(), stop.clone());
            async move { dispatcher.run_for(&subscriber, &stop).await }
        });
        run_all(running).await;
    }

    async fn run_for(&self, subscriber: &Subscriber, stop: &CancellationToken) {
        let (mut backoff, mut failing) = (Backoff::default(), RepeatedFailure::default());
        while !stop.is_cancelled() {
            let committed = self.database.committed().notified();
            let failed = self.deliver_to(subscriber, stop).await.err();
            let wait = match &failed {
                None => {
                    (backoff, failing) = (Backoff::default(), RepeatedFailure::default());
                    POLL
                }
                Some(failure) => {
                    if let Some(failure) = failing.begin(failure) {
                        let subscriber = subscriber.name();
                        tracing::warn!(subscriber, %failure, "events were not delivered, retrying");
                    }
                    backoff.next(self.database.context())
                }
            };
            let next = async {
                sleep(PAUSE).await;
                committed.await;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                // what failed is not attempted again at each commit
                () = next, if failed.is_none() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Delivers every event that can be delivered now, to all subscribers at the same time; returns the number of
    /// events that need no further attempt. Stops between two units of work once `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// The first failure of a unit of work. The other subscribers have got their events nevertheless.
    pub async fn deliver(&self, stop: &CancellationToken) -> Result<u64, Failure> {
        let deliveries = self.subscribers.iter().map(|subscriber| self.deliver_to(subscriber, stop));
        join_all(deliveries).await.into_iter().sum()
    }

    /// Delivers every event that can be delivered now to one of the subscribers; see [`EventDispatcher::deliver`].
    pub async fn deliver_to(
        &self,
        subscriber: &Subscriber,
        stop: &CancellationToken,
    ) -> Result<u64, Failure> {
        let mut delivered = 0;
        while !stop.is_cancelled() {
            let mut next = self.deliverable(subscriber).await?;
            if next.is_none() {
                break;
            }
            while let Some(positions) = next.filter(|_| !stop.is_cancelled()) {
                let batch = self.deliver_batch(subscriber, positions).await?;
                delivered += batch.delivered;
                next = batch.rest;
            }
        }
        Ok(delivered)
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
            let missing = || Technical::internal(format!("there is no subscriber {}", letter.subscriber));
            let subscriber = dispatcher.subscriber(&letter.subscriber).ok_or_else(missing)?;
            // no other process delivers to the subscriber meanwhile
            cursor::lock(work, subscriber.name()).await?;
            // of concurrent attempts one removes it
            if !work.remove::<DeadLetter>(*id).await? {
                return Err(NotFound::DeadLetter.into());
            }
            let event: Envelope = Outbox(work).get(letter.seq, Envelope::COLUMNS).await?;
            let Err(failure) = subscriber.attempt(work, &[&event]).await? else { return Ok(None) };

            subscriber.count_failure();
            let error = failure.report().to_string();
            let letter = DeadLetter { attempts: letter.attempts + 1, error, failed_at: work.now(), ..letter };
            work.insert(&letter).await?;
            Ok(Some(letter))
        });
        write.await
    }

    /// Deletes up to `limit` events that every subscriber has read and that are older than [`RETENTION`]; returns
    /// their number. Events that are postponed or have dead letters are kept.
    pub async fn purge(&self, limit: i64) -> Result<u64, Failure> {
        let Some(read_by_all) = self.first_position().await? else { return Ok(0) };
        let given = (self.clone(), read_by_all, limit);
        let write = self.database.write(given, async |work, (dispatcher, read_by_all, limit)| {
            for subscriber in dispatcher.subscribers() {
                // no event is replayed meanwhile
                let reached = cursor::lock(work, subscriber.name()).await?;
                inbox::clear(work, subscriber.name(), reached).await?;
            }
            inbox::purge(work, *limit).await?;
            let before = earlier(work.now(), RETENTION);
            Ok(Outbox(work).purge(*read_by_all, before, *limit).await?)
        });
        write.await
    }

    /// Returns the database.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// Returns whether a broker delivers new events.
    pub(super) fn is_behind_broker(&self) -> bool {
        self.behind_broker
    }

    /// Returns the subscriber of this name.
    pub fn subscriber(&self, name: &str) -> Option<&Subscriber> {
        self.subscribers.iter().find(|subscriber| subscriber.name() == name)
    }

    /// Returns the position that every subscriber has reached, and the relay if there is a broker; `None` without
    /// subscribers.
    async fn first_position(&self) -> Result<Option<i64>, Failure> {
        let mut connection = self.database.read().await?;
        let mut first = None;
        let subscribers = self.subscribers.iter().map(Subscriber::name);
        for name in subscribers.chain(self.behind_broker.then_some(cursor::RELAY)) {
            let position = cursor::position(&mut connection, name).await?;
            first = Some(first.map_or(position, |first: i64| first.min(position)));
        }
        Ok(first)
    }

    /// Returns the positions whose events can be delivered to a subscriber, if there are any now or postponed ones are
    /// due. This costs less than a unit of work that finds none.
    async fn deliverable(&self, subscriber: &Subscriber) -> Result<Option<Positions>, Failure> {
        let mut connection = self.database.read().await?;
        let now = self.database.context().clock.now();
        let until = Outbox(&mut connection).readable_until().await?;
        let after = cursor::position(&mut connection, subscriber.name()).await?;
        let until = until.min(after.saturating_add(POSITIONS));
        if until > after {
            let unread_by = subscriber.name();
            let range = EventRange { after, until, types: subscriber.types(), unread_by };
            let first: Vec<Timestamp> = Outbox(&mut connection).read(range, "occurred_at", 1).await?;
            let any = first.iter().any(|published| self.is_due(*published, now));
            if any && subscriber.handles_now(&mut connection).await?
                || until - after >= POSITIONS && (any || first.is_empty())
            {
                return Ok(Some(Positions { after, until }));
            }
        }
        let any_due = Postponed::any_due(&mut connection, subscriber.name(), now).await?;
        Ok(any_due.then_some(Positions { after, until: after }))
    }

    /// Returns whether the dispatcher delivers an event that was published at a time, now: a broker does until then.
    fn is_due(&self, published: Timestamp, now: Timestamp) -> bool {
        !self.behind_broker || now.duration_since(published) >= OVERDUE
    }

    /// Delivers the first events of these positions, and the postponed ones that are due, in one unit of work.
    async fn deliver_batch(
        &self,
        subscriber: &Subscriber,
        positions: Positions,
    ) -> Result<Delivered, Failure> {
        let given = (subscriber.clone(), positions);
        let write = self.database.write(given, async |work, (subscriber, Positions { after, until })| {
            let (name, until) = (subscriber.name(), *until);
            // on PostgreSQL these and the first read take one round trip
            cursor::lock_ahead(work, name);
            Postponed::send_any_ahead(work, name);
            let mut events = read_new(work, subscriber, *after, until).await?;
            let reached = cursor::lock(work, name).await?;
            if reached != *after {
                // another process has delivered since
                events = read_new(work, subscriber, reached, until).await?;
            }

            let mut batch = Batch::begin(work, subscriber).await?;
            batch.deliver_postponed(work, BATCH).await?;
            if !events.is_empty() && subscriber.handles_now(work).await? {
                batch.deliver_new(work, &events).await?;
            }

            let rest = events.last().filter(|_| events.len() == BATCH).map(|last| last.position);
            let read = rest.unwrap_or(until);
            if read > reached {
                cursor::advance(work, name, read).await?;
            }
            let rest = rest.map(|after| Positions { after, until });
            Ok(Delivered { delivered: batch.delivered(), rest })
        });
        write.await
    }
}

/// Positions of the outbox: those after one, up to another.
#[derive(Debug, Clone, Copy)]
struct Positions {
    after: i64,
    until: i64,
}

/// What a unit of work has delivered.
#[derive(Debug)]
struct Delivered {
    /// The number of events that need no further attempt.
    delivered: u64,
    /// The positions that may have further events.
    rest: Option<Positions>,
}

/// Reads the first events for a subscriber between two positions.
async fn read_new(
    work: &mut UnitOfWork,
    subscriber: &Subscriber,
    after: i64,
    until: i64,
) -> Result<Vec<Envelope>, DatabaseError> {
    let unread_by = subscriber.name();
    let range = EventRange { after, until, types: subscriber.types(), unread_by };
    Outbox(work).read(range, Envelope::COLUMNS, BATCH).await
}
