//! E-mails: those that are to be sent, and for some time those that were.

use jiff::Timestamp;
use serde::Serialize;

use super::database::{
    Conditions, Connection, DatabaseError, ListError, Page, PageRequest, UnitOfWork, column_list, params,
    select, table,
};
use crate::domain::email::{Email, EmailStatus};
use crate::domain::ids::{EmailId, UserId};

table! {
    Email in "emails", key EmailId, listed by created_at;
    id,
    user_id,
    event_id,
    kind,
    recipient,
    subject,
    body,
    status,
    attempts,
    due_at,
    error,
    created_at,
    ended_at,
    token_id,
    trace,
    limit_key,
}

/// Which e-mails a list shows.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct EmailFilter {
    /// Only those with this status.
    pub status: Option<EmailStatus>,
}

/// The outcome of an attempt.
#[derive(Debug, Clone)]
pub struct EmailAttempt {
    /// The e-mail.
    pub id: EmailId,
    /// The status now.
    pub status: EmailStatus,
    /// The time of the next attempt, if there is one.
    pub due_at: Option<Timestamp>,
    /// Why the attempt failed.
    pub error: Option<String>,
}

/// Queries on e-mails.
pub struct EmailRepository<'a>(pub &'a mut Connection);

impl EmailRepository<'_> {
    /// Returns a page of e-mails, newest first.
    pub async fn list(
        &mut self,
        filter: &EmailFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<Email>, ListError> {
        let conditions = Conditions::default().compare_some("status =", filter.status);
        self.0.newest(filter, conditions, request).await
    }

    /// Returns the last e-mails to an address that no administrator has, newest first.
    pub async fn to_address(&mut self, address: &str, limit: usize) -> Result<Vec<Email>, DatabaseError> {
        let sql = select::<Email>(
            "WHERE recipient = $1 AND (user_id IS NULL OR user_id NOT IN (SELECT id FROM users WHERE role = 'admin')) \
             ORDER BY created_at DESC, id DESC LIMIT $2",
        );
        self.0.all(&sql, &params![address, limit]).await
    }

    /// Returns whether an e-mail of a kind was written to a user since a time.
    pub async fn is_written_since(
        &mut self,
        user_id: UserId,
        kind: &str,
        since: Timestamp,
    ) -> Result<bool, DatabaseError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM emails WHERE user_id = $1 AND kind = $2 AND created_at > $3)";
        self.0.one(sql, &params![user_id, kind, since]).await
    }

    /// Returns the addresses to which e-mails of a kind were written to a user, the first one first, each with whether
    /// such e-mails to it have a limit.
    pub async fn recipients(
        &mut self,
        user_id: UserId,
        kind: &str,
    ) -> Result<Vec<(String, bool)>, DatabaseError> {
        let sql = "SELECT recipient, limit_key IS NOT NULL FROM emails WHERE user_id = $1 AND kind = $2 \
                   ORDER BY created_at, id";
        self.0.all(sql, &params![user_id, kind]).await
    }

    /// Returns how many e-mails with this key of their limit were written since a time.
    pub async fn count_limited(&mut self, limit_key: &str, since: Timestamp) -> Result<i64, DatabaseError> {
        let sql = "SELECT COUNT(*) FROM emails WHERE limit_key = $1 AND created_at > $2";
        self.0.one(sql, &params![limit_key, since]).await
    }

    /// Returns up to `limit` e-mails that are due at `now`, and since `earliest` at the earliest, the first due first.
    pub async fn due(
        &mut self,
        earliest: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Email>, DatabaseError> {
        let sql = select::<Email>("WHERE due_at BETWEEN $1 AND $2 ORDER BY due_at, id LIMIT $3");
        self.0.all(&sql, &params![earliest, now, limit]).await
    }

    /// Records the outcome of an attempt; returns whether the e-mail was still pending. One that has ended is removed
    /// if its user was erased.
    pub async fn record(work: &mut UnitOfWork, attempt: &EmailAttempt) -> Result<bool, DatabaseError> {
        let EmailAttempt { id, status, due_at, error } = attempt;
        let ended_at = due_at.is_none().then(|| work.now());
        let sql = "UPDATE emails SET status = $2, due_at = $3, error = $4, ended_at = $5, attempts = attempts + 1 \
                   WHERE id = $1 AND status = 'pending'";
        let values = params![*id, *status, *due_at, error.as_deref(), ended_at];
        let is_recorded = work.execute(sql, &values).await? == 1;
        if is_recorded && ended_at.is_some() {
            remove_of_erased(work, *id).await?;
        }
        Ok(is_recorded)
    }

    /// Makes a failed e-mail pending and due now, with all of its attempts; returns whether it had failed.
    pub async fn retry(work: &mut UnitOfWork, id: EmailId) -> Result<bool, DatabaseError> {
        let sql = "UPDATE emails SET status = 'pending', attempts = 0, due_at = $2, ended_at = NULL \
                   WHERE id = $1 AND status = 'failed'";
        let values = params![id, work.now()];
        Ok(work.execute(sql, &values).await? == 1)
    }

    /// Ends up to `limit` e-mails that were due before a time, as failed with this error; returns them. Those of erased
    /// users are removed.
    pub async fn expire(
        work: &mut UnitOfWork,
        before: Timestamp,
        error: &str,
        limit: i64,
    ) -> Result<Vec<Email>, DatabaseError> {
        let sql = format!(
            "UPDATE emails SET status = 'failed', due_at = NULL, error = $2, ended_at = $3 WHERE due_at < $1 AND id IN \
             (SELECT id FROM emails WHERE due_at < $1 ORDER BY due_at LIMIT $4) RETURNING {}",
            column_list::<Email>("")
        );
        let now = work.now();
        let expired: Vec<Email> = work.all(&sql, &params![before, error, now, limit]).await?;
        for email in &expired {
            remove_of_erased(work, email.id).await?;
        }
        Ok(expired)
    }

    /// Deletes up to `limit` e-mails that were created before a time and are not pending; returns their number.
    pub async fn purge(work: &mut UnitOfWork, before: Timestamp, limit: i64) -> Result<u64, DatabaseError> {
        let sql = "DELETE FROM emails WHERE id IN (SELECT id FROM emails WHERE created_at < $1 \
                   AND status <> 'pending' ORDER BY created_at LIMIT $2)";
        work.execute(sql, &params![before, limit]).await
    }
}

/// Removes an e-mail that has ended if its user was erased. Its recipient is personal data, which are kept as long as
/// it takes to send it.
async fn remove_of_erased(work: &mut UnitOfWork, id: EmailId) -> Result<(), DatabaseError> {
    work.defer(REMOVE_OF_ERASED, &params![id]).await
}

/// The statement that removes an e-mail of an erased user. It finds the user by the id: SQLite would read all users for
/// `IN`.
pub const REMOVE_OF_ERASED: &str = "DELETE FROM emails WHERE id = $1 AND EXISTS \
    (SELECT 1 FROM users WHERE users.id = emails.user_id AND users.erased_at IS NOT NULL)";
