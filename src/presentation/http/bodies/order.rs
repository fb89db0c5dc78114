//! An order with its payment.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{PaymentBody, Totals};
use crate::application::selling::place_order::PlacedOrder;
use crate::domain::address::Address;
use crate::domain::ids::{OrderId, ProductId, SubscriptionId, UserId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{Order, OrderLine, OrderStatus};
use crate::domain::product::ProductKind;
use crate::infrastructure::repositories::StoredResponse;
use crate::presentation::http::answer::versioned;

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderBody {
    /// Its id.
    pub id: OrderId,
    /// Its number.
    number: i64,
    /// How far it has come.
    status: OrderStatus,
    /// Who ordered; null is a guest.
    user_id: Option<UserId>,
    /// Where to write to.
    email: String,
    /// The currency of every amount in it.
    currency: Currency,
    /// What was bought.
    items: Vec<OrderItemBody>,
    /// What it comes to.
    totals: Totals,
    /// The discount code used.
    discount_code: Option<String>,
    /// The way of shipping, if anything is shipped.
    shipping_method: Option<String>,
    /// Where the goods go.
    shipping_address: Address,
    /// Where the invoice goes.
    billing_address: Address,
    /// Its payment.
    payment: PaymentBody,
    /// The subscription whose period it pays.
    subscription_id: Option<SubscriptionId>,
    /// The carrier's tracking code.
    tracking_code: Option<String>,
    /// When it was placed.
    placed_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
    /// When it was handed to the carrier.
    fulfilled_at: Option<Timestamp>,
    /// What shows the order to a guest, in the header `Order-Token`; told at checkout only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// A line of an order, as it was sold.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderItem)]
struct OrderItemBody {
    /// What.
    variant_id: VariantId,
    /// Its product.
    product_id: ProductId,
    /// Its stock-keeping unit.
    sku: String,
    /// What kind of thing it is.
    kind: ProductKind,
    /// Its name with its options.
    name: String,
    /// How many.
    quantity: i64,
    /// The price of one.
    unit_price: Money,
    /// Its share of the discount.
    discount: Money,
    /// Its tax.
    tax: Money,
    /// The rate of the tax in hundredths of a percent.
    tax_basis_points: i64,
    /// Whether the price contains the tax.
    tax_inclusive: bool,
    /// What is to be paid for it.
    total: Money,
}

impl OrderBody {
    /// The answer that shows it.
    pub fn answer(placed: &PlacedOrder) -> StoredResponse {
        versioned(placed.order.version, &Self::of(placed))
    }

    /// As it looks outside.
    pub fn of(placed: &PlacedOrder) -> Self {
        let PlacedOrder { order, payment } = placed;
        let money = |amount| Money::new(amount, order.currency);
        Self {
            id: order.id,
            number: order.number,
            status: order.status,
            user_id: order.user_id,
            email: order.email.clone(),
            currency: order.currency,
            items: order.lines.iter().map(|line| OrderItemBody::of(line, order)).collect(),
            totals: Totals {
                subtotal: money(order.subtotal),
                discount: money(order.discount),
                shipping: money(order.shipping),
                tax: money(order.tax),
                total: money(order.total),
            },
            discount_code: order.discount_code.clone(),
            shipping_method: order.shipping_method.clone(),
            shipping_address: order.shipping_address.clone(),
            billing_address: order.billing_address.clone(),
            payment: PaymentBody::of(payment),
            subscription_id: order.subscription_id,
            tracking_code: order.tracking_code.clone(),
            placed_at: order.placed_at,
            updated_at: order.updated_at,
            fulfilled_at: order.fulfilled_at,
            token: None,
        }
    }
}

impl OrderItemBody {
    fn of(line: &OrderLine, order: &Order) -> Self {
        let money = |amount| Money::new(amount, order.currency);
        Self {
            variant_id: line.variant_id,
            product_id: line.product_id,
            sku: line.sku.clone(),
            kind: line.kind,
            name: line.name.clone(),
            quantity: line.quantity,
            unit_price: money(line.unit_price),
            discount: money(line.discount),
            tax: money(line.tax),
            tax_basis_points: line.tax_basis_points,
            tax_inclusive: line.tax_inclusive,
            total: money(line.total),
        }
    }
}
