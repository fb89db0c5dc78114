//! The exceptions room: typed errors, each with its wire code, kind, HTTP status and facts.
//!
//! Which one to raise:
//!
//! - The store refuses the request, or does not have the resource: one of the `…Exception` types, each in a file of its
//!   own; [`NotFound`] and [`Conflict`] for what has no exception of its own.
//! - A field of the request is invalid: [`ValidationException`], with all faults of the request at once.
//! - The request cannot be read (syntax, size, media type): [`RejectedRequest`].
//! - The store or a vendor is at fault: [`Technical`]. The cause is logged and never shown.
//!
//! Use cases and handlers return [`Failure`], which `?` makes of any [`Exception`]. Errors of lower layers become
//! failures in `conversions.rs` only, one type at a time, so that a new error does not compile until its conversion is
//! decided. `problem.rs` renders a failure as a problem document (RFC 9457).
//!
//! # In another service
//!
//! Its exceptions are types of its own, beside those of this room that concern no store, such as
//! [`ValidationException`], [`UnauthorizedAccessException`] and [`Technical`]. Its handlers return [`Failure`], which
//! is a response of axum. Its texts are in tables of its own, [`Messages`], which are settings of its
//! `LocalizationMiddleware`. Without a text, a problem document has the phrase of its status as the title, and no
//! detail.
//!
//! ```
//! use http::StatusCode;
//! use serde_json::{Map, Value, json};
//! use undercroft::infrastructure::exceptions::{Exception, Failure, Kind, Messages};
//!
//! /// No shipping method delivers to the country.
//! #[derive(Debug, thiserror::Error)]
//! #[error("no shipping to {country}")]
//! struct NoShippingException {
//!     country: String,
//! }
//!
//! impl Exception for NoShippingException {
//!     fn code(&self) -> &'static str {
//!         "no_shipping"
//!     }
//!
//!     fn kind(&self) -> Kind {
//!         Kind::Refused
//!     }
//!
//!     fn status(&self) -> StatusCode {
//!         StatusCode::UNPROCESSABLE_ENTITY
//!     }
//!
//!     fn details(&self) -> Map<String, Value> {
//!         Map::from_iter([("country".to_owned(), json!(self.country))])
//!     }
//! }
//!
//! let texts = r#"{"no_shipping": {"title": "No shipping", "detail": "Nothing is sent to {country}."}}"#;
//! let texts: Messages = serde_json::from_str(texts).unwrap();
//! let failure = Failure::from(NoShippingException { country: "AQ".to_owned() });
//! let document: Value = serde_json::from_slice(&texts.translate(&failure.document()).unwrap()).unwrap();
//! assert_eq!(document["detail"], "Nothing is sent to AQ.");
//! ```
//!
//! # Adding one
//!
//! 1. Write `<name>_exception.rs` with a type that derives `thiserror::Error` (its text is the log line) and
//!    implements [`Exception`]; the module `adding_one`, at the end of `src/infrastructure/exceptions/mod.rs`, is a
//!    complete example.
//! 2. Add its `mod` and `pub use` lines here, and its title and detail to `locales/en/problems.json`
//!    (a test fails until they are there), and to the same file of other languages, which have the English text until
//!    then.

mod category_not_found_exception;
mod conflict;
mod conversions;
mod email_already_used_exception;
mod examples;
mod fault;
mod hold_limit_exception;
mod invalid_discount_code_exception;
mod kind;
mod messages;
mod not_found;
mod not_ready;
mod order_processing_exception;
mod outage;
mod payment_failed_exception;
mod problem;
mod problem_types;
mod product_out_of_stock_exception;
mod rejected_request;
mod repeated_failure;
mod request_faults;
mod subscription_expired_exception;
mod technical;
mod total_changed_exception;
mod unauthorized_access_exception;
mod user_not_found_exception;
mod validation_exception;

use std::{error::Error, fmt, sync::Arc};

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

