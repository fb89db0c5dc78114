//! Rate limits, counted in the process, in Redis, and in a store of another package.

mod clocks;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use http::{Method, Request};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{sleep, timeout};
use tracing::subscriber::NoSubscriber;
use undercroft::domain::context::{Clock, Context, ManualClock};
use undercroft::infrastructure::cache::Redis;
use undercroft::infrastructure::middleware::{
    Chain, Decision, MemoryStore, Partition, Quota, RateClass, RateKey, RateLimit, RateLimitStore,
    RateLimiter, RateLimitingMiddleware, RedisStore,
};

use super::send;
use crate::support::redis::{patient, redis_url};
use crate::support::{Line, Proxy};

/// Longer than everything that the tests wait for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A name of a limit that no other test counts for at Redis.
fn limit(quota: &str) -> RateLimit {
    RateLimit { name: crate::support::unique("limit").leak(), quota: quota.parse().unwrap() }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()))
}

fn limiter(store: Arc<dyn RateLimitStore>, clock: &Arc<ManualClock>) -> RateLimiter {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    RateLimiter::new(store, clock)
}

/// A store of another package: the numbers by the texts of their keys.
#[derive(Default)]
struct OtherStore(Mutex<HashMap<String, i64>>);

impl RateLimitStore for OtherStore {
    fn count(&self, key: RateKey, quota: Quota, now: i64) -> BoxFuture<'_, Decision> {
        let mut numbers = self.0.lock().unwrap();
        let number = numbers.entry(key.to_string()).or_insert(now);
        // the clock may have been set back
        *number = (*number).clamp(now, now + quota.full());
        let is_allowed = *number + quota.interval() - now <= quota.full();
        *number += if is_allowed { quota.interval() } else { 0 };
        let pending = Duration::from_micros((*number - now).unsigned_abs());
        ready(Decision::new(is_allowed, pending)).boxed()
    }

    fn uncount(&self, key: RateKey, quota: Quota, _: i64) -> BoxFuture<'_, ()> {
        let mut numbers = self.0.lock().unwrap();
        numbers.entry(key.to_string()).and_modify(|number| *number -= quota.interval());
        ready(()).boxed()
    }
}

/// The stores of this machine, each with its name.
async fn stores() -> Vec<(&'static str, Arc<dyn RateLimitStore>)> {
    let mut stores: Vec<(_, Arc<dyn RateLimitStore>)> = vec![("memory", Arc::new(MemoryStore::default()))];
    stores.push(("another", Arc::new(OtherStore::default())));
    if let Some(url) = redis_url().await {
        stores.push(("redis", Arc::new(RedisStore::new(patient(&url), "tests"))));
    }
    stores
}

fn address(number: u32) -> Partition {
    Partition::Address(std::net::Ipv4Addr::from_bits(number).into())
}

/// A bucket for each key that leaks a microsecond in a microsecond, in the words of a textbook.
struct Model {
    interval: i64,
    full: i64,
    buckets: HashMap<u32, (i64, i64)>,
}

impl Model {
    fn level(&self, key: u32, now: i64) -> i64 {
        self.buckets.get(&key).map_or(0, |(level, at)| (level - (now - at)).max(0))
    }

    fn count(&mut self, key: u32, now: i64) -> (bool, i64) {
        let level = self.level(key, now);
        let is_allowed = level + self.interval <= self.full;
        let level = level + if is_allowed { self.interval } else { 0 };
        self.buckets.insert(key, (level, now));
        (is_allowed, (self.full - level) / self.interval)
    }

    fn uncount(&mut self, key: u32, now: i64) {
        self.buckets.insert(key, ((self.level(key, now) - self.interval).max(0), now));
    }
}

