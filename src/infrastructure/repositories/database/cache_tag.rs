//! What a unit of work changes of what public pages show: by the rows that it writes, not by its use case.

use std::collections::BTreeSet;
use std::fmt;

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
