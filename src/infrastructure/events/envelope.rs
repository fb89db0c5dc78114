//! An event on its way: CloudEvents 1.0 attributes around the event's own data.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::events::DomainEvent;
use crate::infrastructure::exceptions::Technical;
use crate::infrastructure::repositories::{DatabaseError, Json, Row};

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

impl Envelope {
    /// The columns of the outbox that make an envelope.
    pub(super) const COLUMNS: &'static str = "tx, seq, id, type, version, subject, occurred_at, data";

    pub(super) fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
        Ok(Self {
            tx: row.get(0)?,
            seq: row.get(1)?,
            id: row.get(2)?,
            kind: row.get(3)?,
            version: row.get(4)?,
            subject: row.get(5)?,
            occurred_at: row.get(6)?,
            data: row.get::<Json<Value>>(7)?.0,
        })
    }

    /// The event, if it is one of this type. One whose data nobody can read is a failure like any other.
    pub fn event<E: DomainEvent>(&self) -> Result<Option<E>, Technical> {
        if self.kind != E::TYPE {
            return Ok(None);
        }
        E::deserialize(&self.data).map(Some).map_err(Technical::internal)
    }
}
