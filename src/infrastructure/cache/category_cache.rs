//! The whole category tree, in one entry, which one process at a time loads. A change of any category drops it.
//!
//! It has no prices, and a shop without it has no navigation: if it cannot be loaded, or not within a second, the tree
//! of before is served for half an hour at most, and says so (`Cache-Status`). So it is while the database is not
//! available, when no other cache is used.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cached::Cached;
use super::entry::Loaded;
use super::policy::Policy;
use super::rendered::Rendered;
use super::tag::Tag;
use super::tiers::Tiers;
use super::weight::{self, texts};
use crate::domain::category::{Category, Subtree, tree};
use crate::infrastructure::repositories::{CacheTag, CategoryRepository, Database, DatabaseError};

const POLICY: Policy = Policy {
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
}

impl Categories {
    /// Returns the tree, which is built once.
    pub fn tree(&self) -> &[Subtree] {
        self.tree.get_or_init(|| tree(self.all.clone()))
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
    let room = weight::capped(512 + 2 * own);
    // in the list and in the tree
    let bytes = weight::capped(2 * own).saturating_add(room);
    let value = Rendered::with_forms(Categories { all, tree: OnceLock::new() }, room);
    Ok(Loaded { value: Some(value), tags: vec![Tag::of(CacheTag::CATEGORIES)], bytes })
}

fn weigh(Category { slug, name, translations, tax_class, .. }: &Category) -> usize {
    size_of::<Category>()
        + texts([slug, name])
        + weight::translations(translations)
        + weight::tax_class(tax_class.as_ref())
}
