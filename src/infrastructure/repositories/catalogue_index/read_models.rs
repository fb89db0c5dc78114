//! What is kept of products for lists and searches beside their own tables, written in the transaction that changes
//! them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use super::{listing, product_texts};
use crate::domain::ids::{CategoryId, ProductId};
use crate::domain::product::Product;
use crate::infrastructure::repositories::category_repository::CategoryRepository;
use crate::infrastructure::repositories::database::{DatabaseError, UnitOfWork, params};

/// Products moved at once.
const BATCH: i64 = 256;

/// Keeps the category tree as it is until the unit of work ends. Comes before the product is written.
pub(crate) async fn lock_tree(work: &mut UnitOfWork) -> Result<(), DatabaseError> {
    work.lock_name_shared(CategoryRepository::TREE).await
}

/// A product with where it stands.
pub(crate) struct IndexedProduct<'a> {
    pub product: &'a Product,
    /// The categories that it is in.
    pub path: Vec<CategoryId>,
    /// Whether nothing is kept of it yet.
    pub is_new: bool,
}

/// Writes what is kept of products.
pub(crate) async fn write(
    work: &mut UnitOfWork,
    products: &[&Product],
    is_new: bool,
) -> Result<(), DatabaseError> {
    let mut paths = HashMap::<_, Vec<_>>::new();
    let mut shelved = Vec::with_capacity(products.len());
    for product in products {
        let path = match product.category_id {
            None => Vec::new(),
            Some(category) => match paths.entry(category) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => new.insert(CategoryRepository(work).ancestors(category).await?).clone(),
            },
        };
        shelved.push(IndexedProduct { product, path, is_new });
    }
    listing::write(work, &shelved).await?;
    product_texts::write(work, &shelved).await
}

/// Writes anew what depends on where products stand in the tree, for those in and below `category`.
pub(crate) async fn move_category(work: &mut UnitOfWork, category: CategoryId) -> Result<(), DatabaseError> {
    // A product that is saved at the same time would be indexed by the tree as it was before.
    work.lock_name(CategoryRepository::TREE).await?;
    for category in CategoryRepository(work).subtree(category).await? {
        let path = CategoryRepository(work).ancestors(category).await?;
        listing::move_to(work, category, &path).await?;
        let mut after = ProductId(Uuid::nil());
        loop {
            let sql = "SELECT id FROM products WHERE category_id = $1 AND id > $2 ORDER BY id LIMIT $3";
            let products = work.all(sql, &params![category, after, BATCH]).await?;
            let Some(&last) = products.last() else { break };
            product_texts::move_to(work, &products, &path).await?;
            after = last;
        }
    }
    Ok(())
}
