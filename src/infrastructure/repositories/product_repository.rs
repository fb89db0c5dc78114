//! Products: saved with their variants, stock and index in one transaction; read with their stock.
//!
//! Orders reference variants: a variant that a product no longer has is deactivated, never removed.

mod lists;
mod offers;
mod rows;
mod variants;

pub use self::lists::SearchResults;
pub use self::offers::Offer;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::catalogue_index::indexing;
use super::database::{Connection, DatabaseError, Json, Param, Root, UnitOfWork, key_lists, params};
use crate::domain::ids::{CategoryId, ProductId, VariantId};
use crate::domain::money::Currency;
use crate::domain::product::{Product, ProductView};

/// Queries on products.
pub struct ProductRepository<'a>(pub &'a mut Connection);

/// Why a product was not saved. The unit of work must be rolled back: part of the product may be written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Another product has this slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// Another variant has this SKU.
    #[error("the SKU {0} is taken")]
    SkuTaken(String),
    /// The database failed.
    #[error(transparent)]
    Database(DatabaseError),
}

impl From<DatabaseError> for SaveError {
    fn from(error: DatabaseError) -> Self {
        if error.is_taken("products_slug") { Self::SlugTaken } else { Self::Database(error) }
    }
}

impl ProductRepository<'_> {
    /// Returns whether there is a product, active or not.
    pub async fn has_any(&mut self) -> Result<bool, DatabaseError> {
        let found: Option<ProductId> = self.0.first("SELECT id FROM products LIMIT 1", &[]).await?;
        Ok(found.is_some())
    }

    /// Returns the product with this id.
    pub async fn by_id(&mut self, id: ProductId) -> Result<Option<ProductView>, DatabaseError> {
        rows::one(self.0, "p.id = $1", &params![id]).await
    }

    /// Returns the product with this id, if it is active. One that is not takes as long to read as one that does not
    /// exist.
    pub async fn active_by_id(&mut self, id: ProductId) -> Result<Option<ProductView>, DatabaseError> {
        rows::one(self.0, "p.id = $1 AND p.active", &params![id]).await
    }

    /// Returns the product with this slug, if it is active, as [`ProductRepository::active_by_id`] does.
    pub async fn active_by_slug(&mut self, slug: &str) -> Result<Option<ProductView>, DatabaseError> {
        rows::one(self.0, "p.slug = $1 AND p.active", &params![slug]).await
    }

    /// Returns the products with these ids, in their order; missing ones are left out.
    pub async fn by_ids(&mut self, ids: &[ProductId]) -> Result<Vec<ProductView>, DatabaseError> {
        rows::several(self.0, ids).await
    }

    /// Returns the currencies that the variants of each of these products have prices in; missing products are left
    /// out.
    pub(crate) async fn currencies(
        &mut self,
        ids: &[ProductId],
    ) -> Result<HashMap<ProductId, BTreeSet<Currency>>, DatabaseError> {
        let mut currencies: HashMap<_, BTreeSet<_>> = HashMap::new();
        for (keys, list) in key_lists(ids) {
            let sql = format!("SELECT product_id, prices FROM variants WHERE product_id IN ({list})");
            for (product, Json(prices)) in
                self.0.all::<(ProductId, Json<BTreeMap<Currency, i64>>)>(&sql, &keys).await?
            {
                currencies.entry(product).or_default().extend(prices.into_keys());
            }
        }
        Ok(currencies)
    }

    /// Returns whether there is an active product with this id.
    pub async fn is_active(&mut self, id: ProductId) -> Result<bool, DatabaseError> {
        self.0.one("SELECT EXISTS (SELECT 1 FROM products WHERE id = $1 AND active)", &params![id]).await
    }

    /// Returns the next products of the whole catalogue, in the order of their ids; see [`Connection::scan`].
    pub async fn scan(
        &mut self,
        last: &mut Option<Param<'static>>,
    ) -> Result<Option<Vec<ProductView>>, DatabaseError> {
        match self.0.scan::<Root<Product>>("id", last, |root| root.row().id.into()).await? {
            Some(roots) => rows::with_variants(self.0, roots).await.map(Some),
            None => Ok(None),
        }
    }

    /// Inserts a product; `stock` is the stock of its variants in pieces (`None`: not counted), 0 if omitted.
    pub async fn insert(
        work: &mut UnitOfWork,
        product: &Product,
        stock: &BTreeMap<VariantId, Option<i64>>,
    ) -> Result<(), SaveError> {
        Self::insert_all(work, &[(product, stock)]).await
    }

    /// Inserts products, each with the stock of its variants. Many times faster than calls of
    /// [`ProductRepository::insert`], because the index is written in the order of its keys.
    pub async fn insert_all(
        work: &mut UnitOfWork,
        products: &[(&Product, &BTreeMap<VariantId, Option<i64>>)],
    ) -> Result<(), SaveError> {
        indexing::lock_tree(work).await?;
        for (product, stock) in products {
            if !work.insert_new(*product).await? {
                return Err(SaveError::SlugTaken);
            }
            variants::insert(work, product, stock).await?;
        }
        let products: Vec<_> = products.iter().map(|&(product, _)| product).collect();
        Ok(indexing::write(work, &products, true).await?)
    }

    /// Updates a product unless it changed since it was read. Variants that it no longer has are deactivated; `stock`
    /// is the stock of the new variants in pieces, and is ignored for others.
    pub async fn update(
        work: &mut UnitOfWork,
        product: &mut Product,
        stock: &BTreeMap<VariantId, Option<i64>>,
    ) -> Result<(), SaveError> {
        indexing::lock_tree(work).await?;
        let sql = "SELECT EXISTS (SELECT 1 FROM products WHERE slug = $1 AND id <> $2)";
        if work.one(sql, &params![&product.slug, product.id]).await? {
            return Err(SaveError::SlugTaken);
        }
        work.update(product).await?;
        variants::update(work, product, stock).await?;
        Ok(indexing::write(work, &[product], false).await?)
    }

    /// Updates the index of the products in the subtree of a category that was moved.
    pub async fn reindex_category(work: &mut UnitOfWork, id: CategoryId) -> Result<(), DatabaseError> {
        indexing::move_category(work, id).await
    }
}
