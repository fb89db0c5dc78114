//! A server in check mode, which compares what it serves from its caches with the database: requests that it serves
//! from them, and the old entries that it found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::client::{Client, NoResponse};

/// The time between two readings of the pages.
const INTERVAL: Duration = Duration::from_millis(5);
/// The longest wait for the counters of a server that is about to be killed.
const LAST_READING: Duration = Duration::from_secs(2);

/// What a server counted when it was last asked.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// The entries that were compared.
    pub(super) checks: AtomicU64,
    /// The old ones.
    pub(super) stale_hits: AtomicU64,
}

/// Reads the pages of a server until it is dropped.
pub(super) struct CacheWatch {
    reading: JoinHandle<()>,
    admin: Client,
    checked: Arc<Checked>,
}

impl CacheWatch {
    /// Begins to read the pages of a server, by a guest and an administrator of it.
    pub(super) fn start(mut guest: Client, [mut reader, admin]: [Client; 2], checked: Arc<Checked>) -> Self {
        let counted = Arc::clone(&checked);
        let reading = tokio::spawn(async move {
            loop {
                // a server that is away is read again when it is there
                let _ = read_pages(&mut guest).await;
                let _ = read_counters(&mut reader, &counted).await;
                sleep(INTERVAL).await;
            }
        });
        Self { reading, admin, checked }
    }

    /// Reads the counters for the last time, as far as the server responds.
    pub(super) async fn end(mut self) {
        let _ = timeout(LAST_READING, read_counters(&mut self.admin, &self.checked)).await;
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

/// Reads what the server counted.
async fn read_counters(admin: &mut Client, checked: &Checked) -> Result<(), NoResponse> {
    let caches = admin.send(Method::GET, "/admin/v1/caches", None, None).await?.json();
    let sum = |name: &str| {
        let items = caches["items"].as_array().into_iter().flatten();
        items.filter_map(|cache: &Value| cache[name].as_u64()).sum()
    };
    // a response without the counters says nothing
    checked.checks.fetch_max(sum("checks"), Relaxed);
    checked.stale_hits.fetch_max(sum("stale_hits"), Relaxed);
    Ok(())
}
