//! More shoppers arrive than the server can serve: how many buy, and how long they wait.
//!
//! The load is open: shoppers arrive at a rate, whether those before them have their responses or not. A shopper looks
//! at products, creates a cart, adds a piece and checks out; one that is refused leaves. The capacity is that of
//! shoppers who come back as soon as they have bought. The server and this process should have a processor each:
//! `taskset -c 1 undercroft torture overload --server-processor 0`.
//!
//! The test fails if too few buy, if what is accepted takes more than three times as long as at half of the capacity,
//! if it takes long to refuse the rest, if a shopper finds none of the connections, or if a request fails otherwise.

use std::net::SocketAddr;
use std::ops::Range;
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
    /// Judge neither times nor how many buy, only that no request fails: for a machine that has other work
    #[arg(long)]
    only_measure: bool,
}

/// The figures of a load, or their names.
#[derive(Clone, Copy)]
struct Figures<T> {
    /// The shoppers who bought in a second.
    bought: T,
    /// The 99th percentile of the time of an accepted request, in microseconds.
    p99: T,
    /// The 99th percentile of the time of a refused request, in microseconds.
    refusal_p99: T,
    /// The requests that were refused.
    refused: T,
    /// The shoppers who found no connection.
    unserved: T,
    /// The requests that failed.
    failed: T,
}

/// The names of the figures of a load.
macro_rules! names {
    ($load:literal) => {
        Figures {
            bought: concat!($load, "_bought"),
            p99: concat!($load, "_p99"),
            refusal_p99: concat!($load, "_refusal_p99"),
            refused: concat!($load, "_refused"),
            unserved: concat!($load, "_unserved"),
            failed: concat!($load, "_failed"),
        }
    };
}

/// The loads, as tenths of the capacity, with the names of their figures.
const LOADS: [(u32, Figures<&str>); 3] =
    [(5, names!("half")), (20, names!("double")), (100, names!("tenfold"))];
/// The least share of the capacity that must be bought at each load, in per cent. At half of it, there are no more
/// shoppers.
const LEAST_BOUGHT: [u64; 3] = [0, 90, 80];
/// How many times as long as at half of the capacity an accepted request may take (the 99th percentile).
const MOST_DELAY: u64 = 3;
/// The longest time of a refused request in microseconds (the 99th percentile).
const MOST_REFUSAL: u64 = 50_000;
/// The shoppers by whom the capacity is measured.
const BUYERS: usize = 128;
/// How often shoppers arrive.
const TICK: Duration = Duration::from_millis(1);
/// The most connections: a shopper who finds none is not served.
const CONNECTIONS: usize = 4000;

/// What shoppers saw.
#[derive(Default)]
struct Seen {
    bought: u64,
    failed: u64,
    unserved: u64,
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
            let figures = Figures {
                bought: rate(seen.bought, span),
                p99: late(&mut seen.accepted),
                refusal_p99: late(&mut seen.refused),
                refused: seen.refused.len() as u64,
                unserved: seen.unserved,
                failed: seen.failed,
            };
            loads.push(figures);
            counts.extend(figures.named(names));
        }
        server.stop().await?;
        let exceeded = match self {
            Self { unlimited: true, .. } => Vec::new(),
            Self { only_measure: true, .. } => failures(&loads),
            _ => [bounds(capacity, &loads), failures(&loads)].concat(),
        };
        Ok(Outcome { counts, error: TortureError::of_exceeded(exceeded) })
    }
}

impl Figures<u64> {
    /// Returns the figures with these names.
    fn named(self, names: Figures<&'static str>) -> [(&'static str, u64); 6] {
        [
            (names.bought, self.bought),
            (names.p99, self.p99),
            (names.refusal_p99, self.refusal_p99),
            (names.refused, self.refused),
            (names.unserved, self.unserved),
            (names.failed, self.failed),
        ]
    }
}

