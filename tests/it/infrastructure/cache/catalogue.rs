//! What shoppers read of the catalogue is kept, and never old: whichever process changed it.

use std::sync::Arc;

use http::HeaderValue;
use serde_json::{Value, json};
use undercroft::application::Store;
use undercroft::application::catalogue::{categories, products, stock};
use undercroft::domain::context::Context;
use undercroft::domain::ids::ProductId;
use undercroft::infrastructure::cache::{CacheOptions, Caches, EntriesInRedis, Form, Redis, SharedTier};
use undercroft::infrastructure::repositories::{Database, Engine, Setup};

use super::{lose_what_followed_the_last_invalidation, publish_others};
use crate::support::http::order_of;
use crate::support::redis::redis_url;
use crate::support::store::{execute, store, terms, value, write_until_committed};
use crate::support::{Shop, ShopOptions, TestClient, eventually};

/// The name and the first price and number of pieces of a product, from each page that shows it.
async fn shown(client: &TestClient, id: &str) -> Vec<Value> {
    let mut shown = Vec::new();
    for path in [format!("/v1/products/{id}"), "/v1/products".into(), "/v1/products?q=assam".into()] {
        let body = client.get(&path).await.expect(200);
        let product = if body["items"].is_array() { body["items"][0].clone() } else { body };
        let variant = &product["variants"][0];
        shown.push(json!([
            product["name"],
            variant["price"]["amount"],
            variant["available"],
            product["rating"]["count"]
        ]));
    }
    shown
}

on_both_engines!(every_page_shows_each_change_at_once);
async fn every_page_shows_each_change_at_once(shop: &Shop) {
    let server = shop.server().await;
    let (admin, user) = (server.admin().await, server.customer().await);
    let price = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    let variants = json!([{"sku": "T-1", "price": price(900), "stock": 5}]);
    let product =
        admin.post("/admin/v1/products", json!({"name": "Assam", "variants": variants})).await.expect(201);
    let (id, variant) = (product["id"].as_str().unwrap(), product["variants"][0]["id"].as_str().unwrap());

    let expect = async |expected: Value| {
        for _ in 0..2 {
            assert_eq!(shown(&user, id).await, [expected.clone(), expected.clone(), expected.clone()]);
        }
    };
    expect(json!(["Assam", 900, 5, Value::Null])).await;
    let change = json!({"name": "Assam two", "variants": [{"sku": "T-1", "price": price(800)}]});
    admin.put(&format!("/admin/v1/products/{id}"), change).await.expect(200);
    expect(json!(["Assam two", 800, 5, Value::Null])).await;
    let order = order_of(&user, undercroft::domain::ids::VariantId(variant.parse().unwrap())).await;
    expect(json!(["Assam two", 800, 4, Value::Null])).await;
    admin
        .post(&format!("/admin/v1/orders/{}/cancel", order["id"].as_str().unwrap()), json!({}))
        .await
        .expect(200);
    expect(json!(["Assam two", 800, 5, Value::Null])).await;
    admin.put(&format!("/admin/v1/inventory/{variant}"), json!({"stock": 9})).await.expect(200);
    expect(json!(["Assam two", 800, 9, Value::Null])).await;

    admin.delete(&format!("/admin/v1/products/{id}")).await.expect(204);
    user.get(&format!("/v1/products/{id}")).await.expect(404);
    assert_eq!(user.get("/v1/products").await.expect(200)["items"], json!([]));
}

