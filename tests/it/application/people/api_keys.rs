//! API keys: what they can do and what they cannot, their scopes, and their end.

mod ended_with_sessions;
mod read_only;

use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::sleep;
use undercroft::application::Terms;
use undercroft::application::people::api_keys::{self, CreateApiKey};
use undercroft::application::people::authentication;
use undercroft::domain::ids::{ApiKeyId, UserId};
use undercroft::infrastructure::guards::Credentials;
use undercroft::infrastructure::repositories::Engine;
use undercroft::settings::{RateLimitSettings, Settings};

use super::one_time_passwords::REQUIRED;
use super::{PASSWORD, bearer, erase, newcomer};
use crate::support::emails::emails_to;
use crate::support::passwords::{create_key, ensure_password};
use crate::support::store::{execute, sandbox_emails, terms, value, wait_for_lock, write_until_committed};
use crate::support::{Shop, ShopOptions, TestClient, TestServer};

/// Creates a key; returns the response and a client that sends it.
async fn key_of(server: &TestServer, owner: &TestClient, new: Value) -> (Value, TestClient) {
    let created = create_key(server, owner, new).await.expect(201);
    let client = bearer(server, created["key"].as_str().unwrap());
    (created, client)
}

/// Gives the key `All` scopes that no key can have.
const FORBIDDEN_SCOPES: &str =
    r#"UPDATE api_keys SET scopes = '["api-keys:read","api-keys:write","roles:write"]' WHERE name = 'All'"#;

/// The reason of a refusal.
fn reason(problem: &Value) -> &str {
    problem["reason"].as_str().unwrap_or_default()
}

on_both_engines!(a_key_acts_for_its_user_and_only_its_hash_is_stored);
async fn a_key_acts_for_its_user_and_only_its_hash_is_stored(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let response = create_key(server, &ann, json!({"name": "Warehouse"})).await;
    let created = response.expect(201);
    assert_eq!(response.header("cache-control"), "no-store");
    let text = created["key"].as_str().unwrap();
    assert!(text.starts_with("uck_") && text.len() == 54, "{text}");
    assert_eq!(created["hint"], text[..12]);
    assert_eq!((&created["scopes"], &created["expires_at"]), (&json!([]), &Value::Null));

    let program = bearer(server, text);
    assert_eq!(program.get("/v1/me").await.expect(200)["email"], "ann@example.org");
    program.patch("/v1/me", json!({"name": "Ann B."})).await.expect(200);
    program.post("/v1/carts", json!({})).await.expect(201);
    let list = ann.get("/v1/me/api-keys").await.expect(200);
    assert_eq!(list["items"][0]["name"], "Warehouse");
    assert!(list["items"][0]["last_used_at"].is_string(), "{list}");
    assert!(!list.to_string().contains(text), "{list}");
    let own = format!("/v1/me/api-keys/{}", created["id"].as_str().unwrap());
    assert_eq!(response.header("location"), own);
    assert_eq!(ann.get(&own).await.expect(200), list["items"][0]);
    for (client, path) in [
        (&newcomer(server, "bob@example.org").await, own.as_str()),
        (&server.admin().await, &own),
        (&ann, "/v1/me/api-keys/01900000-0000-7000-8000-000000000001"),
    ] {
        assert_eq!(client.get(path).await.problem(404), "api_key_not_found", "{path}");
    }

    let sql = "SELECT COUNT(*) FROM api_keys WHERE LENGTH(key_hash) = 32 AND hint = $1";
    assert_eq!(value::<i64>(&shop.database, sql, &[text[..12].into()]).await, 1);
    for wrong in [&text[..53], &text[4..], &text.replace("uck_", "uck_0"), &text.to_lowercase()] {
        assert_eq!(bearer(server, wrong).get("/v1/me").await.problem(401), "unauthorized_access", "{wrong}");
    }
    let cookie = server.guest().with("cookie", &format!("undercroft_session={text}"));
    cookie.get("/v1/me").await.problem(401);
}

