//! The SQLite engine: one writer thread that commits many units of work together, and read-only connections that
//! never wait for it (write-ahead log).
//!
//! Group commit: the writer runs the units that are waiting, each so that it can be rolled back alone, commits them
//! together with `synchronous=FULL`, and then sends each its result. A unit that fails is rolled back by itself;
//! if the commit fails, every unit of the group fails and no change is kept.

use std::iter;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, ffi};
use tokio::sync::OwnedSemaphorePermit;

use super::constraints::unique_constraint;
use super::dialect::{self, Engine};
use super::error::DatabaseError;
use super::load::DatabaseLoad;
use super::param::Param;
use super::queue_wait::QueueWaits;
use super::row::Row;
use super::sqlite_commits::{CommitHeader, CommitMark};
use super::sqlite_file::{self, OpenFile};
use super::sqlite_pool::{ReadAccess, Readers, check_format, open, open_reader};
use super::sqlite_queue::WriterQueue;

/// The most units in one commit, which bounds the wait of the first of them. With more arrivals the others wait in the
/// queue, where the limit for overload sees them: groups of any size would hide that the writer is behind.
const GROUP: usize = 64;
/// The longest wait for a connection that reads, and for room in the queue of the writer.
const QUEUE_WAIT: Duration = Duration::from_secs(10);

/// A unit of work that waits for the writer.
pub(crate) trait Unit: Send {
    /// Runs the unit on the writer's connection; returns the connection and whether the unit succeeded.
    fn run(&mut self, connection: SqliteConnection) -> (SqliteConnection, bool);
    /// Sends the result to the caller, after the commit of the group or its failure.
    fn finish(self: Box<Self>, committed: Result<(), DatabaseError>);
}

/// A database file with its writer and its readers. When it is dropped, the writer completes its units, and the last
/// connection that is closed moves all changes into the file.
pub(crate) struct SqliteDatabase {
    /// `None` if it was opened for reading.
    writer: Option<Arc<WriterQueue<Box<dyn Unit>>>>,
    thread: Option<JoinHandle<()>>,
    readers: Arc<Readers>,
    /// `None` if it was opened for reading.
    header: Option<Arc<CommitHeader>>,
}

impl SqliteDatabase {
    /// Opens the file, and starts its writer, which runs until the database is dropped. `instance` is a random number
    /// for the file, see [`sqlite_file`]. A file without tables is refused unless it `may_be_empty`.
    pub(crate) fn open(path: &Path, instance: u32, may_be_empty: bool) -> Result<Self, DatabaseError> {
        sqlite_file::check(path)?;
        // declared before the connection, so that it is closed after it
        let (header, writer) = CommitHeader::open_with(path, || open_writer(path, may_be_empty))?;
        sqlite_file::begin_instance(&writer, path, instance)?;
        let file = OpenFile::at(path)?;
        let queue = Arc::new(WriterQueue::new());
        let units = Arc::clone(&queue);
        let writer =
            SqliteConnection { connection: Some(writer), home: None, _header: Some(Arc::clone(&header)) };
        let thread = thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || write_loop(writer, &file, &Stop(units)))
            .map_err(|error| DatabaseError::Unavailable(error.to_string()))?;
        let readers = Readers::new(path, ReadAccess::BesideWriter, Vec::new(), Some(Arc::clone(&header)));
        let readers = Arc::new(readers);
        Ok(Self { writer: Some(queue), thread: Some(thread), readers, header: Some(header) })
    }

    /// Opens an existing file for reading. Neither the file nor the changes in its FILE-wal are written.
    pub(crate) fn open_for_reading(path: &Path) -> Result<Self, DatabaseError> {
        if path.exists() {
            sqlite_file::check(path)?;
        }
        let access = ReadAccess::alone(path);
        let reader = open_reader(path, access)?;
        check_format(&reader, path)?;
        let readers = Arc::new(Readers::new(path, access, vec![reader], None));
        Ok(Self { writer: None, thread: None, readers, header: None })
    }

    /// Returns a connection for reads.
    pub(crate) async fn reader(&self) -> Result<SqliteConnection, DatabaseError> {
        let permit = self.readers.permit(QUEUE_WAIT).await?;
        let connection = self.readers.take()?;
        Ok(SqliteConnection {
            connection: Some(connection),
            home: Some((Arc::clone(&self.readers), permit)),
            _header: None,
        })
    }

    /// Returns the connections that read, and the units of work that wait for the writer.
    pub(crate) fn load(&self) -> DatabaseLoad {
        let waiting = self.writer.as_ref().map_or(0, |writer| writer.len());
        let (connections_in_use, connections_idle) = self.readers.count();
        DatabaseLoad { connections_in_use, connections_idle, waiting }
    }

    /// Returns the waits of units or of readers since the last call, the longer ones of both.
    pub(crate) fn take_waits(&self) -> Option<QueueWaits> {
        let writer = self.writer.as_ref().and_then(|writer| writer.take_waits());
        QueueWaits::longer(writer, self.readers.take_waits())
    }

    /// Returns what the next commit of any process changes; `None` if that is not known without a read.
    pub(crate) fn commit_mark(&self) -> Option<CommitMark> {
        // without the connection of the writer, SQLite may create another FILE-shm
        let has_writer = self.writer.as_ref().is_some_and(|writer| !writer.is_closed());
        self.header.as_ref().filter(|_| has_writer)?.mark()
    }

    /// Returns a connection that writes beside the writer, without checking foreign keys.
    pub(crate) fn unchecked_writer(&self) -> Result<SqliteConnection, DatabaseError> {
        let connection = open(self.readers.path(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF")?;
        Ok(SqliteConnection { connection: Some(connection), home: None, _header: self.header.clone() })
    }

    /// Sends a unit of work to the writer. One that continues a request runs before those that begin one.
    pub(crate) async fn submit(&self, unit: Box<dyn Unit>, continues: bool) -> Result<(), DatabaseError> {
        let opened_for_reading = || DatabaseError::ReadOnly("it was opened for reading".into());
        let writer = self.writer.as_ref().ok_or_else(opened_for_reading)?;
        writer.add(unit, continues, QUEUE_WAIT).await
    }
}

impl Drop for SqliteDatabase {
    fn drop(&mut self) {
        self.readers.close();
        if let Some(writer) = &self.writer {
            writer.close();
        }
        let Some(thread) = self.thread.take() else { return };
        // a unit that the writer completes may own the last clone of the database
        if thread.thread().id() != thread::current().id() {
            // a writer that panicked leaves its changes in the log
            let _ = thread.join();
        }
        sqlite_file::end_instance(self.readers.path());
    }
}

/// Opens the connection of the writer.
fn open_writer(path: &Path, may_be_empty: bool) -> Result<Connection, DatabaseError> {
    let writer = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check_format(&writer, path)?;
    check_tables(&writer, path, may_be_empty)?;
    // A cache of 16 MB holds the pages that a large unit of work changes until it commits. The journal of its savepoint
    // is kept in memory too (temp_store) instead of in a file. The log is moved into the file when it has 16 MB: a page
    // that many commits change is written once for all of them. The first read creates FILE-shm.
    writer.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 4000; \
         SELECT 1 FROM sqlite_schema",
    )?;
    Ok(writer)
}

