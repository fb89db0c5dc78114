//! Tokens in e-mails: they verify addresses, change them, and reset passwords.

use jiff::SignedDuration;
use serde_json::{Value, json};
use undercroft::application::people::accounts::create_admin;

use super::{PASSWORD, erase, log_in, newcomer, register, try_log_in};
use crate::support::emails::{emails_to, token_in, token_to};
use crate::support::http::faults;
use crate::support::passwords::create_key;
use crate::support::store::{execute, sandbox_emails, terms, value};
use crate::support::{Shop, ShopOptions, TestClient, TestResponse, TestServer};

const ANN: &str = "ann@example.org";

/// Uses a token to verify an address.
async fn verify(server: &TestServer, token: &str) -> TestResponse {
    server.guest().post("/v1/email-verifications", json!({"token": token})).await
}

/// Uses a token to set a password.
async fn reset(server: &TestServer, token: &str, password: &str) -> TestResponse {
    server.guest().post("/v1/password-resets/confirm", json!({"token": token, "password": password})).await
}

/// Requests a password reset.
async fn forget(server: &TestServer, email: &str) -> TestResponse {
    server.guest().post("/v1/password-resets", json!({"email": email})).await
}

/// Requests a token to verify the address of a client.
async fn send_verification(client: &TestClient) -> TestResponse {
    client.post("/v1/me/email-verification", json!({})).await
}

async fn verified_at(client: &TestClient) -> Value {
    client.get("/v1/me").await.expect(200)["email_verified_at"].clone()
}

/// Waits until an address has so many e-mails of a kind; returns their texts, newest first.
async fn mails(server: &TestServer, address: &str, kind: &str, count: usize) -> Vec<String> {
    for _ in 0..600 {
        let all = emails_to(server, address).await;
        let found: Vec<_> = all.into_iter().filter(|email| email.0 == kind).map(|email| email.1).collect();
        if found.len() == count {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{address} does not have {count} e-mails of the kind {kind}");
}

#[track_caller]
fn refused(response: &TestResponse) {
    assert_eq!(response.faults(), faults([("/token", "invalid_token")]));
}

on_both_engines!(a_registration_sends_a_token_that_verifies_the_address_once, with_emails());
async fn a_registration_sends_a_token_that_verifies_the_address_once(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let token = token_to(server, ANN).await;
    assert_eq!(verified_at(&ann).await, Value::Null);
    refused(&verify(server, "x").await);
    refused(&reset(server, &token, "battery staple").await);
    verify(server, &token).await.expect(204);
    assert!(verified_at(&ann).await.is_string());
    refused(&verify(server, &token).await);
    // of a verified address there is nothing to verify
    send_verification(&ann).await.expect(202);
    mails(server, ANN, "email_verification", 1).await;
}

on_both_engines!(a_newer_token_replaces_the_older_one_and_five_are_sent_in_an_hour, with_emails());
async fn a_newer_token_replaces_the_older_one_and_five_are_sent_in_an_hour(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let first = token_to(server, ANN).await;
    for _ in 0..4 {
        shop.clock().advance(SignedDuration::from_mins(10));
        send_verification(&ann).await.expect(202);
    }
    let refusal = send_verification(&ann).await;
    assert_eq!(refusal.problem(429), "too_many_emails");
    assert_eq!(refusal.header("retry-after"), "1201");
    refused(&verify(server, &first).await);

    shop.clock().advance(SignedDuration::from_secs(1201));
    send_verification(&ann).await.expect(202);
    let last = token_in(&mails(server, ANN, "email_verification", 6).await[0]).unwrap();
    shop.clock().advance(SignedDuration::from_hours(24));
    refused(&verify(server, &last).await);
}

on_both_engines!(a_token_of_a_server_whose_clock_is_ahead_is_replaced_and_used, with_emails());
async fn a_token_of_a_server_whose_clock_is_ahead_is_replaced_and_used(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let first = token_to(server, ANN).await;
    shop.clock().advance(SignedDuration::from_secs(-1));
    send_verification(&ann).await.expect(202);
    refused(&verify(server, &first).await);
    let last = token_in(&mails(server, ANN, "email_verification", 2).await[0]).unwrap();
    shop.clock().advance(SignedDuration::from_secs(-1));
    verify(server, &last).await.expect(204);
    refused(&verify(server, &last).await);
}

on_both_engines!(of_concurrent_uses_of_a_token_one_succeeds, with_emails());
async fn of_concurrent_uses_of_a_token_one_succeeds(shop: &Shop) {
    let server = shop.server().await;
    register(server, ANN).await;
    forget(server, ANN).await.expect(202);
    let token = token_in(&mails(server, ANN, "password_reset", 1).await[0]).unwrap();
    let mut running = Vec::new();
    for number in 0..6 {
        let (server, token) = (server.clone(), token.clone());
        let password = format!("battery staple {number}");
        running.push(tokio::spawn(async move { reset(&server, &token, &password).await.status }));
    }
    let mut succeeded = 0;
    for task in running {
        succeeded += usize::from(task.await.unwrap() == 204);
    }
    assert_eq!(succeeded, 1);
}

with_both_session_stores!(a_password_reset_ends_every_session_and_verifies_the_address, with_emails());
async fn a_password_reset_ends_every_session_and_verifies_the_address(shop: &Shop) {
    let server = shop.server().await;
    let (ann, bob) = (newcomer(server, ANN).await, newcomer(server, "bob@example.org").await);
    let verification = token_to(server, ANN).await;
    let known = forget(server, " Ann@Example.org").await;
    let unknown = forget(server, "unknown@example.org").await;
    assert_eq!((known.status, &known.body), (202, &unknown.body));
    assert_eq!(unknown.status, 202);
    let names = |response: &TestResponse| response.headers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&known), names(&unknown));

    let token = token_in(&mails(server, ANN, "password_reset", 1).await[0]).unwrap();
    reset(server, &token, "battery staple").await.expect(204);
    refused(&reset(server, &token, "another staple").await);
    refused(&verify(server, &verification).await);
    assert_eq!(ann.get("/v1/me").await.problem(401), "unauthorized_access");
    bob.get("/v1/me").await.expect(200);
    assert_eq!(try_log_in(server, ANN, PASSWORD).await.status, 401);
    let ann = log_in(server, ANN, "battery staple").await;
    assert!(verified_at(&ann).await.is_string());
    assert!(emails_to(server, "unknown@example.org").await.is_empty());
}

