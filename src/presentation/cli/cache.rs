//! `undercroft cache`: shows, clears and warms the caches.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::open_store::{open_store, open_to_change, redis};
use super::terminal::stdout;
use super::{CliError, counted, print_item};
use crate::application::Store;
use crate::application::catalogue::caches::{self, Invalidated, WARM_CACHES};
use crate::application::jobs::job_queue;
use crate::domain::state::State;
use crate::infrastructure::cache::{CacheUrl, EntriesInRedis, Redis};
use crate::infrastructure::repositories::Setup;
use crate::settings::Settings;

/// The arguments of `cache`.
#[derive(Args, Debug)]
pub struct Cache {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// Show the caches, their entries in Redis, the invalidations that the database has, and whether Redis responds
    ///
    /// The entries in Redis are all that have not expired there, also those that were dropped and are not used any
    /// more.
    Look(Look),
    /// Drop entries on every server; those in Redis are not used any more, and stay until they expire
    ///
    /// No cache needs it to be right: it is for changes that were made in the database without the store. What servers
    /// keep of the data of users is dropped with their next read of the catalogue, or ends within a minute.
    Clear(Clear),
    /// Create a job that loads what shoppers read first, which a running server or worker runs
    Warm,
}

#[derive(Args, Debug)]
struct Look {
    /// Print a JSON object for each cache, one for the invalidations, and one for Redis, if there is one
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Clear {
    /// The tags of the entries: `products` (lists and searches), `product:ID`, `categories`, `category:ID`,
    /// `variant:ID`, `discount:ID`, or `catalogue`, which is all of them [default: everything]
    #[arg(value_name = "TAG", value_parser = tag)]
    tags: Vec<String>,
}

/// Reads a tag. Its error says which there are.
fn tag(text: &str) -> Result<String, &'static str> {
    const FORMS: &str = "not a tag: tags are `products`, `product:ID`, `categories`, `category:ID`, `variant:ID`, \
                         `discount:ID` and `catalogue`, with an id in small letters";
    if caches::is_tag(text) { Ok(text.to_owned()) } else { Err(FORMS) }
}

/// A cache, as it is printed.
#[derive(Serialize)]
struct Kept {
    cache: &'static str,
    ttl_seconds: u64,
    limit_bytes: u64,
    /// Those that were dropped are there until they expire. `None` without Redis, if it does not respond, or of a cache
    /// whose entries are never in it.
    entries_in_redis: Option<u64>,
}

/// The Redis of the caches, as it is printed.
#[derive(Serialize)]
struct Shared<'a> {
    /// Its host and port.
    redis: &'a str,
    responds: bool,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Cache {
    /// Runs the command.
    pub async fn run(self, settings: Settings) -> Result<(), CliError> {
        match self.command {
            CacheCommand::Look(look) => look.run(&settings).await,
            CacheCommand::Clear(clear) => clear.run(&settings).await,
            CacheCommand::Warm => warm(&settings).await,
        }
    }
}

impl Look {
    async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let store = open_store(settings, Setup::ReadOnly).await?;
        let redis = redis(&settings.cache).map(|redis| Arc::new(redis.however_slow()));
        let (error, entries) = match &redis {
            // first, since it leaves the connection the time that a command does not have
            Some(redis) => (redis.check().await.err(), entries_in_redis(redis, &store).await),
            None => (None, None),
        };
        for state in caches::states(&store) {
            let of_cache =
                |entries: &BTreeMap<String, u64>| entries.get(state.cache).copied().unwrap_or_default();
            let kept = Kept {
                cache: state.cache,
                ttl_seconds: state.policy.ttl.as_secs(),
                limit_bytes: state.policy.max_bytes,
                entries_in_redis: entries.as_ref().filter(|_| state.is_shared).map(of_cache),
            };
            print_item(self.json, &kept, &kept.describe())?;
        }
        let invalidated = caches::invalidated(&store).await.map_err(CliError::Store)?;
        print_item(self.json, &invalidated, &describe(&invalidated))?;
        let Some(redis) = &redis else { return Ok(()) };
        let error = error.map(|error| error.to_string());
        let shared = Shared { redis: redis.server(), responds: error.is_none(), error };
        print_item(self.json, &shared, &shared.describe())
    }
}

/// Returns the numbers of the store's entries in Redis by cache; `None` if it does not respond.
async fn entries_in_redis(redis: &Arc<Redis>, store: &Store) -> Option<BTreeMap<String, u64>> {
    let entries = EntriesInRedis(Arc::clone(redis));
    let tier = store.infrastructure.shared_tier(entries.clone());
    entries.by_cache(tier.prefix()).await.ok()
}

impl Kept {
    fn describe(&self) -> String {
        let Self { cache, ttl_seconds, limit_bytes, entries_in_redis } = self;
        let entries = entries_in_redis.map(|number| {
            let entries = counted(number, "entry", "entries");
            format!("; in Redis: {entries}, including dropped ones")
        });
        let entries = entries.unwrap_or_default();
        format!("{cache:<18}at most {ttl_seconds} s, {limit_bytes} bytes in each process{entries}")
    }
}

impl Shared<'_> {
    fn describe(&self) -> String {
        self.error.clone().unwrap_or_else(|| format!("Redis at {} responds", self.redis))
    }
}

fn describe(invalidated: &Invalidated) -> String {
    let known = counted(invalidated.invalidations, "invalidation", "invalidations");
    let since = invalidated.oldest_at.map(|at| format!(" since {at}")).unwrap_or_default();
    format!("{known} in the log of events{since}")
}

impl Clear {
    async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let store = open_to_change(settings, "cache clear").await?;
        let what = if self.tags.is_empty() { "everything".to_owned() } else { self.tags.join(", ") };
        caches::clear(&store, self.tags).await.map_err(CliError::Store)?;
        let in_redis = match settings.cache {
            CacheUrl::Redis(_) => "\nEntries in Redis are no longer used; they stay until they expire.",
            CacheUrl::Memory => "",
        };
        writeln!(stdout(), "dropped on every server: {what}{in_redis}").map_err(CliError::Output)
    }
}

async fn warm(settings: &Settings) -> Result<(), CliError> {
    let store = open_to_change(settings, "cache warm").await?;
    let job = job_queue(&store).run(WARM_CACHES, json!({}), None).await.map_err(CliError::Store)?;
    let (id, status) = (job.id, job.status.name());
    writeln!(stdout(), "job {id} is {status}; a server or worker runs it: see `undercroft jobs list`")
        .map_err(CliError::Output)
}
