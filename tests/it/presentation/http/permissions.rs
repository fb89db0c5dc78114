//! Administrators with a role of the staff can do what its permissions say, from the next request on, and no
//! administrator gives or takes away what the administrator does not have.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use undercroft::application::people::granting::Granter;
use undercroft::application::people::users::{self, UpdateUser};
use undercroft::domain::ids::UserId;
use undercroft::domain::permission::{Permission, Permissions};

use super::examples::{document, example, operations};
use crate::support::http::faults;
use crate::support::orders::Sale;
use crate::support::store::execute;
use crate::support::{Shop, ShopOptions, TestClient, TestResponse, TestServer};

/// Asserts that a request was refused because this permission is missing.
#[track_caller]
fn assert_missing(response: &TestResponse, permission: &str, what: &str) {
    assert_eq!(response.problem(403), "unauthorized_access", "{what}");
    let problem = response.json();
    assert_eq!(
        (&problem["reason"], &problem["permission"]),
        (&json!("not_allowed"), &json!(permission)),
        "{what}"
    );
}

/// Creates a role with these permissions.
async fn create_role(admin: &TestClient, name: &str, permissions: &[&str]) {
    let role = json!({"name": name, "permissions": permissions});
    admin.post("/admin/v1/roles", role).await.expect(201);
}

/// The path of a client's user, as administrators change it.
async fn path_of(client: &TestClient) -> String {
    format!("/admin/v1/users/{}", client.get("/v1/me").await.expect(200)["id"].as_str().unwrap())
}

/// The client with its token in a cookie.
fn with_cookie(server: &TestServer, bearer: &TestClient) -> TestClient {
    let token = bearer.header("authorization").trim_start_matches("Bearer ").to_owned();
    server.guest().with("cookie", &format!("undercroft_session={token}"))
}

on_both_engines!(each_operation_requires_its_permission_and_no_other_from_the_next_request_on);
async fn each_operation_requires_its_permission_and_no_other_from_the_next_request_on(shop: &Shop) {
    let server = shop.server().await;
    let (root, document) = (server.admin().await, document());
    create_role(&root, "matrix", &[]).await;
    let bearer = server.staff("matrix").await;
    let clients = [with_cookie(server, &bearer), bearer];
    let all: Vec<String> = Permission::all().map(|permission| permission.to_string()).collect();
    let mut called = 0;
    for operation in operations(&document).iter().filter(|operation| operation.is_for_administrators()) {
        let required = operation.described["x-required-permission"].as_str().unwrap();
        let others: Vec<_> = all.iter().filter(|other| *other != required).collect();
        let mut exactly = vec![required];
        if operation.to_string() == "POST /admin/v1/webhook-endpoints" {
            // what is sent to it has permissions of its own
            exactly.push("events:read");
        }
        for (permissions, is_allowed) in [(json!(others), false), (json!(exactly), true)] {
            let role = json!({"permissions": permissions});
            root.put("/admin/v1/roles/matrix", role).await.expect(200);
            for client in &clients {
                let path = operation.path_to_missing(&document);
                let body = operation.body().map(|schema| example(&document, schema));
                let response = client.send(operation.method.clone(), &path, body).await;
                let what = format!("{operation} with {permissions}");
                if is_allowed {
                    assert!(response.status < 500 && response.status != 403, "{what}: {response}");
                } else {
                    assert_missing(&response, required, &what);
                }
                called += 1;
            }
        }
    }
    assert!(called > 280, "only {called} calls");
    for operation in operations(&document).iter().filter(|operation| !operation.is_for_administrators()) {
        assert_eq!(operation.described["x-required-permission"], Value::Null, "{operation}");
    }
}

on_both_engines!(what_returns_money_requires_the_permission_to_refund);
async fn what_returns_money_requires_the_permission_to_refund(shop: &Shop) {
    let server = shop.server().await;
    let root = server.admin().await;
    create_role(&root, "packer", &["orders:write", "subscriptions:write"]).await;
    let packer = server.staff("packer").await;
    let (pending, paid) =
        (Sale::begin(shop, 3, "tok_requires_action").await, Sale::begin(shop, 3, "tok_ok").await);
    let cancel = |sale: &Sale| format!("/admin/v1/orders/{}/cancel", sale.id);
    packer.post(&cancel(&pending), json!({})).await.expect(200);
    assert_missing(&packer.post(&cancel(&paid), json!({})).await, "refunds:write", "a paid order");
    let subscription = format!("/admin/v1/subscriptions/{}", uuid::Uuid::nil());
    let end = json!({"action": "cancel", "refund": true});
    assert_missing(&packer.post(&subscription, end.clone()).await, "refunds:write", "a subscription");

    let role = json!({"permissions": ["orders:write", "subscriptions:write", "refunds:write"]});
    root.put("/admin/v1/roles/packer", role).await.expect(200);
    assert_eq!(packer.post(&subscription, end).await.problem(404), "subscription_not_found");
    packer.post(&cancel(&paid), json!({})).await.expect(200);
    paid.recover().await;
    paid.check().await;
}

