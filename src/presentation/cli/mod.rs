//! The command line.
//!
//! Commands write their output to standard output, logs and errors to standard error.
//!
//! # Adding one
//!
//! 1. Write `<command>.rs` with a struct of its arguments that derives `clap::Args` (the doc comments are its help) and
//!    has `pub async fn run(self, settings: Settings) -> Result<(), CliError>`; `serve.rs` is an example.
//! 2. Add it to [`Command`] and to [`Command::run`].
//! 3. If it can fail in a new way, add a variant to [`CliError`] with its [`Exit`]; several are an enum of the command.

mod admin;
mod audit;
mod backup;
mod cache;
mod completions;
mod copy;
mod doctor;
mod error;
mod events;
mod exit;
mod export;
mod ids;
mod import;
mod jobs;
mod log_lines;
mod log_text;
pub mod logging;
mod man;
mod migrate;
mod open_store;
mod openapi;
mod password;
mod private_file;
mod replicate;
mod serve;
mod service;
mod settings;
mod signals;
mod target_url;
mod terminal;
mod torture;
mod unquoted;
mod verbosity;
mod webhooks;
mod whole_file;
mod worker;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use serde::Serialize;

pub use self::error::{CliError, report_error};
pub use self::exit::Exit;
pub use self::open_store::open_store;
use self::terminal::stdout;
use crate::settings::{Settings, SettingsError, environment, load, of_flags};

/// A headless commerce store in one binary.
#[derive(Debug, Parser)]
#[command(name = "undercroft", version, after_help = exit::CODES)]
pub struct Cli {
    /// Settings that override the settings file and the environment.
    #[command(flatten)]
    options: Options,
    /// The command; `serve` if omitted.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Parses the command line. Help, version and errors are printed, and returned as the exit code.
    pub fn parse() -> Result<Self, Exit> {
        let matches = with_short_help(Self::command()).try_get_matches();
        let parsed = matches.and_then(|matches| Self::from_arg_matches(&matches));
        parsed.and_then(Self::checked).map_err(|error| {
            // if it cannot be printed, the exit code remains
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Success,
                _ => Exit::Usage,
            }
        })
    }

    /// Fails if the command does not read the settings that the command line sets.
    fn checked(self) -> Result<Self, clap::Error> {
        let Options { config, database, listen, .. } = &self.options;
        let is_set = config.is_some() || database.is_some() || listen.is_some();
        if is_set && !self.reads_settings() {
            let reason = "this command does not read the settings: omit --config, --database and --listen";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, reason));
        }
        Ok(self)
    }

    /// Loads the settings. Those of a command that does not read them are the defaults, with the log as the command
    /// line sets it.
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        let flags = self.options.flags();
        if self.reads_settings() {
            load(self.options.config.as_deref(), environment(), &flags)
        } else {
            of_flags(&flags)
        }
    }

    fn reads_settings(&self) -> bool {
        use Command::{Completions, Man, Openapi, Settings, Torture};
        !matches!(self.command, Some(Completions(_) | Man(_) | Openapi(_) | Settings(_) | Torture(_)))
    }
}

/// Returns a command whose subcommands have the settings, and do not list them in their help.
fn with_short_help(command: clap::Command) -> clap::Command {
    let shared: Vec<_> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let hidden: Vec<_> = shared.into_iter().map(|arg| arg.hide(true)).collect();
    command.mut_subcommands(|subcommand| without_settings(subcommand, &hidden))
}

fn without_settings(command: clap::Command, hidden: &[clap::Arg]) -> clap::Command {
    let command = command.args(hidden).after_help("`undercroft --help` lists the options for settings.");
    command.mut_subcommands(|subcommand| without_settings(subcommand, hidden))
}

