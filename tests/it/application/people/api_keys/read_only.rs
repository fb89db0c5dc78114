//! API keys that only read, also what a customer may do.

use http::Method;
use serde_json::{Value, json};

use super::{key_of, reason};
use crate::application::people::newcomer;
use crate::support::Shop;
use crate::support::passwords::create_key;

on_both_engines!(a_key_that_only_reads_changes_nothing);
async fn a_key_that_only_reads_changes_nothing(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let (created, program) = key_of(server, &ann, json!({"name": "A", "read_only": true})).await;
    let (other, _) = key_of(server, &ann, json!({"name": "B"})).await;
    assert_eq!((&created["read_only"], &other["read_only"]), (&json!(true), &json!(false)));
    let list = ann.get("/v1/me/api-keys").await.expect(200);
    assert_eq!([&list["items"][0]["read_only"], &list["items"][1]["read_only"]], [false, true]);

    let cart = ann.post("/v1/carts", json!({})).await.expect(201);
    let cart = format!("/v1/carts/{}", cart["id"].as_str().unwrap());
    for path in ["/v1/me", "/v1/orders", &cart] {
        program.get(path).await.expect(200);
        program.send(Method::HEAD, path, None).await.expect(200);
    }
    let before = [ann.get("/v1/me").await.expect(200), ann.get(&cart).await.expect(200)];
    for (method, path, body) in [
        (Method::PATCH, "/v1/me", Some(json!({"name": "Bob"}))),
        (Method::POST, "/v1/carts", Some(json!({}))),
        (Method::PUT, &format!("{cart}/discount"), Some(json!({"code": "A"}))),
        (Method::DELETE, &format!("{cart}/discount"), None),
        (Method::POST, "/v1/orders/01900000-0000-7000-8000-000000000001/cancel", None),
    ] {
        let refused = program.send(method.clone(), path, body).await;
        assert_eq!(refused.problem(403), "unauthorized_access", "{method} {path}");
        assert_eq!(reason(&refused.json()), "read_only_key", "{method} {path}");
    }
    assert_eq!([ann.get("/v1/me").await.expect(200), ann.get(&cart).await.expect(200)], before);
}

on_both_engines!(a_key_that_only_reads_has_no_scope_that_writes);
async fn a_key_that_only_reads_has_no_scope_that_writes(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let new = |scopes: &[&str]| json!({"name": "A", "scopes": scopes, "read_only": true, "lifetime_days": 1});
    let refused = create_key(server, &admin, new(&["users:read", "users:write"])).await;
    assert_eq!(refused.faults(), [("/scopes/1".to_owned(), "not_allowed".to_owned())]);
    let allowed = refused.json()["errors"][0]["allowed"].clone();
    let is_read = |scope: &Value| scope.as_str().unwrap().ends_with(":read");
    assert!(allowed.as_array().unwrap().iter().all(is_read), "{allowed}");

    let (_, program) = key_of(server, &admin, new(&["categories:read", "users:read"])).await;
    program.get("/admin/v1/users").await.expect(200);
    let refused = program.post("/admin/v1/categories", json!({"name": "Tea"})).await;
    assert_eq!((refused.status, reason(&refused.json())), (403, "read_only_key"));
}
