//! The URL of a target on the command line, or `-` for one on standard input.

use std::io::{self, BufRead as _, Read as _};
use std::str::FromStr;

use super::CliError;
use crate::infrastructure::repositories::{DatabaseUrl, InvalidDatabaseUrl};

/// The most bytes that are read from standard input.
const MOST_BYTES: u64 = 4096;

/// The target of a copy or a replication.
#[derive(Debug, Clone)]
pub(super) enum TargetUrl {
    Url(DatabaseUrl),
    Input,
}

impl FromStr for TargetUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        if text == "-" { Ok(Self::Input) } else { text.parse().map(Self::Url) }
    }
}

impl TargetUrl {
    /// Returns the URL, which is read from standard input if it is not stated: one line.
    pub(super) fn read(self) -> Result<DatabaseUrl, CliError> {
        let Self::Url(url) = self else {
            let mut line = String::new();
            io::stdin().lock().take(MOST_BYTES).read_line(&mut line).map_err(CliError::Input)?;
            return line.trim_end().parse().map_err(CliError::Target);
        };
        Ok(url)
    }
}
