//! The audit log, which units of work write. An entry is part of the transaction of its action.
//!
//! A database that acts for an [`Actor`] with an administrative action records every unit of work, with the rows that
//! the functions of tables write: a use case cannot forget it. Actions that concern the security of accounts are
//! recorded by [`UnitOfWork::record`], of every actor. The entry is the last that a transaction writes, since further
//! entries wait from its number until the commit; docs/decisions/0018-audit-log.md has the reasons.

use std::sync::Arc;

use super::Database;
use super::counters::{next_number, next_number_ahead};
use super::error::DatabaseError;
use super::param::{Param, params};
use super::records::key_params;
use super::statements::key_condition;
use super::table::{Table, Versioned, table};
use super::unit_of_work::UnitOfWork;
use crate::domain::audit::{Actor, ActorKind, AuditEntry, NO_HASH, RowChange, SecurityAction};
use crate::domain::ids::{ApiKeyId, UserId};

/// The counter of the entries.
pub(crate) const SERIES: &str = "audit";
/// The counter of the actions that have no entry.
const UNRECORDED: &str = "audit_unrecorded";
/// Locks the counter of the entries, as the next number does, and leaves it as it is.
const LOCK: &str = "INSERT INTO counters (name, value) VALUES ($1, 0) \
                    ON CONFLICT (name) DO UPDATE SET value = counters.value RETURNING value";
/// Counts an action that has no entry.
const COUNT_UNRECORDED: &str = "INSERT INTO counters (name, value) VALUES ($1, 1) \
                                ON CONFLICT (name) DO UPDATE SET value = counters.value + 1";
/// The hash of the last entry.
const LAST_HASH: &str = "SELECT hash FROM audit_log ORDER BY number DESC LIMIT 1";
/// The columns that every change of a row changes.
const OF_EVERY_CHANGE: [&str; 2] = ["version", "updated_at"];

table! {
    AuditEntry in "audit_log", key i64;
    number,
    occurred_at,
    actor,
    user_id,
    session_id,
    request_id,
    network,
    action,
    subject_id,
    changes: json,
    previous_hash,
    hash,
    api_key_id,
}

impl Database {
    /// Returns the same database, whose units of work record this actor in the audit log.
    #[must_use]
    pub fn acting(mut self, actor: Arc<Actor>) -> Self {
        self.origin.actor = Some(actor);
        self
    }
}

impl UnitOfWork {
    /// Records an action that concerns the security of an account, in an entry of the audit log.
    pub fn record(&mut self, action: SecurityAction, user_id: Option<UserId>) {
        self.audit.act(action, user_id.map(|id| id.0));
    }

    /// Records an action on an API key, in an entry of the audit log.
    pub fn record_api_key(&mut self, action: SecurityAction, id: ApiKeyId) {
        self.audit.act(action, Some(id.0));
    }

    /// Counts an action that concerns the security of an account and is not recorded, since there are too many. The
    /// unit of work waits for what an entry waits for, and writes and commits: its time does not say whether there is
    /// one.
    pub fn count_unrecorded(&mut self) {
        self.audit.leave_out();
    }

    /// Returns whether the rows that are written are recorded.
    fn records_rows(&self) -> bool {
        self.audit.administration().is_some()
    }

    /// Records a row that is inserted or removed.
    pub(super) fn record_row<T: Table>(&mut self, key: &T::Key, change: RowChange) {
        if self.records_rows()
            && let [key, ..] = &key_params(key)[..]
        {
            self.audit.add(T::NAME, key, change, Vec::new());
        }
    }

    /// Records an inserted row.
    pub(super) fn record_inserted<T: Table>(&mut self, values: &[Param<'_>]) {
        if self.records_rows()
            && let [key, ..] = values
        {
            self.audit.add(T::NAME, key, RowChange::Inserted, Vec::new());
        }
    }

    /// Records an update of a row which changes these columns.
    pub(super) fn record_updated<'a, T: Table>(
        &mut self,
        key: &Param<'_>,
        columns: impl IntoIterator<Item = &'a str>,
    ) {
        if self.records_rows() {
            let columns = columns.into_iter().filter(|column| !OF_EVERY_CHANGE.contains(column));
            let columns = columns.map(str::to_owned).collect();
            self.audit.add(T::NAME, key, RowChange::Updated, columns);
        }
    }

    /// Returns the columns in which the stored row differs from these values, which are those of all columns.
    pub(super) async fn differing_columns<T: Versioned>(
        &mut self,
        values: &[Param<'_>],
    ) -> Result<String, DatabaseError> {
        let (mut params, mut cases) = (Vec::new(), Vec::new());
        for (column, value) in T::columns().zip(values) {
            if !T::EXCEPT.contains(&column) {
                params.push(value.clone());
                let number = params.len();
                cases.push(format!(
                    "CASE WHEN {column} IS DISTINCT FROM ${number} THEN '{column} ' ELSE '' END"
                ));
            }
        }
        let sql = format!("SELECT {} FROM {} WHERE {}", cases.join(" || "), T::NAME, key_condition::<T>(1));
        Ok(self.first(&sql, &params).await?.unwrap_or_default())
    }

    /// Writes the entries of the unit of work.
    pub(super) async fn append_entries(&mut self) -> Result<(), DatabaseError> {
        let mut audit = std::mem::take(&mut self.audit);
        for (action, subject_id, changes) in audit.entries() {
            next_number_ahead(self, SERIES);
            self.send_ahead(LAST_HASH, &[]);
            let number = next_number(self, SERIES).await?;
            let previous: Option<Vec<u8>> = self.first(LAST_HASH, &[]).await?;
            let actor = audit.actor();
            let mut entry = AuditEntry {
                number,
                occurred_at: self.own_now(),
                actor: actor.map_or(ActorKind::Store, |actor| actor.kind),
                user_id: actor.and_then(|actor| actor.user_id),
                session_id: actor.and_then(|actor| actor.session_id),
                request_id: actor.and_then(|actor| actor.request_id),
                network: actor.and_then(|actor| actor.network.clone()),
                action,
                subject_id,
                changes,
                previous_hash: previous.unwrap_or_else(|| NO_HASH.to_vec()),
                hash: Vec::new(),
                api_key_id: actor.and_then(|actor| actor.api_key_id),
            };
            entry.hash = entry.computed_hash().to_vec();
            self.insert(&entry).await?;
        }
        for _ in 0..audit.unrecorded() {
            self.send_ahead(LOCK, &params![SERIES]);
            self.send_ahead(LAST_HASH, &[]);
            self.one::<i64>(LOCK, &params![SERIES]).await?;
            self.first::<Vec<u8>>(LAST_HASH, &[]).await?;
            self.defer(COUNT_UNRECORDED, &params![UNRECORDED]).await?;
        }
        Ok(())
    }
}
