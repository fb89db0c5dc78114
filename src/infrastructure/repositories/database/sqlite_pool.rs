//! The connections to a SQLite file: how they are opened, and how many read at the same time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::DatabaseError;
use super::queue_wait::{QueueWait, QueueWaits};
use super::sqlite_commits::CommitHeader;
use super::sqlite_file;

/// The most read-only connections.
const READERS: usize = 8;
/// The longest wait for the lock of another process.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// The wait between two attempts to get the lock.
const SHORT_WAIT: Duration = Duration::from_millis(1);
/// The most prepared statements of a connection.
const STATEMENTS: usize = 256;

/// The connections that only read.
pub(super) struct Readers {
    path: PathBuf,
    access: ReadAccess,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    waits: QueueWait,
    /// It is dropped after the connections.
    _header: Option<Arc<CommitHeader>>,
}

impl Readers {
    pub(super) fn new(
        path: &Path,
        access: ReadAccess,
        idle: Vec<Connection>,
        header: Option<Arc<CommitHeader>>,
    ) -> Self {
        let (permits, waits) = (Arc::new(Semaphore::new(READERS)), QueueWait::new());
        Self { path: path.to_owned(), access, idle: Mutex::new(idle), permits, waits, _header: header }
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until a connection may be used, for this long at most.
    pub(super) async fn permit(&self, longest: Duration) -> Result<OwnedSemaphorePermit, DatabaseError> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            self.waits.none();
            return Ok(permit);
        }
        let began = Instant::now();
        let waited = timeout(longest, Arc::clone(&self.permits).acquire_owned()).await;
        self.waits.end(began);
        let waited = waited.map_err(|_| unavailable("all connections that read are in use"))?;
        waited.map_err(|_| unavailable("the database is closed"))
    }

    /// Returns a connection, for which the caller has a permit.
    pub(super) fn take(&self) -> Result<Connection, DatabaseError> {
        let idle = self.idle().pop();
        idle.map_or_else(|| open_reader(&self.path, self.access), Ok)
    }

    /// Takes a connection back.
    pub(super) fn put_back(&self, connection: Connection) {
        self.idle().push(connection);
    }

    /// Returns the number of connections in use, and of those that are not.
    pub(super) fn count(&self) -> (usize, usize) {
        (READERS.saturating_sub(self.permits.available_permits()), self.idle().len())
    }

    /// Returns the waits for a connection since the last call.
    pub(super) fn take_waits(&self) -> Option<QueueWaits> {
        self.waits.take()
    }

    /// Closes the connections that are not in use, and gives out no more.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the error of a database that is overloaded or closed.
pub(super) fn unavailable(reason: &str) -> DatabaseError {
    DatabaseError::Unavailable(reason.into())
}

/// Opens a connection.
pub(super) fn open(path: &Path, flags: OpenFlags) -> Result<Connection, DatabaseError> {
    let mut connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_handler(Some(wait_shortly))?;
    // otherwise a statement is prepared again each time a value is bound on which its plan may depend
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Fails if the file is not one of SQLite: a connection learns it by its first read.
pub(super) fn check_format(connection: &Connection, path: &Path) -> Result<(), DatabaseError> {
    match connection.query_row("PRAGMA schema_version", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(DatabaseError::of_other_file(&path.display()))
        }
        read => Ok(read?),
    }
}

/// Waits for a lock in short steps: a server under load holds it nearly all the time, and the steps of SQLite, up to
/// 100 ms, would miss each of the moments in which it is free.
fn wait_shortly(attempts: i32) -> bool {
    std::thread::sleep(SHORT_WAIT);
    SHORT_WAIT * attempts.unsigned_abs() < LOCK_WAIT
}

/// How connections that only read are opened.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReadAccess {
    /// Beside the writer, which is closed last, and then removes FILE-wal and FILE-shm.
    BesideWriter,
    /// Without a writer: the last one that is closed removes the files. It leaves FILE-wal and its changes if it has
    /// some.
    Alone { keep_log: bool },
}

impl ReadAccess {
    /// Returns the access to a file that this process does not write.
    pub(super) fn alone(path: &Path) -> Self {
        Self::Alone { keep_log: sqlite_file::has_changes(path) }
    }
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path, access: ReadAccess) -> Result<Connection, DatabaseError> {
    match access {
        ReadAccess::BesideWriter => open(path, OpenFlags::SQLITE_OPEN_READ_ONLY),
        ReadAccess::Alone { keep_log } => {
            // a connection that SQLite opened for reading could not remove FILE-wal
            let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            connection.execute_batch("PRAGMA query_only = ON")?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep_log)?;
            Ok(connection)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_waits_for_a_connection_and_not_for_ever() {
        let readers = Readers::new(Path::new("/nonexistent"), ReadAccess::BesideWriter, Vec::new(), None);
        let mut permits = Vec::new();
        for _ in 0..READERS {
            permits.push(readers.permit(Duration::ZERO).await.unwrap());
        }
        let refused = readers.permit(Duration::from_millis(10)).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::Unavailable(_)), "{refused}");
        let (waited, ()) =
            tokio::join!(readers.permit(Duration::from_mins(1)), async { drop(permits.pop()) });
        assert!(waited.is_ok());
    }
}