/// Settings on the command line, before or after the command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
pub struct Options {
    /// The settings file; `undercroft settings` prints one with all settings. Variables override it: that of a key in a
    /// section is named like `UNDERCROFT_STORE__DEFAULT_CURRENCY` [default: undercroft.toml, if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The database: `sqlite:FILE` or `postgres://…` (pass a password in the environment, command lines are not
    /// private)
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
    fn flags(&self) -> Vec<(&'static str, String)> {
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
    /// Deliver events, send webhooks, recover payments and renew subscriptions, beside servers without a worker
    Worker(worker::Worker),
    /// Set up an empty database, or apply the migrations that it misses, all in one transaction
    Migrate(migrate::Migrate),
    /// Import a catalogue or orders from Shopify, WooCommerce, UCI Online Retail or JSON Lines
    Import(import::Import),
    /// Export the catalogue, customers, orders and invoices as JSON Lines
    Export(export::Export),
    /// Write the whole store to a file, also while a server runs (SQLite)
    Backup(backup::Backup),
    /// Replace the store by a backup (SQLite)
    Restore(backup::Restore),
    /// Copy the whole store to another database, SQLite or PostgreSQL, with passwords, orders and payments
    Copy(copy::Copy),
    /// Keep a second database in step with that of the store, and move the store to it without closing it
    Replicate(replicate::Replicate),
    /// Print a settings file with all settings and their defaults, as a start: `undercroft settings > undercroft.toml`
    Settings(settings::PrintSettings),
    /// Print the OpenAPI document of the HTTP API
    Openapi(openapi::Openapi),
    /// Print the completions of the command line for a shell
    Completions(completions::Completions),
    /// Write the manual pages of the command line
    Man(man::Man),
    /// Check settings, database and payment providers, and advise how to fix problems
    Doctor(doctor::Doctor),
    /// Manage administrators
    Admin(admin::Admin),
    /// Export or verify the audit log
    Audit(audit::Audit),
    /// Show the log of events, and manage their delivery
    Events(events::Events),
    /// Show, run or cancel jobs: work that a server or worker does outside of requests
    Jobs(jobs::Jobs),
    /// Show, clear or warm the caches of what shoppers read
    Cache(cache::Cache),
    /// Show webhook endpoints, test them, and retry deliveries
    Webhooks(webhooks::Webhooks),
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
            // on the heap, since it is large
            Self::Serve(serve) => Box::pin(serve.run(settings)).await,
            Self::Worker(worker) => worker.run(settings).await,
            Self::Migrate(migrate) => migrate.run(settings).await,
            Self::Import(import) => import.run(settings).await,
            Self::Export(export) => export.run(settings).await,
            Self::Backup(backup) => backup.run(settings).await,
            Self::Restore(restore) => restore.run(settings).await,
            Self::Copy(copy) => copy.run(settings).await,
            Self::Replicate(replicate) => replicate.run(settings).await,
            Self::Settings(settings) => settings.run(),
            Self::Openapi(openapi) => openapi.run(),
            Self::Completions(completions) => completions.run(),
            Self::Man(man) => man.run(),
            Self::Doctor(doctor) => doctor.run(settings).await,
            Self::Admin(admin) => admin.run(settings).await,
            Self::Audit(audit) => audit.run(settings).await,
            Self::Events(events) => events.run(settings).await,
            Self::Jobs(jobs) => jobs.run(settings).await,
            Self::Cache(cache) => cache.run(settings).await,
            Self::Webhooks(webhooks) => webhooks.run(settings).await,
            Self::Torture(torture) => torture.run().await,
        }
    }
}

/// Returns a number with the noun for one or for several.
fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// Prints an item of a list in one line: JSON, or a text.
fn print_item(json: bool, item: &impl Serialize, text: &str) -> Result<(), CliError> {
    let line = if json {
        // maps have text keys, so it can always be written as JSON
        serde_json::to_string(item).unwrap_or_default()
    } else {
        text.replace('\n', "\\n")
    };
    writeln!(stdout(), "{line}").map_err(CliError::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        with_short_help(Cli::command()).debug_assert();
    }

    #[test]
    fn settings_may_come_before_and_after_the_command() {
        let line = ["undercroft", "--listen", "a", "events", "tail", "--log-level", "b"];
        let matches = with_short_help(Cli::command()).try_get_matches_from(line).unwrap();
        let cli = Cli::from_arg_matches(&matches).unwrap();
        assert_eq!(cli.options.flags(), [("listen", "a".to_owned()), ("log.level", "b".to_owned())]);
    }
}
