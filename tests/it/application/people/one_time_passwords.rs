//! One-time passwords: enrolled with an authenticator app, required to log in, and each accepted once.

use jiff::SignedDuration;
use serde_json::{Value, json};
use undercroft::application::people::accounts::create_admin;
use undercroft::application::{AccountTerms, Terms};

use super::{PASSWORD, log_in, newcomer, try_log_in};
use crate::support::emails::{emails_to, token_in, token_to};
use crate::support::store::{execute, sandbox_emails, value};
use crate::support::totp::{code_at, enrol};
use crate::support::{Shop, ShopOptions, TestClient, TestResponse, TestServer, awaited};

const ANN: &str = "ann@example.org";

/// Administrators need one-time passwords.
pub(super) const REQUIRED: AccountTerms =
    AccountTerms { administrators_use_one_time_passwords: true, hide_registered_addresses: false };

fn options() -> ShopOptions {
    ShopOptions::manual_clock().terms(sandbox_emails())
}

/// Lets the next code begin.
fn next_step(shop: &Shop) {
    shop.clock().advance(SignedDuration::from_secs(30));
}

async fn log_in_with(server: &TestServer, member: &str, code: &str) -> TestResponse {
    let body = json!({"email": ANN, "password": PASSWORD, member: code});
    server.guest().post("/v1/sessions", body).await
}

/// Begins to enrol an app for the user of a client; returns the secret.
async fn begin(client: &TestClient, password: &str) -> String {
    let begun = client.post("/v1/me/totp", json!({"current_password": password})).await.expect(201);
    begun["secret"].as_str().unwrap().to_owned()
}

async fn confirm(client: &TestClient, code: &str) -> TestResponse {
    client.post("/v1/me/totp/confirm", json!({"one_time_password": code})).await
}

/// A code that is not the right one.
fn wrong_beside(right: &str) -> &'static str {
    if right == "000000" { "000001" } else { "000000" }
}

#[track_caller]
fn assert_fault(response: &TestResponse, fault: &str) {
    assert_eq!(response.faults(), [("/one_time_password".into(), fault.into())]);
}

/// The number of wrong codes in a row.
async fn failures(shop: &Shop) -> i64 {
    value(&shop.database, "SELECT failures FROM one_time_passwords", &[]).await
}

/// The reason of a refused attempt to log in.
fn reason(response: &TestResponse) -> Value {
    assert_eq!(response.problem(401), "unauthorized_access");
    response.json()["reason"].clone()
}

/// Asserts that these are the kinds of the e-mails to Ann, beside that of the registration.
async fn assert_notices(server: &TestServer, expected: &[&str]) {
    let mut kinds: Vec<_> = emails_to(server, ANN).await.into_iter().map(|(kind, _)| kind).collect();
    kinds.retain(|kind| kind != "email_verification");
    kinds.sort_unstable();
    assert_eq!(kinds, expected);
}