/// Fails if the file has tables of another program, or none although it must be that of a store. Nothing was written to
/// it yet.
fn check_tables(connection: &Connection, path: &Path, may_be_empty: bool) -> Result<(), DatabaseError> {
    let is_true = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, bool>(0));
    if is_true(dialect::any_table_exists(Engine::Sqlite))? {
        let is_store = is_true(dialect::history_exists(Engine::Sqlite))?;
        return if is_store { Ok(()) } else { Err(DatabaseError::foreign()) };
    }
    if may_be_empty {
        return Ok(());
    }
    let path = path.display();
    Err(DatabaseError::Schema(format!("{path} is empty: `serve` or `import` sets up a new store")))
}

/// The queue of the writer, which refuses units when the writer stops, also if it panics.
struct Stop(Arc<WriterQueue<Box<dyn Unit>>>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.close();
        self.0.clear();
    }
}

/// Runs units and commits them in groups until the database is dropped.
fn write_loop(mut connection: SqliteConnection, file: &OpenFile, Stop(units): &Stop) {
    while let Some(first) = units.wait() {
        // if no processor is free, others send units first: a larger group costs less for each
        thread::yield_now();
        let (mut group, waiting) = (Vec::new(), units.len());
        let committed = match file.check().and_then(|()| connection.script("BEGIN IMMEDIATE")) {
            Ok(()) => {
                let ran;
                (connection, ran) = run_group(connection, first, units, &mut group);
                units.end_group();
                ran.and_then(|()| connection.script("COMMIT").map_err(DatabaseError::of_commit))
            }
            Err(error) => {
                // another process may hold the lock for long: what waited with the first unit fails with it
                let others = (0..waiting).map_while(|_| units.next());
                group.extend(iter::once(first).chain(others));
                Err(error)
            }
        };
        if committed.is_err() && !connection.get().is_autocommit() {
            // the group has failed either way; closing the connection rolls back too
            let _ = connection.script("ROLLBACK");
        }
        for unit in group {
            unit.finish(committed.clone());
        }
    }
    // connections of other processes, or a read that is not complete, may leave the log in place
    let _ = connection.script("PRAGMA wal_checkpoint(TRUNCATE)");
}

/// The statements that begin a unit of a group, keep its changes and roll them back.
struct Savepoint {
    begin: &'static str,
    release: &'static str,
    rollback: &'static str,
}

/// The first unit is rolled back with the transaction, which has no other changes yet: a savepoint would record
/// every page that a large unit changes.
const WHOLE_TRANSACTION: Savepoint =
    Savepoint { begin: "", release: "", rollback: "ROLLBACK; BEGIN IMMEDIATE" };
const SAVEPOINT: Savepoint = Savepoint {
    begin: "SAVEPOINT unit",
    release: "RELEASE unit",
    rollback: "ROLLBACK TO unit; RELEASE unit",
};

