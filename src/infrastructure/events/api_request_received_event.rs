//! A request got its response.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use uuid::Uuid;

use super::event_bus::Signal;
use crate::domain::ids::UserId;

/// A request of the HTTP API was received, and got its response: a signal. It has the route instead of the path and no
/// query, since ids and queries may be personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequestReceivedEvent {
    /// The method.
    pub method: Method,
    /// The path of the route, such as `/v1/products/{id}`; `None` if there is no such route, or if the response is due
    /// to a time-out or a panic.
    pub route: Option<Arc<str>>,
    /// The status of the response.
    pub status: StatusCode,
    /// The time from the head of the request to that of the response.
    pub latency: Duration,
    /// The user, if the route read a valid token.
    pub user_id: Option<UserId>,
    /// The id of the request, which the response has as `x-request-id`.
    pub request_id: Uuid,
}

impl Signal for ApiRequestReceivedEvent {
    const TYPE: &'static str = "api_request_received";
}
