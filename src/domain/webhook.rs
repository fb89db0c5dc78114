//! Webhooks: events that are sent to the servers of others.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::events::EVENT_TYPES;
use super::ids::{UserId, WebhookDeliveryId, WebhookEndpointId};
use super::state::states;
use super::time::later;

/// The waits before the attempts after the first, each up to a tenth longer: about three days in all.
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
const WAITS: [SignedDuration; 9] = [
    SignedDuration::from_secs(5),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
    SignedDuration::from_hours(5),
    SignedDuration::from_hours(10),
    SignedDuration::from_hours(14),
    SignedDuration::from_hours(20),
    SignedDuration::from_hours(24),
];
/// The time without a successful delivery after which an endpoint is deactivated.
const MOST_FAILURE: SignedDuration = SignedDuration::from_hours(5 * 24);
/// The most attempts to one endpoint at the same time.
const CONCURRENCY: usize = 4;
/// The most endpoints of a store.
pub const MAX_WEBHOOK_ENDPOINTS: i64 = 50;
/// How long the previous secret still signs after a rotation.
pub const SECRET_OVERLAP: SignedDuration = SignedDuration::from_hours(24);

states! {
    /// The status of a delivery.
    WebhookDeliveryStatus, "webhook delivery", {
        /// The event is to be sent.
        Pending = "pending" -> [Delivered, Failed],
        /// The endpoint acknowledged the event.
        Delivered = "delivered" -> [Pending],
        /// Every attempt failed.
        Failed = "failed" -> [Pending],
    }
}

/// A server that receives events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEndpoint {
    /// The id.
    pub id: WebhookEndpointId,
    /// The URL to which events are sent.
    pub url: String,
    /// A text for administrators.
    pub description: String,
    /// The types of the events that are sent; those of the business if it is empty.
    pub event_types: Vec<String>,
    /// The secret that signs the messages.
    pub secret: WebhookSecret,
    /// The secret before the last rotation.
    pub previous_secret: Option<WebhookSecret>,
    /// When the previous secret stops signing.
    pub previous_secret_until: Option<Timestamp>,
    /// Whether events are sent.
    pub active: bool,
    /// The time of the first failed attempt since the last successful one.
    pub failing_since: Option<Timestamp>,
    /// The number of changes, from 1.
    pub version: i64,
    /// The administrator who created the endpoint; `None` if an earlier version of the program did.
    pub created_by: Option<UserId>,
    /// When the endpoint was created.
    pub created_at: Timestamp,
    /// When the endpoint was last changed.
    pub updated_at: Timestamp,
}

/// The secret of an endpoint: `whsec_` and random bytes in Base64. It is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(pub String);

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret")
    }
}

impl WebhookEndpoint {
    /// Returns whether an event of a type that was published at a time is sent to the endpoint.
    pub fn receives(&self, event_type: &str, published_at: Timestamp) -> bool {
        let is_wanted = if self.event_types.is_empty() {
            EVENT_TYPES.contains(&event_type)
        } else {
            self.event_types.iter().any(|one| one == event_type)
        };
        self.active && is_wanted && published_at >= self.created_at
    }

    /// Returns the most attempts at the same time. An endpoint that fails gets one, so that it does not use much while
    /// it responds to none.
    pub fn concurrency(&self) -> usize {
        if self.failing_since.is_some() { 1 } else { CONCURRENCY }
    }

    /// Replaces the secret. The previous one still signs for [`SECRET_OVERLAP`]; if another one does already, that one
    /// remains, because receivers have not got the one in between.
    pub fn rotate_secret(&mut self, secret: WebhookSecret, now: Timestamp) {
        let replaced = std::mem::replace(&mut self.secret, secret);
        if self.previous_secret_until.is_none_or(|until| until <= now) {
            self.previous_secret = Some(replaced);
            self.previous_secret_until = Some(later(now, SECRET_OVERLAP));
        }
    }

    /// Returns the secrets that sign a message at `now`, the present one first.
    pub fn secrets(&self, now: Timestamp) -> impl Iterator<Item = &WebhookSecret> {
        let is_valid = self.previous_secret_until.is_some_and(|until| now < until);
        let previous = self.previous_secret.as_ref().filter(|_| is_valid);
        [Some(&self.secret), previous].into_iter().flatten()
    }

    /// Returns whether the endpoint has failed for so long at `now` that it is deactivated when a message has failed
    /// every attempt.
    pub fn is_dead(&self, now: Timestamp) -> bool {
        self.failing_since.is_some_and(|since| now.duration_since(since) >= MOST_FAILURE)
    }
}

/// An event that is sent to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookDelivery {
    /// The id.
    pub id: WebhookDeliveryId,
    /// The endpoint.
    pub endpoint_id: WebhookEndpointId,
    /// The id of the event, by which the endpoint recognizes a repeated message.
    pub event_id: Uuid,
    /// The type of the event.
    pub event_type: String,
    /// The body of the message.
    pub payload: String,
    /// The status.
    pub status: WebhookDeliveryStatus,
    /// The number of attempts that have begun.
    pub attempts: i64,
    /// The time of the next attempt; `None` if there is none. During an attempt, the time by which it has ended.
    pub due_at: Option<Timestamp>,
    /// The attempt that is being made.
    pub lease: Option<Uuid>,
    /// The status of the last response; `None` if there was none.
    pub response_status: Option<i64>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When the delivery was created.
    pub created_at: Timestamp,
    /// When the last attempt ended.
    pub attempted_at: Option<Timestamp>,
}

/// Returns the wait after so many failed attempts; `None` if there is no further one. `random` spreads the attempts.
pub fn wait_after(attempts: i64, random: u8) -> Option<SignedDuration> {
    let wait = usize::try_from(attempts - 1).ok().and_then(|failed| WAITS.get(failed))?;
    Some(*wait + *wait / 10 * i32::from(random) / 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_attempted_ten_times_within_four_days() {
        let waits: Vec<_> = (1..).map_while(|attempts| wait_after(attempts, 0)).collect();
        assert_eq!((waits.len(), waits[0]), (9, SignedDuration::from_secs(5)));
        let longest: SignedDuration = (1..10).filter_map(|attempts| wait_after(attempts, 255)).sum();
        assert!(longest < SignedDuration::from_hours(4 * 24), "{longest}");
        assert!(waits.iter().copied().sum::<SignedDuration>() > SignedDuration::from_hours(3 * 24));
    }
}
