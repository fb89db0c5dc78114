//! The subscription has expired.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};

/// The subscription has expired and cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the subscription ended at {ended_at}")]
pub struct SubscriptionExpiredException {
    /// The end of the last paid period.
    pub ended_at: Timestamp,
}

impl Exception for SubscriptionExpiredException {
    fn code(&self) -> &'static str {
        "subscription_expired"
    }

    fn kind(&self) -> Kind {
        Kind::Refused
    }

    fn status(&self) -> StatusCode {
        StatusCode::FORBIDDEN
    }

    fn details(&self) -> Map<String, Value> {
        facts([("ended_at", json!(self.ended_at))])
    }
}
