//! A cart with its prices.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Totals;
use crate::application::selling::cart::{PricedCart, PricedCartLine};
use crate::domain::cart::CartStatus;
use crate::domain::ids::{CartId, OrderId, ProductId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::infrastructure::exceptions::InvalidDiscountCodeException;
use crate::presentation::http::response::{StoredResponse, tagged};

/// A cart with its prices, for delivery to the store's default country. The checkout computes shipping and tax for the
/// shipping address.
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
    /// The totals of the items that can be bought.
    totals: Totals,
    /// The code of the shipping method in `totals`: the cheapest one.
    shipping_method: Option<String>,
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
    /// The number of pieces that can be bought.
    available: i64,
    /// Whether the variant is sold in the currency of the cart. If not, it has no price and is not in the totals.
    for_sale: bool,
    /// The price of one piece, before the discount.
    unit_price: Option<Money>,
    /// The item's share of the discount of the cart.
    discount: Option<Money>,
    /// The tax on the price of all pieces less the discount, included in it or added to it.
    tax: Option<Money>,
    /// The amount to pay for all pieces, tax included.
    total: Option<Money>,
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
            totals: Totals {
                subtotal: quote.priced.subtotal,
                discount: quote.priced.discount,
                shipping: quote.priced.shipping,
                tax: quote.priced.tax,
                total: quote.priced.total,
            },
            shipping_method: quote.shipping.as_ref().map(|method| method.code.clone()),
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

impl CartItemBody {
    fn of(line: &PricedCartLine) -> Self {
        let PricedCartLine { line, offer, priced } = line;
        Self {
            variant_id: line.variant_id,
            product_id: offer.product_id,
            sku: offer.sku.clone(),
            name: offer.name.clone(),
            quantity: line.quantity,
            available: offer.available,
            for_sale: priced.is_some(),
            unit_price: priced.map(|priced| priced.unit_price),
            discount: priced.map(|priced| priced.discount),
            tax: priced.map(|priced| priced.tax),
            total: priced.map(|priced| priced.total),
        }
    }
}
