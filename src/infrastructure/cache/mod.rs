//! The cache room: values that are loaded when they are first asked for, and are served until a transaction drops them;
//! longer only as the policy of a cache allows.
//!
//! A [`Cached`] has a [`Policy`], a type of keys and a loader; a member's file says these and nothing else. Entries
//! are in the memory of the process and, if there is a Redis, in a second tier that processes share
//! ([`SharedTier`]).
//!
//! An entry has tags, and is current as long as no transaction dropped one of them since its load began
//! ([`Drops`]). What transactions drop follows from the rows that they wrote and is an event of the same commit. Before
//! a cache is used, [`Invalidations`] reads those that were committed since the last look: [`Caches::current`] is the
//! only way to the caches with tags, but for [`Caches::tree`]. No message has to arrive for a cache to be right, and a
//! Redis that is away, slow, or has lost or kept what it should not costs loads, and no more.
//!
//! What belongs to one shopper has no tags: its key has a version, which the reader's request reads from the database
//! anyway, with the credentials or in place of the cart ([`OwnMembers`]). It is [`Private`]: not in Redis.
//!
//! # In another service
//!
//! [`Caches`] are those of a store. Another service makes its own by [`Tiers::cached`], from [`Tiers::in_memory`] with
//! a [`SharedTier`] if it has one. How it drops what was changed depends on its source:
//!
//! - With a [`Database`], the unit of work that writes the rows publishes a [`CacheInvalidationEvent`] with the texts
//!   of the tags, and each read begins with [`Invalidations::catch_up`]: no process serves what is older, as below. A
//!   tag `catalogue` drops all entries. With a shared store, [`Tiers::catch_up`] is required, too, since a database may
//!   be restored to an earlier state, by a backup or a failover: what was loaded is put there only if one more look
//!   finds nothing that dropped it meanwhile, and if the log has an entry by which a reader notices that it is another
//!   one. Without it no change is missed, but after the database was restored entries of before may be served.
//!   Published events stay until they are purged: by [`EventDispatcher::purge`] in a service with subscribers,
//!   otherwise as below. The time for which they are kept must be longer than that of any entry.
//! - In a single process, without a shared store, [`Drops::drop_tags`] after the commit is enough, with any position.
//! - With another source that has a log of its changes, the service reads the log, as `examples/cache.rs` does. If the
//!   source may be restored to an earlier state and there is a shared store, it sets [`Tiers::catch_up`] and calls
//!   [`Drops::record`] for the entries of the log. With the first and without the second, nothing is shared.
//!
//! The values of every cache implement [`Shape`], also of one without a shared store: [`Rendered`] and [`Arc`] do for a
//! type that serde writes and reads, and [`Private`] for one with `PartialEq` that is kept in memory alone. A service
//! implements it for a type of its own if that has another form in bytes than JSON.
//!
//! ```
//! use std::sync::Arc;
//!
//! use undercroft::infrastructure::cache::{Cached, Invalidations, Loaded, Policy, Rendered, Tag, Tiers};
//! use undercroft::infrastructure::events::CacheInvalidationEvent;
//! use undercroft::infrastructure::exceptions::Failure;
//! use undercroft::infrastructure::repositories::{Database, DatabaseError, Outbox};
//!
//! type Greetings = Cached<String, Rendered<String>, DatabaseError>;
//!
//! /// Makes the cache, and what catches up with the drops of all processes: once at the start.
//! fn greetings(tiers: Tiers, database: &Database) -> (Greetings, Arc<Invalidations>) {
//!     let invalidations = Arc::new(Invalidations::new(database.clone(), tiers.drops.clone()));
//!     let tiers = Tiers { catch_up: Some(invalidations.catcher_up()), ..tiers };
//!     let source = database.clone();
//!     let greetings = tiers.cached(Policy::named("greeting", 1), move |name| load(source.clone(), name));
//!     (greetings, invalidations)
//! }
//!
//! async fn load(database: Database, name: String) -> Result<Loaded<Rendered<String>>, DatabaseError> {
//!     let sql = "SELECT greeting FROM greetings WHERE name = $1";
//!     let found: Option<String> = database.read().await?.first(sql, &[name.as_str().into()]).await?;
//!     let tags = vec![Tag::of(&format!("greeting:{name}"))];
//!     Ok(Loaded { value: found.map(Rendered::new), tags, bytes: 100 })
//! }
//!
//! async fn change(database: &Database, name: String, greeting: String) -> Result<(), DatabaseError> {
//!     let write = database.write((name, greeting), async |work, (name, greeting)| {
//!         let sql = "UPDATE greetings SET greeting = $2 WHERE name = $1";
//!         work.execute(sql, &[name.as_str().into(), greeting.as_str().into()]).await?;
//!         work.publish(&CacheInvalidationEvent { tags: vec![format!("greeting:{name}")] }).await
//!     });
//!     write.await
//! }
//!
//! async fn read(
//!     (greetings, invalidations): &(Greetings, Arc<Invalidations>),
//!     name: &String,
//! ) -> Result<String, Failure> {
//!     invalidations.catch_up().await?;
//!     let (greeting, _) = greetings.value(name).await?;
//!     Ok(String::clone(&greeting))
//! }
//!
//! /// Deletes up to a thousand events that are older than a week, of which a service without subscribers has no use.
//! async fn purge(database: &Database) -> Result<u64, DatabaseError> {
//!     let write = database.write((), async |work, ()| {
//!         let until = Outbox(work).readable_until().await?;
//!         let before = work.now() - jiff::SignedDuration::from_hours(7 * 24);
//!         Outbox(work).purge(until, before, 1_000).await
//!     });
//!     write.await
//! }
//! ```
//!
//! # Adding one
//!
//! 1. Write `<name>_cache.rs` with the type of the keys, a policy and a loader that returns the tags of what it
//!    read; or with keys of [`Own`] and [`Private`] values, if it belongs to a user.
//! 2. Add its `mod` and `pub use` lines, a field of [`Members`] or [`OwnMembers`], its line in `new` there, and one in
//!    [`Caches::states`]; and its name in `limits.rs`, by which operators set its size.
//! 3. If processes share its values, add one to `tests/it/infrastructure/cache/shapes.rs`, with a path that reads it:
//!    the test records its shape and the kinds of its tags.
//! 4. A tag of rows for which servers of the release before publish none takes two releases, as an incompatible change
//!    of the tables: one that publishes it, and a later one that gives it to entries. While servers of both releases
//!    run, a change by the older ones would drop nothing of the newer ones.
//!
//! In check mode ([`CacheOptions::verify`]), every entry that is served is compared with a load of the same version,
//! for which values have [`Shape::is_same`], and caches whose keys have a version [`Tiers::cached_by_version`]. The
//! bytes that are served of a [`Rendered`] value are compared with those of that load ([`Served::form`]).
//!
//! [`CacheInvalidationEvent`]: crate::infrastructure::events::CacheInvalidationEvent
//! [`EventDispatcher::purge`]: crate::infrastructure::events::EventDispatcher::purge

