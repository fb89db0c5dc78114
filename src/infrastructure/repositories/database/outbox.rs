//! The outbox: published events, in the order of their delivery, until every subscriber has read them.
//!
//! The position of an event is its number, `seq`. On SQLite transactions do not overlap. On PostgreSQL they do, and an
//! event is readable once no open transaction can publish one before it;
//! docs/decisions/0003-events-stand-on-repositories.md has the reasons.

use jiff::Timestamp;

use super::connection::Connection;
use super::dialect;
use super::error::DatabaseError;
use super::param::params;
use super::row::FromRow;

/// The outbox, over a connection.
pub struct Outbox<'a>(pub &'a mut Connection);

impl Outbox<'_> {
    /// The position before all events.
    pub const START: i64 = 0;

    /// Returns these columns of the events after a position, in their order. An event is omitted while an open
    /// transaction may still publish one before it.
    pub async fn after<T: FromRow>(
        &mut self,
        position: i64,
        columns: &str,
        limit: i64,
    ) -> Result<Vec<T>, DatabaseError> {
        let sql = format!("SELECT {columns} FROM {}", dialect::events_after(self.0.engine()));
        self.0.all(&sql, &params![position, limit]).await
    }

    /// Returns these columns of the event at a position.
    pub async fn get<T: FromRow>(&mut self, position: i64, columns: &str) -> Result<T, DatabaseError> {
        self.0.one(&format!("SELECT {columns} FROM outbox WHERE seq = $1"), &params![position]).await
    }

    /// Deletes events up to a position that happened before a time, at most `limit`; returns their number. Events with
    /// dead letters are kept.
    pub async fn purge(&mut self, until: i64, before: Timestamp, limit: i64) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM outbox WHERE occurred_at < $2 AND seq <= $1 AND seq IN (SELECT seq FROM outbox \
                   WHERE NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.seq = outbox.seq) \
                   ORDER BY seq LIMIT $3)";
        self.0.execute(sql, &params![until, before, limit]).await
    }
}
