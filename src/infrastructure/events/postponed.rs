//! Postponed events: the rows of `postponed_events`.
//!
//! A subscriber has read these events and not handled them: an attempt failed, they are replayed, or they come after
//! such an event of the same subject. So an event that fails delays only the later events of its own subject.

use jiff::Timestamp;

use super::envelope::Envelope;
use crate::infrastructure::repositories::{
    Conditions, Connection, DatabaseError, UnitOfWork, from_row, params,
};

/// A postponed event.
#[derive(Debug)]
pub(super) struct Postponed {
    /// The event.
    pub event: Envelope,
    /// The failed attempts.
    pub attempts: i64,
}

from_row!(Postponed { event, attempts });

/// The next attempt of an event that failed.
#[derive(Debug)]
pub(super) struct NextAttempt {
    /// The attempts that count so far.
    pub(super) attempts: i64,
    /// The time of the next attempt.
    pub(super) due_at: Timestamp,
    /// The error of the last attempt.
    pub(super) error: String,
}

/// The condition for the postponed events of the subscriber $1 that are due at $2 and not behind an event of their
/// subject that is not due.
const DUE: &str = "subscriber = $1 AND due_at <= $2 AND NOT EXISTS (SELECT 1 FROM postponed_events AS earlier \
                   WHERE earlier.subscriber = $1 AND earlier.subject = postponed.subject \
                   AND earlier.seq < postponed.seq AND earlier.due_at > $2)";

const ANY: &str = "SELECT EXISTS (SELECT 1 FROM postponed_events WHERE subscriber = $1)";

impl Postponed {
    /// Returns those of the subjects of which a subscriber has postponed events.
    pub(super) async fn subjects<'a>(
        work: &mut UnitOfWork,
        subscriber: &'a str,
        subjects: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<String>, DatabaseError> {
        let conditions =
            Conditions::default().compare("subscriber =", subscriber).any_of("subject", subjects);
        let sql = format!("SELECT DISTINCT subject FROM postponed_events WHERE {conditions}");
        work.all(&sql, conditions.values()).await
    }

    /// Returns whether a subscriber has postponed events.
    pub(super) async fn any(work: &mut UnitOfWork, subscriber: &str) -> Result<bool, DatabaseError> {
        work.one(ANY, &params![subscriber]).await
    }

    /// Sends the statement of [`Postponed::any`] together with the next one.
    pub(super) fn send_any_ahead(work: &mut UnitOfWork, subscriber: &str) {
        work.send_ahead(ANY, &params![subscriber]);
    }

    /// Returns whether [`Postponed::due`] has events at `now`.
    pub(super) async fn any_due(
        connection: &mut Connection,
        subscriber: &str,
        now: Timestamp,
    ) -> Result<bool, DatabaseError> {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM postponed_events AS postponed WHERE {DUE})");
        connection.one(&sql, &params![subscriber, now]).await
    }

    /// Returns the first `limit` postponed events that are due now, without those behind an event of their subject that
    /// is not.
    pub(super) async fn due(
        work: &mut UnitOfWork,
        subscriber: &str,
        limit: usize,
    ) -> Result<Vec<Self>, DatabaseError> {
        let sql = format!(
            "SELECT {}, attempts FROM outbox JOIN (SELECT seq, attempts FROM postponed_events AS postponed \
             WHERE {DUE} ORDER BY seq LIMIT $3) AS due USING (seq) ORDER BY seq",
            Envelope::COLUMNS
        );
        let now = work.now();
        work.all(&sql, &params![subscriber, now, limit]).await
    }

    /// Postpones an event after a failed attempt, and the later events of its subject with it.
    pub(super) async fn put(
        work: &mut UnitOfWork,
        subscriber: &str,
        event: &Envelope,
        next: &NextAttempt,
    ) -> Result<(), DatabaseError> {
        let subject = event.subject.as_str();
        let sql =
            "UPDATE postponed_events SET due_at = $3 WHERE subscriber = $1 AND subject = $2 AND due_at < $3";
        work.execute(sql, &params![subscriber, subject, next.due_at]).await?;
        let sql = "INSERT INTO postponed_events (subscriber, seq, subject, attempts, due_at, error) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (subscriber, seq) DO UPDATE SET \
                   attempts = excluded.attempts, due_at = excluded.due_at, error = excluded.error";
        let NextAttempt { attempts, due_at, error } = next;
        let values = params![subscriber, event.position, subject, *attempts, *due_at, error.as_str()];
        work.execute(sql, &values).await.map(drop)
    }

    /// Postpones an event of a subject that has postponed events, so that it is not due before those are.
    pub(super) async fn put_behind(
        work: &mut UnitOfWork,
        subscriber: &str,
        event: &Envelope,
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO postponed_events (subscriber, seq, subject, attempts, due_at) \
                   SELECT subscriber, $3, subject, 0, MAX(due_at) FROM postponed_events \
                   WHERE subscriber = $1 AND subject = $2 GROUP BY subscriber, subject \
                   ON CONFLICT (subscriber, seq) DO NOTHING";
        let values = params![subscriber, event.subject.as_str(), event.position];
        work.defer(sql, &values).await
    }

    /// Removes a postponed event, which its subscriber has handled or will never handle.
    pub(super) async fn remove(
        work: &mut UnitOfWork,
        subscriber: &str,
        position: i64,
    ) -> Result<(), DatabaseError> {
        let sql = "DELETE FROM postponed_events WHERE subscriber = $1 AND seq = $2";
        work.execute(sql, &params![subscriber, position]).await.map(drop)
    }
}
