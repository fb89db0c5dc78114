//! The cost of the store as ratios within one run and as CPU time per operation. Elapsed times are printed for context
//! only: they depend on the machine.
//!
//! `cargo bench --bench store -- [--quick] [--postgres URL] [--redis URL] [--trace FILE] [caches] [commits] [events]
//! [http] [start]`. `--quick` runs for about half a minute; its figures are noisy. CPU and memory of a server are read
//! from `/proc`, so that part needs Linux.

mod bare;
mod caches;
mod commits;
mod events;
mod figures;
mod http;
mod load;
mod process;
mod raw;
mod raw_events;
mod schema;
mod shop;
mod start;
mod trace;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// That of the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The result of a measurement; an error ends it and is printed.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
struct Options {
    /// Run for about half a minute; the figures are noisy
    #[arg(long)]
    quick: bool,
    /// Measure events and HTTP on this PostgreSQL as well (`postgres://…`), in a temporary schema
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Measure HTTP with the caches of the store at this Redis as well (`redis://…`); its entries are removed
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Replay the reads in a file, a key in each line, and print the hit ratios
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Measure these parts only
    parts: Vec<Part>,
    /// Serve the bytes of a file with bare axum, for comparison
    #[arg(long, hide = true, value_name = "FILE")]
    bare: Option<PathBuf>,
    /// Put the middleware of the store at this URL around bare axum
    #[arg(long, hide = true, value_name = "URL", requires = "bare")]
    chain: Option<String>,
    /// Serve the store at this URL, and refuse each request for overload
    #[arg(long, hide = true, value_name = "URL")]
    refuse: Option<String>,
    /// Passed by cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Caches and rate limits, and the libraries below them
    Caches,
    /// Durable checkouts with group commit, and the same SQL by hand
    Commits,
    /// Requests over HTTP, and bare axum
    Http,
    /// Delivery of events, the bus of signals, and a full outbox
    Events,
    /// Start to first response, and idle memory
    Start,
}

fn main() -> Outcome<()> {
    let options = Options::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all();
    if options.refuse.is_some() {
        // that of the server
        runtime.global_queue_interval(2);
    }
    runtime.build()?.block_on(run(options))
}

async fn run(options: Options) -> Outcome<()> {
    if let Some(file) = options.bare {
        return match options.chain {
            Some(url) => bare::serve_in_chain(&file, &url).await,
            None => bare::serve(&file).await,
        };
    }
    if let Some(url) = options.refuse {
        return bare::refuse(&url).await;
    }
    if let Some(file) = options.trace {
        return trace::measure(&file).await;
    }
    let wanted = |part| options.parts.is_empty() || options.parts.contains(&part);
    if wanted(Part::Start) {
        start::measure(options.quick).await?;
    }
    if wanted(Part::Caches) {
        caches::measure(options.quick).await?;
    }
    if wanted(Part::Commits) {
        commits::measure(options.quick).await?;
    }
    if wanted(Part::Events) {
        events::measure(options.quick, options.postgres.as_deref()).await?;
    }
    if wanted(Part::Http) {
        http::measure(options.quick, options.postgres.as_deref(), options.redis.as_deref()).await?;
    }
    Ok(())
}
