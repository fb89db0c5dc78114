//! The responses that are stored with idempotency keys: sent again as they were, and not readable in their table.

use serde_json::json;

use crate::support::http::{cart_of, checkout_body};
use crate::support::store::value;
use crate::support::{Shop, TestClient};

/// Sends a request twice with one key; returns the response, which both have.
async fn sent_twice(client: &TestClient, path: &str, body: serde_json::Value) -> serde_json::Value {
    let first = client.post(path, body.clone()).await;
    let created = first.expect(201);
    let again = client.post(path, body).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    created
}

on_both_engines!(a_secret_in_a_stored_response_is_encrypted_and_sent_again);
async fn a_secret_in_a_stored_response_is_encrypted_and_sent_again(shop: &Shop) {
    let server = shop.server().await;
    let guest = server.guest().with("idempotency-key", "0192d3a0-0000-7000-8000-000000000001");
    let cart = cart_of(&server.guest(), shop.product().create().await, 1).await;
    let order = sent_twice(&guest, &format!("{cart}/checkout"), checkout_body("tok_ok")).await;
    let admin = server.admin().await.with("idempotency-key", "1");
    let endpoint = json!({"url": "https://hooks.example.com/events", "event_types": ["order.paid"]});
    let endpoint = sent_twice(&admin, "/admin/v1/webhook-endpoints", endpoint).await;

    for (scope, secret) in
        [("guest %/checkout", &order["token"]), ("%/webhook-endpoints", &endpoint["secret"])]
    {
        let sql = "SELECT body FROM idempotency_keys WHERE scope LIKE $1";
        let stored: Vec<u8> = value(&shop.database, sql, &[scope.into()]).await;
        let secret = secret.as_str().unwrap();
        assert!(secret.len() > 20, "{secret}");
        assert!(!stored.windows(8).any(|part| secret.as_bytes().windows(8).any(|of| of == part)), "{scope}");
    }
}
