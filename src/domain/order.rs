//! Orders and their lines.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::ids::{CartId, OrderId, ProductId, SubscriptionId, UserId, VariantId};
use super::invoice::InvoiceTax;
use super::money::{Currency, Money};
use super::pricing::Totals;
use super::product::{BillingInterval, ProductKind};
use super::state::states;

states! {
    /// The status of an order.
    OrderStatus, "order", {
        /// Placed: its stock is reserved, and the outcome of its payment is not known yet.
        Pending = "pending" -> [Paid, Cancelled],
        /// Paid (authorized or captured); to be fulfilled.
        Paid = "paid" -> [Fulfilled, Cancelled, Refunded],
        /// Handed to the carrier, or delivered digitally.
        Fulfilled = "fulfilled" -> [Refunded],
        /// Cancelled before it was fulfilled: its stock is released, and its payment voided or refunded.
        Cancelled = "cancelled" -> [],
        /// Its payment was refunded as a whole.
        Refunded = "refunded" -> [],
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The id.
    pub id: OrderId,
    /// The number: 1, 2, 3 … without gaps.
    pub number: i64,
    /// The customer; `None` for a guest.
    pub user_id: Option<UserId>,
    /// The e-mail address of the customer or guest.
    pub email: String,
    /// The seller: the name of the store when the order was placed.
    pub seller: String,
    /// The status.
    pub status: OrderStatus,
    /// The cart that was checked out; `None` for a renewal.
    pub cart_id: Option<CartId>,
    /// The subscription of a renewal.
    pub subscription_id: Option<SubscriptionId>,
    /// The currency of every amount.
    pub currency: Currency,
    /// The price of the lines before the discount.
    pub subtotal: Money,
    /// The amount of the discount.
    pub discount: Money,
    /// The price of shipping, as the shipping method states it.
    pub shipping: Money,
    /// The tax, included in the prices or added to them.
    pub tax: Money,
    /// The amount to pay.
    pub total: Money,
    /// The tax of each rate, shipping included; all net amounts and taxes add up to the total.
    pub taxes: Vec<InvoiceTax>,
    /// The discount code that was redeemed.
    pub discount_code: Option<String>,
    /// The code of the shipping method; `None` if nothing is shipped.
    pub shipping_method: Option<String>,
    /// The address to which the order is delivered.
    pub shipping_address: Address,
    /// The address of the invoice.
    pub billing_address: Address,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time at which the order was placed, UTC.
    pub placed_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
    /// The time at which the order was fulfilled, UTC.
    pub fulfilled_at: Option<Timestamp>,
    /// The carrier's tracking code.
    pub tracking_code: Option<String>,
    /// The lines, in their order.
    pub lines: Vec<OrderLine>,
}

impl Order {
    /// Returns the totals.
    pub fn totals(&self) -> Totals {
        let Self { subtotal, discount, shipping, tax, total, .. } = *self;
        Totals { subtotal, discount, shipping, tax, total }
    }

    /// Returns whether the order has only digital goods.
    pub fn is_digital(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|line| line.kind == ProductKind::Digital)
    }

    /// Returns whether the order begins subscriptions or pays a period of one.
    pub fn has_subscriptions(&self) -> bool {
        let begins = self.lines.iter().any(|line| line.billing_interval.is_some());
        begins || self.subscription_id.is_some()
    }
}

/// A line of an order: a copy of what was sold, so that a later change of the product does not change the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// The position in the order, from 1.
    pub position: i64,
    /// The variant that was sold.
    pub variant_id: VariantId,
    /// The product of the variant.
    pub product_id: ProductId,
    /// The SKU at the time of the order.
    pub sku: String,
    /// The kind of the product at the time of the order.
    pub kind: ProductKind,
    /// The interval at which the line is charged again, if it begins or renews a subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_interval: Option<BillingInterval>,
    /// The name of the product at the time of the order.
    pub name: String,
    /// The number of pieces.
    pub quantity: i64,
    /// The price of one piece at the time of the order.
    pub unit_price: Money,
    /// The line's share of the discount.
    pub discount: Money,
    /// The tax of the line.
    pub tax: Money,
    /// The tax rate in basis points: 1900 is 19 %.
    pub tax_basis_points: i64,
    /// Whether the prices include the tax.
    pub tax_inclusive: bool,
    /// The amount to pay for the line, tax included.
    pub total: Money,
}
