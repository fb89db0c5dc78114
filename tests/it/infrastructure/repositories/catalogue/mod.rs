//! The repositories of products and inventory: products, lists, search, stock.

mod inventory;
mod lists;
mod products;
mod search;

use std::collections::BTreeMap;

use undercroft::domain::category::Category;
use undercroft::domain::ids::{CategoryId, ProductId, VariantId};
use undercroft::domain::money::Currency;
use undercroft::domain::product::{Product, ProductView, Variant};
use undercroft::infrastructure::repositories::{DatabaseError, ProductFilter, ProductRepository, SaveError};

use crate::support::Shop;

/// A product with one variant for each price, which is in euro cents and in US cents.
fn product(shop: &Shop, name: &str, prices: &[i64]) -> Product {
    let context = shop.database.context();
    let (id, now) = (ProductId(context.ids.uuid()), context.clock.now());
    let variant = |&price| {
        let variant_id = VariantId(context.ids.uuid());
        let prices = BTreeMap::from([(Currency::EUR, price), (Currency::USD, price)]);
        Variant::new(variant_id, id, variant_id.0.simple().to_string(), prices)
    };
    let variants = prices.iter().map(variant).collect();
    Product { variants, ..Product::new(id, id.0.simple().to_string(), name.into(), now) }
}

/// Adds a product with ten pieces of each variant.
async fn insert(shop: &Shop, product: &Product) -> Result<(), SaveError> {
    insert_all(shop, vec![product.clone()]).await
}

/// Adds products with ten pieces of each variant, in one unit of work.
async fn insert_all(shop: &Shop, products: Vec<Product>) -> Result<(), SaveError> {
    let insert = shop.database.write(products, async |work, products| {
        let ten = |variant: &Variant| (variant.id, Some(10));
        let stocks: Vec<_> =
            products.iter().map(|product| product.variants.iter().map(ten).collect()).collect();
        let products: Vec<_> = products.iter().zip(&stocks).collect();
        ProductRepository::insert_all(work, &products).await
    });
    insert.await
}

/// Updates a product; new variants have five pieces each.
async fn update(shop: &Shop, product: &Product) -> Result<Product, SaveError> {
    let update = shop.database.write(product.clone(), async |work, product| {
        let mut product = product.clone();
        let stock = product.variants.iter().map(|variant| (variant.id, Some(5))).collect();
        ProductRepository::update(work, &mut product, &stock).await?;
        Ok(product)
    });
    update.await
}

/// Adds a category.
async fn category(shop: &Shop, slug: &str, parent_id: Option<CategoryId>) -> CategoryId {
    let context = shop.database.context();
    let (id, now) = (CategoryId(context.ids.uuid()), context.clock.now());
    let new = Category::new(id, slug.to_owned(), slug.to_owned(), now);
    super::insert(shop, &Category { parent_id, ..new }).await.unwrap();
    id
}

/// Moves a category and updates the index below it.
async fn move_category(shop: &Shop, id: CategoryId, parent: Option<CategoryId>) {
    let moved: Result<_, DatabaseError> = shop
        .database
        .write((id, parent), async |work, &(id, parent)| {
            let sql = "UPDATE categories SET parent_id = $2 WHERE id = $1";
            work.execute(sql, &[id.into(), parent.into()]).await?;
            ProductRepository::reindex_category(work, id).await
        })
        .await;
    moved.unwrap();
}

async fn by_id(shop: &Shop, id: ProductId) -> Option<ProductView> {
    ProductRepository(&mut shop.database.read().await.unwrap()).by_id(id).await.unwrap()
}

fn euros() -> ProductFilter {
    ProductFilter { category: None, currency: Currency::EUR, min_price: None, max_price: None, sort: None }
}

fn names(views: &[ProductView]) -> Vec<&str> {
    views.iter().map(|view| view.product.name.as_str()).collect()
}
