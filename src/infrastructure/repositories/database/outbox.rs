//! The outbox: what was published, in the order in which it is read, until everybody has read it.
//!
//! On SQLite writers stand in line, so that order is that of `seq`. On PostgreSQL they overlap, and `tx` comes first;
//! docs/decisions/0003-events-stand-on-repositories.md says what it holds and why that loses no order and no event.

use jiff::Timestamp;

use super::Database;
use super::connection::Connection;
use super::dialect;
use super::dialect::Engine;
use super::error::DatabaseError;
use super::param::params;
use super::row::{FromRow, from_row};

/// A place in the outbox: that of the event with this number, published by this transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventPosition {
    /// The transaction's place.
    pub tx: i64,
    /// The event's number.
    pub seq: i64,
}

from_row!(EventPosition { tx, seq });

impl EventPosition {
    /// Before all events.
    pub const START: Self = Self { tx: i64::MIN, seq: 0 };
}

/// Reads the outbox and clears it away.
pub struct Outbox<'a>(pub &'a mut Connection);

impl Outbox<'_> {
    /// Returns these columns of the events after a position, in their order. Events that others may still precede are
    /// left out.
    pub async fn after<T: FromRow>(
        &mut self,
        position: EventPosition,
        columns: &str,
        limit: i64,
    ) -> Result<Vec<T>, DatabaseError> {
        let sql = format!("SELECT {columns} FROM outbox WHERE {}", dialect::events_after(self.0.engine()));
        self.0.all(&sql, &params![position.tx, position.seq, limit]).await
    }

    /// Clears away those of the first events that are up to a place and happened before a time; how many. What was set
    /// aside stays.
    pub async fn purge(
        &mut self,
        until: EventPosition,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, DatabaseError> {
        let sql = format!(
            "DELETE FROM outbox WHERE occurred_at < $3 AND {} AND seq IN (SELECT seq FROM outbox WHERE NOT EXISTS \
             (SELECT 1 FROM dead_letters WHERE dead_letters.seq = outbox.seq) ORDER BY seq LIMIT $4)",
            dialect::events_until(self.0.engine())
        );
        self.0.execute(&sql, &params![until.tx, until.seq, before, limit]).await
    }
}

/// Moves what another cluster wrote, as a restored backup has it, before everything that this one writes: its
/// transactions were numbered higher, and what this one publishes would be taken for read. The order stays.
pub(crate) async fn renumber_restored(database: &Database) -> Result<(), DatabaseError> {
    if database.engine() == Engine::Sqlite || foreign(&mut database.read().await?).await?.is_none() {
        return Ok(());
    }
    let write = database.write((), async |work, ()| {
        work.script(dialect::lock_schema(Engine::Postgres)).await?;
        let Some(last) = foreign(work).await? else { return Ok(()) };
        for sql in
            ["UPDATE outbox SET tx = tx - $1 - 1", "UPDATE event_cursors SET tx = tx - $1 - 1 WHERE seq > 0"]
        {
            work.execute(sql, &params![last]).await?;
        }
        tracing::info!("moved the events of another PostgreSQL cluster before those of this one");
        Ok(())
    });
    write.await
}

/// The last transaction that the outbox or a cursor names, if this cluster has not come so far.
async fn foreign(connection: &mut Connection) -> Result<Option<i64>, DatabaseError> {
    let sql = "SELECT last FROM (SELECT GREATEST((SELECT MAX(tx) FROM outbox), (SELECT MAX(tx) FROM event_cursors)) \
               AS last) AS known WHERE last >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    connection.first(sql, &[]).await
}
