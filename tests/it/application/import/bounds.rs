//! Imports keep the bounds of the API: what was imported can be written back.

use serde_json::{Value, json};

use crate::support::Shop;
use crate::support::import::{exported, import_all, update_all};

/// The members of a product that an administrator reads and that a request does not have.
const READ_ONLY: [&str; 4] = ["id", "version", "created_at", "updated_at"];

/// A time before those that a store has.
const BEFORE_1970: &str = "1969-12-31T23:59:59Z";

/// Returns the request that writes a product back as it was read.
fn request(mut product: Value) -> Value {
    let members = product.as_object_mut().unwrap();
    for name in READ_ONLY {
        members.remove(name);
    }
    for variant in members["variants"].as_array_mut().unwrap() {
        for name in ["reserved", "available"] {
            variant.as_object_mut().unwrap().remove(name);
        }
    }
    product
}

on_both_engines!(what_was_imported_can_be_written_back_by_the_api);
async fn what_was_imported_can_be_written_back_by_the_api(shop: &Shop) {
    let long = |length: usize| "long name ".repeat(51)[..length].to_owned();
    let variant = json!({ "sku": "s".repeat(200), "options": ["1", "2", "3", "4", "5"], "stock": 1_000_000_000,
        "prices": [{ "amount": 0, "currency": "EUR" }] });
    let lines = [
        json!({ "type": "category", "id": "one", "name": long(199) + "1" }),
        json!({ "type": "category", "id": "two", "name": long(199) + "2", "parent": "one" }),
        json!({ "type": "product", "id": "p", "name": long(499) + "p", "description": "d".repeat(50_000),
            "category": "two", "options": ["a", "b", "c", "d", "e"], "variants": [variant] }),
    ];
    let lines = lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
    let path = ["a", "b", "c"].map(|name| name.repeat(60)).join(" > ");
    let shopify = format!(
        "Handle,Title,Type,Variant Price\n{},Cup,{path},1.00\n{},Jug,{path},1.00\n",
        long(250) + "1",
        long(250) + "2"
    );
    let woocommerce = format!(
        "ID,Type,SKU,Name,Regular price\n1,simple,A,{name},1.00\n2,simple,B,{name},1.00\n",
        name = long(300)
    );

    let server = shop.server().await;
    for file in [&lines, &shopify, &woocommerce] {
        let (_, progress) = import_all(&server.store, file).await;
        assert_eq!(progress.rejected, []);
    }
    let before = exported(&server.store).await;
    let admin = server.admin().await;
    let products = admin.get("/admin/v1/products").await.expect(200)["items"].clone();
    assert_eq!(products.as_array().unwrap().len(), 5);
    for product in products.as_array().unwrap() {
        let path = format!("/admin/v1/products/{}", product["id"].as_str().unwrap());
        admin.put(&path, request(product.clone())).await.expect(200);
    }
    for line in before.lines().filter(|line| line.starts_with(r#"{"type":"category""#)) {
        let category: Value = serde_json::from_str(line).unwrap();
        let path = format!("/admin/v1/categories/{}", category["id"].as_str().unwrap());
        let change = json!({ "name": category["name"], "slug": category["slug"] });
        admin.patch(&path, change).await.expect(200);
    }
    assert!(exported(&server.store).await == before, "written back unchanged");
}

on_both_engines!(what_the_api_refuses_is_not_imported);
async fn what_the_api_refuses_is_not_imported(shop: &Shop) {
    let price = json!([{ "amount": 100, "currency": "EUR" }]);
    let variant = |sku: &str| json!({ "sku": sku, "stock": 1, "prices": price });
    let product = |member: &str, value: Value| {
        let mut product =
            json!({ "type": "product", "id": member, "name": member, "variants": [variant(member)] });
        product[member] = value;
        product
    };
    let mut six_options = product("options", json!(["a", "b", "c", "d", "e", "f"]));
    six_options["variants"][0]["options"] = json!(["1", "2", "3", "4", "5", "6"]);
    let many: Vec<_> = (0..201).map(|number| variant(&format!("V-{number}"))).collect();
    let cases = [
        (product("name", "n".repeat(501).into()), "/name too_long"),
        (product("description", "d".repeat(50_001).into()), "/description too_long"),
        (product("slug", "s".repeat(201).into()), "/slug too_long"),
        (six_options, "/options too_many"),
        (product("variants", many.into()), "/variants too_many"),
        (product("variants", json!([variant(&"s".repeat(201))])), "/variants/0/sku too_long"),
        (product("variants", json!([variant("A"), variant("B")])), "/variants/1/options same_options"),
        (product("name", "a\u{202e}b".into()), "/name character"),
        (json!({ "type": "category", "id": "c", "name": "n".repeat(201) }), "/name too_long"),
        (json!({ "type": "customer", "id": "c", "name": "n".repeat(201) }), "/name too_long"),
        (
            json!({ "type": "discount", "id": "d", "code": "A", "kind": { "type": "percent", "basis_points": 1 },
            "usage_limit": 0 }),
            "/usage_limit",
        ),
        (
            json!({ "type": "shipping_method", "id": "s", "code": "c".repeat(65), "name": "S", "rates": [] }),
            "/code too_long",
        ),
        (
            json!({ "type": "shipping_method", "id": "s", "code": "s", "name": "S",
            "rates": [{ "currency": "EUR", "amount": 1 }, { "currency": "EUR", "amount": 2 }] }),
            "/rates/1 duplicate",
        ),
        (
            json!({ "type": "discount", "id": "d", "code": "A", "kind": { "type": "percent", "basis_points": 1 },
            "starts_at": BEFORE_1970 }),
            "/starts_at invalid",
        ),
        (
            json!({ "type": "customer", "id": "c", "name": "C", "birth_date": "2999-01-01" }),
            "/birth_date invalid",
        ),
        (
            json!({ "type": "customer", "id": "c", "name": "C", "preferences": { "locale": "de_DE" } }),
            "/preferences/locale format",
        ),
        (
            json!({ "type": "customer", "id": "c", "name": "C", "email_verified_at": BEFORE_1970 }),
            "/email_verified_at invalid",
        ),
        (
            json!({ "type": "category", "id": "c", "name": "C", "created_at": BEFORE_1970 }),
            "/created_at invalid",
        ),
        (product("created_at", BEFORE_1970.into()), "/created_at invalid"),
    ];

    let store = &shop.store;
    let empty = exported(store).await;
    for (line, expected) in cases {
        let (_, progress) = import_all(store, &line.to_string()).await;
        let [(1, _, detail)] = &progress.rejected[..] else { panic!("{expected}: {:?}", progress.rejected) };
        assert!(detail.contains(expected), "{expected}: {detail}");
    }
    assert!(exported(store).await == empty, "nothing was imported");

    let cup = product("name", "Cup".into()).to_string();
    import_all(store, &cup).await;
    let before = exported(store).await;
    let (_, progress) = update_all(store, &cup.replace("Cup", &"n".repeat(501))).await;
    let [(1, "refused", detail)] = &progress.rejected[..] else { panic!("{:?}", progress.rejected) };
    assert_eq!(detail, "invalid input: /name too_long");
    assert!(exported(store).await == before, "an update keeps the bounds, too");
}
