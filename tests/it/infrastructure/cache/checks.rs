//! The check mode: an entry that is served is compared with the database, and an old one is found and replaced.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join;
use http::HeaderValue;
use serde_json::json;
use tokio::time::sleep;
use undercroft::application::catalogue::products;
use undercroft::domain::context::Context;
use undercroft::infrastructure::cache::{
    CacheOptions, Caches, CatchUp, Drops, Form, Lookup, Outcome, Policy, Position, SharedTier, Tag, Tiers,
};
use undercroft::infrastructure::repositories::{Database, Setup};

use super::tiers::{Second, Shared};
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

on_each_tier!(an_entry_that_nothing_dropped_and_that_differs_is_replaced_and_counted);
async fn an_entry_that_nothing_dropped_and_that_differs_is_replaced_and_counted(second: &Second) {
    let node = checking(POLICY, &Source::open(), second.tier());
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

/// What is served of a value and of something that no load has, with where the entry came from.
async fn shown(node: &Node, other: i64) -> (String, Lookup) {
    let served = node.cache.served(&"tea".to_owned()).await.unwrap();
    let render = |value: &i64| {
        let body = (*value + other).to_string().into_bytes().into();
        Ok::<_, ()>(Form { body, entity_tag: HeaderValue::from_static("\"1\""), languages: None })
    };
    let form = served.form("de", render).unwrap();
    (String::from_utf8(form.body.bytes().to_vec()).unwrap(), served.status.outcome.lookup())
}

on_each_tier!(bytes_that_are_kept_beside_a_value_are_compared_with_those_of_a_load);
async fn bytes_that_are_kept_beside_a_value_are_compared_with_those_of_a_load(second: &Second) {
    let node = checking(POLICY, &Source::open(), second.tier());
    for expected in [Lookup::Miss, Lookup::Hit] {
        assert_eq!(shown(&node, 0).await, ("1".to_owned(), expected));
    }
    assert_eq!(node.counts().stale_hits, 0);

    assert_eq!(shown(&node, 1).await, ("2".to_owned(), Lookup::Hit), "the fresh bytes are served");
    assert_eq!((node.counts().checks, node.counts().stale_hits), (2, 1));
    for expected in [Lookup::Miss, Lookup::Hit] {
        assert_eq!(shown(&node, 1).await, ("2".to_owned(), expected), "the old ones are not kept");
    }
    assert_eq!(node.counts().stale_hits, 1);

    let plain = Node::new(POLICY, &Source::open(), second.tier());
    for expected in [Lookup::Miss, Lookup::Hit] {
        let other = i64::from(expected == Lookup::Hit);
        assert_eq!(shown(&plain, other).await, ("1".to_owned(), expected), "without check mode");
    }
}

on_each_tier!(nothing_is_concluded_if_the_entry_was_dropped_meanwhile_or_the_source_is_away);
async fn nothing_is_concluded_if_the_entry_was_dropped_meanwhile_or_the_source_is_away(second: &Second) {
    let meanwhile = |drops: &Drops| drops.drop_tags([Tag::of("tea")], Position(1));
    let node = checking_after(POLICY, &Source::open(), second.tier(), meanwhile);
    node.value("tea").await;
    node.source.value.store(2, SeqCst);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)), "it was right when it was asked for");
    assert_eq!((node.counts().checks, node.counts().stale_hits), (0, 0));
    assert_eq!(node.value("tea").await, 2);

    for answer in [Answer::Fails, Answer::Panics] {
        let node = checking(POLICY, &Source::open(), second.tier());
        node.value("tea").await;
        node.source.answer(answer);
        assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)));
        assert_eq!((node.counts().checks, node.counts().stale_hits), (0, 0));
    }
}

on_each_tier!(an_entry_that_is_served_after_its_end_and_several_at_once_are_checked);
async fn an_entry_that_is_served_after_its_end_and_several_at_once_are_checked(second: &Second) {
    let node = checking(Policy { stale: Duration::from_secs(30), ..POLICY }, &Source::open(), second.tier());
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

on_each_tier!(what_another_reader_loads_is_checked);
async fn what_another_reader_loads_is_checked(second: &Second) {
    let node = checking(POLICY, &Source::closed(), second.tier());
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

on_each_tier!(what_another_reader_loads_of_several_keys_is_checked);
async fn what_another_reader_loads_of_several_keys_is_checked(second: &Second) {
    let node = checking(POLICY, &Source::closed(), second.tier());
    let first = node.reader_of(["tea", "mug"]);
    node.until_loads(1).await;
    let joined = node.reader_of(["tea", "mug"]);
    node.until_waiting(4).await;
    node.source.value.store(2, SeqCst);
    node.source.gate.add_permits(3);
    assert_eq!((first.await.unwrap(), joined.await.unwrap()), (Ok(vec![1, 1]), Ok(vec![2, 2])));
    let counts = node.counts();
    assert_eq!((counts.loads, counts.waits, counts.checks, counts.stale_hits), (2, 2, 2, 2));
}

on_each_tier!(what_another_reader_has_loaded_meanwhile_is_checked);
async fn what_another_reader_has_loaded_meanwhile_is_checked(second: &Second) {
    let node = checking(POLICY, &Source::closed(), second.tier());
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

on_each_tier!(an_entry_of_the_second_tier_is_checked, shared);
async fn an_entry_of_the_second_tier_is_checked(second: &Shared) {
    Node::new(POLICY, &Source::open(), second.tier()).value("tea").await;
    second.until_puts(1).await;
    for (value, stale_hits) in [(1, 0), (2, 1)] {
        let source = Source::open();
        source.value.store(value, SeqCst);
        let node = checking(POLICY, &source, second.tier());
        assert_eq!(node.value("tea").await, value);
        let counts = node.counts();
        assert_eq!((counts.shared, counts.checks, counts.stale_hits), (1, 1, stale_hits));
    }
}

#[tokio::test(start_paused = true)]
async fn how_long_several_entries_are_compared_is_no_part_of_the_time_of_their_load() {
    let second = Shared::in_process();
    assert_eq!(
        Node::new(POLICY, &Source::open(), second.tier()).several(&["tea", "mug"]).await,
        Ok(vec![1; 2])
    );
    second.until_puts(2).await;

    let source = Source::open();
    source.value.store(2, SeqCst);
    let node = Node::with(POLICY, &source, second.tier(), |tiers| {
        let catch_up: CatchUp = Arc::new(|| {
            Box::pin(async {
                sleep(POLICY.hard_timeout).await;
                true
            })
        });
        Tiers { check: Some(catch_up), ..tiers }
    });
    assert_eq!(node.several(&["tea", "mug"]).await, Ok(vec![2; 2]));
    let counts = node.counts();
    assert_eq!((counts.loads, counts.shared, counts.failures), (2, 2, 0));
    assert_eq!((counts.checks, counts.stale_hits), (2, 2));
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
