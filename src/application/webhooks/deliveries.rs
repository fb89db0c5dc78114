//! The deliveries to webhook endpoints: listed, retried, tested, and deleted after a month.

use jiff::SignedDuration;
use serde_json::json;

use super::fan_out::new_delivery;
use crate::domain::ids::{WebhookDeliveryId, WebhookEndpointId};
use crate::domain::webhook::{WebhookDelivery, WebhookEndpoint};
use crate::infrastructure::events::{CloudEvent, Envelope};
use crate::infrastructure::exceptions::{Conflict, Failure, NotFound, Technical};
use crate::infrastructure::repositories::{Page, UnitOfWork, WebhookDeliveryFilter, WebhookRepository};

use crate::application::Store;

/// The retention of a delivery after its last attempt, or after its creation.
pub const WEBHOOK_RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The type of the event of a test.
pub const TEST_EVENT: &str = "webhook.test";

/// Returns a page of the deliveries to an endpoint, newest first.
pub async fn deliveries(
    store: &Store,
    filter: &WebhookDeliveryFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<WebhookDelivery>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    let page = WebhookRepository(&mut connection).deliveries(filter, &request).await?;
    if page.items.is_empty() && !connection.exists::<WebhookEndpoint>(filter.endpoint_id).await? {
        return Err(NotFound::WebhookEndpoint.into());
    }
    Ok(page)
}

/// Returns a delivery.
pub async fn delivery(store: &Store, id: WebhookDeliveryId) -> Result<WebhookDelivery, Failure> {
    Ok(store.database().read().await?.find(id).await?.ok_or(NotFound::WebhookDelivery)?)
}

/// Sends a delivery once more, whatever its status, with as many attempts as a new one. The message has the same id.
///
/// # Errors
///
/// [`NotFound::WebhookDelivery`], and [`Conflict::WebhookEndpointInactive`].
pub async fn retry(store: &Store, id: WebhookDeliveryId) -> Result<WebhookDelivery, Failure> {
    let write = store.database().write(id, async |work, id| {
        WebhookRepository::retry(work, *id).await?;
        let delivery: WebhookDelivery = work.find(*id).await?.ok_or(NotFound::WebhookDelivery)?;
        require_active(work, delivery.endpoint_id).await?;
        Ok::<_, Failure>(delivery)
    });
    write.await
}

/// Sends an event of the type [`TEST_EVENT`] to an endpoint; returns its delivery.
///
/// # Errors
///
/// [`NotFound::WebhookEndpoint`], and [`Conflict::WebhookEndpointInactive`].
pub async fn send_test(store: &Store, id: WebhookEndpointId) -> Result<WebhookDelivery, Failure> {
    let write = store.database().write(id, async |work, id| {
        require_active(work, *id).await?;
        let event = Envelope {
            position: 0,
            id: work.id(),
            event_type: TEST_EVENT.to_owned(),
            version: 1,
            subject: id.to_string(),
            occurred_at: work.now(),
            data: json!({"webhook_endpoint_id": id}),
            trace: None,
        };
        let payload = serde_json::to_string(&CloudEvent::new(&event)).map_err(Technical::internal)?;
        let delivery = new_delivery(work, *id, &event, payload);
        work.insert(&delivery).await?;
        Ok::<_, Failure>(delivery)
    });
    write.await
}

/// Fails if an endpoint does not exist or is not active.
async fn require_active(work: &mut UnitOfWork, id: WebhookEndpointId) -> Result<(), Failure> {
    let endpoint: WebhookEndpoint = work.find(id).await?.ok_or(NotFound::WebhookEndpoint)?;
    if endpoint.active { Ok(()) } else { Err(Conflict::WebhookEndpointInactive.into()) }
}
