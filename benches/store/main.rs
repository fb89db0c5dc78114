//! What the store costs, as ratios within one run and as CPU an operation. Times stand beside them for context only:
//! they are the machine's.
//!
//! `cargo bench --bench store -- [--quick] [--postgres URL] [commits] [http] [start]`. `--quick` is a first impression
//! in some twenty seconds; its figures are noisy. CPU and memory of a server are read from `/proc`, so that part needs
//! Linux.

mod bare;
mod commits;
mod figures;
mod http;
mod load;
mod process;
mod raw;
mod schema;
mod shop;
mod start;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// What goes wrong in a measurement ends it, and is told.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
struct Options {
    /// A first impression in some twenty seconds
    #[arg(long)]
    quick: bool,
    /// Measure HTTP on this PostgreSQL as well (`postgres://…`), in a schema of its own
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Only these parts
    parts: Vec<Part>,
    /// Serve the bytes of a file by bare axum: what the store is compared with
    #[arg(long, hide = true, value_name = "FILE")]
    bare: Option<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Durable checkouts in groups, and the same SQL raw
    Commits,
    /// Requests over HTTP, and bare axum
    Http,
    /// Start to first answer, and idle memory
    Start,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let options = Options::parse();
    if let Some(file) = options.bare {
        return bare::serve(&file).await;
    }
    let wanted = |part| options.parts.is_empty() || options.parts.contains(&part);
    if wanted(Part::Start) {
        start::measure(options.quick).await?;
    }
    if wanted(Part::Commits) {
        commits::measure(options.quick).await?;
    }
    if wanted(Part::Http) {
        http::measure(options.quick, options.postgres.as_deref()).await?;
    }
    Ok(())
}
