//! Rows that are due at a time, such as payments whose next attempt of recovery is due. They are read for each payment
//! provider alone, so that one that responds slowly delays only its own.

use jiff::Timestamp;

use super::connection::Connection;
use super::error::DatabaseError;
use super::param::params;
use super::table::Table;

/// A table with a column `provider`, and a column with the time at which a row is due, if it is.
pub trait Due: Table {
    /// The column with the time at which a row is due.
    const DUE_AT: &'static str;
}

impl Connection {
    /// Returns the payment providers that have rows which are due at `by`.
    pub async fn due_providers<T: Due>(&mut self, by: Timestamp) -> Result<Vec<String>, DatabaseError> {
        let sql = format!("SELECT DISTINCT provider FROM {} WHERE {} <= $1", T::NAME, T::DUE_AT);
        self.all(&sql, &params![by]).await
    }

    /// Returns the keys of up to `limit` rows with a payment provider that are due at `by`, the earliest due first.
    pub async fn due<T: Due>(
        &mut self,
        provider: &str,
        by: Timestamp,
        limit: i64,
    ) -> Result<Vec<T::Key>, DatabaseError> {
        let (key, due_at) = (T::FIELDS[0][0], T::DUE_AT);
        let sql = format!(
            "SELECT {key} FROM {} WHERE {due_at} <= $1 AND provider = $2 ORDER BY {due_at} LIMIT $3",
            T::NAME
        );
        self.all(&sql, &params![by, provider, limit]).await
    }
}
