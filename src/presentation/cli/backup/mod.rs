//! `undercroft backup` and `undercroft restore`: the whole store in one file, for SQLite.

mod error;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) use self::error::BackupError;
use super::{
    CliError, counted,
    private_file::{check_output, part_of, rename_new},
    terminal::stderr,
    verbosity::Verbosity,
};
use crate::{
    application::consistency,
    domain::context::Context,
    infrastructure::repositories::{
        Database, DatabaseUrl, SchemaState, Setup, sqlite_backup, sqlite_side_files,
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
        check_output(&self.file, &settings.database)?;
        // SQLite would apply a log that is beside the backup to it
        if let Some(file) = sqlite_side_files::all(&self.file).into_iter().find(|file| file.exists()) {
            return Err(BackupError::Exists(file).into());
        }
        let part = part_of(&self.file);
        let written = self.write(&store, &part).await;
        if written.is_err() {
            remove(&part);
        }
        let bytes = written?;
        self.verbosity.print(&format!("{}: {} KiB, checked", self.file.display(), bytes >> 10))
    }

    /// Writes the snapshot to `part`, checks it and renames it; returns its size in bytes.
    async fn write(&self, store: &Path, part: &Path) -> Result<u64, CliError> {
        sqlite_backup::back_up(store, part, || false).map_err(BackupError::of(store))?;
        sqlite_backup::detach(part).await.map_err(BackupError::of(store))?;
        check(part, store).await?;
        sqlite_backup::finish(part).map_err(BackupError::of(&self.file))?;

        let failed = |source| CliError::File { file: self.file.clone(), source };
        let file = File::open(part).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        rename_new(part, &self.file).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(self.file.clone()).into(),
            _ => failed(error),
        })?;
        Ok(file.metadata().map_err(failed)?.len())
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
        sqlite_backup::check_source(&self.file).map_err(BackupError::of(&self.file))?;
        if store.exists()
            && !self.force
            && !sqlite_backup::is_empty(&store).map_err(BackupError::of(&store))?
        {
            return Err(BackupError::NotEmpty(store).into());
        }
        let is_new = !store.exists();
        let locked = sqlite_backup::Target::lock(&store).map_err(BackupError::of(&store))?;
        let target = locked.ok_or_else(|| BackupError::InUse(store.clone()))?;

        let part = part_of(&store);
        let restored = async {
            sqlite_backup::back_up(&self.file, &part, || false).map_err(BackupError::of(&self.file))?;
            check_version(&part, &self.file).await?;
            check(&part, &self.file).await?;
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

/// Fails if the copy of a backup has the schema of an older program.
async fn check_version(copy: &Path, backup: &Path) -> Result<(), BackupError> {
    let state = Database::look(&DatabaseUrl::Sqlite(copy.to_owned()), Context::system()).await;
    match state.map_err(BackupError::of(backup))? {
        SchemaState::Behind { missing, .. } => {
            Err(BackupError::Behind { file: backup.to_owned(), missing: missing as u64 })
        }
        _ => Ok(()),
    }
}

/// Checks a copy of a store: its pages and indexes, foreign keys and the version of the schema. Rules of the data that
/// it violates are printed as warnings: they are those of the store, which needs its backups all the same. Errors name
/// the file `of` which it is a copy.
async fn check(copy: &Path, of: &Path) -> Result<(), BackupError> {
    let database =
        Database::open(&DatabaseUrl::Sqlite(copy.to_owned()), Context::system(), Setup::ReadOnly).await;
    let database = database.map_err(BackupError::of(of))?;
    let problems = sqlite_backup::check(&database).await.map_err(BackupError::of(of))?;
    if !problems.is_empty() {
        return Err(BackupError::Problems { file: of.to_owned(), problems: problems.join("; ") });
    }
    for broken in consistency::check(&database, false).await.map_err(BackupError::Unchecked)? {
        let rows = counted(broken.rows.unsigned_abs(), "row", "rows");
        // there is no output left if it is closed
        let _ = writeln!(stderr(), "warning: the store violates a rule: {} ({rows})", broken.rule);
    }
    Ok(())
}

/// Removes an incomplete database.
fn remove(part: &Path) {
    // it may not exist
    let _ = sqlite_side_files::remove(part);
}
