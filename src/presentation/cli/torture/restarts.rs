//! Two servers behind a load balancer are restarted one after the other under load: no request fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use http::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::CliError;
use super::Outcome;
use super::balancer::{Balancer, CHECK};
use super::client::{Client, NoResponse, Response};
use super::error::TortureError;
use super::test_store::{TestStore, check_out};
use crate::domain::ids::VariantId;

/// The arguments of `torture restarts`.
#[derive(Args, Debug)]
pub(super) struct Restarts {
    /// The number of times a server is restarted
    #[arg(long, default_value_t = 20)]
    restarts: u32,
    /// The number of concurrent buyers, each with a connection that is kept alive
    #[arg(long, default_value_t = 16)]
    buyers: u32,
}

/// The setting of the servers, and its value: longer than a check takes.
const DELAY: (&str, &str) = ("HTTP__SHUTDOWN_DELAY_SECONDS", "1");

/// The counts of the requests.
#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    failed: AtomicU64,
    orders: AtomicU64,
}

impl Restarts {
    /// Runs the test.
    pub(super) async fn run(&self, store: &TestStore) -> Result<Outcome, CliError> {
        let variant = store.product(1_000_000).await?;
        let balancer = Balancer::start().await.map_err(TortureError::Child)?;
        let mut servers = [store.serve_with(&[DELAY]).await?, store.serve_with(&[DELAY]).await?];
        for server in &servers {
            balancer.add(server.address());
        }
        balancer.ready(servers.len()).await;

        let (counts, stop) = (Arc::new(Counts::default()), CancellationToken::new());
        let buyers: Vec<_> = (0..self.buyers)
            .map(|buyer| {
                let client = Client::new(balancer.address, None);
                tokio::spawn(buy(client, variant, buyer, Arc::clone(&counts), stop.clone()))
            })
            .collect();
        let mut unclean = 0;
        for restart in 0..self.restarts as usize {
            let next = store.serve_with(&[DELAY]).await?;
            let (address, slot) = (next.address(), restart % servers.len());
            let old = std::mem::replace(&mut servers[slot], next);
            let removed = old.address();
            unclean += u64::from(!old.stop().await?);
            balancer.remove(removed);
            balancer.add(address);
            balancer.ready(servers.len()).await;
            tokio::time::sleep(CHECK).await;
        }
        stop.cancel();
        for buyer in buyers {
            let _ = buyer.await;
        }

        for server in servers {
            unclean += u64::from(!server.stop().await?);
        }
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let failed = read(&counts.failed);
        Ok(Outcome {
            counts: vec![
                ("restarts", self.restarts.into()),
                ("requests", read(&counts.requests)),
                ("orders", read(&counts.orders)),
                ("failed", failed),
                ("unclean_ends", unclean),
            ],
            error: (failed + unclean > 0).then_some(TortureError::FailedRequests { failed, unclean }),
        })
    }
}

/// Buys until `stop` is cancelled.
async fn buy(
    mut client: Client,
    variant: VariantId,
    buyer: u32,
    counts: Arc<Counts>,
    stop: CancellationToken,
) {
    for order in 0_u32.. {
        if stop.is_cancelled() {
            return;
        }
        let seen = client.send(Method::GET, "/v1/products?limit=5", None, None).await;
        counts.add(&seen);
        let cart = client.send(Method::POST, "/v1/carts", Some(&json!({})), None).await;
        counts.add(&cart);
        let Ok(cart) = cart else { continue };
        let cart = cart.text("id");
        let path = format!("/v1/carts/{cart}/items/{variant}");
        counts.add(&client.send(Method::PUT, &path, Some(&json!({ "quantity": 1 })), None).await);
        let key = format!("torture-restarts-checkout-{buyer}-{order}");
        let placed = check_out(&mut client, &cart, "tok_ok", &key).await;
        counts.add(&placed);
        let is_order = placed.is_ok_and(|placed| placed.status == 201);
        counts.orders.fetch_add(is_order.into(), Ordering::Relaxed);
    }
}

impl Counts {
    fn add(&self, response: &Result<Response, NoResponse>) {
        let failed = response.as_ref().map_or(true, |response| response.status >= 400);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(failed.into(), Ordering::Relaxed);
    }
}
