//! E-mail addresses with internationalised domains: one account, whether the domain is in its own letters or in ASCII.

use serde_json::json;

use super::{PASSWORD, log_in, newcomer, register};
use crate::support::emails::token_to;
use crate::support::http::{faults, ids};
use crate::support::store::{execute, sandbox_emails, value};
use crate::support::{Shop, ShopOptions, TestServer};

const UNICODE: &str = "user@münchen.example";
const ASCII: &str = "user@xn--mnchen-3ya.example";

/// Asserts that both spellings are those of an account.
async fn assert_taken(server: &TestServer) {
    for spelling in [UNICODE, ASCII, "User@MÜNCHEN.example"] {
        let new = json!({"email": spelling, "password": "another horse"});
        assert_eq!(
            server.guest().post("/v1/users", new).await.problem(409),
            "email_already_used",
            "{spelling}"
        );
        log_in(server, spelling, PASSWORD).await;
    }
}

on_both_engines!(a_domain_in_letters_and_in_ascii_is_that_of_one_account);
async fn a_domain_in_letters_and_in_ascii_is_that_of_one_account(shop: &Shop) {
    let server = shop.server().await;
    assert_eq!(register(server, UNICODE).await["email"], UNICODE, "as the user wrote it");
    assert_taken(server).await;
    for invalid in ["user@xn--a.example", "user@b\u{e000}cher.example", "user@a%b.example"] {
        let new = json!({"email": invalid, "password": PASSWORD});
        assert_eq!(server.guest().post("/v1/users", new).await.faults(), faults([("/email", "format")]));
    }
    let admin = server.admin().await;
    for prefix in ["user@m%C3%BCnchen.ex", "user@xn--mnch"] {
        let found = admin.get(&format!("/admin/v1/users?email={prefix}")).await.expect(200);
        assert_eq!(ids(&found).len(), 1, "{prefix}");
    }
}

on_both_engines!(
    an_account_of_an_earlier_version_is_found_by_both_and_by_its_new_key_after_a_change,
    ShopOptions::default().terms(sandbox_emails())
);
async fn an_account_of_an_earlier_version_is_found_by_both_and_by_its_new_key_after_a_change(shop: &Shop) {
    let server = shop.server().await;
    register(server, UNICODE).await;
    execute(&shop.database, &["UPDATE users SET email_key = 'user@münchen.example'"]).await;
    assert_taken(server).await;

    let other = newcomer(server, "other@example.org").await;
    let change = json!({"email": ASCII, "current_password": PASSWORD});
    other.patch("/v1/me", change).await.expect(200);
    let token = token_to(server, ASCII).await;
    let used = other.post("/v1/email-verifications", json!({"token": token})).await;
    assert_eq!(used.problem(409), "email_already_used");

    let user = log_in(server, ASCII, PASSWORD).await;
    user.patch("/v1/me", json!({"name": "Ann"})).await.expect(200);
    let sql = "SELECT COUNT(*) FROM users WHERE email_key = 'user@xn--mnchen-3ya.example'";
    assert_eq!(value::<i64>(&shop.database, sql, &[]).await, 1);
    assert_taken(server).await;
}
