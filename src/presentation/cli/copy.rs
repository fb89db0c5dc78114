//! `undercroft copy`: copies the whole store to another database.

use std::fmt::Write as _;
use std::io::{self, Write as _, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use secrecy::{ExposeSecret, SecretString};

use super::{CliError, counted};
use crate::{
    domain::context::Context,
    infrastructure::repositories::copy::{CopyObserver, CopyReport, CopyStep, copy},
    settings::{Settings, is_database_url},
};

/// The digits of a hash that are printed.
const HASH_BYTES: usize = 8;

/// The arguments of `copy`.
#[derive(clap::Args, Debug)]
pub struct Copy {
    /// The database to copy: `sqlite:FILE` or `postgres://…` [default: the `database` of the settings]
    #[arg(long, value_name = "URL", value_parser = database_url)]
    from: Option<SecretString>,
    /// The database that becomes the copy: an empty one, or one with the same copy if it was interrupted; `-` reads the
    /// URL from standard input
    #[arg(long, value_name = "URL", value_parser = target)]
    to: Target,
}

/// The target of a copy on the command line.
#[derive(Debug, Clone)]
enum Target {
    Url(SecretString),
    Input,
}

impl Copy {
    /// Copies the store, and prints each table with its number of rows and its hash.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let from = self.from.unwrap_or(settings.database);
        let to = match self.to {
            Target::Url(url) => url,
            Target::Input => read_target()?,
        };
        let mut progress = Progress::new();
        let copied = copy(from.expose_secret(), to.expose_secret(), Context::system(), &mut progress).await;
        progress.bar.finish_and_clear();
        let report = copied.map_err(CliError::Copy)?;

        for name in &report.not_copied {
            // standard error may be closed
            let _ = writeln!(io::stderr(), "not copied: {name}, which is no table of a store");
        }
        writeln!(stdout(), "{}", summary(&report)).map_err(CliError::Output)
    }
}

fn database_url(text: &str) -> Result<SecretString, &'static str> {
    if is_database_url(text) { Ok(text.into()) } else { Err("not a database URL") }
}

fn target(text: &str) -> Result<Target, &'static str> {
    if text == "-" { Ok(Target::Input) } else { database_url(text).map(Target::Url) }
}

/// Reads the URL of the target from standard input: one line.
fn read_target() -> Result<SecretString, CliError> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(CliError::Input)?;
    let invalid = |reason| CliError::Input(io::Error::new(io::ErrorKind::InvalidData, reason));
    database_url(line.trim_end()).map_err(invalid)
}

/// Returns the tables with their rows and hashes.
fn summary(report: &CopyReport) -> String {
    let mut text = String::new();
    for table in &report.tables {
        let mut hash = String::new();
        for byte in table.hash.iter().take(HASH_BYTES) {
            let _ = write!(hash, "{byte:02x}");
        }
        let _ = writeln!(text, "{:<24}{:>12}  {hash}", table.name, table.rows);
    }
    let rows = report.tables.iter().map(|table| table.rows.cast_unsigned()).sum();
    let tables = counted(report.tables.len() as u64, "table", "tables");
    let earlier = match report.resumed {
        0 => String::new(),
        rows => format!(" ({rows} of them by an earlier run)"),
    };
    let _ = write!(
        text,
        "{tables}, {}{earlier}: the hashes of source and target are equal",
        counted(rows, "row", "rows")
    );
    text
}

/// Shows the progress of a copy in a terminal.
struct Progress {
    bar: ProgressBar,
    step: Option<CopyStep>,
}

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::no_length();
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, step: None }
    }
}

impl CopyObserver for Progress {
    fn progressed(&mut self, step: CopyStep, rows: i64, of: Option<i64>) {
        if self.step != Some(step) {
            self.step = Some(step);
            let template = match step {
                CopyStep::Reading => "{spinner} reading the source: {human_pos} rows",
                CopyStep::Copying => "copying   [{wide_bar}] {human_pos} of {human_len} rows",
                CopyStep::Comparing => "comparing [{wide_bar}] {human_pos} of {human_len} rows",
            };
            let style = ProgressStyle::with_template(template);
            self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            if let Some(of) = of {
                self.bar.set_length(of.cast_unsigned());
            }
        }
        self.bar.set_position(rows.cast_unsigned());
    }
}
