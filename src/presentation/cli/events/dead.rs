//! `undercroft events dead`: shows, retries or discards dead letters.

use std::io::Write;

use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::application::Store;
use crate::application::jobs::dead_letters;
use crate::domain::ids::DeadLetterId;
use crate::infrastructure::repositories::{DeadLetter, DeadLetterFilter, Setup};
use crate::presentation::cli::{
    CliError, counted,
    ids::id,
    open_store::{open_store, open_to_change},
    print_item,
    terminal::stdout,
};
use crate::settings::Settings;

/// The number of dead letters that are read at once.
const PAGE: usize = 100;

#[derive(Args, Debug)]
pub(super) struct Dead {
    #[command(subcommand)]
    command: DeadCommand,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// Show the dead letters, the last to fail first
    List(List),
    /// Deliver the event of a dead letter to its subscriber once more
    Retry(Id),
    /// Remove a dead letter: its subscriber never handles the event
    Discard(Id),
}

#[derive(Args, Debug)]
struct List {
    /// Only those of this subscriber
    #[arg(long, value_name = "NAME")]
    subscriber: Option<String>,
    /// Print a JSON object for each dead letter
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Id {
    /// The id of the dead letter
    #[arg(value_parser = id)]
    id: Uuid,
}

impl Dead {
    pub(super) async fn run(self, settings: Settings) -> Result<(), CliError> {
        match self.command {
            DeadCommand::List(list) => {
                let store = open_store(&settings, Setup::ReadOnly).await?;
                list.run(&store).await
            }
            DeadCommand::Retry(Id { id }) => {
                let store = open_to_change(&settings, "events dead retry").await?;
                retry(&store, DeadLetterId(id)).await
            }
            DeadCommand::Discard(Id { id }) => {
                let store = open_to_change(&settings, "events dead discard").await?;
                dead_letters::discard(&store, DeadLetterId(id)).await.map_err(CliError::Store)
            }
        }
    }
}

impl List {
    async fn run(self, store: &Store) -> Result<(), CliError> {
        let filter = DeadLetterFilter { subscriber: self.subscriber };
        let mut cursor = None;
        loop {
            let page = dead_letters::dead_letters(store, &filter, PAGE, cursor.as_deref())
                .await
                .map_err(CliError::Store)?;
            for letter in &page.items {
                print_item(self.json, letter, &describe(letter))?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

fn describe(letter: &DeadLetter) -> String {
    let DeadLetter { id, subscriber, event_type, subject, attempts, error, failed_at, .. } = letter;
    let attempts = counted(attempts.cast_unsigned(), "attempt", "attempts");
    format!("{id}  {failed_at}  {subscriber}  {event_type} {subject}, {attempts}: {error}")
}

/// Retries a dead letter. If its handler fails again, so does the command.
async fn retry(store: &Store, id: DeadLetterId) -> Result<(), CliError> {
    match dead_letters::retry(store, id).await.map_err(CliError::Store)? {
        Some(letter) => Err(CliError::DeadLetter { subscriber: letter.subscriber, error: letter.error }),
        None => writeln!(stdout(), "the event was handled").map_err(CliError::Output),
    }
}
