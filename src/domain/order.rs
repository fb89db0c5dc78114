//! Orders: what was bought, at which prices, and how far it has come.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::ids::{CartId, OrderId, ProductId, SubscriptionId, UserId, VariantId};
use super::invoice::InvoiceTax;
use super::money::{Currency, Money};
use super::product::ProductKind;
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
    /// Its id.
    pub id: OrderId,
    /// Its number: 1, 2, 3 … without gaps.
    pub number: i64,
    /// Who ordered; `None` is a guest.
    pub user_id: Option<UserId>,
    /// Where to write to.
    pub email: String,
    /// Who sells: the store's name then.
    pub seller: String,
    /// How far it has come.
    pub status: OrderStatus,
    /// The cart it was.
    pub cart_id: Option<CartId>,
    /// The subscription whose period it pays.
    pub subscription_id: Option<SubscriptionId>,
    /// The currency of every amount in it.
    pub currency: Currency,
    /// Goods before discount.
    pub subtotal: Money,
    /// The discount.
    pub discount: Money,
    /// Shipping.
    pub shipping: Money,
    /// Tax, contained in the prices or on top of them.
    pub tax: Money,
    /// The amount to pay.
    pub total: Money,
    /// The tax by rate, the shipping's included; with what it is taken on it adds up to the total.
    pub taxes: Vec<InvoiceTax>,
    /// The discount code used.
    pub discount_code: Option<String>,
    /// The code of the shipping method, if anything is shipped.
    pub shipping_method: Option<String>,
    /// Where the goods go.
    pub shipping_address: Address,
    /// Where the invoice goes.
    pub billing_address: Address,
    /// Goes up with every change.
    pub version: i64,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was fulfilled.
    pub fulfilled_at: Option<Timestamp>,
    /// The carrier's tracking code.
    pub tracking_code: Option<String>,
    /// Its lines.
    pub lines: Vec<OrderLine>,
}

impl Order {
    /// Returns whether the order begins subscriptions or pays a period of one.
    pub fn has_subscriptions(&self) -> bool {
        let begins = self.lines.iter().any(|line| line.kind == ProductKind::Subscription);
        begins || self.subscription_id.is_some()
    }
}

/// A line of an order: a copy of what was sold, so that a later change of the product does not rewrite history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Its place in the order, from 1.
    pub position: i64,
    /// What was sold.
    pub variant_id: VariantId,
    /// The product it belongs to.
    pub product_id: ProductId,
    /// Its SKU then.
    pub sku: String,
    /// What kind of thing it is.
    pub kind: ProductKind,
    /// Its name then.
    pub name: String,
    /// How many.
    pub quantity: i64,
    /// The price of one piece then.
    pub unit_price: Money,
    /// Its share of the discount.
    pub discount: Money,
    /// Its tax.
    pub tax: Money,
    /// The tax rate, in basis points.
    pub tax_basis_points: i64,
    /// Whether its prices contain the tax.
    pub tax_inclusive: bool,
    /// The amount to pay for it.
    pub total: Money,
}
