//! The command line.
//!
//! Commands write their output to standard output, logs and errors to standard error.
//!
//! # Adding one
//!
//! 1. Write `<command>.rs` with a struct of its arguments that derives `clap::Args` (the doc comments are its help) and
//!    has `pub async fn run(self, settings: Settings) -> Result<(), CliError>`; `serve.rs` is an example.
//! 2. Add it to [`Command`] and to [`Command::run`].
//! 3. If it can fail in a new way, add a variant to [`CliError`] with its [`Exit`].

mod admin;
mod backup;
mod copy;
mod doctor;
mod export;
mod import;
pub mod logging;
mod migrate;
mod open_store;
mod openapi;
mod private_file;
mod serve;
mod signals;
mod torture;

use std::{error::Error, io, io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, error::ErrorKind};
use tokio::task::JoinError;

use crate::{
    application::{export::ExportError, import::run::ImportError},
    domain::user::{LONGEST_PASSWORD, SHORTEST_PASSWORD},
    infrastructure::{
        exceptions::Failure,
        repositories::{DatabaseError, copy::CopyError},
    },
    settings::Settings,
};

/// The exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded.
    Success = 0,
    /// The command failed.
    Failure = 1,
    /// The command line or the settings are invalid; nothing was done.
    Usage = 2,
    /// Records of the input are not imported, such as orders, or, with `--strict`, lines were rejected; the others were
    /// imported.
    Rejected = 3,
    /// The database cannot be reached, or `migrate` must be run.
    Database = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The exit codes, as the help lists them.
const EXIT_CODES: &str = "Exit codes:
  0  success
  1  failure
  2  the command line or the settings are invalid; nothing was done
  3  the input has records that are not imported, such as orders, or, with --strict,
     lines that were rejected; the others were imported
  4  the database cannot be reached, or `migrate` must be run";

/// A headless commerce store in one binary.
#[derive(Debug, Parser)]
#[command(name = "undercroft", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Settings that override the settings file and the environment.
    #[command(flatten)]
    pub options: Options,
    /// The command; `serve` if omitted.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Parses the command line. Help, version and errors are printed, and returned as the exit code.
    pub fn parse() -> Result<Self, Exit> {
        Self::try_parse().map_err(|error| {
            // if it cannot be printed, the exit code remains
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Success,
                _ => Exit::Usage,
            }
        })
    }
}

/// Settings on the command line, before or after the command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
pub struct Options {
    /// The settings file [default: undercroft.toml, if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The database: `sqlite:FILE` or `postgres://…` (pass a password in the environment, command lines are not private)
    #[arg(long, value_name = "URL", global = true)]
    database: Option<String>,
    /// The address to listen on; port 0 selects a free port
    #[arg(long, value_name = "ADDRESS", global = true)]
    listen: Option<String>,
    /// The format of log lines: `text` or `json`
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<String>,
    /// The log level: off, error, warn, info, debug or trace, also by module: `info,undercroft::presentation=debug`
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<String>,
}

impl Options {
    /// Returns the keys of the settings that are set, and their values.
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        [
            ("database", &self.database),
            ("listen", &self.listen),
            ("log.format", &self.log_format),
            ("log.level", &self.log_level),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.clone()?)))
        .collect()
    }
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the HTTP API (the default)
    Serve(serve::Serve),
    /// Apply all migrations to the database
    Migrate(migrate::Migrate),
    /// Import a catalogue or orders from Shopify, WooCommerce, UCI Online Retail or JSON Lines
    Import(import::Import),
    /// Export the whole store as JSON Lines
    Export(export::Export),
    /// Write the whole store to a file, also while a server runs (SQLite)
    Backup(backup::Backup),
    /// Replace the store by a backup (SQLite)
    Restore(backup::Restore),
    /// Copy the whole store to another database, SQLite or PostgreSQL, with passwords, orders and payments
    Copy(copy::Copy),
    /// Print the `OpenAPI` document of the HTTP API
    Openapi(openapi::Openapi),
    /// Check settings, database and payment providers, and advise how to fix problems
    Doctor(doctor::Doctor),
    /// Manage administrators
    Admin(admin::Admin),
    /// Test races and crashes with a temporary store, and print the counts
    Torture(torture::Torture),
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(serve::Serve::default())
    }
}

