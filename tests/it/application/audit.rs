//! The audit log: what is recorded, and how a changed log is found.

mod bounds;

use http::Method;
use serde_json::{Value, json};
use undercroft::application::audit::{NotedEntry, export, verify};
use undercroft::domain::audit::{BrokenChain, ChainCheck, SecurityAction, hex};
use undercroft::domain::ids::UserId;
use undercroft::infrastructure::repositories::{DatabaseError, Engine, FromRow};
use uuid::Uuid;

use super::people::newcomer;
use crate::support::emails::{emails_to, token_in, token_to};
use crate::support::http::{assert_for_administrators, order_of};
use crate::support::store::{execute, sandbox_emails, value};
use crate::support::{Shop, ShopOptions, TestClient, TestServer, awaited};

const ANN: &str = "ann@example.org";
const PASSWORD: &str = "correct horse";

/// Returns the rows of a statement.
async fn rows<T: FromRow>(shop: &Shop, sql: &str) -> Vec<T> {
    shop.database.read().await.unwrap().all(sql, &[]).await.unwrap()
}

/// Returns the actions of the log in their order.
async fn actions(shop: &Shop) -> Vec<String> {
    rows(shop, "SELECT action FROM audit_log ORDER BY number").await
}

/// Returns the last right entry, and what is wrong after it.
async fn verified(shop: &Shop, noted: Option<NotedEntry>) -> (ChainCheck, Option<BrokenChain>) {
    verify(&shop.store, noted).await.unwrap()
}

/// Records an action of the store so many times.
async fn record(shop: &Shop, count: usize) {
    for _ in 0..count {
        let write = shop.database.write((), async |work, ()| {
            work.record(SecurityAction::LogInRefused, None);
            Ok::<_, DatabaseError>(())
        });
        write.await.unwrap();
    }
}

/// Lets statements change entries, as only who owns the database can.
async fn without_triggers(shop: &Shop) {
    let statements: &[&str] = match shop.database.engine() {
        Engine::Sqlite => &["DROP TRIGGER audit_log_immutable", "DROP TRIGGER audit_log_kept"],
        Engine::Postgres => &["DROP TRIGGER audit_log_immutable ON audit_log"],
    };
    execute(&shop.database, statements).await;
}

async fn log_in(server: &TestServer, password: &str) -> u16 {
    server.guest().post("/v1/sessions", json!({"email": ANN, "password": password})).await.status
}

on_both_engines!(what_concerns_the_security_of_an_account_is_recorded, with_emails());
async fn what_concerns_the_security_of_an_account_is_recorded(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let account = ann.get("/v1/me").await.expect(200);
    let token = token_to(server, ANN).await;
    server.guest().post("/v1/email-verifications", json!({"token": token})).await.expect(204);
    assert_eq!(log_in(server, "wrong horse").await, 401);
    let unknown = json!({"email": "bob@example.org", "password": PASSWORD});
    assert_eq!(server.guest().post("/v1/sessions", unknown).await.status, 401);
    let wrong = json!({"password": "battery staple", "current_password": "wrong horse"});
    assert_eq!(ann.patch("/v1/me", wrong).await.status, 422);
    let right = json!({"password": "battery staple", "current_password": PASSWORD});
    let token = ann.patch("/v1/me", right).await.header("session-token").to_owned();
    let ann = server.guest().with("authorization", &format!("Bearer {token}"));
    ann.delete("/v1/sessions").await.expect(204);
    assert_eq!(log_in(server, "battery staple").await, 201);

    let entries: Vec<(String, Option<UserId>)> =
        rows(shop, "SELECT action, subject_id FROM audit_log ORDER BY number").await;
    let id = UserId(account["id"].as_str().unwrap().parse().unwrap());
    let expected = [
        ("user.registered", Some(id)),
        ("session.created", Some(id)),
        ("email.verified", Some(id)),
        ("session.refused", Some(id)),
        ("session.refused", None),
        ("password.refused", Some(id)),
        ("password.changed", Some(id)),
        ("session.ended", Some(id)),
        ("session.created", Some(id)),
    ];
    assert_eq!(entries, expected.map(|(action, id)| (action.to_owned(), id)));
    assert_eq!(verified(shop, None).await.1, None);
}

