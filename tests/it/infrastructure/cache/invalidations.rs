//! Looks for what transactions dropped: few, each with little work, and none hides what was committed before it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use undercroft::domain::context::Context;
use undercroft::infrastructure::cache::{Drops, Invalidations, Position};
use undercroft::infrastructure::events::CacheInvalidationEvent;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Setup};

use super::{lose_what_followed_the_last_invalidation, publish_others};
use crate::support::store::{value, write_until_committed};
use crate::support::{EmptyPostgres, FaultyProxy, Line, Proxy, RoundTrips, Shop};

/// More than a look reads at once, six times.
const MANY: usize = 3_000;
/// Longer than a look of SQLite takes.
const SHORT: Duration = Duration::from_millis(200);
/// The most round trips of a look.
const LOOK: u64 = 4;
/// What a long transaction publishes.
const LONG: &str = "INSERT INTO outbox (id, type, version, subject, occurred_at, data) VALUES (gen_random_uuid(), \
                    'cache_invalidation', 1, 'product:long', now(), '{\"tags\": [\"product:long\"]}')";

async fn open(url: &str) -> Database {
    Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap()
}

/// The invalidations of a database, after the first look.
async fn caught_up(database: &Database) -> (Arc<Invalidations>, Arc<Drops>) {
    let drops = Arc::new(Drops::default());
    let invalidations = Arc::new(Invalidations::new(database.clone(), Arc::clone(&drops)));
    invalidations.catch_up().await.unwrap();
    (invalidations, drops)
}

fn dropped(tag: &str) -> CacheInvalidationEvent {
    CacheInvalidationEvent { tags: vec![tag.into()] }
}

