//! What the caches of products, lists and searches have in common.

use std::fmt;

use serde::Serialize;

use super::entry::Loaded;
use super::rendered::Rendered;
use super::tag::Tag;
use crate::domain::product::ProductView;
use crate::infrastructure::repositories::{
    CacheTag, CategoryRepository, Database, DatabaseError, ListError, PageRequest, ProductFilter,
    ProductRepository, SearchResults,
};

/// A page of a list of products.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ListKey {
    /// The query, as `normalized_query` returns it; `None` for a list.
    pub q: Option<String>,
    /// The id or slug of the category, which takes the place of that of `filter`.
    pub category: Option<String>,
    /// Which products are listed, and how.
    pub filter: ProductFilter,
    /// The most products of the page.
    pub limit: usize,
    /// The cursor of the page; `None` for the first one.
    pub cursor: Option<String>,
}

/// Why a page was not loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PageError {
    /// There is no such category.
    #[error("there is no category {0}")]
    NoCategory(String),
    /// The list failed.
    #[error(transparent)]
    List(#[from] ListError),
}

impl From<DatabaseError> for PageError {
    fn from(error: DatabaseError) -> Self {
        Self::List(error.into())
    }
}

/// Loads a page.
pub(super) async fn load_page(
    database: Database,
    key: ListKey,
) -> Result<Loaded<Rendered<SearchResults>>, PageError> {
    let mut connection = database.read().await?;
    let mut filter = key.filter;
    let mut tags = vec![Tag::of(CacheTag::PRODUCTS)];
    if let Some(name) = key.category {
        tags.push(Tag::of(CacheTag::CATEGORIES));
        let found = CategoryRepository(&mut connection).by_id_or_slug(&name).await?;
        filter.category = Some(found.ok_or(PageError::NoCategory(name))?.id);
    }
    let request =
        PageRequest { limit: key.limit, cursor: key.cursor.as_deref(), key: database.signing_key() };
    let mut products = ProductRepository(&mut connection);
    let SearchResults { page, facets } = match key.q {
        Some(q) => products.search(&q, &filter, &request).await?,
        None => SearchResults { page: products.list(&filter, &request).await?, facets: None },
    };
    let found = SearchResults { page: page.map(ProductView::as_shown), facets };
    let mut bytes = 0_u32;
    for view in &found.page.items {
        tags.extend(product_tags(view));
        bytes = bytes.saturating_add(weigh(view));
    }
    Ok(Loaded { value: Some(Rendered::new(found)), tags, bytes })
}

/// The tags of what is shown of a product.
pub(super) fn product_tags(view: &ProductView) -> impl Iterator<Item = Tag> {
    let variants = view.product.variants.iter().map(|variant| CacheTag::Variant(variant.id));
    std::iter::once(CacheTag::Product(view.product.id)).chain(variants).map(Tag::from)
}

/// The bytes that a product takes in memory, about: with the forms in which it is served, compressed or not.
pub(super) fn weigh(view: &ProductView) -> u32 {
    let product = &view.product;
    let translated: usize = product.translations.values().map(|texts| texts.description.len()).sum();
    let options: usize = product.variants.iter().flat_map(|variant| &variant.options).map(String::len).sum();
    let texts = product.description.len() + translated + options;
    let bytes = 1_300 + 4 * texts + 500 * product.variants.len();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl fmt::Display for ListKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