on_both_engines!(an_endpoint_gets_the_events_that_its_administrator_may_read);
async fn an_endpoint_gets_the_events_that_its_administrator_may_read(shop: &Shop) {
    let server = shop.server().await;
    let root = server.admin().await;
    let endpoints = "/admin/v1/webhook-endpoints";
    let of = |types: &[&str]| json!({"url": "https://example.com/hook", "event_types": types});
    let path = |created: &Value| format!("{endpoints}/{}", created["id"].as_str().unwrap());
    create_role(&root, "integrator", &["webhook-endpoints:write", "products:read"]).await;
    let integrator = server.staff("integrator").await;
    for (types, missing) in [
        (&[][..], "events:read"),
        (&["product.changed", "order.paid"][..], "orders:read"),
        (&["user.registered"][..], "users:read"),
        (&["service_shutdown"][..], "events:read"),
    ] {
        assert_missing(&integrator.post(endpoints, of(types)).await, missing, &format!("{types:?}"));
    }
    let own = path(&integrator.post(endpoints, of(&["product.changed"])).await.expect(201));
    for (types, missing) in [(json!([]), "events:read"), (json!(["payment.captured"]), "orders:read")] {
        let change = json!({"event_types": types});
        assert_missing(&integrator.patch(&own, change).await, missing, "other types");
    }
    let other_url = json!({"url": "https://example.com/other"});
    integrator.patch(&own, other_url.clone()).await.expect(200);
    integrator.post(&format!("{own}/rotate-secret"), json!({})).await.expect(200);

    // one that another administrator created
    let of_orders = path(&root.post(endpoints, of(&["order.paid"])).await.expect(201));
    assert_missing(&integrator.patch(&of_orders, other_url.clone()).await, "orders:read", "another URL");
    let rotate = format!("{of_orders}/rotate-secret");
    assert_missing(&integrator.post(&rotate, json!({})).await, "orders:read", "its secret");
    integrator.patch(&of_orders, json!({"description": "Orders", "active": false})).await.expect(200);
    for (endpoint, creator) in [(&own, &integrator), (&of_orders, &root)] {
        let creator = creator.get("/v1/me").await.expect(200)["id"].clone();
        assert_eq!(root.get(endpoint).await.expect(200)["created_by"], creator);
    }

    for enough in ["orders:read", "events:read"] {
        let role = json!({"permissions": ["webhook-endpoints:write", enough]});
        root.put("/admin/v1/roles/integrator", role).await.expect(200);
        integrator.post(endpoints, of(&["order.paid", "payment.failed"])).await.expect(201);
    }
    integrator.post(endpoints, of(&[])).await.expect(201);
    integrator.patch(&of_orders, other_url).await.expect(200);
    integrator.post(&rotate, json!({})).await.expect(200);
}

on_both_engines!(the_birth_date_of_an_administrator_is_changed_by_one_who_has_the_same_permissions);
async fn the_birth_date_of_an_administrator_is_changed_by_one_who_has_the_same_permissions(shop: &Shop) {
    let server = shop.server().await;
    let root = server.admin().await;
    create_role(&root, "support", &["users:write"]).await;
    let support = server.staff("support").await;
    let birth_date = json!({"birth_date": "1990-01-01"});
    let of = async |client: &TestClient| format!("{}/birth-date", path_of(client).await);
    let refused = support.put(&of(&root).await, birth_date.clone()).await;
    assert_eq!(refused.problem(403), "unauthorized_access");
    let customer = server.customer().await;
    let account = support.put(&of(&customer).await, birth_date).await.expect(200);
    assert_eq!(account["email"], customer.get("/v1/me").await.expect(200)["email"], "a change shows it");
    assert_missing(&support.get(&path_of(&customer).await).await, "users:read", "a read without a change");
}

