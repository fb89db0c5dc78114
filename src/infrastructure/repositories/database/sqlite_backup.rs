//! Backups of a SQLite database: its pages are copied by SQLite, from one snapshot, while other processes write.
//!
//! Source: <https://www.sqlite.org/backup.html>.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::connection;
use super::dialect::{self, Engine};
use super::error::DatabaseError;
use super::replication;
use super::role::{ORIGIN, Role};
use super::sqlite_file;
use super::sqlite_pool::{ReadAccess, open_reader};
use super::{Database, DatabaseUrl};
use crate::domain::context::Context;

/// The pages that are copied between two looks at whether the copy goes on, 8 MiB.
const PAGES: i32 = 2048;

/// Copies a database to a file, which is created for the user of this process alone. Returns `false` if it was ended
/// by `is_stopped` before it was complete. Fails with [`DatabaseError::Schema`] if the file of the database was
/// replaced after a crash.
pub fn back_up(database: &Path, file: &Path, is_stopped: impl Fn() -> bool) -> Result<bool, DatabaseError> {
    check_source(database)?;
    let source = open_reader(database, ReadAccess::alone(database))?;
    sqlite_file::create(file)?;
    let mut target = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    copy_pages(&source, &mut target, is_stopped)
}

/// Fails with [`DatabaseError::Schema`] if the file of a database was replaced after a crash: its FILE-wal has changes
/// of another database. Only for use before this process opens the database.
pub fn check_source(database: &Path) -> Result<(), DatabaseError> {
    sqlite_file::check_instance(database)
}

/// Returns whether a database has no tables, of a store or of another program.
pub fn is_empty(database: &Path) -> Result<bool, DatabaseError> {
    sqlite_file::check(database)?;
    let connection = open_reader(database, ReadAccess::alone(database))?;
    let has_tables: bool =
        connection.query_row(dialect::any_table_exists(Engine::Sqlite), [], |row| row.get(0))?;
    Ok(!has_tables)
}

/// Makes a copy of a database that is replicated that of a store which is not, and to which none has moved. One of a
/// store that has moved remains so.
pub async fn detach(file: &Path) -> Result<(), DatabaseError> {
    let database = Database::connect_for_writing(&DatabaseUrl::Sqlite(file.to_owned()), Context::system())?;
    let mut connection = database.unchecked_writer().await?;
    if database.role().await? != Role::Moved {
        replication::detach(&mut connection).await?;
    }
    connection.script(&format!("DROP TABLE IF EXISTS {ORIGIN}")).await
}

/// Leaves a file that can be read without files beside it.
pub fn finish(file: &Path) -> Result<(), DatabaseError> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    Ok(connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?)
}

/// Returns the problems of the pages, indexes, constraints and foreign keys of a SQLite database.
pub async fn check(database: &Database) -> Result<Vec<String>, DatabaseError> {
    let mut connection = database.read().await?;
    let mut problems: Vec<String> = connection.all("PRAGMA integrity_check", &[]).await?;
    problems.retain(|line| line != "ok");
    let tables = tables_with_missing_references(&mut connection).await?;
    problems.extend(tables.into_iter().map(|table| format!("a row of {table} refers to a missing row")));
    Ok(problems)
}

/// Returns the tables of a SQLite database with rows whose foreign keys refer to missing rows.
pub(super) async fn tables_with_missing_references(
    connection: &mut connection::Connection,
) -> Result<Vec<String>, DatabaseError> {
    connection.all("SELECT DISTINCT \"table\" FROM pragma_foreign_key_check ORDER BY 1", &[]).await
}

/// A database that no other process uses.
pub struct Target(Connection);

impl Target {
    /// Locks a database, which is created if it is missing; returns `None` if another process has opened it.
    pub fn lock(database: &Path) -> Result<Option<Self>, DatabaseError> {
        sqlite_file::create(database)?;
        sqlite_file::check(database)?;
        let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // in this mode the lock excludes all other connections, and is held until the connection is closed
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
        match connection.execute_batch("PRAGMA synchronous = FULL; BEGIN EXCLUSIVE; COMMIT") {
            Err(rusqlite::Error::SqliteFailure(failure, _))
                if matches!(failure.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) =>
            {
                return Ok(None);
            }
            locked => locked?,
        }
        sqlite_file::forget_instance(database)?;
        Ok(Some(Self(connection)))
    }

    /// Replaces the content of the database in one transaction.
    pub fn restore(mut self, file: &Path) -> Result<(), DatabaseError> {
        let source = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        copy_pages(&source, &mut self.0, || false).map(drop)
    }
}

/// Copies all pages, in one read transaction of the source and one transaction of the target; returns `false` if it was
/// ended by `is_stopped`, and then nothing is copied.
fn copy_pages(
    source: &Connection,
    target: &mut Connection,
    is_stopped: impl Fn() -> bool,
) -> Result<bool, DatabaseError> {
    // it begins with a read, and ends when the connection is closed
    source.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema")?;
    let backup = Backup::new(source, target)?;
    while !is_stopped() {
        match backup.step(PAGES)? {
            StepResult::Done => return Ok(true),
            StepResult::More => {}
            _ => return Err(DatabaseError::Unavailable("the database is locked".into())),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::super::{Setup, new_database, sqlite_side_files};
    use super::*;

    /// Copies a database and the files beside it, as a killed process leaves them.
    fn killed(file: &Path) -> (TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for file in sqlite_side_files::all(file).iter().filter(|file| file.exists()) {
            fs::copy(file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
        let file = folder.path().join(file.file_name().unwrap());
        (folder, file)
    }

    #[tokio::test]
    async fn a_store_can_be_opened_after_a_restore_was_killed_while_it_moved_the_log_into_the_file() {
        let (folder, database) = new_database().await;
        let changed = database.write((), async |work, ()| work.script("CREATE TABLE changes (a TEXT)").await);
        changed.await.unwrap();
        let (_crashed, file) = killed(&folder.path().join("store.db"));
        assert!(sqlite_file::has_changes(&file) && sqlite_side_files::instance(&file).exists());

        let target = Target::lock(&file).unwrap().unwrap();
        let (_killed, file) = killed(&file);
        drop(target);
        // the first page that is moved has the number of the backup
        let mut bytes = fs::read(&file).unwrap();
        bytes[60..64].copy_from_slice(&[7; 4]);
        fs::write(&file, bytes).unwrap();

        let url = DatabaseUrl::Sqlite(file);
        let database = Database::open(&url, Context::system(), Setup::IfEmpty).await.unwrap();
        let count: i64 =
            database.read().await.unwrap().one("SELECT COUNT(*) FROM changes", &[]).await.unwrap();
        assert_eq!(count, 0);
    }
}
