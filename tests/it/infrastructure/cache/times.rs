//! Times: how long an entry is fresh, and what is served after its end.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use jiff::SignedDuration;
use undercroft::infrastructure::cache::{LoadError, Lookup, Policy, Position, Tag};

use super::tiers::{Second, Shared};
use super::{Answer, Node, POLICY, Source};
use crate::support::eventually;

on_each_tier!(an_entry_ends_and_is_loaded_again);
async fn an_entry_ends_and_is_loaded_again(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    node.value("tea").await;
    node.wait(59);
    assert_eq!(node.get("tea").await.unwrap().1, Lookup::Hit);
    node.wait(1);
    assert_eq!(node.get("tea").await.unwrap().1, Lookup::Miss);
    assert_eq!(node.source.loads(), 2);
}

on_each_tier!(that_there_is_no_value_has_its_own_time);
async fn that_there_is_no_value_has_its_own_time(second: &Second) {
    let node = Node::new(POLICY, &Source::open(), second.tier());
    node.source.answer(Answer::Nothing);
    for origin in [Lookup::Miss, Lookup::Hit] {
        assert_eq!(node.get("tea").await, Ok((None, origin)));
    }
    assert_eq!(node.cache.value(&"tea".to_owned()).await.err(), Some(LoadError::Missing));
    node.wait(5);
    node.source.answer(Answer::Value);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Miss)));

    let unkept = Node::new(Policy { negative_ttl: None, ..POLICY }, &Source::open(), second.tier());
    unkept.source.answer(Answer::Nothing);
    for _ in 0..2 {
        assert_eq!(unkept.get("tea").await, Ok((None, Lookup::Miss)));
    }
}

on_each_tier!(that_there_is_no_value_is_served_neither_after_its_end_nor_in_place_of_an_error);
async fn that_there_is_no_value_is_served_neither_after_its_end_nor_in_place_of_an_error(second: &Second) {
    let longer = Duration::from_mins(5);
    let node =
        Node::new(Policy { stale: longer, fail_safe: longer, ..POLICY }, &Source::open(), second.tier());
    node.source.answer(Answer::Nothing);
    assert_eq!(node.get("tea").await, Ok((None, Lookup::Miss)));
    node.source.answer(Answer::Fails);
    node.wait(5);
    assert_eq!(node.get("tea").await, Err(LoadError::Failed("the source is away")));
    node.source.answer(Answer::Value);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Miss)));
}

on_each_tier!(an_entry_that_ended_is_served_while_it_is_loaded_again_unless_it_was_dropped);
async fn an_entry_that_ended_is_served_while_it_is_loaded_again_unless_it_was_dropped(second: &Second) {
    let node = Node::new(Policy { stale: Duration::from_secs(30), ..POLICY }, &Source::open(), second.tier());
    node.value("tea").await;
    node.source.value.store(2, SeqCst);
    node.wait(89);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)));
    node.until_hit("tea").await;
    assert_eq!((node.value("tea").await, node.source.loads()), (2, 2));

    node.wait(70);
    node.write(3, "tea");
    assert_eq!(node.get("tea").await, Ok((Some(3), Lookup::Miss)));
    node.wait(90);
    assert_eq!(node.get("tea").await, Ok((Some(3), Lookup::Miss)), "its time is over");
}

on_each_tier!(an_entry_that_is_read_shortly_before_its_end_is_loaded_again_while_it_is_served);
async fn an_entry_that_is_read_shortly_before_its_end_is_loaded_again_while_it_is_served(second: &Second) {
    let node =
        Node::new(Policy { eager: Duration::from_secs(6), ..POLICY }, &Source::closed(), second.tier());
    node.source.gate.add_permits(1);
    node.value("tea").await;
    node.source.value.store(2, SeqCst);
    node.wait(54);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)));
    tokio::task::yield_now().await;
    assert_eq!((node.source.loads(), node.counts().refreshes), (1, 0), "its end is not near");

    node.wait(1);
    for _ in 0..100 {
        assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)));
    }
    node.until_loads(2).await;
    node.source.gate.add_permits(1);
    eventually("the new value", async || node.value("tea").await == 2).await;
    // at the end of the first entry
    node.wait(5);
    assert_eq!(node.get("tea").await, Ok((Some(2), Lookup::Hit)));
    let counts = node.counts();
    assert_eq!((node.source.loads(), counts.loads, counts.refreshes), (2, 1, 1), "one for all readers");
}

