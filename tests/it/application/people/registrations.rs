//! Registrations of a store that hides which e-mail addresses have accounts.

use serde_json::{Value, json};
use undercroft::application::{AccountTerms, Terms};

use super::{PASSWORD, new_key, register, try_log_in};
use crate::support::emails::{emails_to, token_to};
use crate::support::store::{sandbox_emails, value};
use crate::support::{Shop, ShopOptions, TestResponse};

fn options() -> ShopOptions {
    let accounts = AccountTerms { hide_registered_addresses: true, ..AccountTerms::default() };
    ShopOptions::manual_clock().terms(Terms { accounts, ..sandbox_emails() })
}

/// What a response shows without its ids.
fn shown(response: &TestResponse) -> (u16, Vec<String>, Value) {
    let names = response.headers.keys().map(ToString::to_string).collect();
    let mut body = response.json();
    body["id"] = json!("id");
    (response.status, names, body)
}

on_both_engines!(a_registration_with_a_known_address_looks_like_any_other, options());
async fn a_registration_with_a_known_address_looks_like_any_other(shop: &Shop) {
    let server = shop.server().await;
    let account = |email: &str| json!({"email": email, "password": "another horse", "name": "Bob"});
    let first = server.guest().post("/v1/users", account("ann@example.org")).await;
    let second = server.guest().post("/v1/users", account("ann@example.org")).await;
    assert_eq!(shown(&second), shown(&first));
    assert_ne!(second.json()["id"], first.json()["id"]);
    let repeated = server.guest().with("idempotency-key", &new_key());
    let third = repeated.post("/v1/users", account("ann@example.org")).await;
    assert_eq!(third.expect(201), repeated.post("/v1/users", account("ann@example.org")).await.expect(201));
    let mut kinds: Vec<_> =
        emails_to(server, "ann@example.org").await.into_iter().map(|(kind, _)| kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["email_verification", "registration_attempted"], "one notice in an hour");
    let sql = "SELECT COUNT(*) FROM audit_log WHERE action = 'registration.attempted' \
               AND subject_id = (SELECT id FROM users WHERE email = 'ann@example.org')";
    assert_eq!(value::<i64>(&shop.database, sql, &[]).await, 2, "each writes, also one without a notice");
}

on_both_engines!(a_customer_logs_in_after_the_address_is_verified, options());
async fn a_customer_logs_in_after_the_address_is_verified(shop: &Shop) {
    let server = shop.server().await;
    register(server, "ann@example.org").await;
    let wrong = try_log_in(server, "ann@example.org", "wrong password").await;
    let early = try_log_in(server, "ann@example.org", PASSWORD).await;
    assert_eq!((early.status, &early.body), (401, &wrong.body));
    let token = token_to(server, "ann@example.org").await;
    server.guest().post("/v1/email-verifications", json!({"token": token})).await.expect(204);
    try_log_in(server, "ann@example.org", PASSWORD).await.expect(201);
}
