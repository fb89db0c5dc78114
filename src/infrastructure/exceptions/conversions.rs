//! The one place where errors of lower layers become failures, one type at a time. There is no blanket conversion: a
//! use case that meets a new error does not compile until its conversion is decided here.

use std::convert::Infallible;

use super::{
    Conflict, Failure, Fault, Location, NotReady, NotReadyReason, OrderProcessingException, Technical,
    TechnicalKind, ValidationException,
};
use crate::{
    domain::{
        discount::DiscountFault,
        events::UnreadableEvent,
        money::MoneyError,
        order::OrderStatus,
        payment::{OperationStatus, PaymentStatus},
        placed_order::{CancellationRefusal, TransitionError},
        ports::{FileError, GatewayError},
        pricing::{LINE_QUANTITY, PricingError},
        state::{ForbiddenTransition, State},
    },
    infrastructure::{
        cache::{LoadError, RedisUnavailable},
        events::transports::TransportError,
        repositories::{DatabaseError, ForeignCursor, ListError, NotLive},
    },
};

/// What does not fail, such as an extractor that accepts every request.
impl From<Infallible> for Failure {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

// Amounts come from requests, so errors that depend on their values are faults of the request. A use case that knows
// the field raises the fault itself.
impl From<MoneyError> for Failure {
    fn from(error: MoneyError) -> Self {
        match error {
            MoneyError::Overflow => ValidationException::one("", Fault::AmountTooLarge).into(),
            MoneyError::CurrencyMismatch { left, .. } => {
                ValidationException::one("", Fault::WrongCurrency { expected: left.to_string() }).into()
            }
            MoneyError::Unallocatable => Technical::internal(error).into(),
        }
    }
}

impl From<PricingError> for Failure {
    fn from(error: PricingError) -> Self {
        let (minimum, maximum) = (*LINE_QUANTITY.start(), *LINE_QUANTITY.end());
        match error {
            PricingError::Quantity { line, quantity } => {
                let fault = if quantity < minimum {
                    Fault::Minimum { minimum: minimum.into() }
                } else {
                    Fault::Maximum { maximum: maximum.into() }
                };
                ValidationException::one(Location::Item(line, "quantity"), fault).into()
            }
            PricingError::Money(error) => error.into(),
            // negative prices are refused when they are entered
            PricingError::NegativePrice { .. } => Technical::internal(error).into(),
        }
    }
}

/// The state machines of orders and their payments.
const OF_ORDERS: [&str; 3] = [OrderStatus::WHAT, PaymentStatus::WHAT, OperationStatus::WHAT];

impl From<ForbiddenTransition> for Failure {
    fn from(transition: ForbiddenTransition) -> Self {
        let ForbiddenTransition { what, from, to } = transition;
        if OF_ORDERS.contains(&what) {
            OrderProcessingException::Forbidden { what, from, to }.into()
        } else {
            Conflict::ForbiddenTransition { what, from, to }.into()
        }
    }
}

impl From<CancellationRefusal> for Failure {
    fn from(refusal: CancellationRefusal) -> Self {
        OrderProcessingException::NotCancellable(refusal).into()
    }
}

// The amounts of a payment come from the store and its provider, not from the request.
impl From<TransitionError> for Failure {
    fn from(error: TransitionError) -> Self {
        match error {
            TransitionError::Forbidden(transition) => transition.into(),
            TransitionError::Money(error) => Technical::internal(error).into(),
        }
    }
}

impl<E: Into<Failure> + std::fmt::Display> From<LoadError<E>> for Failure {
    fn from(error: LoadError<E>) -> Self {
        match error {
            LoadError::Failed(error) => error.into(),
            error @ LoadError::TimedOut => Technical::new(TechnicalKind::TimedOut, error.to_string()).into(),
            // a use case that knows what is missing handles it before
            error @ (LoadError::Panicked | LoadError::Missing) => {
                Technical::internal(error.to_string()).into()
            }
        }
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Cursor(error) => error.into(),
            ListError::Database(error) => error.into(),
        }
    }
}

// A use case that knows what a constraint means handles it before.
impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(_)
            | DatabaseError::Missing(_)
            | DatabaseError::Full(_)
            | DatabaseError::ReadOnly(_)
            | DatabaseError::Retryable(_) => Technical::new(TechnicalKind::Unavailable, error).into(),
            DatabaseError::NotLive(reason) => NotReady::from(reason).into(),
            DatabaseError::OutcomeUnknown(_) => Technical::new(TechnicalKind::TimedOut, error).into(),
            DatabaseError::Stale { .. } => Conflict::Stale.into(),
            DatabaseError::Taken { .. }
            | DatabaseError::CheckFailed { .. }
            | DatabaseError::ForeignKey(_)
            | DatabaseError::Schema(_)
            | DatabaseError::Internal(_) => Technical::internal(error).into(),
        }
    }
}

// Sessions are there; other uses of Redis go on without it.
impl From<RedisUnavailable> for Failure {
    fn from(error: RedisUnavailable) -> Self {
        Technical::new(TechnicalKind::Unavailable, error).into()
    }
}

impl From<NotLive> for NotReady {
    fn from(reason: NotLive) -> Self {
        let reason = match reason {
            NotLive::Standby => NotReadyReason::Standby,
            NotLive::Moved => NotReadyReason::Moved,
        };
        Self { reason }
    }
}

// Payments proceed without the provider's response where they can; this is for where they cannot.
impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        let kind = match error {
            GatewayError::NoResponse(_) => TechnicalKind::TimedOut,
            GatewayError::Unavailable(_) => TechnicalKind::Unavailable,
            GatewayError::Refused(_) => TechnicalKind::Vendor,
        };
        Technical::new(kind, error).into()
    }
}

