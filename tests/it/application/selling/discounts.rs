//! Discounts over HTTP: created, listed, changed, redeemed and removed.

use http::Method;
use serde_json::{Value, json};
use undercroft::application::selling::quote::{LinePrice, QuoteLine, QuoteRequest, ShippingChoice, quote};
use undercroft::domain::money::Currency;

use crate::support::http::{assert_for_administrators, cart_of, checkout_body, faults, ids};
use crate::support::{Shop, TestClient};

const PATH: &str = "/admin/v1/discounts";

fn percent(code: &str) -> Value {
    json!({"code": code, "kind": {"type": "percent", "basis_points": 1_000}})
}

/// Creates a discount; returns its path.
async fn create(admin: &TestClient, new: Value) -> String {
    let response = admin.post(PATH, new).await;
    response.expect(201);
    response.header("location").to_owned()
}

on_both_engines!(a_discount_is_created_found_changed_and_redeemed);
async fn a_discount_is_created_found_changed_and_redeemed(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let new = json!({
        "code": " Spring ", "kind": {"type": "fixed", "amount": {"amount": 300, "currency": "EUR"}},
        "minimum": {"amount": 1_000, "currency": "EUR"}, "usage_limit": 5,
        "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2999-01-01T00:00:00.1234567Z",
    });
    let response = admin.post(PATH, new).await;
    let created = response.expect(201);
    assert_eq!(
        (&created["code"], &created["used"], &created["active"]),
        (&json!("Spring"), &json!(0), &json!(true))
    );
    assert_eq!(created["ends_at"], "2999-01-01T00:00:00.123456Z", "microseconds, as stored");
    let path = response.header("location");
    let seen = admin.get(path).await;
    assert_eq!(seen.expect(200), created);
    assert_eq!(admin.with("if-none-match", seen.header("etag")).get(path).await.status, 304);

    let variant = shop.product().price(1_000).create().await;
    let cart = cart_of(&server.guest(), variant, 1).await;
    let discount = format!("{cart}/discount");
    let redeemed = server.guest().put(&discount, json!({"code": "SPRING"})).await.expect(200);
    assert_eq!(redeemed["totals"]["discount"]["amount"], 300);

    let off = admin.with("if-match", seen.header("etag")).patch(path, json!({"active": false})).await;
    assert_eq!(off.expect(200)["active"], false);
    let stale = admin.with("if-match", seen.header("etag")).patch(path, json!({"active": true})).await;
    assert_eq!(stale.problem(412), "precondition_failed");
    let refused = server.guest().put(&discount, json!({"code": "spring"})).await;
    assert_eq!(refused.json()["reason"], "inactive");
    let change = json!({"active": true, "minimum": null, "usage_limit": null, "starts_at": null, "ends_at": null,
                        "kind": {"type": "percent", "basis_points": 5_000}});
    let changed = admin.patch(path, change).await.expect(200);
    for field in ["minimum", "usage_limit", "starts_at", "ends_at"] {
        assert_eq!(changed[field], Value::Null, "{field}");
    }
    let redeemed = server.guest().put(&discount, json!({"code": "spring"})).await.expect(200);
    assert_eq!(redeemed["totals"]["discount"]["amount"], 500);
}

