//! Writes the index of lists and searches, in the transaction that changes the products.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use super::indexed_product::IndexedProduct;
use super::{listing, product_texts};
use crate::domain::ids::{CategoryId, ProductId};
use crate::domain::product::Product;
use crate::infrastructure::repositories::category_repository::CategoryRepository;
use crate::infrastructure::repositories::database::{DatabaseError, UnitOfWork, params};

/// The products of which the words are updated at once.
const BATCH: i64 = 256;

/// Locks the category tree against moves and removals until the unit of work ends. Must be called before the product is
/// written.
pub(crate) async fn lock_tree(work: &mut UnitOfWork) -> Result<(), DatabaseError> {
    CategoryRepository::lock_tree_shared(work).await
}

/// Writes the index of products; `is_new` means that they are not in the index yet.
pub(crate) async fn write(
    work: &mut UnitOfWork,
    products: &[&Product],
    is_new: bool,
) -> Result<(), DatabaseError> {
    let mut paths = HashMap::<_, Vec<_>>::new();
    let mut indexed = Vec::with_capacity(products.len());
    for product in products {
        let path = match product.category_id {
            None => Vec::new(),
            Some(category) => match paths.entry(category) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => new.insert(CategoryRepository(work).ancestors(category).await?).clone(),
            },
        };
        indexed.push(IndexedProduct { product, path, is_new });
    }
    listing::write(work, &indexed).await?;
    product_texts::write(work, &indexed).await
}

/// Updates the index of the products in and below a category after it was moved.
pub(crate) async fn move_category(work: &mut UnitOfWork, category: CategoryId) -> Result<(), DatabaseError> {
    // a product that is saved concurrently would be indexed by the old tree
    CategoryRepository::lock_tree(work).await?;
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
