//! Reads of several keys: those that are not kept are loaded together, once for all who miss the same ones.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use undercroft::infrastructure::cache::{
    CatchUp, LoadError, Loaded, LogEntry, Position, Rendered, Tag, Tiers,
};

use super::tiers::{Second, Shared};
use super::{Answer, Node, POLICY, Source};
use crate::support::eventually;

const KEYS: [&str; 2] = ["tea", "mug"];

on_each_tier!(those_that_are_not_kept_are_one_load_and_one_alone_is_that_of_its_key);
async fn those_that_are_not_kept_are_one_load_and_one_alone_is_that_of_its_key(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    let loads = Arc::new(Mutex::new(Vec::new()));
    let get = async |keys: &[&str]| {
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        let loads = Arc::clone(&loads);
        let load = move |missing: Vec<String>| async move {
            loads.lock().unwrap().push(missing.join(" "));
            let loaded = missing.into_iter().filter(|key| key != "none").map(|key| {
                let tags = vec![Tag::of(&key)];
                (key, Loaded { value: Some(Rendered::new(9)), tags, bytes: 8 })
            });
            Ok(loaded.collect())
        };
        let found = node.cache.get_all(&keys, load).await;
        found.map(|values| values.iter().map(|value| **value).collect::<Vec<_>>())
    };
    assert_eq!(node.value("tea").await, 1);
    assert_eq!(get(&["tea", "pot", "mug", "pot"]).await, Ok(vec![1, 9, 9]), "one that is named twice, once");
    assert_eq!(get(&["tea", "mug", "pot"]).await, Ok(vec![1, 9, 9]));
    assert_eq!(get(&["tea", "none", "cup"]).await, Ok(vec![1, 9]));
    assert_eq!(*loads.lock().unwrap(), ["mug pot", "cup none"]);
    assert_eq!(node.counts().loads, 5, "each key that was not kept");

    // a drop concerns what was loaded together, too; the only one that is missing is loaded for all who ask
    node.write(2, "mug");
    assert_eq!(get(&["tea", "mug", "pot"]).await, Ok(vec![1, 9, 2]), "in no order");
    assert_eq!((loads.lock().unwrap().len(), node.source.loads()), (2, 2));
}

on_each_tier!(a_thousand_concurrent_reads_of_the_same_keys_are_one_load, on_many_threads);
async fn a_thousand_concurrent_reads_of_the_same_keys_are_one_load(second: &Second) {
    let node = Node::new(POLICY, &Source::closed(), second.tier());
    let in_any_order = |number| if number % 2 == 0 { ["tea", "mug"] } else { ["mug", "tea"] };
    let readers: Vec<_> = (0..1_000).map(|number| node.reader_of(in_any_order(number))).collect();
    node.until_loads(1).await;
    node.until_waiting(2_000).await;
    node.source.gate.add_permits(1);
    assert!(join_all(readers).await.into_iter().all(|read| read.unwrap() == Ok(vec![1, 1])));
    assert_eq!(node.source.loads(), 1);

    assert_eq!(node.several(&KEYS).await, Ok(vec![1, 1]));
    let counts = node.counts();
    assert_eq!((counts.hits, counts.loads, counts.waits), (2, 2, 1_998), "each key of each reader");
    assert_eq!(counts.from_source, 2);
}

on_each_tier!(a_load_whose_readers_are_gone_ends_and_its_values_are_kept);
async fn a_load_whose_readers_are_gone_ends_and_its_values_are_kept(second: &Second) {
    let node = Node::new(POLICY, &Source::closed(), second.tier());
    let [first, other] = [(); 2].map(|()| node.reader_of(KEYS));
    node.until_loads(1).await;
    node.until_waiting(4).await;
    for reader in [first, other] {
        reader.abort();
        assert!(reader.await.is_err());
    }
    node.source.gate.add_permits(1);
    eventually("entries", async || node.cache.state().entries == 2).await;
    assert_eq!(node.several(&KEYS).await, Ok(vec![1, 1]));
    assert_eq!((node.source.loads(), node.counts().hits), (1, 2));
}

on_each_tier!(a_load_that_panics_or_fails_is_an_error_for_all_and_counted);
async fn a_load_that_panics_or_fails_is_an_error_for_all_and_counted(second: &Second) {
    for (answer, expected) in
        [(Answer::Panics, LoadError::Panicked), (Answer::Fails, LoadError::Failed("the source is away"))]
    {
        let node = Node::new(POLICY, &Source::closed(), second.tier());
        node.source.answer(answer);
        let readers: Vec<_> = (0..10).map(|_| node.reader_of(KEYS)).collect();
        node.until_loads(1).await;
        node.until_waiting(20).await;
        node.source.gate.add_permits(1);
        let readers = timeout(Duration::from_secs(20), join_all(readers)).await.unwrap();
        assert!(readers.into_iter().all(|read| read.unwrap() == Err(expected.clone())));
        let counts = node.counts();
        assert_eq!((counts.loads, counts.failures, counts.from_source), (2, 2, 0), "{answer:?}");

        node.source.answer(Answer::Value);
        node.source.gate.add_permits(1);
        assert_eq!(node.several(&KEYS).await, Ok(vec![1, 1]));
    }
}

