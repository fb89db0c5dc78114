//! The role of a database in a replication. The database itself knows it, and its triggers refuse writes by it: a
//! process that was started before the role changed needs not be restarted.

use jiff::Timestamp;

use super::Database;
use super::connection::Connection;
use super::dialect;
use super::error::{DatabaseError, NotLive};
use super::param::params;

/// The table that a source and a standby have.
pub(super) const TABLE: &str = "replication";
/// The table with the id of the replication by which the store has moved to a database.
pub(super) const ORIGIN: &str = "replication_origin";
/// The tables of replications and copies in progress. No migration creates them, and no copy contains them.
pub(super) const TABLES: [&str; 6] =
    [TABLE, ORIGIN, "row_changes", "replication_triggers", "copy_tables", "copy_foreign_keys"];

/// The role of a database in a replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is the database of a store, and not replicated.
    Live,
    /// It is the database of a store, and records the changes of its rows for a standby.
    Source,
    /// It is the database of a store, and the end of its replication has begun: changes may not be recorded.
    Stopping,
    /// It is kept in step with a source, and only the replication writes to it.
    Standby,
    /// It was handed over: the store uses another database.
    Moved,
}

impl Role {
    /// Returns why a store cannot write; `None` if it can.
    pub fn not_live(self) -> Option<NotLive> {
        match self {
            Self::Live | Self::Source | Self::Stopping => None,
            Self::Standby => Some(NotLive::Standby),
            Self::Moved => Some(NotLive::Moved),
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "source" => Self::Source,
            "stopping" => Self::Stopping,
            "moved" => Self::Moved,
            _ => Self::Standby,
        }
    }
}

/// The state of a replication as one of its databases has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicationState {
    /// The database records its changes.
    Source {
        /// The number of recorded changes.
        waiting: i64,
        /// The time of the oldest.
        oldest_at: Option<Timestamp>,
    },
    /// The end of the replication was interrupted, or runs at this moment: changes may not be recorded.
    Stopping,
    /// The database is a standby.
    Standby {
        /// The time of the last snapshot of the source that it equals.
        equal_at: Option<Timestamp>,
    },
    /// The store has moved to another database.
    Moved,
}

impl ReplicationState {
    /// Returns the state of the replication of a database; `None` if it is not replicated.
    pub async fn read(database: &Database) -> Result<Option<Self>, DatabaseError> {
        let mut connection = database.read().await?;
        Ok(match role(&mut connection).await? {
            Role::Live => None,
            Role::Stopping => Some(Self::Stopping),
            Role::Source => {
                let sql = "SELECT COUNT(*), MIN(changed_at) FROM row_changes";
                let (waiting, oldest_at) = connection.one(sql, &[]).await?;
                Some(Self::Source { waiting, oldest_at })
            }
            Role::Standby => {
                let equal_at = connection.one("SELECT equal_at FROM replication", &[]).await?;
                Some(Self::Standby { equal_at })
            }
            Role::Moved => Some(Self::Moved),
        })
    }
}

impl Database {
    /// Returns the role of the database, which may change at any time.
    pub async fn role(&self) -> Result<Role, DatabaseError> {
        role(&mut self.read().await?).await
    }
}

/// Returns the role of the database of a connection.
pub(super) async fn role(connection: &mut Connection) -> Result<Role, DatabaseError> {
    if !is_replicated(connection).await? {
        return Ok(Role::Live);
    }
    match connection.one::<String>("SELECT role FROM replication", &[]).await {
        Ok(name) => Ok(Role::parse(&name)),
        // the replication has ended in between
        Err(_) if !is_replicated(connection).await? => Ok(Role::Live),
        Err(error) => Err(error),
    }
}

async fn is_replicated(connection: &mut Connection) -> Result<bool, DatabaseError> {
    connection.one(dialect::table_exists(connection.engine()), &params![TABLE]).await
}
