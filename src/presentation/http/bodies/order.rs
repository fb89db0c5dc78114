//! An order with its payment.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::PaymentBody;
use crate::domain::address::Address;
use crate::domain::ids::{OrderId, ProductId, SubscriptionId, UserId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::domain::order::{OrderLine, OrderStatus};
use crate::domain::placed_order::PlacedOrder;
use crate::domain::pricing::Totals;
use crate::domain::product::{BillingInterval, ProductKind};
use crate::presentation::http::response::{StoredResponse, tagged};

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderBody {
    /// The id of the order.
    pub id: OrderId,
    /// The number of the order, for people.
    number: i64,
    /// The status: `pending` until the payment is authorized.
    status: OrderStatus,
    /// The buyer; `null` for a guest.
    user_id: Option<UserId>,
    /// The buyer's e-mail address.
    email: String,
    /// The currency of all amounts of the order.
    currency: Currency,
    /// The items.
    items: Vec<OrderItemBody>,
    /// The totals.
    totals: Totals,
    /// The discount code that was redeemed.
    discount_code: Option<String>,
    /// The code of the shipping method; `null` if nothing is shipped.
    shipping_method: Option<String>,
    /// The address to which the order is delivered.
    shipping_address: Address,
    /// The address on the invoice.
    billing_address: Address,
    /// The payment.
    payment: PaymentBody,
    /// The subscription that the order renews. It is `null` for the order of a checkout, also if its payment began
    /// subscriptions, whose first period has it as `order_id`.
    subscription_id: Option<SubscriptionId>,
    /// The carrier's tracking code.
    tracking_code: Option<String>,
    /// The time at which the order was placed.
    placed_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
    /// The time at which the order was handed to the carrier, or its digital goods were delivered.
    fulfilled_at: Option<Timestamp>,
    /// The token with which a guest gets the order, in the header `Order-Token`. Returned only by the checkout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// An item of an order, as it was sold.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderItem)]
struct OrderItemBody {
    /// The variant.
    variant_id: VariantId,
    /// The product of the variant.
    product_id: ProductId,
    /// The merchant's code of the variant.
    sku: String,
    /// How the product is delivered.
    kind: ProductKind,
    /// The interval at which the item is charged again; `null` if it is not a subscription.
    billing_interval: Option<BillingInterval>,
    /// The name of the product with the options of the variant.
    name: String,
    /// The number of pieces.
    quantity: i64,
    /// The price of one piece.
    unit_price: Money,
    /// The item's share of the discount of the order.
    discount: Money,
    /// The tax on the price of all pieces less the discount, included in it or added to it.
    tax: Money,
    /// The tax rate in basis points: hundredths of a percent.
    tax_basis_points: i64,
    /// Whether the price contains the tax.
    tax_inclusive: bool,
    /// The amount to pay for all pieces, tax included.
    total: Money,
}

impl OrderBody {
    /// The response with this order.
    pub fn response(placed: &PlacedOrder) -> StoredResponse {
        tagged(placed.order.version, &Self::of(placed))
    }

    /// The body of an order.
    pub fn of(placed: &PlacedOrder) -> Self {
        let PlacedOrder { order, payment } = placed;
        Self {
            id: order.id,
            number: order.number,
            status: order.status,
            user_id: order.user_id,
            email: order.email.clone(),
            currency: order.currency,
            items: order.lines.iter().map(OrderItemBody::of).collect(),
            totals: order.totals(),
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
    fn of(line: &OrderLine) -> Self {
        Self {
            variant_id: line.variant_id,
            product_id: line.product_id,
            sku: line.sku.clone(),
            kind: line.kind,
            billing_interval: line.billing_interval,
            name: line.name.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            discount: line.discount,
            tax: line.tax,
            tax_basis_points: line.tax_basis_points,
            tax_inclusive: line.tax_inclusive,
            total: line.total,
        }
    }
}
