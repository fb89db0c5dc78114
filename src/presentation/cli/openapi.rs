//! `undercroft openapi`: prints the OpenAPI document of the HTTP API.

use std::io::{Write, stdout};

use super::CliError;
use crate::presentation::http::openapi::document;

/// The arguments of `openapi`.
#[derive(clap::Args, Debug)]
pub struct Openapi {}

impl Openapi {
    /// Prints the document that a server returns at `/openapi.json`.
    #[expect(clippy::unused_self, reason = "all commands run alike")]
    pub fn run(self) -> Result<(), CliError> {
        let mut out = stdout().lock();
        out.write_all(&document()).and_then(|()| writeln!(out)).map_err(CliError::Output)
    }
}