on_both_engines!(each_fault_of_a_discount_has_its_location);
async fn each_fault_of_a_discount_has_its_location(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let post = async |body: Value| admin.post(PATH, body).await.faults();
    let with = |field: &str, value: Value| {
        let mut new = percent("A");
        new[field] = value;
        new
    };
    assert_eq!(post(json!({})).await, faults([("/code", "required"), ("/kind", "required")]));
    let kind = json!({"type": "percent", "basis_points": 10_001});
    assert_eq!(post(with("kind", kind)).await, faults([("/kind/basis_points", "maximum")]));
    assert_eq!(post(with("kind", json!({"type": "gift"}))).await, faults([("/kind/type", "not_allowed")]));
    let kind = json!({"type": "fixed", "amount": {"amount": 0, "currency": "EUR"}});
    assert_eq!(post(with("kind", kind)).await, faults([("/kind/amount/amount", "minimum")]));
    let minimum = json!({"amount": 0, "currency": "EUR"});
    assert_eq!(post(with("minimum", minimum)).await, faults([("/minimum/amount", "minimum")]));
    assert_eq!(post(with("code", json!("  "))).await, faults([("/code", "blank")]));
    assert_eq!(post(with("usage_limit", json!(0))).await, faults([("/usage_limit", "minimum")]));
    assert_eq!(post(with("starts_at", json!("tomorrow"))).await, faults([("/starts_at", "format")]));
    let before = post(with("starts_at", json!("1969-12-31T23:59:59Z"))).await;
    assert_eq!(before, faults([("/starts_at", "invalid")]));
    assert_eq!(post(with("reason", json!("x"))).await, faults([("/reason", "unknown")]));
    let mut both = with("kind", json!({"type": "fixed", "amount": {"amount": 5, "currency": "EUR"}}));
    both["minimum"] = json!({"amount": 5, "currency": "USD"});
    both["starts_at"] = json!("2026-01-02T00:00:00Z");
    both["ends_at"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(post(both).await, faults([("/ends_at", "invalid"), ("/minimum/currency", "invalid")]));
    assert_eq!(admin.get(PATH).await.expect(200)["items"], json!([]), "no discount was created");

    let path = create(&admin, percent("Größe")).await;
    let taken = admin.post(PATH, percent("GRÖSSE")).await;
    assert_eq!((taken.problem(409), &taken.json()["field"]), ("already_exists".into(), &json!("code")));
    create(&admin, percent("B")).await;
    assert_eq!(admin.patch(&path, json!({"code": "b"})).await.problem(409), "already_exists");
    assert_eq!(
        admin.patch(&path, json!({"usage_limit": -1})).await.faults(),
        faults([("/usage_limit", "minimum")])
    );
    assert_eq!(admin.get(&path).await.expect(200)["code"], "Größe");
}

on_both_engines!(discounts_are_listed_in_pages);
async fn discounts_are_listed_in_pages(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let mut created = Vec::new();
    for code in ["A", "B", "C"] {
        created.insert(0, create(&admin, percent(code)).await.rsplit('/').next().unwrap().to_owned());
    }
    let first = admin.get(&format!("{PATH}?limit=2")).await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = admin.get(&format!("{PATH}?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!([ids(&first), ids(&second)].concat(), created);
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(admin.get(&format!("{PATH}?cursor={}", &cursor[1..])).await.problem(422), "validation");
}

on_both_engines!(a_redeemed_discount_is_not_removed);
async fn a_redeemed_discount_is_not_removed(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let used = create(&admin, percent("used")).await;
    let unused = create(&admin, percent("unused")).await;
    let variant = shop.product().price(1_000).create().await;
    let cart = cart_of(&guest, variant, 1).await;
    guest.put(&format!("{cart}/discount"), json!({"code": "used"})).await.expect(200);
    guest.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await.expect(201);
    assert_eq!(admin.get(&used).await.expect(200)["used"], 1);
    assert_eq!(admin.delete(&used).await.problem(409), "in_use");
    let limit = admin.patch(&used, json!({"usage_limit": 1})).await.expect(200);
    assert_eq!((&limit["usage_limit"], &limit["used"]), (&json!(1), &json!(1)));
    admin.delete(&unused).await.expect(204);
    for gone in [admin.get(&unused).await, admin.delete(&unused).await, admin.patch(&unused, json!({})).await]
    {
        assert_eq!(gone.problem(404), "discount_not_found");
    }
}

on_both_engines!(only_administrators_create_discounts_and_creation_is_idempotent);
async fn only_administrators_create_discounts_and_creation_is_idempotent(shop: &Shop) {
    let server = shop.server().await;
    let one = format!("{PATH}/00000000-0000-7000-8000-000000000000");
    let requests = [
        (Method::GET, PATH),
        (Method::POST, PATH),
        (Method::GET, one.as_str()),
        (Method::PATCH, one.as_str()),
        (Method::DELETE, one.as_str()),
    ];
    assert_for_administrators(server, &requests).await;
    let keyed = server.admin().await.with("idempotency-key", "a");
    let first = keyed.post(PATH, percent("A")).await;
    assert_eq!((first.status, &first.body), (201, &keyed.post(PATH, percent("A")).await.body));
    assert_eq!(keyed.post(PATH, percent("B")).await.problem(422), "idempotency_key_reused");
    assert_eq!(ids(&keyed.get(PATH).await.expect(200)).len(), 1);
}

on_both_engines!(a_code_that_a_cache_knows_to_have_no_discount_is_not_read_again);
async fn a_code_that_a_cache_knows_to_have_no_discount_is_not_read_again(shop: &Shop) {
    let variant_id = shop.product().stock(9).create().await;
    let found = shop.discount("Ten", 10, None).await;
    let lines = [QuoteLine { variant_id, quantity: 1, price: LinePrice::Current }];
    // what the cache says decides, whatever the database has
    for (kept_discount, applies) in [(None, true), (Some(Some(&found)), true), (Some(None), false)] {
        let request = QuoteRequest {
            now: shop.now(),
            currency: Currency::EUR,
            discount_code: Some("ten"),
            kept_discount,
            country: "DE".parse().unwrap(),
            shipping: &ShippingChoice::Cheapest,
        };
        let quote = quote(&mut shop.database.read().await.unwrap(), request, &lines).await.unwrap();
        assert_eq!((quote.discount.is_some(), quote.refused_discount.is_none()), (applies, applies));
    }
}