// A relay and a receiver retry; their failures are logged.
impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        let kind = match error {
            TransportError::Unavailable(_) | TransportError::NotSetUp(_) | TransportError::OtherStore => {
                TechnicalKind::Unavailable
            }
            TransportError::TooLarge { .. } | TransportError::Refused(_) => TechnicalKind::Vendor,
        };
        Technical::new(kind, error).into()
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Missing => Technical::internal(error).into(),
            FileError::Interrupted(_) | FileError::Unavailable(_) => {
                Technical::new(TechnicalKind::Unavailable, error).into()
            }
        }
    }
}

// The event becomes a dead letter, with this failure's report as the reason.
impl From<UnreadableEvent> for Failure {
    fn from(error: UnreadableEvent) -> Self {
        Technical::internal(error).into()
    }
}

impl From<ForeignCursor> for Failure {
    fn from(_: ForeignCursor) -> Self {
        ValidationException::one(Location::Parameter("cursor".to_owned()), Fault::InvalidCursor).into()
    }
}

impl From<Vec<DiscountFault>> for Failure {
    fn from(faults: Vec<DiscountFault>) -> Self {
        let mut input = ValidationException::none();
        for broken in faults {
            let fault = match broken {
                DiscountFault::Amount | DiscountFault::Minimum => Fault::Minimum { minimum: 1.into() },
                _ => Fault::Invalid,
            };
            input.add(broken.pointer(), fault);
        }
        input.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::infrastructure::exceptions::Kind;

    #[test]
    fn a_constraint_that_no_use_case_checked_is_a_fault_of_the_store() {
        for error in [
            DatabaseError::CheckFailed { constraint: "orders_check".to_owned() },
            DatabaseError::Taken { constraint: "orders_number".to_owned() },
        ] {
            assert_eq!(Failure::from(error).kind(), Kind::Internal);
        }
    }

    #[test]
    fn a_forbidden_transition_of_an_order_has_its_own_exception() {
        let transition = |what| Failure::from(ForbiddenTransition { what, from: "pending", to: "refunded" });
        assert_eq!(transition("payment").code(), "order_processing");
        assert_eq!(transition("subscription").code(), "forbidden_transition");
    }

    #[test]
    fn amounts_that_do_not_fit_are_faults_of_the_request() {
        let mismatch = MoneyError::CurrencyMismatch { left: Currency::EUR, right: Currency::USD };
        assert_eq!(Failure::from(MoneyError::Overflow).code(), "validation");
        let failure = Failure::from(mismatch);
        let faults = failure.downcast_ref::<ValidationException>().unwrap().faults();
        assert_eq!(faults[0].1, Fault::WrongCurrency { expected: "EUR".into() });
        assert_eq!(Failure::from(MoneyError::Unallocatable).status(), 500);
    }

    #[test]
    fn a_quantity_out_of_bounds_is_a_fault_with_the_bound() {
        let fault = |error: PricingError| {
            let failure = Failure::from(error);
            failure.downcast_ref::<ValidationException>().unwrap().faults()[0].clone()
        };
        let maximum = Fault::Maximum { maximum: (*LINE_QUANTITY.end()).into() };
        let too_many = fault(PricingError::Quantity { line: 2, quantity: i64::MAX });
        assert_eq!(too_many, (Location::Item(2, "quantity"), maximum));
        assert_eq!(
            fault(PricingError::Quantity { line: 0, quantity: 0 }).1,
            Fault::Minimum { minimum: 1.into() }
        );
    }

    #[test]
    fn every_fault_of_a_discount_has_its_location() {
        let failure = Failure::from(vec![DiscountFault::Code, DiscountFault::Amount]);
        let faults = failure.downcast_ref::<ValidationException>().unwrap().faults();
        let positive = Fault::Minimum { minimum: 1.into() };
        let expected: [(Location, Fault); 2] =
            [("/code".into(), Fault::Invalid), ("/kind/amount/amount".into(), positive)];
        assert_eq!(faults, expected);
    }

    #[test]
    fn errors_of_a_provider_differ_by_whether_the_request_may_have_taken_effect() {
        let status = |error: GatewayError| Failure::from(error).status().as_u16();
        assert_eq!(status(GatewayError::NoResponse("time-out".into())), 504);
        assert_eq!(status(GatewayError::Unavailable("503".into())), 503);
        assert_eq!(status(GatewayError::Refused("no such charge".into())), 502);
    }

    #[test]
    fn errors_of_the_database_differ_by_what_the_client_can_do() {
        let constraint = || "stock_not_negative".to_owned();
        let cases = [
            (DatabaseError::Unavailable("no route to 10.0.0.7".into()), 503, "unavailable"),
            (DatabaseError::Missing("shop".into()), 503, "unavailable"),
            (DatabaseError::Full("/var".into()), 503, "unavailable"),
            (DatabaseError::ReadOnly("/var".into()), 503, "unavailable"),
            (DatabaseError::Retryable("deadlock".into()), 503, "unavailable"),
            (DatabaseError::NotLive(NotLive::Standby), 503, "not_ready"),
            (DatabaseError::OutcomeUnknown("connection closed".into()), 504, "timed_out"),
            (DatabaseError::Stale { table: "products" }, 409, "stale"),
            (DatabaseError::Taken { constraint: constraint() }, 500, "internal"),
            (DatabaseError::CheckFailed { constraint: constraint() }, 500, "internal"),
            (DatabaseError::ForeignKey(constraint()), 500, "internal"),
            (DatabaseError::Schema("behind".into()), 500, "internal"),
            (DatabaseError::Internal("syntax".into()), 500, "internal"),
        ];
        for (error, status, code) in cases {
            let failure = Failure::from(error);
            assert_eq!((failure.status().as_u16(), failure.code()), (status, code));
        }
    }
}
