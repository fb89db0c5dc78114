//! What a store is set up with over HTTP: categories, discounts, taxes, ways of shipping.

mod categories;
mod discounts;
mod rates;

use http::Method;
use serde_json::{Value, json};

use crate::support::{Caller, Reply, TestServer};

/// The faults of a refused body, sorted: each with its pointer and code.
#[track_caller]
fn faults(reply: &Reply) -> Vec<(String, String)> {
    assert_eq!(reply.problem(422), "validation");
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
    let body = reply.json();
    let faults = body["errors"].as_array().unwrap();
    let mut faults: Vec<_> =
        faults.iter().map(|fault| (text(fault, "pointer"), text(fault, "code"))).collect();
    faults.sort();
    faults
}

/// Faults as [`faults`] tells them.
fn told<const N: usize>(faults: [(&str, &str); N]) -> Vec<(String, String)> {
    faults.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())).to_vec()
}

/// The ids of a list.
fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

/// A cart of one piece of something that costs 10.00 EUR.
async fn cart(server: &TestServer, buyer: &Caller) -> String {
    let variant = server.product().price(1_000).stock(5).create().await;
    let cart = buyer.post("/v1/carts", json!({})).await.expect(201);
    let cart = format!("/v1/carts/{}", cart["id"].as_str().unwrap());
    buyer.put(&format!("{cart}/items/{variant}"), json!({"quantity": 1})).await.expect(200);
    cart
}

/// Asserts that only administrators get in.
async fn is_for_administrators(server: &TestServer, requests: &[(Method, &str)]) {
    let customer = server.customer().await;
    for (method, path) in requests {
        let body = (!matches!(*method, Method::GET | Method::DELETE)).then(|| json!({}));
        let reply = customer.send(method.clone(), path, body.clone()).await;
        assert_eq!(reply.problem(403), "unauthorized_access", "{method} {path}");
        let reply = server.guest().send(method.clone(), path, body).await;
        assert_eq!(reply.problem(401), "unauthorized_access", "{method} {path}");
    }
}