on_each_tier!(an_entry_that_is_not_read_or_has_no_value_is_not_loaded_again_before_its_end);
async fn an_entry_that_is_not_read_or_has_no_value_is_not_loaded_again_before_its_end(second: &Second) {
    let node = Node::new(Policy { eager: Duration::from_secs(6), ..POLICY }, &Source::open(), second.tier());
    node.value("tea").await;
    node.wait(59);
    tokio::task::yield_now().await;
    assert_eq!((node.source.loads(), node.counts().refreshes), (1, 0));
    node.wait(1);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Miss)));

    node.source.answer(Answer::Nothing);
    for origin in [Lookup::Miss, Lookup::Hit, Lookup::Hit] {
        assert_eq!(node.get("mug").await, Ok((None, origin)));
        tokio::task::yield_now().await;
    }
    assert_eq!((node.source.loads(), node.counts().refreshes), (3, 0));
}

on_each_tier!(while_the_source_is_away_the_last_value_is_served_up_to_a_greatest_age);
async fn while_the_source_is_away_the_last_value_is_served_up_to_a_greatest_age(second: &Second) {
    let policy = Policy { fail_safe: Duration::from_mins(5), ..POLICY };
    let node = Node::new(policy, &Source::open(), second.tier());
    node.value("tea").await;
    node.source.answer(Answer::Fails);
    node.wait(299);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)));
    node.wait(1);
    assert_eq!(node.get("tea").await, Err(LoadError::Failed("the source is away")));

    let strict = Node::new(POLICY, &Source::open(), second.tier());
    strict.value("tea").await;
    strict.source.answer(Answer::Fails);
    strict.write(2, "tea");
    assert_eq!(strict.get("tea").await, Err(LoadError::Failed("the source is away")));
}

on_each_tier!(a_source_that_is_away_is_asked_for_an_entry_once_in_a_pause);
async fn a_source_that_is_away_is_asked_for_an_entry_once_in_a_pause(second: &Second) {
    let pause = Policy { pause: Duration::from_secs(2), ..POLICY };
    let longer = Duration::from_mins(5);
    // shortly before its end, after it, and after the time in which it is loaded in the background
    for (policy, age) in [
        (Policy { eager: Duration::from_secs(10), ..pause }, 51),
        (Policy { stale: longer, ..pause }, 60),
        (Policy { fail_safe: longer, ..pause }, 60),
    ] {
        let node = Node::new(policy, &Source::open(), second.tier());
        node.value("tea").await;
        node.source.answer(Answer::Fails);
        node.wait(age);
        for failures in 1..4 {
            for _ in 0..20 {
                assert_eq!(node.value("tea").await, 1);
                tokio::task::yield_now().await;
            }
            eventually("a load that failed", async || node.counts().failures == failures).await;
            assert_eq!(node.source.loads() as u64, 1 + failures, "{policy:?}");
            node.wait(1);
            assert_eq!(node.value("tea").await, 1);
            tokio::task::yield_now().await;
            assert_eq!(node.counts().failures, failures, "in the pause");
            node.wait(1);
        }
        let counts = node.counts();
        assert_eq!((counts.reads(), counts.loads + counts.refreshes), (64, 4), "{counts:?}");
        node.source.answer(Answer::Value);
        node.value("tea").await;
        node.until_hit("tea").await;
    }
}

