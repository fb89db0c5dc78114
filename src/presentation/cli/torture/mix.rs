//! Shoppers who look at what was bought in an imported store: how many reads each cache answers from memory, and how
//! many queries a request takes with and without caches.
//!
//! A shopper looks for the product of a past sale, chosen at random, so that products are read as often as they were
//! bought.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use clap::Args;
use http::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::super::CliError;
use super::Outcome;
use super::client::{Client, NoResponse, Response};
use super::error::TortureError;
use super::random::{random_below, random_index};
use super::test_store::{TestStore, checkout};
use crate::domain::context::Context;
use crate::domain::order::OrderLine;
use crate::infrastructure::cache::CACHES;
use crate::infrastructure::repositories::Json;

/// The arguments of `torture mix`.
#[derive(Args, Debug)]
pub(super) struct Mix {
    /// The past sales, in a format that `import` reads
    #[arg(value_name = "FILE")]
    sales: PathBuf,
    /// The number of visits, with caches and without
    #[arg(long, default_value_t = 2_000)]
    visits: u64,
    /// The number of concurrent shoppers
    #[arg(long, default_value_t = 8)]
    shoppers: u32,
    /// Let no shopper put anything into a cart
    #[arg(long)]
    browse: bool,
}

/// What shoppers look for.
struct Sales {
    browse: bool,
    /// The product, the variant and the name of each line that was sold.
    lines: Vec<(String, String, String)>,
    context: Context,
    visits: AtomicU64,
    requests: AtomicU64,
    failed: AtomicU64,
}

impl Mix {
    /// Runs the test.
    pub(super) async fn run(&self, store: &TestStore) -> Result<Outcome, CliError> {
        let folder = tempfile::tempdir().map_err(TortureError::Child)?;
        let rejects = folder.path().join("rejects.csv");
        let import = ["import", "--log-level", "off", "--rejects"].map(OsStr::new);
        store.run(&[&import[..], &[rejects.as_os_str(), self.sales.as_os_str()]].concat()).await?;
        let in_stock = store.database().write((), async |work, ()| {
            // before any server runs
            work.execute("UPDATE inventory SET stock = 1000000 WHERE stock IS NOT NULL", &[]).await
        });
        let _: u64 = in_stock.await.map_err(CliError::Database)?;
        let sales = Arc::new(Sales::read(store, self.browse).await?);

        let names = CACHES.map(|name| format!("CACHES__LIMIT_BYTES__{}", name.to_uppercase()));
        let without = names.each_ref().map(|name| (name.as_str(), "0"));
        let bare = self.measure(store, &sales, &without).await?;
        store.forget_counted();
        let cached = self.measure(store, &sales, &[]).await?;
        let failed = sales.failed.load(Relaxed);
        Ok(Outcome {
            counts: vec![
                ("requests", cached.0),
                ("requests_without", bare.0),
                ("queries_per_1000", cached.1),
                ("queries_per_1000_without", bare.1),
                ("failed", failed),
            ],
            error: (failed > 0).then_some(TortureError::FailedRequests { failed, unclean: 0 }),
        })
    }

    /// Lets shoppers visit a server with these settings. Returns the number of their requests, and of the queries of a
    /// thousand of them, with those of the worker.
    async fn measure(
        &self,
        store: &TestStore,
        sales: &Arc<Sales>,
        settings: &[(&str, &str)],
    ) -> Result<(u64, u64), CliError> {
        let metrics = free_address().map_err(TortureError::Child)?;
        let listen = metrics.to_string();
        let server = store.serve_with(&[&[("METRICS__LISTEN", listen.as_str())], settings].concat()).await?;
        let user = store.user(None).await?;
        sales.visits.store(self.visits, Relaxed);
        let (requests, before) = (sales.requests.load(Relaxed), queries(metrics).await?);
        let mut shoppers = JoinSet::new();
        for number in 0..self.shoppers {
            let client = if number % 4 == 0 { server.client(&user) } else { server.guest() };
            shoppers.spawn(Arc::clone(sales).shop(client, number % 4 == 0));
        }
        shoppers.join_all().await;
        let (requests, queries) = (sales.requests.load(Relaxed) - requests, queries(metrics).await? - before);
        server.kill().await?;
        Ok((requests, 1_000 * queries / requests.max(1)))
    }
}