pub(crate) use self::examples::{failure_examples, fault_examples};
pub(crate) use self::problem_types::{ProblemType, problem_types};
pub use self::{
    category_not_found_exception::CategoryNotFoundException,
    conflict::Conflict,
    email_already_used_exception::EmailAlreadyUsedException,
    fault::{Fault, Location},
    hold_limit_exception::HoldLimitException,
    invalid_discount_code_exception::InvalidDiscountCodeException,
    kind::Kind,
    messages::{Messages, PROBLEM_LANGUAGES},
    not_found::NotFound,
    not_ready::{NotReady, NotReadyReason},
    order_processing_exception::OrderProcessingException,
    outage::Outage,
    payment_failed_exception::PaymentFailedException,
    problem::{PROBLEM_JSON, ProblemCode, translated, with_causes, with_instance},
    product_out_of_stock_exception::ProductOutOfStockException,
    rejected_request::RejectedRequest,
    repeated_failure::RepeatedFailure,
    request_faults::RequestFaults,
    subscription_expired_exception::SubscriptionExpiredException,
    technical::{Technical, TechnicalKind},
    total_changed_exception::TotalChangedException,
    unauthorized_access_exception::{AgeRestriction, UnauthorizedAccessException},
    user_not_found_exception::UserNotFoundException,
    validation_exception::ValidationException,
};

/// An error that is reported to the client.
///
/// `Display` is the log line; the client's texts come from the message table, by code.
pub trait Exception: Error + Send + Sync + 'static {
    /// Returns the wire code, which never changes and is also the key of the texts.
    fn code(&self) -> &'static str;

    /// Returns the kind, by which use cases decide.
    fn kind(&self) -> Kind;

    /// Returns the HTTP status, for rendering only.
    fn status(&self) -> StatusCode;

    /// Returns the facts that the client may know: members of the problem document and arguments of its texts.
    fn details(&self) -> Map<String, Value> {
        Map::new()
    }

    /// Returns the headers of the response.
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }
}

/// Any [`Exception`]: the error type of use cases and handlers. Cheap to clone.
#[derive(Clone)]
pub struct Failure(Arc<dyn Exception>);

impl Failure {
    /// Returns the wire code.
    pub fn code(&self) -> &'static str {
        self.0.code()
    }

    /// Returns the kind, by which use cases decide.
    pub fn kind(&self) -> Kind {
        self.0.kind()
    }

    /// Returns the HTTP status, for rendering only.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Returns the headers of the response.
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.0.headers()
    }

    /// Returns the members of the problem document beside those of every problem.
    pub(crate) fn details(&self) -> Map<String, Value> {
        self.0.details()
    }

    /// Returns whether the exception is a `T`.
    pub fn is<T: Exception>(&self) -> bool {
        self.downcast_ref::<T>().is_some()
    }

    /// Returns the exception, if it is a `T`.
    pub fn downcast_ref<T: Exception>(&self) -> Option<&T> {
        let error: &(dyn Error + 'static) = &*self.0;
        error.downcast_ref()
    }
}

// There is no conversion from all errors: only types that implement `Exception` become failures.
impl<E: Exception> From<E> for Failure {
    fn from(exception: E) -> Self {
        Self(Arc::new(exception))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Returns the details with these names and values; null values are omitted.
fn facts<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Returns the headers of a failure after which a client may repeat the request in a second.
fn retry_after_a_second() -> Vec<(HeaderName, HeaderValue)> {
    vec![(RETRY_AFTER, HeaderValue::from_static("1"))]
}

#[cfg(test)]
mod adding_one {
    use super::{Exception, Failure, Kind, NotFound, facts};
    use http::StatusCode;
    use serde_json::{Map, Value, json};

    /// No shipping method delivers to the country.
    #[derive(Debug, thiserror::Error)]
    #[error("no shipping to {country}")]
    struct NoShippingException {
        country: String,
    }

    impl Exception for NoShippingException {
        fn code(&self) -> &'static str {
            "no_shipping"
        }

        fn kind(&self) -> Kind {
            Kind::Refused
        }

        fn status(&self) -> StatusCode {
            StatusCode::UNPROCESSABLE_ENTITY
        }

        fn details(&self) -> Map<String, Value> {
            facts([("country", json!(self.country))])
        }
    }

    fn ship() -> Result<(), Failure> {
        Err(NoShippingException { country: "AQ".into() })?
    }

    #[test]
    fn an_exception_passes_as_a_failure_and_is_found_again() {
        let failure = ship().unwrap_err();
        assert_eq!((failure.code(), failure.status()), ("no_shipping", StatusCode::UNPROCESSABLE_ENTITY));
        assert_eq!(failure.to_string(), "no shipping to AQ");
        assert_eq!(failure.downcast_ref::<NoShippingException>().unwrap().country, "AQ");
        assert!(!failure.is::<NotFound>());
    }
}
