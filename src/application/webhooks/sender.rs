//! The sender of webhooks: attempts the deliveries that are due, a limited number at the same time.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use crate::domain::ids::{WebhookDeliveryId, WebhookEndpointId};
use crate::domain::notification::NotificationFacts;
use crate::domain::permission::{Permission, Resource};
use crate::domain::time::later;
use crate::domain::webhook::{WebhookDelivery, WebhookDeliveryStatus, WebhookEndpoint, wait_after};
use crate::infrastructure::adapters::{WEBHOOK_TIMEOUT, WebhookError, WebhookMessage, WebhookResponse};
use crate::infrastructure::events::{CallOutcome, CloudEvent, ThirdPartyApiResponseEvent};
use crate::infrastructure::exceptions::{Failure, RepeatedFailure, with_causes};
use crate::infrastructure::repositories::{
    UnitOfWork, WebhookAttempt, WebhookRepository, current_trace, in_trace,
};

use crate::application::Store;
use crate::application::people::notify::notify_admins;

/// The wait for the next look for deliveries.
const POLL: Duration = Duration::from_millis(500);
/// The time after the time-out of an attempt at which another process may make the next one.
const MARGIN: SignedDuration = SignedDuration::from_secs(15);
/// The status by which an endpoint asks not to be sent to any more.
const GONE: u16 = 410;

