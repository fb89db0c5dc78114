//! Carts: the variants that a shopper wants to buy, with their quantities.

use super::address::Address;
use super::country::Country;
use super::ids::{CartId, OrderId, UserId, VariantId};
use super::money::Currency;
use super::state::states;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most pieces of one variant in a cart.
pub const MAX_QUANTITY: i64 = 9_999;
/// The most lines of a cart.
pub const MAX_LINES: usize = 200;

states! {
    /// The status of a cart.
    CartStatus, "cart", {
        /// The cart can be changed and checked out.
        Open = "open" -> [Ordered, Merged],
        /// The cart was checked out. If the order is cancelled before it is paid, the cart is open again.
        Ordered = "ordered" -> [Open],
        /// The cart was merged into the user's own when the user logged in.
        Merged = "merged" -> [],
    }
}

/// A cart. The cart of a guest is protected by its id, which cannot be guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cart {
    /// The id. A guest who knows it has access to the cart: 62 of its bits are random, the others are the time of its
    /// creation.
    pub id: CartId,
    /// The user; `None` for a guest.
    pub user_id: Option<UserId>,
    /// The currency of the prices.
    pub currency: Currency,
    /// The status.
    pub status: CartStatus,
    /// The discount code, as the shopper typed it.
    pub discount_code: Option<String>,
    /// The delivery that the cart is priced for.
    pub delivery: Delivery,
    /// The order of a cart that was checked out.
    pub order_id: Option<OrderId>,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time of the creation, UTC.
    pub created_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
    /// The time from which the cart may be deleted, UTC.
    pub expires_at: Timestamp,
    /// The lines, in the order in which they were added. On the wire they are `items`.
    pub lines: Vec<CartLine>,
}

/// A line of a cart: a variant with its quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CartLine {
    /// The variant.
    pub variant_id: VariantId,
    /// The number of pieces, 1 to [`MAX_QUANTITY`].
    pub quantity: i64,
}

/// The delivery of a cart, as far as the shopper has stated it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The country code (ISO 3166-1 alpha-2). If omitted, it is that of the shipping address, or else the store's
    /// default country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "country", example = "DE")]
    pub country: Option<Country>,
    /// The postal code. No price depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 20)]
    pub postal_code: Option<String>,
    /// The address to which the order is delivered, in the same country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// The code of the shipping method. If omitted, the cheapest one is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub shipping_method: Option<String>,
    /// The buyer's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "email", max_length = 254)]
    pub email: Option<String>,
}

impl Delivery {
    /// Returns the country, if it is stated.
    pub fn country(&self) -> Option<Country> {
        self.shipping_address.as_ref().map(|address| address.country).or(self.country)
    }
}
