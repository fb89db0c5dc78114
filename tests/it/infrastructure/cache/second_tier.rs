//! The second tier: what another process loaded, and a Redis that is away or answers with garbage.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::AsyncCommands;
use tokio::time::timeout;
use undercroft::infrastructure::cache::{
    CatchUp, Drops, EntriesInRedis, LoadError, LogEntry, Lookup, Policy, Position, Redis, SharedStore,
    SharedTier, Tag, Tiers,
};

use super::tiers::{Shared, tier_in_redis};
use super::{Answer, Node, POLICY, Source};
use crate::support::redis::{patient, redis_url};
use crate::support::{Line, Proxy, awaited, eventually};

/// A policy whose entries no other test has at Redis.
fn policy() -> Policy {
    Policy { name: crate::support::unique("cache").leak(), ..POLICY }
}

/// Waits until an entry of a policy is at Redis, which happens after its reader has it; returns its key.
async fn key_of(redis: &mut redis::aio::MultiplexedConnection, policy: &Policy) -> String {
    let pattern = format!("undercroft:cache:*:{}:*", policy.name);
    awaited("an entry at Redis", async || {
        let keys: Vec<String> = redis.keys(&pattern).await.unwrap();
        keys.into_iter().next()
    })
    .await
}

on_each_tier!(what_one_process_loaded_the_others_do_not_load, shared);
async fn what_one_process_loaded_the_others_do_not_load(second: &Shared) {
    let [first, other] = [(); 2].map(|()| Node::new(POLICY, &Source::open(), second.tier()));
    first.source.value.store(7, SeqCst);
    assert_eq!(first.value("tea").await, 7);
    second.until_puts(1).await;
    assert_eq!(other.value("tea").await, 7);
    assert_eq!((other.source.loads(), other.counts().shared), (0, 1));
}

on_each_tier!(what_is_loaded_again_before_its_end_is_not_the_same_entry, shared);
async fn what_is_loaded_again_before_its_end_is_not_the_same_entry(second: &Shared) {
    let policy = Policy { eager: Duration::from_secs(30), ..POLICY };
    let node = Node::new(policy, &Source::open(), second.tier());
    node.value("tea").await;
    second.until_puts(1).await;
    node.source.value.store(2, SeqCst);
    node.wait(40);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)));
    eventually("the new value", async || node.value("tea").await == 2).await;
    let counts = node.counts();
    assert_eq!((node.source.loads(), counts.refreshes, counts.shared, counts.rejected), (2, 1, 0, 1));
}

on_each_tier!(an_entry_is_used_only_by_those_who_know_of_no_later_drop, shared);
async fn an_entry_is_used_only_by_those_who_know_of_no_later_drop(second: &Shared) {
    let first = Node::new(POLICY, &Source::open(), second.tier());
    first.drops.set_complete_to(Position(10));
    first.value("tea").await;
    second.until_puts(1).await;

    let knows = |position| {
        let node = Node::new(POLICY, &Source::open(), second.tier());
        node.drops.drop_tags([Tag::of("tea")], Position(position));
        node
    };
    let (earlier, later) = (knows(10), knows(11));
    for (node, loads) in [(&earlier, 0), (&later, 1)] {
        node.value("tea").await;
        assert_eq!(node.source.loads(), loads);
        assert_eq!(node.counts().rejected, loads as u64);
    }
    // a process that knows nothing of what was dropped before it came trusts nothing of then
    let cold = Node::new(POLICY, &Source::open(), second.tier());
    cold.drops.drop_all(Position(1_000));
    cold.value("tea").await;
    assert_eq!(cold.source.loads(), 1);
}

