//! `undercroft migrate`: applies all migrations to the database.

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
    /// Applies each missing migration in a transaction of its own.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let url = settings.database.expose_secret();
        // a database that does not exist has no schema
        let before = Database::look(url, Context::system()).await.unwrap_or(SchemaState::Empty);
        Database::open(url, Context::system(), Setup::Migrate).await?;
        let SchemaState::Current { version } = Database::look(url, Context::system()).await? else {
            return Err(CliError::UnexpectedResult(
                "the database is not at the program's version".to_owned(),
            ));
        };
        let text = match before {
            SchemaState::Current { .. } => format!("the database is already at version {version}"),
            SchemaState::Behind { version: from, .. } => {
                format!("the database was migrated from version {from} to {version}")
            }
            _ => format!("the database was set up at version {version}"),
        };
        writeln!(stdout(), "{text}").map_err(CliError::Output)
    }
}
