//! `undercroft torture`: tests races and crashes with a temporary store.
//!
//! It sets up a store in a new SQLite file or in an empty PostgreSQL database, starts the server as a separate process with the default
//! settings, sends the requests of many shoppers at once, kills the server in the crash test, and finally checks the invariants of
//! the store. The SQLite file is removed unless the test failed.

mod client;
mod crashes;
mod races;
mod test_store;

use std::io::{Write, stdout};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use self::test_store::TestStore;
use super::CliError;
use crate::application::consistency::{Violation, check, check_rules};
use crate::infrastructure::adapters::SANDBOX_RULES;
use crate::settings::{Settings, is_database_url};

/// The arguments of `torture`.
#[derive(Args, Debug)]
pub struct Torture {
    /// An empty PostgreSQL database to use [default: a new SQLite file]
    #[arg(long, value_name = "URL", value_parser = database_url, global = true)]
    on: Option<String>,
    /// The folder of the new SQLite file, which is removed if the test succeeds
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    test: Test,
}

#[derive(Subcommand, Debug)]
enum Test {
    /// Let many buyers compete for few pieces
    Races(races::Races),
    /// Kill the server under load, and check every response after the restart
    Crashes(crashes::Crashes),
}

/// The result of a test.
#[derive(Debug, Serialize)]
pub(super) struct Report<C> {
    /// The counts of the test.
    #[serde(flatten)]
    counts: C,
    /// The violated invariants.
    violations: Vec<Violation>,
}

impl Torture {
    /// Runs the test with the default settings. Fails if a promise of the store is broken.
    pub async fn run(self, _: Settings) -> Result<(), CliError> {
        let store = TestStore::open(self.on.as_deref(), &self.folder).await?;
        match self.test {
            Test::Races(races) => {
                let counts = races.run(&store).await?;
                report(&store, counts, self.json).await?;
            }
            Test::Crashes(crashes) => {
                let counts = crashes.run(&store).await?;
                report(&store, counts, self.json).await?;
            }
        }
        store.remove()
    }
}

fn database_url(text: &str) -> Result<String, &'static str> {
    if is_database_url(text) { Ok(text.to_owned()) } else { Err("not a database URL") }
}

/// Checks the invariants of the store, and prints the result.
async fn report<C: Serialize + std::fmt::Debug>(
    store: &TestStore,
    counts: C,
    json: bool,
) -> Result<(), CliError> {
    let mut violations = check(store.database(), true).await.map_err(CliError::Store)?;
    violations.extend(check_rules(store.database(), SANDBOX_RULES).await.map_err(CliError::Store)?);
    let count = violations.len() as u64;
    let report = Report { counts, violations };
    let text = if json { serde_json::to_string(&report).unwrap_or_default() } else { format!("{report:#?}") };
    writeln!(stdout(), "{text}").map_err(CliError::Output)?;
    if count == 0 { Ok(()) } else { Err(CliError::Violations(count)) }
}
