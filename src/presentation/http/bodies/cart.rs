//! A cart with its prices.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::application::selling::priced_cart::{NotPriced, PricedCart, PricedCartLine};
use crate::domain::cart::{CartStatus, Delivery};
use crate::domain::ids::{CartId, OrderId, ProductId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::domain::pricing::Totals;
use crate::domain::shipping::ShippingMethod;
use crate::infrastructure::exceptions::InvalidDiscountCodeException;
use crate::presentation::http::response::{StoredResponse, tagged};

/// A cart with its prices for its delivery. A checkout with the same delivery charges them, if they do not change
/// meanwhile; with `expected_total` it charges nothing else.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cart)]
pub struct CartBody {
    /// The id of the cart. It is the only protection of a guest's cart and has to be kept secret.
    id: CartId,
    /// Only an `open` cart can be changed and checked out.
    status: CartStatus,
    /// The currency of the prices.
    currency: Currency,
    /// The items, in the order in which they were added.
    items: Vec<CartItemBody>,
    /// The discount code.
    discount: Option<CartDiscount>,
    /// The delivery that the prices are computed for. It is empty in a cart that is not open.
    delivery: Delivery,
    /// The totals of the items that are for sale.
    totals: Totals,
    /// The code of the shipping method in `totals`: that of the delivery, or the cheapest one if it has none, or one
    /// that is not available any more.
    shipping_method: Option<String>,
    /// The shipping methods that deliver the items to the country; none if no item is shipped.
    shipping_methods: Vec<CartShippingMethod>,
    /// Whether the items can be delivered to the country. If not, the checkout fails.
    deliverable: bool,
    /// The order that was placed with the cart.
    order_id: Option<OrderId>,
    /// The time at which the cart was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
    /// The time at which the cart is deleted if it is not changed before.
    expires_at: Timestamp,
}

/// An item of a cart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CartItem)]
struct CartItemBody {
    /// The variant.
    variant_id: VariantId,
    /// The product of the variant.
    product_id: ProductId,
    /// The merchant's code of the variant.
    sku: String,
    /// The name of the product with the options of the variant.
    name: String,
    /// The number of pieces.
    quantity: i64,
    /// The number of pieces in stock that are not reserved; `null` if they are not counted, and any number can be
    /// bought. With less than `quantity`, the checkout fails with `product_out_of_stock`.
    available: Option<i64>,
    /// Whether the item is sold in the currency of the cart, at an amount that can be paid. If not, it has no price and
    /// is not in the totals, and the checkout fails. Whether there are enough pieces, `available` says.
    for_sale: bool,
    /// The reason why the item is not for sale: `not_sold` in the currency of the cart, or `amount_too_large`.
    reason: Option<&'static str>,
    /// The price of one piece, before the discount.
    unit_price: Option<Money>,
    /// The item's share of the discount of the cart.
    discount: Option<Money>,
    /// The tax on the price of all pieces less the discount, included in it or added to it.
    tax: Option<Money>,
    /// The amount to pay for all pieces, tax included.
    total: Option<Money>,
}

/// A shipping method that a cart can be delivered with.
#[derive(Debug, Serialize, ToSchema)]
struct CartShippingMethod {
    /// The code.
    code: String,
    /// The name in the base language of the store.
    name: String,
    /// The shipping costs of the items, as in `totals.shipping`.
    price: Money,
}

/// The discount code of a cart.
#[derive(Debug, Serialize, ToSchema)]
struct CartDiscount {
    /// The code.
    code: String,
    /// Whether the discount applies.
    applies: bool,
    /// The reason why the discount does not apply.
    reason: Option<&'static str>,
}

impl CartBody {
    /// The body of a cart.
    pub fn of(priced: &PricedCart) -> Self {
        let PricedCart { cart, lines, quote } = priced;
        let discount = cart.discount_code.as_ref().map(|code| CartDiscount {
            code: code.clone(),
            applies: quote.discount.is_some(),
            reason: quote.refused_discount.as_ref().map(InvalidDiscountCodeException::reason),
        });
        Self {
            id: cart.id,
            status: cart.status,
            currency: cart.currency,
            items: lines.iter().map(CartItemBody::of).collect(),
            discount,
            delivery: if cart.status == CartStatus::Open {
                cart.delivery.clone()
            } else {
                Delivery::default()
            },
            totals: quote.priced.totals,
            shipping_method: quote.shipping.as_ref().map(|method| method.code.clone()),
            shipping_methods: quote.shipping_methods.iter().map(CartShippingMethod::of).collect(),
            deliverable: !quote.undeliverable,
            order_id: cart.order_id,
            created_at: cart.created_at,
            updated_at: cart.updated_at,
            expires_at: cart.expires_at,
        }
    }

    /// The response with this cart.
    pub fn response(priced: &PricedCart) -> StoredResponse {
        tagged(priced.cart.version, &Self::of(priced))
    }
}

impl CartShippingMethod {
    fn of((method, price): &(ShippingMethod, Money)) -> Self {
        Self { code: method.code.clone(), name: method.name.clone(), price: *price }
    }
}

impl CartItemBody {
    fn of(line: &PricedCartLine) -> Self {
        let PricedCartLine { line, offer, priced, not_priced } = line;
        Self {
            variant_id: line.variant_id,
            product_id: offer.product_id,
            sku: offer.sku.clone(),
            name: offer.name.clone(),
            quantity: line.quantity,
            available: offer.available,
            for_sale: priced.is_some(),
            reason: not_priced.map(NotPriced::name),
            unit_price: priced.map(|priced| priced.unit_price),
            discount: priced.map(|priced| priced.discount),
            tax: priced.map(|priced| priced.tax),
            total: priced.map(|priced| priced.total),
        }
    }
}