#[tokio::test]
async fn every_store_decides_as_the_model() {
    let mut random = Random::new();
    for (name, store) in stores().await {
        for (text, most, interval) in
            [("7/second", 7, 142_858), ("3/minute", 3, 20_000_000), ("20/hour", 20, 180_000_000)]
        {
            let (limit, clock) = (limit(text), clock());
            let limiter = limiter(Arc::clone(&store), &clock);
            let mut model = Model { interval, full: most * interval, buckets: HashMap::new() };
            let mut refused = 0;
            for step in 0..700 {
                let pause = match step % 16 {
                    0 => interval,
                    1 => interval - 1,
                    2 => 1,
                    _ => random.below(interval / 8),
                };
                clock.advance(SignedDuration::from_micros(pause));
                let (key, now) = (u32::try_from(random.below(3)).unwrap(), clock.now().as_microsecond());
                if random.below(10) == 0 {
                    model.uncount(key, now);
                    limiter.uncount(limit, address(key)).await;
                    continue;
                }
                let (is_allowed, remaining) = model.count(key, now);
                let decision = limiter.count(limit, address(key)).await;
                let found = (decision.is_allowed, decision.remaining(limit.quota).into());
                assert_eq!(found, (is_allowed, remaining), "{name} {text}, step {step}");
                refused += u32::from(!is_allowed);
            }
            assert!(refused > 20, "{name} {text}: only {refused} were refused");
        }
    }
}

/// Numbers that differ from run to run; a failure of the test shows the step.
struct Random(Context);

impl Random {
    fn new() -> Self {
        Self(Context::system())
    }

    fn below(&mut self, bound: i64) -> i64 {
        let mut bytes = [0; 8];
        self.0.ids.secret(&mut bytes);
        i64::from_le_bytes(bytes).rem_euclid(bound)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn concurrent_requests_never_exceed_the_limit() {
    for (name, store) in stores().await {
        let (limit, clock) = (limit("100/hour"), clock());
        let limiter = limiter(store, &clock);
        let tasks = (0..64).map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let mut allowed = 0;
                for _ in 0..10 {
                    allowed += u32::from(limiter.count(limit, address(1)).await.is_allowed);
                }
                allowed
            })
        });
        let counts = futures_util::future::join_all(tasks).await;
        assert_eq!(counts.into_iter().map(Result::unwrap).sum::<u32>(), 100, "{name}");
    }
}

