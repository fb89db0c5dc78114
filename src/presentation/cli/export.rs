//! `undercroft export`: writes the whole store as JSON Lines.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

use super::{CliError, counted, open_store::open_store, private_file::create_new};
use crate::{
    application::{Store, export::export},
    infrastructure::repositories::Setup,
    settings::Settings,
};

/// The note on standard error after an export.
const NOT_EXPORTED: &str = "not exported: passwords, sessions, payment method tokens, carts, notifications, idempotency \
                            keys, counters and events; this is no backup (`undercroft backup`, `pg_dump`), and \
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
}

impl Export {
    /// Exports one snapshot of the store. The output file is complete, or does not exist.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let store = open_store(&settings, Setup::Never).await?;
        let Some(path) = self.output else {
            export(&store, BufWriter::new(stdout())).await.map_err(CliError::Export)?;
            return note(NOT_EXPORTED);
        };
        if path.exists() && !self.force {
            let source =
                io::Error::new(io::ErrorKind::AlreadyExists, "it exists already; `--force` replaces it");
            return Err(CliError::File { file: path, source });
        }

        let mut name: OsString = path.clone().into();
        name.push(".part");
        let part = PathBuf::from(name);
        let written = write_file(&store, &part, &path).await;
        if written.is_err() {
            // the file may not have been created
            let _ = fs::remove_file(&part);
        }
        let lines = written?;
        let lines = counted(lines, "line", "lines");
        note(&format!("{lines} in {}\n{NOT_EXPORTED}", path.display()))
    }
}

/// Writes to standard error.
fn note(text: &str) -> Result<(), CliError> {
    writeln!(io::stderr(), "{text}").map_err(CliError::Output)
}

/// Exports to the file `part`, and renames it to `path` when it is complete.
async fn write_file(store: &Store, part: &Path, path: &Path) -> Result<u64, CliError> {
    let failed = |source| CliError::File { file: path.to_owned(), source };
    // of an export that was killed
    let _ = fs::remove_file(part);
    let file = create_new(part).map_err(failed)?;
    let (lines, out) = export(store, BufWriter::new(file)).await.map_err(CliError::Export)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().and_then(|()| fs::rename(part, path)).map_err(failed)?;
    Ok(lines)
}
