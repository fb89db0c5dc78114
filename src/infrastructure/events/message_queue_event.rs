//! A message was published to a broker, or consumed from it.

use uuid::Uuid;

use super::event_bus::Signal;

/// A message was published to a broker, or consumed from it: a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageQueueEvent {
    /// The kind of broker, such as `nats`.
    pub broker: &'static str,
    /// Whether the message was published or consumed.
    pub direction: MessageDirection,
    /// The subject, exchange, topic or queue.
    pub destination: String,
    /// The id of the event in the message, if it could be read.
    pub event_id: Option<Uuid>,
    /// The outcome.
    pub outcome: MessageOutcome,
}

impl Signal for MessageQueueEvent {
    const TYPE: &'static str = "message_queue";
}

/// Whether a message was published or consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageDirection {
    /// The store sent it to the broker.
    Published,
    /// The store got it from the broker.
    Consumed,
}

impl MessageDirection {
    /// Returns the name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Consumed => "consumed",
        }
    }
}

/// The outcome of publishing or consuming a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageOutcome {
    /// The broker acknowledged a published message; the store acknowledged a consumed one.
    Acknowledged,
    /// The message was consumed before, and had no effect.
    Duplicate,
    /// The message is returned to the broker, which delivers it again.
    Returned,
    /// The message can never be processed, or the broker refuses it for good.
    Rejected,
    /// The broker did not acknowledge the message; it is published again.
    Failed,
}

impl MessageOutcome {
    /// Returns the name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Duplicate => "duplicate",
            Self::Returned => "returned",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}
