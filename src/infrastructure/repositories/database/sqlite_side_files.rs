//! The files beside the file of a SQLite database: those of SQLite, which exist while the database is open or after a
//! crash, and FILE-instance, see `sqlite_file`.
//!
//! Source: <https://www.sqlite.org/tempfiles.html>.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const LOG: &str = "-wal";
const SHARED_MEMORY: &str = "-shm";
const JOURNAL: &str = "-journal";
const INSTANCE: &str = "-instance";

/// Returns the write-ahead log: the changes that are not in the file yet.
pub(super) fn log(file: &Path) -> PathBuf {
    beside(file, LOG)
}

/// Returns the index of the write-ahead log.
pub(super) fn shared_memory(file: &Path) -> PathBuf {
    beside(file, SHARED_MEMORY)
}

/// Returns the file with the number of the process that wrote the log.
pub(super) fn instance(file: &Path) -> PathBuf {
    beside(file, INSTANCE)
}

/// Removes a database: its file and all files beside it, as far as they exist. No process may have opened it.
pub fn remove(file: &Path) -> io::Result<()> {
    for ending in ["", LOG, SHARED_MEMORY, JOURNAL, INSTANCE] {
        match fs::remove_file(beside(file, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
