//! Whether a command prints its progress and what it did.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::CliError;
use super::terminal::stdout;

/// The argument of commands that print their progress or what they did.
#[derive(clap::Args, Debug, Clone, Copy)]
pub(super) struct Verbosity {
    /// Print neither the progress nor what was done; errors, warnings, and output that was asked for remain
    #[arg(long, short)]
    pub quiet: bool,
}

impl Verbosity {
    /// Prints what was done to standard output.
    pub(super) fn print(self, text: &str) -> Result<(), CliError> {
        if self.quiet {
            return Ok(());
        }
        writeln!(stdout(), "{text}").map_err(CliError::Output)
    }

    /// Returns a progress bar of unknown length, which is shown in a terminal alone.
    pub(super) fn progress_bar(self) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::no_length();
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

/// Returns the style of a progress bar by its template, or the default if the template is invalid.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
