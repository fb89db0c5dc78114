//! Products by id and by slug, and pages of lists of them. A change of a product, of a price or of a rating drops the
//! product and all pages; a change of what is available drops what shows it.

use std::fmt;
use std::time::Duration;

use super::cached::Cached;
use super::catalogue::{ListKey, load_page, product_tags, rendered, weigh};
use super::entry::Loaded;
use super::policy::Policy;
use super::rendered::Rendered;
use super::tag::Tag;
use super::tiers::Tiers;
use crate::domain::ids::ProductId;
use crate::domain::product::ProductView;
use crate::infrastructure::repositories::{
    CacheTag, Database, DatabaseError, ListError, ProductRepository, SearchResults,
};

const POLICY: Policy = Policy {
    ttl: Duration::from_mins(10),
    eager: Duration::from_mins(1),
    max_bytes: 32 << 20,
    ..Policy::named("product", 3)
};
const LISTING: Policy = Policy {
    ttl: Duration::from_mins(10),
    eager: Duration::from_mins(1),
    max_bytes: 32 << 20,
    ..Policy::named("listing", 2)
};

/// The name by which a product is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProductName {
    /// Its id.
    Id(ProductId),
    /// Its slug.
    Slug(String),
}

/// Active products. One that is not is kept as one that does not exist, for as long: no response tells them apart.
pub type ProductCache = Cached<ProductName, Rendered<ProductView>, DatabaseError>;

/// Pages of lists of active products; none of a category that does not exist.
pub type ListingCache = Cached<ListKey, Rendered<SearchResults>, ListError>;

pub(super) fn product_cache(tiers: &Tiers, database: Database) -> ProductCache {
    tiers.cached(POLICY, move |name| load(database.clone(), name))
}

pub(super) fn listing_cache(tiers: &Tiers, database: Database) -> ListingCache {
    tiers.cached(LISTING, move |key| load_page(database.clone(), key))
}

async fn load(database: Database, name: ProductName) -> Result<Loaded<Rendered<ProductView>>, DatabaseError> {
    let mut connection = database.read().await?;
    let mut products = ProductRepository(&mut connection);
    let found = match &name {
        ProductName::Id(id) => products.active_by_id(*id).await?,
        ProductName::Slug(slug) => products.active_by_slug(slug).await?,
    };
    let found = found.map(ProductView::as_shown);
    let mut tags = Vec::new();
    match &found {
        Some(view) => tags.extend(product_tags(view)),
        // the next one that is created or activated may have the name
        None => tags.push(Tag::of(CacheTag::PRODUCTS)),
    }
    let found = found.map(|view| {
        let bytes = weigh(&view);
        rendered(view, bytes)
    });
    let (value, bytes) = found.unzip();
    Ok(Loaded { value, tags, bytes: bytes.unwrap_or_default() })
}

impl fmt::Display for ProductName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "id {}", id.0),
            Self::Slug(slug) => write!(f, "slug {slug}"),
        }
    }
}
