//! `undercroft completions`: prints the completions of the command line for a shell.

use std::io::{Write, stdout};

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{Cli, CliError};

/// The arguments of `completions`.
#[derive(clap::Args, Debug)]
pub struct Completions {
    /// The shell that reads the completions
    shell: Shell,
}

impl Completions {
    /// Prints the completions.
    pub fn run(self) -> Result<(), CliError> {
        let mut script = Vec::new();
        // writing to memory cannot fail; to a closed output it would panic
        generate(self.shell, &mut Cli::command(), "undercroft", &mut script);
        stdout().write_all(&script).map_err(CliError::Output)
    }
}
