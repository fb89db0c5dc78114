//! Statements that do not need each other's results are sent to PostgreSQL together.

use undercroft::application::idempotency::Responder;
use undercroft::application::selling::orders::fulfil_once;
use undercroft::domain::context::Context;
use undercroft::domain::ids::OrderId;
use undercroft::infrastructure::repositories::{Database, Setup};

use crate::support::builders::{ProductBuilder, discount};
use crate::support::orders::{assert_consistent, checkout_request, key, submit};
use crate::support::store::{Summary, cart, execute, store, terms};
use crate::support::{EmptyPostgres, RoundTrips};

/// The most round trips of a checkout.
const CHECKOUT: u64 = 8;
/// The most round trips of a fulfilment.
const FULFILMENT: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_and_a_fulfilment_take_few_round_trips() {
    let Some(schema) = EmptyPostgres::new().await else { return };
    let (proxy, url) = RoundTrips::before(&schema.url).await;
    let database = Database::open(&url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
    let store = store(&database, terms());
    let mut variants = Vec::new();
    for price in [1000, 2000, 3000] {
        variants.push((ProductBuilder::new(&store).price(price).stock(100).create().await, 2));
    }
    discount(&store, "TENTH", 10, None).await;

    let (mut counts, mut orders) = (Vec::new(), Vec::new());
    for number in 0..8 {
        let cart = cart(&store, None, &variants).await;
        execute(&database, &["UPDATE carts SET discount_code = 'tenth' WHERE status = 'open'"]).await;
        proxy.take();
        let key = Some(key(&number.to_string()));
        let outcome = submit(&store, checkout_request(cart, "tok_ok"), key).await;
        counts.push(proxy.take());
        assert_eq!(outcome.0, 201, "{outcome:?}");
        orders.push(outcome.1.split(' ').next().unwrap().parse().map(OrderId).unwrap());
    }
    assert_consistent(&database).await;
    // the first checkouts on a connection prepare their statements, and a notification may take a connection
    assert!(counts.iter().any(|count| *count <= CHECKOUT), "{counts:?}");

    counts.clear();
    for id in orders {
        fulfil_once(&store, id, None, Responder::new(None, Summary)).await.unwrap();
        counts.push(proxy.take());
    }
    assert!(counts.iter().any(|count| *count <= FULFILMENT), "{counts:?}");
}
