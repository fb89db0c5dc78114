//! The totals that a shopper was shown are those that a checkout charges.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::Shop;
use crate::support::http::{cart_of, checkout_body, faults};
use crate::support::orders::stock;
use crate::support::store::{execute, value};

/// The body of a checkout that expects a total of so many cents.
fn expecting(cents: i64) -> Value {
    let mut body = checkout_body("tok_ok");
    body["expected_total"] = json!({"amount": cents, "currency": "EUR"});
    body
}

on_both_engines!(a_total_other_than_the_expected_one_is_not_charged);
async fn a_total_other_than_the_expected_one_is_not_charged(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(1_490).stock(5).create().await;
    let guest = server.guest();
    let cart = cart_of(&guest, variant, 1).await;
    let checkout = format!("{cart}/checkout");
    execute(&shop.database, &["UPDATE variants SET prices = '{\"EUR\": 99900}'"]).await;

    let keyed = guest.with("idempotency-key", &Uuid::from_u128(5).to_string());
    let response = keyed.post(&checkout, expecting(1_490)).await;
    assert_eq!(response.problem(409), "total_changed");
    let problem = response.json();
    assert_eq!(problem["expected_total"], json!({"amount": 1_490, "currency": "EUR"}));
    let current = guest.get(&cart).await.expect(200);
    assert_eq!(problem["totals"], current["totals"]);
    assert_eq!(problem["totals"]["total"]["amount"], 99_900);
    assert_eq!((&current["status"], &current["items"][0]["available"]), (&json!("open"), &json!(5)));
    assert_eq!(stock(&shop.database, variant).await, (5, 0));
    let payments = value::<i64>(&shop.database, "SELECT COUNT(*) FROM payments", &[]).await;
    assert_eq!(payments, 0);

    let mut dollars = expecting(99_900);
    dollars["expected_total"]["currency"] = json!("USD");
    let response = guest.post(&checkout, dollars).await;
    assert_eq!(response.faults(), faults([("/expected_total/currency", "wrong_currency")]));

    let order = keyed.post(&checkout, expecting(99_900)).await.expect(201);
    assert_eq!(order["totals"]["total"]["amount"], 99_900);
    assert_eq!(keyed.post(&checkout, expecting(99_900)).await.expect(201), order);
}

on_both_engines!(a_cart_that_was_changed_meanwhile_is_not_checked_out);
async fn a_cart_that_was_changed_meanwhile_is_not_checked_out(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(1_000).stock(5).create().await;
    let guest = server.guest();
    let cart = cart_of(&guest, variant, 1).await;
    let checkout = format!("{cart}/checkout");
    let seen = guest.get(&cart).await.header("etag").to_owned();
    guest.put(&format!("{cart}/items/{variant}"), json!({"quantity": 2})).await.expect(200);

    let response = guest.with("if-match", &seen).post(&checkout, checkout_body("tok_ok")).await;
    assert_eq!(response.problem(412), "precondition_failed");
    assert_eq!(stock(&shop.database, variant).await, (5, 0));

    let current = guest.get(&cart).await.header("etag").to_owned();
    let order = guest.with("if-match", &current).post(&checkout, checkout_body("tok_ok")).await;
    assert_eq!(order.expect(201)["items"][0]["quantity"], 2);
}
