//! The total of an order is no longer the one that the shopper was shown.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};
use crate::domain::money::Money;

/// The total differs from the expected one: a price, the discount, the shipping costs or a tax rule changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the total is {total}, and {expected} was expected")]
pub struct TotalChangedException {
    /// The total that the client expects.
    pub expected: Money,
    /// The present price of the items before the discount.
    pub subtotal: Money,
    /// The present amount of the discount.
    pub discount: Money,
    /// The present shipping costs.
    pub shipping: Money,
    /// The present tax.
    pub tax: Money,
    /// The present amount to pay.
    pub total: Money,
}

impl Exception for TotalChangedException {
    fn code(&self) -> &'static str {
        "total_changed"
    }

    fn kind(&self) -> Kind {
        Kind::Conflict
    }

    fn status(&self) -> StatusCode {
        StatusCode::CONFLICT
    }

    fn details(&self) -> Map<String, Value> {
        let Self { expected: _, subtotal, discount, shipping, tax, total } = self;
        let totals = json!({
            "subtotal": subtotal, "discount": discount, "shipping": shipping, "tax": tax, "total": total,
        });
        facts([("expected_total", json!(self.expected)), ("totals", totals)])
    }
}
