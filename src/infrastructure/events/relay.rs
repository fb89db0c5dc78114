//! The relay: publishes the events of the outbox to a broker, from where other processes receive them.
//!
//! It has a cursor like a subscriber, and moves it after the broker has acknowledged the events. One process has the
//! lease of the cursor; when it ends, another one takes over, and the cursor refuses what the first one still does.
//! The events of one subject are published one after the other, those of different subjects at the same time. An
//! event that the broker refuses for good becomes a dead letter of the relay and delays no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::backoff::Backoff;
use super::broker::Broker;
use super::cloud_event::CloudEvent;
use super::cursor::{self, Lease, RELAY};
use super::envelope::Envelope;
use super::event_logger::{EventFilter, EventLogger};
use super::message_queue_event::MessageOutcome;
use super::transports::TransportError;
use crate::infrastructure::exceptions::{Failure, NotFound, RepeatedFailure, Technical, TechnicalKind};
use crate::infrastructure::repositories::{Database, DeadLetter, Outbox, SettingsRepository, UnitOfWork};

/// The most events that are read at once.
const BATCH: usize = 500;
/// The most subjects whose events are published at the same time.
const CONCURRENCY: usize = 64;
/// The time for which the cursor is leased.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// The part of a lease that must be left when a batch begins: longer than the batch may take.
const LEFT: SignedDuration = SignedDuration::from_secs(20);
/// The longest time that a batch may take. What was not acknowledged by then is published again.
const BATCH_TIME: Duration = Duration::from_secs(15);
/// The longest wait for the next event. A commit ends it, except one of another process of which no notification came.
const POLL: Duration = Duration::from_secs(2);
/// The time after which the relay looks again whether the broker still has what was published.
const CHECK: Duration = Duration::from_secs(5);
/// The setting with the identity of the broker.
const IDENTITY: &str = "broker";

/// Publishes the events of a store to a broker.
#[derive(Debug, Clone)]
pub struct Relay {
    database: Database,
    broker: Broker,
    /// The groups whose queues the relay sets up.
    groups: Vec<String>,
    lease: Uuid,
}

/// What the relay knows while it has the lease.
struct Held {
    lease: Lease,
    position: i64,
    /// The time at which the state of the broker was checked.
    checked: Option<Instant>,
}

/// The outcome of publishing a batch.
#[derive(Debug, Default)]
struct Published {
    /// The positions of the events that the broker has stored.
    stored: BTreeSet<i64>,
    /// The events that the broker refused for good, with the reasons.
    refused: BTreeMap<i64, TransportError>,
    /// The first other error.
    error: Option<TransportError>,
}

impl Relay {
    /// Returns a relay that sets up queues for these groups.
    pub fn new(database: Database, broker: Broker, groups: Vec<String>) -> Self {
        let lease = database.context().ids.uuid();
        Self { database, broker, groups, lease }
    }

