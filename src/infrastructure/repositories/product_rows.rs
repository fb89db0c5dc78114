//! How products lie in their tables, and how rows become products with their variants and stock.

use std::cell::Cell;
use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::error::StoreError;
use super::page::Dated;
use super::session::Session;
use super::table::{Table, Versioned, key_lists, select};
use super::value::{Json, Param, Row, params};
use crate::domain::ids::ProductId;
use crate::domain::product::{Product, ProductView, Stock, Variant};
use crate::domain::state::State;

impl Table for Product {
    const NAME: &'static str = "products";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "slug",
        "name",
        "description",
        "category_id",
        "kind",
        "billing_interval",
        "minimum_age",
        "tax_class",
        "active",
        "options",
        "translations",
        "rating_sum",
        "rating_count",
        "version",
        "created_at",
        "updated_at",
    ];

    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.get(0)?,
            slug: row.get(1)?,
            name: row.get(2)?,
            description: row.get(3)?,
            category_id: row.get(4)?,
            kind: row.state(5)?,
            billing_interval: row.state_or_null(6)?,
            minimum_age: row.get(7)?,
            tax_class: row.get(8)?,
            active: row.get(9)?,
            options: row.get::<Json<_>>(10)?.0,
            translations: row.get::<Json<_>>(11)?.0,
            rating_sum: row.get(12)?,
            rating_count: row.get(13)?,
            version: row.get(14)?,
            created_at: row.get(15)?,
            updated_at: row.get(16)?,
            variants: Vec::new(),
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![
            self.id,
            &self.slug,
            &self.name,
            &self.description,
            self.category_id,
            self.kind.name(),
            self.billing_interval.map(State::name),
            self.minimum_age,
            self.tax_class.as_ref(),
            self.active,
            Param::json(&self.options),
            Param::json(&self.translations),
            self.rating_sum,
            self.rating_count,
            self.version,
            self.created_at,
            self.updated_at,
        ]
        .into()
    }
}

impl Versioned for Product {
    /// Reviews move the rating, as one more or one less.
    const APART: &'static [&'static str] = &["rating_sum", "rating_count", "created_at"];

    fn version_mut(&mut self) -> &mut i64 {
        &mut self.version
    }
}

impl Dated for Product {
    fn place(&self) -> (Timestamp, Uuid) {
        (self.created_at, self.id.0)
    }
}

/// What is read of each variant.
const VARIANT: &str =
    "v.id, v.product_id, v.sku, v.options, v.active, v.prices, i.stock, i.reserved, i.version";
const WITH_STOCK: &str = "variants v JOIN inventory i ON i.variant_id = v.id";

/// Reads [`VARIANT`] from column `at` on.
fn variant(row: &Row<'_>, at: usize) -> Result<(Variant, Stock), StoreError> {
    let variant = Variant {
        id: row.get(at)?,
        product_id: row.get(at + 1)?,
        sku: row.get(at + 2)?,
        options: row.get::<Json<_>>(at + 3)?.0,
        active: row.get(at + 4)?,
        prices: row.get::<Json<_>>(at + 5)?.0,
    };
    Ok((variant, Stock { stock: row.get(at + 6)?, reserved: row.get(at + 7)?, version: row.get(at + 8)? }))
}

/// The product that `condition` finds, with its variants, in one statement; a product has at least one.
pub(super) async fn one(
    session: &mut Session,
    condition: &str,
    values: &[Param<'_>],
) -> Result<Option<ProductView>, StoreError> {
    let columns = Product::COLUMNS.join(", p.");
    let sql = format!(
        "SELECT p.{columns}, {VARIANT} FROM products p JOIN variants v ON v.product_id = p.id \
         JOIN inventory i ON i.variant_id = v.id WHERE {condition} ORDER BY v.position"
    );
    let first = Cell::new(true);
    let read = move |row: &Row<'_>| {
        let product = first.replace(false).then(|| Product::from_row(row)).transpose()?;
        Ok((product, variant(row, Product::COLUMNS.len())?))
    };
    let mut found: Option<ProductView> = None;
    for (product, (variant, stock)) in session.all(&sql, values, read).await? {
        if let Some(product) = product {
            found = Some(ProductView { product, stock: Vec::new() });
        }
        if let Some(view) = &mut found {
            view.product.variants.push(variant);
            view.stock.push(stock);
        }
    }
    Ok(found)
}

/// Those of the products that are there, in the order of `ids`.
pub(super) async fn several(
    session: &mut Session,
    ids: &[ProductId],
) -> Result<Vec<ProductView>, StoreError> {
    let mut products = HashMap::with_capacity(ids.len());
    for (keys, list) in key_lists(ids) {
        let sql = select::<Product>(&format!("WHERE id IN ({list})"));
        let found = session.all(&sql, &keys, Product::from_row).await?;
        products.extend(found.into_iter().map(|product| (product.id, product)));
    }
    let products = ids.iter().filter_map(|id| products.remove(id)).collect();
    with_variants(session, products).await
}

/// Products with their variants.
pub(super) async fn with_variants(
    session: &mut Session,
    products: Vec<Product>,
) -> Result<Vec<ProductView>, StoreError> {
    let ids: Vec<_> = products.iter().map(|product| product.id).collect();
    let places: HashMap<_, _> = ids.iter().enumerate().map(|(place, &id)| (id, place)).collect();
    let mut views: Vec<_> =
        products.into_iter().map(|product| ProductView { product, stock: Vec::new() }).collect();
    for (keys, list) in key_lists(&ids) {
        let sql = format!(
            "SELECT {VARIANT} FROM {WITH_STOCK} WHERE v.product_id IN ({list}) ORDER BY v.product_id, v.position"
        );
        for (variant, stock) in session.all(&sql, &keys, |row: &Row<'_>| variant(row, 0)).await? {
            if let Some(view) = places.get(&variant.product_id).and_then(|&place| views.get_mut(place)) {
                view.product.variants.push(variant);
                view.stock.push(stock);
            }
        }
    }
    Ok(views)
}
