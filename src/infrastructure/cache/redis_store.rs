//! The shared store in Redis or Valkey.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, cmd};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::redis::{Redis, RedisUnavailable};
use super::shared_tier::SharedStore;

/// Entries in Redis, which may evict any of them.
#[derive(Debug, Clone)]
pub struct EntriesInRedis(pub Arc<Redis>);

/// The keys that Redis looks at in one command.
const SCANNED: usize = 1_000;

impl EntriesInRedis {
    /// Returns the numbers of entries by the names of their caches; `prefix` is that of the keys of the store.
    ///
    /// # Errors
    ///
    /// [`RedisUnavailable`].
    pub async fn by_cache(&self, prefix: &str) -> Result<BTreeMap<String, u64>, RedisUnavailable> {
        let (mut numbers, mut cursor) = (BTreeMap::new(), 0_u64);
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(SCANNED);
            let (next, keys): (u64, Vec<String>) = self.0.command(&scan).await?;
            let of_store = keys.iter().filter_map(|key| key.strip_prefix(prefix));
            // that of a turn has one part more
            let names = of_store.filter_map(|key| match key.split(':').collect::<Vec<_>>()[..] {
                [name, _, _] => Some(name.to_owned()),
                _ => None,
            });
            for name in names {
                *numbers.entry(name).or_default() += 1;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(numbers);
            }
        }
    }
}

impl SharedStore for EntriesInRedis {
    fn get(&self, key: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        async move { self.0.command(&Cmd::get(key)).await.ok()? }.boxed()
    }

    fn get_all(&self, keys: Vec<String>) -> BoxFuture<'_, Vec<Option<Vec<u8>>>> {
        async move {
            let mut get = cmd("MGET");
            get.arg(keys);
            self.0.command(&get).await.unwrap_or_default()
        }
        .boxed()
    }

    fn set(&self, key: String, bytes: Vec<u8>, ttl: Duration) -> BoxFuture<'_, ()> {
        async move {
            let mut set = cmd("SET");
            set.arg(key).arg(bytes).arg("PX").arg(millis(ttl));
            // what could not be kept is loaded again
            let _: Result<(), _> = self.0.command(&set).await;
        }
        .boxed()
    }

    fn lock(&self, key: String, ttl: Duration) -> BoxFuture<'_, bool> {
        async move {
            let mut set = cmd("SET");
            set.arg(key).arg(1).arg("NX").arg("PX").arg(millis(ttl));
            let taken: Result<Option<String>, _> = self.0.command(&set).await;
            taken.map_or(true, |response| response.is_some())
        }
        .boxed()
    }

    fn renew(&self, key: String, ttl: Duration) -> BoxFuture<'_, bool> {
        async move {
            let mut expire = cmd("PEXPIRE");
            expire.arg(key).arg(millis(ttl));
            self.0.command(&expire).await.unwrap_or(false)
        }
        .boxed()
    }

    fn remove(&self, key: String) -> BoxFuture<'_, ()> {
        async move {
            // it ends by itself
            let _: Result<(), _> = self.0.command(&Cmd::del(key)).await;
        }
        .boxed()
    }
}

/// Redis refuses a time of zero.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX.unsigned_abs())
}
