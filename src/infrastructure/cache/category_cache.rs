//! The whole category tree, in one entry. A change of any category drops it.

use std::fmt;
use std::time::Duration;

use super::cached::Cached;
use super::entry::Loaded;
use super::policy::Policy;
use super::rendered::Rendered;
use super::tag::Tag;
use super::tiers::Tiers;
use crate::domain::category::Category;
use crate::infrastructure::repositories::{CategoryRepository, Database, DatabaseError};

const POLICY: Policy =
    Policy { ttl: Duration::from_mins(10), max_bytes: 4 << 20, ..Policy::named("category", 1) };

/// All categories, siblings in their order, for the only key.
pub type CategoryCache = Cached<Tree, Rendered<Vec<Category>>, DatabaseError>;

/// The key of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tree;

pub(super) fn category_cache(tiers: &Tiers, database: Database) -> CategoryCache {
    tiers.cached(POLICY, move |Tree| load(database.clone()))
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tree")
    }
}

async fn load(database: Database) -> Result<Loaded<Rendered<Vec<Category>>>, DatabaseError> {
    let categories = CategoryRepository(&mut database.read().await?).tree().await?;
    let bytes = u32::try_from(categories.len().saturating_mul(1_000)).unwrap_or(u32::MAX);
    let tags = vec![Tag::of("categories")];
    Ok(Loaded { value: Some(Rendered::new(categories)), tags, bytes })
}
