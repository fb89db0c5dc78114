//! A cart shows each change at once, its own and those of what it shows, and survives a restart.

use serde_json::{Value, json};

use super::shoppers::{another_server, at, counts};
use crate::application::people::new_key;
use crate::support::http::{cart_of, checkout_body, order_of};
use crate::support::store::execute;
use crate::support::{Shop, TestClient};

/// The quantity of the first line of a cart, its price, the available pieces, and the discount.
async fn shown(client: &TestClient, cart: &str) -> Value {
    let cart = client.get(cart).await.expect(200);
    let item = &cart["items"][0];
    json!([
        item["quantity"],
        item["unit_price"]["amount"],
        item["available"],
        cart["totals"]["discount"]["amount"]
    ])
}

on_both_engines!(a_cart_shows_each_change_at_once_on_every_server);
async fn a_cart_shows_each_change_at_once_on_every_server(shop: &Shop) {
    let (first, second) = (shop.server().await, another_server(shop).await);
    let (admin, ann) = (first.admin().await, first.customer().await);
    let price = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    let variants = json!([{"sku": "T-1", "price": price(1000), "stock": 9}]);
    let product =
        admin.post("/admin/v1/products", json!({"name": "Assam", "variants": variants})).await.expect(201);
    let (id, variant) = (product["id"].as_str().unwrap(), product["variants"][0]["id"].as_str().unwrap());
    let kind = |percent: i64| json!({"type": "percent", "basis_points": percent * 100});
    let discount = json!({"code": "Ten", "kind": kind(10), "usage_limit": 2});
    let discount = admin.post("/admin/v1/discounts", discount).await.expect(201);
    let discount = format!("/admin/v1/discounts/{}", discount["id"].as_str().unwrap());

    let cart = cart_of(&ann, variant, 2).await;
    let clients = [ann.clone(), at(&second, &ann)];
    let expect = async |expected: Value| {
        for client in clients.iter().chain(&clients) {
            assert_eq!(shown(client, &cart).await, expected);
            assert_eq!(client.get("/v1/me/cart").await.expect(200), client.get(&cart).await.expect(200));
        }
    };
    expect(json!([2, 1000, 9, 0])).await;
    clients[1].put(&format!("{cart}/items/{variant}"), json!({"quantity": 3})).await.expect(200);
    expect(json!([3, 1000, 9, 0])).await;
    ann.put(&format!("{cart}/discount"), json!({"code": "TEN"})).await.expect(200);
    expect(json!([3, 1000, 9, 300])).await;
    let change = json!({"name": "Assam", "variants": [{"sku": "T-1", "price": price(2000)}]});
    admin.put(&format!("/admin/v1/products/{id}"), change).await.expect(200);
    expect(json!([3, 2000, 9, 600])).await;
    let bob = first.customer().await;
    order_of(&bob, variant).await;
    expect(json!([3, 2000, 8, 600])).await;
    admin.patch(&discount, json!({"kind": kind(20)})).await.expect(200);
    expect(json!([3, 2000, 8, 1200])).await;

    // others redeem the discount until it is used up
    for left in [7, 6] {
        let other = cart_of(&bob, variant, 1).await;
        bob.put(&format!("{other}/discount"), json!({"code": "ten"})).await.expect(200);
        bob.post(&format!("{other}/checkout"), checkout_body("tok_ok")).await.expect(201);
        expect(json!([3, 2000, left, if left == 7 { 1200 } else { 0 }])).await;
    }
    admin.patch(&discount, json!({"usage_limit": 3})).await.expect(200);
    expect(json!([3, 2000, 6, 1200])).await;
    admin.patch(&discount, json!({"active": false})).await.expect(200);
    expect(json!([3, 2000, 6, 0])).await;

    ann.delete(&format!("{cart}/discount")).await.expect(200);
    ann.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await.expect(201);
    for client in &clients {
        assert_eq!(client.get(&cart).await.expect(200)["status"], "ordered");
        client.get("/v1/me/cart").await.expect(404);
    }
    second.end().await;
}

on_both_engines!(a_cart_survives_a_restart);
async fn a_cart_survives_a_restart(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().stock(9).create().await;
    // the first look drops everything
    server.guest().get("/v1/products").await.expect(200);
    let cart = cart_of(&server.guest(), variant, 4).await;
    let before = server.guest().get(&cart).await.expect(200);
    assert_eq!(counts(server, "cart").loads, 0);

    let restarted = another_server(shop).await;
    assert_eq!(restarted.guest().get(&cart).await.expect(200), before);
    assert_eq!(counts(&restarted, "cart").loads, 1);
    restarted.end().await;
}

on_both_engines!(a_change_after_a_lost_one_is_shown);
async fn a_change_after_a_lost_one_is_shown(shop: &Shop) {
    let (first, second) = (shop.server().await, another_server(shop).await);
    let guest = first.guest();
    let variant = shop.product().stock(9).create().await;
    let cart = cart_of(&guest, variant, 4).await;
    let quantity = async || guest.get(&cart).await.expect(200)["items"][0]["quantity"].clone();
    assert_eq!(quantity().await, 4);

    // the database lost the last commit, and the next one counts as it did
    execute(&shop.database, &["UPDATE carts SET version = version - 1"]).await;
    let item = json!({"quantity": 7});
    second.guest().put(&format!("{cart}/items/{}", variant.0), item).await.expect(200);
    assert_eq!(quantity().await, 7);
    second.end().await;
}

on_both_engines!(only_what_was_committed_for_the_request_is_kept);
async fn only_what_was_committed_for_the_request_is_kept(shop: &Shop) {
    let guest = shop.server().await.guest();
    let variant = shop.product().stock(9).create().await;
    let cart = cart_of(&guest, variant, 4).await;
    let quantity = async || guest.get(&cart).await.expect(200)["items"][0]["quantity"].clone();
    let repeated = guest.with("idempotency-key", &new_key());
    for expected in [5, 7] {
        let item = json!({"variant_id": variant, "quantity": 1});
        let added = repeated.post(&format!("{cart}/items"), item).await.expect(200);
        assert_eq!(added["items"][0]["quantity"], expected, "the second request changes nothing");
        assert_eq!(quantity().await, expected);
        guest.put(&format!("{cart}/items/{}", variant.0), json!({"quantity": 7})).await.expect(200);
        assert_eq!(quantity().await, 7);
    }
    guest.put(&format!("{cart}/discount"), json!({"code": "none"})).await.expect(422);
    assert_eq!(guest.get(&cart).await.expect(200)["discount"], Value::Null);
}
