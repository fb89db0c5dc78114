//! The port of payment providers.
//!
//! Each operation has an idempotency key, with which a provider does it once: an operation whose response was lost is
//! sent again unchanged. Two calls with one key may be in progress at the same time: one that a provider does not
//! accept because of the other fails as [`Unavailable`](GatewayError::Unavailable), not as refused.
//!
//! A call is dropped when its time-out is over or the process ends, and looked up or repeated later.

use uuid::Uuid;

use super::{ConfirmationPage, GatewayError, PortFuture};
use crate::domain::ids::PaymentId;
use crate::domain::money::Money;
use crate::domain::state::{State, states};

/// A payment provider.
pub trait PaymentGateway: Send + Sync {
    /// Returns the name of the provider in requests and in the database: `sandbox`, `stripe`, …
    fn name(&self) -> &'static str;

    /// Authorizes an amount, or captures it at once.
    fn authorize(&self, request: Authorization) -> PortFuture<'_, Charge, GatewayError>;

    /// Captures an amount of an authorized charge.
    fn capture(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError>;

    /// Refunds an amount of a captured charge.
    fn refund(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError>;

    /// Voids what is authorized and not captured.
    fn void(&self, reference: String, key: Uuid) -> PortFuture<'_, Charge, GatewayError>;

    /// Returns the charge of a payment; `None` if the provider has none.
    fn look_up(&self, payment_id: PaymentId) -> PortFuture<'_, Option<Charge>, GatewayError>;

    /// Returns the payment method tokens that the provider accepts, if they are the same for all shoppers as in tests;
    /// `None` if each shopper gets one of their own.
    fn tokens(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// Returns the page on which a shopper confirms a payment; `None` if the provider shows a page of its own.
    fn confirmation_page(&self) -> Option<&dyn ConfirmationPage> {
        None
    }
}

/// A request to authorize a payment.
#[derive(Debug, Clone)]
pub struct Authorization {
    /// The payment, whose id is also the idempotency key.
    pub payment_id: PaymentId,
    /// The amount to authorize.
    pub amount: Money,
    /// The payment method token.
    pub token: String,
    /// Whether to capture the amount at once.
    pub capture: bool,
}

/// A charge at the payment provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The provider's reference of the charge; empty if the amount was zero and no provider was called.
    pub reference: String,
    /// The status.
    pub status: ChargeStatus,
    /// The authorized amount, captured amounts included.
    pub authorized: Money,
    /// The captured amount.
    pub captured: Money,
}

/// The status of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeStatus {
    /// The provider is still processing the authorization.
    Processing,
    /// The shopper must confirm the payment.
    RequiresAction {
        /// The URL of the page on which the shopper does so.
        url: String,
    },
    /// The amount is authorized.
    Authorized,
    /// The amount is captured, in full or in part.
    Captured,
    /// The authorization was declined.
    Declined(DeclineReason),
    /// The authorization was voided.
    Voided,
}

states! {
    /// The reason of a decline, as far as it is safe to show: a provider's own text may tell a thief why a stolen card
    /// no longer works. Lost, stolen and suspected cards, and unknown reasons, are `Declined`.
    DeclineReason, "decline reason", {
        /// Without a reason that is safe to show.
        Declined = "declined" -> [],
        /// The balance of the account is too low.
        InsufficientFunds = "insufficient_funds" -> [],
        /// The card or the authorization is out of date.
        Expired = "expired" -> [],
        /// The number, security code, name or address is wrong; which one is not disclosed.
        IncorrectDetails = "incorrect_details" -> [],
        /// The shopper must confirm the payment with the bank.
        AuthenticationRequired = "authentication_required" -> [],
        /// The amount exceeds the limit of the card or account.
        LimitExceeded = "limit_exceeded" -> [],
        /// The payment method does not support the currency or the kind of purchase.
        NotSupported = "not_supported" -> [],
        /// The provider could not process the payment; a repeated request may succeed.
        ProcessingError = "processing_error" -> [],
    }
}

impl DeclineReason {
    /// Returns the reason of this name, or `Declined` if it is unknown.
    pub fn from_name(name: &str) -> Self {
        Self::parse(name).unwrap_or(Self::Declined)
    }
}
