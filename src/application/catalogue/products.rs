//! The products of the catalogue: found by shoppers, and managed by administrators.

use std::collections::BTreeMap;

use crate::domain::events::ProductChanged;
use crate::domain::ids::ProductId;
use crate::domain::product::{Product, ProductView};
use crate::domain::slug;
use crate::infrastructure::cache::{ListKey, LoadError, ProductName, Rendered, Served};
use crate::infrastructure::exceptions::{CategoryNotFoundException, Conflict, Failure, NotFound};
use crate::infrastructure::repositories::{
    AdminProductFilter, CategoryRepository, DatabaseError, FileRepository, Page, ProductRepository,
    SaveError, SearchResults, StoredResponse, UnitOfWork,
};

use super::product_draft::{ProductDraft, derived_slug, describe};
use crate::application::idempotency::{Responder, once};
use crate::application::{Change, Store, check_version};

/// Returns the active product with this id or slug, as the store has it when this is called.
pub async fn product(store: &Store, name: &str) -> Result<Served<Rendered<ProductView>>, Failure> {
    // no cache keeps a key of any length
    if name.chars().nth(slug::LONGEST).is_some() {
        return Err(NotFound::Product.into());
    }
    let key = name.parse().map_or_else(|_| ProductName::Slug(name.to_owned()), ProductName::Id);
    match store.infrastructure.caches.current().await?.product.served(&key).await {
        Err(LoadError::Missing) => Err(NotFound::Product.into()),
        found => Ok(found?),
    }
}

/// Returns the product with this id, active or not.
pub async fn any_product(store: &Store, id: ProductId) -> Result<ProductView, Failure> {
    let mut connection = store.database().read().await?;
    ProductRepository(&mut connection).by_id(id).await?.ok_or_else(|| NotFound::Product.into())
}

/// Returns a page of the active products, as the store has them when this is called: all, or those that contain words;
/// only those in the subtree of a category, if one is given.
pub async fn browse(store: &Store, key: &ListKey) -> Result<Served<Rendered<SearchResults>>, Failure> {
    let caches = store.infrastructure.caches.current().await?;
    let cache = if key.q.is_some() { &caches.search } else { &caches.listing };
    match cache.served(key).await {
        Err(LoadError::Missing) => {
            let category = key.category.clone().unwrap_or_default();
            Err(CategoryNotFoundException { category }.into())
        }
        found => Ok(found?),
    }
}

/// Returns a page of all products, newest first.
pub async fn all_products(
    store: &Store,
    filter: &AdminProductFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<ProductView>, Failure> {
    let mut connection = store.database().read().await?;
    let request = store.database().page_request(limit, cursor);
    Ok(ProductRepository(&mut connection).list_all(filter, &request).await?)
}

/// Creates a product.
pub async fn create(
    store: &Store,
    draft: ProductDraft,
    responder: Responder<ProductView>,
) -> Result<StoredResponse, Failure> {
    once(store, responder, draft, create_in).await
}

async fn create_in(work: &mut UnitOfWork, draft: &ProductDraft) -> Result<ProductView, Failure> {
    CategoryRepository::lock_tree_shared(work).await?;
    let id: ProductId = work.id();
    let slug = draft.slug.clone().unwrap_or_else(|| derived_slug(&draft.name, id));
    let mut product = Product::new(id, slug, draft.name.clone(), work.now());
    let stock = describe(work, &mut product, draft).await?;
    ProductRepository::insert(work, &product, &stock).await.map_err(refused)?;
    use_images(work, id, draft).await?;
    saved(work, id).await
}

/// Replaces a product. Variants that the draft does not name are deactivated.
pub async fn replace(
    store: &Store,
    id: ProductId,
    expected_version: Option<i64>,
    draft: ProductDraft,
) -> Result<ProductView, Failure> {
    let change = Change { id, expected_version, to: draft };
    store.database().write(change, async |work, change| replace_in(work, change).await).await
}

async fn replace_in(
    work: &mut UnitOfWork,
    change: &Change<ProductId, ProductDraft>,
) -> Result<ProductView, Failure> {
    let &Change { id, expected_version, to: ref draft } = change;
    CategoryRepository::lock_tree_shared(work).await?;
    let mut product = ProductRepository(work).by_id(id).await?.ok_or(NotFound::Product)?.product;
    check_version(product.version, expected_version)?;
    if let Some(slug) = &draft.slug {
        product.slug.clone_from(slug);
    }
    let stock = describe(work, &mut product, draft).await?;
    ProductRepository::update(work, &mut product, &stock).await.map_err(refused)?;
    use_images(work, id, draft).await?;
    saved(work, id).await
}

/// Keeps the files of the images of a draft from being deleted.
async fn use_images(work: &mut UnitOfWork, id: ProductId, draft: &ProductDraft) -> Result<(), Failure> {
    let Some(images) = &draft.images else { return Ok(()) };
    let files = images.iter().map(|image| image.file_id);
    FileRepository::set_used(work, id, files).await.map_err(|error| match error {
        // a file was deleted since it was read
        DatabaseError::ForeignKey(_) => Conflict::Stale.into(),
        error => error.into(),
    })
}

/// Deactivates a product: shoppers no longer see it. Orders keep what was sold of it.
pub async fn deactivate(store: &Store, id: ProductId, expected_version: Option<i64>) -> Result<(), Failure> {
    let write = store.database().write((id, expected_version), async |work, (id, expected_version)| {
        deactivate_in(work, *id, *expected_version).await
    });
    write.await
}

async fn deactivate_in(
    work: &mut UnitOfWork,
    id: ProductId,
    expected_version: Option<i64>,
) -> Result<(), Failure> {
    let mut product = ProductRepository(work).by_id(id).await?.ok_or(NotFound::Product)?.product;
    check_version(product.version, expected_version)?;
    product.active = false;
    let none = BTreeMap::new();
    ProductRepository::update(work, &mut product, &none).await.map_err(|error| match error {
        SaveError::Database(error) => Failure::from(error),
        SaveError::SlugTaken | SaveError::SkuTaken(_) => Conflict::Stale.into(),
    })?;
    Ok(work.publish(&ProductChanged { product_id: id }).await?)
}

/// Publishes the change of a product and returns the product with its stock.
async fn saved(work: &mut UnitOfWork, id: ProductId) -> Result<ProductView, Failure> {
    work.publish(&ProductChanged { product_id: id }).await?;
    ProductRepository(work).by_id(id).await?.ok_or_else(|| NotFound::Product.into())
}

/// Turns the reason why a product was not saved into the failure of the request.
fn refused(error: SaveError) -> Failure {
    match error {
        SaveError::SlugTaken => Conflict::AlreadyExists { field: "slug" }.into(),
        SaveError::SkuTaken(sku) => Conflict::SkuTaken { sku }.into(),
        SaveError::Database(error) => error.into(),
    }
}