#[test]
fn threads_never_exceed_the_limit() {
    let (store, limit) = (Arc::new(MemoryStore::default()), limit("100/hour"));
    let limiter = limiter(store, &clock());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = runtime.handle();
    let allowed: u32 = std::thread::scope(|scope| {
        let count = || {
            let allowed = (0..10).filter(|_| handle.block_on(limiter.count(limit, address(1))).is_allowed);
            u32::try_from(allowed.count()).unwrap()
        };
        let threads: Vec<_> = (0..64).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 100);
}

#[tokio::test]
async fn a_network_of_ipv6_is_one_client() {
    let limiter = limiter(Arc::new(MemoryStore::default()), &clock());
    let limit = limit("2/hour");
    let partition = |text: &str| Partition::Address(text.parse().unwrap());
    for (address, is_allowed) in [
        ("2001:db8:1:2::1", true),
        ("2001:db8:1:2:ffff::9", true),
        ("2001:db8:1:2:abcd::1", false),
        ("2001:db8:1:3::1", true),
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.1", false),
        ("192.0.2.2", true),
    ] {
        let decision = limiter.count(limit, partition(address)).await;
        assert_eq!(decision.is_allowed, is_allowed, "{address}");
    }
}

#[tokio::test]
async fn a_flood_of_addresses_uses_bounded_memory_and_does_not_reset_a_stricter_limit() {
    let (store, clock) = (Arc::new(MemoryStore::bounded(1_000)), clock());
    let limiter = limiter(Arc::clone(&store) as Arc<dyn RateLimitStore>, &clock);
    let (general, strict) = (limit("600/minute"), limit("2/hour"));
    for expected in [true, true, false] {
        assert_eq!(limiter.count(strict, address(7)).await.is_allowed, expected);
    }
    for number in 0..200_000 {
        limiter.count(general, address(number)).await;
    }
    assert!(store.len() < 1_100, "{} keys", store.len());
    assert!(!limiter.count(strict, address(7)).await.is_allowed);
}

#[tokio::test]
async fn keys_without_use_are_removed_when_room_is_needed() {
    let (store, clock) = (Arc::new(MemoryStore::bounded(1_600)), clock());
    let limiter = limiter(Arc::clone(&store) as Arc<dyn RateLimitStore>, &clock);
    let limit = limit("600/minute");
    for number in 0..1_000 {
        limiter.count(limit, address(number)).await;
    }
    clock.advance(SignedDuration::from_mins(2));
    for number in 10_000..11_600 {
        limiter.count(limit, address(number)).await;
    }
    assert!(store.len() <= 1_600, "{} keys", store.len());
    limiter.uncount(limit, address(20_000)).await;
    assert!(limiter.count(limit, address(20_000)).await.is_allowed);
}

#[tokio::test]
async fn a_clock_that_is_set_back_limits_no_longer_than_the_window() {
    for (name, store) in stores().await {
        let (limit, clock) = (limit("2/minute"), clock());
        let limiter = limiter(store, &clock);
        let begin: Timestamp = clock.now();
        for expected in [true, true, false] {
            assert_eq!(limiter.count(limit, address(1)).await.is_allowed, expected, "{name}");
        }
        clock.set(begin - SignedDuration::from_hours(5));
        let decision = limiter.count(limit, address(1)).await;
        assert!(!decision.is_allowed && decision.retry_after(limit.quota) <= 30, "{name}: {decision:?}");
        clock.advance(SignedDuration::from_mins(1));
        assert!(limiter.count(limit, address(1)).await.is_allowed, "{name}");
    }
}

#[tokio::test]
async fn services_with_different_names_that_share_a_redis_count_apart() {
    let Some(url) = redis_url().await else { return };
    let (limit, clock) = (limit("1/hour"), clock());
    let store = |service| Arc::new(RedisStore::new(patient(&url), service));
    for service in ["tea", "cups"] {
        let limiter = limiter(store(service), &clock);
        for expected in [true, false] {
            assert_eq!(limiter.count(limit, address(1)).await.is_allowed, expected, "{service}");
        }
    }
}

#[tokio::test]
async fn without_redis_the_process_counts_in_bounded_time_and_redis_is_used_again() {
    let Some(url) = redis_url().await else { return };
    let (proxy, through) = Proxy::before(&url).await.unwrap();
    let (limit, clock) = (limit("3/hour"), clock());
    let near = limiter(Arc::new(RedisStore::new(Redis::new(&through).unwrap(), "tests")), &clock);
    let other = limiter(Arc::new(RedisStore::new(Redis::new(&url).unwrap(), "tests")), &clock);
    assert!(near.count(limit, address(1)).await.is_allowed);
    let quota: Quota = limit.quota;
    assert_eq!(other.count(limit, address(1)).await.remaining(quota), 1, "both count at Redis");

    for (line, number) in [Line::Silent, Line::Cut, Line::Lost].into_iter().zip(10..) {
        proxy.set(line);
        let alone = address(number);
        let counted = async {
            for expected in [true, true, true, false, false] {
                assert_eq!(near.count(limit, alone).await.is_allowed, expected, "{line:?}");
            }
        };
        timeout(PATIENCE, counted).await.expect("a bounded delay");

        proxy.set(Line::Open);
        if line != Line::Lost {
            proxy.cut();
        }
        // each key has used up its limit at Redis, and none of it in the process
        let returned = async {
            for number in 100.. {
                let shared = address(number);
                for _ in 0..3 {
                    other.count(limit, shared).await;
                }
                if !near.count(limit, shared).await.is_allowed {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, returned).await.expect("Redis is used again");
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn requests_without_an_address_are_not_limited_and_the_log_says_so_once() {
    let rate_limiting = Some(RateLimitingMiddleware {
        limiter: RateLimiter::in_process(clock()),
        general: Some("1/hour".parse().unwrap()),
        user: None,
        named: BTreeMap::new(),
        classes: HashMap::from([("/health".to_owned(), vec![(Method::GET, RateClass::Exempt)])]),
    });
    let routes = Router::new().route("/news", get(async || "news")).route("/health", get(async || "up"));
    let router = Chain { rate_limiting, ..Chain::default() }.apply(routes);
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    // with a single subscriber, a log statement that another test reaches first is cached as disabled
    let _second = tracing::Dispatch::new(NoSubscriber::default());
    let _logging = tracing::subscriber::set_default(subscriber);

    for (path, warnings) in [("/health", 0), ("/news", 1), ("/news", 1)] {
        let response = send(&router, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200, "{path}");
        let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(logged.matches("rate limits have no effect").count(), warnings, "{path}: {logged}");
    }
}
