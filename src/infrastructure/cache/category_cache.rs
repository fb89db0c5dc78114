//! The whole category tree, in one entry, which one process at a time loads. A change of any category drops it.
//!
//! It has no prices, and a shop without it has no navigation: if it cannot be loaded, or not within a second, the tree
//! of before is served for half an hour at most, and says so (`Cache-Status`). So it is while the database is not
//! available, or does not say within a second what was changed, when no other cache is used.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cached::Cached;
use super::entry::Loaded;
use super::policy::Policy;
use super::read::Served;
use super::rendered::{Form, Rendered};
use super::tag::Tag;
use super::tiers::Tiers;
use super::weight::{self, texts};
use crate::domain::category::{Category, Subtree, tree};
use crate::domain::ids::CategoryId;
use crate::infrastructure::repositories::{CacheTag, CategoryRepository, Database, DatabaseError};

pub(super) const POLICY: Policy = Policy {
    ttl: Duration::from_mins(10),
    eager: Duration::from_mins(1),
    stale: Duration::from_mins(10),
    fail_safe: Duration::from_mins(30),
    soft_timeout: Duration::from_secs(1),
    max_bytes: 8 << 20,
    is_dear: true,
    ..Policy::named("category", 2)
};

/// All categories, for the only key.
pub type CategoryCache = Cached<Tree, Rendered<Categories>, DatabaseError>;

/// The key of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tree;

/// All categories, siblings in their order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Categories {
    all: Vec<Category>,
    #[serde(skip)]
    tree: OnceLock<Vec<Subtree>>,
    /// The forms of subtrees, as far as they were served.
    #[serde(skip)]
    subtrees: OnceLock<HashMap<CategoryId, OnceLock<Form>>>,
}

impl Categories {
    /// Returns the tree, which is built once.
    pub fn tree(&self) -> &[Subtree] {
        self.tree.get_or_init(|| tree(self.all.clone()))
    }
}

impl Served<Rendered<Categories>> {
    /// Returns the form of the subtree of the category with this id or slug, which `render` makes if there is none, and
    /// in check mode also if there is one; `None` if there is no such category.
    pub fn subtree_form<E>(
        &self,
        id_or_slug: &str,
        render: impl FnOnce(&Subtree) -> Result<Form, E>,
    ) -> Option<Result<Form, E>> {
        let subtree = Subtree::find(self.tree(), id_or_slug)?;
        let empty = || self.all.iter().map(|category| (category.id, OnceLock::new())).collect();
        let kept = self.subtrees.get_or_init(empty).get(&subtree.category.id)?;
        let Some(form) = kept.get() else {
            return Some(render(subtree).map(|form| kept.get_or_init(|| form).clone()));
        };
        Some(self.compared(id_or_slug, form.clone(), |fresh| {
            // it is there: the trees are the same
            Subtree::find(fresh.tree(), id_or_slug).map_or_else(|| Ok(form.clone()), render)
        }))
    }
}

impl Deref for Categories {
    type Target = [Category];

    fn deref(&self) -> &[Category] {
        &self.all
    }
}

pub(super) fn category_cache(tiers: &Tiers, database: Database) -> CategoryCache {
    tiers.cached(POLICY, move |Tree| load(database.clone()))
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tree")
    }
}

async fn load(database: Database) -> Result<Loaded<Rendered<Categories>>, DatabaseError> {
    let all = CategoryRepository(&mut database.read().await?).tree().await?;
    let own: usize = all.iter().map(weigh).sum();
    let space = weight::capped(512 + 2 * own);
    let categories = Categories { all, tree: OnceLock::new(), subtrees: OnceLock::new() };
    let forms: usize = categories.tree().iter().map(|top| weigh_forms(top, 1)).sum();
    // each is in the list and in the tree
    let bytes = weight::capped(2 * own + forms).saturating_add(space);
    let value = Rendered::with_forms(categories, space);
    Ok(Loaded { value: Some(value), tags: vec![Tag::of(CacheTag::CATEGORIES)], bytes })
}

/// The bytes of a category and those below it in the forms of subtrees. The category is in `levels` of them: its own,
/// and those of the categories above it.
fn weigh_forms(Subtree { category, children }: &Subtree, levels: usize) -> usize {
    let below: usize = children.iter().map(|child| weigh_forms(child, levels + 1)).sum();
    size_of::<(CategoryId, Form)>() + levels * weigh(category) + below
}

fn weigh(Category { slug, name, translations, tax_class, .. }: &Category) -> usize {
    size_of::<Category>()
        + texts([slug, name])
        + weight::translations(translations)
        + weight::tax_class(tax_class.as_ref())
}
