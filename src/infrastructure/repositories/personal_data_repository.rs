//! All rows that belong to a user, for the export of the own data. Other lists have pages.

use jiff::Timestamp;
use uuid::Uuid;

use super::database::{Connection, DatabaseError, FromRow, Table, from_row, params, select};
use crate::domain::audit::SecurityAction;
use crate::domain::ids::UserId;
use crate::domain::state::State;

/// The most entries of the audit log in an export: strangers add some, such as by wrong passwords.
const MOST_ENTRIES: i64 = 10_000;

/// The account of a user at an identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdentity {
    /// The identity provider.
    pub provider: String,
    /// The name of the account there.
    pub subject: String,
    /// The time at which the account was connected, UTC.
    pub created_at: Timestamp,
}

from_row!(UserIdentity { provider, subject, created_at });

/// An action that concerns the security of an account, from the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEntry {
    /// The time of the action, UTC.
    pub occurred_at: Timestamp,
    /// The action.
    pub action: SecurityAction,
    /// The network of the client's address. That of another user, such as an administrator, is omitted.
    pub network: Option<String>,
    /// The id of what the action changed: the user, or the API key.
    pub subject_id: Option<Uuid>,
}

from_row!(SecurityEntry { occurred_at, action, network, subject_id });

/// Queries on the rows of a user.
pub struct PersonalDataRepository<'a>(pub &'a mut Connection);

impl PersonalDataRepository<'_> {
    /// Returns the rows of a table whose column `user_id` is the user, by their keys.
    pub async fn rows<T: Table + FromRow>(&mut self, user_id: UserId) -> Result<Vec<T>, DatabaseError> {
        let key = T::columns().next().unwrap_or_default();
        let sql = select::<T>(&format!("WHERE user_id = $1 ORDER BY {key}"));
        self.0.all(&sql, &params![user_id]).await
    }

    /// Returns the accounts of a user at identity providers.
    pub async fn identities(&mut self, user_id: UserId) -> Result<Vec<UserIdentity>, DatabaseError> {
        let sql = "SELECT provider, subject, created_at FROM user_identities WHERE user_id = $1 \
                   ORDER BY provider, subject";
        self.0.all(sql, &params![user_id]).await
    }

    /// Returns the actions of a user that concern security, and those of others on the account and its API keys, newest
    /// first; of more than 10,000 the last ones.
    pub async fn security_log(&mut self, user_id: UserId) -> Result<Vec<SecurityEntry>, DatabaseError> {
        self.0.all(&Self::security_log_statement(), &params![user_id, MOST_ENTRIES]).await
    }

    /// Returns the statement that reads the security log.
    pub fn security_log_statement() -> String {
        let actions: Vec<_> =
            SecurityAction::ALL.iter().map(|action| format!("'{}'", action.name())).collect();
        let actions = actions.join(", ");
        let created = SecurityAction::ApiKeyCreated.name();
        let by_others = format!(
            "SELECT number, occurred_at, action, CASE WHEN user_id IS NULL THEN network END, subject_id FROM audit_log \
             WHERE user_id IS DISTINCT FROM $1 AND action IN ({actions})"
        );
        // several statements, so that each has its index; of a key that was revoked, only the log says whose it was.
        // Its creation is found by the user: SQLite would take the index by action, with the keys of all users
        format!(
            "SELECT occurred_at, action, network, subject_id FROM (\
             SELECT number, occurred_at, action, network, subject_id FROM audit_log \
             WHERE user_id = $1 AND action IN ({actions}) \
             UNION ALL {by_others} AND subject_id = $1 \
             UNION ALL {by_others} AND subject_id IN \
             (SELECT subject_id FROM audit_log WHERE user_id = $1 AND action || '' = '{created}')\
             ) AS entries ORDER BY number DESC LIMIT $2"
        )
    }
}