on_each_tier!(entries_of_older_and_newer_shapes_and_of_other_stores_are_misses, shared);
async fn entries_of_older_and_newer_shapes_and_of_other_stores_are_misses(second: &Shared) {
    let of_shape = |shape, tier| Node::new(Policy { shape, ..POLICY }, &Source::open(), tier);
    of_shape(2, second.tier()).value("tea").await;
    second.until_puts(1).await;

    let [older, newer] = [1, 3].map(|shape| of_shape(shape, second.tier()));
    let foreign = of_shape(2, second.tier_of_another_store());
    for (node, puts) in [(&older, 2), (&newer, 3), (&foreign, 4)] {
        node.value("tea").await;
        assert_eq!((node.source.loads(), node.counts().shared, node.counts().rejected), (1, 0, 0));
        second.until_puts(puts).await;
    }
    let same = of_shape(2, second.tier());
    same.value("tea").await;
    assert_eq!((same.source.loads(), same.counts().shared), (0, 1), "the others left it as it was");
}

#[tokio::test]
async fn a_damaged_entry_is_a_miss() {
    let Some(url) = redis_url().await else { return };
    let (tier, policy) = (tier_in_redis(patient(&url)), policy());
    Node::new(policy, &Source::open(), Some(tier.clone())).value("tea").await;
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let key = key_of(&mut redis, &policy).await;
    let whole: Vec<u8> = redis.get(&key).await.unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (bytes, is_read) in [(&whole[..], true), (&flipped, false), (&whole[..20], false), (b"", false)] {
        let _: () = redis.set(&key, bytes).await.unwrap();
        let node = Node::new(policy, &Source::open(), Some(tier.clone()));
        assert_eq!(node.value("tea").await, 1);
        let counts = node.counts();
        assert_eq!((counts.shared, counts.rejected), (u64::from(is_read), u64::from(!is_read)), "{bytes:?}");
        // what was loaded takes its place
        let is_replaced = async || is_read || redis.get::<_, Vec<u8>>(&key).await.unwrap() != bytes;
        eventually("the entry that was loaded", is_replaced).await;
    }
}

on_each_tier!(a_dear_load_that_panics_ends_its_turn, shared);
async fn a_dear_load_that_panics_ends_its_turn(second: &Shared) {
    let policy = Policy { is_dear: true, ..POLICY };
    let [first, other] = [(); 2].map(|()| Node::new(policy, &Source::open(), second.tier()));
    first.source.answer(Answer::Panics);
    eventually("the end of a turn", async || {
        assert_eq!(first.get("tea").await, Err(LoadError::Panicked));
        second.ended_turns() > 0
    })
    .await;
    assert_eq!(other.value("tea").await, 1);
}

#[tokio::test]
async fn without_redis_each_process_loads_for_itself_and_uses_it_again_later() {
    let Some(url) = redis_url().await else { return };
    let (proxy, through) = Proxy::before(&url).await.unwrap();
    let tier = tier_in_redis(Redis::new(&through).unwrap());
    let node = Node::new(POLICY, &Source::open(), Some(tier.clone()));
    for line in [Line::Cut, Line::Silent] {
        proxy.set(line);
        node.cache.remove(&"tea".to_owned());
        assert_eq!(node.value("tea").await, 1);
    }
    proxy.set(Line::Open);
    eventually("an entry from Redis", async || {
        // what is put into Redis first, the next read brings from it
        node.value("tea").await;
        node.cache.remove(&"tea".to_owned());
        node.counts().shared > 0
    })
    .await;
}

/// How long a read takes, without the time for which the machine ran other programs than this one and Redis: each part
/// of it, after which a Redis without faults responds, counts as no longer than it has to be.
async fn duration(read: impl Future<Output = ()>, redis: &Redis) -> Duration {
    const PART: Duration = Duration::from_millis(20);
    let (mut read, mut duration, mut ended) = (Box::pin(read), Duration::ZERO, false);
    while !ended {
        let began = Instant::now();
        ended = timeout(PART, &mut read).await.is_ok();
        let _: String = redis.command(&redis::cmd("PING")).await.unwrap();
        duration += began.elapsed().min(2 * PART);
    }
    duration
}

