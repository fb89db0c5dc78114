//! Erased accounts: their owners learn of it, at each address that the account had, and no e-mail stays after that.

use http::Method;
use serde_json::json;

use super::{PASSWORD, bearer, erase, newcomer};
use crate::support::emails::{emails_to, token_to, with_mail, work_until_none};
use crate::support::http::order_of;
use crate::support::passwords::create_key;
use crate::support::store::{sandbox_emails, value, wait_for_lock, write_until_committed};
use crate::support::{Shop, ShopOptions, TestClient, TestServer};

const ANN: &str = "ann@example.org";
const THIEF: &str = "thief@example.org";

fn options() -> ShopOptions {
    ShopOptions::default().terms(sandbox_emails())
}

/// The kinds of the e-mails to an address, sorted.
async fn kinds_to(server: &TestServer, address: &str) -> Vec<String> {
    let mut kinds: Vec<_> = emails_to(server, address).await.into_iter().map(|(kind, _)| kind).collect();
    kinds.sort_unstable();
    kinds
}

/// Uses the newest token that was sent to an address to verify it.
async fn verify(server: &TestServer, client: &TestClient, address: &str) {
    let token = token_to(server, address).await;
    client.post("/v1/email-verifications", json!({"token": token})).await.expect(204);
}

on_both_engines!(the_owner_of_an_erased_account_learns_of_it_at_the_former_address_too, options());
async fn the_owner_of_an_erased_account_learns_of_it_at_the_former_address_too(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    verify(server, &ann, ANN).await;
    // a thief of the session who knows the password
    let change = json!({"password": "battery staple", "current_password": PASSWORD});
    let changed = ann.patch("/v1/me", change).await;
    changed.expect(200);
    let thief = bearer(server, changed.header("session-token"));
    let change = json!({"email": THIEF, "current_password": "battery staple"});
    thief.patch("/v1/me", change).await.expect(200);
    verify(server, &thief, THIEF).await;
    let password = json!({"current_password": "battery staple"});
    thief.send(Method::DELETE, "/v1/me", Some(password)).await.expect(204);

    let expected = ["account_erased", "email_change_requested", "email_changed", "password_changed"];
    assert_eq!(kinds_to(server, ANN).await, expected);
    assert_eq!(kinds_to(server, THIEF).await, ["account_erased"]);
}

on_both_engines!(the_owner_of_an_account_that_an_administrator_erases_gets_an_e_mail, options());
async fn the_owner_of_an_account_that_an_administrator_erases_gets_an_e_mail(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, ANN).await);
    let id = ann.get("/v1/me").await.expect(200)["id"].clone();
    admin.delete(&format!("/admin/v1/users/{}", id.as_str().unwrap())).await.expect(204);
    assert_eq!(kinds_to(server, ANN).await, ["account_erased"]);
}

on_both_engines!(no_e_mail_to_an_erased_user_stays_after_it_was_sent, options());
async fn no_e_mail_to_an_erased_user_stays_after_it_was_sent(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    newcomer(server, "bob@example.org").await;
    create_key(server, &ann, json!({"name": "A"})).await.expect(201);
    erase(&ann).await.expect(204);
    assert_eq!(kinds_to(server, ANN).await, ["account_erased", "api_key_created"]);

    work_until_none(&with_mail(shop, "local:"), "SELECT COUNT(*) FROM emails WHERE status = 'pending'").await;
    let others = "SELECT COUNT(*) FROM emails WHERE recipient = 'bob@example.org' AND status = 'sent'";
    assert_eq!(value::<i64>(&shop.database, others, &[]).await, 1);
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM emails", &[]).await, 1);
    let sent = "SELECT COUNT(*) FROM outbox WHERE type = 'email_delivery'";
    assert_eq!(value::<i64>(&shop.database, sent, &[]).await, 3);
}

on_both_engines!(an_e_mail_that_is_sent_while_its_user_is_erased_is_removed, options());
async fn an_e_mail_that_is_sent_while_its_user_is_erased_is_removed(shop: &Shop) {
    const SENT: &str = "UPDATE emails SET status = 'sent', due_at = NULL WHERE kind = 'api_key_created'";
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    create_key(server, &ann, json!({"name": "A"})).await.expect(201);
    let (sending, complete) = write_until_committed(&shop.database, SENT).await;
    let erasing = tokio::spawn(async move { erase(&ann).await });
    wait_for_lock(&shop.database).await;
    complete.cancel();
    sending.await.unwrap().unwrap();
    erasing.await.unwrap().expect(204);
    let left = "SELECT COUNT(*) FROM emails WHERE kind <> 'account_erased'";
    assert_eq!(value::<i64>(&shop.database, left, &[]).await, 0);
}

on_both_engines!(accounts_of_an_address_that_is_not_verified_are_erased_five_times_in_an_hour, options());
async fn accounts_of_an_address_that_is_not_verified_are_erased_five_times_in_an_hour(shop: &Shop) {
    let server = shop.server().await;
    for _ in 0..5 {
        erase(&newcomer(server, ANN).await).await.expect(204);
    }
    let ann = newcomer(server, ANN).await;
    assert_eq!(erase(&ann).await.problem(429), "too_many_emails");
    assert_eq!(kinds_to(server, ANN).await.iter().filter(|kind| *kind == "account_erased").count(), 5);
    verify(server, &ann, ANN).await;
    erase(&ann).await.expect(204);
}

on_both_engines!(an_erasure_that_fails_is_not_counted, options());
async fn an_erasure_that_fails_is_not_counted(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, ANN).await);
    let order = order_of(&ann, shop.product().create().await).await;
    for _ in 0..6 {
        assert_eq!(erase(&ann).await.problem(409), "open_orders");
    }
    let fulfil = format!("/admin/v1/orders/{}/fulfil", order["id"].as_str().unwrap());
    admin.post(&fulfil, json!({"tracking_code": "T-1"})).await.expect(200);
    erase(&ann).await.expect(204);
}
