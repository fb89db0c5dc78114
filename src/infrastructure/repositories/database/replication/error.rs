//! Why a replication ended without its goal.

use super::super::copy::CopyError;
use super::super::error::DatabaseError;

/// Why a replication ended without its goal. Unless it says otherwise, the source is written to as before.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// Source or target cannot be read or written, or do not fit together.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The source is a standby itself.
    #[error("the source is a standby of another replication; replicate the source of that one")]
    SourceIsStandby,
    /// The source was handed over.
    #[error(
        "the store has moved to another database; `--hand-over` completes that if it was interrupted, and \
         `undercroft replicate --make-live` makes this database the store again in an emergency"
    )]
    SourceHasMoved,
    /// The end of the replication has begun.
    #[error(
        "the replication was ended by `undercroft replicate --stop` (which completes that if it was interrupted): a new \
         one needs an empty target"
    )]
    Ended,
    /// The target belongs to another source, or to a replication that was stopped.
    #[error(
        "the target belongs to another replication, or to one that was stopped: a new one needs an empty database"
    )]
    OtherSource,
    /// Another process replicates to the target since.
    #[error("another process has taken over the replication to the target; it continues there")]
    TakenOver,
    /// Another process has handed the source over since.
    #[error(
        "another process has handed the source over: the store has moved to the target, and this replication has ended"
    )]
    HandedOver,
    /// The source has another target.
    #[error(
        "the source is replicated to another database already; `undercroft replicate --stop` ends that replication"
    )]
    OtherTarget,
    /// Changes of a table were not recorded.
    #[error(
        "changes of the table {0} were not recorded: its triggers are missing. Run `undercroft replicate --stop`, empty \
         the target and begin again"
    )]
    NotRecorded(String),
    /// The source is older than the target.
    #[error(
        "the source is older than the target, as if a backup was restored: run `undercroft replicate --stop`, empty the \
         target and begin again"
    )]
    SourceRestored,
    /// The target is older than what the source has recorded of it.
    #[error(
        "the target is older than before, as if its file was replaced by a backup, and changes since then are not \
         recorded any more: run `undercroft replicate --stop`, empty the target and begin again"
    )]
    TargetRestored,
    /// Tables of source and target differ.
    #[error(
        "these tables of source and target differ: {0}. Run `undercroft replicate --stop`, empty the target and begin \
         again"
    )]
    Differs(String),
    /// More changes are recorded than are applied.
    #[error("the source changes faster than the target: run the hand-over again when it is changed less")]
    TooManyChanges,
    /// Tables of the target are in use.
    #[error(
        "the tables of the target are in use by long reads, such as an export; the source is written to as before"
    )]
    TargetInUse(#[source] DatabaseError),
    /// The writes of the source could not be held.
    #[error(
        "a transaction of the source takes long, such as an import; the source is written to as before. Run this \
         again when it has ended"
    )]
    WritesNotHeld(#[source] DatabaseError),
    /// The last step took too long.
    #[error("the last changes could not be applied within a second; the source is written to as before")]
    TooSlow,
    /// The source has moved, or may have, and the target is not live yet: neither is written to until it is.
    #[error(
        "the hand-over is not complete: the source may have moved, and the target is not live yet. Run the same command \
         again until it is"
    )]
    Unfinished(#[source] Option<DatabaseError>),
    /// There is nothing to stop or to make live.
    #[error("the database is not replicated")]
    NotReplicated,
    /// The database is a standby, or was handed over.
    #[error(
        "the database is not the source of a replication; `--make-live` makes it the database of a store"
    )]
    NotSource,
    /// The first copy is not complete.
    #[error("the first copy into the database is not complete: it cannot become that of a store")]
    CopyIncomplete,
}

impl ReplicationError {
    /// Returns whether a database was away: the replication continues when it is back.
    pub(super) fn is_transient(&self) -> bool {
        if matches!(self, Self::Unfinished(_)) {
            return true;
        }
        let Self::Copy(
            CopyError::Source(error) | CopyError::Target(error) | CopyError::Table { source: error, .. },
        ) = self
        else {
            return false;
        };
        matches!(
            error,
            DatabaseError::Unavailable(_) | DatabaseError::OutcomeUnknown(_) | DatabaseError::Retryable(_)
        )
    }

    /// Returns whether a hand-over may succeed a moment later.
    pub(super) fn is_momentary(&self) -> bool {
        matches!(self, Self::TargetInUse(_) | Self::WritesNotHeld(_))
    }
}