impl Sales {
    async fn read(store: &TestStore, browse: bool) -> Result<Self, CliError> {
        let sql = "SELECT lines FROM orders";
        let orders: Vec<Json<Vec<OrderLine>>> = store.database().read().await?.all(sql, &[]).await?;
        let lines = orders.into_iter().flat_map(|Json(lines)| lines);
        let lines = lines.map(|line| (line.product_id.to_string(), line.variant_id.to_string(), line.name));
        Ok(Self {
            browse,
            lines: lines.collect(),
            context: store.database().context().clone(),
            visits: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// Visits the shop until there were enough visits.
    async fn shop(self: Arc<Self>, mut client: Client, is_user: bool) {
        let take = |left: u64| left.checked_sub(1);
        while self.visits.fetch_update(Relaxed, Relaxed, take).is_ok() {
            if self.visit(&mut client, is_user).await.is_none() {
                self.failed.fetch_add(1, Relaxed);
            }
        }
    }

    /// A visit: of 100, 40 begin at the list, 30 at a search, the others at the product; 30 put it into a cart and look
    /// at that twice; 5 buy. A user also looks at the own account.
    async fn visit(&self, client: &mut Client, is_user: bool) -> Option<()> {
        let (product, variant, name) = &self.lines[random_index(&self.context, self.lines.len())];
        match random_below(&self.context, 100) {
            0..40 => drop(self.get(client, "/v1/products").await?),
            40..70 => {
                let word = name.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| word.len() > 2);
                self.get(client, &format!("/v1/products?q={}", word.unwrap_or("the"))).await?;
            }
            _ => {}
        }
        self.get(client, "/v1/categories").await?;
        self.get(client, &format!("/v1/products/{product}")).await?;
        if is_user {
            for path in ["/v1/me", "/v1/me/preferences", "/v1/orders", "/v1/notifications"] {
                self.get(client, path).await?;
            }
        }
        let decision = random_below(&self.context, 100);
        if self.browse || decision >= 30 {
            return Some(());
        }
        let cart = self.send(client, Method::POST, "/v1/carts", Some(json!({})), None).await?.text("id");
        let item = format!("/v1/carts/{cart}/items/{variant}");
        self.send(client, Method::PUT, &item, Some(json!({"quantity": 1})), None).await?;
        let cart = format!("/v1/carts/{cart}");
        for _ in 0..2 {
            self.get(client, &cart).await?;
        }
        if decision < 5 {
            let (path, key) =
                (format!("{cart}/checkout"), format!("torture-mix-{}", self.context.ids.uuid()));
            self.send(client, Method::POST, &path, Some(checkout("tok_ok")), Some(&key)).await?;
        }
        Some(())
    }

    async fn get(&self, client: &mut Client, path: &str) -> Option<Response> {
        self.send(client, Method::GET, path, None, None).await
    }

    /// Sends a request; `None` if it fails.
    async fn send(
        &self,
        client: &mut Client,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
        key: Option<&str>,
    ) -> Option<Response> {
        self.requests.fetch_add(1, Relaxed);
        let response = client.send(method, path, body.as_ref(), key).await.ok()?;
        (200..300).contains(&response.status).then_some(response)
    }
}

/// Returns an address on which nothing listens.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Returns the number of queries that a server has counted.
async fn queries(metrics: SocketAddr) -> Result<u64, TortureError> {
    let text = Client::new(metrics, None).send(Method::GET, "/metrics", None, None).await;
    let text = text.map_err(|NoResponse| TortureError::ChildUnresponsive)?;
    let text = String::from_utf8_lossy(&text.body).into_owned();
    let number = text.lines().find_map(|line| line.strip_prefix("undercroft_database_queries_total "));
    number.and_then(|number| number.trim().parse().ok()).ok_or(TortureError::ChildUnresponsive)
}
