//! Keeps the numbers of keys at Redis, for all processes of a store; while it is away, each process counts for itself.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::Script;

use super::gcra::Decision;
use super::memory_store::MemoryStore;
use super::quota::Quota;
use super::{RateKey, RateLimitStore};
use crate::infrastructure::cache::{Redis, RedisUnavailable};

/// The functions of `gcra.rs`. The numbers of Lua are exact up to 2^53, which are microseconds until the year 2255.
/// `%.0f` writes all digits, which the usual conversion does not. The first argument is the time, empty for that of
/// Redis; the last one is 1 to count, and -1 to remove one that was counted.
const SCRIPT: &str = include_str!("count.lua");

/// The keys of all processes.
#[derive(Debug)]
pub struct RedisStore {
    redis: Arc<Redis>,
    /// What the keys begin with.
    prefix: String,
    script: Script,
    /// Whether the time is that of Redis.
    is_timed_by_redis: bool,
    /// The keys of this process while Redis is away.
    own: MemoryStore,
}

impl RedisStore {
    /// Returns the store of a Redis. The keys begin with `undercroft:limit:` and the name of the service: services that
    /// share a Redis count apart if their names differ.
    pub fn new(redis: impl Into<Arc<Redis>>, service: &str) -> Self {
        let prefix = format!("undercroft:limit:{service}:");
        let (script, own) = (Script::new(SCRIPT), MemoryStore::default());
        Self { redis: redis.into(), prefix, script, is_timed_by_redis: false, own }
    }

    /// Decides at the time of Redis, so that processes whose clocks differ decide as one; while Redis is away, at that
    /// of the process. Otherwise the time is always that of the limiter.
    #[must_use]
    pub fn timed_by_redis(self) -> Self {
        Self { is_timed_by_redis: true, ..self }
    }

    async fn run(
        &self,
        key: RateKey,
        quota: Quota,
        now: i64,
        step: i64,
    ) -> Result<Decision, RedisUnavailable> {
        let mut script = self.script.key(format!("{}{key}", self.prefix));
        if self.is_timed_by_redis {
            script.arg("");
        } else {
            script.arg(now);
        }
        script.arg(quota.interval()).arg(quota.full()).arg(step);
        let (is_allowed, pending): (bool, i64) = self.redis.run(&script).await?;
        Ok(Decision { is_allowed, pending })
    }
}

impl RateLimitStore for RedisStore {
    fn count(&self, key: RateKey, quota: Quota, now: i64) -> BoxFuture<'_, Decision> {
        async move {
            match self.run(key, quota, now, 1).await {
                Ok(decision) => decision,
                Err(RedisUnavailable) => self.own.count_now(key, quota, now),
            }
        }
        .boxed()
    }

    fn uncount(&self, key: RateKey, quota: Quota, now: i64) -> BoxFuture<'_, ()> {
        async move {
            if self.run(key, quota, now, -1).await.is_err() {
                self.own.uncount_now(key, quota, now);
            }
        }
        .boxed()
    }
}