with_both_session_stores!(a_new_key_requires_the_current_password);
async fn a_new_key_requires_the_current_password(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let create = async |new: Value| ann.post("/v1/me/api-keys", new).await;
    let missing = create(json!({"name": "A"})).await;
    assert_eq!(missing.faults(), [("/current_password".to_owned(), "required".to_owned())]);
    let wrong = create(json!({"name": "A", "current_password": "wrong horse"})).await;
    assert_eq!(wrong.faults(), [("/current_password".to_owned(), "wrong_password".to_owned())]);
    let refused = "SELECT COUNT(*) FROM audit_log WHERE action = 'password.refused'";
    let keys = "SELECT COUNT(*) FROM api_keys";
    assert_eq!(value::<i64>(&shop.database, refused, &[]).await, 1);
    assert_eq!(value::<i64>(&shop.database, keys, &[]).await, 0);
    create(json!({"name": "A", "current_password": PASSWORD})).await.expect(201);
    assert_eq!(value::<i64>(&shop.database, keys, &[]).await, 1);
}

on_both_engines!(a_key_cannot_change_how_its_user_logs_in);
async fn a_key_cannot_change_how_its_user_logs_in(shop: &Shop) {
    let server = shop.server().await;
    let (ann, admin) = (newcomer(server, "ann@example.org").await, server.admin().await);
    let (created, program) = key_of(server, &ann, json!({"name": "Warehouse"})).await;
    let (_, admins) = key_of(server, &admin, json!({"name": "All", "scopes": ["users:write"]})).await;
    // as if an earlier version had allowed them
    execute(&shop.database, &[FORBIDDEN_SCOPES]).await;
    let id = created["id"].as_str().unwrap();
    let own = format!("/v1/me/api-keys/{id}");
    let foreign = format!("/admin/v1/api-keys/{id}");
    let user = format!("/admin/v1/users/{}", ann.get("/v1/me").await.expect(200)["id"].as_str().unwrap());
    let password = json!({"password": "another horse", "current_password": PASSWORD});
    let email = json!({"email": "other@example.org", "current_password": PASSWORD});
    let role = json!({"name": "support", "permissions": []});
    for (client, method, path, body) in [
        (&program, Method::PATCH, "/v1/me", Some(password)),
        (&program, Method::PATCH, "/v1/me", Some(email)),
        (&program, Method::DELETE, "/v1/me", Some(json!({"current_password": PASSWORD}))),
        (&program, Method::GET, "/v1/me/sessions", None),
        (&program, Method::DELETE, "/v1/me/sessions", None),
        (&program, Method::GET, "/v1/me/api-keys", None),
        (&program, Method::GET, &own, None),
        (&program, Method::POST, "/v1/me/api-keys", Some(json!({"name": "Another"}))),
        (&program, Method::DELETE, &own, None),
        (&admins, Method::GET, "/admin/v1/api-keys", None),
        (&admins, Method::DELETE, &foreign, None),
        (&admins, Method::PATCH, &user, Some(json!({"role": "admin"}))),
        (&admins, Method::POST, "/admin/v1/roles", Some(role)),
    ] {
        let response = client.send(method.clone(), path, body).await;
        assert_eq!(response.problem(403), "unauthorized_access", "{method} {path}");
        assert_eq!(reason(&response.json()), "session_required", "{method} {path}");
    }
    ann.get("/v1/me/sessions").await.expect(200);
}

