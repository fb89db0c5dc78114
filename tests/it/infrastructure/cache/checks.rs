//! The check mode: an entry that is served is compared with the database, and an old one is found and replaced.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join;
use serde_json::json;
use undercroft::application::catalogue::products;
use undercroft::domain::context::Context;
use undercroft::infrastructure::cache::{
    CacheOptions, Caches, CatchUp, Drops, Lookup, Outcome, Policy, Position, SharedTier, Tag, Tiers,
};
use undercroft::infrastructure::repositories::{Database, Setup};

use super::second_tier::{tier, until_shared};
use super::{Answer, Node, POLICY, Source};
use crate::support::Shop;
use crate::support::store::{execute, stale_hits, store, terms};

/// A node in check mode, with nothing to catch up with.
fn checking(policy: Policy, source: &Arc<Source>, shared: Option<SharedTier>) -> Node {
    checking_after(policy, source, shared, |_| {})
}

/// A node in check mode, in which this happens between a load that finds another value and the decision.
fn checking_after(
    policy: Policy,
    source: &Arc<Source>,
    shared: Option<SharedTier>,
    meanwhile: impl Fn(&Drops) + Clone + Send + Sync + 'static,
) -> Node {
    Node::with(policy, source, shared, |tiers| {
        let drops = Arc::clone(&tiers.drops);
        let catch_up: CatchUp = Arc::new(move || {
            meanwhile(&drops);
            Box::pin(async { true })
        });
        Tiers { check: Some(catch_up), ..tiers }
    })
}

#[tokio::test]
async fn an_entry_that_nothing_dropped_and_that_differs_is_replaced_and_counted() {
    let node = checking(POLICY, &Source::open(), None);
    for expected in [Lookup::Miss, Lookup::Hit] {
        assert_eq!(node.get("tea").await, Ok((Some(1), expected)));
    }
    let counts = node.counts();
    assert_eq!((counts.checks, counts.stale_hits), (1, 0));

    node.source.value.store(2, SeqCst);
    assert_eq!(node.get("tea").await, Ok((Some(2), Lookup::Miss)), "the fresh value is served");
    assert_eq!((node.counts().checks, node.counts().stale_hits), (2, 1));
    assert_eq!(node.get("tea").await, Ok((Some(2), Lookup::Hit)), "and kept");
    assert_eq!(node.counts().stale_hits, 1);

    // that there is nothing is compared, too
    node.source.answer(Answer::Nothing);
    assert_eq!(node.get("tea").await, Ok((None, Lookup::Miss)));
    assert_eq!(node.counts().stale_hits, 2);
    assert_eq!(node.counts().loads, 1, "loads of the check are none of a reader");
}

#[tokio::test]
async fn nothing_is_concluded_if_the_entry_was_dropped_meanwhile_or_the_source_is_away() {
    let meanwhile = |drops: &Drops| drops.drop_tags([Tag::of("tea")], Position(1));
    let node = checking_after(POLICY, &Source::open(), None, meanwhile);
    node.value("tea").await;
    node.source.value.store(2, SeqCst);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)), "it was right when it was asked for");
    assert_eq!((node.counts().checks, node.counts().stale_hits), (0, 0));
    assert_eq!(node.value("tea").await, 2);

    let node = checking(POLICY, &Source::open(), None);
    node.value("tea").await;
    node.source.answer(Answer::Fails);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)));
    assert_eq!((node.counts().checks, node.counts().stale_hits), (0, 0));
}

