//! A payment and its operations.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::{OrderId, PaymentId, PaymentOperationId};
use crate::domain::money::Money;
use crate::domain::payment::{OperationKind, OperationStatus, Payment, PaymentOperation, PaymentStatus};

/// The payment of an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentBody {
    /// The id of the payment.
    id: PaymentId,
    /// The order that is paid.
    order_id: OrderId,
    /// The payment provider; `imported` for a past sale that was imported, whose refunds are only recorded.
    provider: String,
    /// The status: `pending` until the outcome of the authorization is known.
    status: PaymentStatus,
    /// The amount to pay.
    amount: Money,
    /// The amount that the provider authorized.
    authorized: Money,
    /// The amount that was captured.
    captured: Money,
    /// The amount that was refunded.
    refunded: Money,
    /// The reason why the payment failed.
    failure: Option<String>,
    /// The URL at which the shopper has to confirm the payment (3-D Secure) while the status is `requires_action`. That
    /// of a page of the store is relative to the store, unless its setting `public_url` is set.
    action_url: Option<String>,
    /// The time at which the payment was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

/// An operation of a payment: an authorization, a capture, a void or a refund.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentOperation)]
pub struct PaymentOperationBody {
    /// The id of the operation.
    id: PaymentOperationId,
    /// The payment.
    payment_id: PaymentId,
    /// The kind of the operation.
    kind: OperationKind,
    /// The status. A `pending` operation is sent to the provider again until its outcome is known.
    status: OperationStatus,
    /// The amount that is authorized, captured, voided or refunded.
    amount: Money,
    /// The reason that the administrator gave.
    reason: Option<String>,
    /// The time at which the operation was requested.
    created_at: Timestamp,
    /// The time at which the final outcome was known.
    settled_at: Option<Timestamp>,
}

impl PaymentBody {
    /// The body of a payment.
    pub fn of(payment: &Payment) -> Self {
        Self {
            id: payment.id,
            order_id: payment.order_id,
            provider: payment.provider.clone(),
            status: payment.status,
            amount: payment.amount,
            authorized: payment.authorized,
            captured: payment.captured,
            refunded: payment.refunded,
            failure: payment.failure.clone(),
            action_url: payment.action_url.clone(),
            created_at: payment.created_at,
            updated_at: payment.updated_at,
        }
    }
}

impl PaymentOperationBody {
    /// The body of an operation.
    pub fn of(operation: &PaymentOperation) -> Self {
        Self {
            id: operation.id,
            payment_id: operation.payment_id,
            kind: operation.kind,
            status: operation.status,
            amount: operation.amount,
            reason: operation.reason.clone(),
            created_at: operation.created_at,
            settled_at: operation.settled_at,
        }
    }
}
