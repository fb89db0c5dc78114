//! The store with its caches at a Redis, where its rate limits count each request, too.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ::redis::aio::MultiplexedConnection;
use undercroft::application::catalogue::caches::clear;
use undercroft::infrastructure::cache::{EntriesInRedis, Redis};

use super::rounds::{Effort, Figures, Table, print_head};
use super::shoppers::{Buyer, Reader, product_paths};
use crate::Outcome;
use crate::load::{Caller, Shopper};
use crate::process::{LIMITS, Server};
use crate::shop::Shop;

/// Fills the database at `url`, serves the store with its caches at a Redis, and measures it beside bare axum. Its
/// entries are removed from Redis afterwards; the numbers of its rate limits expire there after a moment.
pub(super) async fn measure(
    (folder, url): (&Path, &str),
    redis: &str,
    bare: &Figures,
    effort: Effort,
) -> Outcome<()> {
    let connection = ::redis::Client::open(redis)?.get_multiplexed_async_connection().await?;
    let shop = Shop::open(url).await?;
    // the products were inserted without an invalidation, and nothing is shared before the first one
    clear(&shop.store, Vec::new()).await.map_err(|failure| failure.report().to_string())?;
    let tier = shop.store.infrastructure.shared_tier(EntriesInRedis(Arc::new(Redis::new(redis)?)));
    let settings = [&LIMITS[..], &[("CACHE", redis)]].concat();
    let measured = serve((folder, url), &settings, &shop, (bare, effort)).await;
    remove(connection, tier.prefix()).await?;
    measured
}

/// Serves the store with these settings and measures it.
async fn serve(
    (folder, url): (&Path, &str),
    settings: &[(&str, &str)],
    shop: &Shop,
    (bare, effort): (&Figures, Effort),
) -> Outcome<()> {
    let server = Server::store_with(folder, Some(url), settings).await?;
    let (paths, mut caller) = (product_paths(&shop.products), Caller::new(server.address));
    // puts all of them into Redis
    for path in &paths {
        caller.get(path).await?;
    }

    print_head();
    let table = Table { server: &server, bare, effort };
    table.row("product by id", None, Reader::each(server.address, &paths)).await?;
    // this server keeps no product in its memory, and finds those that the first one has put into Redis
    let settings = [settings, &[("CACHES__LIMIT_BYTES__PRODUCT", "0")]].concat();
    let second = Server::store_with(folder, Some(url), &settings).await?;
    let readers = FromRedis::each(second.address, &paths);
    Table { server: &second, bare, effort }.row("product from Redis", None, readers).await?;
    second.end().await?;
    table.row("whole order", None, Buyer::each(server.address, &shop.variants)).await?;
    server.end().await
}

/// Removes the entries whose keys have this beginning, which would stay until they expire.
async fn remove(mut connection: MultiplexedConnection, prefix: &str) -> Outcome<()> {
    let mut cursor = 0_u64;
    loop {
        let mut scan = ::redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(1_000);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut connection).await?;
        if !keys.is_empty() {
            ::redis::cmd("DEL").arg(keys).query_async::<()>(&mut connection).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

/// A reader whose products are all found in Redis.
struct FromRedis(Reader);

impl FromRedis {
    fn each(address: SocketAddr, paths: &[String]) -> Vec<Self> {
        Reader::each(address, paths).into_iter().map(Self).collect()
    }
}

impl Shopper for FromRedis {
    async fn run_once(&mut self) -> Outcome<()> {
        let (caller, path) = self.0.next_read();
        let status = caller.header(path, "cache-status").await?;
        if status.to_str()?.contains("detail=shared") {
            return Ok(());
        }
        Err(format!("{path} was not found in Redis: {status:?}").into())
    }
}
