//! The catalogue's index: copies of product data with which lists, searches and facets of a large catalogue read a
//! bounded number of rows.
//!
//! `listing` reads lists, `search` searches the word postings of `postings` and `product_texts`;
//! `read_models` writes all of it in the transaction that changes a product.

mod admin_listing;
mod facets;
mod indexed_product;
pub(crate) mod listing;
mod postings;
mod product_texts;
pub(crate) mod read_models;
mod search;

pub use self::admin_listing::AdminProductFilter;
pub use self::facets::{Facets, PriceBand};
pub use self::listing::{ProductFilter, ProductSort};
pub use self::search::SearchResults;
