//! `undercroft torture`: tests races and crashes with a temporary store.
//!
//! It sets up a store in a new SQLite file or in an empty PostgreSQL database, starts the server as a separate process
//! with the default settings, sends the requests of many shoppers at once, kills the server in the crash test, and
//! finally checks the invariants of the store. The SQLite file is removed unless the test failed. A signal ends the
//! test and the processes that it started.

mod balancer;
mod cache_watch;
mod caches;
mod client;
mod crashes;
mod error;
mod events;
mod mix;
mod overload;
mod plain_connection;
mod proxy;
mod races;
mod random;
mod restarts;
mod slow_clients;
mod test_store;

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use self::cache_watch::{ByCache, Counted};
pub(super) use self::error::TortureError;
use self::test_store::{TestStore, Watching};
use super::{CliError, counted, signals::interruptible, unquoted::Unquoted};
use crate::application::consistency::{Violation, check, check_rules};
use crate::infrastructure::adapters::SANDBOX_RULES;
use crate::infrastructure::repositories::DatabaseUrl;
use crate::presentation::http::server::raise_file_limit;

/// The arguments of `torture`.
#[derive(Args, Debug)]
pub struct Torture {
    /// An empty PostgreSQL database to use [default: a new SQLite file]
    #[arg(long, value_name = "URL", value_parser = Unquoted(DatabaseUrl::from_str), global = true)]
    on: Option<DatabaseUrl>,
    /// The folder of the new SQLite file, which is removed if the test succeeds
    #[arg(long, value_name = "FOLDER", default_value = ".", global = true)]
    folder: PathBuf,
    /// Print the counts as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Compare all that the servers serve from caches with the database, also while further clients read the pages
    #[arg(long, global = true)]
    verify_caches: bool,
    #[command(subcommand)]
    test: Test,
}

#[derive(Subcommand, Debug)]
enum Test {
    /// Let many buyers compete for few pieces
    Races(races::Races),
    /// Kill the server under load, and check every response after the restart
    Crashes(crashes::Crashes),
    /// Publish, deliver and run jobs in several processes, kill them, and cut them off
    Events(events::Events),
    /// Let more shoppers arrive than the server can serve
    ///
    /// Prints how many buy in a second at the server's capacity, at half of it, twice and ten times, with the 99th
    /// percentiles of the times of accepted and refused requests in microseconds, and the numbers of those that were
    /// refused and failed.
    Overload(overload::Overload),
    /// Keep connections open by sending and reading slowly
    SlowClients(slow_clients::SlowClients),
    /// Restart two servers behind a load balancer, one after the other, under load
    Restarts(restarts::Restarts),
    /// Change what readers see on several servers, kill them, and cut them off from Redis
    Caches(caches::Caches),
    /// Let servers read pages while their Redis is away, slow, full, empty or responds with garbage
    CacheStore(caches::StoreFaults),
    /// Let shoppers look at what was bought in an imported store, with caches and without
    Mix(mix::Mix),
    /// A process of `events`
    #[command(hide = true)]
    Process(events::Process),
}

/// What a test counted, and the promise of the store that it found broken.
struct Outcome {
    /// The counts by their names.
    counts: Vec<(&'static str, u64)>,
    error: Option<TortureError>,
}

impl Torture {
    /// Runs the test with the default settings. Fails if a promise of the store is broken.
    pub async fn run(self) -> Result<(), CliError> {
        let Self { on, folder, json, verify_caches, test } = self;
        if let Test::Process(process) = &test {
            return Box::pin(process.run()).await;
        }
        if matches!(&test, Test::Caches(caches) if caches.database_cuts)
            && !matches!(on, Some(DatabaseUrl::Postgres(_)))
        {
            return Err(TortureError::NoPostgres.into());
        }
        // some tests have thousands of connections, more than the usual limit of 1024 open files allows
        raise_file_limit();
        let watching = match &test {
            Test::Caches(caches) if !caches.unchecked => Watching::Checks,
            Test::CacheStore(faults) if !faults.unchecked => Watching::Checks,
            _ if verify_caches => Watching::Pages,
            Test::Caches(_) | Test::CacheStore(_) | Test::Mix(_) => Watching::Counts,
            _ => Watching::No,
        };
        let store = TestStore::open(on, &folder).await?.watching(watching);
        let tested = interruptible(async |stop| {
            // the processes that the test started are killed when it is dropped
            let test = Box::pin(test.run(&store, json));
            let interrupted = || Err(CliError::Interrupted("before the end of the test".into()));
            stop.run_until_cancelled(test).await.unwrap_or_else(interrupted)
        });
        let tested = tested.await;
        if matches!(tested, Ok(()) | Err(CliError::Interrupted(_))) {
            store.remove()?;
        }
        tested
    }
}

impl Test {
    /// Runs the test and checks the store after it.
    async fn run(&self, store: &TestStore, json: bool) -> Result<(), CliError> {
        let Outcome { mut counts, error } = match self {
            Self::Races(races) => races.run(store).await?,
            Self::Crashes(crashes) => crashes.run(store).await?,
            Self::Events(events) => events.run(store).await?,
            Self::Overload(overload) => overload.run(store).await?,
            Self::SlowClients(slow) => slow.run(store).await?,
            Self::Restarts(restarts) => restarts.run(store).await?,
            Self::Caches(caches) => caches.run(store).await?,
            Self::CacheStore(faults) => faults.run(store).await?,
            Self::Mix(mix) => mix.run(store).await?,
            Self::Process(_) => return Ok(()),
        };
        let by_cache = store.by_cache();
        let Counted { checks, stale_hits, .. } = Counted::sum(by_cache.values());
        if store.verifies_caches() {
            counts.extend([("checked_entries", checks), ("stale_hits", stale_hits)]);
        }
        let mut violations = check(store.database(), true).await.map_err(CliError::Store)?;
        violations.extend(check_rules(store.database(), SANDBOX_RULES).await.map_err(CliError::Store)?);

        let text = if json {
            self::json(&counts, &by_cache, &violations)
        } else {
            lines(&counts, &by_cache, &violations)
        };
        writeln!(stdout(), "{text}").map_err(CliError::Output)?;
        if let Some(error) = error {
            return Err(error.into());
        }
        if !violations.is_empty() {
            return Err(TortureError::Violations(violations.len() as u64).into());
        }
        if stale_hits > 0 {
            return Err(TortureError::StaleHits(stale_hits).into());
        }
        Ok(())
    }
}

/// Returns the counts, those of the caches and the violated invariants as a JSON object.
fn json(counts: &[(&str, u64)], by_cache: &ByCache, violations: &[Violation]) -> String {
    let mut object: Map<_, _> =
        counts.iter().map(|(name, count)| ((*name).to_owned(), Value::from(*count))).collect();
    if !by_cache.is_empty() {
        object.insert("caches".to_owned(), json!(by_cache));
    }
    object.insert("violations".to_owned(), json!(violations));
    Value::Object(object).to_string()
}

/// Returns the counts, those of the caches and the violated invariants, one on a line.
fn lines(counts: &[(&str, u64)], by_cache: &ByCache, violations: &[Violation]) -> String {
    let counts = counts.iter().map(|(name, count)| format!("{:<18}{count:>8}", name.replace('_', " ")));
    let violations = violations.iter().map(|violation| {
        format!("violated: {} ({})", violation.rule, counted(violation.rows.cast_unsigned(), "row", "rows"))
    });
    let caches = by_cache.iter().map(|(name, counted)| format!("{name:<18}{counted}"));
    counts.chain(caches).chain(violations).collect::<Vec<_>>().join("\n")
}
