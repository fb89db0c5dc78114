//! Updates products of the store that a file describes again.
//!
//! An update takes the texts, prices, stock and metadata that the file has, and adds new variants. Everything else
//! stays: slugs, categories, kinds, options, SKUs, what is active, and what the file does not have, such as base texts
//! if its texts are in another language, prices in another currency, and variants that it no longer names.

use std::collections::HashMap;

use crate::application::catalogue::stock;
use crate::application::records::{ImportedProduct, ImportedStock};
use crate::domain::context::Context;
use crate::domain::events::ProductChanged;
use crate::domain::ids::{ProductId, VariantId};
use crate::domain::metadata::Metadata;
use crate::domain::product::{Product, ProductView, Texts};
use crate::infrastructure::repositories::{DatabaseError, ProductRepository, SaveError, UnitOfWork};

use super::bounds;
use super::outcome::RecordError;
use super::report::StockCounts;

/// Updates products by those of a file, with the store's own time and ids. Returns the products that differed, each
/// with how the stock of its new variants was taken; all are refused if the store refuses one.
pub(super) async fn update_all(
    work: &mut UnitOfWork,
    context: &Context,
    products: &[&ImportedProduct],
) -> Result<HashMap<ProductId, StockCounts>, RecordError> {
    work.set_context(context.clone());
    let ids: Vec<_> = products.iter().map(|imported| imported.product.id).collect();
    let stored = ProductRepository(work).by_ids(&ids).await?;
    let mut stored: HashMap<_, _> = stored.into_iter().map(|view| (view.product.id, view)).collect();

    let mut updated = HashMap::new();
    for imported in products {
        let Some(view) = stored.remove(&imported.product.id) else { continue };
        let changed_stock = changed_stock(&view, imported);
        let new_variants = update_product(work, view.product, imported).await?;
        for &(variant, ref sku, pieces) in &changed_stock {
            let set = stock::set_in(work, variant, None, pieces).await;
            set.map_err(|failure| match RecordError::from(failure) {
                RecordError::Refused(reason) => RecordError::Refused(format!("{reason} of {sku}")),
                RecordError::Failed(failure) => RecordError::Failed(failure),
            })?;
        }
        if new_variants.is_some() || !changed_stock.is_empty() {
            updated.insert(imported.product.id, new_variants.unwrap_or_default());
        }
    }
    Ok(updated)
}

/// Updates a product without its stock. Returns how the stock of its new variants was taken; `None` if the product has
/// everything that the file has.
async fn update_product(
    work: &mut UnitOfWork,
    stored: Product,
    imported: &ImportedProduct,
) -> Result<Option<StockCounts>, RecordError> {
    let mut product = stored.clone();
    take_texts(&mut product, imported);
    take_metadata(&mut product.metadata, &imported.product.metadata)?;
    let new_variants = take_variants(&mut product, &imported.product)?;
    if product == stored {
        return Ok(None);
    }

    let pieces = imported.pieces();
    bounds::check_product(&product, &pieces)?;
    let saved = ProductRepository::update(work, &mut product, &pieces).await;
    saved.map_err(|error| match error {
        SaveError::Database(DatabaseError::ForeignKey(_)) => {
            RecordError::Refused("one of its variants belongs to another product".to_owned())
        }
        error => error.into(),
    })?;
    work.publish(&ProductChanged { product_id: product.id }).await?;
    Ok(Some(new_variants.iter().filter_map(|id| imported.stock.get(id)).copied().collect()))
}

/// Replaces the texts that the file has. One that is empty in the file stays.
fn take_texts(product: &mut Product, imported: &ImportedProduct) {
    let ImportedProduct { product: new, in_base_language, .. } = imported;
    let all = (&new.name, &new.description);
    let (name, description) =
        in_base_language.as_ref().map_or(all, |Texts { name, description }| (name, description));
    take_text(&mut product.name, name);
    take_text(&mut product.description, description);
    for (language, Texts { name, description }) in &new.translations {
        let texts = product.translations.entry(language.clone()).or_default();
        take_text(&mut texts.name, name);
        take_text(&mut texts.description, description);
    }
}

fn take_text(text: &mut String, new: &str) {
    if !new.is_empty() {
        new.clone_into(text);
    }
}

/// Replaces the metadata that the file has. Values with other names stay.
fn take_metadata(metadata: &mut Metadata, imported: &Metadata) -> Result<(), RecordError> {
    imported.iter().try_for_each(|(name, value)| {
        let refused = |error| RecordError::Refused(format!("its metadata {name}: {error}"));
        metadata.insert(name, value.to_owned()).map_err(refused)
    })
}

/// Replaces the prices and metadata that the file has, and adds the variants that the product does not have. Returns
/// the ids of those.
fn take_variants(product: &mut Product, imported: &Product) -> Result<Vec<VariantId>, RecordError> {
    let mut added = Vec::new();
    for variant in &imported.variants {
        if let Some(stored) = product.variants.iter_mut().find(|stored| stored.id == variant.id) {
            stored.prices.extend(&variant.prices);
            take_metadata(&mut stored.metadata, &variant.metadata)?;
            continue;
        }
        product.variants.push(variant.clone());
        added.push(variant.id);
    }
    Ok(added)
}

/// Returns the variants whose stock in the file is another one than in the store, each with its SKU and
/// that of the file.
fn changed_stock(view: &ProductView, imported: &ImportedProduct) -> Vec<(VariantId, String, Option<i64>)> {
    let stocked = view.product.variants.iter().zip(&view.stock);
    let mut changed: Vec<_> = stocked
        .filter_map(|(variant, stored)| {
            let pieces = match imported.stock.get(&variant.id)? {
                ImportedStock::Given(pieces) => Some(*pieces),
                ImportedStock::NotCounted => None,
                ImportedStock::Missing | ImportedStock::Assumed(_) => return None,
            };
            (pieces != stored.stock).then(|| (variant.id, variant.sku.clone(), pieces))
        })
        .collect();
    // stock is changed in the order of the ids, so that an order and an import do not deadlock
    changed.sort_unstable();
    changed
}
