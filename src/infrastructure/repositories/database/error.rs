//! Errors of the database, named by what the caller can do about them.

use std::fmt::Display;

use thiserror::Error;

/// An error of the database.
#[derive(Debug, Clone, Error)]
pub enum DatabaseError {
    /// The database cannot be reached or is overloaded. Nothing was changed; the same call may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The connection or the disk failed during the commit: the transaction may be committed or not. A client that
    /// sends its request again with the same idempotency key gets the response, and the request has one effect.
    #[error("the transaction may or may not be committed: {0}")]
    OutcomeUnknown(String),
    /// The server does not have the database.
    #[error("the database does not exist: {0}")]
    Missing(String),
    /// The disk of the database is full. Nothing was changed.
    #[error("the database has no room left: {0}")]
    Full(String),
    /// The database, its file or its folder can only be read. Nothing was changed.
    #[error("the database is read-only: {0}")]
    ReadOnly(String),
    /// Another row has this unique value.
    #[error("a value is taken: {constraint}")]
    Taken {
        /// The unique constraint, by the name it has in the migrations.
        constraint: String,
    },
    /// The row changed since it was read.
    #[error("the row of {table} is stale")]
    Stale {
        /// The table of the row.
        table: &'static str,
    },
    /// The row violates a CHECK or NOT NULL constraint of its table.
    #[error("a constraint was violated: {constraint}")]
    CheckFailed {
        /// The name of the CHECK constraint, or the column that must not be NULL, such as `orders.email`.
        constraint: String,
    },
    /// The database is not the one that the store writes to. Nothing was changed.
    #[error(transparent)]
    NotLive(NotLive),
    /// A referenced row is missing, or a removed row is still referenced.
    #[error("a referenced row is missing or still referenced: {0}")]
    ForeignKey(String),
    /// A deadlock or a serialization failure. [`Database::write`] runs the transaction up to 12 times.
    ///
    /// [`Database::write`]: super::Database::write
    #[error("the transaction must be retried: {0}")]
    Retryable(String),
    /// The schema is not the one that this program needs.
    #[error("{0}")]
    Schema(String),
    /// An unexpected error of the database.
    #[error("the database failed: {0}")]
    Internal(String),
}

/// Why a database is not the one that a store writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotLive {
    /// It is the target of a replication, and becomes live when its source is handed over.
    #[error("the database is a standby, to which only its replication writes")]
    Standby,
    /// It was the source of a replication, and was handed over.
    #[error("the store has moved to another database")]
    Moved,
}

impl NotLive {
    /// Returns the name of the constraint by which triggers refuse to write.
    pub(super) fn constraint(self) -> &'static str {
        match self {
            Self::Standby => "store_is_standby",
            Self::Moved => "store_has_moved",
        }
    }
}

impl DatabaseError {
    /// Returns the error for a row or a statement that violates the named constraint.
    pub(super) fn of_check(constraint: String) -> Self {
        let reasons = [NotLive::Standby, NotLive::Moved];
        match reasons.into_iter().find(|reason| reason.constraint() == constraint) {
            Some(reason) => Self::NotLive(reason),
            None => Self::CheckFailed { constraint },
        }
    }

    /// Returns the error of a database with tables of another program.
    pub(super) fn foreign() -> Self {
        let advice = "set `database` to that of a store, or to an empty one";
        Self::Schema(format!("the database has tables of another program: {advice}"))
    }

    /// Returns the error of a file of another program than SQLite.
    pub(super) fn of_other_file(file: &dyn Display) -> Self {
        Self::Schema(format!("{file} is not a database of SQLite"))
    }

    /// Returns the error of a commit for this error, which its statement failed with.
    pub(super) fn of_commit(self) -> Self {
        match self {
            Self::Unavailable(reason) => Self::OutcomeUnknown(reason),
            error => error,
        }
    }

    /// Returns whether the named unique constraint was violated.
    pub fn is_taken(&self, name: &str) -> bool {
        matches!(self, Self::Taken { constraint } if constraint == name)
    }

    /// Returns whether the named CHECK constraint was violated.
    pub fn is_check(&self, name: &str) -> bool {
        matches!(self, Self::CheckFailed { constraint } if constraint == name)
    }
}
