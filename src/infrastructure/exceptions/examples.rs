//! An example of each failure and of each fault. The API document and the test of the messages are made from them.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    AgeRestriction, CategoryNotFoundException, Conflict, EmailAlreadyUsedException, Failure, Fault,
    HoldLimitException, InvalidDiscountCodeException, NotFound, NotReady, NotReadyReason,
    OrderProcessingException, PaymentFailedException, ProductOutOfStockException, RejectedRequest,
    SubscriptionExpiredException, Technical, TechnicalKind, TotalChangedException,
    UnauthorizedAccessException, UserNotFoundException, ValidationException,
};
use crate::domain::{
    country::Country,
    discount::DiscountRejection,
    ids::{UserId, VariantId},
    money::{Currency, Money},
    permission::{Permission, Resource},
    placed_order::CancellationRefusal,
    ports::DeclineReason,
    pricing::Totals,
    state::State,
};

/// Returns one failure of each code and reason, by which the API document describes them.
pub(crate) fn failure_examples() -> Vec<Failure> {
    use {Conflict as C, DiscountRejection as D, RejectedRequest as R, UnauthorizedAccessException as U};
    let mut examples: Vec<Failure> = vec![
        UserNotFoundException { id: UserId(Uuid::nil()) }.into(),
        CategoryNotFoundException { category: "shoes".into() }.into(),
        EmailAlreadyUsedException.into(),
        HoldLimitException { ends_at: Timestamp::UNIX_EPOCH, now: Timestamp::UNIX_EPOCH }.into(),
        SubscriptionExpiredException { ended_at: Timestamp::UNIX_EPOCH }.into(),
        ValidationException::one("/name", Fault::Required).into(),
        OrderProcessingException::Forbidden { what: "order", from: "pending", to: "refunded" }.into(),
        OrderProcessingException::CartOrdered.into(),
        OrderProcessingException::BelowMinimum { minimum: Money::new(5000, Currency::EUR) }.into(),
        CancellationRefusal::DigitalGoods.into(),
        CancellationRefusal::Subscription.into(),
        CancellationRefusal::TooLate { until: Timestamp::UNIX_EPOCH }.into(),
        OrderProcessingException::InProgress.into(),
    ];
    examples.push(
        ProductOutOfStockException {
            variant_id: VariantId(Uuid::nil()),
            sku: "M".into(),
            requested: 3,
            available: 1,
        }
        .into(),
    );
    let [none, one] = [Money::zero(Currency::EUR), Money::new(1, Currency::EUR)];
    let totals = Totals { subtotal: one, discount: none, shipping: none, tax: none, total: one };
    examples.push(TotalChangedException { expected: none, totals }.into());
    examples.extend(
        [
            U::NotLoggedIn,
            U::InvalidToken,
            U::WrongCredentials,
            U::OneTimePasswordRequired,
            U::WrongOneTimePassword,
            U::ForeignOrigin,
            U::NotAllowed,
            U::MissingPermission(Permission::write(Resource::Orders)),
            U::SessionRequired,
            U::SessionOrApiKeyRequired,
            U::ReadOnlyKey,
            U::AgeRestricted(AgeRestriction::EXAMPLE),
            U::BirthDateRequired(AgeRestriction::EXAMPLE),
            U::NotBought,
            U::EmailNotVerified,
            U::OneTimePasswordsNotEnrolled,
            U::FeatureOff,
        ]
        .map(Failure::from),
    );
    examples.extend([C::Stale, C::PreconditionFailed, C::AlreadyExists { field: "slug" }].map(Failure::from));
    examples.push(C::SkuTaken { sku: "TEE-M".to_owned() }.into());
    examples.push(C::StockReserved { reserved: 3 }.into());
    examples.extend([C::IdempotencyKeyReused, C::IdempotencyInProgress].map(Failure::from));
    examples.extend(
        [C::AlreadyReviewed, C::OpenOrders, C::LastAdmin, C::DiscountInUse, C::FileInUse].map(Failure::from),
    );
    examples.extend([C::WebhookEndpointInactive, C::TooManyWebhookEndpoints].map(Failure::from));
    examples.extend(
        [C::TooManyFeatureFlags, C::TooManyRoles, C::RoleInUse, C::TooManyApiKeys].map(Failure::from),
    );
    examples.extend([C::EmailNotVerified, C::NoEmails].map(Failure::from));
    examples.push(C::CategoryInUse { products: 2, subcategories: 1 }.into());
    examples.push(C::ForbiddenTransition { what: "review", from: "approved", to: "pending" }.into());
    examples.extend(
        [R::BodyIncomplete, R::NotOneHost, R::MethodNotAllowed, R::TooSlow, R::TooManyAtOnce]
            .map(Failure::from),
    );
    examples.extend(
        [
            R::TooManyEmails { retry_after: 9 },
            R::BodyTooLarge { limit: 9 },
            R::MalformedJson { line: 1, column: 2 },
        ]
        .map(Failure::from),
    );
    examples.push(R::MalformedHeader { header: "If-Match", expected: "a list of entity tags" }.into());
    examples.push(R::UnsupportedMediaType { expected: "application/json" }.into());
    examples.push(R::UnsupportedContentCoding { expected: "gzip" }.into());
    examples.push(R::RangeNotSatisfiable { size: 9 }.into());
    examples.push(R::TooMany { retry_after: 9 }.into());
    examples.extend(DeclineReason::ALL.iter().map(|&reason| PaymentFailedException { reason }.into()));
    let reasons = [
        None,
        Some(D::Inactive),
        Some(D::NotStarted),
        Some(D::Expired),
        Some(D::UsedUp),
        Some(D::MinimumNotReached { minimum: Money::new(5000, Currency::EUR) }),
        Some(D::WrongCurrency),
    ];
    examples.extend(
        reasons.map(|reason| InvalidDiscountCodeException { discount_code: "MAY".into(), reason }.into()),
    );
    examples.extend(NotFound::ALL.map(Failure::from));
    examples.extend(NotReadyReason::ALL.map(|reason| NotReady { reason }.into()));
    examples.extend(TechnicalKind::ALL.map(|kind| Technical::new(kind, "the disk failed").into()));
    examples
}