on_each_tier!(a_reader_that_comes_after_a_write_does_not_get_what_an_earlier_load_found);
async fn a_reader_that_comes_after_a_write_does_not_get_what_an_earlier_load_found(second: &Second) {
    for answer in [Answer::Value, Answer::Nothing, Answer::Fails] {
        let node = Node::new(POLICY, &Source::closed(), second.tier());
        node.source.answer(answer);
        let slow = node.reader_of(KEYS);
        node.until_loads(1).await;
        node.write(2, "all");
        let later: Vec<_> = (0..10).map(|_| node.reader_of(KEYS)).collect();
        node.until_waiting(22).await;

        node.source.gate.add_permits(1);
        node.until_loads(2).await;
        node.source.answer(Answer::Value);
        node.source.gate.add_permits(1);
        assert!(join_all(later).await.into_iter().all(|read| read.unwrap() == Ok(vec![2, 2])));
        let expected = match answer {
            Answer::Value => Ok(vec![1, 1]),
            Answer::Nothing => Ok(Vec::new()),
            _ => Err(LoadError::Failed("the source is away")),
        };
        assert_eq!(slow.await.unwrap(), expected, "it asked before the write");
        assert_eq!(node.source.loads(), 2, "they share the second load");
        assert_eq!(node.counts().refreshes, 2);
    }
}

on_each_tier!(a_load_is_not_disturbed_by_drops_of_other_tags);
async fn a_load_is_not_disturbed_by_drops_of_other_tags(second: &Second) {
    let node = Node::new(POLICY, &Source::closed(), second.tier());
    let slow = node.reader_of(KEYS);
    node.until_loads(1).await;
    node.drops.drop_tags([Tag::of("cups")], Position(1));
    let later = node.reader_of(KEYS);
    node.until_waiting(4).await;
    node.source.gate.add_permits(1);
    for reader in [slow, later] {
        assert_eq!(reader.await.unwrap(), Ok(vec![1, 1]));
    }
    assert_eq!(node.source.loads(), 1);
}

on_each_tier!(what_one_process_loaded_together_the_others_do_not_load, shared);
async fn what_one_process_loaded_together_the_others_do_not_load(second: &Shared) {
    let first = Node::new(POLICY, &Source::open(), second.tier());
    first.source.value.store(7, SeqCst);
    assert_eq!(first.several(&KEYS).await, Ok(vec![7, 7]));
    second.until_puts(2).await;

    let other = Node::new(POLICY, &Source::open(), second.tier());
    for _ in 0..2 {
        assert_eq!(other.several(&KEYS).await, Ok(vec![7, 7]));
    }
    let counts = other.counts();
    assert_eq!((other.source.loads(), counts.loads, counts.shared, counts.hits), (0, 2, 2, 2));

    // what is not there, and what was dropped since, is loaded
    let later = Node::new(POLICY, &Source::open(), second.tier());
    later.learn(2, "tea");
    let mut values = later.several(&["jug", "mug", "tea"]).await.unwrap();
    values.sort_unstable();
    assert_eq!(values, [1, 1, 7]);
    let counts = later.counts();
    assert_eq!((counts.shared, counts.rejected, counts.from_source), (1, 1, 2));
    assert_eq!(later.source.loads(), 1);
}

on_each_tier!(what_was_loaded_together_is_shared_after_one_look_without_what_was_dropped, shared);
async fn what_was_loaded_together_is_shared_after_one_look_without_what_was_dropped(second: &Shared) {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let first = Node::with(POLICY, &Source::open(), second.tier(), |tiers| {
        let drops = Arc::clone(&tiers.drops);
        let catch_up: CatchUp = Arc::new(move || {
            counted.fetch_add(1, SeqCst);
            drops.drop_tags([Tag::of("mug")], Position(6));
            Box::pin(async { true })
        });
        Tiers { catch_up: Some(catch_up), ..tiers }
    });
    let other = Node::new(POLICY, &Source::open(), second.tier());
    for node in [&first, &other] {
        node.drops.record(LogEntry { position: Position(5), id: 1 });
        node.drops.set_complete_to(Position(5));
    }
    assert_eq!(first.several(&["tea", "mug", "pot"]).await, Ok(vec![1; 3]));
    second.until_puts(2).await;
    assert_eq!(looks.load(SeqCst), 1);
    assert_eq!(other.several(&["tea", "mug", "pot"]).await, Ok(vec![1; 3]));
    assert_eq!((other.counts().shared, other.counts().from_source), (2, 1));
}
