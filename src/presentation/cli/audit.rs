//! `undercroft audit`: exports and verifies the audit log.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    CliError, counted,
    open_store::open_store,
    terminal::{stderr, stdout},
    whole_file::Output,
};
use crate::application::audit::{AuditFileError, NotedEntry, export, verify, verify_export};
use crate::domain::audit::{ChainCheck, hex};
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
    /// Write all entries as JSON Lines, oldest first
    Export(Output),
    /// Verify that no entry was changed, removed or moved, and print the number and the hash of the last one
    ///
    /// Standard output has NUMBER:HASH alone, as `--entry` takes it (of an empty log, zeros); standard error says what
    /// was verified.
    Verify(Verify),
}

#[derive(Args, Debug)]
struct Verify {
    /// An entry that was printed before and noted elsewhere: it must still have this hash
    #[arg(long, value_name = "NUMBER:HASH", value_parser = noted)]
    entry: Option<NotedEntry>,
    /// Verify an export in place of the store, which is not opened
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

fn noted(text: &str) -> Result<NotedEntry, &'static str> {
    let parsed = text.split_once(':').and_then(|(number, hash)| Some((number.parse::<i64>().ok()?, hash)));
    let (number, hash) = parsed.ok_or("not a number and a hash")?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    // of an empty log, the number is 0, and so is its hash
    let empty = ChainCheck::default();
    let is_entry = number > empty.number || (number == empty.number && hash == hex(&empty.hash));
    if !is_hash || !is_entry {
        return Err("not a number and a hash of 64 hexadecimal digits");
    }
    Ok(NotedEntry { number, hash: hash.to_ascii_lowercase() })
}

impl Audit {
    /// Runs the command.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        match self.command {
            AuditCommand::Export(output) => {
                let written = output
                    .write(&settings, async |store, out| export(&store, out).await.map(|out| ((), out)));
                written.await
            }
            AuditCommand::Verify(verify) => verify.run(&settings).await,
        }
    }
}

impl Verify {
    async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let verified = match self.file {
            Some(file) => {
                let opened = File::open(&file).map_err(AuditFileError::from);
                let verified =
                    opened.and_then(|open| verify_export(BufReader::new(open), self.entry.as_ref()));
                verified.map_err(|source| CliError::AuditFile { file, source })?
            }
            None => verify(&open_store(settings, Setup::ReadOnly).await?, self.entry).await?,
        };
        match verified {
            (_, Some(broken)) => Err(CliError::Audit(broken)),
            (last, None) => {
                let entries = counted(last.number.unsigned_abs(), "entry", "entries");
                // standard error may be closed
                let _ = writeln!(stderr(), "{entries}, none was changed");
                writeln!(stdout(), "{}:{}", last.number, hex(&last.hash)).map_err(CliError::Output)
            }
        }
    }
}
