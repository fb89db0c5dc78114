//! The credentials of a request that verifies an e-mail address: none is refused, and the session of the request goes
//! on.

use serde_json::json;

use super::{PASSWORD, bearer, newcomer};
use crate::support::emails::token_to;
use crate::support::passwords::create_key;
use crate::support::store::sandbox_emails;
use crate::support::{Shop, ShopOptions, TestClient, TestServer};

/// The credentials of a program of a proxy, which the store does not know.
const BASIC: &str = "Basic c2hvcDpzZWNyZXQ=";

fn with_emails() -> ShopOptions {
    ShopOptions::default().terms(sandbox_emails())
}

/// The token of the session of a client.
fn token_of(client: &TestClient) -> &str {
    client.header("authorization").trim_start_matches("Bearer ")
}

/// A client that sends the token of another one's session as a cookie.
fn by_cookie(server: &TestServer, of: &TestClient) -> TestClient {
    server.guest().with("cookie", &format!("undercroft_session={}", token_of(of)))
}

/// The value of `Authorization` with an access token.
async fn access_token(client: &TestClient) -> String {
    let issued = client.post("/v1/sessions/token", json!({})).await.expect(200);
    format!("Bearer {}", issued["access_token"].as_str().unwrap())
}

/// Clients with credentials that do not belong to a session of a user: of another one, ended, and of other kinds.
async fn unrelated(server: &TestServer, other: &TestClient) -> Vec<TestClient> {
    let ended = newcomer(server, "ended@example.org").await;
    let of_ended = access_token(&ended).await;
    let ended_cookie = by_cookie(server, &ended);
    ended.delete("/v1/sessions").await.expect(204);
    let key = create_key(server, other, json!({"name": "Key"})).await.expect(201);
    let with = |value: &str| server.guest().with("authorization", value);
    vec![
        with(BASIC),
        with("Bearer"),
        with(&format!("Bearer {}", "x".repeat(16_000))),
        with(&of_ended),
        with(&access_token(other).await),
        bearer(server, key["key"].as_str().unwrap()),
        other.clone(),
        by_cookie(server, other),
        by_cookie(server, other).with("sec-fetch-site", "cross-site"),
        ended_cookie,
    ]
}

/// Requests another address for a user; returns the token that is sent there.
async fn change(server: &TestServer, client: &TestClient, address: &str) -> String {
    let body = json!({"email": address, "current_password": PASSWORD});
    client.patch("/v1/me", body).await.expect(200);
    token_to(server, address).await
}

with_both_session_stores!(no_credential_keeps_an_address_from_being_verified, with_emails());
async fn no_credential_keeps_an_address_from_being_verified(shop: &Shop) {
    let server = shop.server().await;
    let other = newcomer(server, "other@example.org").await;
    for (number, client) in unrelated(server, &other).await.iter().enumerate() {
        let ann = newcomer(server, &format!("ann{number}@example.org")).await;
        let token = token_to(server, &format!("ann{number}@example.org")).await;
        client.post("/v1/email-verifications", json!({"token": token})).await.expect(204);
        assert!(ann.get("/v1/me").await.expect(200)["email_verified_at"].is_string());

        let token = change(server, &ann, &format!("ann{number}@new.example")).await;
        client.post("/v1/email-verifications", json!({"token": token})).await.expect(204);
        ann.get("/v1/me").await.problem(401);
        other.get("/v1/me").await.expect(200);
    }
}

with_both_session_stores!(the_session_of_the_request_goes_on_whatever_else_it_has, with_emails());
async fn the_session_of_the_request_goes_on_whatever_else_it_has(shop: &Shop) {
    let server = shop.server().await;
    let other = newcomer(server, "other@example.org").await;
    let of_other = access_token(&other).await;
    for number in 0..7 {
        let ann = newcomer(server, &format!("ann{number}@example.org")).await;
        let cookie = by_cookie(server, &ann);
        let client = match number {
            0 => ann.clone(),
            1 => cookie,
            2 => cookie.with("authorization", BASIC),
            3 => cookie.with("authorization", &of_other),
            4 => cookie.with("sec-fetch-site", "cross-site"),
            5 => by_cookie(server, &other).with("authorization", &access_token(&ann).await),
            _ => by_cookie(server, &other).with("authorization", ann.header("authorization")),
        };
        let token = change(server, &ann, &format!("ann{number}@new.example")).await;
        client.post("/v1/email-verifications", json!({"token": token})).await.expect(204);
        let user = ann.get("/v1/me").await.expect(200);
        assert_eq!(user["email"], format!("ann{number}@new.example"), "{number}");
        other.get("/v1/me").await.expect(200);
    }
}
