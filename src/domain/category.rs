//! The category tree.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::CategoryId;
use super::product::Translations;
use super::tax::TaxClass;

/// The most levels of a tree.
pub const MAX_LEVELS: usize = 24;

/// A category: a node of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// The id.
    pub id: CategoryId,
    /// The readable part of the URL, unique in the store.
    pub slug: String,
    /// The name in the store's base language.
    pub name: String,
    /// The parent; `None` at the top.
    pub parent_id: Option<CategoryId>,
    /// The rank among the siblings, smallest first.
    pub position: i64,
    /// The tax class of the products; `None` means the parent's.
    pub tax_class: Option<TaxClass>,
    /// The names in other languages.
    pub translations: Translations,
    /// The number of changes, from 1.
    pub version: i64,
    /// The time of the creation, UTC.
    pub created_at: Timestamp,
    /// The time of the last change, UTC.
    pub updated_at: Timestamp,
}

impl Category {
    /// Returns a category at the top of the tree, at position 0.
    pub fn new(id: CategoryId, slug: String, name: String, created_at: Timestamp) -> Self {
        Self {
            id,
            slug,
            name,
            parent_id: None,
            position: 0,
            tax_class: None,
            translations: Translations::new(),
            version: 1,
            created_at,
            updated_at: created_at,
        }
    }
}

/// A category with its subtree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtree {
    /// The category.
    pub category: Category,
    /// The children, in their order.
    pub children: Vec<Subtree>,
}

/// Returns the tree of categories, which are given in the order of siblings. Levels below [`MAX_LEVELS`] are left out.
pub fn tree(categories: Vec<Category>) -> Vec<Subtree> {
    let mut children: HashMap<Option<CategoryId>, Vec<Category>> = HashMap::new();
    for category in categories {
        children.entry(category.parent_id).or_default().push(category);
    }
    subtrees(None, MAX_LEVELS, &mut children)
}

fn subtrees(
    parent: Option<CategoryId>,
    levels: usize,
    below: &mut HashMap<Option<CategoryId>, Vec<Category>>,
) -> Vec<Subtree> {
    if levels == 0 {
        return Vec::new();
    }
    let categories = below.remove(&parent).unwrap_or_default();
    let subtree = |category: Category| {
        let children = subtrees(Some(category.id), levels - 1, below);
        Subtree { category, children }
    };
    categories.into_iter().map(subtree).collect()
}

impl Subtree {
    /// Returns the subtree of the category with this id or slug.
    pub fn find<'a>(tree: &'a [Self], id_or_slug: &str) -> Option<&'a Self> {
        let id = id_or_slug.parse().ok();
        let is_it = |category: &Category| Some(category.id) == id || category.slug == id_or_slug;
        let found = tree.iter().find(|subtree| is_it(&subtree.category));
        found.or_else(|| tree.iter().find_map(|subtree| Self::find(&subtree.children, id_or_slug)))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn category(number: usize, parent: Option<usize>) -> Category {
        let id = |number: usize| CategoryId(Uuid::from_u128(number as u128));
        Category {
            id: id(number),
            slug: format!("c{number}"),
            name: String::new(),
            parent_id: parent.map(id),
            position: 0,
            tax_class: None,
            translations: Translations::new(),
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn count(tree: &[Subtree]) -> usize {
        tree.iter().map(|subtree| 1 + count(&subtree.children)).sum()
    }

    #[test]
    fn siblings_keep_their_order_and_a_subtree_is_found_by_id_or_slug() {
        let tree = tree(vec![
            category(4, Some(1)),
            category(2, None),
            category(1, None),
            category(3, Some(1)),
            category(5, Some(3)),
        ]);
        let slugs =
            |tree: &[Subtree]| tree.iter().map(|subtree| subtree.category.slug.clone()).collect::<Vec<_>>();
        assert_eq!(
            (slugs(&tree), slugs(&tree[1].children)),
            (vec!["c2".into(), "c1".into()], vec!["c4".into(), "c3".into()])
        );
        let third = Subtree::find(&tree, "c3").unwrap();
        assert_eq!(slugs(&third.children), ["c5"]);
        assert_eq!(Subtree::find(&tree, &third.category.id.to_string()), Some(third));
        assert_eq!((Subtree::find(&tree, "c6"), count(&tree)), (None, 5));
    }

    #[test]
    fn levels_below_the_last_are_left_out() {
        let chain =
            |length: usize| (0..length).map(|number| category(number, number.checked_sub(1))).collect();
        assert_eq!(count(&tree(chain(MAX_LEVELS))), MAX_LEVELS);
        assert_eq!(count(&tree(chain(10_000))), MAX_LEVELS);
    }
}