#[tokio::test]
async fn an_entry_that_is_served_after_its_end_and_several_at_once_are_checked() {
    let node = checking(Policy { stale: Duration::from_secs(30), ..POLICY }, &Source::open(), None);
    node.value("tea").await;
    node.wait(70);
    node.source.value.store(2, SeqCst);
    assert_eq!(node.value("tea").await, 2);
    assert_eq!(node.counts().stale_hits, 1);

    node.source.value.store(3, SeqCst);
    let keys = ["tea".to_owned(), "cups".to_owned()];
    let values = node.cache.get_all(&keys, async |_| Ok(Vec::new())).await.unwrap();
    assert_eq!(values.iter().map(|value| **value).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(node.counts().stale_hits, 2);
}

#[tokio::test]
async fn what_another_reader_loads_is_checked() {
    let node = checking(POLICY, &Source::closed(), None);
    let first = node.reader("tea");
    node.until_loads(1).await;
    let joined = node.reader("tea");
    node.until_waiting(2).await;
    node.source.value.store(2, SeqCst);
    node.source.gate.add_permits(2);
    assert_eq!((first.await.unwrap(), joined.await.unwrap()), (1, 2));
    let counts = node.counts();
    assert_eq!((counts.loads, counts.waits, counts.checks, counts.stale_hits), (1, 1, 1, 1));
}

#[tokio::test]
async fn what_another_reader_has_loaded_meanwhile_is_checked() {
    let node = checking(POLICY, &Source::closed(), None);
    let slow = node.reader("tea");
    node.until_loads(1).await;
    node.write(2, "tea");
    // both wait for the load that began before the drop; then one loads, and the other finds its entry
    let reader = node.clone();
    let later = tokio::spawn(async move {
        let loads = async {
            let loaded = reader.value("tea").await;
            reader.source.value.store(3, SeqCst);
            loaded
        };
        join(loads, reader.value("tea")).await
    });
    node.until_waiting(3).await;
    node.source.gate.add_permits(3);
    assert_eq!((slow.await.unwrap(), later.await.unwrap()), (1, (2, 3)));
    assert_eq!((node.counts().checks, node.counts().stale_hits), (1, 1));
}

#[tokio::test]
async fn an_entry_from_redis_is_checked() {
    let Some(tier) = tier().await else { return };
    let policy = Policy { name: crate::support::unique("checked").leak(), ..POLICY };
    Node::new(policy, &Source::open(), Some(tier.clone())).value("tea").await;
    until_shared(&policy).await;
    for (value, stale_hits) in [(1, 0), (2, 1)] {
        let source = Source::open();
        source.value.store(value, SeqCst);
        let node = checking(policy, &source, Some(tier.clone()));
        assert_eq!(node.value("tea").await, value);
        let counts = node.counts();
        assert_eq!((counts.shared, counts.checks, counts.stale_hits), (1, 1, stale_hits));
    }
}

on_both_engines!(a_change_that_no_transaction_of_the_store_made_is_found);
async fn a_change_that_no_transaction_of_the_store_made_is_found(shop: &Shop) {
    let variant = shop.product().stock(5).create().await;
    let url = shop.url.parse().unwrap();
    let database = Database::open(&url, Context::system(), Setup::IfEmpty).await.unwrap();
    let node = store(&database, terms());
    let list = shop.server().await.guest().get("/v1/products").await.expect(200);
    let id = list["items"][0]["id"].as_str().unwrap();
    let shown = async || {
        let served = products::product(&node, id).await.unwrap();
        (served.stock[0].stock, served.status.outcome)
    };
    let loaded = |was_kept| Outcome::Loaded { was_kept, collapsed: false };
    assert_eq!(shown().await, (Some(5), loaded(false)));

    // a transaction of the store drops what it changes
    let admin = shop.server().await.admin().await;
    admin.put(&format!("/admin/v1/inventory/{variant}"), json!({"stock": 6})).await.expect(200);
    assert_eq!(shown().await, (Some(6), loaded(true)));
    assert_eq!(shown().await, (Some(6), Outcome::Hit));
    assert_eq!(stale_hits(&node), 0);

    execute(&database, &["UPDATE inventory SET stock = 7"]).await;
    assert_eq!(shown().await, (Some(7), loaded(true)), "the check mode serves what the database has");
    assert_eq!(stale_hits(&node), 1);

    // without the check, it is old
    let mut plain = store(&database, terms());
    plain.infrastructure.caches = Caches::new(plain.database(), CacheOptions::default());
    assert_eq!(products::product(&plain, id).await.unwrap().stock[0].stock, Some(7));
    execute(&database, &["UPDATE inventory SET stock = 8"]).await;
    assert_eq!(products::product(&plain, id).await.unwrap().stock[0].stock, Some(7));
    execute(&database, &["UPDATE inventory SET stock = 7"]).await;
}
