//! `undercroft webhooks`: shows webhook endpoints, tests them, and retries deliveries.

use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{
    CliError, counted,
    ids::id,
    open_store::{open_store, open_to_change},
    print_item,
};
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
    List(List),
    /// Show the last deliveries to an endpoint
    Deliveries(Deliveries),
    /// Send an event of the type `webhook.test` to an endpoint; a running server or worker sends it
    Test(Id),
    /// Send a delivery once more; a running server or worker sends it
    Retry(Id),
}

#[derive(Args, Debug)]
struct List {
    /// Print a JSON object for each endpoint
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Deliveries {
    /// The id of the endpoint
    #[arg(value_parser = id)]
    endpoint: Uuid,
    /// The number of deliveries
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    lines: usize,
    /// Print a JSON object for each delivery
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Id {
    /// The id
    #[arg(value_parser = id)]
    id: Uuid,
    /// Print the delivery as a JSON object
    #[arg(long)]
    json: bool,
}

impl Webhooks {
    /// Runs the command.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        let store = match self.command {
            WebhooksCommand::List(_) | WebhooksCommand::Deliveries(_) => {
                open_store(&settings, Setup::ReadOnly).await?
            }
            WebhooksCommand::Test(_) => open_to_change(&settings, "webhooks test").await?,
            WebhooksCommand::Retry(_) => open_to_change(&settings, "webhooks retry").await?,
        };
        match self.command {
            WebhooksCommand::List(List { json }) => list(&store, json).await,
            WebhooksCommand::Deliveries(Deliveries { endpoint, lines, json }) => {
                let filter = WebhookDeliveryFilter { endpoint_id: WebhookEndpointId(endpoint), status: None };
                let page =
                    deliveries::deliveries(&store, &filter, lines, None).await.map_err(CliError::Store)?;
                page.items.iter().try_for_each(|delivery| print_delivery(delivery, json))
            }
            WebhooksCommand::Test(Id { id, json }) => {
                let sent = deliveries::send_test(&store, WebhookEndpointId(id)).await;
                print_delivery(&sent.map_err(CliError::Store)?, json)
            }
            WebhooksCommand::Retry(Id { id, json }) => {
                let retried = deliveries::retry(&store, WebhookDeliveryId(id)).await;
                print_delivery(&retried.map_err(CliError::Store)?, json)
            }
        }
    }
}

async fn list(store: &Store, json: bool) -> Result<(), CliError> {
    let mut cursor = None;
    loop {
        let page = endpoints::endpoints(store, PAGE, cursor.as_deref()).await.map_err(CliError::Store)?;
        page.items.iter().try_for_each(|endpoint| print_endpoint(endpoint, json))?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Prints an endpoint, without its secret.
fn print_endpoint(endpoint: &WebhookEndpoint, json: bool) -> Result<(), CliError> {
    let WebhookEndpoint { id, url, description, event_types, active, failing_since, .. } = endpoint;
    let (created_by, created_at) = (endpoint.created_by, endpoint.created_at);
    let object = json!({
        "id": id, "url": url, "description": description, "event_types": event_types, "active": active,
        "failing_since": failing_since, "created_by": created_by, "created_at": created_at,
    });
    let state = if *active { "active" } else { "not active" };
    let failing = failing_since.map(|since| format!(", failing since {since}")).unwrap_or_default();
    print_item(json, &object, &format!("{id}  {url}  {state}{failing}"))
}

fn print_delivery(delivery: &WebhookDelivery, json: bool) -> Result<(), CliError> {
    let WebhookDelivery { id, event_type, status, attempts, error, created_at, .. } = delivery;
    let object = json!({
        "id": id, "endpoint_id": delivery.endpoint_id, "event_id": delivery.event_id, "event_type": event_type,
        "status": status.name(), "attempts": attempts, "due_at": delivery.due_at,
        "response_status": delivery.response_status, "error": error, "created_at": created_at,
        "attempted_at": delivery.attempted_at,
    });
    let (status, error) =
        (status.name(), error.as_deref().map(|error| format!(": {error}")).unwrap_or_default());
    let attempts = counted(attempts.cast_unsigned(), "attempt", "attempts");
    let text = format!("{id}  {created_at}  {event_type}  {status}, {attempts}{error}");
    print_item(json, &object, &text)
}
