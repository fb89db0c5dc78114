//! The file of an import, which is read more than once: a regular file, or standard input, which is stored first.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Seek, stdin};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::super::CliError;
use crate::{application::import::run::ImportError, domain::context::Context};

/// The size of the buffer that the file is read into, in bytes.
const READ_BUFFER_BYTES: usize = 1 << 18;

/// The file of an import.
pub(super) enum Source {
    /// A file at a path.
    File(PathBuf),
    /// A temporary file without a name, with the content of standard input.
    Input(File),
}

impl Source {
    /// Returns the file at a path, or, for `-`, standard input, which is read to its end.
    pub(super) fn at(path: &Path) -> Result<Self, CliError> {
        if path != Path::new("-") {
            return Ok(Self::File(path.to_owned()));
        }
        let store = || {
            let mut file = tempfile::tempfile()?;
            io::copy(&mut stdin().lock(), &mut file)?;
            Ok(file)
        };
        store().map(Self::Input).map_err(CliError::Input)
    }

    /// Returns the name for messages.
    pub(super) fn name(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Input(_) => Path::new("standard input"),
        }
    }

    /// Returns the error of an import of the file.
    pub(super) fn failed(&self, source: ImportError) -> CliError {
        CliError::Import { file: self.name().to_owned(), source }
    }

    /// Opens the file at its beginning. The reader of an earlier call must not be used any more.
    pub(super) fn open(&self) -> io::Result<BufReader<File>> {
        let file = match self {
            Self::File(path) if !path.metadata()?.is_file() => {
                return Err(io::Error::new(
                    ErrorKind::InvalidInput,
                    "not a regular file, which is needed because it is read twice; `-` reads standard input",
                ));
            }
            Self::File(path) => File::open(path)?,
            Self::Input(file) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                file
            }
        };
        Ok(BufReader::with_capacity(READ_BUFFER_BYTES, file))
    }

    /// Returns when the file was modified: the creation date of records without one, so that a repeated import writes
    /// the same. For standard input it is the time of the import.
    pub(super) fn modified_at(&self) -> Timestamp {
        let metadata = match self {
            Self::File(path) => path.metadata(),
            Self::Input(file) => file.metadata(),
        };
        let modified = metadata.and_then(|metadata| metadata.modified()).ok();
        let modified = modified.and_then(|time| Timestamp::try_from(time).ok());
        let whole = modified.and_then(|time| Timestamp::from_microsecond(time.as_microsecond()).ok());
        whole.unwrap_or_else(|| Context::system().clock.now())
    }

    /// Returns the default file of rejected lines: the first of NAME.rejected.csv, NAME.rejected-2.csv, … that does not
    /// exist; NAME is `stdin` for standard input. It is in the current folder, because that of the file may be
    /// read-only.
    pub(super) fn default_rejects(&self) -> PathBuf {
        let stem = match self {
            Self::File(path) => path.file_stem().unwrap_or_default(),
            Self::Input(_) => "stdin".as_ref(),
        };
        let numbered = |number: u32| {
            let mut name = stem.to_owned();
            name.push(if number == 1 {
                ".rejected.csv".to_owned()
            } else {
                format!(".rejected-{number}.csv")
            });
            PathBuf::from(name)
        };
        let free = (1..=u32::MAX).map(numbered).find(|path| !path.exists());
        free.unwrap_or_else(|| numbered(1))
    }
}
