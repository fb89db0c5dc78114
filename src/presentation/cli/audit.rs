//! `undercroft audit`: exports and verifies the audit log.

use std::io::{BufWriter, Write, stderr, stdout};

use clap::{Args, Subcommand};

use super::{CliError, counted, open_store::open_store};
use crate::application::audit::{AuditExportError, NotedEntry, export, verify};
use crate::domain::audit::hex;
use crate::infrastructure::repositories::Setup;
use crate::settings::Settings;

/// The arguments of `audit`.
#[derive(Args, Debug)]
pub struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Write all entries to standard output as JSON Lines, oldest first
    Export,
    /// Verify that no entry was changed, removed or moved, and print the number and the hash of the last one
    ///
    /// Standard output has NUMBER:HASH alone, as `--entry` takes it; standard error says what was verified.
    Verify(Verify),
}

#[derive(Args, Debug)]
struct Verify {
    /// An entry that was printed before and noted elsewhere: it must still have this hash
    #[arg(long, value_name = "NUMBER:HASH", value_parser = noted)]
    entry: Option<NotedEntry>,
}

fn noted(text: &str) -> Result<NotedEntry, &'static str> {
    let parsed = text.split_once(':').and_then(|(number, hash)| Some((number.parse().ok()?, hash)));
    let (number, hash) = parsed.ok_or("not a number and a hash")?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash || number < 1 {
        return Err("not a number and a hash of 64 hexadecimal digits");
    }
    Ok(NotedEntry { number, hash: hash.to_ascii_lowercase() })
}

impl Audit {
    /// Runs the command.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let store = open_store(&settings, Setup::ReadOnly).await?;
        match self.command {
            AuditCommand::Export => match export(&store, BufWriter::new(stdout())).await {
                Ok(_) => Ok(()),
                Err(AuditExportError::Write(error)) => Err(CliError::Output(error)),
                Err(AuditExportError::Database(error)) => Err(error.into()),
            },
            AuditCommand::Verify(Verify { entry }) => match verify(&store, entry).await? {
                (_, Some(broken)) => Err(CliError::Audit(broken)),
                (last, None) => {
                    let entries = counted(last.number.unsigned_abs(), "entry", "entries");
                    // standard error may be closed
                    let _ = writeln!(stderr(), "{entries}, none was changed");
                    writeln!(stdout(), "{}:{}", last.number, hex(&last.hash)).map_err(CliError::Output)
                }
            },
        }
    }
}
