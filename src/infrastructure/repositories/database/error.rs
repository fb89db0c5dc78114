//! What a database can answer instead of doing what it was asked, named by what the caller can do about it.

use thiserror::Error;

/// Why the database did not do it.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// It cannot be reached, or is too busy; nothing was done, and it may be asked again later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Its disk is full; nothing was done.
    #[error("the database has no room left: {0}")]
    Full(String),
    /// Another row has this unique value already.
    #[error("a value is taken: {constraint}")]
    Taken {
        /// The unique constraint, by the name it has in the migrations.
        constraint: String,
    },
    /// The row was changed by somebody else since it was read.
    #[error("{table} was changed by somebody else")]
    Stale {
        /// The table.
        table: &'static str,
    },
    /// A rule of the table forbids it.
    #[error("a rule forbids it: {constraint}")]
    CheckFailed {
        /// The CHECK constraint, by its name.
        constraint: String,
    },
    /// It names a row that is not there, or would leave such a name behind.
    #[error("a referenced row is missing or still referenced: {0}")]
    ForeignKey(String),
    /// Two transactions waited for each other and this one gave way; it is run again by itself, a few times.
    #[error("the transaction gave way to another: {0}")]
    Retryable(String),
    /// The schema is not the one this program needs.
    #[error("{0}")]
    Schema(String),
    /// Nobody expected this.
    #[error("the database failed: {0}")]
    Internal(String),
}

impl DatabaseError {
    /// Whether this is the named unique constraint.
    pub fn is_taken(&self, name: &str) -> bool {
        matches!(self, Self::Taken { constraint } if constraint == name)
    }

    /// Whether this is the named CHECK.
    pub fn is_check(&self, name: &str) -> bool {
        matches!(self, Self::CheckFailed { constraint } if constraint == name)
    }
}
