//! Users of an identity provider: a local issuer, whose keys are fetched, rotated and unreachable.

mod verified_again;

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use undercroft::infrastructure::middleware::jwt::TokenSigner;

use super::{PASSWORD, bearer, newcomer};
use crate::support::forged_tokens::Forger;
use crate::support::issuer::{Issuer, options};
use crate::support::store::{execute, lock_until_committed, value, wait_for_lock, write_until_committed};
use crate::support::{Shop, TestClient};

async fn refused(client: &TestClient) {
    assert_eq!(client.get("/v1/me").await.problem(401), "unauthorized_access");
}

on_both_engines!(a_subject_becomes_a_user_once, options(true, false));
async fn a_subject_becomes_a_user_once(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    refused(&bearer(&server, &issuer.token(shop, "ann", "ann@example.org", false))).await;
    let client = bearer(&server, &issuer.token(shop, "ann", "ann@example.org", true));
    let account = client.get("/v1/me").await.expect(200);
    assert_eq!((&account["email"], &account["role"]), (&json!("ann@example.org"), &json!("customer")));
    // the subject is the user, whatever the address is now
    let later = bearer(&server, &issuer.token(shop, "ann", "other@example.org", false));
    assert_eq!(later.get("/v1/me").await.expect(200)["id"], account["id"]);
    assert_eq!(later.get("/v1/me/sessions").await.problem(403), "unauthorized_access");
    let sql = "SELECT COUNT(*) FROM user_identities WHERE provider = $1 AND subject = 'ann'";
    assert_eq!(value::<i64>(&shop.database, sql, &[issuer.url.as_str().into()]).await, 1);

    newcomer(&server, "bob@example.org").await;
    refused(&bearer(&server, &issuer.token(shop, "bob", "bob@example.org", true))).await;
}

on_both_engines!(a_subject_is_no_user_unless_the_settings_allow_it, options(false, false));
async fn a_subject_is_no_user_unless_the_settings_allow_it(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    refused(&bearer(&server, &issuer.token(shop, "ann", "ann@example.org", true))).await;
}

on_both_engines!(a_subject_is_linked_only_to_a_customer_with_a_verified_address, options(false, true));
async fn a_subject_is_linked_only_to_a_customer_with_a_verified_address(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    let ann = newcomer(&server, "ann@example.org").await;
    let token = issuer.token(shop, "ann", "ann@example.org", true);
    refused(&bearer(&server, &token)).await;
    let verify = "UPDATE users SET email_verified_at = created_at";
    shop.database.write((), async move |work, ()| work.execute(verify, &[]).await).await.unwrap();
    refused(&bearer(&server, &issuer.token(shop, "ann", "ann@example.org", false))).await;
    // the same key, and perhaps another mailbox
    refused(&bearer(&server, &issuer.token(shop, "other", "\u{1d43}nn@example.org", true))).await;
    let linked = bearer(&server, &token).get("/v1/me").await.expect(200);
    assert_eq!(linked["id"], ann.get("/v1/me").await.expect(200)["id"]);
}

on_both_engines!(a_subject_is_not_linked_to_a_customer_who_had_its_address, options(false, true));
async fn a_subject_is_not_linked_to_a_customer_who_had_its_address(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    newcomer(&server, "ann@example.org").await;
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    let change = "UPDATE users SET email = 'new@example.org', email_key = 'new@example.org'";
    let (changing, complete) = write_until_committed(&shop.database, change).await;
    let client = bearer(&server, &issuer.token(shop, "ann", "ann@example.org", true));
    let linking = tokio::spawn(async move { client.get("/v1/me").await });
    wait_for_lock(&shop.database).await;
    complete.cancel();
    changing.await.unwrap().unwrap();
    assert_eq!(linking.await.unwrap().problem(401), "unauthorized_access");
}

on_both_engines!(a_customer_who_becomes_an_administrator_is_not_linked_any_more, options(false, true));
async fn a_customer_who_becomes_an_administrator_is_not_linked_any_more(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    newcomer(&server, "ann@example.org").await;
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    let ann = bearer(&server, &issuer.token(shop, "ann", "ann@example.org", true));
    let id = ann.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    let admin = server.admin().await;
    admin.patch(&format!("/admin/v1/users/{id}"), json!({"role": "admin"})).await.expect(200);
    assert_eq!(ann.get("/admin/v1/users").await.problem(401), "unauthorized_access");
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM user_identities", &[]).await, 0);
}

