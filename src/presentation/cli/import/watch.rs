//! Shows how far an import is, where a terminal is there, and writes down the lines that are not taken.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::application::import::{
    line::{Fields, Rejection},
    readers::Format,
    rejected_file::RejectedFile,
    run::Observer,
};

/// Lines that are read between two looks at the terminal.
const STEP: u64 = 1000;

/// An import's progress bar and file of rejected lines.
pub(super) struct Watch {
    file: PathBuf,
    path: PathBuf,
    rejects: Option<RejectedFile<BufWriter<File>>>,
    rejected: u64,
    bar: ProgressBar,
}

impl Watch {
    /// Rejected lines of `file` go to the file at `path`.
    pub(super) fn new(file: &Path, path: PathBuf) -> Self {
        let bar = ProgressBar::new_spinner().with_style(style("{spinner} checking: {human_pos} lines"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { file: file.to_owned(), path, rejects: None, rejected: 0, bar }
    }

    /// Where the rejected lines are, if there are any.
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

impl Observer for Watch {
    /// That the file cannot be written is learnt before anything is imported.
    fn opened(&mut self, _: Format, header: &Fields) -> io::Result<()> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{} cannot be written: {error}", self.path.display()))
        };
        if self.path.exists() && self.path.canonicalize()? == self.file.canonicalize()? {
            return Err(named(io::Error::other("it is what is imported")));
        }
        let file = BufWriter::new(File::create(&self.path).map_err(named)?);
        self.rejects = Some(RejectedFile::new(file, header)?);
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
            self.bar.set_style(style("[{wide_bar}] {human_pos} of {human_len} lines, {eta} left"));
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

/// A style by its template; one that is no template leaves the default.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
