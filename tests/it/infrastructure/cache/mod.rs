//! The cache room: the mechanism, with a source that the tests control, and what the store keeps by it.
//!
//! What caches are tested for. Each test of the mechanism runs without a second tier, with one in this process and with
//! one in Redis (`on_each_tier`), as far as it is not about one of them.
//!
//! | property | test |
//! | --- | --- |
//! | one load for misses at once | `loads::a_thousand_concurrent_misses_are_one_load` |
//! | of several keys, too | `several::a_thousand_concurrent_reads_of_the_same_keys_are_one_load` |
//! | from the second tier | `several::what_one_process_loaded_together_the_others_do_not_load` |
//! | for dear ones, across nodes | `dear::a_thousand_concurrent_misses_on_four_nodes_are_one_load` |
//! | | `dear::an_entry_near_its_end_is_loaded_once_for_four_nodes_and_no_reader_waits` |
//! | | `dear::an_entry_after_its_end_is_loaded_once_for_four_nodes_and_no_reader_waits` |
//! | | `dear::a_dropped_entry_is_loaded_once_for_four_nodes_and_its_readers_wait_for_the_soft_time_out` |
//! | with `eager` | `times::an_entry_that_is_read_shortly_before_its_end_is_loaded_again_while_it_is_served` |
//! | | `second_tier::what_is_loaded_again_before_its_end_is_not_the_same_entry` |
//! | with fail-safe | `time_outs::many_readers_of_a_slow_source_get_the_last_value_and_load_once` |
//! | | `times::a_source_that_is_away_is_asked_for_an_entry_once_in_a_pause` |
//! | | `times::a_clock_that_is_set_back_ends_the_pause_after_a_load_that_failed` |
//! | no reader waits for ever | `loads::a_load_that_panics_or_fails_leaves_no_reader_waiting_and_nothing_behind` |
//! | | `several::a_load_that_panics_or_fails_is_an_error_for_all_and_counted` |
//! | | `second_tier::a_dear_load_that_panics_ends_its_turn` |
//! | | `time_outs::nothing_is_waited_for_after_the_hard_time_out` |
//! | | `tree::the_tree_does_not_wait_for_a_database_without_a_response` |
//! | one cancels no other | `loads::a_reader_that_stops_waiting_stops_no_other` |
//! | | `loads::a_load_whose_readers_are_all_gone_ends_and_its_value_is_kept` |
//! | | `several::a_load_whose_readers_are_gone_ends_and_its_values_are_kept` |
//! | a slow load updates | `time_outs::a_load_that_is_too_slow_is_not_waited_for_and_updates_the_entry_later` |
//! | unless a drop is later | `time_outs::a_load_that_is_too_slow_and_began_before_a_drop_does_not_update_the_entry` |
//! | | `loads::a_load_that_began_before_a_write_does_not_put_its_value_in_after_it` |
//! | | `several::a_reader_that_comes_after_a_write_does_not_get_what_an_earlier_load_found` |
//! | on both engines | `slow_loads::a_load_that_is_slower_than_a_change_of_a_price_does_not_keep_the_old_one` |
//! | an entry ends meanwhile | `times::an_entry_that_ends_while_it_is_loaded_again_is_not_served_any_more` |
//! | | `times::an_entry_that_ends_while_it_is_looked_for_is_not_kept_longer` |
//! | memory ends with the tier | `times::memory_does_not_outlive_the_second_tier` |
//! | the greatest age | `times::while_the_source_is_away_the_last_value_is_served_up_to_a_greatest_age` |
//! | | `times::fail_safe_has_a_greatest_age_whatever_the_jitter` |
//! | no value has its own time | `times::that_there_is_no_value_has_its_own_time` |
//! | | `times::that_there_is_no_value_is_shared_for_its_own_time` |
//! | the tier fails meanwhile | `faults::a_second_tier_that_fails_before_a_look_is_as_one_that_has_nothing` |
//! | | `faults::a_second_tier_that_fails_between_a_look_and_the_load_costs_no_reader_its_value` |
//! | | `faults::a_second_tier_that_fails_between_a_load_and_its_end_costs_no_reader_its_value` |
//! | away and back | `second_tier::a_redis_with_any_fault_delays_at_most_one_read_and_is_used_when_it_is_back` |
//! | what it missed | `faults::a_write_that_the_second_tier_missed_is_made_up_for` |
//! | in bounded memory | `tags::a_flood_of_drops_hides_none_of_them` |
//! | | `invalidations::each_look_reads_what_was_committed_before_it` |
//! | several tags | `loads::tags_drop_what_has_them_and_all_entries_can_be_dropped` |
//! | tags that changed | `tags::an_entry_that_was_loaded_with_another_tag_is_not_dropped_by_the_old_one` |
//! | | `tags::a_node_uses_an_entry_with_another_tag_although_the_old_one_was_dropped` |
//! | dropped before any load | `tags::a_tag_that_was_dropped_before_the_entry_was_ever_loaded_does_not_concern_it` |
//! | a cold start | `tags::a_node_that_starts_cold_uses_what_was_loaded_after_all_drops_that_it_does_not_know` |
//! | all are dropped | `tags::after_a_drop_of_all_the_last_value_is_served_only_by_fail_safe` |
//! | two nodes write at once | `tags::nodes_that_write_at_once_end_equal` |
//! | a flood of keys | `loads::the_size_is_bounded_under_a_flood_of_keys` |
//! | | `counters::entries_are_counted_and_those_that_made_room_for_others_too` |
//! | other shapes | `second_tier::entries_of_older_and_newer_shapes_and_of_other_stores_are_misses` |
//! | | `shapes::a_change_of_what_processes_share_has_another_number` |
//! | another layout or release | `layout::an_entry_is_these_bytes_by_this_key` |
//! | reads are counted once | `counters::hits_stale_reads_waits_and_loads_add_up_to_the_reads` |

