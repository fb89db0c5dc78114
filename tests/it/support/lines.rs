//! What a test logs.

use std::fs::read_to_string;

use tempfile::NamedTempFile;
use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};
use tracing::{Dispatch, Level};

/// Lines that are logged on the thread of a test.
pub struct Lines {
    file: NamedTempFile,
    _logging: DefaultGuard,
    /// With a single subscriber, a log statement that another test reaches first is cached as disabled.
    _second: Dispatch,
}

impl Lines {
    /// Begins to record lines, without those of `debug`.
    pub fn begin() -> Self {
        Self::begin_at(Level::INFO)
    }

    /// Begins to record lines of this level and above.
    pub fn begin_at(level: Level) -> Self {
        let (file, second) = (NamedTempFile::new().unwrap(), Dispatch::new(NoSubscriber::default()));
        let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(file.reopen().unwrap());
        let lines = lines.with_ansi(false);
        Self { file, _logging: set_default(lines.finish()), _second: second }
    }

    /// The number of lines with a text.
    pub fn with(&self, text: &str) -> usize {
        read_to_string(self.file.path()).unwrap().lines().filter(|line| line.contains(text)).count()
    }
}