on_both_engines!(a_name_that_was_free_and_the_tree_are_shown_at_once);
async fn a_name_that_was_free_and_the_tree_are_shown_at_once(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let guest = server.guest();
    guest.get("/v1/products/assam").await.expect(404);
    guest.get("/v1/products?category=tea").await.expect(404);
    assert_eq!(guest.get("/v1/categories").await.expect(200)["items"], json!([]));

    let category = admin.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(201);
    let draft = json!({"name": "Assam", "slug": "assam", "category_id": category["id"],
        "variants": [{"sku": "T-1", "price": {"amount": 900, "currency": "EUR"}, "stock": 5}]});
    admin.post("/admin/v1/products", draft).await.expect(201);
    guest.get("/v1/products/assam").await.expect(200);
    assert_eq!(
        guest.get("/v1/products?category=tea").await.expect(200)["items"].as_array().unwrap().len(),
        1
    );
    assert_eq!(guest.get("/v1/categories").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

on_both_engines!(a_change_by_another_process_is_seen_by_the_next_read);
async fn a_change_by_another_process_is_seen_by_the_next_read(shop: &Shop) {
    let variant = shop.product().stock(1_000).create().await;
    let shared = redis_url().await.map(|url| {
        let redis = Arc::new(Redis::new(&url).unwrap());
        SharedTier::new(Arc::new(EntriesInRedis(redis)), shop.url.as_bytes())
    });
    let url = shop.url.parse().unwrap();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let database = Database::open(&url, Context::system(), Setup::IfEmpty).await.unwrap();
        let mut node = store(&database, terms());
        let options = CacheOptions { shared: shared.clone(), verify: true, ..CacheOptions::default() };
        node.infrastructure.caches = Caches::new(node.database(), options);
        nodes.push(node);
    }

    let admin = shop.server().await.admin().await;
    for stock in 0..50 {
        admin.put(&format!("/admin/v1/inventory/{}", variant.0), json!({"stock": stock})).await.expect(200);
        for node in &nodes {
            let list = shop.server().await.guest().get("/v1/products").await.expect(200);
            let name = list["items"][0]["id"].as_str().unwrap();
            let view = products::product(node, name).await.unwrap();
            assert_eq!(view.stock[0].stock, Some(stock));
            categories::all(node).await.unwrap();
        }
    }
}

/// A tier in Redis that no other test uses.
fn tier_of(shop: &Shop, redis: &str) -> SharedTier {
    let redis = Arc::new(Redis::new(redis).unwrap());
    SharedTier::new(Arc::new(EntriesInRedis(redis)), format!("restored {}", shop.url).as_bytes())
}

/// A process of the shop with a second tier.
async fn process(shop: &Shop, shared: &SharedTier) -> Store {
    let url = shop.url.parse().unwrap();
    let database = Database::open(&url, Context::system(), Setup::IfEmpty).await.unwrap();
    let mut process = store(&database, terms());
    let options = CacheOptions { shared: Some(shared.clone()), ..CacheOptions::default() };
    process.infrastructure.caches = Caches::new(process.database(), options);
    process
}

/// Waits until something is in Redis.
async fn until_shared(shared: &SharedTier, redis: &str) {
    let mut redis = redis::Client::open(redis).unwrap().get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}*", shared.prefix());
    eventually("an entry at Redis", async || {
        !redis::AsyncCommands::keys::<_, Vec<String>>(&mut redis, &pattern).await.unwrap().is_empty()
    })
    .await;
}

on_both_engines!(nothing_that_was_kept_before_the_database_was_restored_is_shown_after_it);
async fn nothing_that_was_kept_before_the_database_was_restored_is_shown_after_it(shop: &Shop) {
    let Some(url) = redis_url().await else { return };
    let shared = tier_of(shop, &url);
    let process = async || process(shop, &shared).await;
    let variant = shop.product().stock(5).create().await;
    let admin = shop.server().await.admin().await;
    let inventory = format!("/admin/v1/inventory/{}", variant.0);
    let list = shop.server().await.guest().get("/v1/products").await.expect(200);
    let product = list["items"][0]["id"].as_str().unwrap();
    let stock = async |process| products::product(process, product).await.unwrap().stock[0].stock;

    let running = process().await;
    admin.put(&inventory, json!({"stock": 8})).await.expect(200);
    assert_eq!(stock(&running).await, Some(8));
    admin.put(&inventory, json!({"stock": 9})).await.expect(200);
    assert_eq!(stock(&running).await, Some(9));
    until_shared(&shared, &url).await;
    let other = process().await;
    assert_eq!(stock(&other).await, Some(9));

    execute(
        &shop.database,
        &[
            "DELETE FROM outbox WHERE seq = (SELECT MAX(seq) FROM outbox WHERE type = 'cache_invalidation')",
            "UPDATE inventory SET stock = 8",
        ],
    )
    .await;
    let started = process().await;
    assert_eq!(stock(&started).await, Some(8), "a process that was started after it");
    if shop.database.engine() == Engine::Postgres {
        assert_eq!(stock(&running).await, Some(8), "a process that was running");
    }
    admin.put(&inventory, json!({"stock": 7})).await.expect(200);
    assert_eq!(stock(&started).await, Some(7));
}

