//! The command line.
//!
//! Standard output is for what a command makes; logs and errors go to standard error.
//!
//! # Adding one
//!
//! 1. Write `<command>.rs` with a struct of its arguments that derives `clap::Args` (the doc comments are its
//!    help) and has `pub async fn run(self, settings: Settings) -> Result<(), CliError>`; `serve.rs` is an example.
//! 2. Add it to [`Command`] and to [`Command::run`].
//! 3. If it can fail in a way of its own, add a variant to [`CliError`] and say which [`Exit`] it is.

mod admin;
mod doctor;
mod export;
mod import;
pub mod logging;
mod migrate;
mod openapi;
mod opening;
mod serve;
mod signals;
mod torture;

use std::{error::Error, io, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, error::ErrorKind};

use tokio::task::JoinError;

use crate::{
    application::{export::ExportError, import::run::ImportError},
    domain::user::{LONGEST_PASSWORD, SHORTEST_PASSWORD},
    infrastructure::{exceptions::Failure, repositories::DatabaseError},
    settings::Settings,
};

/// How a command ended, as the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line or the settings are wrong; nothing was begun.
    Usage = 2,
    /// Some of the input was rejected, which the caller wanted to be told so; the rest is done.
    Rejected = 3,
    /// The database cannot be reached, or waits for `migrate`.
    Database = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The same for people, below the help.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed
  2  the command line or the settings are wrong; nothing was begun
  3  some of the input was rejected, and --strict was said; the rest is done
  4  the database cannot be reached, or waits for `migrate`";

/// A headless store: one binary, one file.
#[derive(Debug, Parser)]
#[command(name = "undercroft", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What goes before the settings file and the environment.
    #[command(flatten)]
    pub options: Options,
    /// What to do; to serve, when it is not said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Reads the command line. Help, version and faults are printed here and come back as the code to end with.
    pub fn parse() -> Result<Self, Exit> {
        Self::try_parse().map_err(|error| {
            // there is nobody left to tell if this cannot be printed
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
                _ => Exit::Usage,
            }
        })
    }
}

/// Settings on the command line, before or after the command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
pub struct Options {
    /// The settings file [default: undercroft.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// `sqlite:FILE` or `postgres://…` (others can read a command line: a password is safer in the environment)
    #[arg(long, value_name = "URL", global = true)]
    database: Option<String>,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", global = true)]
    listen: Option<String>,
    /// `text` or `json`
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<String>,
    /// off, error, warn, info, debug or trace, also for parts: `info,undercroft::presentation=debug`
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<String>,
}

impl Options {
    /// The keys that are set here, and their values.
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

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the HTTP API (the default)
    Serve(serve::Serve),
    /// Bring the database to the schema of this program
    Migrate(migrate::Migrate),
    /// Import a catalogue or a history: Shopify, WooCommerce, UCI Online Retail, our own JSON Lines
    Import(import::Import),
    /// Export everything a merchant owns as JSON Lines
    Export(export::Export),
    /// Print the description of the HTTP API, an `OpenAPI` document
    Openapi(openapi::Openapi),
    /// Look at everything the store stands on, and say what to do
    Doctor(doctor::Doctor),
    /// Say who runs the store
    Admin(admin::Admin),
    /// Race and crash a throw-away store, and count what came of it
    Torture(torture::Torture),
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(serve::Serve::default())
    }
}

impl Command {
    /// Does it.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        match self {
            Self::Serve(serve) => serve.run(settings).await,
            Self::Migrate(migrate) => migrate.run(settings).await,
            Self::Import(import) => import.run(settings).await,
            Self::Export(export) => export.run(settings).await,
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
    /// Nobody can be served at the address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address of the settings.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The order to stop could not be heard.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    /// A second order to stop came before the running requests were answered.
    #[error("stopped by a second signal before all requests were answered")]
    CutShort,
    /// What a store does by itself was not done any more.
    #[error("the worker broke down")]
    Worker(#[source] JoinError),
    /// A setting names something that does not exist.
    #[error("`{key}` in the settings: {why}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The store could not do it.
    #[error("{}", .0.report())]
    Store(Failure),
    /// Another process could not be run.
    #[error("the server cannot be run as a process of its own")]
    Child(#[source] io::Error),
    /// The server that was started does not say where it listens, or does not answer.
    #[error("the server that was started does not answer")]
    ChildSilent,
    /// What came of it is not what must.
    #[error("this must not be: {0}")]
    Wrong(String),
    /// What is to be tortured is a store already.
    #[error("this database is a store already: a torture takes an empty one")]
    NotEmpty,
    /// Rules are broken.
    #[error("{0} rules are broken")]
    Broken(usize),
    /// Standard input cannot be read.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
    /// What came on standard input can be no password.
    #[error("a password is one line of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")]
    Password,
    /// The file was not imported, or not to its end.
    #[error("{}", file.display())]
    Import {
        /// The file.
        file: PathBuf,
        /// Why.
        source: ImportError,
    },
    /// A new store could not be filled.
    #[error("the demo cannot be filled in (`--no-demo` does without)")]
    Demo(#[source] ImportError),
    /// Lines of a file were not taken.
    #[error("{0} lines were rejected")]
    Rejected(u64),
    /// The store was not exported.
    #[error(transparent)]
    Export(ExportError),
    /// What was made could not be written.
    #[error("cannot write")]
    Output(#[source] io::Error),
    /// Something that the store stands on is not well.
    #[error("{0} problems were found")]
    Unwell(usize),
    /// The database cannot be used as it is.
    #[error("database")]
    Database(#[source] DatabaseError),
}

impl From<DatabaseError> for CliError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl CliError {
    /// The code to end with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Listen { .. }
            | Self::Signals(_)
            | Self::CutShort
            | Self::Worker(_)
            | Self::Store(_)
            | Self::Child(_)
            | Self::ChildSilent
            | Self::Wrong(_)
            | Self::Broken(_)
            | Self::Input(_)
            | Self::Import { .. }
            | Self::Demo(_)
            | Self::Export(_)
            | Self::Output(_)
            | Self::Unwell(_) => Exit::Failed,
            Self::Rejected(_) => Exit::Rejected,
            Self::Setting { .. } | Self::Password | Self::NotEmpty => Exit::Usage,
            Self::Database(_) => Exit::Database,
        }
    }
}

/// Tells the error and its causes on standard error, and passes the code on.
pub fn told(error: &dyn Error, exit: Exit) -> Exit {
    let mut line = format!("undercroft: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    eprintln!("{line}");
    exit
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_may_stand_before_and_after_the_command() {
        let cli = Cli::try_parse_from(["undercroft", "--listen", "a", "serve", "--log-level", "b"]).unwrap();
        assert_eq!(cli.options.flags(), [("listen", "a".to_owned()), ("log.level", "b".to_owned())]);
    }
}
