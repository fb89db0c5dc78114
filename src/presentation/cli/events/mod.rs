//! `undercroft events`: shows the log of events, and manages their delivery.

mod dead;
mod tail;

use std::io::Write;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    CliError, counted,
    ids::id,
    open_store::{open_store, open_to_change},
    print_item,
    terminal::stdout,
};
use crate::application::jobs::event_log::{self, ReplayRequest};
use crate::application::jobs::subscribers;
use crate::infrastructure::events::{Lag, Subscriber};
use crate::infrastructure::repositories::Setup;
use crate::settings::Settings;

/// The arguments of `events`.
#[derive(Args, Debug)]
pub struct Events {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Show the last events, and the next ones as they are published
    Tail(tail::Tail),
    /// Show the subscribers, and the number of events that wait for each
    Subscribers(Subscribers),
    /// Deliver events that a subscriber has read to it once more
    ///
    /// What the subscriber did for them is done again, such as a notification. But `emails` writes no e-mail again, and
    /// `webhooks` sends nothing to an endpoint that has a delivery of the event: `webhooks retry` sends it once more.
    Replay(ReplayEvents),
    /// Show, retry or discard dead letters: events whose handler failed every attempt
    Dead(dead::Dead),
}

impl Events {
    /// Runs the command.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        match self.command {
            EventsCommand::Tail(tail) => tail.run(settings).await,
            EventsCommand::Subscribers(subscribers) => subscribers.run(settings).await,
            EventsCommand::Replay(replay) => replay.run(settings).await,
            EventsCommand::Dead(dead) => dead.run(settings).await,
        }
    }
}

#[derive(Args, Debug)]
struct Subscribers {
    /// Print a JSON object for each subscriber
    #[arg(long)]
    json: bool,
}

impl Subscribers {
    async fn run(self, settings: Settings) -> Result<(), CliError> {
        let store = open_store(&settings, Setup::ReadOnly).await?;
        for lag in event_log::lag(&store).await.map_err(CliError::Store)? {
            print_item(self.json, &lag, &describe(&lag))?;
        }
        Ok(())
    }
}

fn describe(lag: &Lag) -> String {
    let Lag {
        subscriber,
        unread,
        oldest_unread_at,
        postponed,
        dead_letters,
        next_attempt_at,
        last_error,
        ..
    } = lag;
    let since = oldest_unread_at.map(|at| format!(" since {at}")).unwrap_or_default();
    let dead = counted(u64::try_from(*dead_letters).unwrap_or(0), "dead letter", "dead letters");
    let next = next_attempt_at.map(|at| format!(" until {at}")).unwrap_or_default();
    let error = last_error.as_deref().map(|error| format!("; the last attempt failed: {error}"));
    let error = error.unwrap_or_default();
    format!("{subscriber:<24}{unread} unread{since}, {postponed} postponed{next}, {dead}{error}")
}

#[derive(Args, Debug)]
struct ReplayEvents {
    /// The subscriber
    #[arg(value_parser = PossibleValuesParser::new(subscriber_names()))]
    subscriber: String,
    #[command(flatten)]
    selection: Selection,
}

/// Which events are delivered; at least one argument is required.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Selection {
    /// Deliver all events that are kept
    #[arg(long, conflicts_with_all = ["event", "type", "since"])]
    all: bool,
    /// Only the event with this id
    #[arg(long, value_name = "ID", value_parser = id)]
    event: Option<Uuid>,
    /// Only events of this type, such as `order.paid`
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// Only events that were published at this time or later, such as `2026-01-31T00:00:00Z`
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
}

fn subscriber_names() -> Vec<&'static str> {
    subscribers().iter().map(Subscriber::name).collect()
}

impl ReplayEvents {
    async fn run(self, settings: Settings) -> Result<(), CliError> {
        let store = open_to_change(&settings, "events replay").await?;
        let Selection { event, r#type, since, .. } = self.selection;
        let request = ReplayRequest { event, event_type: r#type, since };
        let events = event_log::replay(&store, &self.subscriber, request).await.map_err(CliError::Store)?;
        let events = counted(events, "event", "events");
        writeln!(stdout(), "{events} will be delivered to {}", self.subscriber).map_err(CliError::Output)
    }
}