on_both_engines!(
    notifications_are_for_administrators_who_may_read_what_they_are_about,
    ShopOptions::default().unchecked("the test violates a rule")
);
async fn notifications_are_for_administrators_who_may_read_what_they_are_about(shop: &Shop) {
    let server = shop.server().await;
    let root = server.admin().await;
    create_role(&root, "operator", &["jobs:read"]).await;
    create_role(&root, "support", &["orders:read", "jobs:write"]).await;
    let (operator, support) = (server.staff("operator").await, server.staff("support").await);
    let customer = server.customer().await;
    shop.product().stock(3).create().await;
    execute(&shop.database, &["UPDATE inventory SET reserved = 1"]).await;
    root.post("/admin/v1/jobs", json!({"name": "check_consistency"})).await.expect(202);
    let kinds = async |client: &TestClient| {
        let list = client.get("/v1/notifications").await.expect(200)["items"].clone();
        list.as_array().unwrap().iter().map(|one| one["kind"].clone()).collect::<Vec<_>>()
    };
    for told in [&root, &operator] {
        let mut found = Vec::new();
        for _ in 0..600 {
            found = kinds(told).await;
            if !found.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(found, [json!("job_failed")]);
    }
    // all are written in one transaction
    for other in [&support, &customer] {
        assert_eq!(kinds(other).await, [Value::Null; 0]);
    }
}

on_both_engines!(permissions_are_listed_with_the_operations_that_they_allow);
async fn permissions_are_listed_with_the_operations_that_they_allow(shop: &Shop) {
    let server = shop.server().await;
    let listed = server.admin().await.get("/admin/v1/permissions").await.expect(200);
    let listed = listed["items"].as_array().unwrap();
    assert_eq!(listed.len(), Permission::all().count());
    let allows_nothing = listed.iter().find(|one| one["operations"] == json!([]));
    assert_eq!(allows_nothing, None);
    let of = |name: &str| listed.iter().find(|one| one["name"] == name).unwrap()["operations"].clone();
    assert_eq!(of("refunds:write"), json!(["adminRefundPayment"]));
    assert_eq!(of("taxes:read"), json!(["adminListTaxRules"]));
    assert!(!of("orders:write").to_string().contains("Refund"));
}

on_both_engines!(an_administrator_gives_and_takes_away_only_what_the_administrator_has);
async fn an_administrator_gives_and_takes_away_only_what_the_administrator_has(shop: &Shop) {
    let server = shop.server().await;
    let (root, customer) = (server.admin().await, server.customer().await);
    create_role(&root, "lead", &["roles:read", "roles:write", "products:read", "users:write"]).await;
    create_role(&root, "boss", &["roles:write", "orders:write"]).await;
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    let (lead, boss) = (server.staff("lead").await, server.staff("boss").await);
    let [of_root, of_lead, of_boss, of_customer] =
        [path_of(&root).await, path_of(&lead).await, path_of(&boss).await, path_of(&customer).await];

    // roles
    let role = |permissions: Value| json!({"permissions": permissions});
    let more = json!({"name": "more", "permissions": ["products:read", "orders:read"]});
    assert_missing(&lead.post("/admin/v1/roles", more).await, "orders:read", "create");
    let own = lead.put("/admin/v1/roles/lead", role(json!(["roles:write", "taxes:write"]))).await;
    assert_missing(&own, "taxes:write", "the own role");
    assert_missing(&lead.put("/admin/v1/roles/boss", role(json!([]))).await, "orders:write", "take away");
    assert_missing(&lead.delete("/admin/v1/roles/boss").await, "orders:write", "remove");
    create_role(&lead, "less", &["products:read"]).await;
    lead.put("/admin/v1/roles/less", role(json!(["products:read", "roles:read"]))).await.expect(200);

    // users
    for (path, change, missing) in [
        (&of_customer, json!({"role": "admin"}), "api-keys:read"),
        (&of_customer, json!({"role": "admin", "staff_role": "boss"}), "orders:write"),
        (&of_lead, json!({"staff_role": null}), "api-keys:read"),
        (&of_lead, json!({"staff_role": "boss"}), "orders:write"),
        (&of_boss, json!({"role": "customer"}), "orders:write"),
        (&of_boss, json!({"staff_role": "less"}), "orders:write"),
        (&of_root, json!({"role": "customer"}), "api-keys:read"),
    ] {
        assert_missing(&lead.patch(path, change.clone()).await, missing, &change.to_string());
    }
    assert_missing(&lead.delete(&of_root).await, "api-keys:read", "erase");
    assert_missing(&lead.delete(&of_boss).await, "orders:write", "erase");
    let given = lead.patch(&of_customer, json!({"role": "admin", "staff_role": "less"})).await.expect(200);
    assert_eq!((&given["role"], &given["staff_role"]), (&json!("admin"), &json!("less")));
    assert_eq!(customer.get("/v1/me").await.status, 401, "the sessions from before the change have ended");
    assert_eq!(
        lead.patch(&of_customer, json!({"role": "customer"})).await.expect(200)["staff_role"],
        Value::Null
    );
    lead.patch(&of_lead, json!({"staff_role": "less"})).await.expect(200);

    // what the granter has is read once more in the transaction
    let stale = Granter::Administrator { user_id: id_in(&of_boss), permissions: Permissions::ALL };
    let all = UpdateUser { role: None, staff_role: Some(None) };
    let refused = users::change_role(&shop.store, stale, id_in(&of_boss), None, all).await;
    assert_eq!(refused.unwrap_err().status(), 403);
}

/// The id at the end of a path.
fn id_in(path: &str) -> UserId {
    UserId(path.rsplit('/').next().unwrap().parse().unwrap())
}

on_both_engines!(a_role_in_use_is_kept_and_one_administrator_may_do_everything);
async fn a_role_in_use_is_kept_and_one_administrator_may_do_everything(shop: &Shop) {
    let server = shop.server().await;
    let root = server.admin().await;
    create_role(&root, "support", &["orders:read"]).await;
    let support = server.staff("support").await;
    let [of_root, of_support] = [path_of(&root).await, path_of(&support).await];
    assert_eq!(root.delete("/admin/v1/roles/support").await.problem(409), "in_use");
    for last in [
        root.patch(&of_root, json!({"staff_role": "support"})).await,
        root.patch(&of_root, json!({"role": "customer"})).await,
        root.send(Method::DELETE, "/v1/me", Some(json!({}))).await,
    ] {
        assert_eq!(last.problem(409), "last_admin");
    }
    support.get("/admin/v1/orders").await.expect(200);
    assert_eq!(support.get("/v1/me").await.expect(200)["staff_role"], "support");
    support.send(Method::DELETE, "/v1/me", Some(json!({}))).await.expect(204);
    assert_eq!(root.get(&of_support).await.expect(200)["staff_role"], Value::Null);
    root.delete("/admin/v1/roles/support").await.expect(204);
    assert_eq!(root.delete("/admin/v1/roles/support").await.problem(404), "role_not_found");
}

on_both_engines!(a_role_is_created_once_and_refused_if_it_is_not_valid);
async fn a_role_is_created_once_and_refused_if_it_is_not_valid(shop: &Shop) {
    let server = shop.server().await;
    let (root, customer) = (server.admin().await, server.customer().await);
    let body =
        json!({"name": "support", "description": "Answers", "permissions": ["orders:read", "orders:read"]});
    let created = root.post("/admin/v1/roles", body.clone()).await;
    assert_eq!(created.header("location"), "/admin/v1/roles/support");
    let created = created.expect(201);
    assert_eq!(created["permissions"], json!(["orders:read"]));
    assert_eq!(root.post("/admin/v1/roles", body).await.problem(409), "already_exists");
    let read = root.get("/admin/v1/roles/support").await;
    assert_eq!(read.expect(200), created);
    let change = json!({"permissions": []});
    let stale =
        root.with("if-match", "\"7-0000000000000000\"").put("/admin/v1/roles/support", change.clone()).await;
    assert_eq!(stale.problem(412), "precondition_failed");
    let changed =
        root.with("if-match", read.header("etag")).put("/admin/v1/roles/support", change.clone()).await;
    assert_eq!(changed.expect(200)["permissions"], json!([]));
    assert_eq!(root.put("/admin/v1/roles/none", change).await.problem(404), "role_not_found");

    for (body, pointer, code) in [
        (json!({"name": "Support", "permissions": []}), "/name", "role_name"),
        (json!({"name": "..", "permissions": []}), "/name", "role_name"),
        (json!({"name": "", "permissions": []}), "/name", "too_short"),
        (json!({"name": "x", "permissions": ["sheep:read"]}), "/permissions/0", "not_allowed"),
        (json!({"name": "x", "permissions": ["events:write"]}), "/permissions/0", "not_allowed"),
        (json!({"name": "x"}), "/permissions", "required"),
    ] {
        let refused = root.post("/admin/v1/roles", body).await;
        assert_eq!(refused.faults(), faults([(pointer, code)]));
    }
    let path = path_of(&customer).await;
    for (change, code) in [
        (json!({"staff_role": "support"}), "administrators_only"),
        (json!({"role": "admin", "staff_role": "none"}), "not_allowed"),
    ] {
        assert_eq!(root.patch(&path, change).await.faults(), faults([("/staff_role", code)]));
    }
}
