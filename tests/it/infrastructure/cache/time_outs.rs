//! Loads that are too slow: while fail-safe allows the last value, readers wait for one up to the soft time-out, and
//! otherwise up to the hard one.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::future::join_all;
use undercroft::infrastructure::cache::{LoadError, Lookup, Policy};

use super::tiers::Second;
use super::{Answer, Node, POLICY, Source};
use crate::support::eventually;

/// Readers wait for a load only shortly.
const SOON: Policy =
    Policy { fail_safe: Duration::from_mins(5), soft_timeout: Duration::from_millis(20), ..POLICY };

/// A node with the value 1, whose time is over, and a source that is closed and has the value 2.
async fn ended(second: &Second) -> Node {
    let node = Node::new(SOON, &Source::closed(), second.tier());
    node.source.gate.add_permits(1);
    node.value("tea").await;
    node.source.value.store(2, SeqCst);
    node.wait(60);
    node
}

on_each_tier!(a_load_that_is_too_slow_is_not_waited_for_and_updates_the_entry_later);
async fn a_load_that_is_too_slow_is_not_waited_for_and_updates_the_entry_later(second: &Second) {
    let node = ended(second).await;
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)), "after the soft time-out");
    node.source.gate.add_permits(1);
    node.until_hit("tea").await;
    assert_eq!((node.value("tea").await, node.source.loads()), (2, 2), "it is the same load");
}

on_each_tier!(a_load_that_is_too_slow_and_began_before_a_drop_does_not_update_the_entry);
async fn a_load_that_is_too_slow_and_began_before_a_drop_does_not_update_the_entry(second: &Second) {
    let (source, tier) = (Source::closed(), second.tier());
    let [node, other] = [(); 2].map(|()| Node::new(SOON, &source, tier.clone()));
    source.gate.add_permits(1);
    node.value("tea").await;
    source.value.store(2, SeqCst);
    node.wait(60);
    assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Stale)), "after the soft time-out");
    node.until_loads(2).await;

    node.write(3, "tea");
    source.gate.add_permits(1);
    eventually("the end of the slow load", async || node.counts().from_source == 2).await;
    source.gate.add_permits(1);
    node.until_hit("tea").await;
    assert_eq!((node.value("tea").await, source.loads()), (3, 3));

    // nor does it share it
    source.gate.add_permits(1);
    other.learn(3, "tea");
    other.wait(60);
    assert_eq!(other.value("tea").await, 3);
}

on_each_tier!(many_readers_of_a_slow_source_get_the_last_value_and_load_once);
async fn many_readers_of_a_slow_source_get_the_last_value_and_load_once(second: &Second) {
    let node = ended(second).await;
    let all_get = async |value: i64| {
        let readers: Vec<_> = (0..100).map(|_| node.reader("tea")).collect();
        assert!(join_all(readers).await.into_iter().all(|read| read.unwrap() == value));
    };
    all_get(1).await;
    node.until_loads(2).await;
    node.source.gate.add_permits(1);
    node.until_hit("tea").await;
    all_get(2).await;
    assert_eq!(node.source.loads(), 2, "one for all, whom the soft time-out released");

    node.wait(60);
    node.source.answer(Answer::Fails);
    node.source.gate.add_permits(1);
    all_get(2).await;
    eventually("a load that failed", async || node.counts().failures == 1).await;
    assert_eq!(node.source.loads(), 3, "one for all, who got the last value by fail-safe");
}

on_each_tier!(nothing_is_waited_for_after_the_hard_time_out);
async fn nothing_is_waited_for_after_the_hard_time_out(second: &Second) {
    let policy = Policy { hard_timeout: Duration::from_millis(50), ..POLICY };
    let node = Node::new(policy, &Source::closed(), second.tier());
    assert_eq!(node.get("tea").await, Err(LoadError::TimedOut));
    assert_eq!(node.counts().failures, 1);
    assert_eq!(node.several(&["tea", "mug"]).await, Err(LoadError::TimedOut));
    assert_eq!(node.counts().failures, 3);
}