on_each_tier!(a_drop_ends_the_pause_after_a_load_that_failed);
async fn a_drop_ends_the_pause_after_a_load_that_failed(second: &Second) {
    let fail_safe = Duration::from_mins(5);
    let policy = Policy { fail_safe, soft_timeout: POLICY.hard_timeout, ..POLICY };
    let node = Node::new(policy, &Source::open(), second.tier());
    node.value("tea").await;
    node.source.answer(Answer::Fails);
    node.write(2, "tea");
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)));
    node.source.answer(Answer::Value);
    node.drops.drop_tags([Tag::of("cups")], Position(3));
    assert_eq!((node.get("tea").await, node.source.loads()), (Ok((Some(1), Lookup::Stale)), 2));
    node.write(4, "tea");
    assert_eq!(node.get("tea").await, Ok((Some(4), Lookup::Miss)));
}

on_each_tier!(a_clock_that_is_set_back_ends_the_pause_after_a_load_that_failed);
async fn a_clock_that_is_set_back_ends_the_pause_after_a_load_that_failed(second: &Second) {
    let fail_safe = Duration::from_mins(5);
    let policy = Policy { fail_safe, soft_timeout: POLICY.hard_timeout, ..POLICY };
    let node = Node::new(policy, &Source::open(), second.tier());
    node.wait(7_200);
    node.value("tea").await;
    node.source.answer(Answer::Fails);
    node.write(2, "tea");
    for _ in 0..2 {
        assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)));
    }
    assert_eq!(node.source.loads(), 2, "in the pause");
    node.source.answer(Answer::Value);
    node.wait(-3_600);
    assert_eq!(node.get("tea").await, Ok((Some(2), Lookup::Miss)));
}

on_each_tier!(fail_safe_has_a_greatest_age_whatever_the_jitter);
async fn fail_safe_has_a_greatest_age_whatever_the_jitter(second: &Second) {
    let policy = Policy { jitter_percent: 100, fail_safe: Duration::from_mins(5), ..POLICY };
    let node = Node::new(policy, &Source::open(), second.tier());
    let keys: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    for key in &keys {
        node.value(key).await;
    }
    node.source.answer(Answer::Fails);
    for (seconds, expected) in
        [(299, Ok((Some(1), Lookup::Stale))), (1, Err(LoadError::Failed("the source is away")))]
    {
        node.wait(seconds);
        for key in &keys {
            assert_eq!(node.get(key).await, expected);
        }
    }
}

on_each_tier!(an_entry_that_ends_while_it_is_loaded_again_is_not_served_any_more);
async fn an_entry_that_ends_while_it_is_loaded_again_is_not_served_any_more(second: &Second) {
    let policy = Policy { eager: Duration::from_secs(6), ..POLICY };
    let node = Node::new(policy, &Source::closed(), second.tier());
    node.source.gate.add_permits(1);
    node.value("tea").await;
    node.source.value.store(2, SeqCst);
    node.wait(55);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)));
    node.until_loads(2).await;

    node.wait(5);
    let later = node.reader("tea");
    node.until_waiting(2).await;
    node.source.gate.add_permits(1);
    assert_eq!((later.await.unwrap(), node.source.loads()), (2, 2), "it joins the load that is in progress");
    // the time begins when the load ended
    node.wait(53);
    assert_eq!(node.get("tea").await, Ok((Some(2), Lookup::Hit)));
}

on_each_tier!(memory_does_not_outlive_the_second_tier, shared);
async fn memory_does_not_outlive_the_second_tier(second: &Shared) {
    let policy = Policy { jitter_percent: 50, ..POLICY };
    let [first, later] = [1, 2].map(|value| {
        let source = Source::open();
        source.value.store(value, SeqCst);
        Node::new(policy, &source, second.tier())
    });
    first.value("tea").await;
    second.until_puts(1).await;
    // it ends after 30 seconds at the earliest
    for node in [&first, &later] {
        node.wait(20);
        assert_eq!(node.value("tea").await, 1);
    }
    assert_eq!(later.source.loads(), 0);

    let is_hit = async |node: &Node| {
        node.wait(1);
        node.get("tea").await.unwrap().1 == Lookup::Hit
    };
    let mut seconds = 20;
    while is_hit(&first).await {
        seconds += 1;
        assert!(is_hit(&later).await, "after {seconds} seconds");
    }
    assert!(!is_hit(&later).await, "it ends with that of the second tier");
    assert!(seconds < 60);
}