on_both_engines!(credentials_that_end_with_a_password_or_a_role_are_recorded, with_emails());
async fn credentials_that_end_with_a_password_or_a_role_are_recorded(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, ANN).await);
    let bob = newcomer(server, "bob@example.org").await;
    let id = |body: Value| Some(UserId(body["id"].as_str().unwrap().parse().unwrap()));
    let (of_ann, of_bob) = (id(ann.get("/v1/me").await.expect(200)), id(bob.get("/v1/me").await.expect(200)));
    let new_key = async |client: &TestClient, password: &str| {
        let new = json!({"name": "x", "current_password": password});
        id(client.post("/v1/me/api-keys", new).await.expect(201))
    };
    let link = &["INSERT INTO user_identities (provider, subject, user_id, created_at) \
                  SELECT 'https://id.example', email, id, created_at FROM users WHERE role = 'customer'"];
    execute(&shop.database, link).await;

    let first = new_key(&ann, PASSWORD).await;
    let change = json!({"password": "battery staple", "current_password": PASSWORD});
    let token = ann.patch("/v1/me", change).await.header("session-token").to_owned();
    let changed = server.guest().with("authorization", &format!("Bearer {token}"));
    let second = new_key(&changed, "battery staple").await;
    server.guest().post("/v1/password-resets", json!({"email": ANN})).await.expect(202);
    let token = awaited("the e-mail of the reset", async || {
        let emails = emails_to(server, ANN).await;
        emails.iter().filter(|(kind, _)| kind == "password_reset").find_map(|(_, body)| token_in(body))
    });
    let reset = json!({"token": token.await, "password": "another staple"});
    server.guest().post("/v1/password-resets/confirm", reset).await.expect(204);
    let third = new_key(&bob, PASSWORD).await;
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    let path = format!("/admin/v1/users/{}", of_bob.unwrap().0);
    admin.patch(&path, json!({"role": "admin"})).await.expect(200);

    let sql = "SELECT action, subject_id FROM audit_log \
               WHERE action IN ('api_key.revoked', 'identity.unlinked') ORDER BY number";
    let expected = [
        ("api_key.revoked", first),
        ("identity.unlinked", of_ann),
        ("api_key.revoked", second),
        ("api_key.revoked", third),
        ("identity.unlinked", of_bob),
    ];
    let entries: Vec<(String, Option<UserId>)> = rows(shop, sql).await;
    assert_eq!(entries, expected.map(|(action, id)| (action.to_owned(), id)));
}

on_both_engines!(a_role_an_erasure_and_ended_sessions_are_recorded_without_personal_data);
async fn a_role_an_erasure_and_ended_sessions_are_recorded_without_personal_data(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, ANN).await);
    let id = ann.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    ann.delete("/v1/me/sessions").await.expect(204);
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    let path = format!("/admin/v1/users/{id}");
    let changed = admin.patch(&path, json!({"role": "admin"})).await;
    changed.expect(200);
    admin.delete(&path).await.expect(204);

    let list = admin.get(&format!("/admin/v1/audit-log?subject_id={id}&limit=5")).await.expect(200);
    let entries = list["items"].as_array().unwrap();
    let found: Vec<_> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    let expected = ["user.erased", "adminEraseUser", "role.changed", "adminUpdateUser", "sessions.ended"];
    assert_eq!(found, expected);
    let of_role = &entries[3];
    assert_eq!(of_role["request_id"], changed.header("x-request-id"));
    assert_eq!((&of_role["actor"], &of_role["network"]), (&json!("user"), &json!("127.0.0.0/24")));
    let change = json!([{"table": "users", "id": id, "change": "updated", "columns": ["role"], "rows": 1}]);
    assert_eq!(of_role["changes"], change);

    let text = String::from_utf8(export(&shop.store, Vec::new()).await.unwrap()).unwrap();
    assert_eq!(text.lines().count(), actions(shop).await.len());
    assert!(text.contains(&id) && !text.contains("ann") && !text.contains("example"), "{text}");
}