/// Returns whether the figures of the loads exceed what they may be, and each with its text.
fn bounds(capacity: u64, loads: &[Figures<u64>]) -> Vec<(bool, String)> {
    let at_half = loads.first().map_or(0, |half| half.p99);
    let mut bounds = Vec::new();
    for ((figures, least), (_, names)) in loads.iter().zip(LEAST_BOUGHT).zip(LOADS) {
        let Figures { bought, p99, refusal_p99, unserved, .. } = *figures;
        let few = format!("{} {bought} of {capacity}", names.bought);
        bounds.push((bought * 100 < capacity * least, few));
        let long = format!("{} {p99} µs, {at_half} µs at half of the capacity", names.p99);
        bounds.push((p99 > MOST_DELAY * at_half, long));
        bounds.push((refusal_p99 > MOST_REFUSAL, format!("{} {refusal_p99} µs", names.refusal_p99)));
        bounds.push((unserved > 0, format!("{} {unserved}", names.unserved)));
    }
    bounds
}

/// Returns whether requests failed at each load, and how many as a text.
fn failures(loads: &[Figures<u64>]) -> Vec<(bool, String)> {
    let failures = loads.iter().zip(LOADS);
    failures
        .map(|(figures, (_, names))| (figures.failed > 0, format!("{} {}", names.failed, figures.failed)))
        .collect()
}

/// Returns the shoppers who arrive now, of those that are due: after this process stood still, no more than in a tenth
/// of a second, for whom there are connections.
fn arriving(arrived: u128, due: u128, a_second: u64) -> Range<u128> {
    arrived.max(due.saturating_sub(u128::from(a_second) / 10 + 1))..due
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
            for _ in arriving(arrived, due, a_second) {
                tokio::spawn(Arc::clone(&self).visit());
            }
            arrived = due;
        }
    }

    /// A shopper buys, or leaves with the first refusal.
    async fn visit(self: Arc<Self>) {
        let visit = self.visits.fetch_add(1, Ordering::Relaxed);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(mut connection) = idle else { return self.seen(|seen| seen.unserved += 1) };
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

    const HALF: Figures<u64> =
        Figures { bought: 50, p99: 1_000, refusal_p99: 0, refused: 0, unserved: 0, failed: 0 };
    const DOUBLE: Figures<u64> =
        Figures { bought: 90, p99: 3_000, refusal_p99: 50_000, refused: 10, unserved: 0, failed: 0 };
    const TENFOLD: Figures<u64> = Figures { bought: 80, refused: 90, ..DOUBLE };

    #[test]
    fn too_few_who_buy_and_too_long_a_wait_are_a_failure() {
        let error = |loads: [Figures<u64>; 3]| TortureError::of_exceeded(bounds(100, &loads));
        assert!(error([HALF, DOUBLE, TENFOLD]).is_none());
        for (loads, expected) in [
            ([HALF, Figures { bought: 89, ..DOUBLE }, TENFOLD], "double_bought 89 of 100"),
            (
                [HALF, Figures { p99: 3_001, ..DOUBLE }, TENFOLD],
                "double_p99 3001 µs, 1000 µs at half of the capacity",
            ),
            (
                [HALF, DOUBLE, Figures { bought: 79, p99: 3_001, ..TENFOLD }],
                "tenfold_bought 79 of 100; tenfold_p99 3001 µs, 1000 µs at half of the capacity",
            ),
            ([HALF, DOUBLE, Figures { refusal_p99: 50_001, ..TENFOLD }], "tenfold_refusal_p99 50001 µs"),
            ([HALF, DOUBLE, Figures { unserved: 3, ..TENFOLD }], "tenfold_unserved 3"),
        ] {
            let error = error(loads).unwrap().to_string();
            assert_eq!(error, format!("the server was worse than it may be: {expected}"));
        }
    }

    #[test]
    fn a_request_without_an_order_or_a_refusal_is_a_failure() {
        let error = |loads: [Figures<u64>; 3]| TortureError::of_exceeded(failures(&loads));
        assert!(error([HALF, DOUBLE, Figures { unserved: 3, ..TENFOLD }]).is_none());
        let loads = [Figures { failed: 1, ..HALF }, DOUBLE, Figures { failed: 2, ..TENFOLD }];
        let failed = error(loads).unwrap().to_string();
        assert_eq!(failed, "the server was worse than it may be: half_failed 1; tenfold_failed 2");
    }

    #[test]
    fn after_a_stall_no_more_shoppers_arrive_at_once_than_in_a_tenth_of_a_second() {
        assert_eq!(arriving(0, 1, 1_000), 0..1);
        assert_eq!(arriving(500, 600, 1_000), 500..600);
        assert_eq!(arriving(500, 5_500, 1_000), 5_399..5_500);
        assert_eq!(arriving(0, 1, 1), 0..1);
    }
}
