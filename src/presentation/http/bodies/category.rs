//! A category, alone or with those below it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::category::{Branch, Category};
use crate::domain::ids::CategoryId;
use crate::domain::product::Translations;
use crate::domain::tax::TaxClass;

/// A category.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Category)]
pub struct CategoryBody {
    /// Its id.
    id: CategoryId,
    /// The readable part of its address.
    slug: String,
    /// Its name in the store's base language.
    name: String,
    /// The category above it; null at the top.
    parent_id: Option<CategoryId>,
    /// Its place among its siblings.
    position: i64,
    /// The tax class of its products; null takes that of the category above.
    tax_class: Option<TaxClass>,
    /// Its name in other languages, by BCP 47 tag.
    translations: Translations,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

/// A category with those below it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CategoryBranch)]
pub struct BranchBody {
    /// Its id.
    id: CategoryId,
    /// The readable part of its address.
    slug: String,
    /// Its name in the store's base language.
    name: String,
    /// The category above it; null at the top.
    parent_id: Option<CategoryId>,
    /// Its name in other languages, by BCP 47 tag.
    translations: Translations,
    /// Those right below it, in their order.
    #[schema(no_recursion)]
    children: Vec<BranchBody>,
}

impl CategoryBody {
    /// As it looks outside.
    pub fn of(category: &Category) -> Self {
        Self {
            id: category.id,
            slug: category.slug.clone(),
            name: category.name.clone(),
            parent_id: category.parent_id,
            position: category.position,
            tax_class: category.tax_class.clone(),
            translations: category.translations.clone(),
            created_at: category.created_at,
            updated_at: category.updated_at,
        }
    }
}

impl BranchBody {
    /// As it looks outside.
    pub fn of(branch: &Branch) -> Self {
        let Branch { category, children } = branch;
        Self {
            id: category.id,
            slug: category.slug.clone(),
            name: category.name.clone(),
            parent_id: category.parent_id,
            translations: category.translations.clone(),
            children: children.iter().map(Self::of).collect(),
        }
    }
}
