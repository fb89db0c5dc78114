//! The total of an order is no longer the one that the shopper was shown.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};
use crate::domain::money::Money;
use crate::domain::pricing::Totals;

/// The total differs from the expected one: a price, the discount, the price of shipping or a tax rule changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the total is {}, and {expected} was expected", totals.total)]
pub struct TotalChangedException {
    /// The total that the client expects.
    pub expected: Money,
    /// The present totals.
    pub totals: Totals,
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
        facts([("expected_total", json!(self.expected)), ("totals", json!(self.totals))])
    }
}
