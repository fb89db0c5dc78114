//! An event on its way: CloudEvents 1.0 attributes around the event's own data.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::events::DomainEvent;
use crate::infrastructure::exceptions::Technical;
use crate::infrastructure::repositories::from_row;

/// An event as it was published.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The transaction that published it.
    pub tx: i64,
    /// Its place among all events of this store.
    pub seq: i64,
    /// Its id: who has handled it once need not handle it again.
    pub id: Uuid,
    /// What happened.
    pub kind: String,
    /// The version of its data.
    pub version: i64,
    /// To which aggregate.
    pub subject: String,
    /// When.
    pub occurred_at: Timestamp,
    /// The event itself.
    pub data: Value,
}

from_row!(Envelope { tx, seq, id, kind, version, subject, occurred_at, data: json });

impl Envelope {
    /// The columns of the outbox that make an envelope.
    pub(super) const COLUMNS: &'static str = "tx, seq, id, type, version, subject, occurred_at, data";

    /// The event, if it is one of this type. One whose data nobody can read is a failure like any other.
    pub fn event<E: DomainEvent>(&self) -> Result<Option<E>, Technical> {
        if self.kind != E::TYPE {
            return Ok(None);
        }
        E::deserialize(&self.data).map(Some).map_err(Technical::internal)
    }
}