on_both_engines!(what_an_administrator_may_not_do_is_recorded_when_it_is_refused);
async fn what_an_administrator_may_not_do_is_recorded_when_it_is_refused(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, ANN).await);
    let role = json!({"name": "clerk", "permissions": ["orders:read", "roles:write"]});
    admin.post("/admin/v1/roles", role).await.expect(201);
    let clerk = server.staff("clerk").await;
    let id = async |client: &TestClient| -> UserId {
        let account = client.get("/v1/me").await.expect(200);
        UserId(account["id"].as_str().unwrap().parse().unwrap())
    };
    let (clerk_id, ann_id) = (id(&clerk).await, id(&ann).await);

    // by the guard, by a use case, and as the request of another site; what has no credential is not recorded
    clerk.get("/admin/v1/orders").await.expect(200);
    let read = clerk.get(&format!("/admin/v1/users/{}", ann_id.0)).await;
    read.expect(403);
    let more = json!({"name": "more", "permissions": ["users:read"]});
    assert_eq!(clerk.post("/admin/v1/roles", more).await.problem(403), "unauthorized_access");
    ann.get("/admin/v1/orders").await.expect(403);
    let forged = server.guest().with("cookie", "undercroft_session=x").with("origin", "https://evil.example");
    forged.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(403);
    server.guest().get("/admin/v1/orders").await.expect(401);

    let sql =
        "SELECT action, user_id, subject_id FROM audit_log WHERE action LIKE '%.refused' ORDER BY number";
    let entries: Vec<(String, Option<UserId>, Option<UserId>)> = rows(shop, sql).await;
    let expected = [
        ("adminGetUser.refused", Some(clerk_id), Some(ann_id)),
        ("adminCreateRole.refused", Some(clerk_id), None),
        ("adminListOrders.refused", Some(ann_id), None),
        ("adminCreateCategory.refused", None, None),
    ];
    assert_eq!(entries, expected.map(|(action, user, subject)| (action.to_owned(), user, subject)));
    let list = admin.get("/admin/v1/audit-log?action=adminGetUser.refused").await.expect(200);
    let entry = &list["items"][0];
    assert_eq!(entry["request_id"], read.header("x-request-id"));
    assert_eq!((&entry["network"], &entry["changes"]), (&json!("127.0.0.0/24"), &json!([])));
    assert_eq!(verified(shop, None).await.1, None);
}

on_both_engines!(who_reads_the_data_of_a_person_is_recorded, with_emails());
async fn who_reads_the_data_of_a_person_is_recorded(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, ANN).await);
    token_to(server, ANN).await;
    let before = actions(shop).await.len();
    let id = ann.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    let path = format!("/admin/v1/users/{id}");
    admin.get("/admin/v1/users").await.expect(200);
    admin.get(&path).await.expect(200);
    let unknown = path.replace(&id, &Uuid::nil().to_string());
    assert_eq!(admin.get(&unknown).await.problem(404), "user_not_found");
    let emails = admin.get("/admin/v1/emails").await.expect(200);
    let email = emails["items"][0]["id"].as_str().unwrap();
    admin.get(&format!("/admin/v1/emails/{email}")).await.expect(200);
    for _ in 0..5 {
        ann.get("/v1/me/export").await.expect(200);
    }
    assert_eq!(ann.get("/v1/me/export").await.problem(429), "too_many_requests");

    let sql = "SELECT action, subject_id FROM audit_log WHERE user_id IS NOT NULL ORDER BY number";
    let entries: Vec<(String, Option<UserId>)> = rows(shop, sql).await;
    let reads: Vec<_> = entries.iter().map(|(action, subject)| (action.as_str(), *subject)).collect();
    let user = |id: &str| Some(UserId(id.parse().unwrap()));
    let mut expected = vec![
        ("adminListUsers", None),
        ("adminGetUser", user(&id)),
        ("adminListEmails", None),
        ("adminGetEmail", user(email)),
    ];
    expected.extend(std::iter::repeat_n(("user.exported", user(&id)), 5));
    assert_eq!(reads[reads.len() - 9..], expected, "{reads:?}");
    assert_eq!(actions(shop).await.len(), before + 9);
}

on_both_engines!(an_action_that_fails_or_belongs_to_a_shopper_is_not_recorded);
async fn an_action_that_fails_or_belongs_to_a_shopper_is_not_recorded(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, ANN).await);
    let own = format!("/admin/v1/users/{}", admin.get("/v1/me").await.expect(200)["id"].as_str().unwrap());
    let variant = shop.product().create().await;
    let before = actions(shop).await;
    assert_eq!(admin.patch(&own, json!({"role": "customer"})).await.problem(409), "last_admin");
    order_of(&ann, variant).await;
    assert_eq!(actions(shop).await, before);
}