/// Returns one of each fault.
pub(crate) fn fault_examples() -> Vec<Fault> {
    use Fault as F;
    let format = "uuid".into();
    vec![
        F::Required,
        F::Unknown,
        F::Type { expected: "string" },
        F::NotAnInteger,
        F::Minimum { minimum: 1.into() },
        F::Maximum { maximum: 9.into() },
        F::TooShort { min_length: 1 },
        F::TooLong { max_length: 9 },
        F::Blank,
        F::TooFew { min_items: 1 },
        F::OptionValues { options: 2 },
        F::SameOptions,
        F::TooMany { max_items: 9 },
        F::Format { format, example: F::UUID_EXAMPLE },
        F::Malformed { expected: "JSON" },
        F::NotAllowed { allowed: vec!["a".into(), 1.into()] },
        F::Duplicate,
        F::WrongCurrency { expected: "EUR".into() },
        F::NotFound,
        F::DoesNotShip { country: Country::DE, currency: Currency::EUR },
        F::NotSoldIn { currency: Currency::EUR },
        F::PrivateUrl,
        F::WrongPassword,
        F::WrongOneTimePassword,
        F::NoEnrolment,
        F::PasswordTooCommon,
        F::InvalidToken,
        F::Cycle,
        F::InvalidCursor,
        F::AlreadySet,
        F::EmptyCart,
        F::TooManyPieces { maximum: 100 },
        F::NotRestockable,
        F::CacheTag,
        F::RoleName,
        F::FeatureFlagKey,
        F::AdministratorsOnly,
        F::NotAllowed { allowed: Vec::new() },
        F::AmountTooLarge,
        F::Character,
        F::Invalid,
    ]
}