on_both_engines!(no_subject_becomes_a_new_user_while_sign_up_is_off, options(true, true));
async fn no_subject_becomes_a_new_user_while_sign_up_is_off(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    let client =
        |name: &str| bearer(&server, &issuer.token(shop, name, &format!("{name}@example.org"), true));
    newcomer(&server, "bob@example.org").await;
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    client("ann").get("/v1/me").await.expect(200);
    let (admin, flag) = (server.admin().await, "/admin/v1/feature-flags/sign_up");
    admin.put(flag, json!({"enabled": false})).await.expect(200);
    refused(&client("carl")).await;
    // a subject that is linked or can be linked is no new user
    client("ann").get("/v1/me").await.expect(200);
    client("bob").get("/v1/me").await.expect(200);
    admin.delete(flag).await.expect(204);
    client("carl").get("/v1/me").await.expect(200);
}

on_both_engines!(a_subject_that_cannot_become_a_user_is_refused_without_a_write, options(false, true));
async fn a_subject_that_cannot_become_a_user_is_refused_without_a_write(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    newcomer(&server, "bob@example.org").await;
    let names = ["ann", "bob"].map(|subject| format!("identity {} {subject}", issuer.url));
    let (locking, complete) = lock_until_committed(&shop.database, names.to_vec()).await;
    let complete = complete.drop_guard();
    for (subject, email) in [("ann", "ann@example.org"), ("bob", "bob@example.org")] {
        refused(&bearer(&server, &issuer.token(shop, subject, email, true))).await;
    }
    drop(complete);
    locking.await.unwrap().unwrap();
}

on_both_engines!(a_user_of_the_issuer_is_made_by_the_request_that_the_audit_log_names, options(true, false));
async fn a_user_of_the_issuer_is_made_by_the_request_that_the_audit_log_names(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    let admin = server.admin().await;
    for (subject, path, status) in [("ann", "/v1/me", 200), ("bob", "/admin/v1/users", 403)] {
        let email = format!("{subject}@example.org");
        let response = bearer(&server, &issuer.token(shop, subject, &email, true)).get(path).await;
        response.expect(status);
        let list = admin.get("/admin/v1/audit-log?limit=3").await.expect(200);
        let entries = list["items"].as_array().unwrap().iter();
        let mut entries = entries.filter(|entry| entry["action"] != "adminListUsers.refused");
        for action in ["identity.linked", "user.registered"] {
            let entry = entries.next().unwrap();
            assert_eq!((&entry["action"], &entry["actor"]), (&json!(action), &json!("guest")), "{entry}");
            assert_eq!(entry["request_id"], response.header("x-request-id"), "{entry}");
            assert_eq!(entry["network"], "127.0.0.0/24", "{entry}");
        }
    }
}

on_both_engines!(a_user_of_the_issuer_exports_and_erases_the_own_data, options(true, true));
async fn a_user_of_the_issuer_exports_and_erases_the_own_data(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    let client = bearer(&server, &issuer.token(shop, "ann", "ann@example.org", true));
    let export = client.get("/v1/me/export").await.expect(200);
    assert_eq!((&export["account"]["email"], &export["sessions"]), (&json!("ann@example.org"), &json!([])));
    assert_eq!(export["identities"][0]["subject"], "ann");
    let erase =
        async |client: &TestClient, body: Value| client.send(Method::DELETE, "/v1/me", Some(body)).await;
    erase(&client, json!({})).await.expect(204);
    let erased = "SELECT COUNT(*) FROM users WHERE erased_at IS NOT NULL";
    assert_eq!(value::<i64>(&shop.database, erased, &[]).await, 1);

    // an account with a password is erased with it
    newcomer(&server, "bob@example.org").await;
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at WHERE erased_at IS NULL"])
        .await;
    let bob = bearer(&server, &issuer.token(shop, "bob", "bob@example.org", true));
    for (body, fault) in
        [(json!({}), "required"), (json!({"current_password": "wrong password"}), "wrong_password")]
    {
        let refused = erase(&bob, body).await;
        assert_eq!(refused.faults(), [("/current_password".into(), fault.into())]);
    }
    erase(&bob, json!({"current_password": PASSWORD})).await.expect(204);
    assert_eq!(value::<i64>(&shop.database, erased, &[]).await, 2);
}