on_both_engines!(a_key_has_only_those_of_its_scopes_that_its_user_still_has);
async fn a_key_has_only_those_of_its_scopes_that_its_user_still_has(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, "ann@example.org").await);
    let refused = create_key(server, &ann, json!({"name": "A", "scopes": ["products:read"]})).await;
    assert_eq!(refused.faults(), [("/scopes/0".to_owned(), "none_allowed".to_owned())]);
    assert_eq!(refused.json()["errors"][0]["detail"], "No value is allowed.");
    for scope in ["api-keys:read", "api-keys:write", "roles:write"] {
        let refused = create_key(server, &admin, json!({"name": "A", "scopes": ["users:read", scope]})).await;
        assert_eq!(refused.faults(), [("/scopes/1".to_owned(), "not_allowed".to_owned())]);
        let allowed = &refused.json()["errors"][0]["allowed"];
        assert!(allowed.as_array().unwrap().contains(&json!("roles:read")), "{allowed}");
        assert!(!allowed.as_array().unwrap().contains(&json!(scope)), "{allowed}");
    }

    let scopes = json!(["products:read", "users:read"]);
    let (_, few) = key_of(server, &admin, json!({"name": "Few", "scopes": scopes})).await;
    few.get("/admin/v1/users").await.expect(200);
    let missing = few.get("/admin/v1/orders").await;
    assert_eq!(
        (missing.problem(403), reason(&missing.json())),
        ("unauthorized_access".into(), "not_allowed")
    );
    few.post("/admin/v1/categories", json!({"name": "Tea"})).await.problem(403);
    let (_, none) = key_of(server, &admin, json!({"name": "None"})).await;
    none.get("/admin/v1/users").await.problem(403);
    none.get("/v1/me").await.expect(200);

    let id: UserId = few.get("/v1/me").await.expect(200)["id"].as_str().unwrap().parse().unwrap();
    shop.database
        .write(id, async |work, &id| {
            work.execute("UPDATE users SET role = 'customer' WHERE id = $1", &[id.into()]).await
        })
        .await
        .unwrap();
    few.get("/admin/v1/users").await.problem(403);
}

on_both_engines!(
    an_administrator_who_has_to_enrol_an_app_creates_no_key_with_scopes,
    ShopOptions::default().terms(Terms { accounts: REQUIRED, ..terms() })
);
async fn an_administrator_who_has_to_enrol_an_app_creates_no_key_with_scopes(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, "ann@example.org").await);
    let with_scopes = json!({"name": "A", "scopes": ["products:read"]});
    let refused = create_key(server, &admin, with_scopes.clone()).await;
    assert_eq!(refused.problem(403), "unauthorized_access");
    assert_eq!(reason(&refused.json()), "one_time_passwords_not_enrolled");
    create_key(server, &admin, json!({"name": "A"})).await.expect(201);
    let refused = create_key(server, &ann, with_scopes).await;
    assert_eq!(refused.faults(), [("/scopes/0".to_owned(), "none_allowed".to_owned())]);
}

on_both_engines!(a_revoked_key_and_that_of_an_erased_user_end_at_once);
async fn a_revoked_key_and_that_of_an_erased_user_end_at_once(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, "ann@example.org").await);
    let mut keys = Vec::new();
    for name in ["own", "foreign", "erased"] {
        keys.push(key_of(server, &ann, json!({"name": name})).await);
    }
    let id = |index: usize| keys[index].0["id"].as_str().unwrap().to_owned();
    let bob = newcomer(server, "bob@example.org").await;
    assert_eq!(bob.delete(&format!("/v1/me/api-keys/{}", id(0))).await.problem(404), "api_key_not_found");

    ann.delete(&format!("/v1/me/api-keys/{}", id(0))).await.expect(204);
    assert_eq!(reason(&keys[0].1.get("/v1/me").await.expect(401)), "invalid_token");
    let all = admin.get("/admin/v1/api-keys").await.expect(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "{all}");
    admin.delete(&format!("/admin/v1/api-keys/{}", id(1))).await.expect(204);
    keys[1].1.get("/v1/me").await.problem(401);
    keys[2].1.get("/v1/me").await.expect(200);
    erase(&ann).await.expect(204);
    keys[2].1.get("/v1/me").await.problem(401);
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM api_keys", &[]).await, 0);
}

on_both_engines!(a_new_password_ends_the_keys);
async fn a_new_password_ends_the_keys(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let (_, program) = key_of(server, &ann, json!({"name": "program"})).await;
    program.get("/v1/me").await.expect(200);
    let change = json!({"password": "another long password 3", "current_password": PASSWORD});
    ann.patch("/v1/me", change).await.expect(200);
    assert_eq!(reason(&program.get("/v1/me").await.expect(401)), "invalid_token");
}