mod cached;
mod cart_cache;
mod catalogue;
mod category_cache;
mod counters;
mod discount_cache;
mod drops;
mod entry;
mod invalidations;
mod inventory_cache;
mod json;
mod limits;
mod loads;
mod notification_cache;
mod order_cache;
mod own;
mod patience;
mod policy;
mod private;
mod product_cache;
mod read;
mod redis;
mod redis_store;
mod rendered;
mod search_cache;
mod shared_tier;
mod tag;
mod tiers;
mod url;
mod user_cache;
mod user_preference_cache;
mod weight;

use std::fmt;
use std::sync::Arc;

pub use self::cached::{Cached, LoadError};
pub use self::cart_cache::{CartCache, CartVersion};
pub use self::catalogue::ListKey;
pub use self::category_cache::{Categories, CategoryCache, Tree};
pub use self::counters::{Counts, LOOK_BOUNDS, LookCounts};
pub use self::discount_cache::DiscountCache;
pub use self::drops::{Drops, KnownLog, LogEntry, Position, Stamp};
pub use self::entry::{Entry, Loaded};
pub use self::invalidations::Invalidations;
pub use self::inventory_cache::InventoryCache;
pub use self::limits::{CACHES, CacheLimits, UnknownCache};
pub use self::notification_cache::{Inbox, NewestNotifications, NotificationCache};
pub use self::order_cache::{NewestOrders, OrderCache};
pub use self::own::Own;
pub use self::patience::Patience;
pub use self::policy::Policy;
pub use self::private::Private;
pub use self::product_cache::{ListingCache, ProductCache, ProductName};
pub use self::read::{Lookup, Outcome, ReadStatus, Served};
pub use self::redis::{Redis, RedisCheckError, RedisUnavailable};
pub use self::redis_store::EntriesInRedis;
pub use self::rendered::{Form, KeptBody, Rendered};
pub use self::search_cache::SearchCache;
pub use self::shared_tier::{Shape, SharedStore, SharedTier};
pub use self::tag::Tag;
pub use self::tiers::{CatchUp, Tiers};
pub use self::url::{CacheUrl, InvalidCacheUrl};
pub use self::user_cache::UserCache;
pub use self::user_preference_cache::UserPreferenceCache;
use super::repositories::{Database, DatabaseError};

/// The caches of a store. Clones share them.
#[derive(Clone)]
pub struct Caches(Arc<Shared>);

struct Shared {
    invalidations: Arc<Invalidations>,
    members: Members,
    own: OwnMembers,
}

/// The members that are dropped by tags.
pub struct Members {
    /// Products by id and by slug.
    pub product: ProductCache,
    /// Pages of lists of products.
    pub listing: ListingCache,
    /// Pages of searches.
    pub search: SearchCache,
    /// The category tree.
    pub category: CategoryCache,
    /// Discounts by code.
    pub discount: DiscountCache,
    /// The offers of variants with their available stock.
    pub inventory: InventoryCache,
}

