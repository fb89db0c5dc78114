//! More shoppers arrive than the server can serve: how many buy, and how long they wait.
//!
//! The load is open: shoppers arrive at a rate, whether those before them have their responses or not. A shopper looks
//! at products, creates a cart, adds a piece and checks out; one that is refused leaves. The capacity is that of
//! shoppers who come back as soon as they have bought. The server and this process should have a processor each:
//! `taskset -c 1 undercroft torture overload --server-processor 0`.
//!
//! The test fails if too few buy, or if what is accepted takes more than three times as long as at half of the
//! capacity.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::super::CliError;
use super::Outcome;
use super::error::TortureError;
use super::plain_connection::PlainConnection;
use super::slow_clients::late;
use super::test_store::{TestStore, checkout};
use crate::domain::ids::VariantId;

/// The arguments of `torture overload`.
#[derive(Args, Debug)]
pub(super) struct Overload {
    /// The duration of each load in seconds, after as long to warm up
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// The processor on which the server runs alone (by `taskset`) [default: any]
    #[arg(long)]
    server_processor: Option<u32>,
    /// Let the server accept everything, for comparison: whatever is measured is no failure
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
/// The least share of the capacity that must be bought at each load, in per cent. At half of it, there are no more
/// shoppers.
const LEAST_BOUGHT: [u64; 3] = [0, 90, 80];
/// How many times as long as at half of the capacity an accepted request may take (the 99th percentile).
const MOST_DELAY: u64 = 3;
/// The shoppers by whom the capacity is measured.
const BUYERS: usize = 128;
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
struct Shoppers {
    idle: Mutex<Vec<PlainConnection>>,
    seen: Mutex<Seen>,
    /// The number of shoppers so far, by which their checkouts have different keys.
    visits: AtomicU64,
    /// The port of the server, which makes the keys different from those at another one.
    port: u16,
    variant: VariantId,
    /// The body of a checkout.
    checkout: String,
}

impl Overload {
    /// Runs the test.
    pub(super) async fn run(&self, store: &TestStore) -> Result<Outcome, CliError> {
        let variant = store.product(1_000_000_000).await?;
        let span = Duration::from_secs(self.seconds.max(1).into());
        let serve = async |enabled: &str| {
            let server = store.serve_on(self.server_processor, &[("OVERLOAD__ENABLED", enabled)]).await?;
            let shoppers = Arc::new(Shoppers::on(server.address(), variant));
            Ok::<_, CliError>((server, shoppers))
        };

        // a buyer who is refused would come back at once
        let (server, shoppers) = serve("false").await?;
        shoppers.settle(span, Shoppers::buy_again).await;
        let capacity = rate(shoppers.take().bought, span);
        server.stop().await?;
        if capacity == 0 {
            return Err(TortureError::NoCapacity.into());
        }
        let (mut counts, mut loads) = (vec![("capacity", capacity)], Vec::new());
        let (server, shoppers) = serve(if self.unlimited { "false" } else { "true" }).await?;
        for (tenths, names) in LOADS {
            let wanted = capacity * u64::from(tenths) / 10;
            shoppers.settle(span, |shoppers, span| shoppers.arrive(wanted, span)).await;
            let mut seen = shoppers.take();
            let figures = [
                rate(seen.bought, span),
                late(&mut seen.accepted),
                late(&mut seen.refused),
                seen.refused.len() as u64,
                seen.failed,
            ];
            loads.push([figures[0], figures[1]]);
            counts.extend(names.into_iter().zip(figures));
        }
        server.stop().await?;
        let error = if self.unlimited { None } else { error(capacity, &loads) };
        Ok(Outcome { counts, error })
    }
}

/// Returns the failure of the test, from how many bought in a second at each load, and the 99th percentile of the time
/// of an accepted request.
fn error(capacity: u64, loads: &[[u64; 2]]) -> Option<TortureError> {
    let at_half = loads.first().map_or(0, |[_, time]| *time);
    let mut bounds = Vec::new();
    for ((&[bought, time], least), (_, names)) in loads.iter().zip(LEAST_BOUGHT).zip(LOADS) {
        let few = format!("{} {bought} of {capacity}", names[0]);
        bounds.push((bought * 100 < capacity * least, few));
        let long = format!("{} {time} µs, {at_half} µs at half of the capacity", names[1]);
        bounds.push((time > MOST_DELAY * at_half, long));
    }
    TortureError::of_exceeded(bounds)
}

impl Shoppers {
    fn on(server: SocketAddr, variant: VariantId) -> Self {
        Self {
            idle: Mutex::new((0..CONNECTIONS).map(|_| PlainConnection::new(server)).collect()),
            seen: Mutex::default(),
            visits: AtomicU64::new(0),
            port: server.port(),
            variant,
            checkout: checkout("tok_ok").to_string(),
        }
    }

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
    async fn buy_again(self: Arc<Self>, span: Duration) {
        let (mut buyers, began) = (JoinSet::new(), Instant::now());
        for _ in 0..BUYERS {
            let shoppers = Arc::clone(&self);
            buyers.spawn(async move {
                while began.elapsed() < span {
                    Arc::clone(&shoppers).visit().await;
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
        let visit = self.visits.fetch_add(1, Ordering::Relaxed);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(mut connection) = idle else { return self.seen(|seen| seen.failed += 1) };
        if self.buy(&mut connection, visit).await.is_some() {
            self.seen(|seen| seen.bought += 1);
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    async fn buy(&self, connection: &mut PlainConnection, visit: u64) -> Option<()> {
        self.send(connection, &request("GET", "/v1/products?limit=5", "", "")).await?;
        let cart = self.send(connection, &request("POST", "/v1/carts", "", "{}")).await?;
        let item = format!("/v1/carts/{cart}/items/{}", self.variant);
        self.send(connection, &request("PUT", &item, "", r#"{"quantity":1}"#)).await?;
        let port = self.port;
        let key = format!("idempotency-key: torture-{port:05}-{visit:016}\r\n");
        let checkout = request("POST", &format!("/v1/carts/{cart}/checkout"), &key, &self.checkout);
        self.send(connection, &checkout).await.map(drop)
    }

    /// Sends a request; returns the id in the response, if it was accepted.
    async fn send(&self, connection: &mut PlainConnection, request: &[u8]) -> Option<String> {
        let began = Instant::now();
        let response = connection.send(request).await;
        self.note(began, response.status).then(|| response.id())
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

/// Returns a request, with further lines of its head and a body, empty for none.
fn request(method: &str, path: &str, head: &str, body: &str) -> Vec<u8> {
    let content = match body.len() {
        0 => String::new(),
        length => format!("content-type: application/json\r\ncontent-length: {length}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nhost: store\r\n{head}{content}\r\n{body}").into_bytes()
}

/// Returns how many these are in a second.
fn rate(number: u64, span: Duration) -> u64 {
    number / span.as_secs().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_who_buy_and_too_long_a_wait_are_a_failure() {
        assert!(error(100, &[[50, 1_000], [90, 3_000], [80, 3_000]]).is_none());
        for (loads, expected) in [
            ([[50, 1_000], [89, 3_000], [80, 3_000]], "double_bought 89 of 100"),
            ([[50, 1_000], [90, 3_001], [80, 3_000]], "double_p99 3001 µs, 1000 µs at half of the capacity"),
            (
                [[50, 1_000], [90, 3_000], [79, 3_001]],
                "tenfold_bought 79 of 100; tenfold_p99 3001 µs, 1000 µs at half of the capacity",
            ),
        ] {
            let error = error(100, &loads).unwrap().to_string();
            assert_eq!(error, format!("the server was worse than it may be: {expected}"));
        }
    }
}
