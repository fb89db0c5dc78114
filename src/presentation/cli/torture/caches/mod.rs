//! Caches of several servers: two writers change what eight readers see, while servers are killed and Redis is cut
//! off. No reader may see anything older than what was acknowledged before it began, at any server; what a cache could
//! not load again, and says so, may be older by as much as its policy allows.
//!
//! The servers are in check mode: they compare all that they serve from caches with the database, too.

mod catalogue;
mod facts;
mod looks;
mod nodes;
mod shop;
mod store_faults;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::facts::Fact;
use self::looks::{ALL, Reader};
use self::nodes::{Node, Nodes, Ports};
use self::shop::{Kind, Shop, Writer};
pub(super) use self::store_faults::StoreFaults;
use super::super::CliError;
use super::super::unquoted::Unquoted;
use super::Outcome;
use super::crashes::wait_for_outcomes;
use super::error::TortureError;
use super::proxy::{Line, Proxy};
use super::random::{random, random_index};
use super::test_store::TestStore;
use crate::domain::context::Context;
use crate::infrastructure::cache::{CacheUrl, InvalidCacheUrl};

/// The arguments of `torture caches`.
#[derive(Args, Debug)]
pub(super) struct Caches {
    /// How long it lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    seconds: u32,
    /// The number of servers
    #[arg(long, default_value = "4")]
    nodes: NonZeroUsize,
    /// The number of readers; there are two writers
    #[arg(long, default_value_t = 8)]
    readers: u32,
    /// The longest time until a server is killed
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 4_000)]
    life: u64,
    /// The longest time until a server is cut off from Redis
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2_000)]
    cut: u64,
    /// The Redis that the servers share, without a password [default: none]
    #[arg(long, value_name = "URL", value_parser = Unquoted(redis))]
    redis: Option<String>,
    /// Instead of every second server, end the connections of all servers to PostgreSQL, as its restart does; requests
    /// may fail with 503 or 504 then
    #[arg(long)]
    pub(super) database_cuts: bool,
    /// Without check mode, which replaces what is old before readers see it: only they compare
    #[arg(long)]
    pub(super) unchecked: bool,
}

/// The longest pause of a writer in milliseconds, in which readers find something in the caches.
const PAUSE: u64 = 60;
/// The longest fault of Redis in milliseconds.
const FAULT: u64 = 2_500;
/// What happens to a connection to Redis; `Open` stands for a Redis that loses what it has.
const FAULTS: [Line; 7] = [
    Line::Cut,
    Line::Silent,
    Line::Lost,
    Line::Slow(Duration::from_secs(2)),
    Line::Full,
    Line::Garbage,
    Line::Open,
];

impl Caches {
    /// Runs the test.
    pub(super) async fn run(&self, store: &TestStore) -> Result<Outcome, CliError> {
        let mut nodes = Nodes::start(store, self.nodes.get(), self.redis.as_deref(), &[]).await?;
        let shop = Shop::open(&nodes, 0).await?;
        let mut users = JoinSet::new();
        for kind in [Kind::Catalogue, Kind::Users] {
            users.spawn(Writer::new(&shop, nodes.client(None)).run(kind, PAUSE));
        }
        for _ in 0..self.readers {
            users.spawn(Reader::new(&shop, nodes.client(None)).run(ALL, Duration::ZERO, |_| {}));
        }

        let (stop, context, cuts) = (shop.stop.clone(), shop.context.clone(), AtomicU64::new(0));
        let ending = async {
            sleep(Duration::from_secs(self.seconds.into())).await;
            stop.cancel();
        };
        let Nodes { servers, proxies, ports, .. } = &mut nodes;
        let killing = kill(store, &context, (servers, ports), (self.life, self.database_cuts), &stop);
        let cutting = cut(&context, proxies, self.cut, (&stop, &cuts));
        let ((), kills, ()) = tokio::join!(ending, killing, cutting);
        let (kills, database_cuts) = kills?;
        users.join_all().await;
        nodes.end().await?;

        // a server that starts makes the payments due whose attempts the faults delayed
        let last = store.serve().await?;
        wait_for_outcomes(store).await?;
        last.kill().await?;
        let counts = vec![("kills", kills), ("database_cuts", database_cuts), ("cuts", cuts.load(Relaxed))];
        Ok(shop.outcome(counts, self.database_cuts))
    }
}