on_both_engines!(no_key_is_created_after_a_change_that_ends_the_keys_of_the_user);
async fn no_key_is_created_after_a_change_that_ends_the_keys_of_the_user(shop: &Shop) {
    let server = shop.server().await;
    let root = server.admin().await;
    root.post("/admin/v1/roles", json!({"name": "few", "permissions": []})).await.expect(201);
    for (change, code) in [
        ("UPDATE users SET session_epoch = session_epoch + 1", "stale"),
        ("UPDATE users SET password_hash = 'another'", "stale"),
        ("UPDATE users SET role = 'customer'", "stale"),
        ("UPDATE users SET staff_role = 'few' WHERE role = 'admin'", "validation"),
    ] {
        let admin = server.admin().await;
        ensure_password(server, &admin).await;
        let token = admin.header("authorization").trim_start_matches("Bearer ");
        let found = authentication::credentials(&shop.store, token).await.unwrap();
        let Credentials::Valid(principal) = found else { panic!("the session is valid") };
        let (changing, complete) = write_until_committed(&shop.database, change).await;
        let store = shop.store.clone();
        let scopes = vec!["products:read".parse().unwrap()];
        let (name, current_password) = ("A".into(), PASSWORD.into());
        let new = CreateApiKey { name, scopes, read_only: false, lifetime_days: None, current_password };
        let creating = tokio::spawn(async move { api_keys::create(&store, &principal, new).await });
        wait_for_lock(&shop.database).await;
        if shop.database.engine() == Engine::Sqlite {
            // until it has read what it compares
            sleep(Duration::from_millis(200)).await;
        }
        complete.cancel();
        changing.await.unwrap().unwrap();
        assert_eq!(creating.await.unwrap().unwrap_err().code(), code, "{change}");
    }
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM api_keys", &[]).await, 0);
}

on_both_engines!(a_key_expires_and_its_use_is_recorded_once_in_five_minutes, ShopOptions::manual_clock());
async fn a_key_expires_and_its_use_is_recorded_once_in_five_minutes(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let (_, program) = key_of(server, &ann, json!({"name": "A", "lifetime_days": 1})).await;
    let used = async || {
        program.get("/v1/me").await.expect(200);
        ann.get("/v1/me/api-keys").await.expect(200)["items"][0]["last_used_at"].clone()
    };
    let first = used().await;
    shop.clock().advance(SignedDuration::from_mins(4));
    assert_eq!(used().await, first);
    shop.clock().advance(SignedDuration::from_mins(2));
    assert_ne!(used().await, first);
    shop.clock().advance(SignedDuration::from_hours(24));
    program.get("/v1/me").await.problem(401);
}

on_both_engines!(the_audit_log_names_the_key);
async fn the_audit_log_names_the_key(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let new = json!({"name": "Catalogue", "scopes": ["categories:write"]});
    let (created, program) = key_of(server, &admin, new).await;
    let id: ApiKeyId = created["id"].as_str().unwrap().parse().unwrap();
    program.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(201);
    let entries = admin.get("/admin/v1/audit-log?limit=2").await.expect(200)["items"].clone();
    assert_eq!(
        (&entries[0]["action"], &entries[0]["api_key_id"]),
        (&json!("adminCreateCategory"), &json!(id))
    );
    assert_eq!((&entries[0]["session_id"], &entries[0]["actor"]), (&Value::Null, &json!("user")));
    assert_eq!((&entries[1]["action"], &entries[1]["subject_id"]), (&json!("api_key.created"), &json!(id)));
    assert!(entries[1]["session_id"].is_string(), "{entries}");
}

