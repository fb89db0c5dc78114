//! Categories: read as a whole tree or one by one.

mod tree;

pub use self::tree::TreeError;

use super::database::{CacheTag, Connection, DatabaseError, params, select, table};
use crate::domain::category::Category;
use crate::domain::ids::CategoryId;

table! {
    // `CategoryRepository::move_to` alone changes the position in the tree, since it must check it.
    Category in "categories", key CategoryId, versioned except [parent_id, position],
    shown as CacheTag::Category;
    id,
    slug,
    name,
    parent_id,
    position,
    tax_class,
    translations: json,
    version,
    created_at,
    updated_at,
}

/// Queries on categories.
pub struct CategoryRepository<'a>(pub &'a mut Connection);

impl CategoryRepository<'_> {
    /// Returns all categories, siblings by position.
    pub async fn tree(&mut self) -> Result<Vec<Category>, DatabaseError> {
        self.0.all(&select::<Category>("ORDER BY position, slug"), &[]).await
    }

    /// Returns the category with this id, or else with this slug.
    pub async fn by_id_or_slug(&mut self, name: &str) -> Result<Option<Category>, DatabaseError> {
        if let Ok(id) = name.parse::<CategoryId>()
            && let Some(found) = self.0.find(id).await?
        {
            return Ok(Some(found));
        }
        self.0.first(&select::<Category>("WHERE slug = $1"), &params![name]).await
    }
}
