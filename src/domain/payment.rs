//! Payments: what a vendor holds, took and gave back for an order, and the operations that made it so.

use jiff::{SignedDuration, Timestamp};

use super::ids::{OrderId, PaymentId, PaymentOperationId};
use super::money::{Currency, Money, MoneyError};
use super::state::states;

/// How long after its last change a payment without a known outcome is looked up first.
pub const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(30);

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
        /// Its final outcome is not known yet.
        Pending = "pending" -> [Succeeded, Failed],
        /// It succeeded.
        Succeeded = "succeeded" -> [],
        /// The provider refused it.
        Failed = "failed" -> [],
    }
}

/// The payment of an order. All amounts are in its currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id; the vendor's idempotency keys derive from it.
    pub id: PaymentId,
    /// The order it pays.
    pub order_id: OrderId,
    /// Who handles it: `sandbox`, `stripe`, …
    pub provider: String,
    /// The shopper's token for the means of payment, as the provider gave it out.
    pub token: String,
    /// The vendor's name for it, once known.
    pub provider_reference: Option<String>,
    /// How far it has come.
    pub status: PaymentStatus,
    /// Its currency.
    pub currency: Currency,
    /// What is to be paid.
    pub amount: Money,
    /// What the vendor holds or took.
    pub authorized: Money,
    /// What was taken; never more than `authorized`.
    pub captured: Money,
    /// Captures that are under way.
    pub capturing: Money,
    /// What is being let go.
    pub voiding: Money,
    /// What was given back; never more than `captured`.
    pub refunded: Money,
    /// Refunds that are under way.
    pub refunding: Money,
    /// Why it failed.
    pub failure: Option<String>,
    /// Where the shopper acts, while action is required.
    pub action_url: Option<String>,
    /// How often the vendor was asked about it.
    pub attempts: i64,
    /// When to ask the vendor about it again; `None` once settled.
    pub next_attempt_at: Option<Timestamp>,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Payment {
    /// Whether the vendor's answer is still to come.
    pub fn is_open(&self) -> bool {
        matches!(self.status, PaymentStatus::Pending | PaymentStatus::RequiresAction)
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
    pub fn state(&self) -> PaymentStatus {
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

/// One operation of a payment: a line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentOperation {
    /// Its id; the idempotency key it is sent with.
    pub id: PaymentOperationId,
    /// The payment it belongs to.
    pub payment_id: PaymentId,
    /// What it does.
    pub kind: OperationKind,
    /// How it went.
    pub status: OperationStatus,
    /// The amount.
    pub amount: Money,
    /// Whether the goods came back with it and can be sold again.
    pub restock: bool,
    /// Why, in the words of whoever asked for it.
    pub reason: Option<String>,
    /// Why the vendor refused.
    pub failure: Option<String>,
    /// The vendor's name for it.
    pub provider_reference: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
}

impl PaymentOperation {
    /// A new operation, to be sent to the provider.
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
