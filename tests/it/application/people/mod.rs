//! Users over HTTP: accounts, sessions, preferences and notifications.

mod access_tokens;
mod accounts;
mod administrators;
mod api_keys;
mod copies_for_tests;
mod email_verifications;
mod equal_work;
mod erasures;
mod identities;
mod internationalised_domains;
mod late_bodies;
mod log_in_limits;
mod notifications;
mod one_time_passwords;
mod password_hashes;
mod personal_data;
mod preferences;
mod registrations;
mod secrets;
mod session_cookies;
mod session_stores;
mod sessions;
mod sessions_in_redis;
mod tokens;

use http::Method;
use serde_json::{Value, json};
use undercroft::domain::context::Context;

use crate::support::passwords::PASSWORD;
use crate::support::{TestClient, TestResponse, TestServer};

/// Registers a user; returns the account.
async fn register(server: &TestServer, email: &str) -> Value {
    let new = json!({"email": email, "password": PASSWORD, "name": "Ann"});
    server.guest().post("/v1/users", new).await.expect(201)
}

/// Logs in; returns the response.
async fn try_log_in(server: &TestServer, email: &str, password: &str) -> TestResponse {
    server.guest().post("/v1/sessions", json!({"email": email, "password": password})).await
}

/// Logs in; returns a client with the token of the session.
async fn log_in(server: &TestServer, email: &str, password: &str) -> TestClient {
    let session = try_log_in(server, email, password).await.expect(201);
    bearer(server, session["token"].as_str().unwrap())
}

/// A client that sends this token.
fn bearer(server: &TestServer, token: &str) -> TestClient {
    server.guest().with("authorization", &format!("Bearer {token}"))
}

/// Registers a user and logs in.
pub async fn newcomer(server: &TestServer, email: &str) -> TestClient {
    register(server, email).await;
    log_in(server, email, PASSWORD).await
}

/// The cookie of the device that a response sets.
fn device(response: &TestResponse) -> String {
    let cookies = response.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let found = cookies.filter_map(|text| text.split_once(';')).map(|(pair, _)| pair);
    found.filter(|pair| pair.starts_with("undercroft_device=")).collect::<Vec<_>>().join("; ")
}

/// A new idempotency key.
pub fn new_key() -> String {
    Context::system().ids.uuid().to_string()
}

/// Erases the account of a client with its password.
async fn erase(client: &TestClient) -> TestResponse {
    client.send(Method::DELETE, "/v1/me", Some(json!({"current_password": PASSWORD}))).await
}
