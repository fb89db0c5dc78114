//! The hand-over, while orders are placed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use undercroft::application::consistency::check;
use undercroft::domain::context::Context;
use undercroft::domain::ids::VariantId;
use undercroft::infrastructure::repositories::copy::CopyError;
use undercroft::infrastructure::repositories::replication::{
    Goal, Outcome, ReplicationError, make_live, stop,
};
use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine, NotLive, Setup};

use super::super::copy::Target;
use super::{Running, Watch, eventually, other, run, unchecked, verified};
use crate::support::http::checkout_body;
use crate::support::orders::Sale;
use crate::support::store::{execute, store, terms, value};
use crate::support::{Shop, TestResponse, TestServer};

/// The number of clients that place orders.
const CLIENTS: usize = 6;

async fn open_for_writing(url: &str) -> Result<Database, DatabaseError> {
    Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await
}

/// A client of two servers, which it tries in turn until one does what it requests.
struct Buyer {
    servers: [TestServer; 2],
    variant: VariantId,
    /// The ids of the orders with their times.
    orders: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Buyer {
    async fn buy_until(self, done: CancellationToken) {
        let mut at = 0;
        while !done.is_cancelled() {
            match self.buy(&self.servers[at]).await {
                Some(id) => self.orders.lock().unwrap().push((id, Instant::now())),
                None => at = 1 - at,
            }
        }
    }

    /// Places an order; `None` if the server does not write.
    async fn buy(&self, server: &TestServer) -> Option<String> {
        let guest = server.guest();
        let cart = done(&guest.post("/v1/carts", json!({})).await, 201)?;
        let path = format!("/v1/carts/{}", cart["id"].as_str().unwrap());
        done(&guest.put(&format!("{path}/items/{}", self.variant), json!({"quantity": 1})).await, 200)?;
        let order = done(&guest.post(&format!("{path}/checkout"), checkout_body("tok_ok")).await, 201)?;
        Some(order["id"].as_str().unwrap().to_owned())
    }
}

/// Returns the body of a response with this status; `None` if the server cannot write.
fn done(response: &TestResponse, status: u16) -> Option<Value> {
    if response.status != 503 {
        return Some(response.expect(status));
    }
    let reason = response.json()["reason"].clone();
    assert!(reason == "standby" || reason == "moved", "{response}");
    assert_eq!(response.header("retry-after"), "1");
    None
}

on_both_engines!(a_store_moves_while_orders_are_placed_and_none_is_lost, unchecked());
async fn a_store_moves_while_orders_are_placed_and_none_is_lost(shop: &Shop) {
    let Some(target) = Target::on(other(shop.database.engine())).await else { return };
    let variant = shop.product().stock(1_000_000).create().await;
    verified(&shop.url, &target.url).await;
    let standby = open_for_writing(&target.url).await.unwrap();
    let servers = [shop.server().await.clone(), TestServer::start(store(&standby, terms())).await];
    let ready = |server: &TestServer| {
        let client = server.guest();
        async move { client.get("/health/ready").await }
    };
    ready(&servers[0]).await.expect(200);
    let waits = ready(&servers[1]).await;
    assert_eq!((waits.problem(503).as_str(), &waits.json()["reason"]), ("not_ready", &json!("standby")));
    servers[1].guest().get("/v1/products").await.expect(200);

    let (orders, done) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
    let buyers: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let buyer = Buyer { servers: servers.clone(), variant, orders: Arc::clone(&orders) };
            tokio::spawn(buyer.buy_until(done.clone()))
        })
        .collect();
    let placed = |more: usize| {
        let until = orders.lock().unwrap().len() + more;
        let orders = Arc::clone(&orders);
        eventually(async move || orders.lock().unwrap().len() >= until)
    };
    placed(20).await;
    let moved = run(&shop.url, &target.url, Goal::HandOver, Watch::new()).await.unwrap();
    let Outcome::HandedOver { tables, stop: Some(stop) } = moved else { panic!("{moved:?}") };
    assert!(tables.iter().any(|table| table.name == "orders" && table.rows >= 20), "{tables:?}");
    placed(20).await;
    done.cancel();
    for buyer in buyers {
        buyer.await.unwrap();
    }

    let mut orders = std::mem::take(&mut *orders.lock().unwrap());
    orders.sort_by_key(|(_, at)| *at);
    let gap = orders.windows(2).map(|two| two[1].1 - two[0].1).max().unwrap();
    println!("{} orders; no writes for {stop:?}, no order placed for {gap:?}", orders.len());
    assert!(gap < Duration::from_secs(5), "{gap:?}");
    for (id, _) in &orders {
        let id: uuid::Uuid = id.parse().unwrap();
        let sql = "SELECT COUNT(*) FROM orders WHERE id = $1";
        assert_eq!(value::<i64>(&standby, sql, &[id.into()]).await, 1, "the order {id} is lost");
    }

    let late = ready(&servers[0]).await;
    assert_eq!((late.problem(503).as_str(), &late.json()["reason"]), ("not_ready", &json!("moved")));
    ready(&servers[1]).await.expect(200);
    let unread = "SELECT COUNT(*) FROM outbox WHERE seq > (SELECT MAX(seq) FROM event_cursors)";
    eventually(async || value::<i64>(&standby, unread, &[]).await == 0).await;
    assert_eq!(check(&standby, false).await.unwrap(), []);
    for server in &servers {
        server.end().await;
    }
    let refused = open_for_writing(&shop.url).await.unwrap_err().to_string();
    assert!(refused.contains("has moved") && refused.contains("--make-live"), "{refused}");
}

