//! Who takes the money.
//!
//! Every write carries a key of ours, and a vendor does a write with a known key once: so a write whose answer was
//! lost is sent again as it was.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ConfirmationPage, GatewayError, PortFuture};
use crate::domain::ids::PaymentId;
use crate::domain::money::Money;

/// A vendor that takes payments.
pub trait PaymentGateway: Send + Sync {
    /// The name it is chosen by: `sandbox`, `stripe`, …
    fn name(&self) -> &'static str;

    /// Holds the money or takes it at once.
    fn authorize(&self, request: Authorization) -> PortFuture<'_, Charge, GatewayError>;

    /// Takes money that is held.
    fn capture(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError>;

    /// Gives back money that was taken.
    fn refund(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError>;

    /// Lets go of money that is held; of what was captured in part, the rest.
    fn void(&self, reference: String, key: Uuid) -> PortFuture<'_, Charge, GatewayError>;

    /// How the charge for a payment stands; `None` if the vendor never heard of it.
    fn look_up(&self, payment_id: PaymentId) -> PortFuture<'_, Option<Charge>, GatewayError>;

    /// The page on which a shopper confirms a payment; `None` if the provider shows a page of its own.
    fn confirmation_page(&self) -> Option<&dyn ConfirmationPage> {
        None
    }
}

/// What is asked of a vendor.
#[derive(Debug, Clone)]
pub struct Authorization {
    /// Our payment, which is also the key the request is sent with.
    pub payment_id: PaymentId,
    /// How much.
    pub amount: Money,
    /// The shopper's token for the means of payment.
    pub token: String,
    /// Take it at once, or only hold it.
    pub capture: bool,
}

/// How a charge stands at the vendor. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The vendor's name for it; empty if no vendor was asked.
    pub reference: String,
    /// Its state.
    pub status: ChargeStatus,
    /// What is held or was taken.
    pub authorized: i64,
    /// What was taken.
    pub captured: i64,
    /// What was given back.
    pub refunded: i64,
}

/// The state of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeStatus {
    /// The vendor is still at it.
    Processing,
    /// The shopper must do something at this address first.
    RequiresAction {
        /// Where.
        url: String,
    },
    /// Held.
    Authorized,
    /// Taken.
    Captured,
    /// Refused.
    Declined(DeclineReason),
    /// Let go.
    Voided,
}

/// Why a payment was refused, in words that are safe to show: a vendor's own text may tell a thief why a stolen
/// card no longer works. Lost, stolen and suspected cards, and whatever is not known, are plainly `Declined`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// No reason that may be told.
    Declined,
    /// The account holds too little.
    InsufficientFunds,
    /// The card or the authorization is out of date.
    Expired,
    /// Number, security code, name or address is wrong; which of them is not told.
    IncorrectDetails,
    /// The buyer must confirm the payment with their bank.
    AuthenticationRequired,
    /// Over the limit of the card or account.
    LimitExceeded,
    /// The means of payment does not take this currency or kind of purchase.
    NotSupported,
    /// The vendor could not process it; the same again may work.
    ProcessingError,
}

impl DeclineReason {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Declined,
        Self::InsufficientFunds,
        Self::Expired,
        Self::IncorrectDetails,
        Self::AuthenticationRequired,
        Self::LimitExceeded,
        Self::NotSupported,
        Self::ProcessingError,
    ];

    /// Its name on the wire and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::InsufficientFunds => "insufficient_funds",
            Self::Expired => "expired",
            Self::IncorrectDetails => "incorrect_details",
            Self::AuthenticationRequired => "authentication_required",
            Self::LimitExceeded => "limit_exceeded",
            Self::NotSupported => "not_supported",
            Self::ProcessingError => "processing_error",
        }
    }

    /// The reason of this name; an unknown one is plainly `Declined`.
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.name() == name).unwrap_or(Self::Declined)
    }
}
