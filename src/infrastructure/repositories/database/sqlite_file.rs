//! The files of a SQLite database: who may read them, whether they can be written, and whether they belong together.
//!
//! After a crash the last changes are in FILE-wal, which SQLite applies to FILE when it is opened again. If FILE was
//! replaced in between, for instance by a backup, the changes of another database would be applied to it. Therefore an
//! opening that finds no changes in FILE-wal writes a new random number to FILE (`user_version`, a field of its header)
//! and to FILE-instance, and one that finds changes compares both numbers.
//!
//! Source: <https://www.sqlite.org/fileformat2.html>, sections 1.3 and 4.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::fs::{Access, access};

use super::error::DatabaseError;
use super::sqlite_side_files;

/// The offset of `user_version` in the header of a database file.
const NUMBER_AT: u64 = 60;

/// Creates the file if it is missing. Only the user of this process may read it and the files beside it.
pub(super) fn create(path: &Path) -> Result<(), DatabaseError> {
    match private().create_new(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let folder = sqlite_side_files::folder(path);
            let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
            let (path, folder) = (path.display(), folder.display());
            Err(DatabaseError::Unavailable(format!("{path} cannot be created in {folder}: {error}")))
        }
    }
}

/// Returns options to write a file that, if it is created, only the user of this process may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Fails if the file cannot be used: if it is a folder, cannot be written, has a second name, or was replaced after a
/// crash.
pub(super) fn check(path: &Path) -> Result<(), DatabaseError> {
    if path.is_dir() {
        let path = path.display();
        return Err(DatabaseError::Schema(format!("{path} is a folder, not the file of a database")));
    }
    check_writable(path)?;
    check_one_name(path)?;
    check_instance(path)
}

/// Fails if the file or its folder cannot be written.
pub(super) fn check_writable(path: &Path) -> Result<(), DatabaseError> {
    let folder = sqlite_side_files::folder(path);
    for (path, mode) in [(path, Access::READ_OK | Access::WRITE_OK), (folder, Access::WRITE_OK)] {
        access(path, mode).map_err(|error| unusable(path, &error.into()))?;
    }
    Ok(())
}

/// Returns the error of a file that cannot be used.
pub(super) fn unusable(path: &Path, error: &io::Error) -> DatabaseError {
    let text = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => DatabaseError::ReadOnly(text),
        _ => DatabaseError::Unavailable(text),
    }
}

/// Fails if the file has a second name: SQLite would keep another FILE-wal beside each name, and lose the changes of
/// one (<https://www.sqlite.org/howtocorrupt.html>, section 2.5).
fn check_one_name(path: &Path) -> Result<(), DatabaseError> {
    let file = fs::metadata(path).map_err(|error| unusable(path, &error))?;
    if file.nlink() == 1 {
        return Ok(());
    }
    Err(DatabaseError::Schema(format!(
        "{} has a second name (a hard link), under which another process could write to it unseen: remove one of them",
        path.display()
    )))
}

/// Which file a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId {
    device: u64,
    number: u64,
}

impl FileId {
    /// Returns the file to which a path leads.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self { device: file.dev(), number: file.ino() })
    }
}

/// Returns whether both paths lead to the same file.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    FileId::of(one).is_ok_and(|one| FileId::of(other).is_ok_and(|other| one == other))
}

/// The file that was opened at a path.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    id: FileId,
}

impl OpenFile {
    /// Returns the file at a path, which was opened.
    pub(super) fn at(path: &Path) -> Result<Self, DatabaseError> {
        let id = FileId::of(path).map_err(|error| unusable(path, &error))?;
        Ok(Self { path: path.to_owned(), id })
    }

    /// Fails if the path does not lead to the file any more: what is written to it would be lost at the next start.
    pub(super) fn check(&self) -> Result<(), DatabaseError> {
        if FileId::of(&self.path).is_ok_and(|id| id == self.id) {
            return Ok(());
        }
        let path = self.path.display();
        Err(DatabaseError::Unavailable(format!(
            "{path} was deleted, renamed or replaced: put it back, or restart"
        )))
    }
}

