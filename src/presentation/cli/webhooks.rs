//! `undercroft webhooks`: shows webhook endpoints, tests them, and retries deliveries.

use std::io::{Write, stdout};

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{CliError, open_store::open_store};
use crate::application::Store;
use crate::application::webhooks::{deliveries, endpoints};
use crate::domain::ids::{WebhookDeliveryId, WebhookEndpointId};
use crate::domain::state::State;
use crate::domain::webhook::{WebhookDelivery, WebhookEndpoint};
use crate::infrastructure::repositories::{Setup, WebhookDeliveryFilter};
use crate::settings::Settings;

/// The number of endpoints that are read at once.
const PAGE: usize = 100;

/// The arguments of `webhooks`.
#[derive(Args, Debug)]
pub struct Webhooks {
    #[command(subcommand)]
    command: WebhooksCommand,
}

#[derive(Debug, Subcommand)]
enum WebhooksCommand {
    /// Show the endpoints
    List,
    /// Show the last deliveries to an endpoint
    Deliveries(Deliveries),
    /// Send an event of the type `webhook.test` to an endpoint; a running server sends it
    Test(Id),
    /// Send a delivery once more; a running server sends it
    Retry(Id),
}

#[derive(Args, Debug)]
struct Deliveries {
    /// The id of the endpoint
    endpoint: Uuid,
    /// The number of deliveries
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    lines: usize,
}

#[derive(Args, Debug)]
struct Id {
    /// The id
    id: Uuid,
}

impl Webhooks {
    /// Runs the command.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let setup = match self.command {
            WebhooksCommand::List | WebhooksCommand::Deliveries(_) => Setup::ReadOnly,
            WebhooksCommand::Test(_) | WebhooksCommand::Retry(_) => Setup::IfEmpty,
        };
        let store = open_store(&settings, setup).await?;
        match self.command {
            WebhooksCommand::List => list(&store).await,
            WebhooksCommand::Deliveries(Deliveries { endpoint, lines }) => {
                let filter = WebhookDeliveryFilter { endpoint_id: WebhookEndpointId(endpoint), status: None };
                let page =
                    deliveries::deliveries(&store, &filter, lines, None).await.map_err(CliError::Store)?;
                page.items.iter().try_for_each(print_delivery)
            }
            WebhooksCommand::Test(Id { id }) => {
                let sent = deliveries::send_test(&store, WebhookEndpointId(id)).await;
                print_delivery(&sent.map_err(CliError::Store)?)
            }
            WebhooksCommand::Retry(Id { id }) => {
                let retried = deliveries::retry(&store, WebhookDeliveryId(id)).await;
                print_delivery(&retried.map_err(CliError::Store)?)
            }
        }
    }
}

async fn list(store: &Store) -> Result<(), CliError> {
    let mut cursor = None;
    loop {
        let page = endpoints::endpoints(store, PAGE, cursor.as_deref()).await.map_err(CliError::Store)?;
        page.items.iter().try_for_each(print_endpoint)?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn print_endpoint(endpoint: &WebhookEndpoint) -> Result<(), CliError> {
    let WebhookEndpoint { id, url, active, failing_since, .. } = endpoint;
    let state = if *active { "active" } else { "not active" };
    let failing = failing_since.map(|since| format!(", failing since {since}")).unwrap_or_default();
    writeln!(stdout(), "{id}  {url}  {state}{failing}").map_err(CliError::Output)
}

fn print_delivery(delivery: &WebhookDelivery) -> Result<(), CliError> {
    let WebhookDelivery { id, event_type, status, attempts, error, created_at, .. } = delivery;
    let (status, error) =
        (status.name(), error.as_deref().map(|error| format!(": {error}")).unwrap_or_default());
    writeln!(stdout(), "{id}  {created_at}  {event_type}  {status}, {attempts} attempts{error}")
        .map_err(CliError::Output)
}