on_both_engines!(a_reset_token_is_valid_for_an_hour, with_emails());
async fn a_reset_token_is_valid_for_an_hour(shop: &Shop) {
    let server = shop.server().await;
    register(server, ANN).await;
    forget(server, ANN).await.expect(202);
    let token = token_in(&mails(server, ANN, "password_reset", 1).await[0]).unwrap();
    shop.clock().advance(SignedDuration::from_hours(1));
    refused(&reset(server, &token, "battery staple").await);
    log_in(server, ANN, PASSWORD).await;
}

on_both_engines!(a_new_address_is_that_of_the_account_when_its_token_is_used, with_emails());
async fn a_new_address_is_that_of_the_account_when_its_token_is_used(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    register(server, "bob@example.org").await;
    verify(server, &token_to(server, ANN).await).await.expect(204);
    forget(server, ANN).await.expect(202);
    let old = token_in(&mails(server, ANN, "password_reset", 1).await[0]).unwrap();

    let change = async |email: &str| {
        let user =
            ann.patch("/v1/me", json!({"email": email, "current_password": PASSWORD})).await.expect(200);
        assert_eq!(user["email"], ANN);
    };
    change("new@example.org").await;
    let token = token_to(server, "new@example.org").await;
    let notices = mails(server, ANN, "email_change_requested", 1).await;
    assert_eq!(token_in(&notices[0]), None);
    assert!(verified_at(&ann).await.is_string());
    assert_eq!(try_log_in(server, "new@example.org", PASSWORD).await.status, 401);
    ann.post("/v1/email-verifications", json!({"token": token})).await.expect(204);
    let user = ann.get("/v1/me").await.expect(200);
    assert_eq!(user["email"], "new@example.org");
    assert!(user["email_verified_at"].is_string());
    refused(&reset(server, &old, "battery staple").await);
    log_in(server, "new@example.org", PASSWORD).await;
}

on_both_engines!(the_address_of_another_account_is_revealed_to_its_owner_alone, with_emails());
async fn the_address_of_another_account_is_revealed_to_its_owner_alone(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    register(server, "bob@example.org").await;
    let change = json!({"email": "bob@example.org", "current_password": PASSWORD});
    assert_eq!(ann.patch("/v1/me", change).await.expect(200)["email"], ANN);
    let token = token_in(&mails(server, "bob@example.org", "email_change", 1).await[0]).unwrap();
    assert_eq!(verify(server, &token).await.problem(409), "email_already_used");
    log_in(server, ANN, PASSWORD).await;
}

on_both_engines!(a_new_password_ends_the_tokens_that_its_predecessor_requested, with_emails());
async fn a_new_password_ends_the_tokens_that_its_predecessor_requested(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let change = json!({"email": "thief@example.org", "current_password": PASSWORD});
    ann.patch("/v1/me", change).await.expect(200);
    let token = token_to(server, "thief@example.org").await;
    let change = json!({"password": "battery staple", "current_password": PASSWORD});
    ann.patch("/v1/me", change).await.expect(200);
    refused(&verify(server, &token).await);
}

