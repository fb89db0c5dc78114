//! The check of a database that is replicated.

use jiff::Timestamp;

use super::super::{Exit, counted};
use super::{Finding, LATE};
use crate::application::Store;
use crate::infrastructure::repositories::ReplicationState;

/// Checks whether the recorded changes of a database that is replicated are applied. A database that is not has no
/// finding.
pub(super) async fn replication(store: &Store) -> Option<Finding> {
    let (state, now) = match ReplicationState::read(store.database()).await {
        Ok(Some(state)) => (state, store.now()),
        Ok(None) => return None,
        Err(error) => return Some(Finding::problem("replication", error.to_string(), "check the database")),
    };
    let is_late = |at: Option<Timestamp>| at.is_some_and(|at| now.duration_since(at) > LATE);
    Some(match state {
        ReplicationState::Source { waiting, oldest_at } if is_late(oldest_at) => {
            let found = format!(
                "{} wait, and none was applied for a while",
                counted(waiting.cast_unsigned(), "change", "changes")
            );
            let advice =
                "run `undercroft replicate`, or end the replication with `undercroft replicate --stop`";
            Finding::warning("replication", found, advice)
        }
        ReplicationState::Source { waiting, .. } => {
            Finding::ok("replication", format!("its changes are recorded for a standby; {waiting} wait"))
        }
        ReplicationState::Stopping => Finding::warning(
            "replication",
            "its end was interrupted: some changes are recorded, and no standby gets them",
            "run `undercroft replicate --stop` to complete it",
        ),
        ReplicationState::Standby { equal_at } if is_late(equal_at) => {
            Finding::warning("replication", standby(equal_at), "run `undercroft replicate`")
        }
        ReplicationState::Standby { equal_at } => Finding::ok("replication", standby(equal_at)),
        ReplicationState::Moved => {
            let found = "the store has moved to another database: `serve` does not start on this one";
            let advice = "set `database` to that one";
            Finding { exit: Exit::Database, ..Finding::problem("replication", found, advice) }
        }
    })
}

fn standby(equal_at: Option<Timestamp>) -> String {
    match equal_at {
        Some(at) => format!("it is a standby, and equals its source as of {at}"),
        None => "it is a standby that never was equal to its source".to_owned(),
    }
}
