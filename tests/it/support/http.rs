//! Helpers for the requests of HTTP tests.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::store::address;
use super::{TestClient, TestResponse, TestServer};

/// Faults as [`TestResponse::faults`](super::TestResponse::faults) returns them.
pub fn faults<const N: usize>(faults: [(&str, &str); N]) -> Vec<(String, String)> {
    faults.map(|(location, code)| (location.to_owned(), code.to_owned())).to_vec()
}

/// The ids of a list.
pub fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

/// Creates an empty cart; returns its path.
pub async fn new_cart(client: &TestClient) -> String {
    let response = client.post("/v1/carts", json!({})).await;
    let cart = response.expect(201);
    let path = format!("/v1/carts/{}", cart["id"].as_str().unwrap());
    assert_eq!(response.header("location"), path);
    path
}

/// Creates a cart with some pieces of a variant; returns its path.
pub async fn cart_of(client: &TestClient, variant: impl ToString, quantity: i64) -> String {
    let cart = new_cart(client).await;
    let item = format!("{cart}/items/{}", variant.to_string());
    client.put(&item, json!({"quantity": quantity})).await.expect(200);
    cart
}

/// The body of a checkout with a payment method token of the sandbox.
pub fn checkout_body(token: &str) -> Value {
    json!({
        "email": "ann@shop.example", "shipping_address": address(),
        "payment": {"provider": "sandbox", "token": token},
    })
}

/// Buys one piece of a variant; returns the order.
pub async fn order_of(client: &TestClient, variant: impl ToString) -> Value {
    let cart = cart_of(client, variant, 1).await;
    client.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await.expect(201)
}

/// Waits for concurrent requests; returns the number of created resources. The others must be conflicts with this code.
pub async fn created(requests: Vec<JoinHandle<TestResponse>>, conflict: &str) -> usize {
    let mut created = 0;
    for request in requests {
        let response = request.await.unwrap();
        match response.status {
            201 => created += 1,
            _ => assert_eq!(response.problem(409), conflict),
        }
    }
    created
}

/// Asserts that only administrators may send these requests.
pub async fn assert_for_administrators(server: &TestServer, requests: &[(Method, &str)]) {
    let customer = server.customer().await;
    for (method, path) in requests {
        let body = (!matches!(*method, Method::GET | Method::DELETE)).then(|| json!({}));
        let response = customer.send(method.clone(), path, body.clone()).await;
        assert_eq!(response.problem(403), "unauthorized_access", "{method} {path}");
        let response = server.guest().send(method.clone(), path, body).await;
        assert_eq!(response.problem(401), "unauthorized_access", "{method} {path}");
    }
}

/// About a megabyte of gzip that unpacks to a gigabyte: the same block of a mebibyte of spaces, 1000 times.
pub fn bomb() -> Vec<u8> {
    let spaces = vec![b' '; 1 << 20];
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&spaces).unwrap();
    // the encoder writes a block that does not refer to those before it
    encoder.flush().unwrap();
    let block = encoder.get_ref().clone();
    let mut bytes = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff".to_vec();
    for _ in 0..1000 {
        bytes.extend(&block);
    }
    bytes
}
