//! The input of the index: a product with its categories.

use crate::domain::ids::CategoryId;
use crate::domain::product::Product;

/// A product to be indexed.
pub(crate) struct IndexedProduct<'a> {
    pub product: &'a Product,
    /// The category of the product and its ancestors.
    pub path: Vec<CategoryId>,
    /// Whether the product is not in the index yet.
    pub is_new: bool,
}