on_both_engines!(
    an_address_that_is_not_verified_gets_few_notices,
    ShopOptions::manual_clock().terms(sandbox_emails())
);
async fn an_address_that_is_not_verified_gets_few_notices(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let notices = async || {
        let emails = emails_to(server, "ann@example.org").await;
        emails.iter().filter(|(kind, _)| kind == "api_key_created").count()
    };
    for _ in 0..7 {
        key_of(server, &ann, json!({"name": "A"})).await;
    }
    assert_eq!(notices().await, 5);
    let mut ann = ann;
    for (old, new) in [(PASSWORD, "battery staple"), ("battery staple", PASSWORD)] {
        let change = json!({"password": new, "current_password": old});
        let changed = ann.patch("/v1/me", change).await;
        changed.expect(200);
        ann = bearer(server, changed.header("session-token"));
    }
    let emails = emails_to(server, "ann@example.org").await;
    assert!(emails.iter().any(|(kind, _)| kind == "password_changed"), "other notices hide none: {emails:?}");
    shop.clock().advance(SignedDuration::from_mins(61));
    key_of(server, &ann, json!({"name": "A"})).await;
    assert_eq!(notices().await, 6, "an hour later");

    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    for _ in 0..7 {
        key_of(server, &ann, json!({"name": "A"})).await;
    }
    assert_eq!(notices().await, 13, "the owner gets each");

    let admin = server.admin().await;
    for _ in 0..7 {
        key_of(server, &admin, json!({"name": "A"})).await;
    }
    let to_admin = "SELECT COUNT(*) FROM emails JOIN users ON users.id = emails.user_id WHERE users.role = 'admin' AND \
                    emails.kind = 'api_key_created'";
    assert_eq!(value::<i64>(&shop.database, to_admin, &[]).await, 7, "an administrator gets each");
}

on_both_engines!(a_user_has_a_hundred_keys, ShopOptions::manual_clock());
async fn a_user_has_a_hundred_keys(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    for _ in 0..100 {
        key_of(server, &ann, json!({"name": "A"})).await;
        shop.clock().advance(SignedDuration::from_mins(3));
    }
    let further = create_key(server, &ann, json!({"name": "A"})).await;
    assert_eq!(further.problem(409), "too_many_api_keys");
}

on_both_engines!(the_keys_of_a_user_share_a_rate_limit_and_leave_that_of_the_user);
async fn the_keys_of_a_user_share_a_rate_limit_and_leave_that_of_the_user(shop: &Shop) {
    let rate_limits = RateLimitSettings { user: "2/hour".parse().ok(), ..RateLimitSettings::default() };
    let settings = Settings { rate_limits, ..Settings::default() };
    let (first, second, owner) = {
        let (unlimited, owner) = (shop.server().await, shop.server().await.customer().await);
        let (_, first) = key_of(unlimited, &owner, json!({"name": "A"})).await;
        let (_, second) = key_of(unlimited, &owner, json!({"name": "B"})).await;
        (first, second, owner)
    };
    let server = TestServer::start_with_all(shop.store.clone(), settings).await;
    for (client, status) in [(&first, 200), (&second, 200), (&first, 429), (&second, 429), (&owner, 200)] {
        bearer(&server, client.header("authorization").trim_start_matches("Bearer "))
            .get("/v1/me")
            .await
            .expect(status);
    }
}

on_both_engines!(the_database_refuses_rows_that_are_no_keys);
async fn the_database_refuses_rows_that_are_no_keys(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    key_of(server, &ann, json!({"name": "A", "lifetime_days": 1})).await;
    for change in [
        "UPDATE api_keys SET name = ''",
        "UPDATE api_keys SET hint = 'uck_'",
        "UPDATE api_keys SET expires_at = created_at",
        "UPDATE api_keys SET read_only = NULL",
        "INSERT INTO api_keys SELECT user_id, user_id, name, hint, key_hash, scopes, created_at, NULL, NULL, read_only \
         FROM api_keys",
    ] {
        let written = shop.database.write(change, async |work, change| work.execute(change, &[]).await).await;
        assert!(written.is_err(), "{change}");
    }
    execute(&shop.database, &["UPDATE api_keys SET name = 'B'"]).await;
}
