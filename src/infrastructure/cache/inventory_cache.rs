//! The offers of variants with their available stock, for what a cart shows. A reservation, a change of the stock, of
//! the variant or of its product drops one. An order reserves in its own transaction, whatever was shown.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::CacheState;
use super::cached::{Cached, LoadError};
use super::entry::Loaded;
use super::policy::Policy;
use super::tag::Tag;
use super::tiers::Tiers;
use super::weight::{self, texts};
use crate::domain::ids::VariantId;
use crate::infrastructure::repositories::{CacheTag, Database, DatabaseError, Offer, ProductRepository};

const POLICY: Policy = Policy {
    ttl: Duration::from_mins(10),
    max_bytes: 8 << 20,
    negative_ttl: None,
    ..Policy::named("inventory", 1)
};

/// A variant whose offer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct OfferOf(VariantId);

/// The offers of variants.
pub struct InventoryCache {
    cached: Cached<OfferOf, Arc<Offer>, DatabaseError>,
    database: Database,
}

pub(super) fn inventory_cache(tiers: &Tiers, database: Database) -> InventoryCache {
    let source = database.clone();
    let cached = tiers.cached(POLICY, move |OfferOf(variant)| load_one(source.clone(), variant));
    InventoryCache { cached, database }
}

impl InventoryCache {
    /// Returns the offers of variants, in no order; variants that do not exist are left out. Several that are not kept
    /// are read by one query, for all carts that miss the same ones.
    ///
    /// # Errors
    ///
    /// [`LoadError`].
    pub async fn offers(&self, variants: &[VariantId]) -> Result<Vec<Offer>, LoadError<DatabaseError>> {
        let keys: Vec<_> = variants.iter().copied().map(OfferOf).collect();
        let source = self.database.clone();
        let found = self.cached.get_all(&keys, move |missing| load(source, missing)).await?;
        Ok(found.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    /// Returns what the cache counted and keeps.
    pub(super) fn state(&self) -> CacheState {
        self.cached.state()
    }
}

async fn load(
    database: Database,
    missing: Vec<OfferOf>,
) -> Result<Vec<(OfferOf, Loaded<Arc<Offer>>)>, DatabaseError> {
    let variants: Vec<_> = missing.iter().map(|OfferOf(variant)| *variant).collect();
    let offers = ProductRepository(&mut database.read().await?).offers(&variants).await?;
    Ok(offers.into_iter().map(|offer| (OfferOf(offer.variant_id), loaded(offer))).collect())
}

async fn load_one(database: Database, variant: VariantId) -> Result<Loaded<Arc<Offer>>, DatabaseError> {
    let found = ProductRepository(&mut database.read().await?).offers(&[variant]).await?;
    let none = Loaded { value: None, tags: Vec::new(), bytes: 0 };
    Ok(found.into_iter().next().map_or(none, loaded))
}

fn loaded(offer: Offer) -> Loaded<Arc<Offer>> {
    let bytes = weight::capped(weigh(&offer));
    let shown = [CacheTag::Variant(offer.variant_id), CacheTag::Product(offer.product_id)];
    let tags = shown.map(Tag::from).to_vec();
    Loaded { value: Some(Arc::new(offer)), tags, bytes }
}

fn weigh(Offer { sku, name, prices, tax_class, .. }: &Offer) -> usize {
    size_of::<Offer>() + texts([sku, name]) + weight::nodes(prices) + weight::tax_class(tax_class.as_ref())
}

impl fmt::Display for OfferOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "variant {}", self.0)
    }
}
