//! The second tiers with which the tests of the mechanism run: none, entries in this process, and entries in Redis.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use undercroft::infrastructure::cache::{EntriesInRedis, Patience, Redis, SharedStore, SharedTier};

use super::{Node, POLICY, Source};
use crate::support::redis::patient;
use crate::support::{Line, Proxy, eventually, unique};

/// Makes three tests of `async fn name(second: &Second)`: `name::without` a second tier, `name::in_process` and
/// `name::in_redis`; with `on_many_threads`, each on several threads. With `in_paused_time` it makes the first two,
/// whose waits end at once: one for Redis would, too.
///
/// With `shared` it makes two of `async fn name(second: &Shared)`, which is about what nodes share; with
/// `shared, on_many_threads` each on several threads, and without faults: Redis is waited for, and turns end late.
macro_rules! on_each_tier {
    ($test:ident) => {
        mod $test {
            on_each_tier!(@tests $test, flavor = "current_thread");
        }
    };
    ($test:ident, on_many_threads) => {
        mod $test {
            on_each_tier!(@tests $test, flavor = "multi_thread");
        }
    };
    ($test:ident, in_paused_time) => {
        mod $test {
            on_each_tier!(@in_this_process $test, start_paused = true);
        }
    };
    ($test:ident, shared) => {
        mod $test {
            on_each_tier!(@shared $test, "current_thread", in_redis);
        }
    };
    ($test:ident, shared, on_many_threads) => {
        mod $test {
            on_each_tier!(@shared $test, "multi_thread", in_patient_redis);
        }
    };
    (@shared $test:ident, $flavor:literal, $in_redis:ident) => {
        use crate::infrastructure::cache::tiers::Shared;

        #[tokio::test(flavor = $flavor)]
        async fn in_process() {
            Box::pin(super::$test(&Shared::in_process())).await;
        }

        #[tokio::test(flavor = $flavor)]
        async fn in_redis() {
            let Some(url) = crate::support::redis::redis_url().await else { return };
            Box::pin(super::$test(&Shared::$in_redis(&url).await)).await;
        }
    };
    (@tests $test:ident, $($options:tt)*) => {
        on_each_tier!(@in_this_process $test, $($options)*);

        #[tokio::test($($options)*)]
        async fn in_redis() {
            let Some(url) = crate::support::redis::redis_url().await else { return };
            Box::pin(super::$test(&Second::InRedis(url))).await;
        }
    };
    (@in_this_process $test:ident, $($options:tt)*) => {
        use crate::infrastructure::cache::tiers::Second;

        #[tokio::test($($options)*)]
        async fn without() {
            Box::pin(super::$test(&Second::Nothing)).await;
        }

        #[tokio::test($($options)*)]
        async fn in_process() {
            Box::pin(super::$test(&Second::InProcess)).await;
        }
    };
}

/// How many times as long as in a store a turn lasts where Redis is waited for: its renewals may be late.
const LATE: u32 = 20;

/// What the nodes of a test have beside their memory.
pub(super) enum Second {
    Nothing,
    /// Entries in this process.
    InProcess,
    /// Entries in the Redis at this URL.
    InRedis(String),
}

/// A second tier of a store that no other test uses, with the faults that a test gives it.
pub(super) struct Shared {
    store: Arc<Watched>,
    secret: String,
    faults: Faults,
}

/// What gives a second tier its faults.
#[derive(Clone)]
enum Faults {
    InProcess(Arc<InProcess>),
    InRedis(Arc<Proxy>),
}

/// Entries in this process, which keeps them after their time, too. Under any fault it has nothing and keeps nothing,
/// or it returns garbage.
struct InProcess {
    entries: Mutex<HashMap<String, Vec<u8>>>,
    line: Mutex<Line>,
}

/// A store whose calls a test can see.
struct Watched {
    entries: Arc<dyn SharedStore>,
    /// How many times as long as it should a turn to load lasts.
    turn: u32,
    /// How often something was put, or would have been without a fault.
    puts: AtomicUsize,
    /// How often a turn to load was ended.
    ended_turns: AtomicUsize,
    /// What happens once, right after the next look.
    after_look: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Second {
    /// The second tier of a store that has nothing yet, if there is one.
    pub(super) fn tier(&self) -> Option<SharedTier> {
        match self {
            Self::Nothing => None,
            Self::InProcess => Some(SharedTier::new(InProcess::new(), unique("cache").as_bytes())),
            Self::InRedis(url) => Some(tier_in_redis(patient(url))),
        }
    }
}

impl Shared {
    pub(super) fn in_process() -> Self {
        let entries = InProcess::new();
        Self::over(Arc::<InProcess>::clone(&entries), Faults::InProcess(entries), 1)
    }

    pub(super) async fn in_redis(url: &str) -> Self {
        // a machine that runs other tests may be slow, and a test waits for the end of each fault
        let pause = Duration::from_millis(50);
        let response = Duration::from_secs(1);
        let patience = Patience { response, slow: None, pause, longest_pause: pause, sends_again: false };
        Self::before_redis(url, |through| Redis::with_patience(through, patience).unwrap(), 1).await
    }

    /// A Redis without faults, which is waited for however slow the machine is.
    pub(super) async fn in_patient_redis(url: &str) -> Self {
        Self::before_redis(url, patient, LATE).await
    }

    async fn before_redis(url: &str, connect: impl FnOnce(&str) -> Redis, turn: u32) -> Self {
        let (proxy, through) = Proxy::before_redis(url).await.unwrap();
        let entries = EntriesInRedis(Arc::new(connect(&through)));
        Self::over(Arc::new(entries), Faults::InRedis(Arc::new(proxy)), turn)
    }