/// Sends deliveries as they become due, a limited number to each endpoint at the same time. Does not end.
///
/// Dropping the future is safe: an attempt whose outcome was not recorded is made again after its time.
pub(crate) async fn send(store: &Store) {
    // tasks of their own, because an attempt is not to wait while others begin
    let mut running = JoinSet::new();
    // the endpoint of each
    let mut endpoints = HashMap::<Id, WebhookEndpointId>::new();
    let mut failing = RepeatedFailure::default();
    loop {
        let begun = begin(store, &endpoints).await.inspect(|_| failing.end());
        let begun = begun.unwrap_or_else(|failure| {
            if let Some(failure) = failing.begin(&failure) {
                tracing::warn!(%failure, "no webhook deliveries could be read, retrying");
            }
            Vec::new()
        });
        for (delivery, endpoint) in begun {
            let (id, trace) = (endpoint.id, CloudEvent::trace_of(&delivery.payload));
            let task = running.spawn(in_trace(trace, attempt(store.clone(), delivery, endpoint)));
            endpoints.insert(task.id(), id);
        }

        tokio::select! {
            Some(ended) = running.join_next_with_id() => {
                endpoints.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Begins the attempts that are due, as many to each endpoint as it may have beside those that are running.
async fn begin(
    store: &Store,
    running: &HashMap<Id, WebhookEndpointId>,
) -> Result<Vec<(WebhookDelivery, WebhookEndpoint)>, Failure> {
    let (now, mut due) = (store.now(), Vec::new());
    {
        let mut connection = store.database().read().await?;
        let mut webhooks = WebhookRepository(&mut connection);
        for endpoint in webhooks.active_endpoints().await? {
            let sending = running.values().filter(|id| **id == endpoint.id).count();
            let free = endpoint.concurrency().saturating_sub(sending);
            if free > 0 {
                let ids = webhooks.due(endpoint.id, now, free).await?;
                due.extend(ids.into_iter().map(|id| (id, endpoint.clone())));
            }
        }
    }
    if due.is_empty() {
        return Ok(Vec::new());
    }
    store.database().write(due, async |work, due| lease(work, due).await).await
}

async fn lease(
    work: &mut UnitOfWork,
    due: &[(WebhookDeliveryId, WebhookEndpoint)],
) -> Result<Vec<(WebhookDelivery, WebhookEndpoint)>, Failure> {
    let seconds = i64::try_from(WEBHOOK_TIMEOUT.as_secs()).unwrap_or(i64::MAX);
    let until = later(work.now(), SignedDuration::from_secs(seconds) + MARGIN);
    let mut begun = Vec::with_capacity(due.len());
    for (id, endpoint) in due {
        if let Some(delivery) = WebhookRepository::lease(work, *id, until).await? {
            begun.push((delivery, endpoint.clone()));
        }
    }
    Ok(begun)
}

/// Makes an attempt, within the trace of what caused the event, and records its outcome.
async fn attempt(store: Store, delivery: WebhookDelivery, endpoint: WebhookEndpoint) {
    let now = store.now();
    let message = WebhookMessage {
        url: &endpoint.url,
        id: delivery.event_id,
        at: now,
        media_type: CloudEvent::MEDIA_TYPE,
        body: &delivery.payload,
        trace: current_trace(),
    };
    let began = Instant::now();
    let sent = store.infrastructure.webhooks.send(&message, endpoint.secrets(now)).await;
    store.infrastructure.bus.emit(&signal(&sent, began.elapsed(), delivery.attempts));
    let (response, error) = match sent {
        Ok(response) if response.is_acknowledged() => (Some(response), None),
        Ok(response) => (Some(response), Some(format!("the response has the status {}", response.status))),
        Err(error) => (None, Some(with_causes(&error).to_string())),
    };

    let given = (delivery, response, error);
    let write = store.database().write(given, async |work, (delivery, response, error)| {
        conclude(work, delivery, *response, error.as_deref()).await
    });
    if let Err(failure) = write.await {
        tracing::warn!(failure = %failure.report(), "the outcome of a webhook delivery was not recorded; it is sent again");
    }
}

/// Returns the signal of an attempt.
fn signal(
    sent: &Result<WebhookResponse, WebhookError>,
    latency: Duration,
    attempt: i64,
) -> ThirdPartyApiResponseEvent {
    let outcome = match sent {
        Ok(response) if response.is_acknowledged() => CallOutcome::Succeeded,
        Ok(_) => CallOutcome::Refused,
        Err(WebhookError::Endpoint(_) | WebhookError::Resolve(_) | WebhookError::Connect(_)) => {
            CallOutcome::Unavailable
        }
        Err(WebhookError::Http(_) | WebhookError::TimedOut) => CallOutcome::NoResponse,
    };
    let status = sent.as_ref().ok().map(|response| response.status);
    ThirdPartyApiResponseEvent {
        vendor: "webhook",
        operation: "deliver",
        status,
        outcome,
        latency,
        attempt,
        trace: current_trace(),
    }
}

/// Records the outcome of an attempt, unless another process has begun one since.
async fn conclude(
    work: &mut UnitOfWork,
    delivery: &WebhookDelivery,
    response: Option<WebhookResponse>,
    error: Option<&str>,
) -> Result<(), Failure> {
    let Some(lease) = delivery.lease else { return Ok(()) };
    let (status, due_at) = match error {
        None => (WebhookDeliveryStatus::Delivered, None),
        Some(_) => next_attempt(work, delivery.attempts, response),
    };
    let recorded = WebhookAttempt {
        id: delivery.id,
        lease,
        status,
        due_at,
        response_status: response.map(|response| response.status.into()),
        error: error.map(str::to_owned),
    };
    if !WebhookRepository::record(work, &recorded).await? {
        return Ok(());
    }

    let Some(mut endpoint) = work.find::<WebhookEndpoint>(delivery.endpoint_id).await? else { return Ok(()) };
    let failing_since = error.map(|_| endpoint.failing_since.unwrap_or(work.now()));
    if failing_since != endpoint.failing_since {
        endpoint.failing_since = failing_since;
        WebhookRepository::set_failing(work, endpoint.id, failing_since).await?;
    }
    let is_gone = response.is_some_and(|response| response.status == GONE);
    let is_dead = status == WebhookDeliveryStatus::Failed && endpoint.is_dead(work.now());
    if endpoint.active && (is_gone || is_dead) {
        deactivate(work, endpoint, is_gone).await?;
    }
    Ok(())
}

/// Returns the status of a delivery after so many failed attempts, and the time of the next one.
fn next_attempt(
    work: &UnitOfWork,
    attempts: i64,
    response: Option<WebhookResponse>,
) -> (WebhookDeliveryStatus, Option<Timestamp>) {
    let mut random = [0];
    work.secret(&mut random);
    let Some(wait) = wait_after(attempts, random[0]) else { return (WebhookDeliveryStatus::Failed, None) };
    let asked = response.and_then(|response| response.retry_after).map(SignedDuration::from_secs);
    (WebhookDeliveryStatus::Pending, Some(later(work.now(), wait.max(asked.unwrap_or(wait)))))
}

/// Deactivates an endpoint, and notifies the administrators. Its pending deliveries wait until it is activated again.
async fn deactivate(
    work: &mut UnitOfWork,
    mut endpoint: WebhookEndpoint,
    is_gone: bool,
) -> Result<(), Failure> {
    let reason =
        if is_gone { "it responded that it is gone (410)" } else { "it acknowledged no event for days" };
    tracing::warn!(endpoint = %endpoint.id, reason, "a webhook endpoint was deactivated");
    endpoint.active = false;
    work.update(&mut endpoint).await?;
    let facts = NotificationFacts { url: Some(endpoint.url), ..NotificationFacts::default() };
    let permission = Permission::read(Resource::WebhookEndpoints);
    notify_admins(work, permission, "webhook_deactivated", &facts).await
}