on_both_engines!(what_was_kept_ends_with_a_restore_that_loses_no_change_of_the_catalogue);
async fn what_was_kept_ends_with_a_restore_that_loses_no_change_of_the_catalogue(shop: &Shop) {
    let Some(url) = redis_url().await else { return };
    let shared = tier_of(shop, &url);
    let variant_id = shop.product().stock(8).create().await;
    let id: ProductId = value(&shop.database, "SELECT id FROM products", &[]).await;
    let shown =
        async |process: &Store| products::product(process, &id.to_string()).await.unwrap().stock[0].stock;
    publish_others(&shop.database).await;
    let running = process(shop, &shared).await;
    assert_eq!(shown(&running).await, Some(8));
    until_shared(&shared, &url).await;

    lose_what_followed_the_last_invalidation(&shop.database).await;
    stock::set(&shop.store, variant_id, None, Some(7)).await.unwrap();
    assert_eq!(shown(&process(shop, &shared).await).await, Some(7));
    assert_eq!(shown(&running).await, Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_ends_with_a_restore_that_has_a_later_change_and_not_an_earlier_one() {
    let Some(url) = redis_url().await else { return };
    // on SQLite transactions do not overlap
    let Some(shop) = Shop::on_postgres(ShopOptions::default()).await else { return };
    let shared = tier_of(&shop, &url);
    shop.product().create().await;
    let id: ProductId = value(&shop.database, "SELECT id FROM products", &[]).await;
    let name = async || {
        let process = process(&shop, &shared).await;
        products::product(&process, &id.to_string()).await.unwrap().product.name.clone()
    };
    let change = format!(
        "UPDATE products SET name = 'changed' WHERE id = '{id}'; \
         INSERT INTO outbox (id, type, version, subject, occurred_at, data) VALUES (gen_random_uuid(), \
         'cache_invalidation', 1, 'lost', now(), '{{\"tags\": [\"product:{id}\"]}}')"
    );
    let (writing, complete) = write_until_committed(&shop.database, change.leak()).await;
    shop.product().create().await;
    complete.cancel();
    writing.await.unwrap().unwrap();
    assert_eq!(name().await, "changed");
    until_shared(&shared, &url).await;

    execute(
        &shop.database,
        &[
            "ALTER TABLE outbox RENAME TO outbox_before",
            "CREATE TABLE outbox (LIKE outbox_before INCLUDING ALL)",
            "INSERT INTO outbox SELECT * FROM outbox_before WHERE subject <> 'lost'",
            "UPDATE products SET name = 'restored'",
        ],
    )
    .await;
    assert_eq!(name().await, "restored");
}

on_both_engines!(what_one_process_loads_right_after_a_change_another_one_uses);
async fn what_one_process_loads_right_after_a_change_another_one_uses(shop: &Shop) {
    let Some(url) = redis_url().await else { return };
    let shared = tier_of(shop, &url);
    let variant_id = shop.product().stock(5).create().await;
    let id: ProductId = value(&shop.database, "SELECT id FROM products", &[]).await;
    let [first, second] = [process(shop, &shared).await, process(shop, &shared).await];
    for process in [&first, &second] {
        process.infrastructure.caches.current().await.unwrap();
    }

    stock::set(&shop.store, variant_id, None, Some(6)).await.unwrap();
    for process in [&first, &second] {
        let shown = products::product(process, &id.to_string()).await.unwrap();
        assert_eq!(shown.stock[0].stock, Some(6));
        until_shared(&shared, &url).await;
    }
    let states = second.infrastructure.caches.states();
    let counts = states.iter().find(|state| state.cache == "product").unwrap().counts;
    assert_eq!((counts.shared, counts.rejected, counts.from_source), (1, 0, 0));
}

on_both_engines!(the_tree_is_served_while_it_cannot_be_loaded_and_says_so);
async fn the_tree_is_served_while_it_cannot_be_loaded_and_says_so(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    admin.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(201);
    let tree = guest.get("/v1/categories").await.expect(200);
    execute(&shop.database, &["ALTER TABLE categories RENAME TO hidden_categories"]).await;
    admin.post("/admin/v1/caches/clear", json!({"tags": ["categories"]})).await.expect(204);
    for (path, expected) in [("/v1/categories", &tree), ("/v1/categories/tea", &tree["items"][0])] {
        let response = guest.get(path).await;
        assert!(
            response.header("cache-status").starts_with("Undercroft; fwd=stale; detail=failed"),
            "{path}"
        );
        assert_eq!(response.header("cache-control"), "no-store", "no proxy keeps it");
        assert_eq!(&response.expect(200), expected);
    }
    assert!(categories::list(&server.store).await.is_err(), "administrators see what there is");

    execute(&shop.database, &["ALTER TABLE hidden_categories RENAME TO categories"]).await;
    // what is dropped is loaded at once, although a load failed a moment ago
    admin.post("/admin/v1/caches/clear", json!({"tags": ["categories"]})).await.expect(204);
    let response = guest.get("/v1/categories").await;
    assert!(response.header("cache-status").starts_with("Undercroft; fwd=stale; stored"));
    assert!(response.header("cache-control").starts_with("public"));
    assert_eq!(response.expect(200), tree);
}

#[tokio::test]
async fn that_there_is_no_category_is_kept_until_a_category_is_created() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    for (cache, path) in
        [("listing", "/v1/products?category=tea"), ("search", "/v1/products?q=assam&category=tea")]
    {
        for _ in 0..3 {
            assert_eq!(guest.get(path).await.problem(404), "category_not_found", "{path}");
        }
        let states = server.store.infrastructure.caches.states();
        let counts = states.iter().find(|state| state.cache == cache).unwrap().counts;
        assert_eq!((counts.loads, counts.hits), (1, 2), "{path}");
    }
    admin.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(201);
    for path in ["/v1/products?category=tea", "/v1/products?q=assam&category=tea"] {
        assert_eq!(guest.get(path).await.expect(200)["items"], json!([]), "{path}");
    }
}

#[tokio::test]
async fn the_form_of_a_category_is_rendered_once_until_a_category_changes() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let tea = admin.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(201);
    let (id, path) = (tea["id"].as_str().unwrap(), "/v1/categories/tea");
    let first = guest.get(path).await;
    assert_eq!(first.header("etag"), guest.get(&format!("/v1/categories/{id}")).await.header("etag"));
    let known = guest.with("if-none-match", first.header("etag"));
    assert_eq!(known.get(path).await.status, 304);

    // it is rendered once; in check mode again, to compare both
    for (verify, expected) in [(false, "Tea 1"), (true, "Tea 2")] {
        let options = CacheOptions { verify, ..CacheOptions::default() };
        let caches = Caches::new(server.store.database(), options);
        let (mut count, mut shown) = (0, String::new());
        for name in [id, "tea"] {
            let kept = caches.tree().await.unwrap().subtree_form(name, |subtree| {
                count += 1;
                let body = format!("{} {count}", subtree.category.name).into_bytes().into();
                Ok::<_, ()>(Form { body, entity_tag: HeaderValue::from_static("\"1\""), languages: None })
            });
            shown = String::from_utf8(kept.unwrap().unwrap().body.bytes().to_vec()).unwrap();
        }
        let old: u64 = caches.states().iter().map(|state| state.counts.stale_hits).sum();
        assert_eq!((shown.as_str(), old), (expected, u64::from(verify)));
        assert!(caches.tree().await.unwrap().subtree_form("cups", |_| Err("there is none")).is_none());
    }

    admin.post("/admin/v1/categories", json!({"name": "Green", "parent_id": id})).await.expect(201);
    let changed = known.get(path).await.expect(200);
    assert_eq!(changed["children"][0]["name"], "Green");
}

#[tokio::test]
async fn the_tree_is_built_once() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let admin = shop.server().await.admin().await;
    admin.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(201);
    let [first, second] = [(); 2].map(|()| categories::all(&shop.store));
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first.tree().len(), 1);
    assert!(std::ptr::eq(first.tree(), second.tree()));
}
