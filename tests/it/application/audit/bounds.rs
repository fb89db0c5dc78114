//! What a client can repeat at will has few entries.

use jiff::SignedDuration;
use serde_json::json;
use undercroft::domain::ids::UserId;
use undercroft::infrastructure::middleware::TrustedProxies;
use undercroft::infrastructure::repositories::Engine;
use undercroft::settings::HttpSettings;

use super::{ANN, PASSWORD, log_in, newcomer, rows, verified};
use crate::support::http::order_of;
use crate::support::store::{execute, value};
use crate::support::{Shop, ShopOptions, TestServer};

/// The number of refused requests that are recorded.
const REFUSED: &str = "SELECT COUNT(*) FROM audit_log WHERE action = 'adminListOrders.refused'";

on_both_engines!(a_flood_of_refused_requests_has_few_entries, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn a_flood_of_refused_requests_has_few_entries(shop: &Shop) {
    let server = shop.server().await;
    let count = async || value::<i64>(&shop.database, REFUSED, &[]).await;
    let [ann, bob] = [server.customer().await, server.customer().await];
    for _ in 0..30 {
        ann.get("/admin/v1/orders").await.expect(403);
    }
    assert_eq!(count().await, 20);
    bob.get("/admin/v1/orders").await.expect(403);
    assert_eq!(count().await, 21, "of another user");
    shop.clock().advance(SignedDuration::from_mins(4));
    for _ in 0..2 {
        ann.get("/admin/v1/orders").await.expect(403);
    }
    assert_eq!(count().await, 22, "one in three minutes");
}

on_both_engines!(a_stranger_with_many_addresses_fills_no_audit_log, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn a_stranger_with_many_addresses_fills_no_audit_log(shop: &Shop) {
    let trusted_proxies = TrustedProxies::parse(["127.0.0.1"]).unwrap();
    let http = HttpSettings { trusted_proxies, ..HttpSettings::default() };
    let server = TestServer::start_with(shop.store.clone(), http).await;
    let forged = server.guest().with("cookie", "undercroft_session=x").with("origin", "https://evil.example");
    for number in 0..30 {
        let from = forged.with("x-forwarded-for", &format!("192.0.2.{number}"));
        from.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(403);
    }
    let sql = "SELECT COUNT(*) FROM audit_log WHERE action = 'adminCreateCategory.refused'";
    assert_eq!(value::<i64>(&shop.database, sql, &[]).await, 20);
}

on_both_engines!(
    few_refused_log_ins_of_addresses_without_an_account_are_recorded,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn few_refused_log_ins_of_addresses_without_an_account_are_recorded(shop: &Shop) {
    const ENTRIES: &str = "SELECT COUNT(*) FROM audit_log WHERE action = 'session.refused'";
    const COUNTED: &str = "SELECT value FROM counters WHERE name = 'audit_unrecorded'";
    let server = shop.server().await;
    newcomer(server, ANN).await;
    let log_in_to = async |number: u32| {
        let unknown = json!({"email": format!("user{number}@example.org"), "password": PASSWORD});
        assert_eq!(server.guest().post("/v1/sessions", unknown).await.status, 401);
    };
    for number in 0..30 {
        log_in_to(number).await;
    }
    assert_eq!(value::<i64>(&shop.database, ENTRIES, &[]).await, 20, "of all addresses together");
    assert_eq!(value::<i64>(&shop.database, COUNTED, &[]).await, 10);

    for _ in 0..22 {
        assert_eq!(log_in(server, "wrong horse").await, 401);
    }
    assert_eq!(value::<i64>(&shop.database, ENTRIES, &[]).await, 40, "an account has its own");
    assert_eq!(value::<i64>(&shop.database, COUNTED, &[]).await, 12);
    shop.clock().advance(SignedDuration::from_mins(4));
    for number in 0..2 {
        log_in_to(number).await;
    }
    assert_eq!(value::<i64>(&shop.database, ENTRIES, &[]).await, 41, "one in three minutes");
    assert_eq!(verified(shop, None).await.1, None);
}

on_both_engines!(new_api_keys_have_few_entries, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn new_api_keys_have_few_entries(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, ANN).await;
    let create_and_revoke = async || {
        let new = json!({"name": "Warehouse", "current_password": PASSWORD});
        let created = ann.post("/v1/me/api-keys", new).await;
        if created.status == 201 {
            let id = created.json()["id"].as_str().unwrap().to_owned();
            ann.delete(&format!("/v1/me/api-keys/{id}")).await.expect(204);
        }
        created
    };
    for _ in 0..20 {
        create_and_revoke().await.expect(201);
    }
    let refused = create_and_revoke().await;
    assert_eq!((refused.problem(429).as_str(), refused.header("retry-after")), ("too_many_requests", "180"));
    let entries = "SELECT COUNT(*) FROM audit_log WHERE action LIKE 'api_key.%'";
    assert_eq!(value::<i64>(&shop.database, entries, &[]).await, 40);
    shop.clock().advance(SignedDuration::from_mins(3));
    create_and_revoke().await.expect(201);
}

on_both_engines!(
    the_same_read_of_an_administrator_has_one_entry_in_five_minutes,
    ShopOptions::manual_clock()
);
async fn the_same_read_of_an_administrator_has_one_entry_in_five_minutes(shop: &Shop) {
    let server = shop.server().await;
    let (admin, other, ann) = (server.admin().await, server.admin().await, newcomer(server, ANN).await);
    let order = order_of(&ann, shop.product().create().await).await;
    let [user, order] =
        [&ann.get("/v1/me").await.expect(200), &order].map(|of| of["id"].as_str().unwrap().to_owned());
    let of_user = format!("/admin/v1/orders?user_id={user}");
    let subscriptions = format!("/admin/v1/subscriptions?user_id={user}");
    let (one, invoice) = (format!("/admin/v1/orders/{order}"), format!("/admin/v1/orders/{order}/invoice"));
    for path in [
        "/admin/v1/orders",
        "/admin/v1/orders?limit=1",
        "/admin/v1/orders?status=paid",
        &of_user,
        "/admin/v1/users?email=ann",
        "/admin/v1/users?email=bob",
        &one,
        &invoice,
        &subscriptions,
        "/admin/v1/products",
    ] {
        for _ in 0..3 {
            admin.get(path).await.expect(200);
        }
    }

    let sql = "SELECT action, subject_id FROM audit_log WHERE action LIKE 'admin%' ORDER BY number";
    let entries: Vec<(String, Option<UserId>)> = rows(shop, sql).await;
    let [user, order] = [&user, &order].map(|id| Some(UserId(id.parse().unwrap())));
    let expected = [
        ("adminListOrders", None),
        ("adminListOrders", None),
        ("adminListOrders", user),
        ("adminListUsers", None),
        ("adminListUsers", None),
        ("adminGetOrder", order),
        ("adminGetOrderInvoice", order),
        ("adminListSubscriptions", user),
    ];
    assert_eq!(entries, expected.map(|(action, id)| (action.to_owned(), id)));

    let reads = "SELECT COUNT(*) FROM audit_log WHERE action = 'adminGetOrder'";
    other.get(&one).await.expect(200);
    assert_eq!(value::<i64>(&shop.database, reads, &[]).await, 2, "of another administrator");
    shop.clock().advance(SignedDuration::from_mins(5));
    let tag = admin.get(&one).await.header("etag").to_owned();
    admin.with("if-none-match", &tag).get(&one).await.expect(304);
    assert_eq!(value::<i64>(&shop.database, reads, &[]).await, 3, "five minutes later");
    shop.clock().advance(SignedDuration::from_mins(5));
    admin.with("if-none-match", &tag).get(&one).await.expect(304);
    assert_eq!(value::<i64>(&shop.database, reads, &[]).await, 4, "what has not changed was read before");
}

on_both_engines!(a_read_whose_entry_cannot_be_written_is_recorded_the_next_time);
async fn a_read_whose_entry_cannot_be_written_is_recorded_the_next_time(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let (refuse, accept): (&[&str], &[&str]) = match shop.database.engine() {
        Engine::Sqlite => (
            &["CREATE TRIGGER no_entries BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'no'); END"],
            &["DROP TRIGGER no_entries"],
        ),
        Engine::Postgres => (
            &["ALTER TABLE audit_log ADD CONSTRAINT no_entries CHECK (number < 0) NOT VALID"],
            &["ALTER TABLE audit_log DROP CONSTRAINT no_entries"],
        ),
    };
    let reads = "SELECT COUNT(*) FROM audit_log WHERE action = 'adminListUsers'";
    execute(&shop.database, refuse).await;
    admin.get("/admin/v1/users").await.expect(200);
    execute(&shop.database, accept).await;
    assert_eq!(value::<i64>(&shop.database, reads, &[]).await, 0);
    for _ in 0..2 {
        admin.get("/admin/v1/users").await.expect(200);
    }
    assert_eq!(value::<i64>(&shop.database, reads, &[]).await, 1);
}