with_both_session_stores!(an_enrolled_app_is_required_to_log_in_and_each_code_is_accepted_once, options());
async fn an_enrolled_app_is_required_to_log_in_and_each_code_is_accepted_once(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let other = log_in(server, ANN, PASSWORD).await;
    let wrong = ann.post("/v1/me/totp", json!({"current_password": "wrong password"})).await;
    assert_eq!(wrong.faults(), [("/current_password".into(), "wrong_password".into())]);
    let begun = ann.post("/v1/me/totp", json!({"current_password": PASSWORD})).await.expect(201);
    let secret = begun["secret"].as_str().unwrap();
    let uri = format!("otpauth://totp/Test:ann%40example%2Eorg?secret={secret}&issuer=Test&");
    assert!(begun["otpauth_uri"].as_str().unwrap().starts_with(&uri), "{begun}");
    log_in(server, ANN, PASSWORD).await;

    let code = code_at(secret, shop.now());
    let confirm = |code: &str| json!({"one_time_password": code});
    let earlier = code_at(secret, shop.now() - SignedDuration::from_secs(90));
    let refused = ann.post("/v1/me/totp/confirm", confirm(&earlier)).await;
    assert_eq!(refused.faults(), [("/one_time_password".into(), "wrong_one_time_password".into())]);
    let confirmed = ann.post("/v1/me/totp/confirm", confirm(&code)).await;
    confirmed.expect(200);
    assert_eq!(ann.get("/v1/me").await.status, 401, "the session has another token");
    let ann = super::bearer(server, confirmed.header("session-token"));
    assert_eq!(ann.get("/v1/me").await.expect(200)["totp_since"], shop.now().to_string());
    assert_eq!(other.get("/v1/me").await.status, 401, "a session without a code has ended");
    assert_eq!(ann.post("/v1/me/totp/confirm", confirm(&code)).await.problem(409), "already_exists");
    let again = ann.post("/v1/me/totp", json!({"current_password": PASSWORD})).await;
    assert_eq!(again.problem(409), "already_exists");

    assert_eq!(reason(&try_log_in(server, ANN, PASSWORD).await), "one_time_password_required");
    for empty in ["one_time_password", "recovery_code"] {
        assert_eq!(reason(&log_in_with(server, empty, "").await), "one_time_password_required", "{empty}");
    }
    assert_eq!(reason(&try_log_in(server, ANN, "wrong password").await), "wrong_credentials");
    assert_eq!(reason(&log_in_with(server, "one_time_password", &code).await), "wrong_one_time_password");
    next_step(shop);
    let code = code_at(secret, shop.now());
    assert!(!log_in_with(server, "one_time_password", &code).await.expect(201)["token"].is_null());
    assert_eq!(reason(&log_in_with(server, "one_time_password", &code).await), "wrong_one_time_password");
    assert_notices(server, &["one_time_passwords_enabled"]).await;

    let stored: Vec<u8> = value(&shop.database, "SELECT secret FROM one_time_passwords", &[]).await;
    let plain = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    assert!(!stored.windows(8).any(|part| plain.windows(8).any(|plain| plain == part)), "it is encrypted");
}

