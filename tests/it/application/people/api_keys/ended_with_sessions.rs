//! The API keys of a user whose sessions are all ended: they stay valid unless they are revoked, too.

use serde_json::json;

use super::{key_of, reason};
use crate::application::people::{PASSWORD, log_in, newcomer};
use crate::support::Shop;
use crate::support::store::value;

with_both_session_stores!(a_user_who_logs_out_everywhere_may_revoke_all_keys);
async fn a_user_who_logs_out_everywhere_may_revoke_all_keys(shop: &Shop) {
    let server = shop.server().await;
    let (ann, bob) = (newcomer(server, "ann@example.org").await, newcomer(server, "bob@example.org").await);
    let (_, first) = key_of(server, &ann, json!({"name": "first"})).await;
    let (_, second) = key_of(server, &ann, json!({"name": "second"})).await;
    let (_, foreign) = key_of(server, &bob, json!({"name": "foreign"})).await;

    ann.delete("/v1/me/sessions").await.expect(204);
    ann.get("/v1/me").await.problem(401);
    first.get("/v1/me").await.expect(200);
    let ann = log_in(server, "ann@example.org", PASSWORD).await;
    let refused = ann.delete("/v1/me/sessions?revoke_api_keys=all").await;
    assert_eq!(refused.problem(422), "validation");
    ann.delete("/v1/me/sessions?revoke_api_keys=true").await.expect(204);
    for ended in [&first, &second, &ann] {
        assert_eq!(reason(&ended.get("/v1/me").await.expect(401)), "invalid_token");
    }
    foreign.get("/v1/me").await.expect(200);
    let sql = "SELECT COUNT(*) FROM audit_log WHERE action = 'api_key.revoked'";
    assert_eq!(value::<i64>(&shop.database, sql, &[]).await, 2);
}

on_both_engines!(an_administrator_revokes_the_keys_of_a_user_with_the_sessions);
async fn an_administrator_revokes_the_keys_of_a_user_with_the_sessions(shop: &Shop) {
    let server = shop.server().await;
    let (root, ann) = (server.admin().await, newcomer(server, "ann@example.org").await);
    for (name, permissions) in
        [("support", json!(["users:write"])), ("security", json!(["users:write", "api-keys:write"]))]
    {
        let role = json!({"name": name, "permissions": permissions});
        root.post("/admin/v1/roles", role).await.expect(201);
    }
    let (_, program) = key_of(server, &ann, json!({"name": "program"})).await;
    let id = ann.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    let path = format!("/admin/v1/users/{id}/sessions?revoke_api_keys=true");

    let refused = server.staff("support").await.delete(&path).await;
    assert_eq!(refused.problem(403), "unauthorized_access");
    assert_eq!(refused.json()["permission"], "api-keys:write");
    for valid in [&ann, &program] {
        valid.get("/v1/me").await.expect(200);
    }
    server.staff("security").await.delete(&path).await.expect(204);
    for ended in [&ann, &program] {
        ended.get("/v1/me").await.problem(401);
    }
}
