//! The store cannot write: its database fails, or is not the one that the store writes to.

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts, retry_after_a_second};

/// The store cannot write. Requests that only read may still succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not ready: {reason:?}")]
pub struct NotReady {
    /// The reason.
    pub reason: NotReadyReason,
}

/// Why the store cannot write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReadyReason {
    /// The database cannot be reached, or is overloaded.
    DatabaseUnavailable,
    /// The disk of the database is full.
    DiskFull,
    /// The database can only be read.
    ReadOnly,
    /// The database failed in another way, see the log.
    DatabaseFailed,
    /// The database is a standby, until the store moves to it.
    Standby,
    /// The store has moved to another database.
    Moved,
    /// The server is stopping.
    Stopping,
}

impl NotReadyReason {
    /// All variants.
    pub(super) const ALL: [Self; 7] = [
        Self::DatabaseUnavailable,
        Self::DiskFull,
        Self::ReadOnly,
        Self::DatabaseFailed,
        Self::Standby,
        Self::Moved,
        Self::Stopping,
    ];
}

impl Exception for NotReady {
    fn code(&self) -> &'static str {
        "not_ready"
    }

    fn kind(&self) -> Kind {
        Kind::Retryable
    }

    fn status(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn details(&self) -> Map<String, Value> {
        facts([("reason", json!(self.reason))])
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        retry_after_a_second()
    }
}
