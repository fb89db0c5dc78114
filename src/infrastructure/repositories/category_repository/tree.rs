//! The category tree: ancestors, subtrees, and moves that never create a cycle.

use std::collections::HashMap;

use thiserror::Error;

use super::CategoryRepository;
use crate::domain::category::{Category, MAX_LEVELS};
use crate::domain::ids::CategoryId;
use crate::domain::tax::TaxClass;
use crate::infrastructure::repositories::database::{CacheTag, DatabaseError, UnitOfWork, key_lists, params};

/// Why a category was not added to the tree, or not moved in it.
#[derive(Debug, Error)]
pub enum TreeError {
    /// There is no such category.
    #[error("there is no such category")]
    Missing,
    /// There is no such parent.
    #[error("there is no such parent category")]
    NoParent,
    /// The new parent is the category itself or is in its subtree.
    #[error("a category cannot be in its own subtree")]
    Cycle,
    /// The category, or one in its subtree, would be below the last level of the tree.
    #[error("a category is at most {} levels below the top", MAX_LEVELS - 1)]
    TooDeep,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl CategoryRepository<'_> {
    /// The name of the lock of the tree.
    const TREE: &'static str = "categories";

    /// Locks the tree until the unit of work ends. Other changes of the tree and of products wait.
    ///
    /// Required before a category is read that is then moved or removed.
    pub async fn lock_tree(work: &mut UnitOfWork) -> Result<(), DatabaseError> {
        work.lock_name(Self::TREE).await
    }

    /// Locks the tree against moves and removals until the unit of work ends.
    ///
    /// Required before a category is read that a new category or a product then refers to.
    pub async fn lock_tree_shared(work: &mut UnitOfWork) -> Result<(), DatabaseError> {
        work.lock_name_shared(Self::TREE).await
    }

    /// Returns a category and its ancestors, from itself to the root. The products of the category are listed in all.
    pub async fn ancestors(&mut self, id: CategoryId) -> Result<Vec<CategoryId>, DatabaseError> {
        let sql = "WITH RECURSIVE above (id, parent_id, steps) AS ( \
                   SELECT id, parent_id, 0 FROM categories WHERE id = $1 UNION ALL \
                   SELECT c.id, c.parent_id, steps + 1 FROM categories c JOIN above a ON c.id = a.parent_id) \
                   SELECT id FROM above ORDER BY steps";
        self.0.all(sql, &params![id]).await
    }

    /// Returns the tax classes of categories: of each its own, or that of the nearest ancestor with one. Categories
    /// without either are left out.
    pub async fn tax_classes(
        &mut self,
        ids: &[CategoryId],
    ) -> Result<HashMap<CategoryId, TaxClass>, DatabaseError> {
        let mut classes = HashMap::with_capacity(ids.len());
        for (keys, list) in key_lists(ids) {
            // it ends at the first class above each category
            let sql = format!(
                "WITH RECURSIVE above (id, parent_id, tax_class) AS ( \
                 SELECT id, parent_id, tax_class FROM categories WHERE id IN ({list}) UNION ALL \
                 SELECT a.id, c.parent_id, c.tax_class FROM above a JOIN categories c ON c.id = a.parent_id \
                 WHERE a.tax_class IS NULL) \
                 SELECT id, tax_class FROM above WHERE tax_class IS NOT NULL"
            );
            classes.extend(self.0.all::<(CategoryId, TaxClass)>(&sql, &keys).await?);
        }
        Ok(classes)
    }

    /// Returns the subtree of a category, itself included.
    pub async fn subtree(&mut self, id: CategoryId) -> Result<Vec<CategoryId>, DatabaseError> {
        let sql = "WITH RECURSIVE below (id) AS ( \
                   SELECT id FROM categories WHERE id = $1 UNION ALL \
                   SELECT c.id FROM categories c JOIN below b ON c.parent_id = b.id) SELECT id FROM below";
        self.0.all(sql, &params![id]).await
    }

    /// Returns the number of levels of a subtree.
    async fn height(&mut self, id: CategoryId) -> Result<usize, DatabaseError> {
        let sql = "WITH RECURSIVE below (id, steps) AS ( \
                   SELECT id, 0 FROM categories WHERE id = $1 UNION ALL \
                   SELECT c.id, steps + 1 FROM categories c JOIN below b ON c.parent_id = b.id) \
                   SELECT COUNT(DISTINCT steps) FROM below";
        let levels: i64 = self.0.one(sql, &params![id]).await?;
        Ok(usize::try_from(levels).unwrap_or(usize::MAX))
    }

    /// Inserts a category unless another one has its id or its slug; returns whether it was inserted.
    pub async fn insert_new(work: &mut UnitOfWork, category: &Category) -> Result<bool, TreeError> {
        Self::lock_tree_shared(work).await?;
        if let Some(parent) = category.parent_id {
            check_depth(&CategoryRepository(work).ancestors(parent).await?, 1)?;
        }
        Ok(work.insert_new(category).await?)
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
    ) -> Result<(), TreeError> {
        // Two concurrent moves can create a cycle together, so one waits for the other.
        Self::lock_tree(work).await?;
        if let Some(parent) = parent {
            let mut categories = CategoryRepository(work);
            let height = categories.height(id).await?;
            let path = categories.ancestors(parent).await?;
            if path.contains(&id) {
                return Err(TreeError::Cycle);
            }
            check_depth(&path, height)?;
        }
        let sql = "UPDATE categories SET parent_id = $2, position = $3, version = version + 1, updated_at = $4 \
                   WHERE id = $1";
        let now = work.now();
        if work.execute(sql, &params![id, parent, position, now]).await? == 0 {
            return Err(TreeError::Missing);
        }
        work.touch(CacheTag::Category(id));
        Ok(())
    }

    /// Removes a category that has neither children nor products; returns whether it was removed.
    pub async fn remove_empty(work: &mut UnitOfWork, id: CategoryId) -> Result<bool, DatabaseError> {
        Self::lock_tree(work).await?;
        let sql = "DELETE FROM categories WHERE id = $1 \
                   AND NOT EXISTS (SELECT 1 FROM categories WHERE parent_id = $1) \
                   AND NOT EXISTS (SELECT 1 FROM products WHERE category_id = $1)";
        work.touch(CacheTag::Category(id));
        Ok(work.execute(sql, &params![id]).await? == 1)
    }

    /// Returns the numbers of products and of subcategories that a category itself has.
    pub async fn uses(work: &mut UnitOfWork, id: CategoryId) -> Result<(i64, i64), DatabaseError> {
        let sql = "SELECT (SELECT COUNT(*) FROM products WHERE category_id = $1), \
                   (SELECT COUNT(*) FROM categories WHERE parent_id = $1)";
        work.one(sql, &params![id]).await
    }
}

/// Fails if there is no parent, whose path is given, or if a subtree of `height` levels is too deep below it.
fn check_depth(path: &[CategoryId], height: usize) -> Result<(), TreeError> {
    match path.len() {
        0 => Err(TreeError::NoParent),
        above if above.saturating_add(height) > MAX_LEVELS => Err(TreeError::TooDeep),
        _ => Ok(()),
    }
}
