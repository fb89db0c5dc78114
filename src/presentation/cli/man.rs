//! `undercroft man`: writes the manual pages of the command line.

use std::fs::create_dir_all;
use std::io::stdout;
use std::path::PathBuf;

use clap::CommandFactory;
use clap_mangen::generate_to;

use super::{Cli, CliError};

/// The arguments of `man`.
#[derive(clap::Args, Debug)]
pub struct Man {
    /// The folder for a page of each command; existing pages are replaced [default: standard output, for the page of
    /// `undercroft` alone]
    folder: Option<PathBuf>,
}

impl Man {
    /// Writes the pages.
    pub fn run(self) -> Result<(), CliError> {
        let command = Cli::command().disable_help_subcommand(true);
        let Some(folder) = self.folder else {
            return clap_mangen::Man::new(command).render(&mut stdout()).map_err(CliError::Output);
        };
        let written = create_dir_all(&folder).and_then(|()| generate_to(command, &folder));
        written.map_err(|source| CliError::File { file: folder, source })
    }
}
