//! The output of an export: a file that is complete or does not exist, or standard output.

use std::io::{self, BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::CliError;
use super::open_store::open_store;
use super::private_file::{
    Incomplete, InvalidOutput, check_output, create_new, part_of, rename_new, replace,
};
use super::signals::interruptible;
use crate::application::Store;
use crate::application::export::ExportError;
use crate::infrastructure::repositories::{DatabaseUrl, Setup};
use crate::settings::Settings;

/// The arguments of a command that exports something of the store.
#[derive(Args, Debug)]
pub(super) struct Output {
    /// The file to write, which is complete or does not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
}

/// The output while it is written.
pub(super) type Out = BufWriter<Stoppable>;

/// An output that fails when `stop` is cancelled.
pub(super) struct Stoppable {
    out: Box<dyn Write + Send>,
    stop: CancellationToken,
}

impl Write for Stoppable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() { Err(io::Error::other("a signal")) } else { self.out.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Output {
    /// Returns the file; `None` for standard output.
    pub(super) fn file(&self) -> Option<&Path> {
        self.output.as_deref()
    }

    /// Opens the store that the settings describe, to read it, and writes by `write`, which flushes what it returns. A
    /// signal ends it, and a file is then not there.
    pub(super) async fn write<T>(
        &self,
        settings: &Settings,
        write: impl AsyncFnOnce(Store, Out) -> Result<(T, Out), ExportError>,
    ) -> Result<T, CliError> {
        interruptible(async |stop| match self.write_until(stop.clone(), settings, write).await {
            Err(CliError::Output(_) | CliError::File { .. }) if stop.is_cancelled() => {
                Err(self.interrupted())
            }
            written => written,
        })
        .await
    }

    /// Writes until `stop` is cancelled. A file has its name when it is complete.
    async fn write_until<T>(
        &self,
        stop: CancellationToken,
        settings: &Settings,
        write: impl AsyncFnOnce(Store, Out) -> Result<(T, Out), ExportError>,
    ) -> Result<T, CliError> {
        let buffered = |out: Box<dyn Write + Send>| BufWriter::new(Stoppable { out, stop });
        let Some(path) = &self.output else {
            let store = open_store(settings, Setup::ReadOnly).await?;
            let written = write(store, buffered(Box::new(stdout()))).await;
            return written.map(|(written, _)| written).map_err(|error| self.error(error));
        };
        self.check(path, &settings.database)?;
        let store = open_store(settings, Setup::ReadOnly).await?;
        let failed = |source| CliError::File { file: path.clone(), source };
        let part = Incomplete::at(part_of(path));
        let file = create_new(part.path()).map_err(failed)?;
        let out = buffered(Box::new(file.try_clone().map_err(failed)?));
        let (written, _) = write(store, out).await.map_err(|error| self.error(error))?;
        let rename = if self.force { replace } else { rename_new };
        file.sync_all().and_then(|()| rename(part.path(), path)).map_err(failed)?;
        part.keep();
        Ok(written)
    }

    /// Fails if the command must not write to a file ([`check_output`]), or if it exists and is not replaced.
    fn check(&self, path: &Path, database: &DatabaseUrl) -> Result<(), InvalidOutput> {
        check_output(path, database)?;
        if path.exists() && !self.force {
            return Err(InvalidOutput::Exists(path.to_owned()));
        }
        Ok(())
    }

    fn error(&self, error: ExportError) -> CliError {
        match (error, &self.output) {
            (ExportError::Database(error), _) => error.into(),
            (ExportError::Write(source), Some(file)) => CliError::File { file: file.clone(), source },
            (ExportError::Write(source), None) => CliError::Output(source),
        }
    }

    /// Returns the error of a command that a signal ended before it had written all.
    fn interrupted(&self) -> CliError {
        let written = self.output.as_ref().map_or_else(
            || "before the end of the output".to_owned(),
            |file| format!("before {} was written", file.display()),
        );
        CliError::Interrupted(format!("{written}; the same command begins again"))
    }
}
