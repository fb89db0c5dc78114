//! The shared store in Redis or Valkey.

use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, cmd};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::redis::Redis;
use super::shared_tier::SharedStore;

/// Entries in Redis, which may evict any of them.
#[derive(Debug, Clone)]
pub struct EntriesInRedis(pub Arc<Redis>);

impl SharedStore for EntriesInRedis {
    fn get(&self, key: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        async move { self.0.command(&Cmd::get(key)).await.ok()? }.boxed()
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

    fn take(&self, key: String, ttl: Duration) -> BoxFuture<'_, bool> {
        async move {
            let mut set = cmd("SET");
            set.arg(key).arg(1).arg("NX").arg("PX").arg(millis(ttl));
            let taken: Result<Option<String>, _> = self.0.command(&set).await;
            taken.map_or(true, |response| response.is_some())
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