on_both_engines!(no_table_has_a_token_and_an_erasure_removes_its_hash, with_emails());
async fn no_table_has_a_token_and_an_erasure_removes_its_hash(shop: &Shop) {
    let server = shop.server().await;
    let (ann, admin) = (newcomer(server, ANN).await, server.admin().await);
    let token = token_to(server, ANN).await;
    for sql in [
        "SELECT COUNT(*) FROM emails WHERE body LIKE $1",
        "SELECT COUNT(*) FROM outbox WHERE CAST(data AS TEXT) LIKE $1",
        "SELECT COUNT(*) FROM jobs WHERE CAST(arguments AS TEXT) LIKE $1",
    ] {
        let pattern = format!("%{token}%");
        assert_eq!(value::<i64>(&shop.database, sql, &[pattern.as_str().into()]).await, 0, "{sql}");
    }
    let list = admin.get("/admin/v1/emails").await.expect(200);
    let path = format!("/admin/v1/emails/{}", list["items"][0]["id"].as_str().unwrap());
    assert!(admin.get(&path).await.expect(200)["body"].as_str().unwrap().contains("{token}"));

    erase(&ann).await.expect(204);
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM user_tokens", &[]).await, 0);
    refused(&verify(server, &token).await);
}

on_both_engines!(without_e_mails_there_are_no_tokens);
async fn without_e_mails_there_are_no_tokens(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    assert_eq!(send_verification(&ann).await.problem(409), "no_emails");
    for email in [ANN, "unknown@example.org"] {
        assert_eq!(forget(server, email).await.problem(409), "no_emails");
    }
    let sandbox = server.guest().get("/sandbox/emails?address=ann@example.org").await;
    assert_eq!(sandbox.problem(404), "sandbox_emails_not_found");
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM user_tokens", &[]).await, 0);
}

on_both_engines!(the_sandbox_shows_no_e_mail_to_an_administrator, with_emails());
async fn the_sandbox_shows_no_e_mail_to_an_administrator(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let email = admin.get("/v1/me").await.expect(200)["email"].as_str().unwrap().to_owned();
    send_verification(&admin).await.expect(202);
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM emails", &[]).await, 1);
    assert!(emails_to(server, &email).await.is_empty());
    let foreign = server.guest().with("sec-fetch-site", "cross-site");
    let response = foreign.get("/sandbox/emails?address=ann@example.org").await;
    assert_eq!(response.problem(403), "unauthorized_access");
}

/// A shop whose e-mails are read in the sandbox, with a manual clock.
fn with_emails() -> ShopOptions {
    ShopOptions::manual_clock().terms(sandbox_emails())
}

on_both_engines!(an_e_mail_leads_to_the_page_of_the_shop, {
    let mut terms = sandbox_emails();
    terms.pages.email_verification = Some("https://shop.example/verify#{token}".to_owned());
    ShopOptions::default().terms(terms)
});
async fn an_e_mail_leads_to_the_page_of_the_shop(shop: &Shop) {
    let server = shop.server().await;
    register(server, ANN).await;
    let mail = &mails(server, ANN, "email_verification", 1).await[0];
    let token = mail.lines().find_map(|line| line.strip_prefix("https://shop.example/verify#")).unwrap();
    verify(server, token).await.expect(204);
    assert!(mail.contains(&terms().name), "{mail}");
}

with_both_session_stores!(a_change_of_the_address_ends_the_other_sessions, with_emails());
async fn a_change_of_the_address_ends_the_other_sessions(shop: &Shop) {
    let server = shop.server().await;
    let change = async |client: &TestClient, address: &str| {
        let body = json!({"email": address, "current_password": PASSWORD});
        client.patch("/v1/me", body).await.expect(200);
        token_to(server, address).await
    };
    let (ann, other) = (newcomer(server, ANN).await, log_in(server, ANN, PASSWORD).await);
    let token = change(&ann, "ann@new.example").await;
    other.get("/v1/me").await.expect(200);
    ann.post("/v1/email-verifications", json!({"token": token})).await.expect(204);
    ann.get("/v1/me").await.expect(200);
    other.get("/v1/me").await.problem(401);

    // the device on which the e-mail is read may have no session
    let token = change(&ann, "ann@newer.example").await;
    let elsewhere = newcomer(server, "bob@example.org").await;
    elsewhere.post("/v1/email-verifications", json!({"token": token})).await.expect(204);
    ann.get("/v1/me").await.problem(401);
    elsewhere.get("/v1/me").await.expect(200);
    log_in(server, "ann@newer.example", PASSWORD).await;
}

