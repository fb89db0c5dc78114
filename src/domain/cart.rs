//! What a shopper means to buy.

use super::ids::{CartId, OrderId, UserId, VariantId};
use super::money::Currency;
use super::state::states;
use jiff::Timestamp;

/// The most pieces of one variant a cart takes.
pub const MAX_QUANTITY: i64 = 9_999;
/// The most lines a cart takes.
pub const MAX_LINES: usize = 200;

states! {
    /// What has become of a cart.
    CartStatus, "cart", {
        /// It can be changed and bought.
        Open = "open" -> [Ordered, Merged],
        /// It became an order; if that comes to nothing, it is open again.
        Ordered = "ordered" -> [Open],
        /// It was merged into another cart at log-in.
        Merged = "merged" -> [],
    }
}

/// A cart; a guest's is held by its unguessable id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cart {
    /// Its id. Knowing it is a guest's right to the cart: 62 of its bits are random, and the rest is a microsecond.
    pub id: CartId,
    /// Whose it is; `None` is a guest's.
    pub user_id: Option<UserId>,
    /// The currency it is priced in.
    pub currency: Currency,
    /// What has become of it.
    pub status: CartStatus,
    /// The discount code it carries, as the shopper typed it.
    pub discount_code: Option<String>,
    /// The order it became.
    pub order_id: Option<OrderId>,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it may be cleared away.
    pub expires_at: Timestamp,
    /// Its lines in the order they were added.
    pub items: Vec<CartItem>,
}

/// A line of a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CartItem {
    /// What.
    pub variant_id: VariantId,
    /// How many, 1 to [`MAX_QUANTITY`].
    pub quantity: i64,
}
