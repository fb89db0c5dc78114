//! Writes the variants of a product with their stock.
//!
//! Not described by `table!`: the position in the product is a column and not a field of a variant.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::SaveError;
use crate::domain::ids::{ProductId, VariantId};
use crate::domain::product::{Product, Variant};
use crate::infrastructure::repositories::database::{
    Connection, DatabaseError, Param, UnitOfWork, key_lists, params,
};

const VARIANTS: &str = "variants (id, product_id, sku, options, active, prices, metadata, position)";

fn bind<'a>(product: &Product, position: usize, variant: &'a Variant) -> [Param<'a>; 8] {
    params![
        variant.id,
        product.id,
        &variant.sku,
        Param::json(&variant.options),
        variant.active,
        Param::json(&variant.prices),
        Param::json(&variant.metadata),
        position,
    ]
}

/// Inserts the variants of a new product.
pub(super) async fn insert(
    work: &mut UnitOfWork,
    product: &Product,
    stock: &BTreeMap<VariantId, Option<i64>>,
) -> Result<(), SaveError> {
    let variants = product.variants.iter().enumerate();
    let rows: Vec<_> = variants.map(|(position, variant)| bind(product, position, variant)).collect();
    let added = work.insert_missing(VARIANTS, &rows).await?;
    if added != rows.len() as u64 {
        let taken = taken_sku(work, product).await?;
        let taken_id = || DatabaseError::Taken { constraint: "variants_pkey".into() };
        return Err(taken.map_or_else(|| taken_id().into(), SaveError::SkuTaken));
    }
    let ids: Vec<_> = product.variants.iter().map(|variant| variant.id).collect();
    Ok(add_stock(work, &ids, stock, product.created_at).await?)
}

/// Updates the variants of a product, and deactivates those that it no longer has.
pub(super) async fn update(
    work: &mut UnitOfWork,
    product: &Product,
    stock: &BTreeMap<VariantId, Option<i64>>,
) -> Result<(), SaveError> {
    if let Some(sku) = taken_sku(work, product).await? {
        return Err(SaveError::SkuTaken(sku));
    }
    let sql = "SELECT id FROM variants WHERE product_id = $1 ORDER BY position";
    let before: Vec<VariantId> = work.all(sql, &params![product.id]).await?;
    for (position, variant) in product.variants.iter().enumerate() {
        write(work, product, position, variant).await?;
    }
    let now: HashSet<_> = product.variants.iter().map(|variant| variant.id).collect();
    for (position, &removed) in before.iter().filter(|id| !now.contains(id)).enumerate() {
        let sql = "UPDATE variants SET active = FALSE, position = $2 WHERE id = $1";
        work.execute(sql, &params![removed, product.variants.len() + position]).await?;
    }
    let new: Vec<_> = now.into_iter().filter(|id| !before.contains(id)).collect();
    let now = work.now();
    Ok(add_stock(work, &new, stock, now).await?)
}

/// Inserts or updates a variant of a product at a position.
async fn write(
    work: &mut UnitOfWork,
    product: &Product,
    position: usize,
    variant: &Variant,
) -> Result<(), SaveError> {
    let sql = format!(
        "INSERT INTO {VARIANTS} VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE \
         SET sku = $3, options = $4, active = $5, prices = $6, metadata = $7, position = $8 \
         WHERE variants.product_id = $2"
    );
    match work.execute(&sql, &bind(product, position, variant)).await {
        Ok(1) => Ok(()),
        Ok(_) => {
            let message = format!("variant {} belongs to another product", variant.id);
            Err(DatabaseError::ForeignKey(message).into())
        }
        Err(error) if error.is_taken("variants_sku") => Err(SaveError::SkuTaken(variant.sku.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Adds the stock of new variants: in pieces, `None` if they are not counted, 0 if omitted.
async fn add_stock(
    work: &mut UnitOfWork,
    variants: &[VariantId],
    stock: &BTreeMap<VariantId, Option<i64>>,
    at: Timestamp,
) -> Result<(), DatabaseError> {
    let pieces = |id| stock.get(id).copied().unwrap_or(Some(0));
    let rows: Vec<_> = variants.iter().map(|id| params![*id, pieces(id), 0_i64, 1_i64, at]).collect();
    let table = "inventory (variant_id, stock, reserved, version, updated_at)";
    work.insert_missing(table, &rows).await.map(drop)
}

/// Returns a SKU of the product that another variant has, of this product or of another.
async fn taken_sku(connection: &mut Connection, product: &Product) -> Result<Option<String>, DatabaseError> {
    let mut skus = BTreeMap::new();
    for variant in &product.variants {
        if skus.insert(variant.sku.as_str(), variant.id).is_some() {
            return Ok(Some(variant.sku.clone()));
        }
    }
    for (keys, list) in key_lists(&skus.keys().copied().collect::<Vec<_>>()) {
        let sql = format!("SELECT sku, id, product_id FROM variants WHERE sku IN ({list})");
        let found: Vec<(String, VariantId, ProductId)> = connection.all(&sql, &keys).await?;
        let is_other = |(sku, id, owner): &(String, VariantId, ProductId)| {
            *owner != product.id || skus.get(sku.as_str()) != Some(id)
        };
        if let Some((sku, ..)) = found.into_iter().find(is_other) {
            return Ok(Some(sku));
        }
    }
    Ok(None)
}
