//! The catalogue's index: copies of product data with which lists, searches and facets of a large catalogue read a
//! bounded number of rows.
//!
//! `listing` reads lists; `search` and `admin_search` search the word postings of `postings` and `product_texts`;
//! `indexing` writes all of it in the transaction that changes a product.

pub(crate) mod admin_search;
mod facets;
mod indexed_product;
pub(crate) mod indexing;
pub(crate) mod listing;
mod postings;
mod product_texts;
pub(crate) mod search;

pub(crate) use self::search::query_words;

pub use self::admin_search::AdminProductFilter;
pub use self::facets::{Facets, PriceBand};
pub use self::listing::{ListPosition, ProductFilter, ProductSort};
pub use self::postings::NEWEST_POSTINGS;
pub use self::search::normalized_query;
