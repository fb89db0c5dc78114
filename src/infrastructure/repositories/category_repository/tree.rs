//! The category tree: ancestors, subtrees, and moves that never create a cycle.

use thiserror::Error;

use super::CategoryRepository;
use crate::domain::ids::CategoryId;
use crate::domain::tax::TaxClass;
use crate::infrastructure::repositories::database::{DatabaseError, UnitOfWork, params};

/// Why a category was not moved.
#[derive(Debug, Error)]
pub enum MoveError {
    /// There is no such category.
    #[error("there is no such category")]
    Missing,
    /// There is no such parent.
    #[error("there is no such category to move it to")]
    NoParent,
    /// The new parent is the category itself or is in its subtree.
    #[error("a category cannot be in its own subtree")]
    Cycle,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl CategoryRepository<'_> {
    /// The name that changes of the tree lock, and that units of work that index products lock shared.
    pub(crate) const TREE: &'static str = "categories";

    /// Returns a category and its ancestors, from itself to the root. The products of the category are listed in all.
    pub async fn ancestors(&mut self, id: CategoryId) -> Result<Vec<CategoryId>, DatabaseError> {
        let sql = "WITH RECURSIVE above (id, parent_id, steps) AS ( \
                   SELECT id, parent_id, 0 FROM categories WHERE id = $1 UNION ALL \
                   SELECT c.id, c.parent_id, steps + 1 FROM categories c JOIN above a ON c.id = a.parent_id) \
                   SELECT id FROM above ORDER BY steps";
        self.0.all(sql, &params![id]).await
    }

    /// Returns the tax class of a category: its own, or that of the nearest ancestor with one.
    pub async fn tax_class(&mut self, id: CategoryId) -> Result<Option<TaxClass>, DatabaseError> {
        let sql = "WITH RECURSIVE above (id, parent_id, tax_class, steps) AS ( \
                   SELECT id, parent_id, tax_class, 0 FROM categories WHERE id = $1 UNION ALL \
                   SELECT c.id, c.parent_id, c.tax_class, steps + 1 FROM categories c \
                   JOIN above a ON c.id = a.parent_id) \
                   SELECT tax_class FROM above WHERE tax_class IS NOT NULL ORDER BY steps LIMIT 1";
        self.0.first(sql, &params![id]).await
    }

    /// Returns the subtree of a category, itself included.
    pub async fn subtree(&mut self, id: CategoryId) -> Result<Vec<CategoryId>, DatabaseError> {
        let sql = "WITH RECURSIVE below (id) AS ( \
                   SELECT id FROM categories WHERE id = $1 UNION ALL \
                   SELECT c.id FROM categories c JOIN below b ON c.parent_id = b.id) SELECT id FROM below";
        self.0.all(sql, &params![id]).await
    }

    /// Moves a category with its subtree below `parent`, or to the root. Siblings are ordered by `position`, and with
    /// equal positions by slug.
    ///
    /// The caller must update the index of its products in the same unit of work, with
    /// `ProductRepository::reindex_category`.
    pub async fn move_to(
        work: &mut UnitOfWork,
        id: CategoryId,
        parent: Option<CategoryId>,
        position: i64,
    ) -> Result<(), MoveError> {
        // Two concurrent moves can create a cycle together, so one waits for the other.
        work.lock_name(Self::TREE).await?;
        if let Some(parent) = parent {
            let ancestors = CategoryRepository(work).ancestors(parent).await?;
            if ancestors.is_empty() {
                return Err(MoveError::NoParent);
            }
            if ancestors.contains(&id) {
                return Err(MoveError::Cycle);
            }
        }
        let sql = "UPDATE categories SET parent_id = $2, position = $3, version = version + 1, updated_at = $4 \
                   WHERE id = $1";
        let now = work.now();
        match work.execute(sql, &params![id, parent, position, now]).await? {
            0 => Err(MoveError::Missing),
            _ => Ok(()),
        }
    }

    /// Removes a category that has neither children nor products; returns whether it was removed.
    pub async fn remove_empty(work: &mut UnitOfWork, id: CategoryId) -> Result<bool, DatabaseError> {
        work.lock_name(Self::TREE).await?;
        let sql = "DELETE FROM categories WHERE id = $1 \
                   AND NOT EXISTS (SELECT 1 FROM categories WHERE parent_id = $1) \
                   AND NOT EXISTS (SELECT 1 FROM products WHERE category_id = $1)";
        Ok(work.execute(sql, &params![id]).await? == 1)
    }
}
