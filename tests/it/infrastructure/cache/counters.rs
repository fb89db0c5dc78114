//! The counters of a cache: each read is counted once, whatever came of it.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join_all;
use undercroft::infrastructure::cache::{Policy, Position, Tag};

use super::tiers::Second;
use super::{Answer, Node, POLICY, Source};
use crate::support::Lines;

on_each_tier!(hits_stale_reads_waits_and_loads_add_up_to_the_reads);
async fn hits_stale_reads_waits_and_loads_add_up_to_the_reads(second: &Second) {
    let policy = Policy { stale: Duration::from_secs(30), fail_safe: Duration::from_mins(5), ..POLICY };
    let node = Node::new(policy, &Source::open(), second.tier());
    let mut reads = 0;
    for round in 0..20 {
        let keys = ["tea", "cups", "pot", "tea", "tea"];
        join_all(keys.map(|key| node.get(key))).await;
        reads += keys.len() as u64;
        match round % 5 {
            0 => node.write(round + 1, "tea"),
            // it ended, and is served while it is loaded again
            1 => node.wait(70),
            // its time is over
            2 => node.wait(100),
            // every load fails: the entries of before are served
            3 => {
                node.source.answer(Answer::Fails);
                node.wait(100);
            }
            _ => node.source.answer(Answer::Value),
        }
    }
    node.source.answer(Answer::Fails);
    let several = ["tea", "mug", "jug"];
    for read in join_all([(); 2].map(|()| node.several(&several))).await {
        read.unwrap_err();
        reads += several.len() as u64;
    }

    let counts = node.counts();
    assert_eq!(counts.reads(), reads, "{counts:?}");
    let each = [counts.hits, counts.stale, counts.waits, counts.loads, counts.refreshes, counts.fallbacks];
    assert!(each.iter().all(|count| *count > 0), "{counts:?}");
    let without_hits = counts.stale + counts.waits + counts.loads;
    assert!(counts.failures > 0 && counts.fallbacks <= without_hits, "{counts:?}");
}

on_each_tier!(a_second_load_of_one_reader_is_not_a_second_read);
async fn a_second_load_of_one_reader_is_not_a_second_read(second: &Second) {
    let node = Node::new(POLICY, &Source::closed(), second.tier());
    let slow = node.reader("tea");
    node.until_loads(1).await;
    node.drops.drop_tags([Tag::of("tea")], Position(1));
    // it waits for the load that began before the drop, and then for one of its own
    let later = node.reader("tea");
    node.until_waiting(2).await;
    node.source.gate.add_permits(2);
    assert_eq!((slow.await.unwrap(), later.await.unwrap()), (1, 1));
    let counts = node.counts();
    assert_eq!((counts.loads, counts.waits, counts.refreshes), (1, 1, 1));
    assert_eq!((counts.reads(), node.source.loads.load(SeqCst)), (2, 2));
}

on_each_tier!(entries_are_counted_and_those_that_made_room_for_others_too);
async fn entries_are_counted_and_those_that_made_room_for_others_too(second: &Second) {
    let node = Node::new(Policy { max_bytes: 100_000, ..POLICY }, &Source::open(), second.tier());
    for key in 0..5_000 {
        node.value(&key.to_string()).await;
    }
    let state = node.cache.state();
    assert!(state.entries > 50 && state.entries < 1_000, "{state:?}");
    assert_eq!(state.entries + state.counts.evictions, 5_000, "{state:?}");
    assert!(state.bytes <= state.policy.max_bytes, "{state:?}");
}

#[tokio::test]
async fn an_entry_that_is_larger_than_its_cache_is_counted_and_logged_once() {
    let lines = Lines::begin();
    let node = Node::new(Policy { max_bytes: 300, ..POLICY }, &Source::open(), None);
    for number in 1..4 {
        node.value("tea").await;
        let state = node.cache.state();
        assert_eq!((state.entries, state.counts.too_large, state.counts.evictions), (0, number, 0));
        assert_eq!(lines.with("larger than its cache"), 1);
    }
    assert_eq!(lines.with("caches.limit_bytes.tests"), 1, "the setting");

    let none = Node::new(Policy { max_bytes: 0, ..POLICY }, &Source::open(), None);
    none.value("tea").await;
    let state = none.cache.state();
    assert_eq!((state.entries, state.counts.too_large), (0, 0), "an operator has chosen it");
    assert_eq!(lines.with("larger than its cache"), 1);
}
