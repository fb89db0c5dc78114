//! Entity tags: of responses to creations and changes, and in conditional requests.

use http::Method;
use serde_json::{Value, json};
use undercroft::application::payments::gateway_calls::refresh;
use undercroft::domain::ids::{OrderId, PaymentId, SubscriptionId, UserId};
use undercroft::domain::order::Order;
use undercroft::domain::payment::Payment;
use undercroft::domain::subscription::Subscription;
use undercroft::domain::user::User;
use undercroft::infrastructure::repositories::DatabaseError;
use uuid::Uuid;

use crate::support::http::{cart_of, checkout_body};
use crate::support::store::value;
use crate::support::{Shop, TestClient, TestResponse};

/// Asserts that two responses have the same entity tag.
#[track_caller]
fn assert_same(response: &TestResponse, read: &TestResponse) {
    assert!(!response.header("etag").is_empty(), "{response}");
    assert_eq!(response.header("etag"), read.header("etag"), "{response}\n{read}");
}

/// Creates a resource and compares the entity tag with that of a read; returns its path.
async fn created(client: &TestClient, path: &str, body: Value) -> String {
    let response = client.post(path, body).await;
    response.expect(201);
    let location = response.header("location").to_owned();
    assert_same(&response, &client.get(&location).await);
    location
}

on_both_engines!(a_created_resource_has_the_entity_tag_of_its_reads);
async fn a_created_resource_has_the_entity_tag_of_its_reads(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let price = json!({ "amount": 900, "currency": "EUR" });
    created(&admin, "/admin/v1/categories", json!({ "name": "Tea" })).await;
    let ten = json!({ "code": "Ten", "kind": { "type": "percent", "basis_points": 1_000 } });
    created(&admin, "/admin/v1/discounts", ten).await;
    let tea = json!({ "name": "Tea", "variants": [{ "sku": "TEA", "price": price }] });
    created(&admin, "/admin/v1/products", tea).await;

    let variant = shop.product().price(900).stock(10).create().await;
    let cart = created(&admin, "/v1/carts", json!({})).await;
    let added = admin.post(&format!("{cart}/items"), json!({ "variant_id": variant, "quantity": 1 })).await;
    added.expect(200);
    assert_same(&added, &admin.get(&cart).await);
    let order = created(&admin, &format!("{cart}/checkout"), checkout_body("tok_ok")).await;
    let cancelled = admin.post(&format!("{order}/cancel"), json!({})).await;
    cancelled.expect(200);
    // the worker may have refunded the payment since
    assert!(!cancelled.header("etag").is_empty(), "{cancelled}");
}

on_both_engines!(a_change_applies_to_the_version_of_its_entity_tag);
async fn a_change_applies_to_the_version_of_its_entity_tag(shop: &Shop) {
    let server = shop.server().await;
    let buyer = server.customer().await;
    let variant = shop.product().price(900).stock(10).with("kind", "digital").create().await;
    let cart = buyer.post("/v1/carts", json!({})).await;
    let path = cart.header("location");
    let first = buyer.with("if-match", cart.header("etag"));
    first.put(&format!("{path}/items/{variant}"), json!({ "quantity": 1 })).await.expect(200);
    let late = first.put(&format!("{path}/items/{variant}"), json!({ "quantity": 2 })).await;
    assert_eq!(late.problem(412), "precondition_failed");
}

on_both_engines!(what_was_changed_since_it_was_read_is_not_deleted);
async fn what_was_changed_since_it_was_read_is_not_deleted(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let discount = json!({ "code": "TEN", "kind": { "type": "percent", "basis_points": 1_000 } });
    let role = json!({ "name": "packer", "description": "", "permissions": ["orders:read"] });
    let endpoint = json!({ "url": "http://127.0.0.1:9/", "event_types": ["order.placed"] });
    let flag = json!({ "description": "", "enabled": true });
    let created = [
        ("/admin/v1/categories", json!({ "name": "Tea" }), json!({ "name": "Teas" })),
        ("/admin/v1/discounts", discount, json!({ "code": "TENTH" })),
        ("/admin/v1/roles", role, json!({ "description": "", "permissions": ["orders:write"] })),
        ("/admin/v1/webhook-endpoints", endpoint, json!({ "event_types": ["order.paid"] })),
    ];
    let mut changes = vec![("/admin/v1/feature-flags/beta".to_owned(), Method::PUT, flag)];
    admin.put(&changes[0].0, json!({ "description": "", "enabled": false })).await.expect(200);
    for (path, body, change) in created {
        let response = admin.post(path, body).await;
        response.expect(201);
        let method = if path.ends_with("roles") { Method::PUT } else { Method::PATCH };
        changes.push((response.header("location").to_owned(), method, change));
    }

    for (path, method, change) in changes {
        let read = admin.get(&path).await;
        let first = admin.with("if-match", read.header("etag"));
        let changed = first.send(method, &path, Some(change)).await;
        changed.expect(200);
        assert_eq!(first.delete(&path).await.problem(412), "precondition_failed", "{path}");
        admin.with("if-match", changed.header("etag")).delete(&path).await.expect(204);
        admin.get(&path).await.problem(404);
    }
}

