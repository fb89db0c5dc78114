//! What the store requires of carts and users: bounds, minimum ages, verified e-mail addresses.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use undercroft::application::{Terms, VerifiedEmail};
use undercroft::domain::money::Currency;
use undercroft::infrastructure::guards::CartBounds;

use crate::support::http::{cart_of, checkout_body, faults, new_cart, order_of};
use crate::support::store::{execute, terms};
use crate::support::{Shop, ShopOptions, TestClient, TestResponse};

fn small_carts() -> ShopOptions {
    let bounds = CartBounds {
        max_lines: 2,
        minimum_subtotals: BTreeMap::from([(Currency::EUR, 2_000)]),
        currencies: [Currency::EUR].into(),
    };
    ShopOptions::default().terms(Terms { cart_bounds: Arc::new(bounds), ..terms() })
}

async fn check_out(client: &TestClient, cart: &str, country: &str) -> TestResponse {
    let mut body = checkout_body("tok_ok");
    body["shipping_address"]["country"] = country.into();
    client.post(&format!("{cart}/checkout"), body).await
}

fn reason(response: &TestResponse, status: u16) -> Value {
    response.problem(status);
    response.json()["reason"].clone()
}

/// The reason, the age and the variant of a refusal for the age of the buyer.
fn restriction(response: &TestResponse) -> (Value, Value, Value) {
    let body = response.json();
    (reason(response, 403), body["minimum_age"].clone(), body["variant_id"].clone())
}

on_both_engines!(a_cart_stays_within_the_bounds_of_the_store, small_carts());
async fn a_cart_stays_within_the_bounds_of_the_store(shop: &Shop) {
    let guest = shop.server().await.guest();
    let foreign = guest.post("/v1/carts", json!({"currency": "USD"})).await;
    assert_eq!(foreign.faults(), faults([("/currency", "not_allowed")]));

    let variant = shop.product().price(1_000).stock(10).create().await;
    let cart = cart_of(&guest, variant, 1).await;
    let refused = check_out(&guest, &cart, "DE").await;
    assert_eq!(reason(&refused, 409), "below_minimum");
    assert_eq!(refused.json()["minimum"], json!({"amount": 2_000, "currency": "EUR"}));

    let second = shop.product().price(1_000).create().await;
    guest.post(&format!("{cart}/items"), json!({"variant_id": second, "quantity": 1})).await.expect(200);
    let third = json!({"variant_id": shop.product().create().await, "quantity": 1});
    let full = guest.post(&format!("{cart}/items"), third).await;
    assert_eq!(full.faults(), faults([("/variant_id", "too_many")]));
    guest.put(&format!("{cart}/items/{variant}"), json!({"quantity": 2})).await.expect(200);
    check_out(&guest, &cart, "DE").await.expect(201);
}

fn american_ages() -> ShopOptions {
    ShopOptions::default().terms(Terms { age_rules: Arc::new(["US 18 21".parse().unwrap()]), ..terms() })
}

on_both_engines!(the_minimum_age_is_that_of_the_country_of_the_delivery, american_ages());
async fn the_minimum_age_is_that_of_the_country_of_the_delivery(shop: &Shop) {
    let server = shop.server().await;
    let spirits = shop.product().with("minimum_age", 18).create().await;
    let year = i64::from(shop.now().to_zoned(jiff::tz::TimeZone::UTC).year());
    let buyer_of = async |age: i64| {
        let client = server.customer().await;
        let id = client.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
        let born = format!("{:04}-01-01", year - age);
        client.patch("/v1/me", json!({"birth_date": born})).await.expect(200);
        (client, id)
    };
    let (child, _) = buyer_of(17).await;
    let cart = new_cart(&child).await;
    let added = child.post(&format!("{cart}/items"), json!({"variant_id": spirits, "quantity": 1})).await;
    assert_eq!(restriction(&added), (json!("age_restricted"), json!(18), json!(spirits)));

    let (adult, _) = buyer_of(20).await;
    let cart = cart_of(&adult, spirits, 1).await;
    let refused = check_out(&adult, &cart, "US").await;
    assert_eq!(restriction(&refused), (json!("age_restricted"), json!(21), json!(spirits)));
    assert!(refused.json()["detail"].as_str().unwrap().contains("from the age of 21 on"), "{refused}");
    check_out(&adult, &cart, "DE").await.expect(201);
    let cart = new_cart(&adult).await;
    adult.put(&format!("{cart}/delivery"), json!({"country": "US"})).await.expect(200);
    let added = adult.post(&format!("{cart}/items"), json!({"variant_id": spirits, "quantity": 1})).await;
    assert_eq!(reason(&added, 403), "age_restricted");

    // a guest may log in before the checkout, which then knows the age
    let guest = server.guest();
    let cart = cart_of(&guest, spirits, 1).await;
    let refused = check_out(&guest, &cart, "DE").await;
    assert_eq!(restriction(&refused), (json!("birth_date_required"), json!(18), json!(spirits)));

    // a user without a birth date states it once
    let newcomer = server.customer().await;
    let cart = cart_of(&newcomer, spirits, 1).await;
    let refused = check_out(&newcomer, &cart, "DE").await;
    assert_eq!(restriction(&refused), (json!("birth_date_required"), json!(18), json!(spirits)));
    assert!(refused.json()["detail"].as_str().unwrap().contains("`PATCH /v1/me`"), "{refused}");
    newcomer.patch("/v1/me", json!({"birth_date": format!("{:04}-01-01", year - 20)})).await.expect(200);
    check_out(&newcomer, &cart, "DE").await.expect(201);
}

fn verified_only() -> ShopOptions {
    let verified_email = VerifiedEmail { for_checkout: true, for_reviews: true };
    ShopOptions::default().terms(Terms { verified_email, ..terms() })
}

on_both_engines!(a_checkout_and_a_review_may_require_a_verified_address, verified_only());
async fn a_checkout_and_a_review_may_require_a_verified_address(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().create().await;
    let guest = server.guest();
    let cart = cart_of(&guest, variant, 1).await;
    assert_eq!(reason(&check_out(&guest, &cart, "DE").await, 401), "not_logged_in");

    let buyer = server.customer().await;
    let cart = cart_of(&buyer, variant, 1).await;
    assert_eq!(reason(&check_out(&buyer, &cart, "DE").await, 403), "email_not_verified");
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    let order = order_of(&buyer, variant).await;
    let reviews = format!("/v1/products/{}/reviews", order["items"][0]["product_id"].as_str().unwrap());
    execute(&shop.database, &["UPDATE users SET email_verified_at = NULL"]).await;
    let refused = buyer.post(&reviews, json!({"rating": 5})).await;
    assert_eq!(reason(&refused, 403), "email_not_verified");
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    buyer.post(&reviews, json!({"rating": 5})).await.expect(201);
}