#[macro_use]
mod tiers;

mod carts;
mod catalogue;
mod checks;
mod counters;
mod dear;
mod example;
mod faults;
mod hit_ratio;
mod invalidations;
mod layout;
mod loads;
mod owners;
mod redis;
mod replaced;
mod second_tier;
mod several;
mod shapes;
mod shoppers;
mod slow_loads;
mod tags;
mod time_outs;
mod times;
mod tree;
mod turns;

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
    /// A further tag of what is loaded.
    tag: Mutex<Option<&'static str>>,
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

type LoadedValue = Loaded<Rendered<i64>>;

/// What comes of a read of several keys.
type Values = Result<Vec<i64>, LoadError<&'static str>>;

/// The space for the forms of a value, which its size does not include: few tests have forms.
const FORMS: u32 = 1_000;

const POLICY: Policy = Policy { jitter_percent: 0, ..Policy::named("tests", 1) };

impl Source {
    fn open() -> Arc<Self> {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        let (answer, tag) = (Mutex::new(Answer::Value), Mutex::default());
        Arc::new(Self { value: 1.into(), loads: 0.into(), answer, tag, gate })
    }

    fn closed() -> Arc<Self> {
        let source = Self::open();
        source.gate.forget_permits(Semaphore::MAX_PERMITS);
        source
    }

    fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn tag(&self, tag: &'static str) {
        *self.tag.lock().unwrap() = Some(tag);
    }

    fn loads(&self) -> usize {
        self.loads.load(SeqCst)
    }

    async fn load(&self, key: String) -> Result<LoadedValue, &'static str> {
        let value = self.read().await;
        self.loaded(value, &key)
    }

    /// Loads several keys together; one without a value is left out.
    async fn load_all(&self, keys: Vec<String>) -> Result<Vec<(String, LoadedValue)>, &'static str> {
        let value = self.read().await;
        let mut all = Vec::new();
        for key in keys {
            let loaded = self.loaded(value, &key)?;
            all.extend(loaded.value.is_some().then_some((key, loaded)));
        }
        Ok(all)
    }

    /// Reads the value, and then waits until the source is open: what it returns may be old by then.
    async fn read(&self) -> i64 {
        let value = self.value.load(SeqCst);
        self.loads.fetch_add(1, SeqCst);
        self.gate.acquire().await.unwrap().forget();
        value
    }

    fn loaded(&self, value: i64, key: &str) -> Result<LoadedValue, &'static str> {
        let answer = *self.answer.lock().unwrap();
        let further = self.tag.lock().unwrap().map(Tag::of);
        let tags: Vec<_> = [Tag::of("all"), Tag::of(key)].into_iter().chain(further).collect();
        match answer {
            Answer::Value => Ok(Loaded { value: Some(Rendered::with_forms(value, FORMS)), tags, bytes: 8 }),
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

    /// The values of several keys, which the source loads together if they are not kept.
    async fn several(&self, keys: &[&str]) -> Values {
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        let source = Arc::clone(&self.source);
        let load = move |missing: Vec<String>| async move { source.load_all(missing).await };
        let values = self.cache.get_all(&keys, load).await?;
        Ok(values.iter().map(|value| **value).collect())
    }

    /// A reader of the values of keys, in a task of its own.
    fn reader_of(&self, keys: [&'static str; 2]) -> JoinHandle<Values> {
        let node = self.clone();
        tokio::spawn(async move { node.several(&keys).await })
    }

    /// A reader of the value, in a task of its own.
    fn reader(&self, key: &'static str) -> JoinHandle<i64> {
        let node = self.clone();
        tokio::spawn(async move { node.value(key).await })
    }

    /// Writes a value, and drops what is kept of the old one.
    fn write(&self, value: i64, key: &str) {
        self.source.value.store(value, SeqCst);
        self.learn(value, key);
    }

    /// Learns of a write of this value, which is also its position, of this node or another one.
    fn learn(&self, value: i64, key: &str) {
        self.drops.drop_tags([Tag::of(key)], Position(value));
        self.drops.set_complete_to(Position(value));
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

    /// Waits until this many readers have begun a load or wait for one; one of several keys counts for each.
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
