//! Administrators list users, change their roles and erase them.

use http::Method;
use serde_json::{Value, json};
use undercroft::application::people::accounts::create_admin;
use undercroft::infrastructure::repositories::DatabaseError;

use super::{PASSWORD, erase, log_in, newcomer, register, try_log_in};
use crate::support::http::faults;
use crate::support::store::execute;
use crate::support::{Shop, ShopOptions, TestClient};

/// The id of the client's user.
async fn id(client: &TestClient) -> String {
    client.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned()
}

/// The addresses on a page of users.
fn addresses(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect()
}

on_both_engines!(administrators_list_users_in_pages);
async fn administrators_list_users_in_pages(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    for email in ["ann@example.org", "Anna@example.org", "bob@example.org"] {
        register(server, email).await;
    }
    let page = admin.get("/admin/v1/users?email=ANN").await.expect(200);
    assert_eq!(addresses(&page), ["Anna@example.org", "ann@example.org"]);
    assert_eq!(page["next_cursor"], Value::Null);
    let first = admin.get("/admin/v1/users?role=customer&limit=2").await.expect(200);
    assert_eq!(addresses(&first), ["bob@example.org", "Anna@example.org"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second =
        admin.get(&format!("/admin/v1/users?role=customer&limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!(addresses(&second), ["ann@example.org"]);
    assert_eq!(
        admin.get("/admin/v1/users?role=admin").await.expect(200)["items"].as_array().unwrap().len(),
        1
    );

    let elsewhere = admin.get(&format!("/admin/v1/users?cursor={cursor}")).await;
    assert_eq!(elsewhere.problem(422), "validation");
    for query in ["role=king", "limit=0", "limit=101", "email=", "name=ann", "cursor=x"] {
        assert_eq!(
            admin.get(&format!("/admin/v1/users?{query}")).await.problem(422),
            "validation",
            "{query}"
        );
    }
}

on_both_engines!(only_administrators_manage_users);
async fn only_administrators_manage_users(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let one = format!("/admin/v1/users/{}", id(&ann).await);
    for (method, path) in [
        (Method::GET, "/admin/v1/users"),
        (Method::GET, one.as_str()),
        (Method::PATCH, one.as_str()),
        (Method::DELETE, one.as_str()),
    ] {
        let body = (method == Method::PATCH).then(|| json!({"role": "admin"}));
        let response = ann.send(method.clone(), path, body.clone()).await;
        assert_eq!(
            (response.problem(403), &response.json()["reason"]),
            ("unauthorized_access".into(), &json!("not_allowed"))
        );
        assert_eq!(server.guest().send(method, path, body).await.problem(401), "unauthorized_access");
    }
    assert_eq!(ann.get("/v1/me").await.expect(200)["role"], "customer");
}

with_both_session_stores!(a_new_role_applies_to_the_next_request_and_one_administrator_remains);
async fn a_new_role_applies_to_the_next_request_and_one_administrator_remains(shop: &Shop) {
    let server = shop.server().await;
    let (root, ann) = (server.admin().await, newcomer(server, "ann@example.org").await);
    let [of_root, of_ann] = [id(&root).await, id(&ann).await].map(|id| format!("/admin/v1/users/{id}"));
    for last in [root.patch(&of_root, json!({"role": "customer"})).await, root.delete(&of_root).await] {
        assert_eq!(last.problem(409), "last_admin");
    }
    assert_eq!(erase(&root).await.problem(409), "last_admin");

    let unverified = root.patch(&of_ann, json!({"role": "admin"})).await;
    assert_eq!(unverified.problem(409), "email_not_verified");
    assert_eq!(ann.get("/v1/me").await.expect(200)["role"], "customer");
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    let seen = root.get(&of_ann).await;
    let changed = root.with("if-match", seen.header("etag")).patch(&of_ann, json!({"role": "admin"})).await;
    assert_eq!(changed.expect(200)["role"], "admin");
    let stale = root.with("if-match", seen.header("etag")).patch(&of_ann, json!({"role": "customer"})).await;
    assert_eq!(stale.problem(412), "precondition_failed");
    // the sessions from before the change have ended
    assert_eq!(ann.get("/v1/me").await.status, 401);
    let ann = log_in(server, "ann@example.org", PASSWORD).await;
    ann.get("/admin/v1/users").await.expect(200);
    ann.patch(&of_root, json!({"role": "customer"})).await.expect(200);
    assert_eq!(root.get("/admin/v1/users").await.status, 401);
    assert_eq!(erase(&ann).await.problem(409), "last_admin");

    assert_eq!(
        ann.patch(&of_root, json!({"role": "king"})).await.faults(),
        faults([("/role", "not_allowed")])
    );
    let missing = "/admin/v1/users/00000000-0000-7000-8000-000000000000";
    assert_eq!(ann.patch(missing, json!({"role": "admin"})).await.problem(404), "user_not_found");
    assert_eq!(ann.get("/admin/v1/users/ann").await.problem(422), "validation");
}

with_both_session_stores!(an_administrator_ends_the_sessions_of_another_user);
async fn an_administrator_ends_the_sessions_of_another_user(shop: &Shop) {
    let server = shop.server().await;
    let (root, ann) = (server.admin().await, newcomer(server, "ann@example.org").await);
    let of_root = format!("/admin/v1/users/{}/sessions", id(&root).await);
    let of_ann = format!("/admin/v1/users/{}/sessions", id(&ann).await);
    let role = json!({"name": "support", "permissions": ["users:write"]});
    root.post("/admin/v1/roles", role).await.expect(201);
    let support = server.staff("support").await;
    let other = log_in(server, "ann@example.org", PASSWORD).await;
    support.delete(&of_ann).await.expect(204);
    for ended in [&ann, &other] {
        assert_eq!(ended.get("/v1/me").await.problem(401), "unauthorized_access");
    }
    log_in(server, "ann@example.org", PASSWORD).await;
    assert_eq!(support.delete(&of_root).await.problem(403), "unauthorized_access");
    root.get("/v1/me").await.expect(200);
}

on_both_engines!(one_administrator_is_left_after_concurrent_role_changes);
async fn one_administrator_is_left_after_concurrent_role_changes(shop: &Shop) {
    let server = shop.server().await;
    let role = json!({"name": "support", "permissions": ["orders:read"]});
    let creator = server.admin().await;
    creator.post("/admin/v1/roles", role).await.expect(201);
    let mut admins = vec![creator];
    for _ in 1..9 {
        admins.push(server.admin().await);
    }
    let mut running = Vec::new();
    for (number, admin) in admins.into_iter().enumerate() {
        let own = format!("/admin/v1/users/{}", id(&admin).await);
        running.push(async move {
            match number % 3 {
                0 => erase(&admin).await,
                1 => admin.patch(&own, json!({"staff_role": "support"})).await,
                _ => admin.patch(&own, json!({"role": "customer"})).await,
            }
        });
    }
    let running: Vec<_> = running.into_iter().map(tokio::spawn).collect();
    let mut refused = 0;
    for one in running {
        let response = one.await.unwrap();
        refused += usize::from(response.status == 409 && response.problem(409) == "last_admin");
    }
    assert_eq!(refused, 1);
}

on_both_engines!(a_user_erased_by_an_administrator_is_an_empty_row);
async fn a_user_erased_by_an_administrator_is_an_empty_row(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, "ann@example.org").await);
    let path = format!("/admin/v1/users/{}", id(&ann).await);
    admin.delete(&path).await.expect(204);
    assert_eq!(ann.get("/v1/me").await.status, 401);
    assert_eq!(try_log_in(server, "ann@example.org", PASSWORD).await.status, 401);
    let row = admin.get(&path).await.expect(200);
    assert!(row["erased_at"].is_string() && row["name"] == "", "{row}");
    assert!(!row.to_string().contains("example.org"), "{row}");
    assert_eq!(admin.delete(&path).await.problem(404), "user_not_found");
    assert_eq!(admin.patch(&path, json!({"role": "admin"})).await.problem(404), "user_not_found");
}

on_both_engines!(
    a_buyer_with_an_open_order_is_not_erased,
    ShopOptions::default().unchecked("the order is a row without lines and payment")
);
async fn a_buyer_with_an_open_order_is_not_erased(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, "ann@example.org").await);
    let user_id = id(&ann).await;
    let buyer: uuid::Uuid = user_id.parse().unwrap();
    let order = "INSERT INTO orders (id, number, user_id, email, seller, status, currency, subtotal, discount, shipping, tax, \
         total, taxes, shipping_address, billing_address, lines, version, placed_at, updated_at) \
         VALUES ($1, 1, $1, '', '', 'paid', 'EUR', 0, 0, 0, 0, 0, '[]', '{}', '{}', '[]', 1, $2, $2)";
    let write = shop.database.write((order, buyer), async |work, &(order, buyer)| {
        let now = work.now();
        work.execute(order, &[buyer.into(), now.into()]).await
    });
    write.await.unwrap();
    assert_eq!(erase(&ann).await.problem(409), "open_orders");
    assert_eq!(admin.delete(&format!("/admin/v1/users/{user_id}")).await.problem(409), "open_orders");
    ann.get("/v1/me").await.expect(200);
}

on_both_engines!(an_administrator_made_by_the_command_has_the_address_that_it_names);
async fn an_administrator_made_by_the_command_has_the_address_that_it_names(shop: &Shop) {
    let server = shop.server().await;
    register(server, "boss@example.org").await;
    // as earlier versions let a stranger register it, with a letter that stands for another
    let similar = "UPDATE users SET email = 'ｂoss@example.org', email_verified_at = created_at";
    let update = shop.database.write(similar, async |work, sql| work.execute(sql, &[]).await);
    let updated: Result<u64, DatabaseError> = update.await;
    assert_eq!(updated.unwrap(), 1);
    let new = json!({"email": "boss@example.org", "password": "a password of the owner"});
    let admin = create_admin(&shop.store, serde_json::from_value(new).unwrap(), None).await.unwrap();
    assert_eq!((admin.email.as_str(), admin.email_verified_at), ("boss@example.org", None));
}
