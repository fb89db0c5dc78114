//! The turn to load what is dear, which one process at a time has for as long as its load runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use redis::AsyncCommands;
use tokio::time::{Instant, sleep};
use undercroft::infrastructure::cache::{Policy, SharedStore, SharedTier};

use super::tiers::tier_in_redis;
use super::{Node, POLICY, Source};
use crate::support::redis::{patient, redis_url};
use crate::support::{awaited, eventually};

const DEAR: Policy = Policy { is_dear: true, ..POLICY };

/// A store of processes of a test. Its locks end, unless they are renewed; its values do not.
#[derive(Default)]
struct Memory {
    values: Mutex<HashMap<String, Vec<u8>>>,
    locked_until: Mutex<HashMap<String, Instant>>,
}

impl Memory {
    /// Locks a key until a duration from now if it is locked or not, as said; returns whether it was so.
    fn lock_if(&self, is_locked: bool, key: String, ttl: Duration) -> bool {
        let (now, mut locked) = (Instant::now(), self.locked_until.lock().unwrap());
        let is_so = locked.get(&key).is_some_and(|until| now < *until) == is_locked;
        if is_so {
            locked.insert(key, now + ttl);
        }
        is_so
    }
}

impl SharedStore for Memory {
    fn get(&self, key: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        async move { self.values.lock().unwrap().get(&key).cloned() }.boxed()
    }

    fn set(&self, key: String, bytes: Vec<u8>, _: Duration) -> BoxFuture<'_, ()> {
        async move {
            self.values.lock().unwrap().insert(key, bytes);
        }
        .boxed()
    }

    fn lock(&self, key: String, ttl: Duration) -> BoxFuture<'_, bool> {
        async move { self.lock_if(false, key, ttl) }.boxed()
    }

    fn renew(&self, key: String, ttl: Duration) -> BoxFuture<'_, bool> {
        async move { self.lock_if(true, key, ttl) }.boxed()
    }

    fn remove(&self, key: String) -> BoxFuture<'_, ()> {
        async move {
            self.locked_until.lock().unwrap().remove(&key);
        }
        .boxed()
    }
}

/// A store in which another process has each turn, and renews it forever.
struct HeldTurns;

impl SharedStore for HeldTurns {
    fn get(&self, _: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        async { None }.boxed()
    }

    fn set(&self, _: String, _: Vec<u8>, _: Duration) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn lock(&self, _: String, _: Duration) -> BoxFuture<'_, bool> {
        async { false }.boxed()
    }

    fn remove(&self, _: String) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_dear_load_that_takes_longer_than_a_turn_runs_in_one_process() {
    let tier = SharedTier::new(Arc::<Memory>::default(), b"secret");
    let source = Source::closed();
    let nodes: Vec<_> = (0..4).map(|_| Node::new(DEAR, &source, Some(tier.clone()))).collect();
    let readers: Vec<_> = nodes.iter().map(|node| node.reader("tea")).collect();
    nodes[0].until_loads(1).await;
    sleep(Duration::from_secs(4)).await;
    assert_eq!(source.loads(), 1);

    source.gate.add_permits(1);
    assert!(join_all(readers).await.into_iter().all(|value| value.unwrap() == 1));
    assert_eq!(source.loads(), 1);
    let shared: u64 = nodes.iter().map(|node| node.counts().shared).sum();
    assert_eq!(shared, 3, "the others have the entry of the first one");
}

#[tokio::test(start_paused = true)]
async fn a_turn_of_another_process_that_does_not_end_leaves_time_for_a_load() {
    let tier = SharedTier::new(Arc::new(HeldTurns), b"secret");
    let node = Node::new(DEAR, &Source::open(), Some(tier));
    assert_eq!(node.value("tea").await, 1);
    assert_eq!((node.source.loads(), node.counts().failures), (1, 0));
}

#[tokio::test]
async fn a_turn_at_redis_is_renewed_until_its_load_ends() {
    let Some(url) = redis_url().await else { return };
    let tier = tier_in_redis(patient(&url));
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let node = Node::new(DEAR, &Source::closed(), Some(tier.clone()));
    let reader = node.reader("tea");
    node.until_loads(1).await;
    let keys: Vec<String> = redis.keys(format!("{}*:turn", tier.prefix())).await.unwrap();
    let [turn] = &keys[..] else { panic!("{keys:?}") };

    let mut least = i64::MAX;
    awaited("a renewal", async || {
        let left: i64 = redis.pttl(turn).await.unwrap();
        let is_renewed = left > least;
        least = left;
        is_renewed.then_some(())
    })
    .await;
    node.source.gate.add_permits(1);
    assert_eq!((reader.await.unwrap(), node.source.loads()), (1, 1));
    eventually("the end of the turn", async || !redis.exists::<_, bool>(turn).await.unwrap()).await;
}
