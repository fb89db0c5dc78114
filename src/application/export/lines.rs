//! The lines that are exported but not imported: orders, invoices, reviews and subscriptions.

use jiff::Timestamp;
use serde::Serialize;

use crate::application::json_lines::LineType;
use crate::domain::address::Address;
use crate::domain::ids::{
    InvoiceId, OrderId, PaymentId, PaymentOperationId, ProductId, ReviewId, SubscriptionId, UserId, VariantId,
};
use crate::domain::invoice::{Invoice, InvoiceDocument, InvoiceKind};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{self, Order, OrderStatus};
use crate::domain::payment::{OperationKind, OperationStatus, Payment, PaymentOperation, PaymentStatus};
use crate::domain::product::BillingInterval;
use crate::domain::review::{Review, ReviewStatus};
use crate::domain::subscription::{Subscription, SubscriptionStatus};

/// The line of an order, with its payment.
#[derive(Serialize)]
pub(super) struct OrderLine<'a> {
    r#type: LineType,
    id: OrderId,
    number: i64,
    customer: Option<UserId>,
    email: &'a str,
    status: OrderStatus,
    subscription: Option<SubscriptionId>,
    currency: Currency,
    subtotal: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total: Money,
    discount_code: Option<&'a str>,
    shipping_method: Option<&'a str>,
    shipping_address: &'a Address,
    billing_address: &'a Address,
    lines: &'a [order::OrderLine],
    tracking_code: Option<&'a str>,
    placed_at: Timestamp,
    fulfilled_at: Option<Timestamp>,
    payment: Option<PaymentLine<'a>>,
}

impl<'a> OrderLine<'a> {
    pub(super) fn new(order: &'a Order, payment: Option<PaymentLine<'a>>) -> Self {
        Self {
            r#type: LineType::Order,
            id: order.id,
            number: order.number,
            customer: order.user_id,
            email: &order.email,
            status: order.status,
            subscription: order.subscription_id,
            currency: order.currency,
            subtotal: order.subtotal,
            discount: order.discount,
            shipping: order.shipping,
            tax: order.tax,
            total: order.total,
            discount_code: order.discount_code.as_deref(),
            shipping_method: order.shipping_method.as_deref(),
            shipping_address: &order.shipping_address,
            billing_address: &order.billing_address,
            lines: &order.lines,
            tracking_code: order.tracking_code.as_deref(),
            placed_at: order.placed_at,
            fulfilled_at: order.fulfilled_at,
            payment,
        }
    }
}

/// A payment with its operations, the oldest first.
#[derive(Serialize)]
pub(super) struct PaymentLine<'a> {
    id: PaymentId,
    provider: &'a str,
    provider_reference: Option<&'a str>,
    status: PaymentStatus,
    currency: Currency,
    amount: Money,
    authorized: Money,
    captured: Money,
    refunded: Money,
    failure: Option<&'a str>,
    created_at: Timestamp,
    operations: Vec<OperationLine>,
}

#[derive(Serialize)]
struct OperationLine {
    id: PaymentOperationId,
    kind: OperationKind,
    status: OperationStatus,
    amount: Money,
    reason: Option<String>,
    failure: Option<String>,
    provider_reference: Option<String>,
    created_at: Timestamp,
    settled_at: Option<Timestamp>,
}

impl<'a> PaymentLine<'a> {
    pub(super) fn new(payment: &'a Payment, operations: Vec<PaymentOperation>) -> Self {
        let operations = operations.into_iter().map(|operation| OperationLine {
            id: operation.id,
            kind: operation.kind,
            status: operation.status,
            amount: operation.amount,
            reason: operation.reason,
            failure: operation.failure,
            provider_reference: operation.provider_reference,
            created_at: operation.created_at,
            settled_at: operation.settled_at,
        });
        Self {
            id: payment.id,
            provider: &payment.provider,
            provider_reference: payment.provider_reference.as_deref(),
            status: payment.status,
            currency: payment.currency,
            amount: payment.amount,
            authorized: payment.authorized,
            captured: payment.captured,
            refunded: payment.refunded,
            failure: payment.failure.as_deref(),
            created_at: payment.created_at,
            operations: operations.collect(),
        }
    }
}

/// The line of an invoice or a credit note.
#[derive(Serialize)]
pub(super) struct InvoiceLine<'a> {
    r#type: LineType,
    id: InvoiceId,
    kind: InvoiceKind,
    series: &'a str,
    number: i64,
    order: Option<OrderId>,
    customer: Option<UserId>,
    corrects: Option<InvoiceId>,
    refund: Option<PaymentOperationId>,
    currency: Currency,
    total: Money,
    document: &'a InvoiceDocument,
    issued_at: Timestamp,
}

impl<'a> From<&'a Invoice> for InvoiceLine<'a> {
    fn from(invoice: &'a Invoice) -> Self {
        Self {
            r#type: LineType::Invoice,
            id: invoice.id,
            kind: invoice.kind,
            series: &invoice.series,
            number: invoice.number,
            order: invoice.order_id,
            customer: invoice.user_id,
            corrects: invoice.corrects,
            refund: invoice.payment_operation_id,
            currency: invoice.currency,
            total: invoice.total,
            document: &invoice.document,
            issued_at: invoice.issued_at,
        }
    }
}

/// The line of a review.
#[derive(Serialize)]
pub(super) struct ReviewLine<'a> {
    r#type: LineType,
    id: ReviewId,
    product: ProductId,
    customer: UserId,
    rating: i64,
    title: &'a str,
    body: &'a str,
    status: ReviewStatus,
    created_at: Timestamp,
}

impl<'a> From<&'a Review> for ReviewLine<'a> {
    fn from(review: &'a Review) -> Self {
        Self {
            r#type: LineType::Review,
            id: review.id,
            product: review.product_id,
            customer: review.user_id,
            rating: review.rating,
            title: &review.title,
            body: &review.body,
            status: review.status,
            created_at: review.created_at,
        }
    }
}

/// The line of a subscription.
#[derive(Serialize)]
pub(super) struct SubscriptionLine<'a> {
    r#type: LineType,
    id: SubscriptionId,
    customer: UserId,
    product: ProductId,
    variant: VariantId,
    quantity: i64,
    status: SubscriptionStatus,
    interval: BillingInterval,
    currency: Currency,
    unit_price: Money,
    shipping_method: Option<&'a str>,
    shipping_address: &'a Address,
    billing_address: &'a Address,
    provider: &'a str,
    period: i64,
    anchor_at: Timestamp,
    paid_until: Timestamp,
    next_charge_at: Option<Timestamp>,
    failed_attempts: i64,
    created_at: Timestamp,
}

impl<'a> From<&'a Subscription> for SubscriptionLine<'a> {
    fn from(subscription: &'a Subscription) -> Self {
        Self {
            r#type: LineType::Subscription,
            id: subscription.id,
            customer: subscription.user_id,
            product: subscription.product_id,
            variant: subscription.variant_id,
            quantity: subscription.quantity,
            status: subscription.status,
            interval: subscription.interval,
            currency: subscription.currency,
            unit_price: subscription.unit_price,
            shipping_method: subscription.shipping_method.as_deref(),
            shipping_address: &subscription.shipping_address,
            billing_address: &subscription.billing_address,
            provider: &subscription.provider,
            period: subscription.period,
            anchor_at: subscription.anchor_at,
            paid_until: subscription.paid_until,
            next_charge_at: subscription.next_charge_at,
            failed_attempts: subscription.failed_attempts,
            created_at: subscription.created_at,
        }
    }
}
