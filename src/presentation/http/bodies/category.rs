//! A category, alone or with its subtree.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::category::{Category, Subtree};
use crate::domain::ids::CategoryId;
use crate::domain::product::{Translations, names_only};
use crate::domain::tax::TaxClass;
use crate::presentation::http::response::{StoredResponse, tagged};

/// A category.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Category)]
pub struct CategoryBody {
    /// The id of the category.
    id: CategoryId,
    /// The readable part of the category's URL.
    slug: String,
    /// The name in the base language of the store.
    name: String,
    /// The parent category; `null` at the top of the tree.
    parent_id: Option<CategoryId>,
    /// The rank among the categories with the same parent, smallest first.
    position: i64,
    /// The tax class of the products in the category; `null` is that of the parent category.
    tax_class: Option<TaxClass>,
    /// The name in other languages, by BCP 47 tag.
    translations: Translations,
    /// The time at which the category was created.
    created_at: Timestamp,
    /// The time of the last change.
    updated_at: Timestamp,
}

/// A category with its subtree.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CategoryTree)]
pub struct CategoryTreeBody {
    /// The id of the category.
    id: CategoryId,
    /// The readable part of the category's URL.
    slug: String,
    /// The name in the base language of the store.
    name: String,
    /// The parent category; `null` at the top of the tree.
    parent_id: Option<CategoryId>,
    /// The name in other languages, by BCP 47 tag.
    translations: Translations,
    /// The subcategories, in their order.
    #[schema(no_recursion)]
    children: Vec<CategoryTreeBody>,
}

impl CategoryBody {
    /// The response with this category.
    pub fn response(category: &Category) -> StoredResponse {
        tagged(category.version, &Self::of(category))
    }

    /// The body of a category.
    pub fn of(category: &Category) -> Self {
        Self {
            id: category.id,
            slug: category.slug.clone(),
            name: category.name.clone(),
            parent_id: category.parent_id,
            position: category.position,
            tax_class: category.tax_class.clone(),
            translations: names_only(category.translations.clone()),
            created_at: category.created_at,
            updated_at: category.updated_at,
        }
    }
}

impl CategoryTreeBody {
    /// The body of a category with its subtree.
    pub fn of(subtree: &Subtree) -> Self {
        let Subtree { category, children } = subtree;
        Self {
            id: category.id,
            slug: category.slug.clone(),
            name: category.name.clone(),
            parent_id: category.parent_id,
            translations: names_only(category.translations.clone()),
            children: children.iter().map(Self::of).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::product::Texts;

    #[test]
    fn what_is_returned_can_be_sent_back_also_if_a_description_was_stored() {
        let at = Timestamp::UNIX_EPOCH;
        let mut category = Category::new(CategoryId(Uuid::nil()), "tea".into(), "Tea".into(), at);
        let texts = |description: &str| Texts { name: "Tee".into(), description: description.into() };
        category.translations.insert("de".into(), texts("Getränk"));
        let names = Translations::from([("de".to_owned(), texts(""))]);
        assert_eq!(CategoryBody::of(&category).translations, names);
        let subtree = Subtree { category, children: Vec::new() };
        assert_eq!(CategoryTreeBody::of(&subtree).translations, names);
    }
}
