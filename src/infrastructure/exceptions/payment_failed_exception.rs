//! A payment was declined.
//!
//! The reason is one of a few that are safe to show: a vendor's own text may tell a thief why a stolen card
//! no longer works. Lost, stolen and suspected cards, and whatever we do not know, are plainly `Declined`.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};
use crate::domain::ports::DeclineReason;

/// The payment did not go through; nothing was charged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payment failed: {reason:?}")]
pub struct PaymentFailedException {
    /// Why, as far as the buyer may know.
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
