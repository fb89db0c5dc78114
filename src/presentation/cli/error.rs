//! Why a command failed, and its exit code.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::task::JoinError;

use super::backup::BackupError;
use super::counted;
use super::exit::{Exit, database_exit, failure_exit};
use super::private_file::InvalidOutput;
use super::terminal::stderr;
use super::torture::TortureError;
use crate::application::{audit::AuditFileError, import::run::ImportError};
use crate::domain::audit::BrokenChain;
use crate::domain::user::{LONGEST_PASSWORD, SHORTEST_PASSWORD};
use crate::infrastructure::exceptions::{Failure, with_causes};
use crate::infrastructure::repositories::{
    DatabaseError, InvalidDatabaseUrl, copy::CopyError, replication::ReplicationError,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}, the address of `{setting}`")]
    Listen {
        /// The setting.
        setting: &'static str,
        /// Its address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The server would have to listen on this address twice.
    #[error(
        "`listen` and `metrics.listen` are both {0}: set `metrics.listen` to another address, such as 127.0.0.1:9464"
    )]
    SharedAddress(SocketAddr),
    /// Other machines reach the store at this address, and its sandbox is a local one.
    #[error(
        "other machines reach {0}: set `payments.sandbox` to \"disabled\", or to \"enabled\" for a store of tests, in \
         which payments succeed without money"
    )]
    Sandbox(String),
    /// Signals cannot be received.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    /// A signal ended the command before it was complete; the text says what was done, and how to continue.
    #[error("interrupted {0}")]
    Interrupted(String),
    /// A second signal stopped the server before all running requests were completed.
    #[error("stopped by a second signal before all requests were completed")]
    CutOff,
    /// The worker stopped because of an internal error.
    #[error("the worker stopped unexpectedly")]
    Worker(#[source] JoinError),
    /// A use case of the store failed.
    #[error("{}", .0.explanation())]
    Store(Failure),
    /// A torture test was not run, or found that a promise of the store is broken.
    #[error(transparent)]
    Torture(#[from] TortureError),
    /// Standard input cannot be read.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
    /// The text on standard input is not the URL of a target.
    #[error("standard input is {0}")]
    Target(InvalidDatabaseUrl),
    /// A password cannot be entered: standard input is not a terminal.
    #[error(
        "standard input is no terminal at which the password is entered: add `--password-stdin` to read it from there"
    )]
    NoTerminal,
    /// The text on standard input is not a valid password.
    #[error("a password is one line of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")]
    Password,
    /// The text on standard input is a password that is guessed first.
    #[error("the password is common, or the address or name of the administrator: choose another one")]
    CommonPassword,
    /// No role of the staff has this name.
    #[error("there is no role {0}: administrators create roles at `/admin/v1/roles`")]
    UnknownRole(String),
    /// The file was not imported, or only in part.
    #[error("{}", file.display())]
    Import {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: ImportError,
    },
    /// The demo catalogue cannot be added to a new store.
    #[error("the demo catalogue cannot be added (`--no-demo` starts without)")]
    Demo(#[source] ImportError),
    /// Lines of the file were rejected.
    #[error("{} rejected", counted(*.0, "line was", "lines were"))]
    Rejected(u64),
    /// The file has records of types that are exported, but not imported.
    #[error("records of these types are not imported: {0}")]
    NotImported(String),
    /// A backup was not made, or not restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The copy is not complete.
    #[error(transparent)]
    Copy(CopyError),
    /// A replication ended without its goal.
    #[error(transparent)]
    Replication(ReplicationError),
    /// The command must not write to this file.
    #[error(transparent)]
    InvalidOutput(#[from] InvalidOutput),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// A file cannot be written or removed.
    #[error("cannot write {}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// `doctor` found problems.
    #[error("{} found", counted(*count, "problem was", "problems were"))]
    Problems {
        /// The number of problems.
        count: u64,
        /// The exit code: that of the database if it cannot be used.
        exit: Exit,
    },
    /// The handler of a dead letter failed again.
    #[error("the subscriber {subscriber} has failed again: {error}")]
    DeadLetter {
        /// The name of the subscriber.
        subscriber: String,
        /// The error of the attempt.
        error: String,
    },
    /// The export of an audit log was not verified.
    #[error("{}", file.display())]
    AuditFile {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: AuditFileError,
    },
    /// The audit log is not what was written.
    #[error("the audit log is not what was written")]
    Audit(#[source] BrokenChain),
    /// The database cannot be used.
    #[error(transparent)]
    Database(DatabaseError),
}

impl From<DatabaseError> for CliError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl CliError {
    /// Returns whether the reader of the output has closed it, as `head` does: the command ends without an error.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Import { source, .. } if source.needs_currency() => Exit::Usage,
            Self::Store(failure)
            | Self::Import { source: ImportError::Store(failure), .. }
            | Self::Demo(ImportError::Store(failure)) => failure_exit(failure),
            Self::Database(error) => database_exit(error),
            Self::Listen { .. }
            | Self::Signals(_)
            | Self::CutOff
            | Self::Worker(_)
            | Self::Input(_)
            | Self::Import { .. }
            | Self::Demo(_)
            | Self::Output(_)
            | Self::DeadLetter { .. }
            | Self::Audit(_)
            | Self::AuditFile { .. }
            | Self::File { .. } => Exit::Failure,
            Self::Interrupted(_) => Exit::Interrupted,
            Self::Problems { exit, .. } => *exit,
            Self::Rejected(_) | Self::NotImported(_) => Exit::Rejected,
            Self::Backup(error) => error.exit(),
            Self::Copy(error) => copy_exit(error),
            Self::Replication(error) => replication_exit(error),
            Self::Torture(error) => error.exit(),
            Self::NoTerminal
            | Self::Password
            | Self::CommonPassword
            | Self::UnknownRole(_)
            | Self::Target(_)
            | Self::SharedAddress(_)
            | Self::Sandbox(_)
            | Self::InvalidOutput(_) => Exit::Usage,
        }
    }
}

