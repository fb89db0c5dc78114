//! More shoppers arrive than the server can serve: how many buy, and how long they wait.
//!
//! The load is open: shoppers arrive at a rate, whether those before them have their responses or not. A shopper looks
//! at products, creates a cart, adds a piece and checks out; one that is refused leaves. The capacity is that of
//! shoppers who come back as soon as they have bought. The server and this process should have a processor each:
//! `taskset -c 1 undercroft torture overload --server-processor 0`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use http::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::super::CliError;
use super::Outcome;
use super::client::Client;
use super::slow_clients::late;
use super::test_store::{TestStore, check_out};
use crate::domain::ids::VariantId;

/// The arguments of `torture overload`.
#[derive(Args, Debug)]
pub(super) struct Overload {
    /// The duration of each load in seconds, after as long to settle
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// The processor on which the server runs alone (by `taskset`) [default: any]
    #[arg(long)]
    server_processor: Option<u32>,
    /// Let the server accept everything, for comparison
    #[arg(long)]
    unlimited: bool,
}

/// The loads, as tenths of the capacity, with the names of what is counted: shoppers who bought in a second, the 99th
/// percentile of the time of an accepted and of a refused request in microseconds, and refused and failed requests.
const LOADS: [(u32, [&str; 5]); 3] = [
    (5, ["half_bought", "half_p99", "half_refusal_p99", "half_refused", "half_failed"]),
    (20, ["double_bought", "double_p99", "double_refusal_p99", "double_refused", "double_failed"]),
    (100, ["tenfold_bought", "tenfold_p99", "tenfold_refusal_p99", "tenfold_refused", "tenfold_failed"]),
];
/// The shoppers by whom the capacity is measured.
const BUYERS: usize = 16;
/// How often shoppers arrive.
const TICK: Duration = Duration::from_millis(1);
/// The most connections: a shopper who finds none is counted as failed.
const CONNECTIONS: usize = 4000;

/// What shoppers saw.
#[derive(Default)]
struct Seen {
    bought: u64,
    failed: u64,
    accepted: Vec<Duration>,
    refused: Vec<Duration>,
}

/// The connections that no shopper has, what the shoppers saw, and what they buy.
struct Street {
    idle: Mutex<Vec<Client>>,
    seen: Mutex<Seen>,
    /// The number of shoppers so far, by which their checkouts have different keys.
    visits: AtomicU64,
    variant: VariantId,
}

impl Overload {
    /// Runs the test.
    pub(super) async fn run(&self, store: &TestStore) -> Result<Outcome, CliError> {
        let variant = store.product(1_000_000_000).await?;
        let enabled = if self.unlimited { "false" } else { "true" };
        let server = store.serve_on(self.server_processor, &[("OVERLOAD__ENABLED", enabled)]).await?;
        let street = Arc::new(Street {
            idle: Mutex::new((0..CONNECTIONS).map(|_| server.guest()).collect()),
            seen: Mutex::default(),
            visits: AtomicU64::new(0),
            variant,
        });

        let span = Duration::from_secs(self.seconds.max(1).into());
        street.settle(span, Street::come_back).await;
        let capacity = rate(street.take().bought, span);
        let mut counts = vec![("capacity", capacity)];
        for (tenths, names) in LOADS {
            let wanted = capacity * u64::from(tenths) / 10;
            street.settle(span, |street, span| street.arrive(wanted, span)).await;
            let mut seen = street.take();
            let figures = [
                rate(seen.bought, span),
                late(&mut seen.accepted),
                late(&mut seen.refused),
                seen.refused.len() as u64,
                seen.failed,
            ];
            counts.extend(names.into_iter().zip(figures));
        }
        server.stop().await?;
        Ok(Outcome { counts, error: None })
    }
}

impl Street {
    /// Loads the server for twice this time, and forgets the first half.
    async fn settle<F: Future<Output = ()>>(
        self: &Arc<Self>,
        span: Duration,
        load: impl Fn(Arc<Self>, Duration) -> F,
    ) {
        load(Arc::clone(self), span).await;
        self.take();
        load(Arc::clone(self), span).await;
    }

    /// Lets a few shoppers buy one time after the other.
    async fn come_back(self: Arc<Self>, span: Duration) {
        let (mut buyers, began) = (JoinSet::new(), Instant::now());
        for _ in 0..BUYERS {
            let street = Arc::clone(&self);
            buyers.spawn(async move {
                while began.elapsed() < span {
                    Arc::clone(&street).visit().await;
                }
            });
        }
        buyers.join_all().await;
    }

    /// Lets shoppers arrive, as many in a second, and does not wait for them.
    async fn arrive(self: Arc<Self>, a_second: u64, span: Duration) {
        let (mut ticks, began) = (interval(TICK), Instant::now());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut arrived = 0;
        while began.elapsed() < span {
            ticks.tick().await;
            let due = u128::from(a_second) * began.elapsed().as_micros() / 1_000_000;
            for _ in arrived..due {
                tokio::spawn(Arc::clone(&self).visit());
            }
            arrived = due;
        }
    }

    /// A shopper buys, or leaves with the first refusal.
    async fn visit(self: Arc<Self>) {
        let key = format!("torture-overload-checkout-{}", self.visits.fetch_add(1, Ordering::Relaxed));
        let client = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(mut client) = client else { return self.seen(|seen| seen.failed += 1) };
        if self.buy(&mut client, &key).await.is_some() {
            self.seen(|seen| seen.bought += 1);
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    }

    async fn buy(&self, client: &mut Client, key: &str) -> Option<()> {
        self.send(client, Method::GET, "/v1/products?limit=5", None).await?;
        let cart = self.send(client, Method::POST, "/v1/carts", Some(json!({}))).await?;
        let item = format!("/v1/carts/{cart}/items/{}", self.variant);
        self.send(client, Method::PUT, &item, Some(json!({ "quantity": 1 }))).await?;
        let began = Instant::now();
        let order = check_out(client, &cart, "tok_ok", key).await;
        self.note(began, order.map_or(0, |order| order.status)).then_some(())
    }

    /// Sends a request; returns the id in the response, if it was accepted.
    async fn send(
        &self,
        client: &mut Client,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Option<String> {
        let began = Instant::now();
        let response = client.send(method, path, body.as_ref(), None).await;
        let status = response.as_ref().map_or(0, |response| response.status);
        (self.note(began, status)).then(|| response.map(|response| response.text("id")).unwrap_or_default())
    }

    /// Notes the time and the status of a response, 0 for none; returns whether the request was accepted.
    fn note(&self, began: Instant, status: u16) -> bool {
        let took = began.elapsed();
        self.seen(|seen| match status {
            200..=299 => seen.accepted.push(took),
            503 => seen.refused.push(took),
            _ => seen.failed += 1,
        });
        (200..300).contains(&status)
    }

    fn seen(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns what was seen since the last call.
    fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns how many these are in a second.
fn rate(number: u64, span: Duration) -> u64 {
    number / span.as_secs().max(1)
}
