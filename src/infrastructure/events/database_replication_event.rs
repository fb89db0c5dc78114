//! Changes of rows were applied to another database.

use std::time::Duration;

use super::event_bus::Signal;

/// Committed changes of the rows of a table were applied to another database: a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseReplicationEvent {
    /// The table.
    pub table: String,
    /// What was done with the rows in the other database.
    pub operation: ReplicatedOperation,
    /// The number of rows.
    pub rows: u64,
    /// The age of the oldest of the changes when they were applied.
    pub lag: Duration,
}

impl Signal for DatabaseReplicationEvent {
    const TYPE: &'static str = "database_replication";
}

/// What is done with a row in the other database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplicatedOperation {
    /// The row is inserted, or replaced by its current values.
    Upserted,
    /// The row is deleted.
    Deleted,
}

impl ReplicatedOperation {
    /// Returns the name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upserted => "upserted",
            Self::Deleted => "deleted",
        }
    }
}
