//! The files beside the file of a SQLite database: those of SQLite, which exist while the database is open or after a
//! crash, and FILE-instance, see `sqlite_file`.
//!
//! Source: <https://www.sqlite.org/tempfiles.html>.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
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

/// Returns the file of a database and all files beside it. Each of them may not exist.
pub fn all(file: &Path) -> [PathBuf; 5] {
    ["", LOG, SHARED_MEMORY, JOURNAL, INSTANCE].map(|ending| beside(file, ending))
}

/// Removes a database: its file and all files beside it, as far as they exist. No process may have opened it.
pub fn remove(file: &Path) -> io::Result<()> {
    for file in all(file) {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns whether a path leads to the file of a database or to a file beside it, also to one that does not exist yet.
pub fn include(file: &Path, path: &Path) -> bool {
    // SQLite keeps its files beside the file to which a symbolic link leads
    let linked = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    [all(file), all(&linked)].iter().flatten().any(|file| is_same(file, path))
}

/// Returns whether two paths lead to the same file.
fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (Err(_), Err(_)) => missing(one).is_some_and(|one| missing(other) == Some(one)),
        _ => false,
    }
}

/// Returns the path of a file that does not exist without links and `..`; `None` if its folder does not exist either.
fn missing(path: &Path) -> Option<PathBuf> {
    Some(fs::canonicalize(folder(path)).ok()?.join(path.file_name()?))
}

/// Returns the folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
