//! `undercroft migrate`: brings the database to the schema of this program.

use std::io::{Write, stdout};

use secrecy::ExposeSecret;

use super::CliError;
use crate::{
    domain::context::Context,
    infrastructure::repositories::{Database, SchemaState, Setup},
    settings::Settings,
};

/// The arguments of `migrate`.
#[derive(clap::Args, Debug)]
pub struct Migrate {}

impl Migrate {
    /// Each migration is one transaction, done once.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let url = settings.database.expose_secret();
        // a database that is not there yet has no state to look at
        let before = Database::look(url, Context::system()).await.unwrap_or(SchemaState::Empty);
        Database::open(url, Context::system(), Setup::Migrate).await?;
        let SchemaState::Current { version } = Database::look(url, Context::system()).await? else {
            return Err(CliError::Wrong("the database is not at this program's version".to_owned()));
        };
        let text = match before {
            SchemaState::Current { .. } => format!("the database is at version {version} already"),
            SchemaState::Behind { version: from, .. } => {
                format!("the database went from version {from} to {version}")
            }
            _ => format!("the database was set up at version {version}"),
        };
        writeln!(stdout(), "{text}").map_err(CliError::Output)
    }
}
