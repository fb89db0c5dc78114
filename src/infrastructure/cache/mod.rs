//! The cache room: values that are loaded when they are first asked for, and are never wrong afterwards.
//!
//! A [`Cached`] has a [`Policy`], a type of keys and a loader; a member's file says these and nothing else. Entries
//! are in the memory of the process and, if there is a Redis, in a second tier that processes share
//! ([`SharedTier`]).
//!
//! An entry has tags, and is current as long as no transaction dropped one of them since its load began
//! ([`Drops`]). What transactions drop follows from the rows that they wrote and is an event of the same commit. Before
//! a cache is used, [`Invalidations`] reads those that were committed since the last look: [`Caches::current`] is the
//! only way to the caches of the store. No message has to arrive for a cache to be right, and a Redis that is away,
//! slow, or has lost or kept what it should not costs loads, and no more.
//!
//! # Adding one
//!
//! 1. Write `<name>_cache.rs` with the type of the keys, a policy and a loader that returns the tags of what it read.
//! 2. Add its `mod` and `pub use` lines, a field of [`Members`], and its line in [`Members::new`].

mod cached;
mod catalogue;
mod category_cache;
mod counters;
mod drops;
mod entry;
mod flights;
mod invalidations;
mod policy;
mod product_cache;
mod redis;
mod redis_store;
mod rendered;
mod search_cache;
mod shared_tier;
mod tag;
mod url;

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

pub use self::cached::{Cached, LoadError, Origin};
pub use self::catalogue::{ListKey, PageError};
pub use self::category_cache::{CategoryCache, Tree};
pub use self::counters::Counts;
pub use self::drops::{Drops, Position, Stamp};
pub use self::entry::{Entry, Loaded};
pub use self::invalidations::Invalidations;
pub use self::policy::Policy;
pub use self::product_cache::{ListingCache, ProductCache, ProductName};
pub use self::redis::{Redis, RedisUnavailable};
pub use self::redis_store::EntriesInRedis;
pub use self::rendered::{Form, Rendered};
pub use self::search_cache::SearchCache;
pub use self::shared_tier::{Shape, SharedStore, SharedTier};
pub use self::tag::Tag;
pub use self::url::{CacheUrl, InvalidCacheUrl};
use super::repositories::{Database, DatabaseError};
use crate::domain::context::Context;

/// The caches of a store. Clones share them.
#[derive(Clone)]
pub struct Caches(Arc<Shared>);

struct Shared {
    invalidations: Invalidations,
    members: Members,
}

/// The members.
pub struct Members {
    /// Products by id and by slug.
    pub product: ProductCache,
    /// Pages of lists of products.
    pub listing: ListingCache,
    /// Pages of searches.
    pub search: SearchCache,
    /// The category tree.
    pub category: CategoryCache,
}

/// What a cache counted and keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheState {
    /// The name of the cache.
    pub cache: &'static str,
    /// What it counted since the start.
    pub counts: Counts,
    /// The bytes that it keeps in memory, about.
    pub bytes: u64,
}

/// What the caches of a process have in common.
pub struct Tiers {
    /// The sources of time and randomness.
    pub context: Context,
    /// What was dropped.
    pub drops: Arc<Drops>,
    /// The second tier, if there is one.
    pub shared: Option<SharedTier>,
}

impl Caches {
    /// Returns the caches over a database, with a second tier if there is one.
    pub fn new(database: &Database, shared: Option<SharedTier>) -> Self {
        let tiers = Tiers { context: database.context().clone(), drops: Arc::default(), shared };
        let invalidations = Invalidations::new(database.clone(), Arc::clone(&tiers.drops));
        Self(Arc::new(Shared { invalidations, members: Members::new(&tiers, database) }))
    }

    /// Returns the caches, after everything was dropped that was invalidated before this call.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] if the database cannot be read.
    pub async fn current(&self) -> Result<&Members, DatabaseError> {
        self.0.invalidations.catch_up().await?;
        Ok(&self.0.members)
    }

    /// Returns what each cache counted and keeps.
    pub fn states(&self) -> [CacheState; 4] {
        let Members { product, listing, search, category } = &self.0.members;
        [product.state(), listing.state(), search.state(), category.state()]
    }
}

impl Members {
    fn new(tiers: &Tiers, database: &Database) -> Self {
        Self {
            product: product_cache::product_cache(tiers, database.clone()),
            listing: product_cache::listing_cache(tiers, database.clone()),
            search: search_cache::search_cache(tiers, database.clone()),
            category: category_cache::category_cache(tiers, database.clone()),
        }
    }
}

impl Tiers {
    /// Returns an empty cache with these tiers.
    pub fn cached<K, V, E, F>(
        &self,
        policy: Policy,
        load: impl Fn(K) -> F + Send + Sync + 'static,
    ) -> Cached<K, V, E>
    where
        K: Eq + Hash + Clone + fmt::Display + Send + Sync + 'static,
        V: Shape + Clone + Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        Cached::new(policy, self.context.clone(), Arc::clone(&self.drops), self.shared.clone(), load)
    }
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caches").finish_non_exhaustive()
    }
}
