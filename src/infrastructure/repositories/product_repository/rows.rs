//! The tables of products and variants, and reading products with their variants and stock.

use std::collections::HashMap;

use crate::domain::ids::ProductId;
use crate::domain::product::{Product, ProductView, Stock, Variant};
use crate::infrastructure::repositories::database::{
    CacheTag, Connection, DatabaseError, Param, Root, Row, column_list, from_row, key_lists, select, table,
};

table! {
    // `ReviewRepository` changes the rating.
    Product in "products", key ProductId, with variants: Vec<Variant>,
    versioned except [rating_sum, rating_count, created_at], listed by created_at, shown as CacheTag::Product;
    id,
    slug,
    name,
    description,
    category_id,
    kind,
    billing_interval,
    minimum_age,
    tax_class,
    active,
    options: json,
    translations: json,
    metadata: json,
    images: json,
    rating_sum,
    rating_count,
    version,
    created_at,
    updated_at,
}

/// The columns of a [`Placed`].
const PLACED: &str = "v.position, v.id, v.product_id, v.sku, v.options, v.active, v.prices, v.metadata, i.stock, i.reserved, i.version";
const WITH_STOCK: &str = "variants v JOIN inventory i ON i.variant_id = v.id";

/// A variant with its stock, and its position among those of its product.
type Placed = (i64, Variant, Stock);

from_row!(Variant { id, product_id, sku, options: json, active, prices: json, metadata: json });

/// Returns a product with its variants in their order. Sorting them here costs less than in the database.
fn view(product: Root<Product>, mut variants: Vec<Placed>) -> ProductView {
    variants.sort_unstable_by_key(|&(position, ..)| position);
    let (variants, stock) = variants.into_iter().map(|(_, variant, stock)| (variant, stock)).unzip();
    ProductView { product: product.with(variants), stock }
}

/// Returns the product that `condition` selects, with its variants, in one statement; a product has at least one.
pub(super) async fn one(
    connection: &mut Connection,
    condition: &str,
    values: &[Param<'_>],
) -> Result<Option<ProductView>, DatabaseError> {
    let sql = format!(
        "SELECT {PLACED}, {} FROM products p JOIN variants v ON v.product_id = p.id \
         JOIN inventory i ON i.variant_id = v.id WHERE {condition}",
        column_list::<Product>("p.")
    );
    let mut product = None;
    let read = |row: &mut Row<'_>| {
        let variant = row.read::<Placed>()?;
        // every row repeats the product
        if product.is_none() {
            product = Some(row.read::<Root<Product>>()?);
        }
        Ok(variant)
    };
    let variants = connection.all_with(&sql, values, read).await?;
    Ok(product.map(|product| view(product, variants)))
}

/// Returns the products with these ids, in their order; missing ones are left out.
pub(super) async fn several(
    connection: &mut Connection,
    ids: &[ProductId],
) -> Result<Vec<ProductView>, DatabaseError> {
    let mut products = HashMap::with_capacity(ids.len());
    for (keys, list) in key_lists(ids) {
        let sql = select::<Product>(&format!("WHERE id IN ({list})"));
        let found = connection.all::<Root<Product>>(&sql, &keys).await?;
        products.extend(found.into_iter().map(|product| (product.row().id, product)));
    }
    let products = ids.iter().filter_map(|id| products.remove(id)).collect();
    with_variants(connection, products).await
}

/// Reads the variants of products.
pub(super) async fn with_variants(
    connection: &mut Connection,
    products: Vec<Root<Product>>,
) -> Result<Vec<ProductView>, DatabaseError> {
    let ids: Vec<_> = products.iter().map(|product| product.row().id).collect();
    let mut variants = HashMap::<_, Vec<_>>::with_capacity(ids.len());
    for (keys, list) in key_lists(&ids) {
        let sql = format!("SELECT {PLACED} FROM {WITH_STOCK} WHERE v.product_id IN ({list})");
        for placed in connection.all::<Placed>(&sql, &keys).await? {
            variants.entry(placed.1.product_id).or_default().push(placed);
        }
    }
    let view = |product: Root<Product>| {
        let variants = variants.remove(&product.row().id).unwrap_or_default();
        view(product, variants)
    };
    Ok(products.into_iter().map(view).collect())
}
