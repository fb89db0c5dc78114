//! `undercroft backup` and `undercroft restore`: the whole store in one file, for SQLite.

mod error;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub(super) use self::error::BackupError;
use super::{CliError, counted, private_file::part_of, verbosity::Verbosity};
use crate::{
    application::consistency,
    domain::context::Context,
    infrastructure::repositories::{
        Database, DatabaseError, DatabaseUrl, SchemaState, Setup, sqlite_backup, sqlite_side_files,
    },
    settings::Settings,
};

/// The arguments of `backup`.
#[derive(clap::Args, Debug)]
pub struct Backup {
    /// The file to write; it must not exist
    file: PathBuf,
    #[command(flatten)]
    verbosity: Verbosity,
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
        let part = part_of(&self.file);
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
        self.verbosity.print(&format!("{}: {} KiB, checked", self.file.display(), bytes >> 10))
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
    #[command(flatten)]
    verbosity: Verbosity,
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

        let part = part_of(&store);
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
        let (file, store) = (self.file.display(), store.display());
        self.verbosity.print(&format!("{file} was checked and restored to {store}"))
    }
}

/// Returns the file of the database; fails if it is PostgreSQL.
fn sqlite_file(
    settings: &Settings,
    command: &'static str,
    instead: &'static str,
) -> Result<PathBuf, BackupError> {
    settings.database.file().cloned().ok_or(BackupError::Postgres { command, instead })
}

async fn is_empty(file: &Path) -> Result<bool, BackupError> {
    let state = Database::look(&DatabaseUrl::Sqlite(file.to_owned()), Context::system()).await;
    Ok(state.map_err(BackupError::of(file))? == SchemaState::Empty)
}

/// Checks a backup, and leaves a file that can be read without files beside it.
async fn check_and_finish(file: &Path) -> Result<(), BackupError> {
    check(file).await?;
    sqlite_backup::finish(file).map_err(BackupError::of(file))
}

/// Checks a copy of a store: its pages and indexes, foreign keys, the version of the schema, and the rules of the data.
async fn check(file: &Path) -> Result<(), BackupError> {
    let database =
        Database::open(&DatabaseUrl::Sqlite(file.to_owned()), Context::system(), Setup::ReadOnly).await;
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

/// Removes an incomplete database.
fn remove(part: &Path) {
    // it may not exist; what remains is replaced by the next backup
    let _ = sqlite_side_files::remove(part);
}
