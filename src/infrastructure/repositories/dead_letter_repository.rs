//! Dead letters: events whose handler failed every attempt, until an administrator retries or discards them.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::database::{
    Conditions, Connection, DatabaseError, ListError, Page, PageRequest, UnitOfWork, params, table,
};
use crate::domain::ids::DeadLetterId;

/// An event that a subscriber did not handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The id.
    pub id: DeadLetterId,
    /// The name of the subscriber.
    pub subscriber: String,
    /// The position of the event in the outbox, which keeps it.
    pub seq: i64,
    /// The id of the event.
    pub event_id: Uuid,
    /// The type of the event, such as `order.paid`.
    pub event_type: String,
    /// The aggregate that the event belongs to.
    pub subject: String,
    /// The number of failed attempts.
    pub attempts: i64,
    /// The error of the last attempt.
    pub error: String,
    /// The time of the last attempt, UTC.
    pub failed_at: Timestamp,
}

table! {
    DeadLetter in "dead_letters", key DeadLetterId, listed by failed_at;
    id,
    subscriber,
    seq,
    event_id,
    event_type,
    subject,
    attempts,
    error,
    failed_at,
}

/// Which dead letters a list shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DeadLetterFilter {
    /// Only those of this subscriber.
    pub subscriber: Option<String>,
}

/// Queries on dead letters.
pub struct DeadLetterRepository<'a>(pub &'a mut Connection);

impl DeadLetterRepository<'_> {
    /// Removes the dead letter of a subscriber for the event at a position, if there is one.
    pub(crate) async fn remove_of(
        work: &mut UnitOfWork,
        subscriber: &str,
        position: i64,
    ) -> Result<(), DatabaseError> {
        let sql = "DELETE FROM dead_letters WHERE subscriber = $1 AND seq = $2";
        work.execute(sql, &params![subscriber, position]).await.map(drop)
    }

    /// Returns up to `limit` dead letters of these subscribers that failed before a time, the first to fail first.
    pub(crate) async fn failed_before(
        &mut self,
        before: Timestamp,
        subscribers: &[&str],
        limit: usize,
    ) -> Result<Vec<DeadLetterId>, DatabaseError> {
        let conditions = Conditions::default()
            .compare("failed_at <", before)
            .any_of("subscriber", subscribers.iter().copied());
        let (sql, values) = conditions.first("SELECT id FROM dead_letters", "failed_at, id", limit);
        self.0.all(&sql, &values).await
    }

    /// Returns a page of dead letters, the last to fail first.
    pub async fn list(
        &mut self,
        filter: &DeadLetterFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<DeadLetter>, ListError> {
        let conditions = Conditions::default().compare_some("subscriber =", filter.subscriber.as_deref());
        self.0.newest(filter, conditions, request).await
    }
}
