//! The caches and the rate limiter beside the libraries below them, in this process: the processor time of one
//! operation, of all threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use governor::{Quota as GovernorQuota, RateLimiter as Governor};
use redis::Script;
use redis::aio::MultiplexedConnection;
use undercroft::application::catalogue::caches::clear;
use undercroft::domain::context::Context;
use undercroft::domain::ids::ProductId;
use undercroft::domain::product::{Product, ProductView};
use undercroft::infrastructure::cache::{
    CacheOptions, CacheUrl, Cached, Caches, EntriesInRedis, Loaded, Policy, ProductName, Redis, Rendered,
    SharedTier, Tag, Tiers,
};
use undercroft::infrastructure::middleware::{Partition, Quota, RateLimit, RateLimiter};
use undercroft::infrastructure::repositories::{Database, ProductRepository, SaveError, Setup};
use uuid::Uuid;

use crate::Outcome;
use crate::figures::{each, median, rate};
use crate::process::{UNREACHED, own_cpu, own_memory};
use crate::shop::{Shop, folder};

/// The keys that are read.
const KEYS: u32 = 10_000;
/// The bytes of a value, about those of a small product.
const VALUE: usize = 1_000;
/// The readers of Redis at one time.
const READERS: usize = 16;
/// The changes of products in a round.
const CHANGES: usize = 300;
/// The Redis, if there is one.
const REDIS: &str = "redis://127.0.0.1:6379";
/// The script that counts a request there.
const COUNT: &str = include_str!("../../src/infrastructure/middleware/rate_limits/count.lua");

/// A cache of texts that cannot fail to load.
type Texts = Cached<u32, Rendered<String>, String>;

/// Measures all of it, with fewer operations if `quick`.
pub(crate) async fn measure(quick: bool) -> Outcome<()> {
    let rounds = if quick { 3 } else { 9 };
    println!("Caches and rate limits in this process (medians of {rounds} rounds)");
    hits(rounds).await?;
    limits(rounds).await?;
    let folder = folder()?;
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    let shop = Shop::open(&url).await?;
    misses(&shop, rounds).await?;
    changes(&shop, &url, rounds).await?;
    // as requests of a server, the readers of Redis run on a thread of the runtime
    tokio::spawn(redis(rounds)).await??;
    memory(if quick { 100_000 } else { 1_000_000 }).await
}

/// A hit in memory, beside one of moka.
async fn hits(rounds: usize) -> Outcome<()> {
    let (texts, bare) =
        (texts(&Tiers::in_memory(Context::system())), moka::sync::Cache::new(u64::from(KEYS)));
    for key in 0..KEYS {
        texts.value(&key).await.map_err(|error| error.to_string())?;
        bare.insert(key, Arc::new(text(key)));
    }
    let looks = (0..KEYS * 50).map(|look| look.wrapping_mul(7_919) % KEYS);

    let raw = async || looks.clone().try_for_each(|key| bare.get(&key).map(drop).ok_or("not kept".into()));
    let own = async || {
        for key in looks.clone() {
            look(&texts, key).await?;
        }
        Ok(())
    };
    compare("hit in memory, of moka's", "≤ 1.5", (rounds, looks.len()), raw, own).await
}

/// A request that is counted, beside one of governor.
async fn limits(rounds: usize) -> Outcome<()> {
    let context = Context::system();
    let limiter = RateLimiter::in_process(context.clock.clone());
    let limit = RateLimit { name: "bench", quota: UNREACHED.parse()? };
    let bare = Governor::hashmap(GovernorQuota::per_second(1_000_000.try_into()?));
    let clients: Vec<_> = (0..1_000).map(|_| context.ids.uuid()).collect();
    let requests = || std::iter::repeat_n(&clients, 500).flatten();

    let raw = async || requests().try_for_each(|client| bare.check_key(client).map_err(|_| "refused".into()));
    let own = async || {
        for client in requests() {
            count(&limiter, limit, *client).await?;
        }
        Ok(())
    };
    compare("request counted, of governor's", "", (rounds, requests().count()), raw, own).await
}

