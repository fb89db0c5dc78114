//! A cart, priced.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Totals;
use crate::application::selling::cart::{CartLine, PricedCart};
use crate::domain::cart::CartStatus;
use crate::domain::ids::{CartId, OrderId, ProductId, VariantId};
use crate::domain::money::{Currency, Money};
use crate::infrastructure::exceptions::InvalidDiscountCodeException;
use crate::infrastructure::repositories::StoredResponse;
use crate::presentation::http::answer::versioned;

/// A cart with what it costs in the store's own country; what it costs elsewhere says the checkout.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cart)]
pub struct CartBody {
    /// Its id. A guest's cart is held by it alone, so it is to be kept secret.
    id: CartId,
    /// What has become of it.
    status: CartStatus,
    /// The currency it is priced in.
    currency: Currency,
    /// Its lines, in the order they were added.
    items: Vec<CartItemBody>,
    /// The discount code it carries.
    discount: Option<CartDiscount>,
    /// What the lines that can be bought come to.
    totals: Totals,
    /// The way of shipping in `totals`: the cheapest.
    shipping_method: Option<String>,
    /// The order that it became.
    order_id: Option<OrderId>,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
    /// When it is cleared away, unless it is changed before.
    expires_at: Timestamp,
}

/// A line of a cart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CartItem)]
struct CartItemBody {
    /// What.
    variant_id: VariantId,
    /// Its product.
    product_id: ProductId,
    /// Its stock-keeping unit.
    sku: String,
    /// Its name with its options.
    name: String,
    /// How many.
    quantity: i64,
    /// How many can be bought now.
    available: i64,
    /// Whether it is for sale, in this currency. If not, it has no price and is not in the totals.
    for_sale: bool,
    /// The price of one.
    unit_price: Option<Money>,
    /// Its share of the discount.
    discount: Option<Money>,
    /// Its tax.
    tax: Option<Money>,
    /// What is to be paid for it.
    total: Option<Money>,
}

/// The discount code of a cart.
#[derive(Debug, Serialize, ToSchema)]
struct CartDiscount {
    /// The code.
    code: String,
    /// Whether it applies now.
    applies: bool,
    /// Why it does not.
    reason: Option<&'static str>,
}

impl CartBody {
    /// As it looks outside.
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

    /// The answer that shows it.
    pub fn answer(priced: &PricedCart) -> StoredResponse {
        versioned(priced.cart.version, &Self::of(priced))
    }
}

impl CartItemBody {
    fn of(line: &CartLine) -> Self {
        let CartLine { item, offer, priced } = line;
        Self {
            variant_id: item.variant_id,
            product_id: offer.product_id,
            sku: offer.sku.clone(),
            name: offer.name.clone(),
            quantity: item.quantity,
            available: offer.available,
            for_sale: priced.is_some(),
            unit_price: priced.map(|priced| priced.unit_price),
            discount: priced.map(|priced| priced.discount),
            tax: priced.map(|priced| priced.tax),
            total: priced.map(|priced| priced.total),
        }
    }
}
