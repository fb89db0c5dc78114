//! Whether anything was committed to a SQLite file since an earlier look, without a read transaction.
//!
//! Each commit, of any process, writes the header of the index of the write-ahead log: with a counter, the number of
//! frames and their checksum, and the salts of the log. It is at the beginning of FILE-shm, twice, the second copy
//! written before the first. A commit is complete when both are written: as long as both are what they were, there is
//! no other.
//!
//! To close FILE-shm would end the locks of all connections of this process to the database
//! (<https://www.sqlite.org/howtocorrupt.html>, section 2.2). So all [`CommitHeader`]s of a file share one descriptor,
//! which is closed with the last of them, and connections that write are opened together with one. Connections of a
//! database that was opened for reading have none: a process does not open the same file for writing beside them.
//!
//! docs/decisions/0033-commits-are-seen-in-the-index-of-the-log.md has the reasons.
//!
//! Source: <https://www.sqlite.org/walformat.html>, section 2.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusqlite::Connection;

use super::error::DatabaseError;
use super::sqlite_file::{FileId, unusable};
use super::sqlite_side_files;

/// The length of both copies of the header.
const LENGTH: usize = 96;

/// The open files.
static OPEN: Mutex<BTreeMap<FileId, Weak<File>>> = Mutex::new(BTreeMap::new());

/// What both copies of the header were at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitMark([u8; LENGTH]);

/// The header of a database that is open for writing.
pub(super) struct CommitHeader {
    /// `None` while it is dropped.
    file: Option<Arc<File>>,
}

impl CommitHeader {
    /// Opens a connection that writes, by `open`, and the header of its database.
    pub(super) fn open_with(
        path: &Path,
        open: impl FnOnce() -> Result<Connection, DatabaseError>,
    ) -> Result<(Arc<Self>, Connection), DatabaseError> {
        // the last header of the same file must not be closed between the two
        let mut files = files();
        let connection = open()?;
        // SQLite keeps its files beside the file to which a symbolic link leads
        let path = fs::canonicalize(path).map_err(|error| unusable(path, &error))?;
        let index = sqlite_side_files::shared_memory(&path);
        let failed = |error| unusable(&index, &error);
        let id = FileId::of(&index).map_err(failed)?;
        let file = match files.get(&id).and_then(Weak::upgrade) {
            Some(file) => file,
            None => Arc::new(File::open(&index).map_err(failed)?),
        };
        files.insert(id, Arc::downgrade(&file));
        Ok((Arc::new(Self { file: Some(file) }), connection))
    }

    /// Returns the present mark; `None` if it cannot be read.
    pub(super) fn mark(&self) -> Option<CommitMark> {
        let mut bytes = [0; LENGTH];
        self.file.as_ref()?.read_exact_at(&mut bytes, 0).ok()?;
        Some(CommitMark(bytes))
    }
}

impl Drop for CommitHeader {
    fn drop(&mut self) {
        let mut files = files();
        drop(self.file.take());
        files.retain(|_, file| file.strong_count() > 0);
    }
}

fn files() -> MutexGuard<'static, BTreeMap<FileId, Weak<File>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<Connection, DatabaseError> {
        let connection = Connection::open(path)?;
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t (n)")?;
        Ok(connection)
    }

    #[test]
    fn a_commit_of_any_connection_changes_the_mark_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let (header, writer) = CommitHeader::open_with(&path, || open(&path)).unwrap();
        let other = open(&path).unwrap();
        let before = header.mark().unwrap();
        other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1); ROLLBACK; SELECT * FROM t").unwrap();
        assert_eq!(header.mark(), Some(before));

        let mut marks = vec![before];
        for round in 0..50 {
            let connection = if round % 2 == 0 { &writer } else { &other };
            connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
            marks.push(header.mark().unwrap());
            if round % 10 == 9 {
                // the log begins again
                writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            }
        }
        for (index, mark) in marks.iter().enumerate() {
            assert!(!marks[..index].contains(mark), "{index}");
        }
    }

    #[test]
    fn a_database_behind_a_symbolic_link_has_the_header_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let [path, link] = ["store.db", "link.db"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        std::fs::write(index(&link), [0; 4096]).unwrap();
        let (header, _writer) = CommitHeader::open_with(&link, || open(&link)).unwrap();
        let before = header.mark();
        open(&path).unwrap().execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert_ne!(header.mark(), before);
    }

    #[test]
    fn the_locks_of_a_database_outlast_another_one_of_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let locks = || {
            let text = std::fs::read_to_string("/proc/locks").unwrap_or_default();
            let id = format!(":{} ", std::os::unix::fs::MetadataExt::ino(&index(&path).metadata().unwrap()));
            text.lines().filter(|line| line.contains(&id)).count()
        };
        let (header, first) = CommitHeader::open_with(&path, || open(&path)).unwrap();
        let (other, second) = CommitHeader::open_with(&path, || open(&path)).unwrap();
        assert!(Arc::ptr_eq(header.file.as_ref().unwrap(), other.file.as_ref().unwrap()));
        let held = locks();
        assert!(held > 0 || !cfg!(target_os = "linux"));
        drop((second, other));
        assert_eq!(locks(), held);
        first.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(header.mark().is_some());
    }

    fn index(path: &Path) -> std::path::PathBuf {
        sqlite_side_files::shared_memory(path)
    }
}
