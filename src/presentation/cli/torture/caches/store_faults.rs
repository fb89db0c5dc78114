//! A Redis that is away, does not respond, is slow, is full, loses what it has or responds with garbage: how long the
//! shop's pages take before, in the first second, after it, and when Redis is back. No request may fail, no page may be
//! old, and after the first second, and when Redis is back, the 99th percentile is at most twice that of before the
//! first fault.
//!
//! Two servers share the Redis, and are in check mode: they compare all that they serve from caches with the database,
//! too.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::super::CliError;
use super::super::super::unquoted::Unquoted;
use super::super::Outcome;
use super::super::error::TortureError;
use super::super::proxy::{Line, Proxy};
use super::super::slow_clients::{is_slow, late};
use super::super::test_store::TestStore;
use super::looks::{PAGES, Reader};
use super::nodes::Nodes;
use super::redis;
use super::shop::{Kind, Shop, Writer};

/// The arguments of `torture cache-store`.
#[derive(Args, Debug)]
pub(in super::super) struct StoreFaults {
    /// The Redis of the servers, without a password
    #[arg(long, value_name = "URL", value_parser = Unquoted(redis))]
    redis: String,
    /// The number of servers
    #[arg(long, default_value = "2")]
    nodes: NonZeroUsize,
    /// How long the pages are measured before each fault, in it after its first second, and after it
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u32,
    /// The number of shoppers
    #[arg(long, default_value_t = 8)]
    shoppers: u32,
    /// A 99th percentile that is fast enough, whatever it was before
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20)]
    fast: u64,
    /// Without check mode, in which each page takes a load: only readers compare
    #[arg(long)]
    pub(in super::super) unchecked: bool,
}

/// The faults, with the names of the 99th percentiles in microseconds: before, in the first second, after it, and when
/// Redis is back. `Open` stands for a Redis that loses what it has all the time.
const FAULTS: [(Line, [&str; 4]); 6] = [
    (Line::Cut, ["away_before", "away_at_first", "away_then", "away_after"]),
    (Line::Silent, ["silent_before", "silent_at_first", "silent_then", "silent_after"]),
    (Line::Slow(Duration::from_secs(2)), ["slow_before", "slow_at_first", "slow_then", "slow_after"]),
    (Line::Full, ["full_before", "full_at_first", "full_then", "full_after"]),
    (Line::Open, ["lost_before", "lost_at_first", "lost_then", "lost_after"]),
    (Line::Garbage, ["garbage_before", "garbage_at_first", "garbage_then", "garbage_after"]),
];
/// The products, more than the memory of the cache has place for: so that the entries in Redis are read.
const PRODUCTS: usize = 200;
/// The memory of the cache of products in bytes.
const MEMORY: (&str, u32) = ("CACHES__LIMIT_BYTES__PRODUCT", 64 << 10);
/// The time after which the server uses a Redis that is back.
const BACK: Duration = Duration::from_secs(2);
/// The wait of a shopper between two pages.
const PAUSE: Duration = Duration::from_millis(2);
/// The longest pause of the writer in milliseconds.
const WRITES: u64 = 40;
/// The time between two losses.
const LOSSES: Duration = Duration::from_millis(50);

impl StoreFaults {
    /// Runs the test.
    pub(in super::super) async fn run(&self, store: &TestStore) -> Result<Outcome, CliError> {
        let memory = [(MEMORY.0, MEMORY.1.to_string())];
        let nodes = Nodes::start(store, self.nodes.get(), Some(&self.redis), &memory).await?;
        let shop = Shop::open(&nodes, PRODUCTS).await?;
        let (mut users, times) = (JoinSet::new(), Arc::new(Mutex::new(Vec::new())));
        users.spawn(Writer::new(&shop, nodes.client(None)).run(Kind::Products, WRITES));
        for _ in 0..self.shoppers {
            let (reader, times) = (Reader::new(&shop, nodes.client(None)), Arc::clone(&times));
            let took = move |time| times.lock().unwrap_or_else(PoisonError::into_inner).push(time);
            users.spawn(async move { reader.run(PAGES, PAUSE, took).await });
        }

        let measured = Duration::from_secs(self.seconds.max(1).into());
        let measure = async |span| {
            times.lock().unwrap_or_else(PoisonError::into_inner).clear();
            sleep(span).await;
            late(&mut std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner)))
        };
        let set_all = |line| nodes.proxies.iter().for_each(|proxy| proxy.set(line));
        let (mut counts, mut all) = (Vec::new(), Vec::new());
        sleep(BACK).await;
        let mut before = measure(measured).await;
        for (line, names) in FAULTS {
            set_all(line);
            let faulty = async { (measure(Duration::from_secs(1)).await, measure(measured).await) };
            let (at_first, then) = tokio::select! {
                failed = lose_all(&nodes.proxies), if line == Line::Open => return Err(failed.into()),
                measured = faulty => measured,
            };
            set_all(Line::Open);
            sleep(BACK).await;
            let after = measure(measured).await;
            let found = [before, at_first, then, after];
            counts.extend(names.into_iter().zip(found));
            all.push(found);
            before = after;
        }
        shop.stop.cancel();
        users.join_all().await;
        nodes.end().await?;
        let Outcome { counts, error } = shop.outcome(counts, false);
        Ok(Outcome { counts, error: error.or(TortureError::of_exceeded(self.bounds(&all))) })
    }

    /// Returns the bounds of the times of the faults: in each after its first second, and when Redis is back. They do
    /// not become longer from one fault to the next.
    fn bounds(&self, times: &[[u64; 4]]) -> Vec<(bool, String)> {
        let (_, [name, ..]) = FAULTS[0];
        let before = times.first().map_or(0, |found| found[0]);
        let later =
            FAULTS.iter().zip(times).flat_map(|((_, names), found)| [2, 3].map(|at| (names[at], found[at])));
        let bounds = later.map(|(name_now, now)| {
            let became = format!("{name_now} was {now} µs, and {name} {before} µs");
            (is_slow([before, now], self.fast), became)
        });
        bounds.collect()
    }
}

/// Removes what the servers put into Redis, again and again; returns why it cannot.
async fn lose_all(proxies: &[Proxy]) -> TortureError {
    loop {
        for proxy in proxies {
            if let Err(error) = proxy.forget().await {
                return TortureError::Child(error);
            }
        }
        sleep(LOSSES).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_are_slow_in_a_fault_or_when_redis_is_back_are_a_failure() {
        let (nodes, redis) = (NonZeroUsize::MIN, String::new());
        let test = StoreFaults { redis, nodes, seconds: 5, shoppers: 8, fast: 20, unchecked: false };
        for (times, expected) in [
            ([[15_000, 99_000, 30_000, 30_000], [30_000; 4]], None),
            ([[300, 99_000, 20_000, 20_000], [20_000; 4]], None),
            (
                [[15_000, 15_000, 30_001, 15_000], [15_000; 4]],
                Some("away_then was 30001 µs, and away_before 15000 µs"),
            ),
            (
                [[15_000; 4], [15_000, 15_000, 15_000, 0]],
                Some("silent_after was 0 µs, and away_before 15000 µs"),
            ),
            // not twice what was before the second fault
            (
                [[15_000, 15_000, 15_000, 25_000], [25_000, 25_000, 25_000, 30_001]],
                Some("silent_after was 30001 µs, and away_before 15000 µs"),
            ),
        ] {
            let error = TortureError::of_exceeded(test.bounds(&times));
            let error = error.map(|error| error.to_string());
            assert_eq!(error, expected.map(|what| format!("the server was worse than it may be: {what}")));
        }
    }
}
