//! A discount code cannot be redeemed for a cart.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};
use crate::domain::discount::DiscountRejection;

/// The code is unknown, or its discount does not apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("discount code {discount_code:?} refused: {}", self.reason())]
pub struct InvalidDiscountCodeException {
    /// The code in the request.
    pub discount_code: String,
    /// The reason why the discount does not apply; `None` if the code is unknown.
    pub reason: Option<DiscountRejection>,
}

impl InvalidDiscountCodeException {
    /// Returns the code of the reason.
    pub fn reason(&self) -> &'static str {
        match self.reason {
            None => "unknown",
            Some(DiscountRejection::Expired) => "expired",
            Some(DiscountRejection::NotStarted) => "not_started",
            Some(DiscountRejection::UsedUp) => "used_up",
            Some(DiscountRejection::MinimumNotReached { .. }) => "minimum_not_reached",
            Some(DiscountRejection::WrongCurrency) => "wrong_currency",
            Some(DiscountRejection::Inactive) => "inactive",
        }
    }
}

impl Exception for InvalidDiscountCodeException {
    fn code(&self) -> &'static str {
        "invalid_discount_code"
    }

    fn kind(&self) -> Kind {
        Kind::Refused
    }

    fn status(&self) -> StatusCode {
        StatusCode::UNPROCESSABLE_ENTITY
    }

    fn details(&self) -> Map<String, Value> {
        let minimum = match self.reason {
            Some(DiscountRejection::MinimumNotReached { minimum }) => json!(minimum),
            _ => Value::Null,
        };
        facts([
            ("discount_code", json!(self.discount_code)),
            ("reason", json!(self.reason())),
            ("minimum", minimum),
        ])
    }
}
