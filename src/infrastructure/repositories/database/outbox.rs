//! The outbox: published events, in the order of their delivery, until every subscriber has read them.
//!
//! On SQLite transactions do not overlap, and the order is that of `seq`. On PostgreSQL they do, and the order is that of
//! `tx` and then `seq`; docs/decisions/0003-events-stand-on-repositories.md defines `tx` and has the reasons.

use jiff::Timestamp;

use super::Database;
use super::connection::Connection;
use super::dialect;
use super::dialect::Engine;
use super::error::DatabaseError;
use super::param::params;
use super::row::{FromRow, from_row};

/// A position in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventPosition {
    /// The position of the event's transaction; 0 on SQLite.
    pub tx: i64,
    /// The number of the event, unique in the outbox.
    pub seq: i64,
}

from_row!(EventPosition { tx, seq });

impl EventPosition {
    /// The position before all events.
    pub const START: Self = Self { tx: i64::MIN, seq: 0 };
}

/// The outbox, over a connection.
pub struct Outbox<'a>(pub &'a mut Connection);

impl Outbox<'_> {
    /// Returns these columns of the events after a position, in their order. An event is omitted while an open
    /// transaction may still publish one before it.
    pub async fn after<T: FromRow>(
        &mut self,
        position: EventPosition,
        columns: &str,
        limit: i64,
    ) -> Result<Vec<T>, DatabaseError> {
        let sql = format!("SELECT {columns} FROM outbox WHERE {}", dialect::events_after(self.0.engine()));
        self.0.all(&sql, &params![position.tx, position.seq, limit]).await
    }

    /// Deletes events up to a position that happened before a time, at most `limit`; returns their number. Events with
    /// dead letters are kept.
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

/// Renumbers the events of another PostgreSQL cluster, as in a restored backup, so that they come before those of this
/// cluster, in the same order. Their transactions have higher numbers, so subscribers would skip new events.
pub(crate) async fn renumber_restored(database: &Database) -> Result<(), DatabaseError> {
    if database.engine() == Engine::Sqlite
        || last_foreign_transaction(&mut database.read().await?).await?.is_none()
    {
        return Ok(());
    }
    let write = database.write((), async |work, ()| {
        work.script(dialect::lock_schema(Engine::Postgres)).await?;
        let Some(last) = last_foreign_transaction(work).await? else { return Ok(()) };
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

/// Returns the highest transaction number in the outbox and the cursors, if this cluster has not reached it.
async fn last_foreign_transaction(connection: &mut Connection) -> Result<Option<i64>, DatabaseError> {
    let sql = "SELECT last FROM (SELECT GREATEST((SELECT MAX(tx) FROM outbox), (SELECT MAX(tx) FROM event_cursors)) \
               AS last) AS known WHERE last >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    connection.first(sql, &[]).await
}
