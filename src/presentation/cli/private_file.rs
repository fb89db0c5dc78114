//! The files that commands write. They have data of customers: on Unix, only the user of this process may read them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::context::Context;
use crate::infrastructure::repositories::{DatabaseUrl, sqlite_side_files};

/// Why a command does not write to a file.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOutput {
    /// The file belongs to the database.
    #[error("{} is the database of the store, or a file beside it: name another file", .0.display())]
    Database(PathBuf),
    /// The file exists, and is only replaced on request.
    #[error("{} exists; `--force` replaces it", .0.display())]
    Exists(PathBuf),
    /// The file exists, and cannot be replaced without harm.
    #[error("{} exists and is no regular file, but a link, folder, pipe or device: name another file", .0.display())]
    NotRegular(PathBuf),
}

/// A file that is removed when this is dropped, unless it is kept: also if a second signal ends the command.
#[derive(Debug)]
pub(super) struct Incomplete {
    path: PathBuf,
    is_kept: bool,
}

impl Incomplete {
    /// Returns the file at a path, which need not exist yet.
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, is_kept: false }
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the file.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Incomplete {
    fn drop(&mut self) {
        if !self.is_kept {
            // it may not exist, or have been renamed
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Fails if a command must not write to `path`: to the database, to a file beside it, or to anything that exists and is
/// no regular file.
pub(super) fn check_output(path: &Path, database: &DatabaseUrl) -> Result<(), InvalidOutput> {
    if database.file().is_some_and(|file| sqlite_side_files::include(file, path)) {
        return Err(InvalidOutput::Database(path.to_owned()));
    }
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(InvalidOutput::NotRegular(path.to_owned()));
    }
    Ok(())
}

/// Creates a file for writing; fails with [`io::ErrorKind::AlreadyExists`] if there is one.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Returns an unused name beside `path`, for a file that is renamed to `path` when it is complete.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut number = [0; 4];
    Context::system().ids.secret(&mut number);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:08x}.part", u32::from_ne_bytes(number)));
    name.into()
}

/// Renames a complete file to `path`, durably, and replaces the file that is there.
pub(super) fn replace(part: &Path, path: &Path) -> io::Result<()> {
    fs::rename(part, path)?;
    sync_folder_of(path)
}

/// Renames a complete file to `path`, durably; fails with [`io::ErrorKind::AlreadyExists`] if there is a file.
pub(super) fn rename_new(part: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(part, path) {
        Ok(()) => fs::remove_file(part),
        // some file systems have no hard links
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => {
            fs::rename(part, path)
        }
        Err(error) => Err(error),
    }?;
    sync_folder_of(path)
}

/// Makes the name of a file durable, where the system can do so.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
    // some file systems sync no folders, and one to which files are written need not be readable
    let possible = [io::ErrorKind::InvalidInput, io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied];
    match synced {
        Err(error) if !possible.contains(&error.kind()) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_file_gets_its_name_once_and_is_replaced_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("export.jsonl");
        let part = |content: &str| {
            let part = part_of(&path);
            fs::write(&part, content).unwrap();
            part
        };
        rename_new(&part("first"), &path).unwrap();
        let refused = rename_new(&part("second"), &path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        replace(&part("third"), &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");
    }
}
