//! What public pages show was changed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::events::DurableEvent;
use crate::infrastructure::repositories::{CacheTag, NewEvent};

/// The most rows of which the tags are listed: more than the lines of an order, so that no guest who orders or cancels
/// drops all caches of all processes. What has more is an import or a change of many products by the staff.
const MOST_ROWS: usize = 256;
/// The tag of everything that public pages show.
pub(crate) const ALL_TAGS: &str = "catalogue";

/// A transaction changed what public pages show. It is published once for each transaction, from the rows that it
/// wrote, so that a cache in front of the store, or a storefront, drops the pages with these tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheInvalidationEvent {
    /// The tags: `product:ID` and `products` (the lists), `category:ID` and `categories` (the tree), `variant:ID` if
    /// the number of its available pieces changed, and `discount:ID`; or only `catalogue`, which is all of them, if
    /// there are many.
    pub tags: Vec<String>,
}

impl DurableEvent for CacheInvalidationEvent {
    const TYPE: &'static str = "cache_invalidation";

    /// Returns the first tag.
    fn subject(&self) -> String {
        self.tags.first().cloned().unwrap_or_default()
    }
}

impl CacheInvalidationEvent {
    /// Returns the event of a transaction that changed these tags.
    fn of(changed: &BTreeSet<CacheTag>) -> Self {
        if changed.len() > MOST_ROWS {
            return Self { tags: vec![ALL_TAGS.to_owned()] };
        }
        Self::with_lists(changed.iter().map(ToString::to_string).collect())
    }

    /// Returns the event of these tags, and of those of the tree and the lists that show their categories and products.
    pub(crate) fn with_lists(mut tags: Vec<String>) -> Self {
        for (row, list) in [("category:", CacheTag::CATEGORIES), ("product:", CacheTag::PRODUCTS)] {
            if tags.iter().any(|tag| tag.starts_with(row)) && !tags.iter().any(|tag| tag == list) {
                tags.push(list.to_owned());
            }
        }
        Self { tags }
    }
}

/// Returns the event of a transaction that changed these tags, as it is published.
pub(crate) fn cache_invalidation(changed: &BTreeSet<CacheTag>) -> NewEvent {
    NewEvent::of(&CacheInvalidationEvent::of(changed))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::cart::MAX_LINES;
    use crate::domain::ids::{CategoryId, ProductId, VariantId};

    #[test]
    fn an_event_lists_the_tags_of_rows_and_of_lists() {
        let [category, product, variant] = [1, 2, 3].map(Uuid::from_u128);
        let changed = BTreeSet::from([
            CacheTag::Product(ProductId(product)),
            CacheTag::Variant(VariantId(variant)),
            CacheTag::Category(CategoryId(category)),
        ]);
        let event = CacheInvalidationEvent::of(&changed);
        let rows =
            [format!("category:{category}"), format!("product:{product}"), format!("variant:{variant}")];
        assert_eq!(event.tags, [&rows[..], &["categories".to_owned(), "products".to_owned()]].concat());
        assert_eq!(event.subject(), rows[0]);
    }

    #[test]
    fn an_order_of_the_most_lines_lists_the_tag_of_each() {
        let changed: BTreeSet<_> =
            (0..MAX_LINES as u128).map(|id| CacheTag::Variant(VariantId(Uuid::from_u128(id)))).collect();
        let tags = CacheInvalidationEvent::of(&changed).tags;
        assert_eq!(tags.len(), MAX_LINES);
        assert!(tags.iter().all(|tag| tag.starts_with("variant:")));
    }

    #[test]
    fn many_rows_have_one_tag() {
        let product = |id| CacheTag::Product(ProductId(Uuid::from_u128(id)));
        let changed = (0..=MOST_ROWS as u128).map(product).collect();
        assert_eq!(CacheInvalidationEvent::of(&changed).tags, ["catalogue"]);
    }
}
