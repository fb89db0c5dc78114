//! `undercroft torture`: races and faults against a throw-away store, counted.
//!
//! It sets up a store of its own (a file in a temporary folder, or the empty PostgreSQL database it is given), starts
//! the server as a process of its own, buys from it as many shoppers at once would, kills it if that is asked, and
//! then lets the checker look for whatever must never be. A file in which it found something is left to be looked into.

mod client;
mod crashes;
mod races;
mod shop;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use self::shop::Shop;
use super::CliError;
use crate::application::consistency::{Violation, check};
use crate::settings::Settings;

/// The arguments of `torture`.
#[derive(Args, Debug)]
pub struct Torture {
    /// An empty PostgreSQL database to do it in; a new SQLite file if it is not said
    #[arg(long, value_name = "URL")]
    on: Option<String>,
    /// Where the new SQLite file goes; it is removed if all was well
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Many buyers at once for few pieces, again and again
    Races(races::Races),
    /// Kill the server in the middle of its work, again and again
    Crashes(crashes::Crashes),
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report<C> {
    /// What was counted.
    #[serde(flatten)]
    counts: C,
    /// Rules that are broken.
    violations: Vec<Violation>,
}

impl Torture {
    /// Does it; an error if any rule was broken.
    pub async fn run(self, _: Settings) -> Result<(), CliError> {
        let shop = Shop::open(self.on.as_deref(), &self.folder).await?;
        match self.what {
            What::Races(races) => {
                let counts = races.run(&shop).await?;
                report(&shop, counts, self.json).await?;
            }
            What::Crashes(crashes) => {
                let counts = crashes.run(&shop).await?;
                report(&shop, counts, self.json).await?;
            }
        }
        shop.remove()
    }
}

/// Prints what came of it.
async fn report<C: Serialize + std::fmt::Debug>(shop: &Shop, counts: C, json: bool) -> Result<(), CliError> {
    let violations = check(shop.database(), true).await.map_err(CliError::Store)?;
    let broken = violations.len();
    let report = Report { counts, violations };
    if json {
        println!("{}", serde_json::to_string(&report).unwrap_or_default());
    } else {
        println!("{report:#?}");
    }
    if broken == 0 { Ok(()) } else { Err(CliError::Broken(broken)) }
}
