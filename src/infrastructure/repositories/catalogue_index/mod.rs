//! The catalogue's index: what is kept of products beside their own tables, so that lists, searches and facets of a
//! large catalogue read a bounded number of rows.
//!
//! `listing` answers lists, `search` answers searches over the word postings of `postings` and `product_texts`;
//! `read_models` writes all of it in the transaction that changes a product.

mod admin_listing;
mod facets;
pub(crate) mod listing;
mod postings;
mod product_texts;
pub(crate) mod read_models;
mod search;

pub use self::admin_listing::AdminProductFilter;
pub use self::facets::{Facets, PriceBand};
pub use self::listing::{ProductFilter, ProductSort};
pub use self::search::Found;
