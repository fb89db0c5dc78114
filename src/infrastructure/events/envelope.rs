//! An event of the outbox: the attributes of CloudEvents 1.0 and the event's own data.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::infrastructure::repositories::from_row;

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
}

from_row!(Envelope { position, id, event_type, version, subject, occurred_at, data: json });

impl Envelope {
    /// The columns of the outbox that make an envelope.
    pub(super) const COLUMNS: &'static str = "seq, id, type, version, subject, occurred_at, data";
}
