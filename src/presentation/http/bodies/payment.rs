//! A payment, and the steps that moved its money.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::{OrderId, PaymentId, PaymentStepId};
use crate::domain::money::{Currency, Money};
use crate::domain::payment::{Payment, PaymentStatus, PaymentStep, StepKind, StepStatus};

/// The payment of an order. The token it was paid with is nowhere shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentBody {
    /// Its id.
    id: PaymentId,
    /// The order it pays.
    order_id: OrderId,
    /// Who handles it.
    provider: String,
    /// How far it has come.
    status: PaymentStatus,
    /// What is to be paid.
    amount: Money,
    /// What the provider holds or took.
    authorized: Money,
    /// What was taken.
    captured: Money,
    /// What was given back.
    refunded: Money,
    /// Why it failed.
    failure: Option<String>,
    /// Where the shopper has to act (3-D Secure), while the status is `requires_action`.
    action_url: Option<String>,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

/// Money that was moved, or is being moved: an authorization, a capture, a refund, a void.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentStep)]
pub struct StepBody {
    /// Its id.
    id: PaymentStepId,
    /// The payment it belongs to.
    payment_id: PaymentId,
    /// What it does.
    kind: StepKind,
    /// How it went. What is `pending` is sent to the provider again until there is an answer.
    status: StepStatus,
    /// How much.
    amount: Money,
    /// Why, in the words of whoever asked for it.
    reason: Option<String>,
    /// When it was asked for.
    created_at: Timestamp,
    /// When it was settled.
    settled_at: Option<Timestamp>,
}

impl PaymentBody {
    /// As it looks outside.
    pub fn of(payment: &Payment) -> Self {
        let money = |amount| Money::new(amount, payment.currency);
        Self {
            id: payment.id,
            order_id: payment.order_id,
            provider: payment.provider.clone(),
            status: payment.status,
            amount: money(payment.amount),
            authorized: money(payment.authorized),
            captured: money(payment.captured),
            refunded: money(payment.refunded),
            failure: payment.failure.clone(),
            action_url: payment.action_url.clone(),
            created_at: payment.created_at,
            updated_at: payment.updated_at,
        }
    }
}

impl StepBody {
    /// As it looks outside, in the currency of its payment.
    pub fn of(step: &PaymentStep, currency: Currency) -> Self {
        Self {
            id: step.id,
            payment_id: step.payment_id,
            kind: step.kind,
            status: step.status,
            amount: Money::new(step.amount, currency),
            reason: step.reason.clone(),
            created_at: step.created_at,
            settled_at: step.settled_at,
        }
    }
}
