//! The hand-over, while orders are placed.

use std::sync::{Arc, Mutex};
use std::time::Instant;

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
use super::{Running, Watch, moved, open, other, run, unchecked, verified, write_until_committed};
use crate::support::http::checkout_body;
use crate::support::orders::Sale;
use crate::support::store::{execute, store, terms, value};
use crate::support::{Shop, TestResponse, TestServer, eventually};

/// The number of clients that place orders.
const CLIENTS: usize = 6;

async fn open_for_writing(url: &str) -> Result<Database, DatabaseError> {
    Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await
}

/// A client of two servers, which sends its requests to the other one when the first refuses them.
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
    Running::start(&shop.url, &target.url).await.stop().await;
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
        eventually("further orders", async move || orders.lock().unwrap().len() >= until)
    };
    placed(20).await;
    // the replication is cut twice
    for _ in 0..2 {
        let mut running = Running::start(&shop.url, &target.url).await;
        placed(10).await;
        running.rounds(2).await;
        running.task.abort();
        placed(10).await;
    }
    let moved = moved(&shop.url, &target.url).await;
    let Outcome::HandedOver { tables, stop: Some(stop) } = moved else { panic!("{moved:?}") };
    // with equal hashes
    assert!(tables.iter().any(|table| table.name == "orders" && table.rows >= 60), "{tables:?}");
    placed(20).await;
    done.cancel();
    for buyer in buyers {
        buyer.await.unwrap();
    }

    let mut orders = std::mem::take(&mut *orders.lock().unwrap());
    orders.sort_by_key(|(_, at)| *at);
    let gap = orders.windows(2).map(|two| two[1].1 - two[0].1).max().unwrap();
    println!("{} orders; no writes for {stop:?}, no order placed for {gap:?}", orders.len());
    for (id, _) in &orders {
        let id: uuid::Uuid = id.parse().unwrap();
        let sql = "SELECT COUNT(*) FROM orders WHERE id = $1";
        assert_eq!(value::<i64>(&standby, sql, &[id.into()]).await, 1, "the order {id} is lost");
    }

    // the state is read once a second
    eventually("a server that knows that the store has moved", async || {
        let late = ready(&servers[0]).await;
        late.status == 503 && late.json()["reason"] == "moved"
    })
    .await;
    // what was created at the target is not refused as missing
    let cart = servers[1].guest().post("/v1/carts", json!({})).await.expect(201);
    let path = format!("/v1/carts/{}/items/{variant}", cart["id"].as_str().unwrap());
    let late = servers[0].guest().put(&path, json!({"quantity": 1})).await;
    assert_eq!((late.problem(503).as_str(), &late.json()["reason"]), ("not_ready", &json!("moved")));
    servers[1].guest().put(&path, json!({"quantity": 1})).await.expect(200);
    eventually("a server that is ready", async || ready(&servers[1]).await.status == 200).await;
    let unread = "SELECT COUNT(*) FROM outbox WHERE seq > (SELECT MAX(seq) FROM event_cursors)";
    let is_read = async || value::<i64>(&standby, unread, &[]).await == 0;
    eventually("the delivery of all events", is_read).await;
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
        let moved = moved(&shop.url, &target.url).await;
        assert!(matches!(moved, Outcome::HandedOver { stop: Some(_), .. }), "{moved:?}");
        // again, as after a kill behind the point of no return
        let moved = run(&shop.url, &target.url, Goal::HandOver, Watch::new()).await.unwrap();
        assert_eq!(moved, Outcome::HandedOver { tables: Vec::new(), stop: None });
        let foreign = Target::sqlite();
        drop(foreign.open().await.unwrap());
        let refused = run(&shop.url, &foreign.url, Goal::HandOver, Watch::new()).await;
        assert!(matches!(refused, Err(ReplicationError::SourceHasMoved)), "another store: {refused:?}");

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
    let (writing, complete) = write_until_committed(&shop.database, "UPDATE products SET name = 'x'").await;
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

on_both_engines!(writes_are_held_for_a_second_over_all_attempts);
async fn writes_are_held_for_a_second_over_all_attempts(shop: &Shop) {
    let Some(target) = Target::on(Engine::Postgres).await else { return };
    let variant = shop.product().stock(1000).create().await;
    verified(&shop.url, &target.url).await;
    // the last statements of an attempt take longer; the number of attempts is not rolled back
    target
        .script(
            "CREATE SEQUENCE attempts; INSERT INTO copy_foreign_keys VALUES ('', 'SELECT nextval(''attempts''), \
             pg_sleep(1.2); ALTER TABLE orders ADD CONSTRAINT slow CHECK (TRUE)')",
        )
        .await;
    let outcome = run(&shop.url, &target.url, Goal::HandOver, Watch::new()).await;
    assert!(matches!(outcome, Err(ReplicationError::TooSlow)), "{outcome:?}");
    Sale::of(&shop.store, variant, "tok_ok").await;
    let standby = open(&target.url).await;
    assert_eq!(value::<i64>(&standby, "SELECT last_value FROM attempts", &[]).await, 1);
    verified(&shop.url, &target.url).await;
    stop(&shop.url.parse().unwrap(), Context::system()).await.unwrap();
}

on_both_engines!(a_goal_that_is_not_reached_when_it_is_stopped_is_an_error);
async fn a_goal_that_is_not_reached_when_it_is_stopped_is_an_error(shop: &Shop) {
    let target = Target::sqlite();
    verified(&shop.url, &target.url).await;
    for goal in [Goal::Verify, Goal::HandOver] {
        let running = Running::begin(&shop.url, &target.url, goal);
        running.stop.cancel();
        let error = running.failed().await;
        assert!(matches!(error, ReplicationError::Copy(CopyError::Stopped)), "{goal:?}: {error}");
    }
    execute(&shop.database, &["DELETE FROM dead_letters"]).await;
    stop(&shop.url.parse().unwrap(), Context::system()).await.unwrap();
}

on_both_engines!(a_standby_whose_source_is_lost_becomes_live, unchecked());
async fn a_standby_whose_source_is_lost_becomes_live(shop: &Shop) {
    for engine in [shop.database.engine(), other(shop.database.engine())] {
        let Some(target) = Target::on(engine).await else { return };
        let variant = shop.product().create().await;
        let mut running = Running::start(&shop.url, &target.url).await;
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