on_both_engines!(the_log_is_listed_in_pages_for_administrators);
async fn the_log_is_listed_in_pages_for_administrators(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let since = shop.now();
    for name in ["Tea", "Coffee"] {
        admin.post("/admin/v1/categories", json!({"name": name})).await.expect(201);
    }
    let only = "/admin/v1/audit-log?action=adminCreateCategory&limit=1";
    let first = admin.get(only).await.expect(200);
    let second =
        admin.get(&format!("{only}&cursor={}", first["next_cursor"].as_str().unwrap())).await.expect(200);
    let number = |page: &Value| page["items"][0]["number"].as_i64().unwrap();
    assert!(number(&first) > number(&second));
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(first["items"][0]["subject_id"], first["items"][0]["changes"][0]["id"]);
    let user = first["items"][0]["user_id"].as_str().unwrap();
    let count = async |query: String| {
        let page = admin.get(&format!("/admin/v1/audit-log?{query}")).await.expect(200);
        page["items"].as_array().unwrap().len()
    };
    assert_eq!(count(format!("user_id={user}&since={since}")).await, 2);
    assert_eq!(count(format!("user_id={user}&until={since}")).await, 0);
    let request = first["items"][0]["request_id"].as_str().unwrap();
    assert_eq!(count(format!("request_id={request}")).await, 1);
    assert_for_administrators(server, &[(Method::GET, "/admin/v1/audit-log")]).await;
}

on_both_engines!(concurrent_actions_are_one_chain);
async fn concurrent_actions_are_one_chain(shop: &Shop) {
    let running: Vec<_> = (0..64)
        .map(|number| {
            let database = shop.database.clone();
            tokio::spawn(async move {
                let write = database.write(number, async |work, number| {
                    work.record(SecurityAction::LoggedIn, None);
                    work.record(SecurityAction::LoggedOut, None);
                    match number % 4 {
                        0 => Err(DatabaseError::Internal("rolled back".into())),
                        _ => Ok(()),
                    }
                });
                write.await.is_ok()
            })
        })
        .collect();
    let mut committed = 0;
    for one in running {
        committed += i64::from(one.await.unwrap());
    }
    assert_eq!(committed, 48);
    let (check, broken) = verified(shop, None).await;
    assert_eq!((check.number, broken), (96, None));
}

on_both_engines!(entries_are_never_changed_or_deleted);
async fn entries_are_never_changed_or_deleted(shop: &Shop) {
    record(shop, 1).await;
    let mut changes = vec!["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log"];
    if shop.database.engine() == Engine::Postgres {
        // nor are invoices truncated, which never change either
        changes.extend(["TRUNCATE audit_log", "TRUNCATE audit_log CASCADE", "TRUNCATE invoices"]);
    }
    for sql in changes {
        let write = shop.database.write(sql, async |work, sql| work.execute(sql, &[]).await);
        assert!(matches!(write.await.unwrap_err(), DatabaseError::CheckFailed { .. }), "{sql}");
    }
    assert_eq!(actions(shop).await, ["session.refused"]);
}

on_both_engines!(
    an_entry_that_was_changed_or_removed_is_found,
    ShopOptions::default().unchecked("entries are removed")
);
async fn an_entry_that_was_changed_or_removed_is_found(shop: &Shop) {
    record(shop, 5).await;
    let (last, broken) = verified(shop, None).await;
    assert_eq!((last.number, broken), (5, None));
    let noted = |number: i64, hash: String| Some(NotedEntry { number, hash });
    assert_eq!(verified(shop, noted(5, hex(&last.hash))).await.1, None);
    assert_eq!(verified(shop, noted(4, hex(&last.hash))).await.1, Some(BrokenChain::Replaced(4)));
    let missing = |last, noted| Some(BrokenChain::EndsBeforeNoted { last, noted });
    assert_eq!(verified(shop, noted(6, hex(&last.hash))).await.1, missing(5, 6));

    without_triggers(shop).await;
    execute(&shop.database, &["UPDATE audit_log SET action = 'session.created' WHERE number = 3"]).await;
    assert_eq!(verified(shop, None).await.1, Some(BrokenChain::Changed(3)));
    execute(&shop.database, &["UPDATE audit_log SET action = 'session.refused' WHERE number = 3"]).await;
    assert_eq!(verified(shop, None).await.1, None);
    execute(&shop.database, &["DELETE FROM audit_log WHERE number = 5"]).await;
    assert_eq!(verified(shop, None).await.1, Some(BrokenChain::Cut(4)));
    execute(&shop.database, &["DELETE FROM audit_log WHERE number = 2"]).await;
    assert_eq!(verified(shop, None).await.1, Some(BrokenChain::Missing(2)));
    // who also sets the counter can cut the end: only a hash that was noted elsewhere shows it
    execute(
        &shop.database,
        &["DELETE FROM audit_log WHERE number > 1", "UPDATE counters SET value = 1 WHERE name = 'audit'"],
    )
    .await;
    assert_eq!(verified(shop, None).await.1, None);
    assert_eq!(verified(shop, noted(5, hex(&last.hash))).await.1, missing(1, 5));
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM audit_log", &[]).await, 1);
}

fn with_emails() -> ShopOptions {
    ShopOptions::default().terms(sandbox_emails())
}
