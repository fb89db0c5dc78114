//! Receives events from a broker, and delivers them to the subscribers of the store that published them.
//!
//! A message names an event of the outbox. With it are delivered the earlier events of the same subject that have not
//! arrived: so the order of a subject holds whatever the broker repeats, reorders or loses, and several processes may
//! receive for one subscriber. The inbox recognizes repeated messages. A message is acknowledged after the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::backoff::Backoff;
use super::batch::Batch;
use super::broker::Broker;
use super::cloud_event::SOURCE;
use super::event_dispatcher::{EventDispatcher, POSITIONS};
use super::incoming::ReceivedEvent;
use super::message_queue_event::MessageOutcome;
use super::subscriber::Subscriber;
use super::tasks::run_all;
use super::transports::{Messages, Received, Settlement, TransportError};
use super::{cursor, inbox};
use crate::infrastructure::exceptions::{Failure, RepeatedFailure};
use crate::infrastructure::repositories::{EventRange, Outbox, UnitOfWork};

/// The most characters of the reason why a message is rejected.
const MAX_REASON: usize = 500;
/// The most messages that are handled in one unit of work.
const MESSAGES: usize = 100;
/// The most events that are delivered in one unit of work. Messages of further ones come again.
const EVENTS: usize = 200;
/// The wait before a receiver looks again whether the relay has set up the broker.
const LOOK: Duration = Duration::from_millis(500);
/// How often it looks before it reports that the broker is not set up.
const LOOKS: usize = 20;
/// Why a message is rejected that names no event of the outbox.
const UNKNOWN: &str = "the store has published no event with this id and sequence";

/// Receives events for the subscribers of a dispatcher.
#[derive(Clone)]
pub struct Receiver {
    dispatcher: EventDispatcher,
    broker: Broker,
}

/// An event that a message names.
#[derive(Debug, Clone, Copy)]
struct Named {
    position: i64,
    id: Uuid,
}

/// The failures in a row of receiving for a subscriber.
#[derive(Default)]
struct Failures {
    backoff: Backoff,
    repeated: RepeatedFailure,
}

impl Receiver {
    /// Returns a receiver for the subscribers of a dispatcher, which leaves new events to it.
    pub fn new(dispatcher: EventDispatcher, broker: Broker) -> Self {
        Self { dispatcher, broker }
    }

    /// Receives for every subscriber, until `stop` is cancelled.
    pub async fn run(&self, stop: &CancellationToken) {
        let subscribers = self.dispatcher.subscribers().iter().cloned();
        let receiving = subscribers.map(|subscriber| {
            let (receiver, stop) = (self.clone(), stop.clone());
            async move { receiver.receive_for(&subscriber, &stop).await }
        });
        run_all(receiving).await;
    }

