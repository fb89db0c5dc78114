//! Loads: one for all concurrent misses, and none that puts an old value in.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use undercroft::infrastructure::cache::{LoadError, Loaded, Lookup, Policy, Position, Rendered, Tag};

use super::tiers::Second;
use super::{Answer, Node, POLICY, Source};
use crate::support::eventually;

on_each_tier!(a_thousand_concurrent_misses_are_one_load, on_many_threads);
async fn a_thousand_concurrent_misses_are_one_load(second: &Second) {
    let node = Node::new(POLICY, &Source::closed(), second.tier());
    let readers = (0..1_000).map(|_| node.reader("tea"));
    let readers: Vec<_> = readers.collect();
    node.until_loads(1).await;
    node.until_waiting(1_000).await;
    node.source.gate.add_permits(1);
    assert!(join_all(readers).await.into_iter().all(|value| value.unwrap() == 1));
    assert_eq!(node.source.loads(), 1);

    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)));
    let counts = node.counts();
    assert_eq!((counts.hits, counts.loads, counts.waits), (1, 1, 999), "they add up to the reads");
}

on_each_tier!(a_reader_that_stops_waiting_stops_no_other);
async fn a_reader_that_stops_waiting_stops_no_other(second: &Second) {
    let node = Node::new(POLICY, &Source::closed(), second.tier());
    let first = node.reader("tea");
    node.until_loads(1).await;
    let other = node.reader("tea");
    first.abort();
    node.source.gate.add_permits(1);
    assert_eq!(other.await.unwrap(), 1);
    assert_eq!((node.source.loads(), node.value("tea").await), (1, 1));
}

on_each_tier!(a_load_whose_readers_are_all_gone_ends_and_its_value_is_kept);
async fn a_load_whose_readers_are_all_gone_ends_and_its_value_is_kept(second: &Second) {
    let node = Node::new(POLICY, &Source::closed(), second.tier());
    let reader = node.reader("tea");
    node.until_loads(1).await;
    reader.abort();
    assert!(reader.await.is_err());
    node.source.gate.add_permits(1);
    eventually("an entry", async || node.cache.state().entries > 0).await;
    assert_eq!((node.get("tea").await, node.source.loads()), (Ok((Some(1), Lookup::Hit)), 1));
}

on_each_tier!(a_load_that_panics_or_fails_leaves_no_reader_waiting_and_nothing_behind);
async fn a_load_that_panics_or_fails_leaves_no_reader_waiting_and_nothing_behind(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    for (answer, expected) in
        [(Answer::Panics, LoadError::Panicked), (Answer::Fails, LoadError::Failed("the source is away"))]
    {
        node.source.answer(answer);
        let readers = join_all((0..10).map(|_| node.get("tea")));
        let readers = timeout(Duration::from_secs(20), readers).await.unwrap();
        assert!(readers.iter().all(|read| read.as_ref() == Err(&expected)), "{readers:?}");
    }
    let counts = node.counts();
    assert_eq!((counts.failures, counts.from_source), (counts.loads, 0), "each load failed");
    node.source.answer(Answer::Value);
    assert_eq!(node.value("tea").await, 1);
}

on_each_tier!(a_load_that_began_before_a_write_does_not_put_its_value_in_after_it);
async fn a_load_that_began_before_a_write_does_not_put_its_value_in_after_it(second: &Second) {
    let node = Node::new(POLICY, &Source::closed(), second.tier());
    let slow = node.reader("tea");
    node.until_loads(1).await;
    node.write(2, "tea");
    node.source.gate.add_permits(1);
    // it asked before the write, so either value is right for it
    assert_eq!(slow.await.unwrap(), 1);

    node.source.gate.add_permits(1);
    assert_eq!(node.value("tea").await, 2);
    assert_eq!(node.source.loads(), 2);
}

on_each_tier!(a_reader_that_comes_after_a_write_does_not_get_the_value_of_an_earlier_load);
async fn a_reader_that_comes_after_a_write_does_not_get_the_value_of_an_earlier_load(second: &Second) {
    let node = Node::new(POLICY, &Source::closed(), second.tier());
    let slow = node.reader("tea");
    node.until_loads(1).await;
    node.write(2, "tea");
    let later: Vec<_> = (0..10).map(|_| node.reader("tea")).collect();
    node.until_waiting(11).await;
    node.source.gate.add_permits(2);
    assert_eq!(slow.await.unwrap(), 1);
    assert!(join_all(later).await.into_iter().all(|value| value.unwrap() == 2));
    assert_eq!(node.source.loads(), 2, "they share the second load");
}

