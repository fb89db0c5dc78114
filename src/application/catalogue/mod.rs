//! Products, categories and reviews.

pub mod categories;
pub mod naming;
pub mod products;
pub mod reviews;
