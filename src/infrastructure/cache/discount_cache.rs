//! Discounts by their codes, for the prices that a cart shows. A change of a discount drops it; that it is redeemed
//! does not: how often it was, where that is limited, is read from the database each time. A code without a
//! discount is not kept. An order reads, and redeems, in its own transaction.

use std::time::Duration;

use super::cached::Cached;
use super::entry::Loaded;
use super::policy::Policy;
use super::private::Private;
use super::tiers::Tiers;
use super::weight::{self, texts};
use crate::domain::discount::Discount;
use crate::infrastructure::repositories::{CacheTag, Database, DatabaseError, DiscountRepository};

const POLICY: Policy = Policy {
    ttl: Duration::from_mins(10),
    max_bytes: 2 << 20,
    negative_ttl: None,
    ..Policy::named("discount", 1)
};

/// Discounts by [`code_key`](crate::domain::discount::code_key), active or not, without the number of uses.
pub type DiscountCache = Cached<String, Private<Discount>, DatabaseError>;

pub(super) fn discount_cache(tiers: &Tiers, database: Database) -> DiscountCache {
    tiers.cached(POLICY, move |code| load(database.clone(), code))
}

async fn load(database: Database, code: String) -> Result<Loaded<Private<Discount>>, DatabaseError> {
    let found = DiscountRepository(&mut database.read().await?).by_code(&code).await?;
    let bytes = weight::capped(found.as_ref().map_or(0, weigh));
    let tags = found.iter().map(|discount| CacheTag::Discount(discount.id).into()).collect();
    let value = found.map(|discount| Private::new(Discount { used: 0, ..discount }));
    Ok(Loaded { value, tags, bytes })
}

fn weigh(discount: &Discount) -> usize {
    size_of::<Discount>() + texts([&discount.code])
}
