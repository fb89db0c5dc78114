//! What a load replaces that ends after another one of the same key: one of several keys together.

use std::sync::Arc;

use tokio::sync::Semaphore;
use undercroft::infrastructure::cache::{Loaded, Lookup, Position, Rendered, Tag};

use super::tiers::Second;
use super::{Node, POLICY, Source};

/// Loads the value 1 of "tea" and "mug" together, and lets `meanwhile` happen before the load ends.
async fn load_slowly(node: &Node, meanwhile: impl AsyncFnOnce()) {
    let keys = ["tea", "mug"].map(str::to_owned);
    let [begun, ended] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
    let (begin, end) = (Arc::clone(&begun), Arc::clone(&ended));
    let load = move |missing: Vec<String>| async move {
        begin.add_permits(1);
        ended.acquire().await.unwrap().forget();
        let loaded = missing.into_iter().map(|key| {
            let tags = vec![Tag::of(&key)];
            (key, Loaded { value: Some(Rendered::new(1)), tags, bytes: 8 })
        });
        Ok(loaded.collect())
    };
    let others = async {
        begun.acquire().await.unwrap().forget();
        meanwhile().await;
        end.add_permits(1);
    };
    let (values, ()) = tokio::join!(node.cache.get_all(&keys, load), others);
    let values: Vec<_> = values.unwrap().iter().map(|value| **value).collect();
    assert_eq!(values, [1, 1], "its reader came before the change");
}

on_each_tier!(a_load_does_not_replace_an_entry_that_began_to_be_loaded_after_a_change);
async fn a_load_does_not_replace_an_entry_that_began_to_be_loaded_after_a_change(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    load_slowly(&node, async || {
        node.write(2, "tea");
        assert_eq!(node.value("tea").await, 2);
    })
    .await;
    assert_eq!(node.get("tea").await, Ok((Some(2), Lookup::Hit)));
    assert_eq!(node.get("mug").await, Ok((Some(1), Lookup::Hit)), "no other load has put it in");
    assert_eq!(node.source.loads(), 1);
}

on_each_tier!(a_load_that_began_before_a_change_is_not_a_hit_after_it);
async fn a_load_that_began_before_a_change_is_not_a_hit_after_it(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    load_slowly(&node, async || node.write(2, "tea")).await;
    assert_eq!(node.get("tea").await, Ok((Some(2), Lookup::Miss)));
    assert_eq!(node.get("mug").await, Ok((Some(1), Lookup::Hit)));
}

on_each_tier!(a_load_replaces_a_later_entry_that_has_ended);
async fn a_load_replaces_a_later_entry_that_has_ended(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    load_slowly(&node, async || {
        node.drops.drop_tags([Tag::of("cups")], Position(2));
        node.value("tea").await;
        node.wait(60);
    })
    .await;
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)));
    assert_eq!(node.source.loads(), 1, "it was not dropped, and is kept from its end on");
}

on_each_tier!(a_reader_does_not_wait_for_a_load_of_others_keys_beside_its_own);
async fn a_reader_does_not_wait_for_a_load_of_others_keys_beside_its_own(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    load_slowly(&node, async || {
        assert_eq!(node.several(&["tea", "pot"]).await, Ok(vec![1, 1]));
        assert_eq!(node.value("mug").await, 1);
    })
    .await;
    let counts = node.counts();
    assert_eq!((counts.loads, counts.waits, counts.from_source), (5, 0, 5), "each key of each reader");
}