on_each_tier!(a_reader_that_comes_after_a_write_gets_neither_the_error_nor_the_absence_of_an_earlier_load);
async fn a_reader_that_comes_after_a_write_gets_neither_the_error_nor_the_absence_of_an_earlier_load(
    second: &Second,
) {
    for answer in [Answer::Fails, Answer::Untagged] {
        let node = Node::new(POLICY, &Source::closed(), second.tier());
        node.source.answer(answer);
        let earlier = node.clone();
        let slow = tokio::spawn(async move { earlier.get("tea").await });
        node.until_loads(1).await;
        node.write(2, "tea");
        let later = node.reader("tea");
        node.until_waiting(2).await;

        node.source.gate.add_permits(1);
        node.until_loads(2).await;
        node.source.answer(Answer::Value);
        node.source.gate.add_permits(1);
        assert_eq!(later.await.unwrap(), 2, "{answer:?}");
        assert_eq!(slow.await.unwrap().is_err(), answer == Answer::Fails);
    }
}

on_each_tier!(a_load_is_not_disturbed_by_drops_of_other_tags);
async fn a_load_is_not_disturbed_by_drops_of_other_tags(second: &Second) {
    let node = Node::new(POLICY, &Source::closed(), second.tier());
    let slow = node.reader("tea");
    node.until_loads(1).await;
    node.drops.drop_tags([Tag::of("cups")], Position(1));
    node.source.gate.add_permits(1);
    assert_eq!(slow.await.unwrap(), 1);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)));
}

on_each_tier!(tags_drop_what_has_them_and_all_entries_can_be_dropped);
async fn tags_drop_what_has_them_and_all_entries_can_be_dropped(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    // dropped before it was ever loaded
    node.drops.drop_tags([Tag::of("tea")], Position(1));
    for key in ["tea", "cups"] {
        node.value(key).await;
    }
    node.write(2, "tea");
    assert_eq!((node.value("tea").await, node.value("cups").await), (2, 1));
    node.write(3, "all");
    assert_eq!((node.value("tea").await, node.value("cups").await), (3, 3));
    node.source.value.store(4, SeqCst);
    node.drops.drop_all(Position(9));
    assert_eq!((node.value("tea").await, node.value("cups").await), (4, 4));
    assert_eq!(node.get("tea").await.unwrap().1, Lookup::Hit);
}

on_each_tier!(the_size_is_bounded_under_a_flood_of_keys);
async fn the_size_is_bounded_under_a_flood_of_keys(second: &Second) {
    let policy = Policy { max_bytes: 100_000, ..POLICY };
    let node = Node::new(policy, &Source::open(), second.tier());
    for key in 0..5_000 {
        node.value(&key.to_string()).await;
    }
    let bytes = node.cache.state().bytes;
    assert!(bytes > 10_000 && bytes <= 100_000, "{bytes} bytes");
}

on_each_tier!(a_key_weighs_as_much_as_its_text);
async fn a_key_weighs_as_much_as_its_text(second: &Second) {
    let node = Node::new(Policy { max_bytes: 100_000, ..POLICY }, &Source::open(), second.tier());
    for key in 0..100 {
        node.value(&format!("{key:010000}")).await;
    }
    let state = node.cache.state();
    assert!(state.entries > 0 && state.entries < 10, "{state:?}");
}

on_each_tier!(what_was_put_is_found_until_it_ends);
async fn what_was_put_is_found_until_it_ends(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    let put = Loaded { value: Some(Rendered::new(5)), tags: Vec::new(), bytes: 8 };
    node.cache.put("tea 2".to_owned(), put);
    assert_eq!(node.get("tea 2").await, Ok((Some(5), Lookup::Hit)));
    assert_eq!(node.value("tea 1").await, 1);
    node.wait(60);
    assert_eq!(node.get("tea 2").await, Ok((Some(1), Lookup::Miss)));
}