/// The members that are kept for a version, which their readers read from the database: what belongs to one shopper.
pub struct OwnMembers {
    /// Users by id.
    pub user: UserCache,
    /// The preferences of users.
    pub user_preference: UserPreferenceCache,
    /// The newest orders of users.
    pub order: OrderCache,
    /// The newest notifications of users.
    pub notification: NotificationCache,
    /// Carts with their lines.
    pub cart: CartCache,
}

/// How the caches of a process are kept.
#[derive(Clone, Debug, Default)]
pub struct CacheOptions {
    /// The second tier, if there is one.
    pub shared: Option<SharedTier>,
    /// Check mode: whether each entry that is served is compared with the database.
    pub verify: bool,
    /// The sizes that differ from those of the policies.
    pub limits: CacheLimits,
}

/// What a cache counted and keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheState {
    /// The name of the cache.
    pub cache: &'static str,
    /// How it keeps its entries.
    pub policy: Policy,
    /// The number of entries that it keeps in memory.
    pub entries: u64,
    /// What it counted since the start.
    pub counts: Counts,
    /// The bytes that it keeps in memory, about.
    pub bytes: u64,
    /// Whether its entries may be in the shared store, too.
    pub is_shared: bool,
}

impl Caches {
    /// Returns the caches over a database.
    pub fn new(database: &Database, CacheOptions { shared, verify, limits }: CacheOptions) -> Self {
        let tiers = Tiers { shared, limits, ..Tiers::in_memory(database.context().clone()) };
        let invalidations = Arc::new(Invalidations::new(database.clone(), Arc::clone(&tiers.drops)));
        let catch_up = invalidations.catcher_up();
        let check = verify.then(|| Arc::clone(&catch_up));
        let tiers = Tiers { catch_up: Some(catch_up), check, ..tiers };
        let (members, own) = (Members::new(&tiers, database), OwnMembers::new(&tiers, database));
        Self(Arc::new(Shared { invalidations, members, own }))
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

    /// Returns the category tree, as [`Caches::current`] has it; while the database is not available or does not
    /// respond, and so it is not known what was invalidated, the tree of before, as its policy allows.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if there is no tree that may be used, and the database cannot be read.
    pub async fn tree(&self) -> Result<Served<Rendered<Categories>>, LoadError<DatabaseError>> {
        let Shared { invalidations, members: Members { category, .. }, .. } = &*self.0;
        // first, so that nothing else is asked on SQLite as long as nothing was committed
        let caught_up = if invalidations.is_caught_up() {
            Ok(())
        } else if category.has_fallback(&Tree) {
            let Policy { soft_timeout, pause, .. } = category_cache::POLICY;
            invalidations.catch_up_soon(soft_timeout, pause).await
        } else {
            invalidations.catch_up().await
        };
        match caught_up {
            Ok(()) => category.served(&Tree).await,
            Err(error @ DatabaseError::Unavailable(_)) => {
                category.fallback(&Tree).ok_or(LoadError::Failed(error))
            }
            Err(error) => Err(LoadError::Failed(error)),
        }
    }

    /// Returns the caches whose keys have a version. Nothing has to be caught up with: the reader has read the version.
    pub fn own(&self) -> &OwnMembers {
        &self.0.own
    }

    /// Returns the looks of this process for what was invalidated.
    pub fn looks(&self) -> LookCounts {
        self.0.invalidations.looks()
    }

    /// Returns what each cache counted and keeps.
    pub fn states(&self) -> [CacheState; CACHES.len()] {
        let Members { product, listing, search, category, discount, inventory } = &self.0.members;
        let OwnMembers { user, user_preference, order, notification, cart } = &self.0.own;
        [
            product.state(),
            listing.state(),
            search.state(),
            category.state(),
            discount.state(),
            inventory.state(),
            user.state(),
            user_preference.state(),
            order.state(),
            notification.state(),
            cart.state(),
        ]
    }
}

impl Members {
    fn new(tiers: &Tiers, database: &Database) -> Self {
        Self {
            product: product_cache::product_cache(tiers, database.clone()),
            listing: product_cache::listing_cache(tiers, database.clone()),
            search: search_cache::search_cache(tiers, database.clone()),
            category: category_cache::category_cache(tiers, database.clone()),
            discount: discount_cache::discount_cache(tiers, database.clone()),
            inventory: inventory_cache::inventory_cache(tiers, database.clone()),
        }
    }
}

impl OwnMembers {
    fn new(tiers: &Tiers, database: &Database) -> Self {
        Self {
            user: user_cache::user_cache(tiers, database.clone()),
            user_preference: user_preference_cache::user_preference_cache(tiers, database.clone()),
            order: order_cache::order_cache(tiers, database.clone()),
            notification: notification_cache::notification_cache(tiers, database.clone()),
            cart: cart_cache::cart_cache(tiers, database.clone()),
        }
    }
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caches").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::repositories::new_database;

    #[tokio::test]
    async fn each_cache_has_a_name_by_which_operators_set_its_size() {
        let (_folder, database) = new_database().await;
        let states = Caches::new(&database, CacheOptions::default()).states();
        assert_eq!(states.map(|state| state.cache), CACHES);
    }
}
