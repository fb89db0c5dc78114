//! Rate limits: how often something may be done, counted in this process or in Redis with the same results.
//!
//! The algorithm is GCRA (generic cell rate algorithm): `gcra.rs` computes it in whole microseconds, and a store keeps
//! one number for each key. docs/decisions/0016-rate-limits.md has the reasons.

mod gcra;
mod memory_store;
mod quota;
mod redis_store;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ::redis::RedisError;
use futures_util::future::BoxFuture;
use http::HeaderName;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use self::gcra::Decision;
pub use self::memory_store::MemoryStore;
pub use self::quota::{InvalidQuota, Quota};
pub use self::redis_store::RedisStore;
use crate::domain::context::Clock;
use crate::infrastructure::cache::{CacheUrl, Redis};

/// The header of a response that says how many requests are left.
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The header of a response with the quotas.
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A limit with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The name, which clients read in `RateLimit`.
    pub name: &'static str,
    /// How many in which time.
    pub quota: Quota,
}

/// For whom a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partition {
    /// A client's address. One network of IPv6 (/64) is one client, which may use all of its addresses.
    Address(IpAddr),
    /// A user.
    User(Uuid),
    /// All API keys of a user, so that more keys allow no more requests.
    ApiKeysOf(Uuid),
    /// Something else, by the beginning of its hash.
    Digest([u8; 16]),
}

/// What is counted: a limit and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateKey {
    name: &'static str,
    partition: Partition,
}

/// Keeps the numbers of keys. The number of a key is the time, in microseconds since 1970, at which all that was
/// counted for it is over; one that is not later than `now` is the same as none.
///
/// Another package can implement it, for a store of its own. Requests wait for both methods: each ends in bounded time,
/// and a store that cannot reach its numbers decides without them. The text of a [`RateKey`] (its `Display`) differs
/// for keys that differ.
pub trait RateLimitStore: Send + Sync {
    /// Counts one at `now`, in microseconds since 1970, if the quota allows it: adds [`Quota::interval`] to the number
    /// of the key, or to `now` if there is none, unless the result is later than `now` by more than [`Quota::full`].
    /// Concurrent calls for a key count one after the other.
    ///
    /// Returns [`Decision::new`] with whether it was counted, and the time from `now` to the number of the key.
    fn count(&self, key: RateKey, quota: Quota, now: i64) -> BoxFuture<'_, Decision>;

    /// Removes one that was counted: subtracts [`Quota::interval`] from the number of the key. `now` is in microseconds
    /// since 1970.
    fn uncount(&self, key: RateKey, quota: Quota, now: i64) -> BoxFuture<'_, ()>;
}

/// Applies rate limits. Clones share their store.
#[derive(Clone)]
pub struct RateLimiter {
    store: Arc<dyn RateLimitStore>,
    clock: Arc<dyn Clock>,
    /// The Redis at the URL of [`RateLimiter::open`], if it is one of Redis.
    redis: Option<Arc<Redis>>,
}

impl RateLimiter {
    /// Returns the limiter that counts in a store.
    pub fn new(store: Arc<dyn RateLimitStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, redis: None }
    }

    /// Returns the limiter that counts in this process.
    pub fn in_process(clock: Arc<dyn Clock>) -> Self {
        Self::new(Arc::new(MemoryStore::default()), clock)
    }

    /// Returns the limiter that counts where a URL says; `service` is the name of [`RedisStore::new`]. With the clock
    /// of the operating system, the time at Redis is that of Redis. Call it on a runtime of Tokio. Redis need not be
    /// there yet.
    ///
    /// # Errors
    ///
    /// [`RedisError`] if the URL is none of Redis.
    ///
    /// # Panics
    ///
    /// With a URL of Redis, outside of a runtime of Tokio.
    pub fn open(url: &CacheUrl, service: &str, clock: Arc<dyn Clock>) -> Result<Self, RedisError> {
        match url {
            CacheUrl::Memory => Ok(Self::in_process(clock)),
            CacheUrl::Redis(url) => {
                let redis = Arc::new(Redis::new(url)?.named("cache", "rate limits"));
                let store = RedisStore::new(Arc::clone(&redis), service);
                let store = if clock.is_system() { store.timed_by_redis() } else { store };
                Ok(Self { redis: Some(redis), ..Self::new(Arc::new(store), clock) })
            }
        }
    }

    /// Returns the connection to the Redis at the URL of [`RateLimiter::open`]; `None` if there is none.
    pub fn redis(&self) -> Option<Arc<Redis>> {
        self.redis.clone()
    }

    /// Counts one, if the limit allows it.
    pub async fn count(&self, limit: RateLimit, partition: Partition) -> Decision {
        self.store.count(RateKey::new(limit, partition), limit.quota, self.now()).await
    }

    /// Removes one that was counted.
    pub async fn uncount(&self, limit: RateLimit, partition: Partition) {
        self.store.uncount(RateKey::new(limit, partition), limit.quota, self.now()).await;
    }

    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").finish_non_exhaustive()
    }
}

impl RateKey {
    fn new(limit: RateLimit, partition: Partition) -> Self {
        Self { name: limit.name, partition: partition.canonical() }
    }
}

/// The end of the key at Redis.
impl fmt::Display for RateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, partition } = self;
        match partition {
            Partition::Address(address) => write!(f, "{name}:address:{address}"),
            Partition::User(id) => write!(f, "{name}:user:{}", id.simple()),
            Partition::ApiKeysOf(id) => write!(f, "{name}:api_keys:{}", id.simple()),
            Partition::Digest(hash) => {
                write!(f, "{name}:digest:{:x}", u128::from_be_bytes(*hash))
            }
        }
    }
}

impl Partition {
    /// Returns the partition of texts, whose content is not kept.
    #[must_use]
    pub fn digest(parts: &[&[u8]]) -> Self {
        let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part).chain_update([0]));
        let mut beginning = [0; 16];
        beginning.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        Self::Digest(beginning)
    }

    /// Returns the partition with one address for each network of IPv6.
    #[must_use]
    pub fn canonical(self) -> Self {
        match self {
            Self::Address(address) => Self::Address(match address.to_canonical() {
                IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
                address @ IpAddr::V4(_) => address,
            }),
            other => other,
        }
    }
}
