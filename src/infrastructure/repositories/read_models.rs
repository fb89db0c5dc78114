//! What is kept of products for lists and searches beside their own tables, written in the transaction that changes
//! them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use super::category_repository::CategoryRepository;
use super::dialect;
use super::error::StoreError;
use super::unit_of_work::UnitOfWork;
use super::value::{params, scalar};
use super::{listing, product_texts};
use crate::domain::ids::{CategoryId, ProductId};
use crate::domain::product::Product;

/// Products moved at once.
const BATCH: i64 = 256;

/// Holds the tree as it is until this unit of work ends; before the product is written.
pub(super) async fn hold_tree(unit_of_work: &mut UnitOfWork) -> Result<(), StoreError> {
    let hold = dialect::hold_tree(unit_of_work.engine(), false);
    unit_of_work.script(hold).await
}

/// A product with where it stands.
pub(super) struct Shelved<'a> {
    pub product: &'a Product,
    /// The categories that it is in.
    pub path: Vec<CategoryId>,
    /// Whether nothing is kept of it yet.
    pub is_new: bool,
}

/// Writes what is kept of products.
pub(super) async fn write(
    unit_of_work: &mut UnitOfWork,
    products: &[&Product],
    is_new: bool,
) -> Result<(), StoreError> {
    let mut paths = HashMap::<_, Vec<_>>::new();
    let mut shelved = Vec::with_capacity(products.len());
    for product in products {
        let path = match product.category_id {
            None => Vec::new(),
            Some(category) => match paths.entry(category) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => {
                    new.insert(CategoryRepository(unit_of_work).ancestors(category).await?).clone()
                }
            },
        };
        shelved.push(Shelved { product, path, is_new });
    }
    listing::write(unit_of_work, &shelved).await?;
    product_texts::write(unit_of_work, &shelved).await
}

/// Writes anew what depends on where products stand in the tree, for those in and below `category`.
pub(super) async fn move_category(
    unit_of_work: &mut UnitOfWork,
    category: CategoryId,
) -> Result<(), StoreError> {
    // whoever saves a product meanwhile has read the tree as it was
    let hold = dialect::hold_tree(unit_of_work.engine(), true);
    unit_of_work.script(hold).await?;
    for category in CategoryRepository(unit_of_work).subtree(category).await? {
        let path = CategoryRepository(unit_of_work).ancestors(category).await?;
        listing::move_to(unit_of_work, category, &path).await?;
        let mut after = ProductId(Uuid::nil());
        loop {
            let sql = "SELECT id FROM products WHERE category_id = $1 AND id > $2 ORDER BY id LIMIT $3";
            let products = unit_of_work.all(sql, &params![category, after, BATCH], scalar).await?;
            let Some(&last) = products.last() else { break };
            product_texts::move_to(unit_of_work, &products, &path).await?;
            after = last;
        }
    }
    Ok(())
}
