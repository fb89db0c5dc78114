//! What a unit of work changes of what public pages show: by the rows that it writes, not by its use case.

use std::collections::BTreeSet;
use std::fmt;

use uuid::Uuid;

use super::Database;
use super::new_event::NewEvent;
use crate::domain::ids::{CategoryId, DiscountId, ProductId, VariantId};

/// The name under which a cache of public pages keeps what it shows of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheTag {
    /// A category: its names and its position in the tree.
    Category(CategoryId),
    /// A product with its variants, prices and rating.
    Product(ProductId),
    /// The availability of a variant.
    Variant(VariantId),
    /// What a discount takes off, and when; not how often it was redeemed.
    Discount(DiscountId),
}

impl CacheTag {
    /// The tag of what a change of any category drops, such as the tree.
    pub const CATEGORIES: &str = "categories";
    /// The tag of what a change of any product drops, such as lists.
    pub const PRODUCTS: &str = "products";
}

/// Writes the tag as `product:ID`.
impl fmt::Display for CacheTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Category(id) => write!(f, "category:{id}"),
            Self::Product(id) => write!(f, "product:{id}"),
            Self::Variant(id) => write!(f, "variant:{id}"),
            Self::Discount(id) => write!(f, "discount:{id}"),
        }
    }
}

/// Returns whether a text is the tag of a row, or of all rows of lists or of the tree.
pub fn is_cache_tag(text: &str) -> bool {
    let is_of_row = |(kind, id): (&str, &str)| {
        let is_id = Uuid::try_parse(id).is_ok_and(|uuid| uuid.to_string() == id);
        ["category", "product", "variant", "discount"].contains(&kind) && is_id
    };
    [CacheTag::CATEGORIES, CacheTag::PRODUCTS].contains(&text) || text.split_once(':').is_some_and(is_of_row)
}

/// Makes the event that is published with a unit of work which changed these tags.
pub type TagEvent = fn(&BTreeSet<CacheTag>) -> NewEvent;

impl Database {
    /// Returns the same database, which publishes an event with each unit of work that changes what public pages show.
    #[must_use]
    pub fn publishing_tags(mut self, event: TagEvent) -> Self {
        self.origin.tag_event = Some(event);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_every_row_is_one() {
        let id = Uuid::from_u128(7);
        let tags = [
            CacheTag::Category(CategoryId(id)),
            CacheTag::Product(ProductId(id)),
            CacheTag::Variant(VariantId(id)),
            CacheTag::Discount(DiscountId(id)),
        ];
        assert!(tags.iter().all(|tag| is_cache_tag(&tag.to_string())));
        assert!(is_cache_tag("products") && is_cache_tag("categories"));
        for other in ["", "product", "product:7", "sheep:00000000-0000-0000-0000-000000000007", "products:"] {
            assert!(!is_cache_tag(other), "{other}");
        }
    }
}