/// A product that is not in memory, beside one that is read without a cache.
async fn misses(shop: &Shop, rounds: usize) -> Outcome<()> {
    let caches = Caches::new(shop.store.database(), CacheOptions::default());
    let raw = async || {
        for id in &shop.products {
            read(shop.store.database(), *id).await?;
        }
        Ok(())
    };
    // as in a server that has run for a while, entries take the place of others that were dropped
    let own = async || {
        clear(&shop.store, Vec::new()).await.map_err(|failure| failure.report().to_string())?;
        for id in &shop.products {
            let found = caches.current().await?.product.value(&ProductName::Id(*id)).await;
            found.map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    own().await?;
    let name = "product not in memory, of one without a cache";
    compare(name, "≤ 1.2", (rounds, shop.products.len()), raw, own).await
}

async fn read(database: &Database, id: ProductId) -> Outcome<ProductView> {
    let mut connection = database.read().await?;
    let found = ProductRepository(&mut connection).by_id(id).await?;
    Ok(found.ok_or("a product is missing")?)
}

/// A change of a product with its invalidation, beside one without.
async fn changes(shop: &Shop, url: &str, rounds: usize) -> Outcome<()> {
    let plain = Database::open(&url.parse()?, Context::system(), Setup::IfEmpty).await?;
    let raw = async || change(&plain, &shop.products).await;
    let own = async || change(shop.store.database(), &shop.products).await;
    compare("product changed, of one without invalidation", "≤ 1.1", (rounds, CHANGES), raw, own).await
}

async fn change(database: &Database, products: &[ProductId]) -> Outcome<()> {
    for id in products.iter().take(CHANGES) {
        let mut product: Product = read(database, *id).await?.product;
        product.description = format!("Changed at {}", database.context().clock.now());
        let changed = database.write(product, async |work, product| {
            ProductRepository::update(work, &mut product.clone(), &std::collections::BTreeMap::new()).await?;
            Ok::<_, SaveError>(())
        });
        changed.await?;
    }
    Ok(())
}

/// Entries from Redis and requests counted there, beside the commands alone.
async fn redis(rounds: usize) -> Outcome<()> {
    let url = REDIS;
    let Ok(connection) = ::redis::Client::open(url)?.get_multiplexed_async_connection().await else {
        println!("    Redis is not at {url}: what it costs is not measured");
        return Ok(());
    };
    let context = Context::system();
    let space = context.ids.uuid().to_string();
    let gets = entries(&connection, &space, &context, rounds).await?;
    counts(&connection, &space, &context, rounds, gets).await
}

/// Entries from Redis beside `GET` alone; returns how many of these there are in a second.
async fn entries(
    connection: &MultiplexedConnection,
    space: &str,
    context: &Context,
    rounds: usize,
) -> Outcome<f64> {
    let shared = || -> Outcome<SharedTier> {
        Ok(SharedTier::new(Arc::new(EntriesInRedis(Arc::new(Redis::new(REDIS)?))), space.as_bytes()))
    };
    let process = || -> Outcome<Texts> {
        Ok(texts(&Tiers { shared: Some(shared()?), ..Tiers::in_memory(context.clone()) }))
    };
    let filling = process()?;
    for_each(0..KEYS, |key| look(&filling, key)).await?;
    let keys: Vec<String> = (0..KEYS).map(|key| format!("{space}:{key}")).collect();
    for_each(keys.clone().into_iter(), |key| set(connection.clone(), key)).await?;

    let (mut own, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (names, began) = (keys.clone().into_iter(), Instant::now());
        for_each(names, |key| get(connection.clone(), key)).await?;
        raw.push(rate(keys.len(), began.elapsed()));
        let (texts, began) = (process()?, Instant::now());
        for_each(0..KEYS, |key| look(&texts, key)).await?;
        own.push(rate(keys.len(), began.elapsed()));
        let counts = texts.state().counts;
        (counts.shared == u64::from(KEYS)).then_some(()).ok_or("entries were loaded")?;
    }
    let (own, raw) = (median(own), median(raw));
    println!("  {own:9.0} entries a second from Redis, {raw:9.0} by GET: {:.2} (aim ≥ 0.8)", own / raw);
    remove(connection.clone(), &keys).await?;
    Ok(raw)
}

/// Requests counted at Redis, beside the same script alone and `GET`. Redis removes their keys after a millisecond.
async fn counts(
    connection: &MultiplexedConnection,
    space: &str,
    context: &Context,
    rounds: usize,
    gets: f64,
) -> Outcome<()> {
    let limiter = RateLimiter::open(&REDIS.parse::<CacheUrl>()?, space, context.clock.clone())?;
    let limit = RateLimit { name: "bench", quota: UNREACHED.parse()? };
    let script = Script::new(COUNT);
    let clients: Vec<_> = (0..KEYS).map(|_| context.ids.uuid()).collect();
    let keys: Vec<String> = clients.iter().map(|client| format!("{space}:{client}")).collect();

    let (mut own, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (names, now) = (keys.clone().into_iter(), context.clock.now().as_microsecond());
        let began = Instant::now();
        for_each(names, |key| evaluate(connection.clone(), &script, key, limit.quota, now)).await?;
        raw.push(rate(keys.len(), began.elapsed()));
        let (clients, began) = (clients.clone().into_iter(), Instant::now());
        for_each(clients, |client| count(&limiter, limit, client)).await?;
        own.push(rate(keys.len(), began.elapsed()));
    }
    let (own, raw) = (median(own), median(raw));
    println!(
        "  {own:9.0} requests counted at Redis in a second: {:.2} of GET; {raw:.0} by EVALSHA of the script: {:.2}",
        own / gets,
        own / raw
    );
    Ok(())
}

/// Runs an operation for all items, a few at a time.
async fn for_each<T, F>(items: impl Iterator<Item = T>, run: impl Fn(T) -> F) -> Outcome<()>
where
    F: Future<Output = Outcome<()>>,
{
    let mut running = stream::iter(items).map(run).buffer_unordered(READERS);
    while let Some(ended) = running.next().await {
        ended?;
    }
    Ok(())
}

async fn look(texts: &Texts, key: u32) -> Outcome<()> {
    texts.get(&key).await.map(drop).map_err(|error| error.to_string().into())
}

async fn count(limiter: &RateLimiter, limit: RateLimit, client: Uuid) -> Outcome<()> {
    let decision = limiter.count(limit, Partition::User(client)).await;
    decision.is_allowed.then_some(()).ok_or("refused".into())
}

async fn set(mut connection: MultiplexedConnection, key: String) -> Outcome<()> {
    let mut command = ::redis::cmd("SET");
    Ok(command.arg(key).arg(text(0)).arg("EX").arg(600).query_async(&mut connection).await?)
}

async fn get(mut connection: MultiplexedConnection, key: String) -> Outcome<()> {
    let found: Option<Vec<u8>> = ::redis::cmd("GET").arg(key).query_async(&mut connection).await?;
    found.map(drop).ok_or("not kept".into())
}

async fn evaluate(
    mut connection: MultiplexedConnection,
    script: &Script,
    key: String,
    quota: Quota,
    now: i64,
) -> Outcome<()> {
    let mut call = script.key(key);
    call.arg(now).arg(quota.interval()).arg(quota.full()).arg(1);
    let (is_counted, _): (bool, i64) = call.invoke_async(&mut connection).await?;
    is_counted.then_some(()).ok_or("refused".into())
}

async fn remove(mut connection: MultiplexedConnection, keys: &[String]) -> Outcome<()> {
    Ok(::redis::cmd("DEL").arg(keys).query_async(&mut connection).await?)
}

/// The memory of many entries, beside moka's.
async fn memory(entries: u32) -> Outcome<()> {
    let start = own_memory()?;
    let bare = moka::sync::Cache::new(u64::from(entries) * 2);
    for key in 0..entries {
        bare.insert(key, Arc::new(short(key)));
    }
    bare.run_pending_tasks();
    let raw = own_memory()? - start;
    let start = own_memory()?;
    let policy = Policy { ttl: Duration::from_hours(1), max_bytes: 8 << 30, ..Policy::named("bench", 1) };
    let texts: Texts = Tiers::in_memory(Context::system()).cached(policy, async |key| loaded(short(key)));
    for key in 0..entries {
        texts.get(&key).await.map_err(|error| error.to_string())?;
    }
    let state = texts.state();
    let own = own_memory()? - start;
    println!(
        "  {own:9.0} MB for {} entries of 100 bytes, {raw:.0} MB in moka: {:.2} times; weighed as {} MB",
        state.entries,
        own / raw,
        state.bytes >> 20
    );
    drop(bare);
    Ok(())
}

fn texts(tiers: &Tiers) -> Texts {
    let policy = Policy { ttl: Duration::from_hours(1), max_bytes: 1 << 30, ..Policy::named("bench", 1) };
    tiers.cached(policy, async |key| loaded(text(key)))
}

fn loaded(value: String) -> Result<Loaded<Rendered<String>>, String> {
    let bytes = u32::try_from(value.len()).map_err(|error| error.to_string())?;
    Ok(Loaded { value: Some(Rendered::new(value)), tags: vec![Tag::of("bench")], bytes })
}

fn text(key: u32) -> String {
    format!("{key:0>VALUE$}")
}

fn short(key: u32) -> String {
    format!("{key:0>100}")
}

/// Prints the processor time of an operation beside that of the library below it, each run so many times in a round.
async fn compare(
    name: &str,
    aim: &str,
    (rounds, times): (usize, usize),
    raw: impl AsyncFn() -> Outcome<()>,
    own: impl AsyncFn() -> Outcome<()>,
) -> Outcome<()> {
    let (mut raws, mut owns) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = own_cpu()?;
        raw().await?;
        let between = own_cpu()?;
        own().await?;
        let ended = own_cpu()?;
        raws.push(each(between.saturating_sub(began), times));
        owns.push(each(ended.saturating_sub(between), times));
    }
    let (raw, own) = (median(raws) * 1e6, median(owns) * 1e6);
    println!("  {own:9.0} ns for a {name} {raw:.0} ns: {:.2} times  {aim}", own / raw);
    Ok(())
}