/// The versions of the rows that a checkout writes.
async fn versions(shop: &Shop) -> Vec<i64> {
    let mut versions = Vec::new();
    for table in ["carts", "orders", "payments", "subscriptions", "users"] {
        let sql = format!("SELECT CAST(SUM(version) AS BIGINT) FROM {table}");
        versions.push(value(&shop.database, &sql, &[]).await);
    }
    versions
}

on_both_engines!(locks_and_repeated_notices_leave_versions_and_entity_tags_unchanged);
async fn locks_and_repeated_notices_leave_versions_and_entity_tags_unchanged(shop: &Shop) {
    let server = shop.server().await;
    let buyer = server.customer().await;
    let variant = shop.product().price(900).subscription().create().await;
    let cart = cart_of(&buyer, variant, 1).await;
    let checkout = buyer.post(&format!("{cart}/checkout"), checkout_body("tok_duplicate_webhooks")).await;
    let order = checkout.expect(201);
    let id = |value: &Value| value.as_str().unwrap().parse::<Uuid>().unwrap();
    let (order_id, payment_id) = (OrderId(id(&order["id"])), PaymentId(id(&order["payment"]["id"])));
    let subscription_id = value::<SubscriptionId>(&shop.database, "SELECT id FROM subscriptions", &[]).await;
    let user_id = value::<UserId>(&shop.database, "SELECT id FROM users", &[]).await;
    let paths = [
        cart,
        format!("/v1/orders/{order_id}"),
        format!("/v1/payments/{payment_id}"),
        format!("/v1/subscriptions/{subscription_id}"),
        "/v1/me".to_owned(),
    ];
    let before = versions(shop).await;
    let mut reads = Vec::new();
    for path in &paths {
        reads.push(buyer.get(path).await);
    }

    for _ in 0..3 {
        refresh(&shop.store, payment_id).await.unwrap();
    }
    let ids = (order_id, payment_id, subscription_id, user_id);
    let lock = shop.database.write(ids, async |work, &(order, payment, subscription, user)| {
        let found = [
            work.lock::<Order>(order).await?.is_some(),
            work.lock::<Payment>(payment).await?.is_some(),
            work.lock::<Subscription>(subscription).await?.is_some(),
            work.lock::<User>(user).await?.is_some(),
        ];
        Ok(found)
    });
    let locked: Result<[bool; 4], DatabaseError> = lock.await;
    assert_eq!(locked.unwrap(), [true; 4]);

    assert_eq!(versions(shop).await, before);
    for (path, read) in paths.iter().zip(&reads) {
        read.expect(200);
        assert_same(&buyer.get(path).await, read);
        assert_eq!(buyer.with("if-none-match", read.header("etag")).get(path).await.status, 304, "{path}");
    }
}

on_both_engines!(concurrent_changes_without_if_match_all_succeed);
async fn concurrent_changes_without_if_match_all_succeed(shop: &Shop) {
    let admin = shop.server().await.admin().await;
    let category = admin.post("/admin/v1/categories", json!({"name": "Shoes"})).await.expect(201);
    let path = format!("/admin/v1/categories/{}", category["id"].as_str().unwrap());
    // one of them is run again after each of the others at most, and a transaction is run 12 times
    let changes = (0..12).map(|number| {
        let (admin, path) = (admin.clone(), path.clone());
        tokio::spawn(async move { admin.patch(&path, json!({"name": format!("Shoes {number}")})).await })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap().expect(200);
    }
}