on_both_engines!(the_target_has_the_rules_and_numbers_of_the_source, unchecked());
async fn the_target_has_the_rules_and_numbers_of_the_source(shop: &Shop) {
    for engine in [shop.database.engine(), other(shop.database.engine())] {
        let Some(target) = Target::on(engine).await else { return };
        Sale::begin(shop, 5, "tok_ok").await;
        let last: i64 = value(&shop.database, "SELECT MAX(seq) FROM outbox", &[]).await;
        execute(&shop.database, &["DELETE FROM postponed_events", "DELETE FROM outbox"]).await;
        let moved = run(&shop.url, &target.url, Goal::HandOver, Watch::new()).await.unwrap();
        assert!(matches!(moved, Outcome::HandedOver { stop: Some(_), .. }), "{moved:?}");
        // again, as after a kill behind the point of no return
        let moved = run(&shop.url, &target.url, Goal::HandOver, Watch::new()).await.unwrap();
        assert_eq!(moved, Outcome::HandedOver { tables: Vec::new(), stop: None });

        let database = open_for_writing(&target.url).await.unwrap();
        let variant = value(&database, "SELECT variant_id FROM inventory", &[]).await;
        Sale::of(&store(&database, terms()), variant, "tok_ok").await;
        assert!(value::<i64>(&database, "SELECT MIN(seq) FROM outbox", &[]).await > last);
        for broken in [
            "UPDATE invoices SET total = 0",
            "DELETE FROM invoices",
            "DELETE FROM orders",
            "INSERT INTO reservations SELECT id, id, 1 FROM orders",
        ] {
            let refused: Result<(), DatabaseError> =
                database.write(broken, async |work, broken| work.script(broken).await).await;
            assert!(
                matches!(&refused, Err(DatabaseError::CheckFailed { .. } | DatabaseError::ForeignKey(_))),
                "{broken}: {refused:?}"
            );
        }
        // it can move again
        let Some(next) = Target::on(engine).await else { return };
        verified(&target.url, &next.url).await;

        make_live(&shop.url.parse().unwrap(), Context::system()).await.unwrap();
        let shop_again = open_for_writing(&shop.url).await.unwrap();
        execute(&shop_again, &["DELETE FROM dead_letters"]).await;
    }
}

on_both_engines!(writes_go_on_if_a_hand_over_cannot_begin);
async fn writes_go_on_if_a_hand_over_cannot_begin(shop: &Shop) {
    let Some(target) = Target::on(other(shop.database.engine())).await else { return };
    let variant = shop.product().stock(1000).create().await;
    verified(&shop.url, &target.url).await;
    // a transaction that is not complete
    let (begun, complete) = (CancellationToken::new(), CancellationToken::new());
    let (database, given) = (shop.database.clone(), (begun.clone(), complete.clone()));
    let writing = tokio::spawn(async move {
        let written = database.write(given, async |work, (begun, complete)| {
            work.script("UPDATE products SET name = 'x'").await?;
            begun.cancel();
            match work.engine() {
                Engine::Postgres => complete.cancelled().await,
                // on its own thread
                Engine::Sqlite => {
                    while !complete.is_cancelled() {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
            }
            Ok::<_, DatabaseError>(())
        });
        written.await
    });
    begun.cancelled().await;
    let outcome = run(&shop.url, &target.url, Goal::HandOver, Watch::new()).await;
    complete.cancel();
    let error = outcome.unwrap_err();
    let is_busy = match &error {
        ReplicationError::WritesNotHeld(_) => true,
        ReplicationError::Copy(CopyError::Source(error)) => matches!(error, DatabaseError::Unavailable(_)),
        _ => false,
    };
    assert!(is_busy, "{error}");
    writing.await.unwrap().unwrap();
    Sale::of(&shop.store, variant, "tok_ok").await;
    verified(&shop.url, &target.url).await;
    stop(&shop.url.parse().unwrap(), Context::system()).await.unwrap();
}

on_both_engines!(a_standby_whose_source_is_lost_becomes_live, unchecked());
async fn a_standby_whose_source_is_lost_becomes_live(shop: &Shop) {
    for engine in [shop.database.engine(), other(shop.database.engine())] {
        let Some(target) = Target::on(engine).await else { return };
        let variant = shop.product().create().await;
        let running = Running::start(&shop.url, &target.url).await;
        Sale::of(&shop.store, variant, "tok_ok").await;
        running.rounds(3).await;
        running.stop().await;

        let database = open_for_writing(&target.url).await.unwrap();
        let refused: Result<(), DatabaseError> = database
            .write((), async |work, ()| work.script("UPDATE users SET name = 'x'; DELETE FROM carts").await)
            .await;
        assert!(matches!(refused, Err(DatabaseError::NotLive(NotLive::Standby))), "{refused:?}");
        make_live(&target.url.parse().unwrap(), Context::system()).await.unwrap();
        Sale::of(&store(&database, terms()), variant, "tok_ok").await;
        assert_eq!(check(&database, false).await.unwrap(), []);
        stop(&shop.url.parse().unwrap(), Context::system()).await.unwrap();
    }
}
