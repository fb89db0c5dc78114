//! Times: how long an entry is fresh, and what is served after its end.

use std::time::Duration;

use undercroft::infrastructure::cache::{LoadError, Lookup, Policy, Position, Tag};

use super::{Answer, Node, POLICY, Source};
use crate::support::eventually;

#[tokio::test]
async fn an_entry_ends_and_is_loaded_again() {
    let node = Node::new(POLICY, &Source::open(), None);
    node.value("tea").await;
    node.wait(59);
    assert_eq!(node.get("tea").await.unwrap().1, Lookup::Hit);
    node.wait(1);
    assert_eq!(node.get("tea").await.unwrap().1, Lookup::Miss);
    assert_eq!(node.source.loads(), 2);
}

#[tokio::test]
async fn that_there_is_no_value_has_its_own_time() {
    let node = Node::new(POLICY, &Source::open(), None);
    node.source.answer(Answer::Nothing);
    for origin in [Lookup::Miss, Lookup::Hit] {
        assert_eq!(node.get("tea").await, Ok((None, origin)));
    }
    assert_eq!(node.cache.value(&"tea".to_owned()).await.err(), Some(LoadError::Missing));
    node.wait(5);
    node.source.answer(Answer::Value);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Miss)));

    let unkept = Node::new(Policy { negative_ttl: None, ..POLICY }, &Source::open(), None);
    unkept.source.answer(Answer::Nothing);
    for _ in 0..2 {
        assert_eq!(unkept.get("tea").await, Ok((None, Lookup::Miss)));
    }
}

#[tokio::test]
async fn that_there_is_no_value_is_served_neither_after_its_end_nor_in_place_of_an_error() {
    let longer = Duration::from_mins(5);
    let node = Node::new(Policy { stale: longer, fail_safe: longer, ..POLICY }, &Source::open(), None);
    node.source.answer(Answer::Nothing);
    assert_eq!(node.get("tea").await, Ok((None, Lookup::Miss)));
    node.source.answer(Answer::Fails);
    node.wait(5);
    assert_eq!(node.get("tea").await, Err(LoadError::Failed("the source is away")));
    node.source.answer(Answer::Value);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Miss)));
}

#[tokio::test]
async fn an_entry_that_ended_is_served_while_it_is_loaded_again_unless_it_was_dropped() {
    let node = Node::new(Policy { stale: Duration::from_secs(30), ..POLICY }, &Source::open(), None);
    node.value("tea").await;
    node.source.value.store(2, std::sync::atomic::Ordering::SeqCst);
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

#[tokio::test]
async fn an_entry_that_is_read_shortly_before_its_end_is_loaded_again_while_it_is_served() {
    let node = Node::new(Policy { eager: Duration::from_secs(6), ..POLICY }, &Source::closed(), None);
    node.source.gate.add_permits(1);
    node.value("tea").await;
    node.source.value.store(2, std::sync::atomic::Ordering::SeqCst);
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

#[tokio::test]
async fn an_entry_that_is_not_read_or_has_no_value_is_not_loaded_again_before_its_end() {
    let node = Node::new(Policy { eager: Duration::from_secs(6), ..POLICY }, &Source::open(), None);
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

#[tokio::test]
async fn while_the_source_is_away_the_last_value_is_served_up_to_a_greatest_age() {
    let policy = Policy { fail_safe: Duration::from_mins(5), ..POLICY };
    let node = Node::new(policy, &Source::open(), None);
    node.value("tea").await;
    node.source.answer(Answer::Fails);
    node.wait(299);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)));
    node.wait(1);
    assert_eq!(node.get("tea").await, Err(LoadError::Failed("the source is away")));

    let strict = Node::new(POLICY, &Source::open(), None);
    strict.value("tea").await;
    strict.source.answer(Answer::Fails);
    strict.write(2, "tea");
    assert_eq!(strict.get("tea").await, Err(LoadError::Failed("the source is away")));
}

#[tokio::test]
async fn a_source_that_is_away_is_asked_for_an_entry_once_in_a_pause() {
    let pause = Policy { pause: Duration::from_secs(2), ..POLICY };
    let longer = Duration::from_mins(5);
    // shortly before its end, after it, and after the time in which it is loaded in the background
    for (policy, age) in [
        (Policy { eager: Duration::from_secs(10), ..pause }, 51),
        (Policy { stale: longer, ..pause }, 60),
        (Policy { fail_safe: longer, ..pause }, 60),
    ] {
        let node = Node::new(policy, &Source::open(), None);
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

#[tokio::test]
async fn a_drop_ends_the_pause_after_a_load_that_failed() {
    let policy = Policy { fail_safe: Duration::from_mins(5), ..POLICY };
    let node = Node::new(policy, &Source::open(), None);
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

#[tokio::test(start_paused = true)]
async fn a_load_that_is_too_slow_is_not_waited_for_and_updates_the_entry_later() {
    let policy = Policy { fail_safe: Duration::from_mins(5), ..POLICY };
    let source = Source::closed();
    let node = Node::new(policy, &source, None);
    source.gate.add_permits(1);
    node.value("tea").await;
    source.value.store(2, std::sync::atomic::Ordering::SeqCst);
    node.wait(60);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)), "after the soft time-out");
    source.gate.add_permits(1);
    node.until_hit("tea").await;
    assert_eq!((node.value("tea").await, source.loads()), (2, 2), "it is the same load");

    assert_eq!(node.get("cups").await, Err(LoadError::TimedOut), "after the hard time-out");
    eventually("a load that failed", async || node.counts().failures == 1).await;
}