/// Fails if the file was replaced since the changes in FILE-wal were written.
pub(super) fn check_instance(path: &Path) -> Result<(), DatabaseError> {
    if !has_changes(path) {
        return Ok(());
    }
    let Ok(record) = File::open(sqlite_side_files::instance(path)) else { return Ok(()) };
    // a process that opens the file writes the number to both: in between they differ
    record.lock_shared().map_err(|error| unusable(path, &error))?;
    let recorded = io::read_to_string(&record).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let Some(recorded) = recorded else { return Ok(()) };
    if number(path).is_ok_and(|number| number == recorded) {
        return Ok(());
    }
    let (file, log, memory) =
        (path.display(), sqlite_side_files::log(path), sqlite_side_files::shared_memory(path));
    let (log, memory) = (log.display(), memory.display());
    Err(DatabaseError::Schema(format!(
        "{file} was replaced after a crash, and {log} has changes of the file that was there before. To use {file} as \
         it is, delete {log} and {memory}; to use the changes, put the former file back"
    )))
}

/// Writes a new number to the file and to FILE-instance, unless FILE-wal has changes: then both numbers are those of
/// the process that wrote them.
///
/// The file is not opened here: closing it would end the locks of SQLite in this process, and another process would
/// then remove FILE-wal (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
pub(super) fn begin_instance(connection: &Connection, path: &Path, number: u32) -> Result<(), DatabaseError> {
    let record = sqlite_side_files::instance(path);
    let failed = |error: &io::Error| unusable(&record, error);
    let opened = private().create(true).truncate(false).open(&record);
    let mut file = opened.map_err(|error| failed(&error))?;
    // the lock ends when the file is closed
    file.lock().map_err(|error| failed(&error))?;
    if has_changes(path) {
        return Ok(());
    }

    // a process that ends before both numbers are written leaves none to compare
    write_record(&mut file, "").map_err(|error| failed(&error))?;
    // the pragma takes a signed number
    connection.pragma_update(None, "user_version", number.cast_signed())?;
    let is_in_file = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        let busy: bool = row.get(0)?;
        Ok(!busy)
    })?;
    // while another process uses the database, the number may stay in FILE-wal: nothing is compared then
    let record = if is_in_file { format!("{number}\n") } else { String::new() };
    write_record(&mut file, &record).map_err(|error| failed(&error))
}

fn write_record(file: &mut File, record: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(record.as_bytes())?;
    file.sync_all()
}

/// Removes FILE-instance if the last connection was closed, which leaves no FILE-wal.
pub(super) fn end_instance(path: &Path) {
    if !sqlite_side_files::log(path).exists() {
        // the next opening writes it anew
        let _ = fs::remove_file(sqlite_side_files::instance(path));
    }
}

/// Removes FILE-instance, durably: no opening compares the numbers from then on. It is for a process that replaces the
/// whole content, and with it the number: if it is killed, the numbers differ although FILE-wal belongs to the file.
pub(super) fn forget_instance(path: &Path) -> Result<(), DatabaseError> {
    let (record, folder) = (sqlite_side_files::instance(path), sqlite_side_files::folder(path));
    match fs::remove_file(&record) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(&record, &error)),
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // some file systems sync no folders
        Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Err(unusable(folder, &error))
        }
        _ => Ok(()),
    }
}

/// Returns whether FILE-wal has changes that may not be in the file.
pub(super) fn has_changes(path: &Path) -> bool {
    fs::metadata(sqlite_side_files::log(path)).is_ok_and(|log| log.len() > 0)
}

/// Returns the number in the header of the file itself, without the changes in FILE-wal. Only for use before this
/// process opens the database, see [`begin_instance`].
fn number(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(NUMBER_AT))?;
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}
