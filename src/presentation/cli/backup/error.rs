//! Why a backup was not made, or not restored.

use std::path::{Path, PathBuf};

use super::super::counted;
use super::super::exit::{Exit, database_exit, failure_exit};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::DatabaseError;

/// Why a backup was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database is PostgreSQL, which has commands of its own.
    #[error("`{command}` is for SQLite. On PostgreSQL: {instead}")]
    Postgres {
        /// The command that was called.
        command: &'static str,
        /// The command to use.
        instead: &'static str,
    },
    /// The file of the backup exists.
    #[error("{} exists; a backup does not overwrite a file", .0.display())]
    Exists(PathBuf),
    /// The database has tables, of a store or of another program.
    #[error("{} is not empty; `--force` replaces its content", .0.display())]
    NotEmpty(PathBuf),
    /// Another process uses the database.
    #[error("{} is in use; stop the server first", .0.display())]
    InUse(PathBuf),
    /// The backup has the schema of an older program.
    #[error(
        "{file} is {} behind this program: migrate it first, with `undercroft migrate --database sqlite:{file}`, or \
         restore it with the program that made it",
        counted(*missing, "migration", "migrations"),
        file = file.display()
    )]
    Behind {
        /// The file of the backup.
        file: PathBuf,
        /// The number of missing migrations.
        missing: u64,
    },
    /// The copy of the store has problems.
    #[error("{} has problems: {problems}", file.display())]
    Problems {
        /// The file that was checked.
        file: PathBuf,
        /// The problems, separated by semicolons.
        problems: String,
    },
    /// The rules of the data cannot be checked.
    #[error("{}", .0.report())]
    Unchecked(Failure),
    /// A database cannot be read or written.
    #[error("{}", file.display())]
    Database {
        /// The file of the database.
        file: PathBuf,
        /// The error of the database.
        source: DatabaseError,
    },
}

impl BackupError {
    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Postgres { .. } | Self::Exists(_) | Self::NotEmpty(_) => Exit::Usage,
            Self::InUse(_) | Self::Behind { .. } => Exit::Database,
            Self::Problems { .. } => Exit::Failure,
            Self::Unchecked(failure) => failure_exit(failure),
            Self::Database { source, .. } => database_exit(source),
        }
    }

    /// Returns the error of the database in a file.
    pub(super) fn of(file: &Path) -> impl FnOnce(DatabaseError) -> Self {
        move |source| Self::Database { file: file.to_owned(), source }
    }
}
