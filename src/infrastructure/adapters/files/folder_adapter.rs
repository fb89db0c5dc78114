//! Files in a folder of this machine, or of a network file system that all servers mount.
//!
//! A content is written to a temporary file, flushed to the disk, and renamed to the id of its file, so that it is
//! there as a whole or not at all. The first five digits of an id change about every three days; they name a subfolder.
//! Only the user of the process can read the files.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use tokio::task::spawn_blocking;

use crate::domain::ids::FileId;
use crate::domain::ports::{FileContent, FileError, FileStorage, Interrupted, PortFuture};

/// The number of digits that name a subfolder.
const DIGITS: usize = 5;
/// The most bytes that are read together.
const PART: u64 = 64 << 10;

pub(super) struct FolderAdapter {
    folder: PathBuf,
}

impl FolderAdapter {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns the file of a content.
    fn path(&self, id: FileId) -> PathBuf {
        let name = id.to_string();
        self.folder.join(&name[..DIGITS]).join(name)
    }

    async fn write(&self, id: FileId, content: &mut dyn FileContent) -> Result<(), FileError> {
        let path = self.path(id);
        let part = self.blocking({
            let path = path.clone();
            move || create(&path)
        });
        // it is removed when it is dropped
        let part = part.await?;
        let file = part.as_file().try_clone().map_err(|error| self.unavailable(&error))?;
        let mut file = tokio::fs::File::from_std(file);
        while let Some(bytes) = content.next().await? {
            file.write_all(&bytes).await.map_err(|error| self.unavailable(&error))?;
        }
        file.flush().await.map_err(|error| self.unavailable(&error))?;
        file.sync_all().await.map_err(|error| self.unavailable(&error))?;
        self.blocking(move || complete(part, &path)).await
    }

    /// Runs a function that waits for the disk in a thread of its own.
    async fn blocking<T: Send + 'static>(
        &self,
        function: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, FileError> {
        match spawn_blocking(function).await {
            Ok(result) => result.map_err(|error| self.unavailable(&error)),
            Err(error) => Err(FileError::Unavailable(error.to_string())),
        }
    }

    /// Returns the error for operators, with the folder and the setting that has it.
    fn unavailable(&self, error: &io::Error) -> FileError {
        FileError::Unavailable(format!("the folder {} of `files.url`: {error}", self.folder.display()))
    }
}

impl FileStorage for FolderAdapter {
    fn put<'a>(&'a self, id: FileId, content: &'a mut dyn FileContent) -> PortFuture<'a, (), FileError> {
        Box::pin(self.write(id, content))
    }

    fn get(&self, id: FileId, bytes: Range<u64>) -> PortFuture<'_, Box<dyn FileContent>, FileError> {
        Box::pin(async move {
            let mut file =
                tokio::fs::File::open(self.path(id)).await.map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => FileError::Missing,
                    _ => self.unavailable(&error),
                })?;
            file.seek(SeekFrom::Start(bytes.start)).await.map_err(|error| self.unavailable(&error))?;
            let left = bytes.end.saturating_sub(bytes.start);
            Ok(Box::new(Reader { file, left }) as Box<dyn FileContent>)
        })
    }

    fn size(&self, id: FileId) -> PortFuture<'_, Option<u64>, FileError> {
        Box::pin(async move {
            match tokio::fs::metadata(self.path(id)).await {
                Ok(found) => Ok(Some(found.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(self.unavailable(&error)),
            }
        })
    }

    fn remove(&self, id: FileId) -> PortFuture<'_, (), FileError> {
        let path = self.path(id);
        Box::pin(self.blocking(move || {
            for path in [&part_of(&path), &path] {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            // after a loss of power the content would be there, and its record not
            match File::open(folder_of(&path)).and_then(|folder| folder.sync_all()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        }))
    }

    fn check(&self) -> PortFuture<'_, (), FileError> {
        let folder = self.folder.clone();
        Box::pin(self.blocking(move || check_writable(&folder)))
    }
}

/// Writes a file without a name in a folder or, if that does not exist, in the one above it in which it would be
/// created.
fn check_writable(folder: &Path) -> io::Result<()> {
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::tempfile_in(existing)?;
    file.write_all(b"a check")?;
    file.sync_all()
}

/// Creates the temporary file of a content, and the folders that are missing.
fn create(path: &Path) -> io::Result<NamedTempFile> {
    let folder = folder_of(path);
    create_folders(folder)?;
    let part = part_of(path);
    let name = part.file_name().unwrap_or_default();
    tempfile::Builder::new().prefix(name).rand_bytes(0).tempfile_in(folder)
}

/// Creates a folder and those above it that are missing, each durably.
fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    create_folders(above)?;

    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        // by another process
        Err(_) if folder.is_dir() => {}
        created => created?,
    }
    match File::open(above).and_then(|folder| folder.sync_all()) {
        // one that may not be read was there before
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Renames a temporary file to that of its content, durably.
fn complete(part: NamedTempFile, path: &Path) -> io::Result<()> {
    part.persist(path).map_err(|error| error.error)?;
    File::open(folder_of(path))?.sync_all()
}

fn part_of(path: &Path) -> PathBuf {
    path.with_extension("part")
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A part of a file.
struct Reader {
    file: tokio::fs::File,
    left: u64,
}

impl FileContent for Reader {
    fn next(&mut self) -> PortFuture<'_, Option<Bytes>, Interrupted> {
        Box::pin(async move {
            if self.left == 0 {
                return Ok(None);
            }
            let most = usize::try_from(self.left.min(PART)).map_err(|_| Interrupted)?;
            let mut bytes = BytesMut::with_capacity(most);
            (&mut self.file).take(self.left.min(PART)).read_buf(&mut bytes).await.map_err(|_| Interrupted)?;
            if bytes.is_empty() {
                return Err(Interrupted);
            }
            self.left = self.left.saturating_sub(bytes.len() as u64);
            Ok(Some(bytes.freeze()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_leaves_nothing_and_an_error_names_the_folder_and_the_setting() {
        let folder = tempfile::tempdir().unwrap();
        let files = FolderAdapter::new(folder.path().join("files"));
        assert_eq!(files.check().await, Ok(()));
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);

        fs::write(folder.path().join("files"), "no folder").unwrap();
        let Err(FileError::Unavailable(error)) = files.check().await else { panic!("it is no folder") };
        let named = format!("the folder {}/files of `files.url`: ", folder.path().display());
        assert!(error.starts_with(&named), "{error}");
        let removed = files.remove(FileId(uuid::Uuid::nil())).await;
        assert!(matches!(removed, Err(FileError::Unavailable(error)) if error.starts_with(&named)));
    }
}
