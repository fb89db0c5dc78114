//! `undercroft backup` and `undercroft restore`: the whole store in one file, for SQLite.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::{CliError, Exit, counted, database_exit};
use crate::{
    application::consistency,
    domain::context::Context,
    infrastructure::exceptions::Failure,
    infrastructure::repositories::{Database, DatabaseError, SchemaState, Setup, sqlite_backup},
    settings::Settings,
};

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
    /// The database contains a store.
    #[error("{} contains a store; `--force` replaces it", .0.display())]
    NotEmpty(PathBuf),
    /// Another process uses the database.
    #[error("{} is in use; stop the server first", .0.display())]
    InUse(PathBuf),
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
            Self::InUse(_) => Exit::Database,
            Self::Problems { .. } | Self::Unchecked(_) => Exit::Failure,
            Self::Database { source, .. } => database_exit(source),
        }
    }

    fn of(file: &Path) -> impl FnOnce(DatabaseError) -> Self {
        move |source| Self::Database { file: file.to_owned(), source }
    }
}

/// The arguments of `backup`.
#[derive(clap::Args, Debug)]
pub struct Backup {
    /// The file to write; it must not exist
    file: PathBuf,
}

impl Backup {
    /// Writes a snapshot of the store to the file, also while a server runs. The file is complete and checked, or does
    /// not exist.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        const INSTEAD: &str = "pg_dump --format=custom --file=FILE URL";
        let store = sqlite_file(&settings, "backup", INSTEAD)?;
        if self.file.exists() {
            return Err(BackupError::Exists(self.file).into());
        }
        let part = with_ending(&self.file, ".part");
        remove(&part);
        sqlite_backup::back_up(&store, &part).map_err(BackupError::of(&store))?;
        if let Err(error) = check_and_finish(&part).await {
            remove(&part);
            return Err(error.into());
        }

        let failed = |source| CliError::File { file: self.file.clone(), source };
        let file = File::open(&part).map_err(failed)?;
        file.sync_all().and_then(|()| fs::rename(&part, &self.file)).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        writeln!(stdout(), "{}: {} KiB, checked", self.file.display(), bytes >> 10).map_err(CliError::Output)
    }
}

/// The arguments of `restore`.
#[derive(clap::Args, Debug)]
pub struct Restore {
    /// The backup to restore
    file: PathBuf,
    /// Replace the store that the database contains
    #[arg(long)]
    force: bool,
}

impl Restore {
    /// Replaces the content of the database by that of the backup, in one transaction, after checking it.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        const INSTEAD: &str =
            "pg_restore --clean --if-exists --no-owner --single-transaction --dbname=URL FILE";
        let store = sqlite_file(&settings, "restore", INSTEAD)?;
        if store.exists() && !self.force && !is_empty(&store).await? {
            return Err(BackupError::NotEmpty(store).into());
        }
        let is_new = !store.exists();
        let target = sqlite_backup::Target::lock(&store).map_err(|error| match error {
            DatabaseError::Unavailable(_) if store.exists() => BackupError::InUse(store.clone()),
            error => BackupError::of(&store)(error),
        })?;

        let part = with_ending(&store, ".part");
        remove(&part);
        let restored = async {
            sqlite_backup::back_up(&self.file, &part).map_err(BackupError::of(&self.file))?;
            check(&part).await?;
            target.restore(&part).map_err(BackupError::of(&store))
        }
        .await;
        remove(&part);
        if is_new && restored.is_err() {
            remove(&store);
        }
        restored?;
        writeln!(stdout(), "{} was checked and restored to {}", self.file.display(), store.display())
            .map_err(CliError::Output)
    }
}

/// Returns the file of the database; fails if it is PostgreSQL.
fn sqlite_file(
    settings: &Settings,
    command: &'static str,
    instead: &'static str,
) -> Result<PathBuf, BackupError> {
    let file = settings.database.expose_secret().strip_prefix("sqlite:");
    file.map(PathBuf::from).ok_or(BackupError::Postgres { command, instead })
}

async fn is_empty(file: &Path) -> Result<bool, BackupError> {
    let state = Database::look(&url(file), Context::system()).await;
    Ok(state.map_err(BackupError::of(file))? == SchemaState::Empty)
}

/// Checks a backup, and leaves a file that can be read without files beside it.
async fn check_and_finish(file: &Path) -> Result<(), BackupError> {
    check(file).await?;
    sqlite_backup::finish(file).map_err(BackupError::of(file))
}

/// Checks a copy of a store: its pages and indexes, foreign keys, the version of the schema, and the rules of the data.
async fn check(file: &Path) -> Result<(), BackupError> {
    let database = Database::open(&url(file), Context::system(), Setup::Never).await;
    let database = database.map_err(BackupError::of(file))?;
    let mut problems = sqlite_backup::check(&database).await.map_err(BackupError::of(file))?;
    for broken in consistency::check(&database, false).await.map_err(BackupError::Unchecked)? {
        let rows = counted(broken.rows.unsigned_abs(), "row", "rows");
        problems.push(format!("{} ({rows})", broken.rule));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(BackupError::Problems { file: file.to_owned(), problems: problems.join("; ") })
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

/// Removes an incomplete file and those that SQLite may have left beside it.
fn remove(part: &Path) {
    for ending in ["", "-wal", "-shm", "-instance"] {
        // it may not exist
        let _ = fs::remove_file(with_ending(part, ending));
    }
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = file.into();
    name.push(ending);
    name.into()
}
