//! The audit log: listed newest first, and read as a whole. Units of work write it.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::database::{
    AUDIT_SERIES, Conditions, Connection, DatabaseError, ListError, Page, PageRequest, Table, params, select,
};
use crate::domain::audit::AuditEntry;
use crate::domain::ids::UserId;

/// The most entries that one call of [`AuditRepository::after`] reads.
const BATCH: i64 = 500;

/// Which entries a list shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AuditFilter {
    /// Only those of this user as the actor.
    pub user_id: Option<UserId>,
    /// Only those of this action.
    pub action: Option<String>,
    /// Only those of this subject.
    pub subject_id: Option<Uuid>,
    /// Only those of this request.
    pub request_id: Option<Uuid>,
    /// Only those at this time or later.
    pub since: Option<Timestamp>,
    /// Only those before this time.
    pub until: Option<Timestamp>,
}

/// Queries on the audit log.
pub struct AuditRepository<'a>(pub &'a mut Connection);

impl AuditRepository<'_> {
    /// Returns a page of entries, newest first.
    pub async fn list(
        &mut self,
        filter: &AuditFilter,
        request: &PageRequest<'_>,
    ) -> Result<Page<AuditEntry>, ListError> {
        let (cursors, after) = request.cursors::<i64>(AuditEntry::NAME, filter)?;
        let conditions = Conditions::default()
            .compare_some("user_id =", filter.user_id)
            .compare_some("action =", filter.action.as_deref())
            .compare_some("subject_id =", filter.subject_id)
            .compare_some("request_id =", filter.request_id)
            .compare_some("occurred_at >=", filter.since)
            .compare_some("occurred_at <", filter.until)
            .compare_some("number <", after);
        let limit = request.limit.saturating_add(1);
        let (sql, values) = conditions.first(&select::<AuditEntry>(""), "number DESC", limit);
        let rows = self.0.all(&sql, &values).await?;
        Ok(Page::cut(rows, request.limit, &cursors, |entry: &AuditEntry| entry.number)?)
    }

    /// Returns the next entries after a number, up to 500, in the order of their numbers; none at the end.
    pub async fn after(&mut self, number: i64) -> Result<Vec<AuditEntry>, DatabaseError> {
        let sql = select::<AuditEntry>("WHERE number > $1 ORDER BY number LIMIT $2");
        self.0.all(&sql, &params![number, BATCH]).await
    }

    /// Returns the number of the last entry that was written, which is also known if the entry is missing.
    pub async fn counted(&mut self) -> Result<i64, DatabaseError> {
        let sql = "SELECT value FROM counters WHERE name = $1";
        Ok(self.0.first(sql, &params![AUDIT_SERIES]).await?.unwrap_or(0))
    }
}
