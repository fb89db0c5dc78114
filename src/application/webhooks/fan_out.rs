//! The subscriber that turns each event into deliveries to webhook endpoints.

use crate::domain::events::EVENT_TYPES;
use crate::domain::ids::WebhookEndpointId;
use crate::domain::webhook::{WebhookDelivery, WebhookDeliveryStatus};
use crate::infrastructure::events::{CloudEvent, Envelope, Subscriber, TECHNICAL_EVENT_TYPES};
use crate::infrastructure::exceptions::{Failure, Technical};
use crate::infrastructure::repositories::{Connection, UnitOfWork, WebhookRepository};

/// The subscriber `webhooks`.
pub(crate) fn subscriber() -> Subscriber {
    Subscriber::new("webhooks")
        .on_all(EVENT_TYPES, fan_out)
        .on_all(TECHNICAL_EVENT_TYPES, fan_out)
        .only_if(has_endpoints)
}

async fn has_endpoints(connection: &mut Connection) -> Result<bool, Failure> {
    Ok(!WebhookRepository(connection).active_endpoints().await?.is_empty())
}

/// Creates a delivery of the event to each endpoint that receives its type.
async fn fan_out(work: &mut UnitOfWork, event: &Envelope) -> Result<(), Failure> {
    let endpoints = WebhookRepository(work).active_endpoints().await?;
    let receivers =
        endpoints.iter().filter(|endpoint| endpoint.receives(&event.event_type, event.occurred_at));
    let receivers: Vec<_> = receivers.map(|endpoint| endpoint.id).collect();
    if receivers.is_empty() {
        return Ok(());
    }
    let payload = serde_json::to_string(&CloudEvent::new(event)).map_err(Technical::internal)?;
    for endpoint_id in receivers {
        let delivery = new_delivery(work, endpoint_id, event, payload.clone());
        // a replayed event was sent before
        work.insert_new(&delivery).await?;
    }
    Ok(())
}

/// Returns a delivery that is due now.
pub(super) fn new_delivery(
    work: &UnitOfWork,
    endpoint_id: WebhookEndpointId,
    event: &Envelope,
    payload: String,
) -> WebhookDelivery {
    WebhookDelivery {
        id: work.id(),
        endpoint_id,
        event_id: event.id,
        event_type: event.event_type.clone(),
        payload,
        status: WebhookDeliveryStatus::Pending,
        attempts: 0,
        due_at: Some(work.now()),
        lease: None,
        response_status: None,
        error: None,
        created_at: work.now(),
        attempted_at: None,
    }
}
