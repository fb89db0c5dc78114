//! A service was stopped.

use serde::{Deserialize, Serialize};

use crate::domain::events::DurableEvent;

/// A server or a worker was stopped in an orderly way: the last event that it publishes. After a crash there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceShutdownEvent {
    /// The service: `server`, with or without a worker, or `worker`.
    pub service: String,
    /// Why it was stopped: the name of a signal, or `worker_failed`.
    pub reason: String,
    /// The requests of a server.
    pub requests: Option<DrainedRequests>,
    /// What is left for another process, or for the next start.
    pub handed_over: HandedOver,
}

/// The requests of a server that was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainedRequests {
    /// The requests that got a response, since the start.
    pub served: u64,
    /// The requests that were in progress at the stop and got their response.
    pub drained: u64,
    /// The connections with requests that got none within the grace period.
    pub cut_off: u64,
}

/// The work that was left when a service was stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// The events that a subscriber has not read, added up over the subscribers.
    pub unread_events: i64,
    /// The events that wait for a further attempt, added up over the subscribers.
    pub postponed_events: i64,
    /// The deliveries to webhook endpoints that wait for an attempt, or for the outcome of one.
    pub webhook_deliveries: i64,
    /// The jobs that are due and have work, with those that this service released.
    pub jobs: i64,
}

impl DurableEvent for ServiceShutdownEvent {
    const TYPE: &'static str = "service_shutdown";

    fn subject(&self) -> String {
        self.service.clone()
    }
}
