//! `undercroft export`: writes the data of the store as JSON Lines, without credentials and what the worker needs.

use std::io::{self, BufWriter, Write, stdout};
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::{
    CliError, counted,
    open_store::open_store,
    signals::interruptible,
    verbosity::Verbosity,
    whole_file::{Stoppable, check_whole, interrupted, write_whole},
};
use crate::{
    application::export::{ExportError, export},
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
                    Err(interrupted(self.output.as_deref()))
                }
                exported => exported,
            }
        })
        .await
    }

    async fn export(&self, settings: &Settings, stop: CancellationToken) -> Result<(), CliError> {
        if let Some(path) = &self.output {
            check_whole(path, self.force, &settings.database)?;
        }
        let store = open_store(settings, Setup::ReadOnly).await?;
        let Some(path) = &self.output else {
            export(&store, BufWriter::new(Stoppable { out: stdout(), stop }))
                .await
                .map_err(CliError::Export)?;
            return note(self.verbosity, NOT_EXPORTED);
        };

        let written = write_whole(path, self.force, stop, async |out| {
            export(&store, out).await.map_err(CliError::Export)
        });
        let lines = written.await?;
        let lines = counted(lines, "line", "lines");
        note(self.verbosity, &format!("{lines} in {}\n{NOT_EXPORTED}", path.display()))
    }
}

/// Writes to standard error: standard output may be the export.
fn note(verbosity: Verbosity, text: &str) -> Result<(), CliError> {
    if verbosity.quiet {
        return Ok(());
    }
    writeln!(io::stderr(), "{text}").map_err(CliError::Output)
}
