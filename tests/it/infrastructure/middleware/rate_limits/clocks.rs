//! Servers whose clocks differ, and count at one Redis.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use redis::cmd;
use undercroft::domain::context::{Clock, ManualClock, SystemClock};
use undercroft::infrastructure::cache::CacheUrl;
use undercroft::infrastructure::middleware::{Decision, RateLimiter, RedisStore};

use super::{address, clock, limit};
use crate::support::redis::{patient, redis_url};
use crate::support::{awaited, unique};

/// The system clock of a machine that differs from this one.
#[derive(Debug)]
struct OtherMachine(SignedDuration);

impl Clock for OtherMachine {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }

    fn is_system(&self) -> bool {
        SystemClock.is_system()
    }
}

#[tokio::test]
async fn servers_whose_clocks_differ_decide_at_redis_as_one() {
    let Some(url) = redis_url().await else { return };
    let service = unique("service");
    let server = |minutes| {
        let clock = OtherMachine(SignedDuration::from_mins(minutes));
        let store = RedisStore::new(patient(&url), &service).timed_by_redis();
        RateLimiter::new(Arc::new(store), Arc::new(clock))
    };
    let (servers, one) = ([server(-10), server(10)], RateLimiter::in_process(Arc::new(SystemClock)));
    for text in ["5/hour", "20/hour"] {
        let limit = limit(text);
        let mut allowed = 0;
        for step in 0..30 {
            let (server, of) = (&servers[step % 2], address(1));
            if step == 27 {
                tokio::join!(server.uncount(limit, of), one.uncount(limit, of));
                allowed -= 1;
            }
            let (found, expected) = (server.count(limit, of).await, one.count(limit, of).await);
            let shown = |decision: Decision| (decision.is_allowed, decision.remaining(limit.quota));
            assert_eq!(shown(found), shown(expected), "{text}, step {step}");
            // one counts after the other, and a machine that runs other tests may be slow
            assert!(found.reset_after().abs_diff(expected.reset_after()) <= 60, "{found:?} and {expected:?}");
            allowed += u32::from(found.is_allowed);
        }
        assert_eq!(allowed, limit.quota.limit(), "{text}");
    }
}

/// Counts with a clock where a URL says, until Redis has the number; returns the time that it is.
async fn counted_at_redis(url: &str, clock: Arc<dyn Clock>) -> Timestamp {
    let (at, service): (CacheUrl, _) = (url.parse().unwrap(), unique("service"));
    let (limiter, limit) = (RateLimiter::open(&at, &service, clock).unwrap(), limit("60/hour"));
    let redis = patient(url);
    let key = format!("undercroft:limit:{service}:{}:address:0.0.0.1", limit.name);
    // while Redis is slow, the process counts for itself
    let number: i64 = awaited("a number at Redis", async || {
        limiter.count(limit, address(1)).await;
        redis.command::<Option<i64>>(cmd("GET").arg(&key)).await.unwrap()
    })
    .await;
    Timestamp::from_microsecond(number).unwrap()
}

#[tokio::test]
async fn redis_gives_the_time_to_a_server_with_the_clock_of_its_system_and_to_no_other() {
    let Some(url) = redis_url().await else { return };
    let ahead = OtherMachine(SignedDuration::from_hours(10));
    let until = counted_at_redis(&url, Arc::new(ahead)).await;
    assert!(until < SystemClock.now() + SignedDuration::from_hours(5), "{until}");

    let clock = clock();
    let until = counted_at_redis(&url, Arc::<ManualClock>::clone(&clock)).await;
    assert!(until <= clock.now() + SignedDuration::from_hours(1), "{until}");
}
