//! A discount code cannot be redeemed for a cart.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};
use crate::domain::discount::DiscountRefusal;

/// The code is unknown, or its discount does not apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("discount code {discount_code:?} refused: {}", self.reason())]
pub struct InvalidDiscountCodeException {
    /// The code in the request.
    pub discount_code: String,
    /// The reason why the discount does not apply; `None` if the code is unknown.
    pub refusal: Option<DiscountRefusal>,
}

impl InvalidDiscountCodeException {
    /// The code of the reason.
    pub fn reason(&self) -> &'static str {
        match self.refusal {
            None => "unknown",
            Some(DiscountRefusal::Expired) => "expired",
            Some(DiscountRefusal::NotStarted) => "not_started",
            Some(DiscountRefusal::UsedUp) => "used_up",
            Some(DiscountRefusal::MinimumNotReached { .. }) => "minimum_not_reached",
            Some(DiscountRefusal::WrongCurrency) => "wrong_currency",
            Some(DiscountRefusal::Inactive) => "inactive",
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
        let minimum = match self.refusal {
            Some(DiscountRefusal::MinimumNotReached { minimum }) => json!(minimum),
            _ => Value::Null,
        };
        facts([
            ("discount_code", json!(self.discount_code)),
            ("reason", json!(self.reason())),
            ("minimum", minimum),
        ])
    }
}