on_each_tier!(an_entry_that_ends_while_it_is_looked_for_is_not_kept_longer, shared);
async fn an_entry_that_ends_while_it_is_looked_for_is_not_kept_longer(second: &Shared) {
    Node::new(POLICY, &Source::open(), second.tier()).value("tea").await;
    second.until_puts(1).await;
    let node = Node::new(POLICY, &Source::open(), second.tier());
    node.source.value.store(2, SeqCst);
    node.wait(59);
    let clock = Arc::clone(&node.clock);
    second.after_look(move || clock.advance(SignedDuration::from_secs(1)));
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Miss)), "it was fresh when it was asked for");
    assert_eq!(node.get("tea").await, Ok((Some(2), Lookup::Miss)));
    assert_eq!((node.counts().shared, node.source.loads()), (1, 1));
}

on_each_tier!(that_there_is_no_value_is_shared_for_its_own_time, shared);
async fn that_there_is_no_value_is_shared_for_its_own_time(second: &Shared) {
    let first = Node::new(POLICY, &Source::open(), second.tier());
    first.source.answer(Answer::Nothing);
    assert_eq!(first.get("tea").await, Ok((None, Lookup::Miss)));
    second.until_puts(1).await;

    let later = Node::new(POLICY, &Source::open(), second.tier());
    later.wait(4);
    assert_eq!((later.get("tea").await, later.source.loads()), (Ok((None, Lookup::Miss)), 0));
    later.wait(1);
    assert_eq!(later.get("tea").await, Ok((Some(1), Lookup::Miss)));
}

/// A node with an entry that fail-safe allows, whose time is over, and a source that is closed.
async fn ended(second: &Second) -> Node {
    let policy = Policy { fail_safe: Duration::from_mins(5), ..POLICY };
    let node = Node::new(policy, &Source::closed(), second.tier());
    node.source.gate.add_permits(1);
    node.value("tea").await;
    node.wait(60);
    node
}

on_each_tier!(a_slow_load_is_not_begun_again_and_its_failure_begins_the_pause, in_paused_time);
async fn a_slow_load_is_not_begun_again_and_its_failure_begins_the_pause(second: &Second) {
    let node = ended(second).await;
    let source = &node.source;
    for _ in 0..3 {
        assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)), "after the soft time-out");
        // the pause is over
        node.wait(1);
    }
    assert_eq!((source.loads(), node.counts().failures), (2, 0), "the readers have joined one load");

    source.answer(Answer::Fails);
    source.gate.add_permits(1);
    eventually("a load that failed", async || node.counts().failures == 1).await;
    for _ in 0..20 {
        assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)));
    }
    assert_eq!(source.loads(), 2, "in the pause");
    node.wait(1);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)));
    assert_eq!(source.loads(), 3);
}

on_each_tier!(a_slow_load_that_began_before_a_change_is_followed_by_one_that_sees_it, in_paused_time);
async fn a_slow_load_that_began_before_a_change_is_followed_by_one_that_sees_it(second: &Second) {
    let node = ended(second).await;
    let source = &node.source;
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)));
    node.write(2, "tea");
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)), "of the load before the change");

    source.gate.add_permits(1);
    // no reader asks meanwhile
    node.until_loads(3).await;
    source.gate.add_permits(1);
    node.until_hit("tea").await;
    assert_eq!((node.value("tea").await, source.loads()), (2, 3));
}
