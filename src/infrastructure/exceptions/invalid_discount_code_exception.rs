//! A discount code gives no discount here.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Exception, facts};

/// The code is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("discount code {discount_code:?} refused: {reason:?}")]
pub struct InvalidDiscountCodeException {
    /// The code as it was given.
    pub discount_code: String,
    /// Why it gives nothing.
    pub reason: DiscountRefusal,
}

/// Why a discount code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscountRefusal {
    /// There is no such code.
    Unknown,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotStarted,
    /// It has been used as often as it may be.
    UsedUp,
    /// The cart is worth too little.
    MinimumNotReached,
    /// It is for another currency than the cart's.
    WrongCurrency,
    /// It is switched off.
    Inactive,
}

#[cfg(test)]
impl DiscountRefusal {
    /// Every one.
    pub(super) const ALL: [Self; 7] = [
        Self::Unknown,
        Self::Expired,
        Self::NotStarted,
        Self::UsedUp,
        Self::MinimumNotReached,
        Self::WrongCurrency,
        Self::Inactive,
    ];
}

impl Exception for InvalidDiscountCodeException {
    fn code(&self) -> &'static str {
        "invalid_discount_code"
    }

    fn status(&self) -> StatusCode {
        StatusCode::UNPROCESSABLE_ENTITY
    }

    fn details(&self) -> Map<String, Value> {
        facts([("discount_code", json!(self.discount_code)), ("reason", json!(self.reason))])
    }
}
