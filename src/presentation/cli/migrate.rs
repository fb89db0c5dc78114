//! `undercroft migrate`: applies all migrations to the database.

use super::{CliError, verbosity::Verbosity};
use crate::{
    domain::context::Context,
    infrastructure::repositories::{Database, DatabaseError, SchemaState, Setup},
    settings::Settings,
};

/// The arguments of `migrate`.
#[derive(clap::Args, Debug)]
pub struct Migrate {
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Migrate {
    /// Applies all missing migrations in one transaction.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let url = &settings.database;
        // a database that does not exist has no schema
        let before = Database::look(url, Context::system()).await.unwrap_or(SchemaState::Empty);
        if let SchemaState::Current { version } = before {
            return self.verbosity.print(&format!("the database is already at version {version}"));
        }
        Database::open(url, Context::system(), Setup::Migrate).await?;
        let SchemaState::Current { version } = Database::look(url, Context::system()).await? else {
            return Err(DatabaseError::Schema("another program has changed the database".to_owned()).into());
        };
        let text = match before {
            SchemaState::Behind { version: from, .. } => {
                format!("the database was migrated from version {from} to {version}")
            }
            _ => format!("the database was set up at version {version}"),
        };
        self.verbosity.print(&text)
    }
}
