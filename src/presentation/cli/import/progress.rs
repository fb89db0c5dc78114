//! Shows the progress of an import in a terminal, and writes the file of rejected lines.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::time::Duration;

use super::super::private_file::create_new;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use crate::application::import::{
    line::{Fields, Rejection},
    readers::Dialect,
    rejected_file::RejectedFile,
    run::Observer,
};

/// The lines between two updates of the progress bar.
const STEP: u64 = 1000;

/// The progress bar and the file of rejected lines of an import.
pub(super) struct Progress {
    path: PathBuf,
    rejects: Option<RejectedFile<BufWriter<File>>>,
    rejected: u64,
    bar: ProgressBar,
}

impl Progress {
    /// Shows the progress of an import, and writes its rejected lines to a new file at `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        let bar = ProgressBar::new_spinner().with_style(style("{spinner} checking: {human_pos} lines"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { path, rejects: None, rejected: 0, bar }
    }

    /// Ends the progress bar. Returns the path of the rejected lines, or removes the file if there are none.
    pub(super) fn finish(self) -> io::Result<Option<PathBuf>> {
        self.bar.finish_and_clear();
        let Some(rejects) = self.rejects else { return Ok(None) };
        rejects.finish()?;
        if self.rejected > 0 {
            return Ok(Some(self.path));
        }
        std::fs::remove_file(&self.path)?;
        Ok(None)
    }
}

impl Observer for Progress {
    /// Creates the file of rejected lines, so that an error is found before anything is imported. An existing file is
    /// never replaced.
    fn opened(&mut self, header: &Fields, dialect: Dialect) -> io::Result<()> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{} cannot be written: {error}", self.path.display()))
        };
        let file = BufWriter::new(create_new(&self.path).map_err(named)?);
        self.rejects = Some(RejectedFile::new(file, header, dialect)?);
        Ok(())
    }

    fn checked(&mut self, lines: u64) -> io::Result<()> {
        if lines.is_multiple_of(STEP) {
            self.bar.set_position(lines);
        }
        Ok(())
    }

    fn committed(&mut self, done: u64, lines: u64) -> io::Result<()> {
        if self.bar.length().is_none() {
            let bar = style("[{wide_bar}] {human_pos} of {human_len} lines{left}");
            self.bar.set_style(bar.with_key("left", time_left));
            self.bar.set_length(lines);
            self.bar.reset_eta();
        }
        self.bar.set_position(done);
        Ok(())
    }

    fn rejected(&mut self, rejection: &Rejection) -> io::Result<()> {
        self.rejected += 1;
        match &mut self.rejects {
            Some(rejects) => rejects.write(rejection).map_err(io::Error::from),
            None => Ok(()),
        }
    }
}

/// Writes the estimated time left. There is none before the speed is known.
fn time_left(state: &ProgressState, out: &mut dyn fmt::Write) {
    let left = state.eta();
    if !left.is_zero() {
        // a string can always be written to
        let _ = write!(out, ", {:#} left", HumanDuration(left));
    }
}

/// Returns a style by its template, or the default if the template is invalid.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
