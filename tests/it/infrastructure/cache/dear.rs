//! A dear value is loaded once for all nodes, however many of their readers ask for it at once. While the policy allows
//! what is kept, none of them waits for that load.

use std::iter::repeat_n;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::sleep;
use undercroft::infrastructure::cache::{LoadError, Lookup, Policy};

use super::tiers::Shared;
use super::{Node, POLICY, Source};
use crate::support::eventually;

const NODES: usize = 4;
/// The readers of each node.
const READERS: usize = 250;
/// How long a load waits for the source at least.
const HELD: Duration = Duration::from_millis(300);

/// The loads of a slow machine end in time, too.
const DEAR: Policy = Policy {
    is_dear: true,
    eager: Duration::from_secs(10),
    stale: Duration::from_secs(30),
    fail_safe: Duration::from_mins(5),
    hard_timeout: Duration::from_mins(1),
    ..POLICY
};

/// What a reader got, and how long it waited.
type Got = (Result<(Option<i64>, Lookup), LoadError<&'static str>>, Duration);

/// Nodes with one source, which is closed, and a second tier.
struct Nodes {
    nodes: Vec<Node>,
    source: Arc<Source>,
}

impl Nodes {
    /// Nodes that have the value 1, which one load read for a thousand readers.
    async fn loaded(second: &Shared) -> Self {
        let source = Source::closed();
        let nodes: Vec<_> = (0..NODES).map(|_| Node::new(DEAR, &source, second.tier())).collect();
        let nodes = Self { nodes, source };
        let readers = nodes.readers();
        for node in &nodes.nodes {
            node.until_waiting(READERS as u64).await;
        }
        nodes.end_load(1, 1).await;
        all_get(readers, 1, Lookup::Miss).await;
        nodes
    }

    /// All readers of all nodes at once, each in a task of its own.
    fn readers(&self) -> Vec<JoinHandle<Got>> {
        let nodes = self.nodes.iter().flat_map(|node| repeat_n(node.clone(), READERS));
        let read = |node: Node| {
            tokio::spawn(async move {
                let began = Instant::now();
                (node.get("tea").await, began.elapsed())
            })
        };
        nodes.map(read).collect()
    }

    /// Ends the load with this number, which has begun or begins, and waits until each node has its value. No other one
    /// begins meanwhile.
    async fn end_load(&self, number: usize, value: i64) {
        self.nodes[0].until_loads(number).await;
        sleep(HELD).await;
        assert_eq!(self.source.loads(), number, "one load for all nodes");
        self.source.gate.add_permits(1);
        for node in &self.nodes {
            eventually("a load of each node that ended", async || {
                let counts = node.counts();
                counts.from_source + counts.shared >= number as u64
            })
            .await;
            eventually("the value of the load", async || node.value("tea").await == value).await;
        }
        assert_eq!(self.source.loads(), number, "one load for all nodes");
    }

    fn wait(&self, seconds: i64) {
        self.nodes.iter().for_each(|node| node.wait(seconds));
    }
}

/// Waits until all readers got a value, and returns the longest time that one of them waited.
async fn all_get(readers: Vec<JoinHandle<Got>>, value: i64, lookup: Lookup) -> Duration {
    let mut longest = Duration::ZERO;
    for reader in readers {
        let (got, took) = reader.await.unwrap();
        assert_eq!(got, Ok((Some(value), lookup)));
        longest = longest.max(took);
    }
    longest
}

on_each_tier!(a_thousand_concurrent_misses_on_four_nodes_are_one_load, shared, on_many_threads);
async fn a_thousand_concurrent_misses_on_four_nodes_are_one_load(second: &Shared) {
    let nodes = Nodes::loaded(second).await;
    for node in &nodes.nodes {
        assert_eq!(node.get("tea").await, Ok((Some(1), Lookup::Hit)));
    }
    let shared: u64 = nodes.nodes.iter().map(|node| node.counts().shared).sum();
    assert_eq!(
        (nodes.source.loads(), shared),
        (1, NODES as u64 - 1),
        "the others have the entry of the first one"
    );
}

on_each_tier!(
    an_entry_near_its_end_is_loaded_once_for_four_nodes_and_no_reader_waits,
    shared,
    on_many_threads
);
async fn an_entry_near_its_end_is_loaded_once_for_four_nodes_and_no_reader_waits(second: &Shared) {
    let nodes = Nodes::loaded(second).await;
    nodes.source.value.store(2, SeqCst);
    nodes.wait(55);
    // they all end while the source is closed
    all_get(nodes.readers(), 1, Lookup::Hit).await;
    nodes.end_load(2, 2).await;
}

on_each_tier!(
    an_entry_after_its_end_is_loaded_once_for_four_nodes_and_no_reader_waits,
    shared,
    on_many_threads
);
async fn an_entry_after_its_end_is_loaded_once_for_four_nodes_and_no_reader_waits(second: &Shared) {
    let nodes = Nodes::loaded(second).await;
    nodes.source.value.store(2, SeqCst);
    nodes.wait(65);
    all_get(nodes.readers(), 1, Lookup::Stale).await;
    nodes.end_load(2, 2).await;
}

on_each_tier!(
    a_dropped_entry_is_loaded_once_for_four_nodes_and_its_readers_wait_for_the_soft_time_out,
    shared,
    on_many_threads
);
async fn a_dropped_entry_is_loaded_once_for_four_nodes_and_its_readers_wait_for_the_soft_time_out(
    second: &Shared,
) {
    let nodes = Nodes::loaded(second).await;
    nodes.source.value.store(2, SeqCst);
    nodes.nodes.iter().for_each(|node| node.learn(2, "tea"));
    // as fail-safe allows, also while the source is closed
    let longest = all_get(nodes.readers(), 1, Lookup::Stale).await;
    // a machine that runs other tests may be slow
    assert!(longest < DEAR.soft_timeout + Duration::from_secs(5), "{longest:?}");
    nodes.end_load(2, 2).await;
}
