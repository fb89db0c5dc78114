//! The end of a service, which its last event records.

use super::{JobContext, event_log, job_queue};
use crate::application::Store;
use crate::application::webhooks::endpoints;
use crate::infrastructure::events::{DrainedRequests, HandedOver, ServiceShutdownEvent};
use crate::infrastructure::exceptions::Failure;

/// Publishes that a service was stopped, with the work that it leaves.
pub async fn record(
    store: &Store,
    service: &str,
    reason: &str,
    requests: Option<DrainedRequests>,
) -> Result<(), Failure> {
    let event = ServiceShutdownEvent {
        service: service.to_owned(),
        reason: reason.to_owned(),
        requests,
        handed_over: handed_over(store).await?,
    };
    store.database().write(event, async |work, event| Ok(work.publish(event).await?)).await
}

async fn handed_over(store: &Store) -> Result<HandedOver, Failure> {
    let lags = event_log::lag(store).await?;
    Ok(HandedOver {
        unread_events: lags.iter().map(|lag| lag.unread).sum(),
        postponed_events: lags.iter().map(|lag| lag.postponed).sum(),
        webhook_deliveries: endpoints::counts(store).await?.pending,
        jobs: job_queue(store).count_due(&JobContext::new(store)).await?,
    })
}
