//! Pages of searches, which a new or changed product drops. There are more of them than of lists, so they end
//! sooner; for a minute more, one that was not dropped is served while it is loaded again. A search reads much: one
//! process at a time does it.

use std::time::Duration;

use super::cached::Cached;
use super::catalogue::{ListKey, load_page};
use super::policy::Policy;
use super::rendered::Rendered;
use super::tiers::Tiers;
use crate::infrastructure::repositories::{Database, ListError, SearchResults};

const POLICY: Policy = Policy {
    ttl: Duration::from_mins(1),
    eager: Duration::from_secs(6),
    stale: Duration::from_mins(1),
    max_bytes: 16 << 20,
    is_dear: true,
    ..Policy::named("search", 2)
};

/// Pages of searches; none of a category that does not exist.
pub type SearchCache = Cached<ListKey, Rendered<SearchResults>, ListError>;

pub(super) fn search_cache(tiers: &Tiers, database: Database) -> SearchCache {
    tiers.cached(POLICY, move |key| load_page(database.clone(), key))
}
