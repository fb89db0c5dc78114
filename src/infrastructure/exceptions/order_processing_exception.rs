//! An order cannot take this step: its state forbids it, or it is still being worked on.

use http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};

/// The step was not taken; the order is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderProcessingException {
    /// The order's state has no such step; the same again will be refused again.
    #[error("{what} that is {from} cannot become {to}")]
    Forbidden {
        /// What it is: the order, its payment, …
        what: &'static str,
        /// The state that it is in.
        from: &'static str,
        /// The state asked for.
        to: &'static str,
    },
    /// An earlier step is still running; the same again may work soon.
    #[error("still being processed")]
    InProgress,
}

impl Exception for OrderProcessingException {
    fn code(&self) -> &'static str {
        "order_processing"
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Forbidden { .. } => Kind::Refused,
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
            Self::InProgress => facts([("reason", json!("in_progress"))]),
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::Forbidden { .. } => Vec::new(),
            Self::InProgress => vec![(RETRY_AFTER, HeaderValue::from_static("1"))],
        }
    }
}
