//! `undercroft copy`: copies the whole store to another database.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;

use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use super::signals::interruptible;
use super::target_url::TargetUrl;
use super::terminal::stderr;
use super::unquoted::Unquoted;
use super::verbosity::{Verbosity, style};
use super::{CliError, counted};
use crate::{
    domain::context::Context,
    infrastructure::repositories::copy::{CopyError, CopyObserver, CopyReport, CopyStep, TableReport, copy},
    infrastructure::repositories::{DatabaseUrl, sqlite_side_files},
    settings::Settings,
};

/// The bytes of a hash that are printed, each as two digits.
const HASH_BYTES: usize = 8;

/// What to do after a copy.
const NEXT: &str = "Next: set `database` to the target, and copy the folder of `files.url`, whose contents are not in the \
                    database.\nA folder that is not absolute, such as `file:./files`, is beside the file of SQLite; on \
                    PostgreSQL it is in the folder in which the store is started.";

/// The arguments of `copy`.
#[derive(clap::Args, Debug)]
pub struct Copy {
    /// The database to copy: `sqlite:FILE` or `postgres://…` [default: the `database` of the settings]
    #[arg(long, value_name = "URL", value_parser = Unquoted(DatabaseUrl::from_str))]
    from: Option<DatabaseUrl>,
    /// The database that becomes the copy: an empty one, or one with the same copy if it was interrupted; `-` reads the
    /// URL from standard input
    #[arg(long, value_name = "URL", value_parser = Unquoted(TargetUrl::from_str))]
    to: TargetUrl,
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Copy {
    /// Copies the store, and prints each table with its number of rows and its hash.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let from = self.from.unwrap_or(settings.database);
        let to = self.to.read()?;
        if let Some(file) = from.file().filter(|file| is_in_use(file)) {
            let file = file.display();
            // standard error may be closed
            let _ = writeln!(
                stderr(),
                "warning: a process has {file} open, or ended without closing it: what is written to it from now on \
                 is not in the copy. Stop the server of the source first"
            );
        }
        let report = interruptible(async |stop| {
            let bar = self.verbosity.progress_bar();
            let mut progress = Progress { bar, stop, step: None, rows: 0, of: 0 };
            let copied = copy(&from, &to, Context::system(), &mut progress).await;
            progress.bar.finish_and_clear();
            copied.map_err(|error| match error {
                CopyError::Stopped => CliError::Interrupted(progress.interrupted()),
                error => CliError::Copy(error),
            })
        });
        let report = report.await?;

        for name in &report.not_copied {
            // standard error may be closed
            let _ = writeln!(stderr(), "not copied: {name}, which is no table of a store");
        }
        self.verbosity.print(&summary(&report))?;
        self.verbosity.print(NEXT)
    }
}

/// Returns whether a process has a SQLite database open, or had when it crashed: then there are files beside its file.
fn is_in_use(file: &Path) -> bool {
    let [_, beside @ ..] = sqlite_side_files::all(file);
    beside.iter().any(|file| file.exists())
}

/// Returns a line for each table with its rows and its hash.
pub(super) fn table_lines(tables: &[TableReport]) -> String {
    let mut text = String::new();
    for table in tables {
        let hash = hex_start(&table.hash);
        let _ = writeln!(text, "{:<24}{:>12}  {hash}", table.name, table.rows);
    }
    text
}

/// Returns the first bytes of a hash in hexadecimal digits.
pub(super) fn hex_start(hash: &[u8]) -> String {
    hash.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn summary(report: &CopyReport) -> String {
    let mut text = table_lines(&report.tables);
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
    stop: CancellationToken,
    step: Option<CopyStep>,
    rows: i64,
    of: i64,
}

impl Progress {
    /// Returns what was copied when a signal ended the copy.
    fn interrupted(&self) -> String {
        let Self { rows, of, .. } = self;
        let done = match self.step {
            None | Some(CopyStep::Reading) => "before this run copied a row".to_owned(),
            Some(CopyStep::Copying) => format!("after {rows} of {of} rows, which are in the target"),
            Some(CopyStep::Comparing) => {
                "when all rows were in the target, but not compared with the source".to_owned()
            }
        };
        format!("{done}; the same command continues from there")
    }
}

impl CopyObserver for Progress {
    fn progressed(&mut self, step: CopyStep, rows: i64, of: Option<i64>) -> ControlFlow<()> {
        (self.rows, self.of) = (rows, of.unwrap_or_default());
        if self.step != Some(step) {
            self.step = Some(step);
            let template = match step {
                CopyStep::Reading => "{spinner} reading the source: {human_pos} rows",
                CopyStep::Copying => "copying   [{wide_bar}] {human_pos} of {human_len} rows",
                CopyStep::Comparing => "comparing [{wide_bar}] {human_pos} of {human_len} rows",
            };
            self.bar.set_style(style(template));
            if let Some(of) = of {
                self.bar.set_length(of.cast_unsigned());
            }
        }
        self.bar.set_position(rows.cast_unsigned());
        if self.stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
