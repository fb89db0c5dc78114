//! A broker that carries the events of a store.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::cloud_event::Mode;
use super::event_bus::EventBus;
use super::message_queue_event::{MessageDirection, MessageOutcome, MessageQueueEvent};
use super::transports::{Transport, TransportError};
use crate::infrastructure::exceptions::{Failure, Outage};
use crate::infrastructure::repositories::{Database, SettingsRepository};

/// The setting with the id of the store, which brokers record.
const STORE: &str = "store_id";

/// What the log says when a broker is away, and when it is back.
const OUTAGE: [&str; 2] = ["the broker is not available", "the broker responds again"];

/// The time after a failure at which a broker that another process uses is taken for one that is back.
const QUIET: Duration = Duration::from_mins(10);

/// A broker that carries the events of a store. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Broker {
    /// The connections.
    pub transport: Arc<dyn Transport>,
    /// How the messages that are published contain events.
    pub mode: Mode,
    /// The bus that gets a signal for each message.
    pub bus: EventBus,
    /// The outages, which the relay and each receiver notice.
    outage: Arc<Outage>,
}

impl Broker {
    /// Returns a broker whose messages contain events in this way, and whose signals a bus gets.
    pub fn new(transport: Arc<dyn Transport>, mode: Mode, bus: EventBus) -> Self {
        let outage = Arc::new(Outage::new(transport.server(), "events.url", OUTAGE));
        Self { transport, mode, bus, outage }
    }

    /// Notes that what a subscriber, or the relay, did with the broker failed. Returns whether the broker is away,
    /// which the log has then.
    pub(super) fn is_away_for(&self, subscriber: &str, failure: &Failure) -> bool {
        let cause = failure.source().and_then(|cause| cause.downcast_ref::<TransportError>());
        let Some(TransportError::Unavailable(reason)) = cause else { return false };
        self.outage.begin(subscriber, reason);
        true
    }

    /// Notes that the broker did what a subscriber, or the relay, asked for.
    pub(super) fn responds_to(&self, subscriber: &str) {
        self.outage.end(subscriber);
    }

    /// Notes that a subscriber, or the relay, does not use the broker, since another process does. An outage may go on.
    pub(super) fn is_not_used_by(&self, subscriber: &str) {
        self.outage.end_after(subscriber, QUIET);
    }

    /// Checks that the name at the broker does not belong to another store; returns whether the broker has recorded
    /// that it belongs to this one.
    ///
    /// # Errors
    ///
    /// [`TransportError::OtherStore`], as a failure.
    pub async fn check_owner(&self, database: &Database) -> Result<bool, Failure> {
        let Some(owner) = self.transport.owner().await? else { return Ok(false) };
        let store = SettingsRepository(&mut database.read().await?).find(STORE).await?;
        if store == Some(owner) { Ok(true) } else { Err(TransportError::OtherStore.into()) }
    }

    /// Records at the broker that its name belongs to this store.
    pub(super) async fn claim(&self, database: &Database) -> Result<(), Failure> {
        let mut store = SettingsRepository(&mut database.read().await?).find(STORE).await?;
        if store.is_none() {
            let write = database.write((), async |work, ()| {
                let id: Uuid = work.id();
                SettingsRepository::set_new(work, STORE, &id.to_string()).await?;
                Ok::<_, Failure>(SettingsRepository(work).find(STORE).await?)
            });
            store = write.await?;
        }
        self.transport.set_owner(&store.unwrap_or_default()).await?;
        // another store may do the same at this moment
        self.check_owner(database).await.map(drop)
    }

    /// Emits the signal that an event was published.
    pub(super) fn published(&self, event_type: &str, id: Uuid, outcome: MessageOutcome) {
        self.emit(MessageDirection::Published, event_type, Some(id), outcome);
    }

    /// Emits the signal that a group consumed a message.
    pub(super) fn consumed(&self, group: &str, id: Option<Uuid>, outcome: MessageOutcome) {
        self.emit(MessageDirection::Consumed, group, id, outcome);
    }

    fn emit(
        &self,
        direction: MessageDirection,
        destination: &str,
        id: Option<Uuid>,
        outcome: MessageOutcome,
    ) {
        self.bus.emit(&MessageQueueEvent {
            broker: self.transport.kind(),
            direction,
            destination: destination.to_owned(),
            event_id: id,
            outcome,
        });
    }
}
