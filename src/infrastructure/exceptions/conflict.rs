//! The request is fine by itself and does not fit what is there.

use http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts};

/// The state of things is against it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// 409: somebody changed it meanwhile; read it again, then repeat.
    #[error("changed meanwhile")]
    Stale,
    /// 412: it is no longer the version that `If-Match` names.
    #[error("If-Match does not match")]
    PreconditionFailed,
    /// 409: another one has this value already.
    #[error("{field} is taken")]
    AlreadyExists {
        /// The field whose value is taken.
        field: &'static str,
    },
    /// 409: its state has no such step. An order or a payment has
    /// [`OrderProcessingException`](super::OrderProcessingException).
    #[error("{what} that is {from} cannot become {to}")]
    ForbiddenStep {
        /// What it is.
        what: &'static str,
        /// The state that it is in.
        from: &'static str,
        /// The state asked for.
        to: &'static str,
    },
    /// 409: an order of the account is neither delivered nor given up.
    #[error("an order of the account is under way")]
    OpenOrders,
    /// 409: nobody else could run the store.
    #[error("it is the last administrator")]
    LastAdmin,
    /// 409: other things need it.
    #[error("the {what} is in use")]
    InUse {
        /// What it is.
        what: &'static str,
    },
    /// 409: a rule of the database forbids it, and no use case said more.
    #[error("the database forbids it: {constraint}")]
    Rule {
        /// The rule, for the log only.
        constraint: String,
    },
    /// 409: fewer would be left than orders have reserved.
    #[error("orders have reserved {reserved} pieces")]
    StockReserved {
        /// How many pieces orders have reserved.
        reserved: i64,
    },
    /// 422: the idempotency key was used with another request.
    #[error("the idempotency key was used with another request")]
    IdempotencyKeyReused,
    /// 409: the first request with this idempotency key is still running.
    #[error("the first request with this idempotency key is still running")]
    IdempotencyInProgress,
}

impl Exception for Conflict {
    fn code(&self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::PreconditionFailed => "precondition_failed",
            Self::AlreadyExists { .. } => "already_exists",
            Self::ForbiddenStep { .. } => "forbidden_step",
            Self::OpenOrders => "open_orders",
            Self::LastAdmin => "last_admin",
            Self::InUse { .. } => "in_use",
            Self::Rule { .. } => "conflict",
            Self::StockReserved { .. } => "stock_reserved",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::IdempotencyInProgress => "idempotency_in_progress",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Stale | Self::PreconditionFailed | Self::IdempotencyKeyReused => Kind::Conflict,
            Self::IdempotencyInProgress => Kind::Retryable,
            Self::Rule { .. } => Kind::Internal,
            Self::AlreadyExists { .. }
            | Self::ForbiddenStep { .. }
            | Self::OpenOrders
            | Self::LastAdmin
            | Self::InUse { .. }
            | Self::StockReserved { .. } => Kind::Refused,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::CONFLICT,
        }
    }

    fn details(&self) -> Map<String, Value> {
        match self {
            Self::StockReserved { reserved } => facts([("reserved", json!(reserved))]),
            Self::AlreadyExists { field } => facts([("field", json!(field))]),
            Self::ForbiddenStep { what, from, to } => {
                facts([("what", json!(what)), ("from", json!(from)), ("to", json!(to))])
            }
            Self::InUse { what } => facts([("what", json!(what))]),
            _ => Map::new(),
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::IdempotencyInProgress => vec![(RETRY_AFTER, HeaderValue::from_static("1"))],
            _ => Vec::new(),
        }
    }
}
