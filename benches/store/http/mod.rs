//! Requests over HTTP to a server in its own process, so that its CPU time is separate from the clients'.

mod refusals;
mod rounds;
mod shoppers;
mod with_redis;

use std::path::Path;

use http::header::IF_NONE_MATCH;

use self::rounds::{Effort, Figures, Table, print_head};
use self::shoppers::{Adder, Buyer, Reader, WithStatus, product_paths};
use crate::Outcome;
use crate::figures::median;
use crate::load::{CONNECTIONS, Caller};
use crate::process::{LIMITS, Server};
use crate::schema::Schema;
use crate::shop::{Shop, folder};

/// The aim for a product that is not in memory: 1.2 times a read without a cache, which took 4.9 times the CPU of bare
/// axum before there were caches.
const MISS: f64 = 1.2 * 4.9;

/// Measures the store on SQLite beside bare axum, with its caches at a Redis and on PostgreSQL if their URLs are given.
pub(crate) async fn measure(quick: bool, postgres: Option<&str>, redis: Option<&str>) -> Outcome<()> {
    let effort = Effort::new(quick);
    let folder = folder()?;
    let url = |file: &str| format!("sqlite:{}", folder.path().join(file).display());
    println!("HTTP on SQLite, {CONNECTIONS} connections (medians of {} rounds)", effort.rounds);
    println!("    with limits that count each request and are not reached; before, there were no limits");
    let bare = serve(folder.path(), &url("store.db"), effort).await?;
    if let Some(redis) = redis {
        println!("HTTP on SQLite and Redis, {CONNECTIONS} connections; the CPU of Redis is not counted");
        println!("    with limits that count each request at Redis");
        with_redis::measure((folder.path(), &url("redis.db")), redis, &bare, effort).await?;
    }
    if let Some(url) = postgres {
        let schema = Schema::make(url).await?;
        println!("HTTP on PostgreSQL, {CONNECTIONS} connections; the database's own CPU is not counted");
        let measured = serve(folder.path(), &schema.url, effort).await;
        schema.remove().await?;
        measured?;
    }
    Ok(())
}

/// Fills the database at `url`, serves the store and measures it. Returns the figures of bare axum.
async fn serve(folder: &Path, url: &str, effort: Effort) -> Outcome<Figures> {
    let Shop { products, variants, .. } = Shop::open(url).await?;
    let server = Server::store(folder, Some(url)).await?;
    let (address, paths) = (server.address, product_paths(&products));

    print_head();
    let bare = product(&server, (folder, url), &paths, effort).await?;
    let settings = [&LIMITS[..], &[("CACHES__LIMIT_BYTES__PRODUCT", "0")]].concat();
    let uncached = Server::store_with(folder, Some(url), &settings).await?;
    let table = Table { server: &uncached, bare: &bare, effort };
    table.row("product, not kept", Some(MISS), Reader::each(uncached.address, &paths)).await?;
    uncached.end().await?;

    let table = Table { server: &server, bare: &bare, effort };
    for (name, path) in [
        ("list of 20", "/v1/products?limit=20"),
        ("search, repeated", "/v1/products?q=oak+chair&limit=20"),
        ("category tree", "/v1/categories"),
    ] {
        table.row(name, Some(4.0), Reader::each(address, &[path.to_owned()])).await?;
    }
    let readers = Reader::with_gzip(address, "/v1/products?limit=20");
    table.row("list of 20, gzip", Some(4.0), readers).await?;
    let tag = Caller::new(address).header(&paths[0], "etag").await?;
    let known = || Caller::with_header(address, IF_NONE_MATCH, tag.clone());
    table.row("not modified", None, WithStatus::each(known, &paths[0], 304)).await?;
    for (name, lines) in [("add to cart", 3), ("add to cart, 50 lines", 50)] {
        table.row(name, Some(15.0), Adder::each(address, &variants, lines).await?).await?;
    }
    table.row("whole order", Some(80.0), Buyer::each(address, &variants)).await?;
    server.end().await?;
    refusals::measure(folder, url, &paths[0], effort).await?;
    Ok(bare)
}

/// Measures a product in memory beside bare axum with the same bytes, alone and in the middleware of the store. Returns
/// the figures of bare axum alone.
async fn product(
    server: &Server,
    (folder, url): (&Path, &str),
    paths: &[String],
    effort: Effort,
) -> Outcome<Figures> {
    let file = folder.join("product.json");
    std::fs::write(&file, Caller::new(server.address).get(&paths[0]).await?)?;
    let (bare, chain) = (Server::bare(&file).await?, Server::bare_in_chain(&file, url).await?);
    let servers = [server, &bare, &chain];
    let mut readers = servers.map(|server| Reader::each(server.address, paths));
    let mut product: [Figures; 3] = Default::default();
    for round in 0..=effort.rounds {
        for ((server, readers), figures) in servers.into_iter().zip(&mut readers).zip(&mut product) {
            figures.add(round, server, readers, effort.span).await?;
        }
    }
    let [mut store, mut bare, mut chain] = product;
    store.print("product by id", "≤ 0.03");
    bare.print("bare axum, same bytes", "");
    chain.print("bare axum, with chain", "");
    println!(
        "    of bare axum: {:.2} times the CPU, {:.2} times the throughput (aim ≥ 0.65)",
        store.ratio(&bare, |figures| &figures.cpu),
        store.ratio(&bare, |figures| &figures.a_second)
    );
    let added = median(chain.cpu.iter().zip(&bare.cpu).map(|(chain, bare)| chain - bare));
    println!("    the chain alone: {:.1} µs of CPU a request (aim ≤ 6)", added * 1e3);
    Ok(bare)
}
