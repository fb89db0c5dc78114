//! Tags: what they drop and what they do not, on one node and on several.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use undercroft::infrastructure::cache::{LoadError, Lookup, Policy, Position, Tag};

use super::tiers::{Second, Shared};
use super::{Answer, Node, POLICY, Source};

on_each_tier!(an_entry_that_was_loaded_with_another_tag_is_not_dropped_by_the_old_one);
async fn an_entry_that_was_loaded_with_another_tag_is_not_dropped_by_the_old_one(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    node.source.tag("drinks");
    node.value("tea").await;
    node.source.tag("gifts");
    node.write(2, "drinks");
    assert_eq!(node.get("tea").await, Ok((Some(2), Lookup::Miss)), "it has the old tag");

    node.write(3, "drinks");
    assert_eq!(node.get("tea").await, Ok((Some(2), Lookup::Hit)), "it has the new tag");
    node.write(4, "gifts");
    assert_eq!(node.get("tea").await, Ok((Some(4), Lookup::Miss)));
}

on_each_tier!(a_node_uses_an_entry_with_another_tag_although_the_old_one_was_dropped, shared);
async fn a_node_uses_an_entry_with_another_tag_although_the_old_one_was_dropped(second: &Shared) {
    let first = Node::new(POLICY, &Source::open(), second.tier());
    first.source.tag("drinks");
    first.value("tea").await;
    second.until_puts(1).await;
    first.source.tag("gifts");
    first.write(2, "drinks");
    assert_eq!(first.value("tea").await, 2);
    second.until_puts(2).await;

    for (tag, shared) in [("drinks", 1), ("gifts", 0)] {
        let later = Node::new(POLICY, &Source::open(), second.tier());
        later.learn(2, "drinks");
        later.learn(3, tag);
        later.source.value.store(3, SeqCst);
        let expected = if shared == 1 { 2 } else { 3 };
        assert_eq!((later.value("tea").await, later.counts().shared), (expected, shared), "{tag}");
    }
}

on_each_tier!(a_tag_that_was_dropped_before_the_entry_was_ever_loaded_does_not_concern_it);
async fn a_tag_that_was_dropped_before_the_entry_was_ever_loaded_does_not_concern_it(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    for (position, tag) in [(5, "tea"), (6, "all")] {
        node.learn(position, tag);
    }
    for expected in [Lookup::Miss, Lookup::Hit] {
        assert_eq!(node.get("tea").await, Ok((Some(1), expected)));
    }
    assert_eq!(node.source.loads(), 1);
}

on_each_tier!(a_node_that_starts_cold_uses_what_was_loaded_after_all_drops_that_it_does_not_know, shared);
async fn a_node_that_starts_cold_uses_what_was_loaded_after_all_drops_that_it_does_not_know(second: &Shared) {
    let first = Node::new(POLICY, &Source::open(), second.tier());
    first.value("cups").await;
    second.until_puts(1).await;
    first.write(5, "tea");
    first.value("tea").await;
    second.until_puts(2).await;

    let cold = Node::new(POLICY, &Source::open(), second.tier());
    // it has read the log from there on
    cold.drops.drop_all(Position(3));
    cold.learn(5, "tea");
    cold.source.value.store(9, SeqCst);
    assert_eq!(cold.value("tea").await, 5);
    assert_eq!(cold.value("cups").await, 9, "it may have been dropped before");
    let counts = cold.counts();
    assert_eq!((counts.shared, counts.rejected, cold.source.loads()), (1, 1, 1));
}

on_each_tier!(after_a_drop_of_all_the_last_value_is_served_only_by_fail_safe);
async fn after_a_drop_of_all_the_last_value_is_served_only_by_fail_safe(second: &Second) {
    for (fail_safe, expected) in [
        (Duration::ZERO, Err(LoadError::Failed("the source is away"))),
        (Duration::from_mins(5), Ok((Some(1), Lookup::Stale))),
    ] {
        let policy = Policy { fail_safe, soft_timeout: POLICY.hard_timeout, ..POLICY };
        let node = Node::new(policy, &Source::open(), second.tier());
        node.value("tea").await;
        node.source.answer(Answer::Fails);
        node.drops.drop_all(Position(9));
        node.drops.set_complete_to(Position(9));
        assert_eq!(node.get("tea").await, expected);

        node.source.answer(Answer::Value);
        node.source.value.store(2, SeqCst);
        node.drops.drop_all(Position(10));
        node.drops.set_complete_to(Position(10));
        for lookup in [Lookup::Miss, Lookup::Hit] {
            assert_eq!(node.get("tea").await, Ok((Some(2), lookup)), "{fail_safe:?}");
        }
    }
}

on_each_tier!(a_flood_of_drops_hides_none_of_them);
async fn a_flood_of_drops_hides_none_of_them(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    for key in ["tea", "cups"] {
        node.value(key).await;
    }
    node.write(2, "tea");
    // more tags than are kept
    node.drops.drop_tags((0..70_000).map(|number| Tag::of(&number.to_string())), Position(3));
    node.drops.set_complete_to(Position(3));
    for key in ["tea", "cups"] {
        for lookup in [Lookup::Miss, Lookup::Hit] {
            assert_eq!(node.get(key).await, Ok((Some(2), lookup)), "{key}");
        }
    }
}

on_each_tier!(nodes_that_write_at_once_end_equal);
async fn nodes_that_write_at_once_end_equal(second: &Second) {
    for writers in [[0, 1], [1, 0]] {
        let (source, tier) = (Source::closed(), second.tier());
        let nodes = [(); 3].map(|()| Node::new(POLICY, &source, tier.clone()));
        let [first, last] = writers.map(|number: usize| &nodes[number]);
        let mut reads = Vec::new();
        for step in 1..=4 {
            match step {
                // the loads of before both writes have read their value
                2 => {
                    first.until_loads(2).await;
                    first.write(2, "tea");
                }
                3 => {
                    last.learn(2, "tea");
                    last.write(3, "tea");
                }
                4 => first.learn(3, "tea"),
                _ => {}
            }
            for node in [first, last] {
                reads.push(node.reader("tea"));
                node.until_waiting(step).await;
            }
        }
        // one load may end before the next one
        for _ in 0..20 {
            source.gate.add_permits(1);
            tokio::task::yield_now().await;
        }
        for read in reads {
            assert!((1..=3).contains(&read.await.unwrap()));
        }

        let [.., cold] = &nodes;
        cold.learn(2, "tea");
        cold.learn(3, "tea");
        for node in &nodes {
            assert_eq!(node.value("tea").await, 3);
        }
    }
}
