//! The totals that a shopper was shown are those that a checkout charges.

use serde_json::{Value, json};
use uuid::Uuid;

use undercroft::domain::address::Address;

use crate::support::http::{cart_of, checkout_body, faults};
use crate::support::orders::stock;
use crate::support::store::{address, execute, value};
use crate::support::{Shop, TestServer};

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

/// Sets two shipping methods: `parcel` for 5.00 in Germany and 12.00 elsewhere, `express` for 19.00 in Germany only.
async fn set_shipping_methods(server: &TestServer) {
    let rate = |country: Value, amount: i64| json!({"country": country, "currency": "EUR", "amount": amount});
    let methods = json!({"items": [
        {"code": "parcel", "name": "Parcel", "rates": [rate(json!("DE"), 500), rate(Value::Null, 1_200)]},
        {"code": "express", "name": "Express", "rates": [rate(json!("DE"), 1_900)]},
    ]});
    server.admin().await.put("/admin/v1/shipping-methods", methods).await.expect(200);
}

on_both_engines!(a_cart_shows_the_total_that_its_delivery_is_charged);
async fn a_cart_shows_the_total_that_its_delivery_is_charged(shop: &Shop) {
    let server = shop.server().await;
    set_shipping_methods(server).await;
    let variant = shop.product().price(1_000).stock(5).create().await;
    let guest = server.guest();
    let cart = cart_of(&guest, variant, 1).await;
    let (delivery, checkout) = (format!("{cart}/delivery"), format!("{cart}/checkout"));
    let body = json!({"payment": {"provider": "sandbox", "token": "tok_ok"}});
    assert_eq!(guest.post(&checkout, body.clone()).await.faults().len(), 1, "there is no address");

    let abroad = guest.put(&delivery, json!({"country": "FR", "postal_code": "75001"})).await.expect(200);
    assert_eq!(abroad["totals"]["total"]["amount"], 2_200);
    let parcel = json!({"code": "parcel", "name": "Parcel", "price": {"amount": 1_200, "currency": "EUR"}});
    assert_eq!(abroad["shipping_methods"], json!([parcel]));
    for (method, fault) in [("express", "does_not_ship"), ("none", "not_found")] {
        let response = guest.put(&delivery, json!({"country": "FR", "shipping_method": method})).await;
        assert_eq!(response.faults(), faults([("/shipping_method", fault)]));
    }
    for character in ['\r', '\n', '\u{2028}', '\u{202e}'] {
        let forged = Address { line1: format!("Marktplatz 1{character}X-Header: 1"), ..address() };
        let response = guest.put(&delivery, json!({"shipping_address": forged})).await;
        assert_eq!(response.faults(), faults([("/shipping_address/line1", "character")]));
    }
    let elsewhere = guest.put(&delivery, json!({"country": "FR", "shipping_address": address()})).await;
    assert_eq!(elsewhere.faults(), faults([("/country", "not_allowed")]));

    let whole = json!({
        "shipping_address": address(), "shipping_method": "express", "email": "ann@shop.example",
    });
    let shown = guest.put(&delivery, whole.clone()).await.expect(200);
    assert_eq!((&shown["delivery"], &shown["shipping_method"]), (&whole, &json!("express")));
    assert_eq!(shown["shipping_methods"].as_array().unwrap().len(), 2);
    assert_eq!(shown["totals"]["total"]["amount"], 2_900);

    let mut body = body;
    body["expected_total"] = shown["totals"]["total"].clone();
    let order = guest.post(&checkout, body).await.expect(201);
    assert_eq!(order["totals"], shown["totals"]);
    assert_eq!((&order["email"], &order["shipping_method"]), (&json!("ann@shop.example"), &json!("express")));
    assert_eq!(guest.get(&cart).await.expect(200)["delivery"], json!({}), "the order has it");
}

on_both_engines!(a_shipping_method_that_was_removed_is_not_replaced_at_checkout);
async fn a_shipping_method_that_was_removed_is_not_replaced_at_checkout(shop: &Shop) {
    let server = shop.server().await;
    set_shipping_methods(server).await;
    let variant = shop.product().price(1_000).stock(5).create().await;
    let guest = server.guest();
    let cart = cart_of(&guest, variant, 1).await;
    let express = json!({"country": "DE", "shipping_method": "express"});
    guest.put(&format!("{cart}/delivery"), express).await.expect(200);

    execute(&shop.database, &["UPDATE shipping_methods SET active = FALSE WHERE code = 'express'"]).await;
    let shown = guest.get(&cart).await.expect(200);
    assert_eq!((&shown["shipping_method"], &shown["deliverable"]), (&json!("parcel"), &json!(true)));
    let response = guest.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await;
    assert_eq!(response.faults(), faults([("/shipping_method", "not_found")]));
    assert_eq!(stock(&shop.database, variant).await, (5, 0));
}