    /// Publishes events as they are committed, until `stop` is cancelled.
    pub async fn run(&self, stop: &CancellationToken) {
        let (mut held, mut backoff, mut failing) = (None, Backoff::default(), RepeatedFailure::default());
        while !stop.is_cancelled() {
            let committed = self.database.committed().notified();
            let Some(relayed) = stop.run_until_cancelled(self.relay(&mut held)).await else { break };
            let failed = relayed.err();
            let wait = match &failed {
                None => {
                    if held.is_some() {
                        self.broker.responds_to(RELAY);
                        failing = RepeatedFailure::default();
                    } else {
                        self.broker.is_not_used_by(RELAY);
                    }
                    backoff = Backoff::default();
                    POLL
                }
                Some(failure) => {
                    held = None;
                    // the broker may be reached from another process
                    let _ = self.release().await;
                    if !self.broker.is_away_for(RELAY, failure)
                        && let Some(failure) = failing.begin(failure)
                    {
                        tracing::warn!(%failure, "events were not published to the broker, retrying");
                    }
                    backoff.next(self.database.context())
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = committed, if failed.is_none() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Ends the lease after [`Relay::run`], so that another process can continue at once.
    pub async fn release(&self) -> Result<(), Failure> {
        let release = self
            .database
            .write(self.lease, async |work, lease| Ok(cursor::release(work, RELAY, *lease).await?));
        release.await
    }

    /// Publishes the event of a dead letter of the relay once more. If the broker stores it, the dead letter is
    /// removed; otherwise it is returned with the error.
    pub async fn retry(&self, letter: DeadLetter) -> Result<Option<DeadLetter>, Failure> {
        let event: Envelope =
            Outbox(&mut self.database.read().await?).get(letter.seq, Envelope::COLUMNS).await?;
        let published = Mutex::default();
        self.publish_in_order(vec![&event], &published).await;
        let Published { refused, error, .. } = published.into_inner().unwrap_or_else(PoisonError::into_inner);
        let error = error.or_else(|| refused.into_values().next());
        let write = self.database.write((letter, error), async |work, (letter, error)| {
            // of concurrent attempts one removes it
            if !work.remove::<DeadLetter>(letter.id).await? {
                return Err(NotFound::DeadLetter.into());
            }
            let Some(error) = error else { return Ok(None) };
            let (attempts, error, failed_at) = (letter.attempts + 1, error.to_string(), work.now());
            let letter = DeadLetter { attempts, error, failed_at, ..letter.clone() };
            work.insert(&letter).await?;
            Ok(Some(letter))
        });
        write.await
    }

    /// Publishes the events that are committed, if this process has the lease or gets it.
    async fn relay(&self, held: &mut Option<Held>) -> Result<(), Failure> {
        loop {
            let Some(mine) = self.extend(held.take()).await? else { return Ok(()) };
            let mine = held.insert(mine);
            if mine.checked.is_none_or(|checked| checked.elapsed() >= CHECK) {
                self.check(mine).await?;
                // that may have taken most of the lease
                continue;
            }
            let (events, _) = {
                let mut connection = self.database.read().await?;
                EventLogger(&mut connection).after(mine.position, &EventFilter::default(), BATCH).await?
            };
            if events.is_empty() {
                return Ok(());
            }
            let mut published = self.publish(&events).await;
            let error = published.error.take();
            self.record(mine, events, published).await?;
            if let Some(error) = error {
                return Err(error.into());
            }
        }
    }

    /// Leases the cursor, or extends the lease if it ends soon; returns `None` while another process has it.
    async fn extend(&self, held: Option<Held>) -> Result<Option<Held>, Failure> {
        let now = self.database.context().clock.now();
        if let Some(held) = held.filter(|held| held.lease.until.duration_since(now) >= LEFT) {
            return Ok(Some(held));
        }
        let mut connection = self.database.read().await?;
        if cursor::is_leased_by_other(&mut connection, RELAY, self.lease, now).await? {
            return Ok(None);
        }
        drop(connection);
        let write = self.database.write(self.lease, async |work, &id| {
            let lease = Lease { id, until: work.now().checked_add(LEASE).unwrap_or(Timestamp::MAX) };
            Ok::<_, Failure>((cursor::lease(work, RELAY, lease).await?, lease))
        });
        let (position, lease) = write.await?;
        Ok(position.map(|position| Held { lease, position, checked: None }))
    }

    /// Checks whether the broker still has what was published to it. If it was wiped, or is another one, it is set up,
    /// and the relay begins again with the oldest event that is kept: receivers ignore what they have handled. Fails if
    /// its name there belongs to another store.
    async fn check(&self, held: &mut Held) -> Result<(), Failure> {
        let is_owned = self.broker.check_owner(&self.database).await?;
        let mut known = SettingsRepository(&mut self.database.read().await?).find(IDENTITY).await?;
        let transport = &self.broker.transport;
        let mut found = transport.state(&self.groups).await?;
        if found.is_none() {
            // first, so that a crash in between is noticed, too
            self.begin_again(held, String::new()).await?;
            known = None;
            transport.set_up(&self.groups).await?;
            found = transport.state(&self.groups).await?;
        }
        let missing = || TransportError::NotSetUp("what was created is not there".to_owned());
        let found = found.ok_or_else(missing)?;
        if !is_owned {
            self.broker.claim(&self.database).await?;
        }
        if known.as_ref() != Some(&found) {
            tracing::info!(broker = transport.kind(), "publishing all events that are kept to the broker");
            self.begin_again(held, found).await?;
        }
        held.checked = Some(Instant::now());
        Ok(())
    }

    /// Moves the cursor before all events, and records the identity of the broker.
    async fn begin_again(&self, held: &mut Held, identity: String) -> Result<(), Failure> {
        let write = self.database.write((held.lease, identity), async |work, (lease, identity)| {
            SettingsRepository::set(work, IDENTITY, identity).await?;
            move_to(work, *lease, Outbox::START).await
        });
        write.await?;
        held.position = Outbox::START;
        Ok(())
    }

    /// Publishes events, those of each subject in their order and up to the first that fails.
    async fn publish(&self, events: &[Envelope]) -> Published {
        let mut subjects: BTreeMap<&str, Vec<&Envelope>> = BTreeMap::new();
        for event in events {
            subjects.entry(&event.subject).or_default().push(event);
        }
        let published = Mutex::default();
        let mut running = Vec::with_capacity(subjects.len());
        for events in subjects.into_values() {
            running.push(self.publish_in_order(events, &published).boxed());
        }
        let publishing = stream::iter(running).buffer_unordered(CONCURRENCY).for_each(async |()| {});
        // what is acknowledged by then need not be published again
        let in_time = tokio::time::timeout(BATCH_TIME, publishing).await;
        let mut published = published.into_inner().unwrap_or_else(PoisonError::into_inner);
        if in_time.is_err() {
            let slow = || TransportError::Unavailable("the broker is slow".to_owned());
            published.error.get_or_insert_with(slow);
        }
        published
    }

    /// Publishes the events of a subject up to the first that fails and may succeed later, and adds the result of
    /// each.
    async fn publish_in_order(&self, events: Vec<&Envelope>, published: &Mutex<Published>) {
        for event in events {
            let message = CloudEvent::new(event).message(self.broker.mode);
            let result = self.broker.transport.publish(&message).await;
            self.broker.published(&event.event_type, event.id, outcome(&result));
            let ends = result.as_ref().is_err_and(|error| !error.is_permanent());
            published.lock().unwrap_or_else(PoisonError::into_inner).add(event.position, result);
            if ends {
                break;
            }
        }
    }

    /// Moves the cursor over the events that need not be published again, and makes those of them that were refused
    /// dead letters.
    async fn record(
        &self,
        held: &mut Held,
        events: Vec<Envelope>,
        published: Published,
    ) -> Result<(), Failure> {
        let is_done = |event: &&Envelope| {
            published.stored.contains(&event.position) || published.refused.contains_key(&event.position)
        };
        let Some(last) = events.iter().take_while(is_done).last().map(|event| event.position) else {
            return Ok(());
        };
        let given = (held.lease, last, events, published.refused);
        let write = self.database.write(given, async |work, (lease, last, events, refused)| {
            for event in events.iter().filter(|event| event.position <= *last) {
                if let Some(error) = refused.get(&event.position) {
                    give_up(work, event, error).await?;
                }
            }
            move_to(work, *lease, *last).await
        });
        write.await?;
        held.position = last;
        Ok(())
    }
}

impl Published {
    fn add(&mut self, position: i64, result: Result<(), TransportError>) {
        match result {
            Ok(()) => drop(self.stored.insert(position)),
            Err(error) if error.is_permanent() => drop(self.refused.insert(position, error)),
            Err(error) => drop(self.error.get_or_insert(error)),
        }
    }
}

fn outcome(result: &Result<(), TransportError>) -> MessageOutcome {
    match result {
        Ok(()) => MessageOutcome::Acknowledged,
        Err(error) if error.is_permanent() => MessageOutcome::Rejected,
        Err(_) => MessageOutcome::Failed,
    }
}

/// Moves the cursor, if this process still has the lease.
async fn move_to(work: &mut UnitOfWork, lease: Lease, position: i64) -> Result<(), Failure> {
    if cursor::advance_leased(work, RELAY, position, lease).await? {
        return Ok(());
    }
    let lost = "another process has leased the cursor of the relay";
    Err(Technical::new(TechnicalKind::Unavailable, lost).into())
}

/// Makes an event that the broker refuses a dead letter of the relay, unless it is one already.
async fn give_up(work: &mut UnitOfWork, event: &Envelope, error: &TransportError) -> Result<(), Failure> {
    let letter = event.dead_letter(work, RELAY, 1, error.to_string());
    if work.insert_new(&letter).await? {
        tracing::error!(event = %event.id, %error, "the broker refuses an event; it became a dead letter");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::{BoxFuture, pending, ready};
    use serde_json::json;

    use super::*;
    use crate::infrastructure::events::transports::{Message, Messages, Transport};
    use crate::infrastructure::events::{EventBus, Mode};
    use crate::infrastructure::repositories::new_database;

    /// A broker that stores the events of type `stored`, and does not respond to others.
    #[derive(Debug)]
    struct Slow;

    impl Transport for Slow {
        fn kind(&self) -> &'static str {
            "slow"
        }

        fn server(&self) -> String {
            "slow:1".to_owned()
        }

        fn state<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<Option<String>, TransportError>> {
            ready(Ok(None)).boxed()
        }

        fn set_up<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<(), TransportError>> {
            ready(Ok(())).boxed()
        }

        fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), TransportError>> {
            if message.event_type == "stored" { ready(Ok(())).boxed() } else { pending().boxed() }
        }

        fn consume<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Messages, TransportError>> {
            pending().boxed()
        }
    }

    #[tokio::test]
    async fn what_a_slow_broker_has_stored_is_not_published_again() {
        let (_folder, database) = new_database().await;
        let broker = Broker::new(Arc::new(Slow), Mode::Structured, EventBus::default());
        let event = |position, event_type: &str| Envelope {
            position,
            id: Uuid::from_u128(1),
            event_type: event_type.to_owned(),
            version: 1,
            subject: "subject".to_owned(),
            occurred_at: Timestamp::UNIX_EPOCH,
            data: json!({}),
            trace: None,
        };
        let relay = Relay::new(database, broker, Vec::new());
        tokio::time::pause();
        let published = relay.publish(&[event(1, "stored"), event(2, "stored"), event(3, "other")]).await;
        assert_eq!(published.stored, BTreeSet::from([1, 2]));
        assert!(matches!(published.error, Some(TransportError::Unavailable(_))));
    }
}
