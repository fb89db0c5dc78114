//! The cache room: the mechanism, with a source that the tests control, and what the store keeps by it.

mod carts;
mod catalogue;
mod checks;
mod counters;
mod example;
mod hit_ratio;
mod invalidations;
mod loads;
mod owners;
mod redis;
mod second_tier;
mod shapes;
mod shoppers;
mod times;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use undercroft::domain::context::{Clock, Context, ManualClock, SystemIds};
use undercroft::domain::events::StockChanged;
use undercroft::infrastructure::cache::{
    Cached, Counts, Drops, LoadError, Loaded, Lookup, Policy, Position, Rendered, SharedTier, Tag, Tiers,
};
use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine};

use crate::support::eventually;
use crate::support::store::execute;

/// What a load of the tests does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The value of the source.
    Value,
    /// No value.
    Nothing,
    /// No value, and no tag that says what would change that.
    Untagged,
    Fails,
    Panics,
}

/// A source with one value for all keys, whose loads wait while it is closed.
struct Source {
    value: AtomicI64,
    loads: AtomicUsize,
    answer: Mutex<Answer>,
    gate: Semaphore,
}

/// A cache of a node with its source.
#[derive(Clone)]
struct Node {
    cache: Cached<String, Rendered<i64>, &'static str>,
    drops: Arc<Drops>,
    source: Arc<Source>,
    clock: Arc<ManualClock>,
}

const POLICY: Policy = Policy { jitter_percent: 0, ..Policy::named("tests", 1) };

impl Source {
    fn open() -> Arc<Self> {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Arc::new(Self { value: 1.into(), loads: 0.into(), answer: Mutex::new(Answer::Value), gate })
    }

    fn closed() -> Arc<Self> {
        let source = Self::open();
        source.gate.forget_permits(Semaphore::MAX_PERMITS);
        source
    }

    fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn loads(&self) -> usize {
        self.loads.load(SeqCst)
    }

    /// Reads the value, and then waits until the source is open: what it returns may be old by then.
    async fn load(&self, key: String) -> Result<Loaded<Rendered<i64>>, &'static str> {
        let value = self.value.load(SeqCst);
        self.loads.fetch_add(1, SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let answer = *self.answer.lock().unwrap();
        let tags = vec![Tag::of("all"), Tag::of(&key)];
        match answer {
            Answer::Value => Ok(Loaded { value: Some(Rendered::new(value)), tags, bytes: 8 }),
            Answer::Nothing => Ok(Loaded { value: None, tags, bytes: 0 }),
            Answer::Untagged => Ok(Loaded { value: None, tags: Vec::new(), bytes: 0 }),
            Answer::Fails => Err("the source is away"),
            Answer::Panics => panic!("a load of a test panics"),
        }
    }
}

impl Node {
    fn new(policy: Policy, source: &Arc<Source>, shared: Option<SharedTier>) -> Self {
        Self::with(policy, source, shared, |tiers| tiers)
    }

    /// A node whose tiers differ from those of [`Node::new`].
    fn with(
        policy: Policy,
        source: &Arc<Source>,
        shared: Option<SharedTier>,
        change: impl FnOnce(Tiers) -> Tiers,
    ) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let shown: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let context = Context { ids: Arc::new(SystemIds::new(Arc::clone(&shown))), clock: shown };
        let drops = Arc::new(Drops::default());
        let loaded = Arc::clone(source);
        let load = move |key| {
            let source = Arc::clone(&loaded);
            async move { source.load(key).await }
        };
        let tiers = change(Tiers { drops: Arc::clone(&drops), shared, ..Tiers::in_memory(context) });
        let cache = tiers.cached(policy, load);
        Self { cache, drops, source: Arc::clone(source), clock }
    }

    async fn get(&self, key: &str) -> Result<(Option<i64>, Lookup), LoadError<&'static str>> {
        let (entry, origin) = self.cache.get(&key.to_owned()).await?;
        Ok((entry.value().map(|value| **value), origin))
    }

    /// The value, which must be there.
    async fn value(&self, key: &str) -> i64 {
        self.get(key).await.unwrap().0.unwrap()
    }

    /// A reader of the value, in a task of its own.
    fn reader(&self, key: &'static str) -> JoinHandle<i64> {
        let node = self.clone();
        tokio::spawn(async move { node.value(key).await })
    }

    /// Writes a value, and drops what is kept of the old one.
    fn write(&self, value: i64, key: &str) {
        self.source.value.store(value, SeqCst);
        self.drops.drop_tags([Tag::of(key)], Position(value));
    }

    fn wait(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    fn counts(&self) -> Counts {
        self.cache.state().counts
    }

    /// Waits until an entry is found in memory, and is fresh.
    async fn until_hit(&self, key: &str) {
        let is_hit = async || self.get(key).await.unwrap().1 == Lookup::Hit;
        eventually("a fresh entry", is_hit).await;
    }

    /// Waits until this many readers have begun a load or wait for one.
    async fn until_waiting(&self, readers: u64) {
        let waiting = async || self.counts().waits + self.counts().loads >= readers;
        eventually("readers that wait", waiting).await;
    }

    /// Waits until the source has begun this many loads.
    async fn until_loads(&self, loads: usize) {
        eventually("loads that began", async || self.source.loads() >= loads).await;
    }
}

/// Publishes events that drop nothing.
async fn publish_others(database: &Database) {
    let published: Result<(), DatabaseError> = database
        .write((), async |work, ()| {
            for _ in 0..10 {
                let variant_id = work.id();
                work.publish(&StockChanged { variant_id, available: None }).await?;
            }
            Ok(())
        })
        .await;
    published.unwrap();
}

/// Takes the database back to the last change of the catalogue: the events after it are lost, and so are their
/// positions.
async fn lose_what_followed_the_last_invalidation(database: &Database) {
    const LOSE: &str = "DELETE FROM outbox WHERE seq > \
                        (SELECT COALESCE(MAX(seq), 0) FROM outbox WHERE type = 'cache_invalidation')";
    const OF_SQLITE: &str =
        "UPDATE sqlite_sequence SET seq = (SELECT COALESCE(MAX(seq), 0) FROM outbox) WHERE name = 'outbox'";
    const OF_POSTGRES: &str =
        "SELECT setval('outbox_seq_seq', COALESCE(MAX(seq), 1), MAX(seq) IS NOT NULL) FROM outbox";
    let statements: &[&str] = match database.engine() {
        Engine::Sqlite => &[LOSE, OF_SQLITE],
        Engine::Postgres => &[LOSE, OF_POSTGRES],
    };
    execute(database, statements).await;
}
