//! Writes the output of a command to a file that is complete, or does not exist.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::CliError;
use super::private_file::{
    Incomplete, InvalidOutput, check_output, create_new, part_of, rename_new, replace,
};
use crate::infrastructure::repositories::DatabaseUrl;

/// An output that fails when `stop` is cancelled.
pub(super) struct Stoppable<W> {
    pub(super) out: W,
    pub(super) stop: CancellationToken,
}

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() { Err(io::Error::other("a signal")) } else { self.out.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The file while it is written.
pub(super) type WholeFile = BufWriter<Stoppable<File>>;

/// Fails if a command must not write to `path` ([`check_output`]), or if it exists and is not replaced by `force`.
pub(super) fn check_whole(path: &Path, force: bool, database: &DatabaseUrl) -> Result<(), CliError> {
    check_output(path, database)?;
    if path.exists() && !force {
        return Err(InvalidOutput::Exists(path.to_owned()).into());
    }
    Ok(())
}

/// Writes a file by `write`, and gives it its name when it is complete; with `force` it replaces one that exists.
pub(super) async fn write_whole<T>(
    path: &Path,
    force: bool,
    stop: CancellationToken,
    write: impl AsyncFnOnce(WholeFile) -> Result<(T, WholeFile), CliError>,
) -> Result<T, CliError> {
    let failed = |source| CliError::File { file: path.to_owned(), source };
    let part = Incomplete::at(part_of(path));
    let file = create_new(part.path()).map_err(failed)?;
    let (written, out) = write(BufWriter::new(Stoppable { out: file, stop })).await?;
    let Stoppable { out: file, .. } = out.into_inner().map_err(|error| failed(error.into_error()))?;
    let rename = if force { replace } else { rename_new };
    file.sync_all().and_then(|()| rename(part.path(), path)).map_err(failed)?;
    part.keep();
    Ok(written)
}

/// Returns the error of a command that a signal ended before it had written to a file, or to standard output.
pub(super) fn interrupted(output: Option<&Path>) -> CliError {
    let written = output.map_or_else(
        || "before the end of the output".to_owned(),
        |file| format!("before {} was written", file.display()),
    );
    CliError::Interrupted(format!("{written}; the same command begins again"))
}
