//! The exit codes of the process.

use std::error::Error;
use std::process::ExitCode;

use crate::infrastructure::exceptions::{Failure, NotReady};
use crate::infrastructure::repositories::DatabaseError;

/// The exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded.
    Success = 0,
    /// The command failed.
    Failure = 1,
    /// The command line or the settings are invalid; nothing was done.
    Usage = 2,
    /// Records of the input are not imported, such as orders, or, with `--strict`, lines were rejected; the others were
    /// imported.
    Rejected = 3,
    /// The database cannot be used: it cannot be reached, must be migrated, is read-only, in use, or not live.
    Database = 4,
    /// A signal (SIGINT, SIGTERM) ended a command other than `serve` and `worker` before it was complete.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The exit codes, as the help lists them.
pub(super) const CODES: &str = "Exit codes:
    0  success
    1  failure
    2  the command line or the settings are invalid; nothing was done
    3  the input has records that are not imported, such as orders, or, with --strict,
       lines that were rejected; the others were imported
    4  the database cannot be used: it cannot be reached, must be migrated, is read-only,
       in use, or not live
  130  a signal ended a command other than `serve` and `worker` before it was complete";

/// Returns the exit code of a use case that failed: that of its database, if the reason is one.
pub(super) fn failure_exit(failure: &Failure) -> Exit {
    if failure.is::<NotReady>() {
        return Exit::Database;
    }
    let error = failure.source().and_then(|source| source.downcast_ref());
    error.map_or(Exit::Failure, database_exit)
}

/// Returns the exit code of an error of the database: whether an operator can make it available.
pub(super) fn database_exit(error: &DatabaseError) -> Exit {
    match error {
        DatabaseError::Unavailable(_)
        | DatabaseError::OutcomeUnknown(_)
        | DatabaseError::Missing(_)
        | DatabaseError::ReadOnly(_)
        | DatabaseError::NotLive(_)
        | DatabaseError::Schema(_) => Exit::Database,
        _ => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::exceptions::Conflict;
    use crate::infrastructure::repositories::NotLive;

    #[test]
    fn a_use_case_that_failed_because_of_its_database_has_the_exit_code_of_the_database() {
        let exit = |error: DatabaseError| failure_exit(&error.into());
        assert_eq!(exit(DatabaseError::Unavailable("no route".into())), Exit::Database);
        assert_eq!(exit(DatabaseError::NotLive(NotLive::Standby)), Exit::Database);
        assert_eq!(exit(DatabaseError::Internal("syntax".into())), Exit::Failure);
        assert_eq!(failure_exit(&Conflict::Stale.into()), Exit::Failure);
    }
}
