//! All rows that belong to a user, for the export of the own data. Other lists have pages.

use jiff::Timestamp;

use super::database::{Connection, DatabaseError, FromRow, Table, from_row, params, select};
use crate::domain::ids::UserId;

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
}
