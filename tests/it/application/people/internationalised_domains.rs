//! E-mail addresses with internationalised domains: one account, whether the domain is in its own letters or in ASCII.

use serde_json::json;

use super::{PASSWORD, log_in, newcomer, register};
use crate::support::emails::token_to;
use crate::support::http::{faults, ids};
use crate::support::store::{execute, sandbox_emails};
use crate::support::{Shop, ShopOptions, TestServer};

const UNICODE: &str = "user@münchen.example";
const ASCII: &str = "user@xn--mnchen-3ya.example";
/// Makes an account one that an earlier version stored with the full stop that its user wrote.
const STORED_AS_WRITTEN: &[&str] =
    &["UPDATE users SET email_key = 'ann@example\u{3002}org' WHERE email_key = 'ann@example.org'"];
const SPELLINGS: [&str; 3] = [UNICODE, ASCII, "User@MÜNCHEN.example"];
/// Makes an account one that an earlier version stored beside that of the other spelling.
const SECOND_ACCOUNT: &[&str] = &["UPDATE users SET email = 'user@xn--mnchen-3ya.example', \
                                   email_key = 'user@xn--mnchen-3ya.example' WHERE email = 'other@example.org'"];

/// Asserts that all of these spellings are those of one account.
async fn assert_taken(server: &TestServer, spellings: [&str; 3]) {
    for spelling in spellings {
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
    assert_taken(server, SPELLINGS).await;
    for invalid in ["user@xn--a.example", "user@b\u{e000}cher.example", "user@a%b.example"] {
        let new = json!({"email": invalid, "password": PASSWORD});
        assert_eq!(server.guest().post("/v1/users", new).await.faults(), faults([("/email", "format")]));
    }
    let admin = server.admin().await;
    let found = admin.get("/admin/v1/users?email=user@m%C3%BCnchen.ex").await.expect(200);
    assert_eq!(ids(&found).len(), 1);
}

on_both_engines!(
    an_address_is_not_changed_to_another_spelling_of_one_that_is_used,
    ShopOptions::default().terms(sandbox_emails())
);
async fn an_address_is_not_changed_to_another_spelling_of_one_that_is_used(shop: &Shop) {
    let server = shop.server().await;
    register(server, UNICODE).await;
    let other = newcomer(server, "other@example.org").await;
    let change = json!({"email": ASCII, "current_password": PASSWORD});
    other.patch("/v1/me", change).await.expect(200);
    let token = token_to(server, ASCII).await;
    let used = other.post("/v1/email-verifications", json!({"token": token})).await;
    assert_eq!(used.problem(409), "email_already_used");
}

on_both_engines!(two_accounts_of_an_earlier_version_are_each_found_by_their_own_spelling);
async fn two_accounts_of_an_earlier_version_are_each_found_by_their_own_spelling(shop: &Shop) {
    let server = shop.server().await;
    let unicode = register(server, UNICODE).await["id"].clone();
    let ascii = register(server, "other@example.org").await["id"].clone();
    execute(&shop.database, SECOND_ACCOUNT).await;
    for (spelling, id) in [(UNICODE, unicode), (ASCII, ascii)] {
        let user = log_in(server, spelling, PASSWORD).await;
        let changed = user.patch("/v1/me", json!({"name": "Ann"})).await.expect(200);
        assert_eq!((&changed["id"], &changed["email"]), (&id, &json!(spelling)));
    }
    assert_taken(server, SPELLINGS).await;
}

on_both_engines!(a_domain_with_another_full_stop_is_that_of_the_same_account);
async fn a_domain_with_another_full_stop_is_that_of_the_same_account(shop: &Shop) {
    let server = shop.server().await;
    for [first, second, third] in [
        ["ann@example.org", "ann@example\u{3002}org", "Ann@Example\u{ff61}Org"],
        ["bob@example\u{3002}org", "bob@example.org", "bob@example\u{ff0e}org"],
        ["eve@example\u{ff61}org", "eve@example.org", "eve@example\u{3002}org"],
    ] {
        register(server, first).await;
        assert_taken(server, [first, second, third]).await;
    }
}

on_both_engines!(an_account_of_an_earlier_version_with_another_full_stop_is_found);
async fn an_account_of_an_earlier_version_with_another_full_stop_is_found(shop: &Shop) {
    let server = shop.server().await;
    register(server, "ann@example\u{3002}org").await;
    execute(&shop.database, STORED_AS_WRITTEN).await;
    let ann = log_in(server, "ann@example\u{ff61}org", PASSWORD).await;
    ann.patch("/v1/me", json!({"name": "Ann"})).await.expect(200);
    log_in(server, "ann@example.org", PASSWORD).await;
}
