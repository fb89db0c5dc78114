//! The catalogue over HTTP: the category tree and the reviews of products.

mod categories;
mod reviews;