impl Command {
    /// Runs the command.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        match self {
            Self::Serve(serve) => serve.run(settings).await,
            Self::Migrate(migrate) => migrate.run(settings).await,
            Self::Import(import) => import.run(settings).await,
            Self::Export(export) => export.run(settings).await,
            Self::Backup(backup) => backup.run(settings).await,
            Self::Restore(restore) => restore.run(settings).await,
            Self::Copy(copy) => copy.run(settings).await,
            Self::Openapi(openapi) => openapi.run(),
            Self::Doctor(doctor) => doctor.run(settings).await,
            Self::Admin(admin) => admin.run(settings).await,
            Self::Torture(torture) => torture.run(settings).await,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address of the settings.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Other machines reach the store, and its sandbox is a local one.
    #[error(
        "other machines reach {0}: set `payments.sandbox` to \"disabled\", or to \"enabled\" for a store of tests, in \
         which payments succeed without money"
    )]
    Sandbox(SocketAddr),
    /// Signals cannot be received.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    /// A second signal came before all running requests were completed.
    #[error("stopped by a second signal before all requests were completed")]
    Interrupted,
    /// A signal came before the command was completed.
    #[error("stopped by {0}")]
    Stopped(&'static str),
    /// The worker stopped because of an internal error.
    #[error("the worker stopped unexpectedly")]
    Worker(#[source] JoinError),
    /// A use case of the store failed.
    #[error("{}", .0.report())]
    Store(Failure),
    /// The server cannot be started as a separate process.
    #[error("the server cannot be started as a separate process")]
    Child(#[source] io::Error),
    /// The server that was started does not print its address, or does not respond.
    #[error("the server that was started does not respond")]
    ChildUnresponsive,
    /// The result breaks a promise of the store.
    #[error("unexpected result: {0}")]
    UnexpectedResult(String),
    /// The database for a torture test contains a store.
    #[error("the database contains a store already; a torture test needs an empty one")]
    NotEmpty,
    /// Invariants of the store are violated.
    #[error("{} violated", counted(*.0, "invariant is", "invariants are"))]
    Violations(u64),
    /// Standard input cannot be read.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
    /// The text on standard input is not a valid password.
    #[error("a password is one line of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")]
    Password,
    /// The file was not imported, or only in part.
    #[error("{}", file.display())]
    Import {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: ImportError,
    },
    /// The demo catalogue cannot be added to a new store.
    #[error("the demo catalogue cannot be added (`--no-demo` starts without)")]
    Demo(#[source] ImportError),
    /// Lines of the file were rejected.
    #[error("{} rejected", counted(*.0, "line was", "lines were"))]
    Rejected(u64),
    /// The file has records of types that are exported, but not imported.
    #[error("records of these types are not imported: {0}")]
    NotImported(String),
    /// The export failed.
    #[error(transparent)]
    Export(ExportError),
    /// A backup was not made, or not restored.
    #[error(transparent)]
    Backup(#[from] backup::BackupError),
    /// The copy is not complete.
    #[error(transparent)]
    Copy(CopyError),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// A file cannot be written or removed.
    #[error("cannot write {}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// `doctor` found problems.
    #[error("{} found", counted(*count, "problem was", "problems were"))]
    Problems {
        /// The number of problems.
        count: u64,
        /// The exit code: that of the database if it cannot be used.
        exit: Exit,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Database(DatabaseError),
}

impl From<DatabaseError> for CliError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl CliError {
    /// Returns whether the reader of the output has closed it, as `head` does: the command ends without an error.
    pub fn is_closed_pipe(&self) -> bool {
        let (Self::Output(error) | Self::Export(ExportError::Write(error))) = self else { return false };
        error.kind() == io::ErrorKind::BrokenPipe
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Listen { .. }
            | Self::Signals(_)
            | Self::Interrupted
            | Self::Stopped(_)
            | Self::Worker(_)
            | Self::Store(_)
            | Self::Child(_)
            | Self::ChildUnresponsive
            | Self::UnexpectedResult(_)
            | Self::Violations(_)
            | Self::Input(_)
            | Self::Import { .. }
            | Self::Demo(_)
            | Self::Export(_)
            | Self::Output(_)
            | Self::File { .. } => Exit::Failure,
            Self::Problems { exit, .. } => *exit,
            Self::Rejected(_) | Self::NotImported(_) => Exit::Rejected,
            Self::Backup(error) => error.exit(),
            Self::Copy(error) => copy_exit(error),
            Self::Password | Self::NotEmpty | Self::Sandbox(_) => Exit::Usage,
            Self::Database(error) => database_exit(error),
        }
    }
}

/// Returns the exit code of an error of the database: whether an operator can make it available.
fn database_exit(error: &DatabaseError) -> Exit {
    match error {
        DatabaseError::Unavailable(_)
        | DatabaseError::OutcomeUnknown(_)
        | DatabaseError::Missing(_)
        | DatabaseError::ReadOnly(_)
        | DatabaseError::Schema(_) => Exit::Database,
        _ => Exit::Failure,
    }
}

/// Returns the exit code of a copy that is not complete.
fn copy_exit(error: &CopyError) -> Exit {
    match error {
        CopyError::Source(error) | CopyError::Target(error) | CopyError::Table { source: error, .. } => {
            database_exit(error)
        }
        CopyError::NotEmpty => Exit::Usage,
        CopyError::SourceChanged(_) | CopyError::Columns(_) | CopyError::Differs(_) => Exit::Failure,
    }
}

/// Returns a number with the noun for one or for several.
fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// Prints the error and its causes to standard error, and returns the exit code.
pub fn report_error(error: &dyn Error, exit: Exit) -> Exit {
    let mut line = format!("undercroft: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    // standard error may be closed
    let _ = writeln!(io::stderr(), "{line}");
    exit
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_may_come_before_and_after_the_command() {
        let cli = Cli::try_parse_from(["undercroft", "--listen", "a", "serve", "--log-level", "b"]).unwrap();
        assert_eq!(cli.options.flags(), [("listen", "a".to_owned()), ("log.level", "b".to_owned())]);
    }
}
