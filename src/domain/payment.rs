//! Payments of orders, and the ledger of their operations.

use jiff::{SignedDuration, Timestamp};

use super::ids::{OrderId, PaymentId, PaymentOperationId};
use super::money::{Currency, Money, MoneyError};
use super::state::states;

/// How long after its last change a payment without a known outcome is looked up first.
pub const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(30);

/// The provider of imported payments. Their operations happened outside the store: they are only recorded.
pub const IMPORTED: &str = "imported";

states! {
    /// The status of a payment.
    PaymentStatus, "payment", {
        /// The outcome of the authorization is not known yet.
        Pending = "pending" -> [RequiresAction, Authorized, Captured, Failed, Voided],
        /// The shopper has to confirm the payment (3-D Secure).
        RequiresAction = "requires_action" -> [Authorized, Captured, Failed, Voided],
        /// The provider authorized the amount.
        Authorized = "authorized" -> [Captured, Voided],
        /// The amount, or a part of it, was captured.
        Captured = "captured" -> [Refunded],
        /// All that was captured was refunded.
        Refunded = "refunded" -> [],
        /// The authorization was declined. A charge that succeeds later is returned.
        Failed = "failed" -> [Authorized, Captured],
        /// Voided before anything was captured. A charge that succeeds later is returned.
        Voided = "voided" -> [Authorized, Captured],
    }
}

states! {
    /// The kind of a payment operation.
    OperationKind, "payment operation kind", {
        /// Authorizes an amount, or charges it at once.
        Authorize = "authorize" -> [],
        /// Captures an authorized amount, or a part of it.
        Capture = "capture" -> [],
        /// Refunds a captured amount, or a part of it.
        Refund = "refund" -> [],
        /// Voids what is authorized and not captured.
        Void = "void" -> [],
    }
}

states! {
    /// The status of a payment operation.
    OperationStatus, "payment operation", {
        /// The outcome of the operation is not known yet.
        Pending = "pending" -> [Succeeded, Failed],
        /// The operation succeeded.
        Succeeded = "succeeded" -> [],
        /// The provider refused the operation.
        Failed = "failed" -> [],
    }
}

/// The payment of an order. All amounts are in its currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The id, which is also the idempotency key of the authorization.
    pub id: PaymentId,
    /// The order that is paid.
    pub order_id: OrderId,
    /// The name of the payment provider: `sandbox`, `stripe`, …, or [`IMPORTED`].
    pub provider: String,
    /// The payment method token of the shopper, issued by the provider.
    pub token: String,
    /// The provider's reference of the charge; `None` until it is known.
    pub provider_reference: Option<String>,
    /// The status.
    pub status: PaymentStatus,
    /// The currency of every amount.
    pub currency: Currency,
    /// The amount to pay.
    pub amount: Money,
    /// The authorized amount, captured amounts included.
    pub authorized: Money,
    /// The captured amount; at most `authorized`.
    pub captured: Money,
    /// The amount of pending captures.
    pub capturing: Money,
    /// The amount of pending voids.
    pub voiding: Money,
    /// The refunded amount; at most `captured`.
    pub refunded: Money,
    /// The amount of pending refunds.
    pub refunding: Money,
    /// The reason for which the payment was declined.
    pub failure: Option<String>,
    /// The URL of the page on which the shopper confirms the payment, while that is required.
    pub action_url: Option<String>,
    /// The number of times that the recovery looked up the payment.
    pub attempts: i64,
    /// The time of the next look-up, UTC; `None` if the outcome of the payment and of its operations is known.
    pub next_attempt_at: Option<Timestamp>,
    /// Until when an abandoned payment is looked up, UTC: its provider did not know it, and the request may still
    /// arrive.
    pub watched_until: Option<Timestamp>,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time of the creation, UTC.
    pub created_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
}

impl Payment {
    /// Returns whether the payment is that of a past sale, which was imported.
    pub fn is_imported(&self) -> bool {
        self.provider == IMPORTED
    }

    /// Returns whether the outcome of the authorization is not known yet.
    pub fn is_open(&self) -> bool {
        matches!(self.status, PaymentStatus::Pending | PaymentStatus::RequiresAction)
    }

    /// Returns whether the payment was abandoned, and its provider may still receive the authorization.
    pub fn is_watched(&self, now: Timestamp) -> bool {
        self.watched_until.is_some_and(|until| now < until)
    }

    /// Returns whether the provider has authorized the amount, or nothing is to be paid.
    pub fn is_authorized(&self) -> bool {
        matches!(self.status, PaymentStatus::Authorized | PaymentStatus::Captured)
    }

    /// Returns whether the whole amount is captured, refunded or not.
    pub fn is_captured(&self) -> bool {
        self.captured.amount >= self.amount.amount
    }