#[tokio::test]
async fn a_redis_with_any_fault_delays_at_most_one_read_and_is_used_when_it_is_back() {
    let Some(url) = redis_url().await else { return };
    let (proxy, through) = Proxy::before_redis(&url).await.unwrap();
    let healthy = patient(&url);
    let slow = Line::Slow(Duration::from_secs(2));
    for line in [Line::Cut, Line::Silent, slow, Line::Full, Line::Garbage] {
        let node = Node::new(policy(), &Source::open(), Some(tier_in_redis(Redis::new(&through).unwrap())));
        let read = async || {
            node.cache.remove(&"tea".to_owned());
            assert_eq!(node.value("tea").await, 1, "{line:?}");
        };
        let until_used = async || {
            let before = node.counts().shared;
            eventually(&format!("an entry from a Redis without {line:?}"), async || {
                read().await;
                node.counts().shared > before
            })
            .await;
        };
        until_used().await;

        proxy.set(line);
        let (began, mut delayed) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(3) {
            delayed += u32::from(duration(read(), &healthy).await >= Duration::from_millis(240));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(delayed <= 1, "{line:?} delayed {delayed} reads");
        proxy.set(Line::Open);
        until_used().await;

        // a Redis that lost all is one that has nothing yet
        proxy.forget().await.unwrap();
        let loads = node.source.loads();
        read().await;
        assert_eq!(node.source.loads(), loads + 1, "{line:?}");
        until_used().await;
    }
    proxy.forget().await.unwrap();
}

/// A store in which another process got each turn at a time, and was killed.
struct LeftTurns(tokio::time::Instant);

impl SharedStore for LeftTurns {
    fn get(&self, _: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        async { None }.boxed()
    }

    fn set(&self, _: String, _: Vec<u8>, _: Duration) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }

    fn lock(&self, _: String, ttl: Duration) -> BoxFuture<'_, bool> {
        assert!(ttl <= Duration::from_secs(1), "the turn ends soon");
        let is_free = self.0.elapsed() >= ttl;
        async move { is_free }.boxed()
    }

    fn remove(&self, _: String) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_a_killed_process_left_delays_others_by_a_second_at_most() {
    let began = tokio::time::Instant::now();
    let tier = SharedTier::new(Arc::new(LeftTurns(began)), b"secret");
    let node = Node::new(Policy { is_dear: true, ..policy() }, &Source::open(), Some(tier));
    assert_eq!(node.value("tea").await, 1);
    assert!(began.elapsed() < Duration::from_millis(1_100), "{:?}", began.elapsed());
}

/// A store that keeps nothing, and has the names of the calls.
#[derive(Default)]
struct Calls(Mutex<Vec<&'static str>>);

impl Calls {
    fn called(&self, name: &'static str) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push(name);
        async {}.boxed()
    }
}

impl SharedStore for Calls {
    fn get(&self, _: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        self.called("get").map(|()| None).boxed()
    }

    fn set(&self, _: String, _: Vec<u8>, _: Duration) -> BoxFuture<'_, ()> {
        self.called("set")
    }

    fn lock(&self, _: String, _: Duration) -> BoxFuture<'_, bool> {
        self.called("lock").map(|()| true).boxed()
    }

    fn remove(&self, _: String) -> BoxFuture<'_, ()> {
        self.called("remove")
    }
}

/// A node with dear entries, which catches up with its drops as given before it shares one, and the calls of its second
/// tier.
fn sharing(catch_up: impl Fn(&Drops) -> bool + Send + Sync + 'static) -> (Node, Arc<Calls>) {
    let calls = Arc::new(Calls::default());
    let tier = SharedTier::new(Arc::<Calls>::clone(&calls), b"secret");
    let node = Node::with(Policy { is_dear: true, ..policy() }, &Source::open(), Some(tier), move |tiers| {
        let drops = Arc::clone(&tiers.drops);
        let catch_up: CatchUp = Arc::new(move || {
            let is_known = catch_up(&drops);
            Box::pin(async move { is_known })
        });
        Tiers { catch_up: Some(catch_up), ..tiers }
    });
    (node, calls)
}