on_both_engines!(a_user_who_becomes_an_administrator_has_no_valid_token_of_before, with_emails());
async fn a_user_who_becomes_an_administrator_has_no_valid_token_of_before(shop: &Shop) {
    let server = shop.server().await;
    let (stranger, admin) = (newcomer(server, ANN).await, server.admin().await);
    let change = async |client: &TestClient, address: &str| {
        let body = json!({"email": address, "current_password": PASSWORD});
        client.patch("/v1/me", body).await.expect(200);
        token_to(server, address).await
    };

    // by the command of the operator, who knows nothing of the account
    let token = change(&stranger, "stranger@example.org").await;
    let new = serde_json::from_value(json!({"email": ANN, "password": "a password of the owner"})).unwrap();
    let owner = create_admin(&shop.store, new, None).await.unwrap();
    refused(&verify(server, &token).await);

    // by another administrator
    let bob = newcomer(server, "bob@example.org").await;
    let id = bob.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    let token = change(&bob, "robert@example.org").await;
    admin.patch(&format!("/admin/v1/users/{id}"), json!({"role": "admin"})).await.expect(200);
    refused(&verify(server, &token).await);
    let email: String =
        value(&shop.database, "SELECT email FROM users WHERE id = $1", &[owner.id.into()]).await;
    assert_eq!(email, ANN);
}

on_both_engines!(strangers_cannot_fill_an_inbox_by_changes_of_address, with_emails());
async fn strangers_cannot_fill_an_inbox_by_changes_of_address(shop: &Shop) {
    let server = shop.server().await;
    for number in 0..7 {
        let user = newcomer(server, &format!("user{number}@example.org")).await;
        let address = if number % 2 == 0 { "inbox@example.org" } else { "INBOX@example.org" };
        let body = json!({"email": address, "current_password": PASSWORD});
        let response = user.patch("/v1/me", body).await;
        assert_eq!(response.status, if number < 5 { 200 } else { 429 }, "{response}");
    }
}

on_both_engines!(developers_read_e_mails_on_their_own_machine_alone, with_emails());
async fn developers_read_e_mails_on_their_own_machine_alone(shop: &Shop) {
    let server = shop.server().await;
    newcomer(server, ANN).await;
    let path = format!("/sandbox/emails?address={ANN}");
    for (name, value) in [
        ("host", "shop.example:8080"),
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("via", "1.1 proxy"),
    ] {
        let response = server.guest().with(name, value).get(&path).await;
        assert_eq!(response.problem(404), "sandbox_emails_not_found", "{name}");
    }
    server.guest().with("host", "localhost").get(&path).await.expect(200);
}

on_both_engines!(
    who_resets_the_password_of_an_address_that_a_stranger_registered_has_the_account_alone,
    with_emails()
);
async fn who_resets_the_password_of_an_address_that_a_stranger_registered_has_the_account_alone(shop: &Shop) {
    let server = shop.server().await;
    let stranger = newcomer(server, ANN).await;
    let created = create_key(server, &stranger, json!({"name": "kept"})).await.expect(201);
    let key = format!("Bearer {}", created["key"].as_str().unwrap());
    stranger.post("/v1/me/totp", json!({"current_password": PASSWORD})).await.expect(201);
    execute(&shop.database, &["UPDATE users SET totp_since = created_at WHERE role = 'customer'"]).await;

    forget(server, ANN).await.expect(202);
    let token = token_in(&mails(server, ANN, "password_reset", 1).await[0]).unwrap();
    reset(server, &token, "battery staple").await.expect(204);
    log_in(server, ANN, "battery staple").await.get("/v1/me").await.expect(200);
    let by_key = server.guest().with("authorization", &key).get("/v1/me").await;
    assert_eq!(by_key.problem(401), "unauthorized_access");
    assert_eq!(stranger.get("/v1/me").await.problem(401), "unauthorized_access");
}

on_both_engines!(the_end_of_all_sessions_ends_a_change_of_the_address, with_emails());
async fn the_end_of_all_sessions_ends_a_change_of_the_address(shop: &Shop) {
    let server = shop.server().await;
    let (ann, admin) = (newcomer(server, ANN).await, server.admin().await);
    let id = ann.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    let own = "/v1/me/sessions".to_owned();
    for path in [own.clone(), format!("/admin/v1/users/{id}/sessions")] {
        let ann = log_in(server, ANN, PASSWORD).await;
        let change = json!({"email": "evil@example.org", "current_password": PASSWORD});
        ann.patch("/v1/me", change).await.expect(200);
        let token = token_to(server, "evil@example.org").await;
        let by = if path == own { &ann } else { &admin };
        by.delete(&path).await.expect(204);
        refused(&verify(server, &token).await);
    }
}