    fn over(entries: Arc<dyn SharedStore>, faults: Faults, turn: u32) -> Self {
        let [puts, ended_turns] = [0, 0].map(AtomicUsize::new);
        let store = Watched { entries, turn, puts, ended_turns, after_look: Mutex::new(None) };
        Self { store: Arc::new(store), secret: unique("cache"), faults }
    }

    /// The tier, as a node has it.
    #[expect(clippy::unnecessary_wraps, reason = "as that of `Second`")]
    pub(super) fn tier(&self) -> Option<SharedTier> {
        Some(SharedTier::new(Arc::<Watched>::clone(&self.store), self.secret.as_bytes()))
    }

    /// The tier of another store, with the same entries.
    #[expect(clippy::unnecessary_wraps, reason = "as that of `Second`")]
    pub(super) fn tier_of_another_store(&self) -> Option<SharedTier> {
        Some(SharedTier::new(Arc::<Watched>::clone(&self.store), unique("cache").as_bytes()))
    }

    /// Begins a fault, or ends it.
    pub(super) fn set(&self, line: Line) {
        self.faults.set(line);
    }

    /// Begins a fault right after the next look.
    pub(super) fn set_after_look(&self, line: Line) {
        let faults = self.faults.clone();
        self.after_look(move || faults.set(line));
    }

    /// Lets something happen right after the next look, before its reader knows what was found.
    pub(super) fn after_look(&self, then: impl FnOnce() + Send + 'static) {
        *self.store.after_look.lock().unwrap() = Some(Box::new(then));
    }

    /// Waits until entries were put this often, which happens after their readers have them.
    pub(super) async fn until_puts(&self, puts: usize) {
        eventually("entries that were shared", async || self.store.puts.load(SeqCst) >= puts).await;
    }

    /// How often a turn to load was ended.
    pub(super) fn ended_turns(&self) -> usize {
        self.store.ended_turns.load(SeqCst)
    }

    /// Waits until nodes share entries, with this key.
    pub(super) async fn until_used(&self, key: &str) {
        eventually("an entry of the second tier", async || {
            let node = Node::new(POLICY, &Source::open(), self.tier());
            node.value(key).await;
            node.counts().shared > 0
        })
        .await;
    }
}

impl Faults {
    fn set(&self, line: Line) {
        match self {
            Self::InProcess(entries) => *entries.line.lock().unwrap() = line,
            Self::InRedis(proxy) => proxy.set(line),
        }
    }
}

/// A tier in a Redis, of a store that no other test uses.
pub(super) fn tier_in_redis(redis: Redis) -> SharedTier {
    SharedTier::new(Arc::new(EntriesInRedis(Arc::new(redis))), unique("cache").as_bytes())
}

impl InProcess {
    fn new() -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), line: Mutex::new(Line::Open) })
    }

    fn line(&self) -> Line {
        *self.line.lock().unwrap()
    }
}

impl SharedStore for InProcess {
    fn get(&self, key: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        let found = match self.line() {
            Line::Open => self.entries.lock().unwrap().get(&key).cloned(),
            Line::Garbage => Some(b"not an entry".to_vec()),
            _ => None,
        };
        async move { found }.boxed()
    }

    fn set(&self, key: String, bytes: Vec<u8>, _: Duration) -> BoxFuture<'_, ()> {
        if self.line() == Line::Open {
            self.entries.lock().unwrap().insert(key, bytes);
        }
        async {}.boxed()
    }

    fn lock(&self, key: String, _: Duration) -> BoxFuture<'_, bool> {
        let is_free =
            self.line() != Line::Open || self.entries.lock().unwrap().insert(key, Vec::new()).is_none();
        async move { is_free }.boxed()
    }

    fn renew(&self, key: String, _: Duration) -> BoxFuture<'_, bool> {
        let is_locked = self.line() == Line::Open && self.entries.lock().unwrap().contains_key(&key);
        async move { is_locked }.boxed()
    }

    fn remove(&self, key: String) -> BoxFuture<'_, ()> {
        if self.line() == Line::Open {
            self.entries.lock().unwrap().remove(&key);
        }
        async {}.boxed()
    }
}

impl Watched {
    /// What a look has found, after what a test lets happen then.
    async fn looked<T>(&self, look: impl Future<Output = T>) -> T {
        let found = look.await;
        let then = self.after_look.lock().unwrap().take();
        if let Some(then) = then {
            then();
        }
        found
    }
}

impl SharedStore for Watched {
    fn get(&self, key: String) -> BoxFuture<'_, Option<Vec<u8>>> {
        self.looked(self.entries.get(key)).boxed()
    }

    fn get_all(&self, keys: Vec<String>) -> BoxFuture<'_, Vec<Option<Vec<u8>>>> {
        self.looked(self.entries.get_all(keys)).boxed()
    }

    fn set(&self, key: String, bytes: Vec<u8>, ttl: Duration) -> BoxFuture<'_, ()> {
        async move {
            self.entries.set(key, bytes, ttl).await;
            self.puts.fetch_add(1, SeqCst);
        }
        .boxed()
    }

    fn lock(&self, key: String, ttl: Duration) -> BoxFuture<'_, bool> {
        self.entries.lock(key, ttl * self.turn)
    }

    fn renew(&self, key: String, ttl: Duration) -> BoxFuture<'_, bool> {
        self.entries.renew(key, ttl * self.turn)
    }

    fn remove(&self, key: String) -> BoxFuture<'_, ()> {
        self.ended_turns.fetch_add(1, SeqCst);
        self.entries.remove(key)
    }
}
