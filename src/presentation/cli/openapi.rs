//! `undercroft openapi`: the description of the HTTP API, made of its routes.

use std::io::{Write, stdout};

use super::CliError;
use crate::presentation::http::openapi::document;

/// The arguments of `openapi`.
#[derive(clap::Args, Debug)]
pub struct Openapi {}

impl Openapi {
    /// Prints the document that a server has at `/openapi.json`.
    #[expect(clippy::unused_self, reason = "as every command")]
    pub fn run(self) -> Result<(), CliError> {
        let mut out = stdout().lock();
        out.write_all(&document()).and_then(|()| writeln!(out)).map_err(CliError::Output)
    }
}
