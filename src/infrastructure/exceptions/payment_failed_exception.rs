//! A payment was declined.
//!
//! The reason is one of a few that are safe to show: a vendor's own text may tell a thief why a stolen card
//! no longer works. Lost, stolen and suspected cards, and whatever we do not know, are plainly `Declined`.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Exception, facts};

/// The payment did not go through; nothing was charged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payment failed: {reason:?}")]
pub struct PaymentFailedException {
    /// Why, as far as the buyer may know.
    pub reason: DeclineReason,
}

/// The reasons that a buyer may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// No reason that may be told.
    Declined,
    /// The account holds too little.
    InsufficientFunds,
    /// The card or the authorisation is out of date.
    Expired,
    /// Number, security code, name or address is wrong; which of them is not told.
    IncorrectDetails,
    /// The buyer must confirm the payment with their bank.
    AuthenticationRequired,
    /// Over the limit of the card or account.
    LimitExceeded,
    /// The means of payment does not take this currency or kind of purchase.
    NotSupported,
    /// The vendor could not process it; the same again may work.
    ProcessingError,
}

#[cfg(test)]
impl DeclineReason {
    /// Every one.
    pub(super) const ALL: [Self; 8] = [
        Self::Declined,
        Self::InsufficientFunds,
        Self::Expired,
        Self::IncorrectDetails,
        Self::AuthenticationRequired,
        Self::LimitExceeded,
        Self::NotSupported,
        Self::ProcessingError,
    ];
}

impl Exception for PaymentFailedException {
    fn code(&self) -> &'static str {
        "payment_failed"
    }

    fn status(&self) -> StatusCode {
        StatusCode::PAYMENT_REQUIRED
    }

    fn details(&self) -> Map<String, Value> {
        facts([("reason", json!(self.reason))])
    }
}
