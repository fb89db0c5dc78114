//! A change of an order or its payment is not possible: its status forbids it, or another change is in progress.

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts, retry_after_a_second};
use crate::domain::money::Money;
use crate::domain::placed_order::CancellationRefusal;

/// The order, or the cart of an order, was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderProcessingException {
    /// The present status has no transition to the requested one; a repeated request fails again.
    #[error("{what} that is {from} cannot be {to}")]
    Forbidden {
        /// What has the status: `order`, `payment`, …
        what: &'static str,
        /// The present status.
        from: &'static str,
        /// The requested status.
        to: &'static str,
    },
    /// The cart is already ordered.
    #[error("the cart is already ordered")]
    CartOrdered,
    /// The price of the cart's lines is less than what the store delivers.
    #[error("the subtotal is not at least {}", minimum.amount)]
    BelowMinimum {
        /// The least subtotal.
        minimum: Money,
    },
    /// The buyer cannot cancel the order; an administrator can.
    #[error("the buyer cannot cancel the order: {0}")]
    NotCancellable(CancellationRefusal),
    /// An earlier change is still in progress; a repeated request may succeed soon.
    #[error("still being processed")]
    InProgress,
}

impl Exception for OrderProcessingException {
    fn code(&self) -> &'static str {
        "order_processing"
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Forbidden { .. }
            | Self::CartOrdered
            | Self::BelowMinimum { .. }
            | Self::NotCancellable(_) => Kind::Refused,
            Self::InProgress => Kind::Retryable,
        }
    }

    fn status(&self) -> StatusCode {
        StatusCode::CONFLICT
    }

    fn details(&self) -> Map<String, Value> {
        match self {
            Self::Forbidden { what, from, to } => facts([
                ("reason", json!("forbidden")),
                ("what", json!(what)),
                ("from", json!(from)),
                ("to", json!(to)),
            ]),
            Self::CartOrdered => facts([("reason", json!("cart_ordered"))]),
            Self::BelowMinimum { minimum } => {
                facts([("reason", json!("below_minimum")), ("minimum", json!(minimum))])
            }
            Self::NotCancellable(CancellationRefusal::DigitalGoods) => {
                facts([("reason", json!("digital_goods"))])
            }
            Self::NotCancellable(CancellationRefusal::Subscription) => {
                facts([("reason", json!("subscription"))])
            }
            Self::NotCancellable(CancellationRefusal::TooLate { until }) => {
                facts([("reason", json!("too_late")), ("until", json!(until))])
            }
            Self::InProgress => facts([("reason", json!("in_progress"))]),
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::InProgress => retry_after_a_second(),
            _ => Vec::new(),
        }
    }
}