on_both_engines!(keys_are_fetched_rarely_and_used_while_the_issuer_is_away, options(true, false));
async fn keys_are_fetched_rarely_and_used_while_the_issuer_is_away(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    let works = async |token: String| bearer(&server, &token).get("/v1/me").await.status;
    let own = || issuer.token(shop, "ann", "ann@example.org", true);
    for _ in 0..5 {
        assert_eq!(works(own()).await, 200);
    }
    assert_eq!(issuer.fetched(), 1);

    let next = TokenSigner::new("k2".into(), &[2; 32]).unwrap();
    let of_next = || next.sign("JWT", &issuer.claims(shop, "ann", "", false)).unwrap();
    let mut flood = JoinSet::new();
    for _ in 0..20 {
        let client = bearer(&server, &of_next());
        flood.spawn(async move { client.get("/v1/me").await.status });
    }
    assert_eq!(flood.join_all().await, [401; 20], "a flood of unknown keys");
    assert_eq!(issuer.fetched(), 2, "all of them waited for one request");
    *issuer.published.lock().unwrap() = Some(vec![issuer.signer.jwk(), next.jwk()]);
    shop.clock().advance(SignedDuration::from_secs(30));
    assert_eq!((works(of_next()).await, works(own()).await), (200, 200));
    assert_eq!(issuer.fetched(), 3);

    *issuer.published.lock().unwrap() = None;
    shop.clock().advance(SignedDuration::from_hours(23));
    assert_eq!((works(of_next()).await, works(own()).await), (200, 200));
    // the time of a request counts, too
    shop.clock().advance(SignedDuration::from_mins(61));
    assert_eq!(works(own()).await, 401, "the keys are too old");
    *issuer.published.lock().unwrap() = Some(vec![issuer.signer.jwk()]);
    shop.clock().advance(SignedDuration::from_secs(30));
    assert_eq!((works(own()).await, works(of_next()).await), (200, 401));
}

on_both_engines!(no_token_that_is_forged_in_the_name_of_the_issuer_is_accepted, options(true, false));
async fn no_token_that_is_forged_in_the_name_of_the_issuer_is_accepted(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_for(shop, &["web"]).await;
    let mut claims = issuer.claims(shop, "ann", "ann@example.org", true);
    claims["azp"] = json!("web");
    let forger = Forger { seed: [1; 32], kid: "k1".into(), claims };
    bearer(&server, &forger.valid()).get("/v1/me").await.expect(200);
    // so that no token with a forged key id waits for new keys
    *issuer.published.lock().unwrap() = None;
    let mut tried = 0;
    for (name, token) in forger.all() {
        // the issuer may use other types
        if token.trim() != token || token.len() > 50_000 || name.starts_with("typ ") {
            continue;
        }
        let response = bearer(&server, &token).get("/v1/me").await;
        assert_eq!(response.problem(401), "unauthorized_access", "{name}: {token}");
        tried += 1;
    }
    assert!(tried >= 200, "{tried}");
}

on_both_engines!(rotation_at_the_issuer_refuses_no_valid_token, options(true, false));
async fn rotation_at_the_issuer_refuses_no_valid_token(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    bearer(&server, &issuer.token(shop, "ann", "ann@example.org", true)).get("/v1/me").await.expect(200);
    let mut previous = issuer.signer.clone();
    for round in 2..30_u8 {
        let next = TokenSigner::new(format!("k{round}"), &[round; 32]).unwrap();
        *issuer.published.lock().unwrap() = Some(vec![next.jwk(), previous.jwk()]);
        shop.clock().advance(SignedDuration::from_secs(31));
        let mut requests = JoinSet::new();
        for signer in [&previous, &next, &next, &previous, &next] {
            let token = signer.sign("JWT", &issuer.claims(shop, "ann", "", false)).unwrap();
            let client = bearer(&server, &token);
            requests.spawn(async move { client.get("/v1/me").await.status });
        }
        let statuses = requests.join_all().await;
        assert!(statuses.iter().all(|status| *status == 200), "round {round}: {statuses:?}");
        previous = next;
    }
}