/// Publishes invalidations in one transaction.
async fn publish(database: &Database, count: usize) {
    let write = database.write(count, async |work, &count| -> Result<(), DatabaseError> {
        for number in 0..count {
            work.publish(&dropped(&format!("product:{number}"))).await?;
        }
        Ok(())
    });
    write.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_neither_hides_what_it_drops_nor_makes_looks_long() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let (writer, (trips, url)) = (open(&schema.url).await, RoundTrips::before(&schema.url).await);
    let reader = open(&url).await;
    let (invalidations, drops) = caught_up(&reader).await;
    let looks = async || {
        for _ in 0..3 {
            invalidations.catch_up().await.unwrap();
        }
        trips.take();
        let before = drops.now();
        for _ in 0..10 {
            invalidations.catch_up().await.unwrap();
        }
        assert_eq!(drops.now(), before, "nothing is new");
        trips.take()
    };

    let (writing, complete) = write_until_committed(&writer, LONG).await;
    publish(&writer, MANY).await;
    assert!(looks().await <= 10 * LOOK, "a look reads what is new only");

    // one that is new, while the long one is open
    let before = drops.now();
    publish(&writer, 1).await;
    invalidations.catch_up().await.unwrap();
    assert!(drops.now() > before);

    let before = drops.now();
    complete.cancel();
    writing.await.unwrap().unwrap();
    invalidations.catch_up().await.unwrap();
    assert!(drops.now() > before, "what the long transaction dropped");
    assert!(looks().await <= 10 * LOOK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_takes_one_round_trip() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let (writer, (trips, url)) = (open(&schema.url).await, RoundTrips::before(&schema.url).await);
    let (invalidations, drops) = caught_up(&open(&url).await).await;
    for _ in 0..5 {
        publish(&writer, 1).await;
        let before = drops.now();
        // the first one prepares its statements
        invalidations.catch_up().await.unwrap();
        assert!(drops.now() > before);
    }
    trips.take();
    let mut least = u64::MAX;
    for _ in 0..10 {
        publish(&writer, 1).await;
        invalidations.catch_up().await.unwrap();
        // on a busy machine, a message may be sent in parts
        least = least.min(trips.take());
    }
    assert_eq!(least, 1);
}

on_both_engines!(everything_up_to_a_change_is_known_a_few_looks_after_it);
async fn everything_up_to_a_change_is_known_a_few_looks_after_it(shop: &Shop) {
    let (invalidations, drops) = caught_up(&shop.database).await;
    for _ in 0..2 {
        publish(&shop.database, 1).await;
        let position: i64 = value(&shop.database, "SELECT MAX(seq) FROM outbox", &[]).await;
        // what is loaded from then on is shared with other processes
        for _ in 0..50 {
            invalidations.catch_up().await.unwrap();
            if drops.complete_to() >= Position(position) {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert!(drops.complete_to() >= Position(position));
    }
}

on_both_engines!(positions_that_are_used_again_are_noticed);
async fn positions_that_are_used_again_are_noticed(shop: &Shop) {
    for is_first in [true, false] {
        // also in a log without any invalidation
        if !is_first {
            publish(&shop.database, 1).await;
        }
        publish_others(&shop.database).await;
        let (invalidations, drops) = caught_up(&shop.database).await;
        lose_what_followed_the_last_invalidation(&shop.database).await;
        publish(&shop.database, 1).await;
        let before = drops.now();
        invalidations.catch_up().await.unwrap();
        assert!(drops.now() > before, "{is_first}");
        let position: i64 = value(&shop.database, "SELECT MAX(seq) FROM outbox", &[]).await;
        assert_eq!(drops.complete_to(), Position(position), "{is_first}");
        assert_eq!(drops.known().last.unwrap().position, Position(position), "{is_first}");

        let after = drops.now();
        invalidations.catch_up().await.unwrap();
        assert_eq!(drops.now(), after, "{is_first}");
    }
}

on_both_engines!(each_look_reads_what_was_committed_before_it);
async fn each_look_reads_what_was_committed_before_it(shop: &Shop) {
    let (invalidations, drops) = caught_up(&shop.database).await;
    for count in [1, 499, 1, 500, MANY, 1, 1] {
        let before = drops.now();
        publish(&shop.database, count).await;
        invalidations.catch_up().await.unwrap();
        assert!(drops.now() > before, "{count}");
        let after = drops.now();
        invalidations.catch_up().await.unwrap();
        assert_eq!(drops.now(), after, "{count}");
    }
}

on_both_engines!(each_look_is_counted_with_its_duration);
async fn each_look_is_counted_with_its_duration(shop: &Shop) {
    let (invalidations, _) = caught_up(&shop.database).await;
    let mut before = invalidations.looks();
    assert_eq!(before.looks(), 1);
    for _ in 0..3 {
        publish(&shop.database, 1).await;
        invalidations.catch_up().await.unwrap();
        let after = invalidations.looks();
        assert_eq!((after.looks(), after.failed), (before.looks() + 1, 0));
        assert!(after.took > before.took, "{after:?}");
        before = after;
    }
}

#[tokio::test]
async fn readers_that_wait_share_the_failure_of_a_look() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let (proxy, url) = FaultyProxy::before(&schema.url).await;
    let database = open(&url).await;
    let (invalidations, _) = caught_up(&database).await;
    let attempts = async |readers: usize| {
        let before = proxy.refused();
        let mut waiting = JoinSet::new();
        for _ in 0..readers {
            let invalidations = Arc::clone(&invalidations);
            waiting.spawn(async move { invalidations.catch_up().await });
        }
        let outcomes = waiting.join_all().await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(DatabaseError::Unavailable(_)))));
        proxy.refused() - before
    };

    proxy.refuse("57P03");
    // over a connection that was open
    attempts(1).await;
    // the first begins a look, and the others wait for the next one
    let connected = attempts(100).await;
    assert!((1..=4).contains(&connected), "{connected}");
    let looks = invalidations.looks();
    assert!(looks.failed >= 2 && looks.looks() == 1 + looks.failed, "{looks:?}");
    proxy.let_in();
    invalidations.catch_up().await.unwrap();
}

#[tokio::test]
async fn readers_share_the_failure_of_a_look_without_a_response() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let (proxy, url) = Proxy::before(&schema.url).await.unwrap();
    let (invalidations, _) = caught_up(&open(&url).await).await;
    proxy.set(Line::Silent);
    // nothing happens any more but time-outs
    tokio::time::pause();
    let mut waiting = JoinSet::new();
    for _ in 0..100 {
        let invalidations = Arc::clone(&invalidations);
        waiting.spawn(async move { invalidations.catch_up().await });
    }
    // that of the first look, and that of the next one, which the others share
    let outcomes = timeout(Duration::from_secs(30), waiting.join_all()).await.unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(DatabaseError::Unavailable(_)))));

    tokio::time::resume();
    proxy.set(Line::Open);
    invalidations.catch_up().await.unwrap();
}

#[tokio::test]
async fn on_sqlite_nothing_is_read_unless_something_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    let (database, other) = (open(&url).await, open(&url).await);
    let (invalidations, drops) = caught_up(&database).await;
    let is_waiting = async || timeout(SHORT, invalidations.catch_up()).await.is_err();
    let mut held = Vec::new();
    while let Ok(connection) = timeout(SHORT, database.read()).await {
        held.push(connection.unwrap());
    }
    assert!(!is_waiting().await);

    publish(&other, 1).await;
    assert!(is_waiting().await);
    held.clear();
    assert!(!is_waiting().await);
    assert_eq!(drops.known().complete_to, drops.known().last.unwrap().position);
}
