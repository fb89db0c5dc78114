//! The category tree.

use jiff::Timestamp;

use super::ids::CategoryId;
use super::product::Translations;
use super::tax::TaxClass;

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its id.
    pub id: CategoryId,
    /// The readable part of its address, unique.
    pub slug: String,
    /// Name in the store's base language.
    pub name: String,
    /// The node above; `None` at the top.
    pub parent_id: Option<CategoryId>,
    /// Its place among its siblings, from the left.
    pub position: i64,
    /// The tax class of its products; `None` takes the parent's.
    pub tax_class: Option<TaxClass>,
    /// Names in other languages.
    pub translations: Translations,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