/// Returns the exit code of a replication that ended without its goal.
fn replication_exit(error: &ReplicationError) -> Exit {
    use ReplicationError as R;
    match error {
        R::Copy(error) => copy_exit(error),
        R::SourceIsStandby
        | R::SourceHasMoved
        | R::OtherSource
        | R::OtherTarget
        | R::NotReplicated
        | R::NotSource
        | R::CopyIncomplete => Exit::Usage,
        R::Ended
        | R::NotRecorded(_)
        | R::SourceRestored
        | R::TargetRestored
        | R::Differs(_)
        | R::TooManyChanges
        | R::TargetInUse(_)
        | R::WritesNotHeld(_)
        | R::TooSlow
        | R::TakenOver
        | R::HandedOver
        | R::Unfinished(_) => Exit::Failure,
    }
}

/// Returns the exit code of a copy that is not complete.
fn copy_exit(error: &CopyError) -> Exit {
    match error {
        CopyError::Source(error) | CopyError::Target(error) | CopyError::Table { source: error, .. } => {
            database_exit(error)
        }
        CopyError::Same | CopyError::ForeignTables | CopyError::NotEmpty | CopyError::ChangedSince => {
            Exit::Usage
        }
        CopyError::SourceChanged(_)
        | CopyError::Columns(_)
        | CopyError::WrittenMeanwhile(_)
        | CopyError::Differs(_) => Exit::Failure,
        CopyError::Stopped => Exit::Interrupted,
    }
}

/// Prints the error and its causes to standard error, and returns the exit code.
pub fn report_error(error: &dyn Error, exit: Exit) -> Exit {
    // standard error may be closed
    let _ = writeln!(stderr(), "undercroft: {}", with_causes(error));
    exit
}
