//! Products, categories and reviews.

pub mod caches;
pub mod categories;
pub mod naming;
pub mod product_draft;
pub mod products;
pub mod reviews;
pub mod stock;
pub mod store_currency;
