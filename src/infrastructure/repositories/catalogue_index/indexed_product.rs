//! A product on its way into the index.

use crate::domain::ids::CategoryId;
use crate::domain::product::Product;

/// A product with its categories.
pub(crate) struct IndexedProduct<'a> {
    pub product: &'a Product,
    /// The category of the product and those above it.
    pub path: Vec<CategoryId>,
    /// Whether the product is not in the index yet.
    pub is_new: bool,
}
