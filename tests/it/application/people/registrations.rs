//! Registrations of a store that hides which e-mail addresses have accounts.

use jiff::SignedDuration;
use serde_json::{Value, json};
use undercroft::application::{AccountTerms, Terms};
use undercroft::infrastructure::repositories::Engine;

use super::{PASSWORD, new_key, register, try_log_in};
use crate::support::emails::{emails_to, token_in, token_to};
use crate::support::store::{execute, sandbox_emails, value, wait_for_locks, write_until_committed};
use crate::support::{Shop, ShopOptions, TestResponse, TestServer, awaited};

fn options() -> ShopOptions {
    let accounts = AccountTerms { hide_registered_addresses: true, ..AccountTerms::default() };
    ShopOptions::manual_clock().terms(Terms { accounts, ..sandbox_emails() })
}

/// The texts of the e-mails of a kind to Ann, newest first.
async fn emails_of(server: &TestServer, kind: &str) -> Vec<String> {
    let all = emails_to(server, "ann@example.org").await.into_iter();
    all.filter(|email| email.0 == kind).map(|email| email.1).collect()
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
    assert_eq!(kinds, ["email_verification", "registration_repeated"], "one e-mail in an hour");
    let sql = "SELECT COUNT(*) FROM audit_log WHERE action = 'registration.attempted' \
               AND subject_id = (SELECT id FROM users WHERE email = 'ann@example.org')";
    assert_eq!(value::<i64>(&shop.database, sql, &[]).await, 2, "each writes, also one without a notice");
}

on_both_engines!(an_owner_who_gets_another_address_meanwhile_gets_no_notice_at_the_former_one, options());
async fn an_owner_who_gets_another_address_meanwhile_gets_no_notice_at_the_former_one(shop: &Shop) {
    const LOCK: &str = "SELECT 1 FROM users WHERE email = 'ann@example.org' FOR UPDATE";
    // the second time, it changes nothing
    const CHANGE: &str = "UPDATE users SET email = 'new@example.org', email_key = 'new@example.org' \
                          WHERE email = 'ann@example.org' \
                          AND NOT EXISTS (SELECT 1 FROM users WHERE email = 'new@example.org')";
    let server = shop.server().await;
    register(server, "ann@example.org").await;

    // the change waits for the lock, and the registration, which has found the owner, for the change; on SQLite, where
    // one transaction runs after the other, the first one is the change
    let first = match shop.database.engine() {
        Engine::Postgres => LOCK,
        Engine::Sqlite => CHANGE,
    };
    let (locking, complete) = write_until_committed(&shop.database, first).await;
    let database = shop.database.clone();
    let changing = tokio::spawn(async move { execute(&database, &[CHANGE]).await });
    wait_for_locks(&shop.database, 1).await;
    let guest = server.guest();
    let new = json!({"email": "ann@example.org", "password": PASSWORD, "name": "Bob"});
    let registering = tokio::spawn(async move { guest.post("/v1/users", new).await });
    wait_for_locks(&shop.database, 2).await;
    complete.cancel();
    locking.await.unwrap().unwrap();
    changing.await.unwrap();
    registering.await.unwrap().expect(201);

    let kinds: Vec<_> =
        emails_to(server, "ann@example.org").await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["email_verification", "email_verification"]);
    let sql = "SELECT name FROM users WHERE email = 'ann@example.org'";
    assert_eq!(value::<String>(&shop.database, sql, &[]).await, "Bob");
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

on_both_engines!(who_lost_the_e_mail_registers_again_and_sets_a_password, options());
async fn who_lost_the_e_mail_registers_again_and_sets_a_password(shop: &Shop) {
    let server = shop.server().await;
    // perhaps a stranger
    register(server, "ann@example.org").await;
    let refused = try_log_in(server, "ann@example.org", PASSWORD).await;
    refused.problem(401);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("not verified yet") && detail.contains("request a new password"), "{detail}");
    let unknown = try_log_in(server, "bob@example.org", PASSWORD).await;
    assert_eq!(refused.body, unknown.body);

    let mine = json!({"email": "ann@example.org", "password": "battery staple", "name": "Ann"});
    server.guest().post("/v1/users", mine.clone()).await.expect(201);
    let token = token_in(&emails_of(server, "registration_repeated").await[0]).unwrap();
    let new = json!({"token": token, "password": "battery staple"});
    server.guest().post("/v1/password-resets/confirm", new).await.expect(204);
    try_log_in(server, "ann@example.org", PASSWORD).await.expect(401);
    try_log_in(server, "ann@example.org", "battery staple").await.expect(201);

    server.guest().post("/v1/users", mine).await.expect(201);
    let notices = emails_of(server, "registration_attempted").await;
    assert!(notices.len() == 1 && token_in(&notices[0]).is_none(), "{notices:?}");
    assert_eq!(emails_of(server, "registration_repeated").await.len(), 1, "the address is verified");
}

on_both_engines!(a_repeated_registration_succeeds_however_many_tokens_were_requested, options());
async fn a_repeated_registration_succeeds_however_many_tokens_were_requested(shop: &Shop) {
    let server = shop.server().await;
    register(server, "ann@example.org").await;
    for sent in 1..=5 {
        server.guest().post("/v1/password-resets", json!({"email": "ann@example.org"})).await.expect(202);
        awaited("an e-mail", async || {
            let emails = emails_of(server, "password_reset").await;
            (emails.len() == sent).then_some(())
        })
        .await;
    }
    register(server, "ann@example.org").await;
    assert_eq!(emails_of(server, "registration_repeated").await.len(), 1);

    shop.clock().advance(SignedDuration::from_mins(61));
    register(server, "ann@example.org").await;
    assert_eq!(emails_of(server, "registration_repeated").await.len(), 2, "one in an hour");
}
