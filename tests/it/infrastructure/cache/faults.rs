//! Faults of the second tier in the middle of an operation: no reader notices, and nothing old is used afterwards.

use undercroft::infrastructure::cache::{Lookup, Policy};

use super::tiers::Shared;
use super::{Node, POLICY, Source};
use crate::support::{Line, eventually};

/// When a fault begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeTheLook,
    /// Between the look and the turn to load.
    AfterTheLook,
    /// Between the look and the end of the turn, in which the entry is put.
    WhileLoading,
}

/// The faults, each with a key that is used only under it: a command that was held up may still arrive afterwards.
const FAULTS: [(Line, &str); 3] = [(Line::Cut, "cut"), (Line::Garbage, "garbage"), (Line::Silent, "silent")];

/// One reader reads through a fault that begins at a moment, and others come during it and after it.
async fn read_through_faults_that_begin(moment: Moment, second: &Shared) {
    // with all operations: it takes the turn to load, too
    let policy = Policy { is_dear: true, ..POLICY };
    for (line, key) in FAULTS {
        let node = Node::new(policy, &Source::closed(), second.tier());
        match moment {
            Moment::BeforeTheLook => second.set(line),
            Moment::AfterTheLook => second.set_after_look(line),
            Moment::WhileLoading => {}
        }
        let reader = node.reader(key);
        node.until_loads(1).await;
        if moment == Moment::WhileLoading {
            second.set(line);
        }
        node.source.gate.add_permits(1);
        assert_eq!(reader.await.unwrap(), 1, "{line:?}");
        assert_eq!(node.get(key).await, Ok((Some(1), Lookup::Hit)), "{line:?}");
        let during = Node::new(policy, &Source::open(), second.tier());
        assert_eq!((during.value(key).await, during.source.loads()), (1, 1), "{line:?}");

        second.set(Line::Open);
        second.until_used("used").await;
        let later = Node::new(policy, &Source::open(), second.tier());
        assert_eq!(later.value(key).await, 1, "{line:?}");
        let counts = node.counts();
        assert_eq!((counts.reads(), counts.hits, counts.loads, counts.failures), (2, 1, 1, 0), "{line:?}");
    }
}

on_each_tier!(a_second_tier_that_fails_before_a_look_is_as_one_that_has_nothing, shared);
async fn a_second_tier_that_fails_before_a_look_is_as_one_that_has_nothing(second: &Shared) {
    read_through_faults_that_begin(Moment::BeforeTheLook, second).await;
}

on_each_tier!(a_second_tier_that_fails_between_a_look_and_the_load_costs_no_reader_its_value, shared);
async fn a_second_tier_that_fails_between_a_look_and_the_load_costs_no_reader_its_value(second: &Shared) {
    read_through_faults_that_begin(Moment::AfterTheLook, second).await;
}

on_each_tier!(a_second_tier_that_fails_between_a_load_and_its_end_costs_no_reader_its_value, shared);
async fn a_second_tier_that_fails_between_a_load_and_its_end_costs_no_reader_its_value(second: &Shared) {
    read_through_faults_that_begin(Moment::WhileLoading, second).await;
}

on_each_tier!(a_write_that_the_second_tier_missed_is_made_up_for, shared);
async fn a_write_that_the_second_tier_missed_is_made_up_for(second: &Shared) {
    for (line, key) in FAULTS {
        let source = Source::open();
        let new_node = || Node::new(POLICY, &source, second.tier());
        let (node, other) = (new_node(), new_node());
        assert_eq!(node.value(key).await, 1);
        second.until_used(key).await;

        second.set(line);
        node.write(2, key);
        other.learn(2, key);
        for lookup in [Lookup::Miss, Lookup::Hit] {
            assert_eq!(node.get(key).await, Ok((Some(2), lookup)), "{line:?}");
        }
        second.set(Line::Open);
        second.until_used("used").await;

        // the second tier may have the entry of before
        node.cache.remove(&key.to_owned());
        for node in [&node, &other] {
            assert_eq!(node.value(key).await, 2, "{line:?}");
        }
        eventually("the entry of the write", async || {
            let later = new_node();
            later.learn(2, key);
            assert_eq!(later.value(key).await, 2, "{line:?}");
            later.counts().shared > 0
        })
        .await;
    }
}
