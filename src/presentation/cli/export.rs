//! `undercroft export`: writes the data of the store as JSON Lines, without credentials and what the worker needs.

use std::io::Write;

use super::{CliError, counted, terminal::stderr, verbosity::Verbosity, whole_file::Output};
use crate::{application::export::export, settings::Settings};

/// The note on standard error after an export.
const NOT_EXPORTED: &str = "not exported: passwords, sessions, payment method tokens, carts, notifications, files, \
                            idempotency keys, counters and events; this is no backup (`undercroft backup`, `pg_dump`), and \
                            `undercroft copy` moves a whole store";

/// The arguments of `export`.
#[derive(clap::Args, Debug)]
pub struct Export {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Export {
    /// Exports one snapshot of the store.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let lines = self.output.write(&settings, async |store, out| export(&store, out).await).await?;
        let Some(file) = self.output.file() else { return note(self.verbosity, NOT_EXPORTED) };
        let lines = counted(lines, "line", "lines");
        note(self.verbosity, &format!("{lines} in {}\n{NOT_EXPORTED}", file.display()))
    }
}

/// Writes to standard error: standard output may be the export.
fn note(verbosity: Verbosity, text: &str) -> Result<(), CliError> {
    if verbosity.quiet {
        return Ok(());
    }
    writeln!(stderr(), "{text}").map_err(CliError::Output)
}