on_both_engines!(of_concurrent_log_ins_with_one_code_one_succeeds, options());
async fn of_concurrent_log_ins_with_one_code_one_succeeds(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let (secret, ..) = enrol(shop, &ann, PASSWORD).await;
    next_step(shop);
    let code = code_at(&secret, shop.now());
    let attempts: Vec<_> = (0..5)
        .map(|_| {
            let (server, code) = (server.clone(), code.clone());
            tokio::spawn(async move { log_in_with(&server, "one_time_password", &code).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for attempt in attempts {
        statuses.push(attempt.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 401, 401, 401, 401]);

    assert_eq!(failures(shop).await, 0, "they are no guesses");
    log_in_with(server, "one_time_password", &code).await.problem(401);
    next_step(shop);
    log_in_with(server, "one_time_password", &code_at(&secret, shop.now())).await.expect(201);
    assert_eq!(reason(&log_in_with(server, "one_time_password", &code).await), "wrong_one_time_password");
    assert_eq!(failures(shop).await, 1, "a code before the last one counts as a wrong one");
}

on_both_engines!(a_recovery_code_is_accepted_once_and_new_ones_replace_all, options());
async fn a_recovery_code_is_accepted_once_and_new_ones_replace_all(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let (secret, codes, token) = enrol(shop, &ann, PASSWORD).await;
    let ann = super::bearer(server, &token);
    assert_eq!(codes.len(), 10);
    log_in_with(server, "recovery_code", &codes[0]).await.expect(201);
    assert_notices(server, &["one_time_passwords_enabled", "recovery_code_used"]).await;
    assert_eq!(reason(&log_in_with(server, "recovery_code", &codes[0]).await), "wrong_one_time_password");
    log_in_with(server, "recovery_code", &codes[1].to_uppercase().replace('-', "")).await.expect(201);

    next_step(shop);
    let both = json!({"current_password": PASSWORD, "one_time_password": code_at(&secret, shop.now())});
    let new = ann.post("/v1/me/totp/recovery-codes", both).await.expect(200)["recovery_codes"].clone();
    assert_eq!(reason(&log_in_with(server, "recovery_code", &codes[2]).await), "wrong_one_time_password");
    log_in_with(server, "recovery_code", new[0].as_str().unwrap()).await.expect(201);
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM recovery_codes", &[]).await, 9);
    let used = "recovery_code_used";
    assert_notices(server, &["one_time_passwords_enabled", used, used, used, "recovery_codes_replaced"])
        .await;
}

on_both_engines!(wrong_codes_delay_further_ones_but_not_a_recovery_code, options());
async fn wrong_codes_delay_further_ones_but_not_a_recovery_code(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let (secret, codes, _) = enrol(shop, &ann, PASSWORD).await;
    next_step(shop);
    let right = code_at(&secret, shop.now());
    let wrong = wrong_beside(&right);
    for _ in 0..5 {
        assert_eq!(reason(&log_in_with(server, "one_time_password", wrong).await), "wrong_one_time_password");
    }
    assert_notices(server, &["one_time_passwords_enabled", "one_time_passwords_refused"]).await;
    let delayed = log_in_with(server, "one_time_password", &right).await;
    assert_eq!((delayed.problem(429), delayed.header("retry-after")), ("too_many_requests".into(), "61"));
    log_in_with(server, "recovery_code", &codes[0]).await.expect(201);

    shop.clock().advance(SignedDuration::from_mins(1));
    assert_eq!(reason(&log_in_with(server, "one_time_password", wrong).await), "wrong_one_time_password");
    shop.clock().advance(SignedDuration::from_mins(1));
    let delayed = log_in_with(server, "one_time_password", &code_at(&secret, shop.now())).await;
    assert_eq!(delayed.header("retry-after"), "61", "twice as long");
    shop.clock().advance(SignedDuration::from_mins(1));
    log_in_with(server, "one_time_password", &code_at(&secret, shop.now())).await.expect(201);
    assert_eq!(failures(shop).await, 0);
}

on_both_engines!(wrong_codes_of_an_app_that_is_enrolled_delay_further_ones, options());
async fn wrong_codes_of_an_app_that_is_enrolled_delay_further_ones(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let secret = begin(&ann, PASSWORD).await;
    let right = code_at(&secret, shop.now());
    for _ in 0..5 {
        assert_fault(&confirm(&ann, wrong_beside(&right)).await, "wrong_one_time_password");
    }
    let delayed = confirm(&ann, &right).await;
    assert_eq!((delayed.problem(429), delayed.header("retry-after")), ("too_many_requests".into(), "61"));
    assert_notices(server, &[]).await;
    let sql = "SELECT COUNT(*) FROM audit_log WHERE action = 'totp.refused'";
    assert_eq!(value::<i64>(&shop.database, sql, &[]).await, 5);
    shop.clock().advance(SignedDuration::from_mins(1));
    confirm(&ann, &code_at(&secret, shop.now())).await.expect(200);
}

on_both_engines!(a_secret_can_be_confirmed_for_fifteen_minutes, options());
async fn a_secret_can_be_confirmed_for_fifteen_minutes(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let minutes = SignedDuration::from_mins(15);
    assert_fault(&confirm(&ann, "000000").await, "no_enrolment");
    let secret = begin(&ann, PASSWORD).await;
    shop.clock().advance(minutes + SignedDuration::from_secs(1));
    assert_fault(&confirm(&ann, &code_at(&secret, shop.now())).await, "no_enrolment");
    log_in(server, ANN, PASSWORD).await;
    let secret = begin(&ann, PASSWORD).await;
    shop.clock().advance(minutes);
    confirm(&ann, &code_at(&secret, shop.now())).await.expect(200);
}

on_both_engines!(a_new_password_ends_an_enrolment_that_was_not_confirmed, options());
async fn a_new_password_ends_an_enrolment_that_was_not_confirmed(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let secret = begin(&ann, PASSWORD).await;
    let change = json!({"password": "another horse", "current_password": PASSWORD});
    let changed = ann.patch("/v1/me", change).await;
    changed.expect(200);
    let ann = super::bearer(server, changed.header("session-token"));
    assert_fault(&confirm(&ann, &code_at(&secret, shop.now())).await, "no_enrolment");

    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    let secret = begin(&ann, "another horse").await;
    reset_password(server, "third horse").await;
    let ann = log_in(server, ANN, "third horse").await;
    assert_fault(&confirm(&ann, &code_at(&secret, shop.now())).await, "no_enrolment");

    // an app that is enrolled remains
    let (secret, ..) = enrol(shop, &ann, "third horse").await;
    reset_password(server, "fourth horse").await;
    assert_eq!(reason(&try_log_in(server, ANN, "fourth horse").await), "one_time_password_required");
    next_step(shop);
    let factors = json!({"email": ANN, "password": "fourth horse",
                         "one_time_password": code_at(&secret, shop.now())});
    server.guest().post("/v1/sessions", factors).await.expect(201);
}

on_both_engines!(a_password_reset_leaves_the_app_of_an_administrator_who_was_created, options());
async fn a_password_reset_leaves_the_app_of_an_administrator_who_was_created(shop: &Shop) {
    let server = shop.server().await;
    let new = serde_json::from_value(json!({"email": ANN, "password": PASSWORD})).unwrap();
    let admin = create_admin(&shop.store, new, None).await.unwrap();
    assert_eq!(admin.email_verified_at, None);
    let (secret, ..) = enrol(shop, &log_in(server, ANN, PASSWORD).await, PASSWORD).await;
    // the sandbox shows no e-mails to administrators
    let as_customer = &["UPDATE users SET role = 'customer' WHERE email = 'ann@example.org'"];
    execute(&shop.database, as_customer).await;
    let token = reset_token(server).await;
    execute(&shop.database, &["UPDATE users SET role = 'admin' WHERE email = 'ann@example.org'"]).await;
    let reset = json!({"token": token, "password": "another horse"});
    server.guest().post("/v1/password-resets/confirm", reset).await.expect(204);
    assert_eq!(reason(&try_log_in(server, ANN, "another horse").await), "one_time_password_required");
    next_step(shop);
    let factors = json!({"email": ANN, "password": "another horse",
                         "one_time_password": code_at(&secret, shop.now())});
    server.guest().post("/v1/sessions", factors).await.expect(201);
    execute(&shop.database, as_customer).await;
    assert_notices(server, &["one_time_passwords_enabled", "password_changed", "password_reset"]).await;
}

on_both_engines!(a_password_reset_ends_the_app_of_a_customer_without_a_verified_address, options());
async fn a_password_reset_ends_the_app_of_a_customer_without_a_verified_address(shop: &Shop) {
    let server = shop.server().await;
    enrol(shop, &newcomer(server, ANN).await, PASSWORD).await;
    reset_password(server, "another horse").await;
    log_in(server, ANN, "another horse").await;
    let notices =
        ["one_time_passwords_disabled", "one_time_passwords_enabled", "password_changed", "password_reset"];
    assert_notices(server, &notices).await;
    let sql = "SELECT COUNT(*) FROM audit_log WHERE action = 'totp.disabled'";
    assert_eq!(value::<i64>(&shop.database, sql, &[]).await, 1);
}

on_both_engines!(an_app_that_ends_when_its_owner_is_made_an_administrator_is_recorded, options());
async fn an_app_that_ends_when_its_owner_is_made_an_administrator_is_recorded(shop: &Shop) {
    let server = shop.server().await;
    enrol(shop, &newcomer(server, ANN).await, PASSWORD).await;
    for _ in 0..2 {
        let new = serde_json::from_value(json!({"email": ANN, "password": "another horse"})).unwrap();
        create_admin(&shop.store, new, None).await.unwrap();
        let sql = "SELECT COUNT(*) FROM audit_log WHERE action = 'totp.disabled'";
        assert_eq!(value::<i64>(&shop.database, sql, &[]).await, 1, "there is none the second time");
    }
}

/// Sets another password of Ann by the token of an e-mail.
async fn reset_password(server: &TestServer, password: &str) {
    let reset = json!({"token": reset_token(server).await, "password": password});
    server.guest().post("/v1/password-resets/confirm", reset).await.expect(204);
}

/// Requests a password reset for Ann; returns the token in its e-mail.
async fn reset_token(server: &TestServer) -> String {
    let resets = async || {
        let emails = emails_to(server, ANN).await.into_iter();
        emails.filter(|(kind, _)| kind == "password_reset").map(|(_, body)| body).collect::<Vec<_>>()
    };
    let before = resets().await;
    server.guest().post("/v1/password-resets", json!({"email": ANN})).await.expect(202);
    let new = async || token_in(resets().await.iter().find(|body| !before.contains(body))?);
    awaited("an e-mail to reset the password", new).await
}

on_both_engines!(one_time_passwords_end_with_both_factors, options());
async fn one_time_passwords_end_with_both_factors(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let (_, codes, token) = enrol(shop, &ann, PASSWORD).await;
    let ann = super::bearer(server, &token);
    let end = async |body: Value| ann.send(http::Method::DELETE, "/v1/me/totp", Some(body)).await;
    let missing = end(json!({"current_password": PASSWORD})).await;
    assert_eq!(missing.faults(), [("/one_time_password".into(), "required".into())]);
    let wrong = end(json!({"current_password": "wrong password", "recovery_code": codes[0]})).await;
    assert_eq!(wrong.faults(), [("/current_password".into(), "wrong_password".into())]);
    let wrong = end(json!({"current_password": PASSWORD, "recovery_code": "aaaa"})).await;
    assert_eq!(wrong.faults(), [("/recovery_code".into(), "wrong_one_time_password".into())]);
    end(json!({"current_password": PASSWORD, "recovery_code": codes[0]})).await.expect(204);
    let ended = ["one_time_passwords_disabled", "one_time_passwords_enabled", "recovery_code_used"];
    assert_notices(server, &ended).await;
    log_in(server, ANN, PASSWORD).await;
    assert!(ann.get("/v1/me").await.expect(200)["totp_since"].is_null());
    for table in ["one_time_passwords", "recovery_codes"] {
        let rows: i64 = value(&shop.database, &format!("SELECT COUNT(*) FROM {table}"), &[]).await;
        assert_eq!(rows, 0, "{table}");
    }
}

on_both_engines!(an_administrator_ends_those_of_another_user, options());
async fn an_administrator_ends_those_of_another_user(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let ann = super::bearer(server, &enrol(shop, &ann, PASSWORD).await.2);
    let path = |account: &Value| format!("/admin/v1/users/{}/totp", account["id"].as_str().unwrap());
    let admin = server.admin().await;
    let own = admin.delete(&path(&admin.get("/v1/me").await.expect(200))).await;
    assert_eq!(own.problem(403), "unauthorized_access");
    admin.delete(&path(&ann.get("/v1/me").await.expect(200))).await.expect(204);
    log_in(server, ANN, PASSWORD).await;
    assert_notices(server, &["one_time_passwords_disabled", "one_time_passwords_enabled"]).await;
    let sql = "SELECT COUNT(*) FROM audit_log WHERE action = 'totp.disabled'";
    assert_eq!(value::<i64>(&shop.database, sql, &[]).await, 1);
}

with_both_session_stores!(
    an_administrator_without_an_app_may_only_enrol_if_the_store_requires_it,
    ShopOptions::manual_clock().terms(Terms { accounts: REQUIRED, ..sandbox_emails() })
);
async fn an_administrator_without_an_app_may_only_enrol_if_the_store_requires_it(shop: &Shop) {
    let server = shop.server().await;
    newcomer(server, ANN).await;
    execute(&shop.database, &["UPDATE users SET role = 'admin'"]).await;
    let ann = log_in(server, ANN, PASSWORD).await;
    let token = ann.header("authorization").trim_start_matches("Bearer ").to_owned();
    let browser = server.guest().with("cookie", &format!("undercroft_session={token}"));
    for client in [&ann, &browser] {
        let refused = client.get("/admin/v1/users").await;
        assert_eq!(refused.problem(403), "unauthorized_access");
        assert_eq!(refused.json()["reason"], "one_time_passwords_not_enrolled");
    }
    let enrolled = super::bearer(server, &enrol(shop, &ann, PASSWORD).await.2);
    for client in [&ann, &browser] {
        assert_eq!(client.get("/admin/v1/users").await.status, 401, "a token from before has no more rights");
    }
    enrolled.get("/admin/v1/users").await.expect(200);
}

on_both_engines!(the_owner_gets_a_notice_of_a_new_key_and_a_change_of_the_password_or_the_address, options());
async fn the_owner_gets_a_notice_of_a_new_key_and_a_change_of_the_password_or_the_address(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    ann.post("/v1/me/api-keys", json!({"name": "A", "current_password": PASSWORD})).await.expect(201);
    assert_notices(server, &["api_key_created"]).await;
    let change = json!({"password": "another horse", "current_password": PASSWORD});
    let token = ann.patch("/v1/me", change).await.header("session-token").to_owned();
    assert_notices(server, &["api_key_created", "password_changed"]).await;
    let ann = super::bearer(server, &token);
    let change = json!({"email": "new@example.org", "current_password": "another horse"});
    ann.patch("/v1/me", change).await.expect(200);
    let token = token_to(server, "new@example.org").await;
    server.guest().post("/v1/email-verifications", json!({"token": token})).await.expect(204);
    let all = ["api_key_created", "email_change_requested", "email_changed", "password_changed"];
    assert_notices(server, &all).await;
}
