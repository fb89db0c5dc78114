//! A payment was declined.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};
use crate::domain::ports::DeclineReason;

/// The payment was declined; nothing was charged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payment failed: {reason:?}")]
pub struct PaymentFailedException {
    /// The reason, as far as it is safe to show.
    pub reason: DeclineReason,
}

impl Exception for PaymentFailedException {
    fn code(&self) -> &'static str {
        "payment_failed"
    }

    fn kind(&self) -> Kind {
        Kind::Refused
    }

    fn status(&self) -> StatusCode {
        StatusCode::PAYMENT_REQUIRED
    }

    fn details(&self) -> Map<String, Value> {
        facts([("reason", json!(self.reason))])
    }
}