/// Loads a dear entry after a change of some drops, and catches up with them as given before it is shared. Returns
/// whether it was shared before the turn ended.
async fn is_shared(
    before: impl FnOnce(&Drops),
    catch_up: impl Fn(&Drops) -> bool + Send + Sync + 'static,
) -> bool {
    let (node, calls) = sharing(catch_up);
    before(&node.drops);
    node.value("tea").await;
    let calls = async || Some(calls.0.lock().unwrap().clone()).filter(|calls| calls.contains(&"remove"));
    match awaited("the end of the turn", calls).await[..] {
        ["get", "lock", "get", "set", "remove"] => true,
        ["get", "lock", "get", "remove"] => false,
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_dropped_while_it_was_loaded_is_not_shared() {
    let before = |drops: &Drops| {
        drop_at(drops, "cups", 5);
        drops.set_complete_to(Position(5));
    };
    let dropped = async |tag: &'static str| is_shared(before, move |drops| drop_at(drops, tag, 7)).await;
    assert!(dropped("cups").await);
    assert!(!dropped("tea").await, "it may have what is not in the log that it claims");
    assert!(!is_shared(before, |_| false).await, "it is not known what was dropped");
}

#[tokio::test(start_paused = true)]
async fn the_second_tier_is_not_used_while_the_log_has_no_entry_by_which_a_restore_is_noticed() {
    let (node, calls) = sharing(|drops| drop_at(drops, "cups", 7));
    node.drops.set_complete_to(Position(5));
    assert_eq!(node.value("tea").await, 1);
    assert_eq!(node.several(&["mug", "pot"]).await, Ok(vec![1, 1]));
    // longer than the looks before an entry is shared
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(calls.0.lock().unwrap().is_empty(), "no turn is waited for that leads to no entry");

    let with_entry = |drops: &Drops| {
        drop_at(drops, "cups", 5);
        drops.set_complete_to(Position(5));
    };
    assert!(is_shared(with_entry, |_| true).await);
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_right_after_a_change_is_shared_when_everything_up_to_it_is_known() {
    for (complete_at, expected) in [(1, true), (2, true), (3, false)] {
        let looks = AtomicU64::new(0);
        let catch_up = move |drops: &Drops| {
            if looks.fetch_add(1, SeqCst) + 1 == complete_at {
                drops.set_complete_to(Position(9));
            }
            // one that was not known when the load began, which does not concern it
            drop_at(drops, "cups", 8)
        };
        let change = |drops: &Drops| {
            drop_at(drops, "tea", 7);
        };
        assert_eq!(is_shared(change, catch_up).await, expected, "complete at look {complete_at}");
    }
}

/// Drops a tag because of an entry of the log; true, as one who catches up.
fn drop_at(drops: &Drops, tag: &str, position: i64) -> bool {
    drops.record(LogEntry { position: Position(position), id: 1 });
    drops.drop_tags([Tag::of(tag)], Position(position));
    true
}

#[tokio::test]
async fn the_entries_of_a_store_are_counted_without_those_of_others() {
    let Some(url) = redis_url().await else { return };
    let policy = policy();
    let tiers = [tier_in_redis(patient(&url)), tier_in_redis(patient(&url))];
    for (tier, keys) in tiers.iter().zip([&["tea"][..], &["tea", "cups"]]) {
        let node = Node::new(policy, &Source::open(), Some(tier.clone()));
        for key in keys {
            node.value(key).await;
        }
    }
    let entries = EntriesInRedis(Arc::new(patient(&url)));
    for (tier, expected) in tiers.iter().zip([1, 2]) {
        let counted =
            async || entries.by_cache(tier.prefix()).await.unwrap().get(policy.name) == Some(&expected);
        eventually("all entries at Redis", counted).await;
    }
}
