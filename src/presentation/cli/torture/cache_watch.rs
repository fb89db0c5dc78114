//! What the caches of a server count; and in check mode, in which it compares what it serves from them with the
//! database, requests that it serves from them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::client::{Client, NoResponse};

/// The time between two readings of the pages.
const INTERVAL: Duration = Duration::from_millis(5);
/// The longest wait for the counters of a server that is about to be killed.
const LAST_READING: Duration = Duration::from_secs(2);

/// What a cache counted.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Counted {
    /// The reads.
    pub(super) reads: u64,
    /// The reads of an entry in memory.
    pub(super) hits: u64,
    /// The loads whose entry was in Redis.
    pub(super) shared: u64,
    /// The entries that were compared.
    pub(super) checks: u64,
    /// The old ones.
    pub(super) stale_hits: u64,
}

/// What the caches of a server, or of several, counted, by their names.
pub(super) type ByCache = BTreeMap<String, Counted>;

/// What a server counted when it was last asked.
pub(super) type LastCounted = Arc<Mutex<ByCache>>;

impl Counted {
    /// Returns the sum of what several caches counted.
    pub(super) fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            reads: sum.reads + one.reads,
            hits: sum.hits + one.hits,
            shared: sum.shared + one.shared,
            checks: sum.checks + one.checks,
            stale_hits: sum.stale_hits + one.stale_hits,
        })
    }
}

/// Writes the reads with the part of them that was in memory, in percent.
impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reads, hits, shared, checks, stale_hits } = self;
        let percent = 100 * hits / reads.max(&1);
        write!(f, "{reads:>8} reads, {percent:>3} % in memory, {shared} in Redis")?;
        if *checks > 0 {
            write!(f, ", {checks} compared, {stale_hits} old")?;
        }
        Ok(())
    }
}

/// Reads the counters of a server until it is dropped.
pub(super) struct CacheWatch {
    reading: JoinHandle<()>,
    admin: Client,
    counted: LastCounted,
}

impl CacheWatch {
    /// Begins to read the counters of a server by an administrator of it, and the pages by a guest, if there is one.
    pub(super) fn start(
        mut guest: Option<Client>,
        [mut reader, admin]: [Client; 2],
        counted: LastCounted,
    ) -> Self {
        let last = Arc::clone(&counted);
        let reading = tokio::spawn(async move {
            loop {
                // a server that is away is read again when it is there
                if let Some(guest) = &mut guest {
                    let _ = read_pages(guest).await;
                }
                let _ = read_counters(&mut reader, &last).await;
                sleep(if guest.is_some() { INTERVAL } else { 20 * INTERVAL }).await;
            }
        });
        Self { reading, admin, counted }
    }

    /// Reads the counters for the last time, as far as the server responds.
    pub(super) async fn end(mut self) {
        let _ = timeout(LAST_READING, read_counters(&mut self.admin, &self.counted)).await;
    }
}

impl Drop for CacheWatch {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Reads the list, a search, the category tree, and the first product of the list.
async fn read_pages(client: &mut Client) -> Result<(), NoResponse> {
    let list = client.send(Method::GET, "/v1/products", None, None).await?.json();
    if let Some(id) = list["items"][0]["id"].as_str() {
        client.send(Method::GET, &format!("/v1/products/{id}"), None, None).await?;
    }
    for path in ["/v1/products?q=scarce", "/v1/categories"] {
        client.send(Method::GET, path, None, None).await?;
    }
    Ok(())
}

/// Reads what the caches of the server counted. A response without them changes nothing.
async fn read_counters(admin: &mut Client, counted: &Mutex<ByCache>) -> Result<(), NoResponse> {
    let caches = admin.send(Method::GET, "/admin/v1/caches", None, None).await?.json();
    let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
    for cache in caches["items"].as_array().into_iter().flatten() {
        let number = |name: &str| cache[name].as_u64().unwrap_or_default();
        let name = cache["name"].as_str().unwrap_or_default().to_owned();
        let read = Counted {
            reads: number("reads"),
            hits: number("hits") + number("stale"),
            shared: number("shared"),
            checks: number("checks"),
            stale_hits: number("stale_hits"),
        };
        counted.insert(name, read);
    }
    Ok(())
}