/// Kills servers, every second time cuts all of them off from the database instead if `database_cuts` says so, until
/// the test stops; returns how often each.
async fn kill(
    store: &TestStore,
    context: &Context,
    (servers, ports): (&mut [Node], &Ports),
    (life, database_cuts): (u64, bool),
    stop: &CancellationToken,
) -> Result<(u64, u64), CliError> {
    let (mut kills, mut cuts) = (0, 0);
    while stop.run_until_cancelled(sleep(random(context, life))).await.is_some() {
        if database_cuts && cuts < kills {
            end_connections(store).await?;
            cuts += 1;
            continue;
        }
        let chosen = random_index(context, servers.len());
        servers[chosen].replace(store, &ports[chosen]).await?;
        kills += 1;
    }
    Ok((kills, cuts))
}

/// Ends the connections of all servers to PostgreSQL.
async fn end_connections(store: &TestStore) -> Result<(), CliError> {
    // the servers have the same name as this process, and the database is theirs alone
    const END: &str = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid() \
                       AND application_name = current_setting('application_name')";
    let _: i64 = store.database().read().await?.one(END, &[]).await?;
    Ok(())
}

/// Disturbs the connections of servers to Redis until the test stops.
async fn cut(
    context: &Context,
    proxies: &[Proxy],
    until: u64,
    (stop, cuts): (&CancellationToken, &AtomicU64),
) {
    if proxies.is_empty() {
        return;
    }
    while stop.run_until_cancelled(sleep(random(context, until))).await.is_some() {
        let proxy = &proxies[random_index(context, proxies.len())];
        match FAULTS[random_index(context, FAULTS.len())] {
            Line::Open => {
                // Redis itself may be away
                let _ = proxy.forget().await;
            }
            line => {
                proxy.set(line);
                stop.run_until_cancelled(sleep(random(context, FAULT))).await;
                proxy.set(Line::Open);
            }
        }
        cuts.fetch_add(1, Relaxed);
    }
}

impl Shop {
    /// Returns what was counted, with these counts before it. `may_be_unavailable` says whether requests may fail with
    /// 503 or 504.
    fn outcome(self: Arc<Self>, mut counts: Vec<(&'static str, u64)>, may_be_unavailable: bool) -> Outcome {
        let count = |count: &AtomicU64| count.load(Relaxed);
        let (old, unavailable) = (self.facts.old(), count(&self.counts.unavailable));
        let failed = count(&self.counts.failed) + if may_be_unavailable { 0 } else { unavailable };
        let known = self.facts.known();
        let of = |facts: &[Fact]| facts.iter().map(|fact| known.of(*fact)).sum::<u64>();
        counts.extend([
            ("reads", count(&self.counts.reads)),
            ("writes", count(&self.counts.writes)),
            ("orders", count(&self.counts.orders)),
            ("discounts", of(&[Fact::Discount])),
            ("created", of(&[Fact::NewProduct, Fact::NewCategory])),
            ("moved", of(&[Fact::Moved, Fact::Parent])),
            ("unanswered", count(&self.counts.unanswered)),
            ("unavailable", unavailable),
            ("failed", failed),
            ("old_reads", old),
        ]);
        let error = match (old, failed) {
            (0, 0) => None,
            (0, failed) => Some(TortureError::FailedRequests { failed, unclean: 0 }),
            (old, _) => Some(TortureError::OldReads { old, first: self.facts.described() }),
        };
        Outcome { counts, error }
    }
}

/// Checks the URL of a Redis.
fn redis(url: &str) -> Result<String, InvalidCacheUrl> {
    match url.parse()? {
        CacheUrl::Redis(url) => Ok(url),
        CacheUrl::Memory => Err(InvalidCacheUrl),
    }
}
