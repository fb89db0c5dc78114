//! An event of the outbox: the attributes of CloudEvents 1.0 and the event's own data.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::trace::TraceContext;
use crate::infrastructure::repositories::{DeadLetter, UnitOfWork, from_row};

/// A published event.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The position in the outbox.
    pub position: i64,
    /// The id of the event, by which a receiver recognizes a repeated delivery.
    pub id: Uuid,
    /// The CloudEvents type, such as `order.paid`.
    pub event_type: String,
    /// The version of the data.
    pub version: i64,
    /// The aggregate that the event belongs to.
    pub subject: String,
    /// The time of the transaction that published the event.
    pub occurred_at: Timestamp,
    /// The event's own data.
    pub data: Value,
    /// The trace of the request or job that published the event.
    pub trace: Option<TraceContext>,
}

from_row!(Envelope { position, id, event_type, version, subject, occurred_at, data: json, trace });

impl Envelope {
    /// The columns of the outbox that make an envelope.
    pub(super) const COLUMNS: &'static str = "seq, id, type, version, subject, occurred_at, data, trace";

    /// Returns the dead letter of a subscriber for the event, which failed now for the last time.
    pub(super) fn dead_letter(
        &self,
        work: &UnitOfWork,
        subscriber: &str,
        attempts: i64,
        error: String,
    ) -> DeadLetter {
        DeadLetter {
            id: work.id(),
            subscriber: subscriber.to_owned(),
            seq: self.position,
            event_id: self.id,
            event_type: self.event_type.clone(),
            subject: self.subject.clone(),
            attempts,
            error,
            failed_at: work.now(),
        }
    }
}
