//! `undercroft settings`: prints a settings file with all settings and their defaults.

use std::io::{Write, stdout};

use super::CliError;
use crate::settings::EXAMPLE;

/// The arguments of `settings`.
#[derive(clap::Args, Debug)]
pub struct PrintSettings {}

impl PrintSettings {
    /// Prints the file.
    #[expect(clippy::unused_self, reason = "all commands run alike")]
    pub fn run(self) -> Result<(), CliError> {
        stdout().write_all(EXAMPLE.as_bytes()).map_err(CliError::Output)
    }
}
