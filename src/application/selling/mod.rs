//! Carts, quotes, discounts, checkout and orders.

pub mod cart;
pub mod checkout;
pub mod discounts;
pub mod holds;
pub mod orders;
pub mod place_order;
pub mod priced_cart;
pub mod queries;
pub mod quote;
pub mod rates;
pub mod shown_cart;
