//! The outbox: published events, in the order of their delivery, until every subscriber has read them.
//!
//! The position of an event is its number, `seq`. On SQLite transactions do not overlap. On PostgreSQL they do, and an
//! event is readable once no open transaction can publish one before it;
//! docs/decisions/0003-events-stand-on-repositories.md has the reasons.

use jiff::Timestamp;
use uuid::Uuid;

use super::conditions::Conditions;
use super::connection::Connection;
use super::dialect::{self, Engine};
use super::error::DatabaseError;
use super::param::params;
use super::row::{Field, FromRow, Json};

/// The outbox, over a connection.
pub struct Outbox<'a>(pub &'a mut Connection);

/// A part of the outbox: the events of some types between two positions.
#[derive(Debug, Clone, Copy)]
pub struct EventRange<'a> {
    /// The position before the first event.
    pub after: i64,
    /// The position of the last event. No event can be published up to it any more, see [`Outbox::readable_until`].
    pub until: i64,
    /// The types of the events, such as `order.paid`.
    pub types: &'a [&'static str],
    /// The subscriber that has not read the events: those in its inbox are not in the range.
    pub unread_by: &'a str,
}

/// The transactions that may publish events at one moment, as far as it bounds the positions of the events.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// The last position that was assigned: transactions that publish later have later ones.
    assigned: i64,
    /// Positions before the events of each open transaction that has published.
    open: Vec<i64>,
}

impl Publishing {
    /// Returns the last position that was assigned. On PostgreSQL it never decreases in the same log; what
    /// [`Publishing::readable_until`] returns may, by a lock whose number is older than it.
    pub fn assigned(&self) -> i64 {
        self.assigned
    }

    /// Returns the position up to which every event can be read, as [`Outbox::readable_until`] does.
    pub fn readable_until(&self) -> i64 {
        self.open.iter().copied().fold(self.assigned, i64::min)
    }

    /// Returns the position after which all events are that a statement after an earlier moment could not read yet,
    /// unless their transaction is still open.
    pub fn new_after(&self, earlier: &Self) -> i64 {
        let ended = earlier.open.iter().copied().filter(|position| !self.open.contains(position));
        ended.fold(earlier.assigned, i64::min)
    }
}

impl Outbox<'_> {
    /// The position before all events.
    pub const START: i64 = 0;

    /// Returns the position up to which every event can be read. Events above it wait for an open transaction that may
    /// still publish one before them.
    ///
    /// The events are read by a later statement than this one.
    pub async fn readable_until(&mut self) -> Result<i64, DatabaseError> {
        self.0.one(dialect::events_readable_until(self.0.engine()), &[]).await
    }

    /// Returns the transactions that may publish events now.
    pub async fn publishing(&mut self) -> Result<Publishing, DatabaseError> {
        let engine = self.0.engine();
        let assigned: i64 = self.0.one(dialect::last_event_position(engine), &[]).await?;
        let open = match engine {
            // transactions do not overlap
            Engine::Sqlite => Vec::new(),
            Engine::Postgres => self.0.all(dialect::PUBLISHING, &params![assigned]).await?,
        };
        Ok(Publishing { assigned, open })
    }

    /// Returns these columns of the first `limit` events of a range, in their order.
    pub async fn read<T: FromRow>(
        &mut self,
        range: EventRange<'_>,
        columns: &str,
        limit: usize,
    ) -> Result<Vec<T>, DatabaseError> {
        let (sql, values) = range.conditions().first(&format!("SELECT {columns} FROM outbox"), "seq", limit);
        self.0.all(&sql, &values).await
    }

    /// Returns these columns of the first `limit` events of a range that belong to some subjects, in their order.
    pub async fn read_of<T: FromRow>(
        &mut self,
        range: EventRange<'_>,
        subjects: &[&str],
        columns: &str,
        limit: usize,
    ) -> Result<Vec<T>, DatabaseError> {
        let conditions = range.conditions().any_of("subject", subjects.iter().copied());
        let (sql, values) = conditions.first(&format!("SELECT {columns} FROM outbox"), "seq", limit);
        self.0.all(&sql, &values).await
    }

    /// Returns the number of events of a range, and the time at which the first was published.
    pub async fn count(&mut self, range: EventRange<'_>) -> Result<(i64, Option<Timestamp>), DatabaseError> {
        let conditions = range.conditions();
        let sql = format!("SELECT COUNT(*), MIN(occurred_at) FROM outbox WHERE {conditions}");
        self.0.one(&sql, conditions.values()).await
    }

    /// Returns these columns of the event at a position.
    pub async fn get<T: FromRow>(&mut self, position: i64, columns: &str) -> Result<T, DatabaseError> {
        self.0.one(&format!("SELECT {columns} FROM outbox WHERE seq = $1"), &params![position]).await
    }

    /// Returns the id of the event at a position, if there is one, and the number of the log: PostgreSQL only. The
    /// number differs after the server was started, as after a failover, and after a restore that created the table.
    pub async fn id_and_log(&mut self, position: i64) -> Result<(Option<Uuid>, i64), DatabaseError> {
        self.0.one(dialect::EVENT_ID_AND_LOG, &params![position]).await
    }

    /// Sends what [`Outbox::id_and_log`] reads together with the next statement; see [`Connection::send_ahead`].
    pub fn send_id_and_log_ahead(&mut self, position: i64) {
        self.0.send_ahead(dialect::EVENT_ID_AND_LOG, &params![position]);
    }

    /// Returns the positions, the ids and the contents of the first `limit` events of a type after a position that are
    /// committed. Events of transactions that are still open may come before them later.
    pub async fn committed_of<T>(
        &mut self,
        event_type: &'static str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Uuid, Json<T>)>, DatabaseError>
    where
        Json<T>: Field,
    {
        // the type is written out, so that the index on events of the type is used
        let sql = format!(
            "SELECT seq, id, data FROM outbox WHERE type = '{event_type}' AND seq > $1 ORDER BY seq LIMIT {limit}"
        );
        self.0.all(&sql, &params![after]).await
    }

    /// Returns the positions, the ids and the contents of the last `limit` events of a type up to a position, the last
    /// first.
    pub async fn last_of<T>(
        &mut self,
        event_type: &'static str,
        until: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Uuid, Json<T>)>, DatabaseError>
    where
        Json<T>: Field,
    {
        let sql = format!(
            "SELECT seq, id, data FROM outbox WHERE type = '{event_type}' AND seq <= $1 ORDER BY seq DESC LIMIT {limit}"
        );
        self.0.all(&sql, &params![until]).await
    }

    /// Deletes events up to a position that happened before a time, at most `limit`; returns their number. Events that
    /// are postponed or have dead letters are kept.
    pub async fn purge(&mut self, until: i64, before: Timestamp, limit: i64) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM outbox WHERE occurred_at < $2 AND seq <= $1 AND seq IN (SELECT seq FROM outbox \
                   WHERE NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.seq = outbox.seq) \
                   AND NOT EXISTS (SELECT 1 FROM postponed_events WHERE postponed_events.seq = outbox.seq) \
                   ORDER BY seq LIMIT $3)";
        self.0.execute(sql, &params![until, before, limit]).await
    }
}

impl<'a> EventRange<'a> {
    fn conditions(&self) -> Conditions<'a> {
        Conditions::default()
            .compare("seq >", self.after)
            .compare("seq <=", self.until)
            .any_of("type", self.types.iter().copied())
            .around(
                "NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.subscriber =",
                self.unread_by,
                "AND inbox.seq = outbox.seq)",
            )
    }
}
