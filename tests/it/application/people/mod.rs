//! Accounts and log-ins, as those who have them see them over HTTP.

mod accounts;
mod administrators;
mod log_in;
mod notifications;
mod preferences;
mod reviews;

use serde_json::{Value, json};
use undercroft::domain::context::Context;
use undercroft::domain::ids::VariantId;

use crate::support::store::address;
use crate::support::{Caller, Reply, TestServer};

const PASSWORD: &str = "correct horse";

/// Registers whoever has this address, and tells their account.
async fn register(server: &TestServer, email: &str) -> Value {
    let new = json!({"email": email, "password": PASSWORD, "name": "Ann"});
    server.guest().post("/v1/users", new).await.expect(201)
}

/// What the log-in with this password comes to.
async fn try_log_in(server: &TestServer, email: &str, password: &str) -> Reply {
    server.guest().post("/v1/sessions", json!({"email": email, "password": password})).await
}

/// Somebody who has logged in.
async fn log_in(server: &TestServer, email: &str, password: &str) -> Caller {
    let session = try_log_in(server, email, password).await.expect(201);
    bearer(server, session["token"].as_str().unwrap())
}

/// Somebody who shows this token.
fn bearer(server: &TestServer, token: &str) -> Caller {
    server.guest().with("authorization", &format!("Bearer {token}"))
}

/// Somebody new who has logged in.
async fn newcomer(server: &TestServer, email: &str) -> Caller {
    register(server, email).await;
    log_in(server, email, PASSWORD).await
}

/// The faults of a refused body: each with its pointer and code.
#[track_caller]
fn faults(reply: &Reply) -> Vec<(String, String)> {
    assert_eq!(reply.problem(422), "validation");
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
    let body = reply.json();
    let faults = body["errors"].as_array().unwrap();
    faults.iter().map(|fault| (text(fault, "pointer"), text(fault, "code"))).collect()
}

/// A key that was never used.
fn new_key() -> String {
    Context::system().ids.uuid().to_string()
}

/// Buys one piece, and tells the order.
async fn order_of(buyer: &Caller, variant: VariantId) -> Value {
    let cart = buyer.post("/v1/carts", json!({})).await.expect(201);
    let cart = format!("/v1/carts/{}", cart["id"].as_str().unwrap());
    buyer.put(&format!("{cart}/items/{variant}"), json!({"quantity": 1})).await.expect(200);
    let checkout = json!({
        "shipping_address": address(),
        "payment": {"provider": "sandbox", "token": "tok_ok"},
    });
    buyer.post(&format!("{cart}/checkout"), checkout).await.expect(201)
}
