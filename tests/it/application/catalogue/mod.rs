//! The catalogue over HTTP: the category tree, the variants of products, and their reviews.

mod categories;
mod invalidation;
mod products;
mod reviews;
