//! The request is valid by itself, and conflicts with the present state of a resource.

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::{Exception, Kind, facts, retry_after_a_second};

/// The present state of a resource does not allow the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// 409: another request changed the resource meanwhile; read it again, then repeat the request.
    #[error("the resource was changed meanwhile")]
    Stale,
    /// 412: the resource no longer has the version in `If-Match`.
    #[error("If-Match does not match")]
    PreconditionFailed,
    /// 409: another resource has this value, which must be unique.
    #[error("the value of {field} is already used")]
    AlreadyExists {
        /// The field.
        field: &'static str,
    },
    /// 409: another variant has this SKU.
    #[error("the SKU {sku} is already used")]
    SkuTaken {
        /// The merchant's code of the variant.
        sku: String,
    },
    /// 409: the user has reviewed the product already.
    #[error("the user has reviewed the product already")]
    AlreadyReviewed,
    /// 409: the status has no transition to the requested one. Orders and payments have
    /// [`OrderProcessingException`](super::OrderProcessingException).
    #[error("{what} that is {from} cannot be {to}")]
    ForbiddenTransition {
        /// The type of the resource.
        what: &'static str,
        /// The present status.
        from: &'static str,
        /// The requested status.
        to: &'static str,
    },
    /// 409: an order of the account is pending, or paid and not fulfilled.
    #[error("the account has open orders")]
    OpenOrders,
    /// 409: the user is the last administrator who may do everything.
    #[error("the user is the last administrator who may do everything")]
    LastAdmin,
    /// 409: the category has products or subcategories.
    #[error("the category has {products} products and {subcategories} subcategories")]
    CategoryInUse {
        /// The number of products, without those of subcategories.
        products: i64,
        /// The number of direct subcategories.
        subcategories: i64,
    },
    /// 409: orders used the discount.
    #[error("orders used the discount")]
    DiscountInUse,
    /// 409: the file is an image of a product.
    #[error("the file is an image of a product")]
    FileInUse,
    /// 409: the stock would be less than what orders have reserved.
    #[error("orders have reserved {reserved} pieces")]
    StockReserved {
        /// The reserved pieces.
        reserved: i64,
    },
    /// 409: the webhook endpoint is not active: nothing is sent to it.
    #[error("the webhook endpoint is not active")]
    WebhookEndpointInactive,
    /// 409: the store has as many webhook endpoints as it may have.
    #[error("the store has as many webhook endpoints as it may have")]
    TooManyWebhookEndpoints,
    /// 409: the store has as many feature flags as it may have.
    #[error("the store has as many feature flags as it may have")]
    TooManyFeatureFlags,
    /// 409: the store has as many roles as it may have.
    #[error("the store has as many roles as it may have")]
    TooManyRoles,
    /// 409: users have the role.
    #[error("users have the role")]
    RoleInUse,
    /// 409: the user has the most API keys that are allowed.
    #[error("the user has as many API keys as are allowed")]
    TooManyApiKeys,
    /// 409: the user has not verified the e-mail address, so anyone may have registered with it.
    #[error("the user has not verified the e-mail address")]
    EmailNotVerified,
    /// 409: the store sends no e-mails.
    #[error("the store sends no e-mails")]
    NoEmails,
    /// 422: the idempotency key was used with another request.
    #[error("the idempotency key was used with another request")]
    IdempotencyKeyReused,
    /// 409: the first request with the idempotency key is still in progress.
    #[error("the first request with the idempotency key is still in progress")]
    IdempotencyInProgress,
}

impl Exception for Conflict {
    fn code(&self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::PreconditionFailed => "precondition_failed",
            Self::AlreadyExists { .. } | Self::SkuTaken { .. } => "already_exists",
            Self::AlreadyReviewed => "already_reviewed",
            Self::ForbiddenTransition { .. } => "forbidden_transition",
            Self::OpenOrders => "open_orders",
            Self::LastAdmin => "last_admin",
            Self::CategoryInUse { .. } | Self::DiscountInUse | Self::FileInUse | Self::RoleInUse => "in_use",
            Self::StockReserved { .. } => "stock_reserved",
            Self::WebhookEndpointInactive => "webhook_endpoint_inactive",
            Self::TooManyWebhookEndpoints => "too_many_webhook_endpoints",
            Self::TooManyFeatureFlags => "too_many_feature_flags",
            Self::TooManyRoles => "too_many_roles",
            Self::TooManyApiKeys => "too_many_api_keys",
            Self::EmailNotVerified => "email_not_verified",
            Self::NoEmails => "no_emails",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::IdempotencyInProgress => "idempotency_in_progress",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Stale | Self::PreconditionFailed | Self::IdempotencyKeyReused => Kind::Conflict,
            Self::IdempotencyInProgress => Kind::Retryable,
            Self::AlreadyExists { .. }
            | Self::SkuTaken { .. }
            | Self::AlreadyReviewed
            | Self::ForbiddenTransition { .. }
            | Self::OpenOrders
            | Self::LastAdmin
            | Self::CategoryInUse { .. }
            | Self::DiscountInUse
            | Self::FileInUse
            | Self::WebhookEndpointInactive
            | Self::TooManyWebhookEndpoints
            | Self::TooManyFeatureFlags
            | Self::TooManyRoles
            | Self::RoleInUse
            | Self::TooManyApiKeys
            | Self::EmailNotVerified
            | Self::NoEmails
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
            Self::SkuTaken { sku } => facts([("field", json!("sku")), ("sku", json!(sku))]),
            Self::ForbiddenTransition { what, from, to } => {
                facts([("what", json!(what)), ("from", json!(from)), ("to", json!(to))])
            }
            Self::CategoryInUse { products, subcategories } => facts([
                ("what", json!("category")),
                ("products", json!(products)),
                ("subcategories", json!(subcategories)),
            ]),
            Self::DiscountInUse => facts([("what", json!("discount"))]),
            Self::FileInUse => facts([("what", json!("file"))]),
            Self::RoleInUse => facts([("what", json!("role"))]),
            _ => Map::new(),
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::IdempotencyInProgress => retry_after_a_second(),
            _ => Vec::new(),
        }
    }
}
