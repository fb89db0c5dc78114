//! Webhooks: events are sent to endpoints that administrators manage, at least once and in no order.
//!
//! The subscriber of `fan_out` turns an event into a delivery for each endpoint, exactly once. The sender attempts each
//! delivery until the endpoint acknowledges it or the last attempt has failed.

pub mod deliveries;
pub mod endpoints;
pub(crate) mod fan_out;
pub(crate) mod sender;

pub use deliveries::WEBHOOK_RETENTION;
