//! A broker that carries the events of a store.

use std::sync::Arc;

use uuid::Uuid;

use super::cloud_event::Mode;
use super::event_bus::EventBus;
use super::message_queue_event::{MessageDirection, MessageOutcome, MessageQueueEvent};
use super::transports::Transport;

/// A broker that carries the events of a store. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Broker {
    /// The connections.
    pub transport: Arc<dyn Transport>,
    /// How the messages that are published contain events.
    pub mode: Mode,
    /// The bus that gets a signal for each message.
    pub bus: EventBus,
}

impl Broker {
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
