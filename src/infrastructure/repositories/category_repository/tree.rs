//! The shape of the category tree: what stands above and below, and moves that never close a circle.

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
    /// There is no such category to move it to.
    #[error("there is no such category to move it to")]
    NoParent,
    /// It would stand below itself.
    #[error("a category cannot stand below itself")]
    Cycle,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl CategoryRepository<'_> {
    /// The name that is locked by changes of the tree, and shared by units of work that index products by it.
    pub(crate) const TREE: &'static str = "categories";

    /// A category and those above it, from itself to the top: in all of them its products are listed.
    pub async fn ancestors(&mut self, id: CategoryId) -> Result<Vec<CategoryId>, DatabaseError> {
        let sql = "WITH RECURSIVE above (id, parent_id, steps) AS ( \
                   SELECT id, parent_id, 0 FROM categories WHERE id = $1 UNION ALL \
                   SELECT c.id, c.parent_id, steps + 1 FROM categories c JOIN above a ON c.id = a.parent_id) \
                   SELECT id FROM above ORDER BY steps";
        self.0.all(sql, &params![id]).await
    }

    /// The tax class of a category: its own, or that of the nearest one above that has one.
    pub async fn tax_class(&mut self, id: CategoryId) -> Result<Option<TaxClass>, DatabaseError> {
        let sql = "WITH RECURSIVE above (id, parent_id, tax_class, steps) AS ( \
                   SELECT id, parent_id, tax_class, 0 FROM categories WHERE id = $1 UNION ALL \
                   SELECT c.id, c.parent_id, c.tax_class, steps + 1 FROM categories c \
                   JOIN above a ON c.id = a.parent_id) \
                   SELECT tax_class FROM above WHERE tax_class IS NOT NULL ORDER BY steps LIMIT 1";
        self.0.first(sql, &params![id]).await
    }

    /// A category and all below it.
    pub async fn subtree(&mut self, id: CategoryId) -> Result<Vec<CategoryId>, DatabaseError> {
        let sql = "WITH RECURSIVE below (id) AS ( \
                   SELECT id FROM categories WHERE id = $1 UNION ALL \
                   SELECT c.id FROM categories c JOIN below b ON c.parent_id = b.id) SELECT id FROM below";
        self.0.all(sql, &params![id]).await
    }

    /// Puts a category, with all below it, below another or at the top; its place among its new siblings follows
    /// from `position`, and among equals from the slug.
    ///
    /// Where the products below it are listed changes with it: the use case rebuilds that in the same unit of work,
    /// by `ProductRepository::reindex_category`.
    pub async fn move_to(
        work: &mut UnitOfWork,
        id: CategoryId,
        parent: Option<CategoryId>,
        position: i64,
    ) -> Result<(), MoveError> {
        // Two moves that are each harmless can close a circle together, so one waits for the other.
        work.lock_name(Self::TREE).await?;
        if let Some(parent) = parent {
            let above = CategoryRepository(work).ancestors(parent).await?;
            if above.is_empty() {
                return Err(MoveError::NoParent);
            }
            if above.contains(&id) {
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

    /// Removes a category that has neither children nor products; whether it was removed.
    pub async fn remove_empty(work: &mut UnitOfWork, id: CategoryId) -> Result<bool, DatabaseError> {
        work.lock_name(Self::TREE).await?;
        let sql = "DELETE FROM categories WHERE id = $1 \
                   AND NOT EXISTS (SELECT 1 FROM categories WHERE parent_id = $1) \
                   AND NOT EXISTS (SELECT 1 FROM products WHERE category_id = $1)";
        Ok(work.execute(sql, &params![id]).await? == 1)
    }
}
