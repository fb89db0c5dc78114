//! A request got its response, or its client disconnected.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use uuid::Uuid;

use super::event_bus::Signal;
use crate::domain::ids::UserId;
use crate::domain::trace::TraceContext;
use crate::infrastructure::exceptions::ProblemCode;

/// A request of the HTTP API was received, and got its response, or its client disconnected before: a signal. It has
/// the route instead of the path and no query, since ids and queries may be personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequestReceivedEvent {
    /// The method.
    pub method: Method,
    /// The path of the route, such as `/v1/products/{id}`; `None` if there is no such route.
    pub route: Option<Arc<str>>,
    /// The status of the response; `None` if the client disconnected before it, or the server stopped.
    pub status: Option<StatusCode>,
    /// The time from the head of the request to that of the response, or to the end without one.
    pub latency: Duration,
    /// The user, if the route read a valid token.
    pub user_id: Option<UserId>,
    /// The id of the request, which the response has as `x-request-id`.
    pub request_id: Uuid,
    /// The code of the problem document that the response is, if it is one.
    pub problem: Option<ProblemCode>,
    /// Whether the client sent the request over HTTPS.
    pub is_https: bool,
    /// The time at which the head of the request was received.
    pub received_at: Timestamp,
    /// The trace with the request as its operation.
    pub trace: TraceContext,
    /// The operation of the client that caused the request, if it names one.
    pub caused_by: Option<TraceContext>,
}

impl Signal for ApiRequestReceivedEvent {
    const TYPE: &'static str = "api_request_received";
}
