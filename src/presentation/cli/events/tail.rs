//! `undercroft events tail`: shows the last events, and the next ones as they are published.

use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::application::jobs::event_log;
use crate::infrastructure::events::{CloudEvent, Envelope, EventFilter};
use crate::infrastructure::repositories::Setup;
use crate::presentation::cli::{CliError, open_store::open_store, print_item, signals::interruptible};
use crate::settings::Settings;

/// The wait before the next look for new events.
const POLL: Duration = Duration::from_millis(500);
/// The most events that are read at once.
const BATCH: usize = 500;

#[derive(Args, Debug)]
pub(super) struct Tail {
    /// Only events of this type, such as `order.paid`
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// Only events of this aggregate, such as the id of an order
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// The number of past events
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 10,
        value_parser = clap::value_parser!(u16).range(0..=10_000))]
    lines: u16,
    /// End after the past events
    #[arg(long)]
    no_follow: bool,
    /// Print each event as a CloudEvent in JSON
    #[arg(long)]
    json: bool,
}

impl Tail {
    pub(super) async fn run(self, settings: Settings) -> Result<(), CliError> {
        interruptible(async |stop| self.tail(&settings, &stop).await).await
    }

    async fn tail(&self, settings: &Settings, stop: &CancellationToken) -> Result<(), CliError> {
        let store = open_store(settings, Setup::ReadOnly).await?;
        let filter = EventFilter { event_type: self.r#type.clone(), subject: self.subject.clone() };

        let (mut events, mut position) =
            event_log::last(&store, &filter, self.lines.into()).await.map_err(CliError::Store)?;
        loop {
            for event in &events {
                print_item(self.json, &CloudEvent::new(event), &describe(event))?;
            }
            if self.no_follow || stop.is_cancelled() {
                return Ok(());
            }
            if events.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(POLL) => {}
                }
            }
            (events, position) =
                event_log::after(&store, position, &filter, BATCH).await.map_err(CliError::Store)?;
        }
    }
}

fn describe(event: &Envelope) -> String {
    let Envelope { occurred_at, event_type, subject, data, .. } = event;
    format!("{occurred_at}  {event_type:<24}{subject}  {data}")
}
