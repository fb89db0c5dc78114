//! Shows the progress of an import in a terminal, and writes the file of rejected lines.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use indicatif::{HumanDuration, ProgressBar, ProgressState};
use tokio_util::sync::CancellationToken;

use super::super::CliError;
use super::super::private_file::{Incomplete, create_new};
use super::super::verbosity::style;
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
    /// The file of rejected lines, once it is created.
    rejects: Option<(RejectedFile<BufWriter<File>>, Incomplete)>,
    rejected: u64,
    /// The number of lines that were checked.
    checked: u64,
    bar: ProgressBar,
    stop: CancellationToken,
    /// The number of lines whose outcome is committed, and of all lines.
    committed: (u64, u64),
}

impl Progress {
    /// Shows the progress of an import in a bar, and writes its rejected lines to a new file at `path`. The import ends
    /// when `stop` is cancelled.
    pub(super) fn new(path: PathBuf, bar: ProgressBar, stop: CancellationToken) -> Self {
        bar.set_style(style("{spinner} checking: {human_pos} lines"));
        Self { path, rejects: None, rejected: 0, checked: 0, bar, stop, committed: (0, 0) }
    }

    /// Returns the token that ends the import.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Returns what was imported when a signal ended the import; `None` if there was no signal.
    pub(super) fn interrupted(&self) -> Option<String> {
        let (done, lines) = self.committed;
        let imported = match done {
            0 => "before a line was imported".to_owned(),
            _ => format!("after {done} of {lines} lines, which are imported"),
        };
        self.stop.is_cancelled().then(|| format!("{imported}; the same command continues from there"))
    }

    /// Ends the progress bar. Returns the path of the rejected lines, or removes the file if there are none or the
    /// import is not complete: it is repeated then, and rejects them again.
    pub(super) fn finish(self, is_complete: bool) -> Result<Option<PathBuf>, CliError> {
        self.bar.finish_and_clear();
        let Some((rejects, file)) = self.rejects.filter(|_| is_complete && self.rejected > 0) else {
            return Ok(None);
        };
        file.keep();
        match rejects.finish() {
            Ok(()) => Ok(Some(self.path)),
            Err(source) => Err(CliError::File { file: self.path, source }),
        }
    }

    /// Fails if a signal came.
    fn check_stop(&self) -> io::Result<()> {
        if self.stop.is_cancelled() { Err(io::Error::other("a signal")) } else { Ok(()) }
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
        let created = Incomplete::at(self.path.clone());
        self.rejects = Some((RejectedFile::new(file, header, dialect)?, created));
        Ok(())
    }

    fn checked(&mut self, lines: u64) -> io::Result<()> {
        // a record may have many lines
        let is_due = lines / STEP != self.checked / STEP;
        self.checked = lines;
        if is_due {
            self.bar.set_position(lines);
            self.check_stop()?;
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
        self.committed = (done, lines);
        if done < lines { self.check_stop() } else { Ok(()) }
    }

    fn rejected(&mut self, rejection: &Rejection) -> io::Result<()> {
        self.rejected += 1;
        match &mut self.rejects {
            Some((rejects, _)) => rejects.write(rejection).map_err(io::Error::from),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::import::readers::Encoding;

    #[test]
    fn a_signal_ends_the_check_of_a_file_whose_records_have_many_lines() {
        let stop = CancellationToken::new();
        let mut progress = Progress::new(PathBuf::new(), ProgressBar::hidden(), stop.clone());
        assert!(progress.checked(990).is_ok());
        stop.cancel();
        assert!(progress.checked(999).is_ok());
        assert!(progress.checked(1003).is_err());
    }

    #[test]
    fn the_rejected_lines_of_an_import_that_is_dropped_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejected.csv");
        let mut progress = Progress::new(path.clone(), ProgressBar::hidden(), CancellationToken::new());
        let dialect = Dialect { encoding: Encoding::UTF_8, separator: b',' };
        progress.opened(&["Name"].into_iter().collect(), dialect).unwrap();
        assert!(path.exists());
        drop(progress);
        assert!(!path.exists());
    }
}