    /// Returns whether the whole amount is captured, and not all of it is refunded or being refunded.
    pub fn is_kept(&self) -> bool {
        self.is_authorized() && self.is_captured() && !self.is_returned()
    }

    /// Returns whether something was captured, and all of it is refunded or being refunded.
    pub fn is_returned(&self) -> bool {
        let returned = self.refunded.amount.saturating_add(self.refunding.amount);
        self.captured.is_positive() && returned >= self.captured.amount
    }

    /// Returns whether an amount is being voided or refunded.
    pub fn is_returning(&self) -> bool {
        self.voiding.is_positive() || self.refunding.is_positive()
    }

    /// Returns the amount that an operation of this kind can move: what is authorized, or captured, and not pending.
    pub fn left(&self, kind: OperationKind) -> Result<Money, MoneyError> {
        match kind {
            OperationKind::Authorize => Ok(Money::zero(self.currency)),
            OperationKind::Capture | OperationKind::Void => {
                let uncaptured = self.authorized.checked_sub(self.captured)?;
                uncaptured.checked_sub(self.capturing)?.checked_sub(self.voiding)
            }
            OperationKind::Refund => self.captured.checked_sub(self.refunded)?.checked_sub(self.refunding),
        }
    }

    /// Counts an operation's amount as pending, and schedules the next attempt for `retry_at` at the latest.
    pub fn begin(&mut self, operation: &PaymentOperation, retry_at: Timestamp) -> Result<(), MoneyError> {
        if let Some(pending) = self.pending_mut(operation.kind) {
            *pending = pending.checked_add(operation.amount)?;
        }
        self.next_attempt_at = Some(self.next_attempt_at.map_or(retry_at, |known| known.min(retry_at)));
        Ok(())
    }

    /// Settles an operation: its amount is no longer pending, and is moved if the operation succeeded.
    pub fn settle(&mut self, operation: &PaymentOperation, succeeded: bool) -> Result<(), MoneyError> {
        if let Some(pending) = self.pending_mut(operation.kind) {
            *pending = pending.checked_sub(operation.amount)?;
        }
        match operation.kind {
            OperationKind::Capture if succeeded => {
                self.captured = self.captured.checked_add(operation.amount)?;
            }
            OperationKind::Refund if succeeded => {
                self.refunded = self.refunded.checked_add(operation.amount)?;
            }
            OperationKind::Void if succeeded => {
                self.authorized = self.authorized.checked_sub(operation.amount)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn pending_mut(&mut self, kind: OperationKind) -> Option<&mut Money> {
        match kind {
            OperationKind::Authorize => None,
            OperationKind::Capture => Some(&mut self.capturing),
            OperationKind::Refund => Some(&mut self.refunding),
            OperationKind::Void => Some(&mut self.voiding),
        }
    }

    /// Returns the status that follows from the amounts once an operation has succeeded.
    pub fn status_by_amounts(&self) -> PaymentStatus {
        if self.authorized.is_zero() {
            PaymentStatus::Voided
        } else if self.captured.is_zero() {
            PaymentStatus::Authorized
        } else if self.refunded == self.captured && self.captured == self.authorized {
            PaymentStatus::Refunded
        } else {
            PaymentStatus::Captured
        }
    }
}

/// A payment operation: a row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentOperation {
    /// The id, which is also the idempotency key of the call to the provider.
    pub id: PaymentOperationId,
    /// The payment that the operation belongs to.
    pub payment_id: PaymentId,
    /// The kind of the operation.
    pub kind: OperationKind,
    /// The status.
    pub status: OperationStatus,
    /// The amount that the operation moves.
    pub amount: Money,
    /// Whether the pieces of a refunded order were returned and are restocked.
    pub restock: bool,
    /// The reason, as the administrator or the store stated it.
    pub reason: Option<String>,
    /// The reason for which the provider refused the operation.
    pub failure: Option<String>,
    /// The provider's reference of the operation.
    pub provider_reference: Option<String>,
    /// The time at which the operation was recorded, UTC.
    pub created_at: Timestamp,
    /// The time at which the operation was settled, UTC; `None` while it is pending.
    pub settled_at: Option<Timestamp>,
}

impl PaymentOperation {
    /// Returns a new pending operation, to be sent to the provider.
    pub fn pending(
        id: PaymentOperationId,
        payment_id: PaymentId,
        kind: OperationKind,
        amount: Money,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            payment_id,
            kind,
            status: OperationStatus::Pending,
            amount,
            restock: false,
            reason: None,
            failure: None,
            provider_reference: None,
            created_at,
            settled_at: None,
        }
    }
}