    async fn receive_for(&self, subscriber: &Subscriber, stop: &CancellationToken) {
        let mut failures = Failures::default();
        while !stop.is_cancelled() {
            let receiving = self.receive(subscriber, &mut failures);
            let Some(received) = stop.run_until_cancelled(receiving).await else { return };
            if let Err(failure) = received
                && !self.broker.is_away_for(subscriber.name(), &failure)
                && let Some(failure) = failures.repeated.begin(&failure)
            {
                let subscriber = subscriber.name();
                tracing::warn!(subscriber, %failure, "no events were received from the broker, retrying");
            }
            let wait = failures.backoff.next(self.dispatcher.database().context());
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }

    /// Receives messages until the first failure.
    async fn receive(&self, subscriber: &Subscriber, failures: &mut Failures) -> Result<(), Failure> {
        let mut messages = self.consume(subscriber).await?;
        self.broker.responds_to(subscriber.name());
        loop {
            let batch = next(&mut messages).await?;
            self.handle(subscriber, batch).await?;
            *failures = Failures::default();
        }
    }

    /// Returns the messages of a subscriber. Waits for the relay, which may be setting up the broker.
    async fn consume(&self, subscriber: &Subscriber) -> Result<Messages, Failure> {
        self.broker.check_owner(self.dispatcher.database()).await?;
        for _ in 0..LOOKS {
            match self.broker.transport.consume(subscriber.name()).await {
                Err(TransportError::NotSetUp(missing)) => {
                    tracing::debug!(subscriber = subscriber.name(), missing, "the broker is not set up yet");
                    tokio::time::sleep(LOOK).await;
                }
                consumed => return Ok(consumed?),
            }
        }
        Ok(self.broker.transport.consume(subscriber.name()).await?)
    }

    /// Handles messages and settles them. If the unit of work fails, all of them come again.
    async fn handle(&self, subscriber: &Subscriber, batch: Vec<Received>) -> Result<(), Failure> {
        let read: Vec<_> = batch.iter().map(|message| read(message, subscriber)).collect();
        let named = read.iter().filter_map(|read| *read.as_ref().ok()?).collect();
        let delivered = self.dispatcher.deliver_named(subscriber, named).await;
        let mut settling = Vec::with_capacity(batch.len());
        for (message, read) in batch.into_iter().zip(read) {
            let id = read.as_ref().ok().and_then(|named| named.map(|named| named.id));
            let (outcome, settlement) = settle(read, delivered.as_ref().ok());
            self.broker.consumed(subscriber.name(), id, outcome);
            if let Settlement::Rejected(reason) = &settlement {
                tracing::error!(
                    subscriber = subscriber.name(),
                    reason,
                    "a message of the broker was rejected"
                );
            }
            settling.push(message.receipt.settle(settlement));
        }
        for settled in join_all(settling).await {
            settled?;
        }
        delivered.map(drop)
    }
}

/// Waits for the next message, and returns it with those that have arrived by then.
async fn next(messages: &mut Messages) -> Result<Vec<Received>, Failure> {
    let mut batch = Vec::new();
    match messages.next().await {
        Some(first) => batch.push(first?),
        None => return Err(TransportError::Unavailable("the messages ended".to_owned()).into()),
    }
    while batch.len() < MESSAGES {
        match messages.next().now_or_never() {
            Some(Some(Ok(message))) => batch.push(message),
            // nothing more has arrived; after an error, the next call fails
            _ => break,
        }
    }
    Ok(batch)
}

/// Returns the event that a message names; `None` if the subscriber does not receive its type, an error with the
/// reason if the message is rejected.
fn read(message: &Received, subscriber: &Subscriber) -> Result<Option<Named>, String> {
    let event = ReceivedEvent::parse(message).map_err(|error| error.to_string())?;
    if event.source != SOURCE {
        return Err(format!("the store does not receive events of the source {:?}", event.source));
    }
    if !subscriber.types().contains(&event.event_type.as_str()) {
        return Ok(None);
    }
    let id = event.id.parse().map_err(|_| "the id is not that of an event of the store".to_owned())?;
    let position = event.position.ok_or("the attribute sequence is missing")?;
    Ok(Some(Named { position, id }))
}

/// Returns the outcome of a message after the unit of work, `None` if that failed, and how the message is settled.
fn settle(
    read: Result<Option<Named>, String>,
    delivered: Option<&BTreeMap<Uuid, MessageOutcome>>,
) -> (MessageOutcome, Settlement) {
    let outcome = match (&read, delivered) {
        (Err(_), _) => MessageOutcome::Rejected,
        (Ok(None), _) => MessageOutcome::Acknowledged,
        (Ok(Some(named)), Some(delivered)) => {
            delivered.get(&named.id).copied().unwrap_or(MessageOutcome::Returned)
        }
        (Ok(Some(_)), None) => MessageOutcome::Returned,
    };
    let settlement = match outcome {
        MessageOutcome::Acknowledged | MessageOutcome::Duplicate => Settlement::Handled,
        MessageOutcome::Returned | MessageOutcome::Failed => Settlement::Again,
        // the reason may quote the message
        MessageOutcome::Rejected => {
            let reason = read.err().unwrap_or_else(|| UNKNOWN.to_owned());
            Settlement::Rejected(reason.chars().take(MAX_REASON).collect())
        }
    };
    (outcome, settlement)
}

impl EventDispatcher {
    /// Delivers the events that messages name to a subscriber, in one unit of work, and with them the earlier ones of
    /// their subjects; returns the outcome of the message of each event.
    async fn deliver_named(
        &self,
        subscriber: &Subscriber,
        named: Vec<Named>,
    ) -> Result<BTreeMap<Uuid, MessageOutcome>, Failure> {
        if named.is_empty() {
            return Ok(BTreeMap::new());
        }
        let until = Outbox(&mut self.database().read().await?).readable_until().await?;
        let given = (subscriber.clone(), named, until);
        let write = self.database().write(given, async |work, (subscriber, named, until)| {
            deliver(work, subscriber, named, *until).await
        });
        write.await
    }
}

async fn deliver(
    work: &mut UnitOfWork,
    subscriber: &Subscriber,
    named: &[Named],
    until: i64,
) -> Result<BTreeMap<Uuid, MessageOutcome>, Failure> {
    let name = subscriber.name();
    let after = cursor::lock(work, name).await?;
    let known = inbox::known(work, named.iter().map(|event| event.position)).await?;
    let known: BTreeMap<_, _> =
        known.into_iter().map(|(position, id, subject)| (position, (id, subject))).collect();

    let subjects: BTreeSet<_> = known.values().map(|(_, subject)| subject.as_str()).collect();
    let last = known.keys().copied().max().unwrap_or(after);
    let unread = EventRange { after, until: last, types: subscriber.types(), unread_by: name };
    let subjects: Vec<_> = subjects.into_iter().collect();
    let events = Outbox(work).read_of(unread, &subjects, super::Envelope::COLUMNS, EVENTS).await?;
    if subscriber.handles_now(work).await? {
        Batch::begin(work, subscriber).await?.deliver_new(work, &events).await?;
    }
    inbox::record(work, name, &events).await?;

    let reached = inbox::read_until(
        work,
        EventRange { until: until.clamp(after, after.saturating_add(POSITIONS)), ..unread },
    )
    .await?;
    if reached > after {
        cursor::advance(work, name, reached).await?;
        inbox::clear(work, name, reached).await?;
    }
    let limit = events.last().filter(|_| events.len() == EVENTS).map_or(last, |event| event.position);
    let delivered: BTreeSet<_> = events.iter().map(|event| event.position).collect();
    let outcome = |event: &Named| match known.get(&event.position) {
        Some((id, _)) if *id != event.id => MessageOutcome::Rejected,
        Some(_) if delivered.contains(&event.position) => MessageOutcome::Acknowledged,
        Some(_) if event.position > limit => MessageOutcome::Returned,
        Some(_) => MessageOutcome::Duplicate,
        // it was handled and has been deleted
        None if event.position <= after => MessageOutcome::Duplicate,
        None => MessageOutcome::Rejected,
    };
    Ok(named.iter().map(|event| (event.id, outcome(event))).collect())
}
