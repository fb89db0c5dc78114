//! What is made or changed is answered with the tag that a look at it has.

use serde_json::json;

use crate::support::{Shop, TestClient, TestResponse};

/// Asserts that the answer has the tag of what is at `path`.
#[track_caller]
fn assert_same(answer: &TestResponse, seen: &TestResponse) {
    assert!(!answer.header("etag").is_empty(), "{answer}");
    assert_eq!(answer.header("etag"), seen.header("etag"), "{answer}\n{seen}");
}

/// Makes something and looks at it; where it is.
async fn made(client: &TestClient, path: &str, body: serde_json::Value) -> String {
    let answer = client.post(path, body).await;
    answer.expect(201);
    let location = answer.header("location").to_owned();
    assert_same(&answer, &client.get(&location).await);
    location
}

on_both_engines!(a_created_resource_has_the_entity_tag_of_its_reads);
async fn a_created_resource_has_the_entity_tag_of_its_reads(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let price = json!({ "amount": 900, "currency": "EUR" });
    made(&admin, "/admin/v1/categories", json!({ "name": "Tea" })).await;
    let ten = json!({ "code": "Ten", "kind": { "type": "percent", "basis_points": 1_000 } });
    made(&admin, "/admin/v1/discounts", ten).await;
    let tea = json!({ "name": "Tea", "variants": [{ "sku": "TEA", "price": price }] });
    made(&admin, "/admin/v1/products", tea).await;

    let variant = shop.product().price(900).stock(10).create().await;
    let cart = made(&admin, "/v1/carts", json!({})).await;
    let added = admin.post(&format!("{cart}/items"), json!({ "variant_id": variant, "quantity": 1 })).await;
    added.expect(200);
    assert_same(&added, &admin.get(&cart).await);
    let purchase = json!({
        "email": "ann@shop.example", "payment": { "provider": "sandbox", "token": "tok_ok" },
        "shipping_address": {
            "name": "Ann", "line1": "Marktplatz 1", "city": "Bremen", "postal_code": "28195", "country": "DE"
        }
    });
    let order = made(&admin, &format!("{cart}/checkout"), purchase).await;
    let cancelled = admin.post(&format!("{order}/cancel"), json!({})).await;
    cancelled.expect(200);
    // the worker may have given the money back since
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
