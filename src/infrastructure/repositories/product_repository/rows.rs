//! How products lie in their tables, and how rows become products with their variants and stock.

use std::cell::Cell;
use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::ids::ProductId;
use crate::domain::product::{Product, ProductView, Stock, Variant};
use crate::domain::state::State;
use crate::infrastructure::repositories::database::{
    Connection, DatabaseError, Json, ListedByTime, Param, Row, Table, Versioned, key_lists, params, select,
};

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

    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
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

impl ListedByTime for Product {
    fn place(&self) -> (Timestamp, Uuid) {
        (self.created_at, self.id.0)
    }
}

/// What is read of each variant.
const VARIANT: &str =
    "v.id, v.product_id, v.sku, v.options, v.active, v.prices, i.stock, i.reserved, i.version, v.position";
const WITH_STOCK: &str = "variants v JOIN inventory i ON i.variant_id = v.id";

/// A variant with its stock, and its position among those of its product.
type Placed = (i64, Variant, Stock);

/// Reads [`VARIANT`] from column `at` on.
fn variant(row: &Row<'_>, at: usize) -> Result<Placed, DatabaseError> {
    let variant = Variant {
        id: row.get(at)?,
        product_id: row.get(at + 1)?,
        sku: row.get(at + 2)?,
        options: row.get::<Json<_>>(at + 3)?.0,
        active: row.get(at + 4)?,
        prices: row.get::<Json<_>>(at + 5)?.0,
    };
    let stock = Stock { stock: row.get(at + 6)?, reserved: row.get(at + 7)?, version: row.get(at + 8)? };
    Ok((row.get(at + 9)?, variant, stock))
}

/// A product with its variants in their order, into which it is cheaper to put them here than in the database.
fn view(product: Product, mut variants: Vec<Placed>) -> ProductView {
    variants.sort_unstable_by_key(|&(position, ..)| position);
    let (variants, stock) = variants.into_iter().map(|(_, variant, stock)| (variant, stock)).unzip();
    ProductView { product: Product { variants, ..product }, stock }
}

/// The product that `condition` finds, with its variants, in one statement; a product has at least one.
pub(crate) async fn one(
    connection: &mut Connection,
    condition: &str,
    values: &[Param<'_>],
) -> Result<Option<ProductView>, DatabaseError> {
    let columns = Product::COLUMNS.join(", p.");
    let sql = format!(
        "SELECT p.{columns}, {VARIANT} FROM products p JOIN variants v ON v.product_id = p.id \
         JOIN inventory i ON i.variant_id = v.id WHERE {condition}"
    );
    let first = Cell::new(true);
    let read = move |row: &Row<'_>| {
        let product = first.replace(false).then(|| Product::from_row(row)).transpose()?;
        Ok((product, variant(row, Product::COLUMNS.len())?))
    };
    let mut rows = connection.all(&sql, values, read).await?;
    let product = rows.first_mut().and_then(|(product, _)| product.take());
    let variants = rows.into_iter().map(|(_, variant)| variant).collect();
    Ok(product.map(|product| view(product, variants)))
}

/// Those of the products that are there, in the order of `ids`.
pub(crate) async fn several(
    connection: &mut Connection,
    ids: &[ProductId],
) -> Result<Vec<ProductView>, DatabaseError> {
    let mut products = HashMap::with_capacity(ids.len());
    for (keys, list) in key_lists(ids) {
        let sql = select::<Product>(&format!("WHERE id IN ({list})"));
        let found = connection.all(&sql, &keys, Product::from_row).await?;
        products.extend(found.into_iter().map(|product| (product.id, product)));
    }
    let products = ids.iter().filter_map(|id| products.remove(id)).collect();
    with_variants(connection, products).await
}

/// Products with their variants.
pub(crate) async fn with_variants(
    connection: &mut Connection,
    products: Vec<Product>,
) -> Result<Vec<ProductView>, DatabaseError> {
    let ids: Vec<_> = products.iter().map(|product| product.id).collect();
    let mut variants = HashMap::<_, Vec<_>>::with_capacity(ids.len());
    for (keys, list) in key_lists(&ids) {
        let sql = format!("SELECT {VARIANT} FROM {WITH_STOCK} WHERE v.product_id IN ({list})");
        for placed in connection.all(&sql, &keys, |row: &Row<'_>| variant(row, 0)).await? {
            variants.entry(placed.1.product_id).or_default().push(placed);
        }
    }
    let view = |product: Product| {
        let variants = variants.remove(&product.id).unwrap_or_default();
        view(product, variants)
    };
    Ok(products.into_iter().map(view).collect())
}