/// Runs the first unit and those that are waiting after it. Adds them to `group`.
fn run_group(
    mut connection: SqliteConnection,
    first: Box<dyn Unit>,
    units: &WriterQueue<Box<dyn Unit>>,
    group: &mut Vec<Box<dyn Unit>>,
) -> (SqliteConnection, Result<(), DatabaseError>) {
    let mut next = Some(first);
    let mut ran = Ok(());
    while let Some(mut unit) = next.take() {
        let savepoint = if group.is_empty() { WHOLE_TRANSACTION } else { SAVEPOINT };
        ran = connection.script(savepoint.begin);
        if ran.is_ok() {
            let succeeded;
            (connection, succeeded) = unit.run(connection);
            // SQLite rolls back the whole transaction if the disk is full: then every unit of the group fails
            ran = if connection.get().is_autocommit() {
                Err(DatabaseError::Full("the transaction was rolled back".into()))
            } else {
                connection.script(if succeeded { savepoint.release } else { savepoint.rollback })
            };
        }
        group.push(unit);
        if ran.is_ok() && group.len() < GROUP {
            next = units.next();
        }
    }
    (connection, ran)
}

/// A connection to SQLite: one of the readers, or that of the writer.
pub(crate) struct SqliteConnection {
    connection: Option<Connection>,
    /// The pool to which the connection returns; `None` for that of the writer.
    home: Option<(Arc<Readers>, OwnedSemaphorePermit)>,
    /// It is dropped after the connection.
    _header: Option<Arc<CommitHeader>>,
}

impl SqliteConnection {
    fn get(&self) -> &Connection {
        #[expect(clippy::expect_used, reason = "the connection is there until it is dropped")]
        self.connection.as_ref().expect("a connection in use")
    }

    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        mut read: impl FnMut(&mut Row<'_>) -> Result<T, DatabaseError>,
    ) -> Result<Vec<T>, DatabaseError> {
        let mut statement = self.get().prepare_cached(sql)?;
        bind(&mut statement, params)?;
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(&mut Row::sqlite(row))?);
        }
        Ok(found)
    }

    pub(crate) fn first<T>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        read: impl FnOnce(&mut Row<'_>) -> Result<T, DatabaseError>,
    ) -> Result<Option<T>, DatabaseError> {
        let mut statement = self.get().prepare_cached(sql)?;
        bind(&mut statement, params)?;
        let mut rows = statement.raw_query();
        let found = rows.next()?.map(|row| read(&mut Row::sqlite(row))).transpose()?;
        // an INSERT or UPDATE with RETURNING is complete only after its last row was read
        while rows.next()?.is_some() {}
        Ok(found)
    }

    pub(crate) fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, DatabaseError> {
        let mut statement = self.get().prepare_cached(sql)?;
        bind(&mut statement, params)?;
        Ok(statement.raw_execute()? as u64)
    }

    pub(crate) fn script(&self, sql: &str) -> Result<(), DatabaseError> {
        Ok(self.get().execute_batch(sql)?)
    }
}

impl Drop for SqliteConnection {
    fn drop(&mut self) {
        if let (Some(connection), Some((readers, _permit))) = (self.connection.take(), &self.home)
            && (connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok())
        {
            readers.put_back(connection);
        }
    }
}

/// Binds each parameter by the number in its name: SQLite numbers `$1`, `$2` … by their first appearance.
fn bind(statement: &mut rusqlite::CachedStatement<'_>, params: &[Param<'_>]) -> Result<(), DatabaseError> {
    for index in 1..=statement.parameter_count() {
        let number = statement.parameter_name(index).and_then(|name| name[1..].parse::<usize>().ok());
        let param = number
            .and_then(|number| params.get(number.wrapping_sub(1)))
            .ok_or_else(|| DatabaseError::Internal("a parameter has no value".into()))?;
        statement.raw_bind_parameter(index, param)?;
    }
    Ok(())
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, message) = &error else {
            return Self::Internal(error.to_string());
        };
        let message = message.clone().unwrap_or_else(|| error.to_string());
        let named = |prefix: &str| message.strip_prefix(prefix).unwrap_or(&message).to_owned();
        match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => {
                Self::Taken { constraint: unique_constraint(&named("UNIQUE constraint failed: ")) }
            }
            ffi::SQLITE_CONSTRAINT_CHECK | ffi::SQLITE_CONSTRAINT_TRIGGER => {
                Self::of_check(named("CHECK constraint failed: "))
            }
            ffi::SQLITE_CONSTRAINT_NOTNULL => {
                Self::CheckFailed { constraint: named("NOT NULL constraint failed: ") }
            }
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Self::ForeignKey(message),
            _ => match failure.code {
                ffi::ErrorCode::DatabaseBusy
                | ffi::ErrorCode::DatabaseLocked
                | ffi::ErrorCode::CannotOpen
                | ffi::ErrorCode::SystemIoFailure => Self::Unavailable(message),
                ffi::ErrorCode::DiskFull => Self::Full(message),
                ffi::ErrorCode::ReadOnly => Self::ReadOnly(message),
                ffi::ErrorCode::NotADatabase => Self::of_other_file(&"the file"),
                _ => Self::Internal(message),
            },
        }
    }
}
