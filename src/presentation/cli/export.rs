//! `undercroft export`: writes the data of the store as JSON Lines, without credentials and what the worker needs.

use std::io::{self, BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::{
    CliError, counted,
    open_store::open_store,
    private_file::{Incomplete, InvalidOutput, check_output, create_new, part_of, rename_new, replace},
    signals::interruptible,
    verbosity::Verbosity,
};
use crate::{
    application::{
        Store,
        export::{ExportError, export},
    },
    infrastructure::repositories::Setup,
    settings::Settings,
};

/// The note on standard error after an export.
const NOT_EXPORTED: &str = "not exported: passwords, sessions, payment method tokens, carts, notifications, files, \
                            idempotency keys, counters and events; this is no backup (`undercroft backup`, `pg_dump`), and \
                            `undercroft copy` moves a whole store";

/// The arguments of `export`.
#[derive(clap::Args, Debug)]
pub struct Export {
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Export {
    /// Exports one snapshot of the store. The output file is complete, or does not exist.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        interruptible(async |stop| {
            let exported = self.export(&settings, stop.clone()).await;
            match exported {
                Err(CliError::Export(ExportError::Write(_))) if stop.is_cancelled() => {
                    let written = self.output.as_ref().map_or_else(
                        || "before the end of the output".to_owned(),
                        |file| format!("before {} was written", file.display()),
                    );
                    Err(CliError::Interrupted(format!("{written}; the same command begins again")))
                }
                exported => exported,
            }
        })
        .await
    }

    async fn export(&self, settings: &Settings, stop: CancellationToken) -> Result<(), CliError> {
        if let Some(path) = &self.output {
            check_output(path, &settings.database)?;
            if path.exists() && !self.force {
                return Err(InvalidOutput::Exists(path.clone()).into());
            }
        }
        let store = open_store(settings, Setup::ReadOnly).await?;
        let Some(path) = &self.output else {
            export(&store, BufWriter::new(Stoppable { out: stdout(), stop }))
                .await
                .map_err(CliError::Export)?;
            return note(self.verbosity, NOT_EXPORTED);
        };

        let part = Incomplete::at(part_of(path));
        let rename = if self.force { replace } else { rename_new };
        let lines = write_file(&store, part.path(), path, rename, stop).await?;
        part.keep();
        let lines = counted(lines, "line", "lines");
        note(self.verbosity, &format!("{lines} in {}\n{NOT_EXPORTED}", path.display()))
    }
}

/// An output that fails when `stop` is cancelled.
struct Stoppable<W> {
    out: W,
    stop: CancellationToken,
}

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() { Err(io::Error::other("a signal")) } else { self.out.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes to standard error: standard output may be the export.
fn note(verbosity: Verbosity, text: &str) -> Result<(), CliError> {
    if verbosity.quiet {
        return Ok(());
    }
    writeln!(io::stderr(), "{text}").map_err(CliError::Output)
}

/// Exports to the file `part`, and renames it to `path` when it is complete.
async fn write_file(
    store: &Store,
    part: &Path,
    path: &Path,
    rename: impl Fn(&Path, &Path) -> io::Result<()>,
    stop: CancellationToken,
) -> Result<u64, CliError> {
    let failed = |source| CliError::File { file: path.to_owned(), source };
    let file = create_new(part).map_err(failed)?;
    let (lines, out) =
        export(store, BufWriter::new(Stoppable { out: file, stop })).await.map_err(CliError::Export)?;
    let Stoppable { out: file, .. } = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().and_then(|()| rename(part, path)).map_err(failed)?;
    Ok(lines)
}
