//! The caches, as clients and administrators see them: `Cache-Status`, the list, and what clears and warms them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use undercroft::infrastructure::cache::{CACHES, CacheLimits, ProductName};

use super::examples::document;
use crate::support::http::{assert_for_administrators, faults, order_of};
use crate::support::store::manual_capture;
use crate::support::{Shop, ShopOptions, TestClient, TestResponse, eventually};

/// The parameters of the only member of `Cache-Status`, whose name must be that of the store: a list of structured
/// fields (RFC 9651) with one token and its parameters. A parameter without a value is `?1`.
fn cache_status(response: &TestResponse) -> BTreeMap<String, String> {
    let text = response.header("cache-status");
    let is_key = |key: &str| {
        key.starts_with(|c: char| c.is_ascii_lowercase() || c == '*')
            && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c))
    };
    let is_token = |value: &str| {
        value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*')
            && value.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c))
    };
    let is_integer = |value: &str| {
        let digits = value.strip_prefix('-').unwrap_or(value);
        (1..=15).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit())
    };
    let mut parts = text.split(';');
    assert_eq!(parts.next(), Some("Undercroft"), "{response}: {text}");
    let parameters = parts.map(|part| {
        let part = part.trim_start_matches(' ');
        let (key, value) = part.split_once('=').unwrap_or((part, "?1"));
        assert!(is_key(key) && (value == "?1" || is_token(value) || is_integer(value)), "{text}");
        (key.to_owned(), value.to_owned())
    });
    parameters.collect()
}

/// Asserts the parameters of `Cache-Status` but `ttl`, which must be that of an entry of ten minutes or one.
#[track_caller]
fn assert_status(response: &TestResponse, expected: &[(&str, &str)]) {
    assert!(response.status == 200 || response.status == 304, "{response}");
    let mut found = cache_status(response);
    let ttl: i64 = found.remove("ttl").unwrap().parse().unwrap();
    assert!((1..=600).contains(&ttl), "{ttl}");
    let expected = expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    assert_eq!(found, expected, "{response}");
}

const HIT: &[(&str, &str)] = &[("hit", "?1")];
const MISS: &[(&str, &str)] = &[("fwd", "miss"), ("stored", "?1")];
/// What is kept of a user.
const OWN: [&str; 3] = ["/v1/orders", "/v1/notifications", "/v1/me/preferences"];
const DROPPED: &[(&str, &str)] = &[("fwd", "stale"), ("stored", "?1")];

on_both_engines!(a_response_says_whether_it_came_from_a_cache);
async fn a_response_says_whether_it_came_from_a_cache(shop: &Shop) {
    let server = shop.server().await;
    let (guest, variant) = (server.guest(), shop.product().stock(5).create().await);
    let id = guest.get("/v1/products").await.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let category = json!({"name": "Tea"});
    server.admin().await.post("/admin/v1/categories", category).await.expect(201);
    let product = format!("/v1/products/{id}");
    let own = [product.as_str(), "/v1/products?limit=5", "/v1/categories"];
    for path in own {
        assert_status(&guest.get(path).await, MISS);
        let hit = guest.get(path).await;
        assert_status(&hit, HIT);
        let known = guest.with("if-none-match", hit.header("etag")).get(path).await;
        assert_status(&known, HIT);
        assert_eq!(known.status, 304);
    }
    assert_status(&guest.get("/v1/categories/tea").await, HIT);
    for _ in 0..2 {
        let search = guest.get("/v1/products?q=product").await;
        assert_eq!(search.header("cache-status"), "", "nothing says whether someone searched for it");
        search.expect(200);
    }

    let admin = server.admin().await;
    admin.put(&format!("/admin/v1/inventory/{variant}"), json!({"stock": 4})).await.expect(200);
    assert_status(&guest.get(&product).await, DROPPED);
    assert_status(&guest.get("/v1/categories").await, HIT);
    assert_eq!(guest.get("/v1/shipping-methods").await.header("cache-status"), "", "it is read each time");
}

on_both_engines!(
    the_sale_of_reserved_pieces_leaves_what_is_kept_as_it_is,
    ShopOptions::default().terms(manual_capture())
);
async fn the_sale_of_reserved_pieces_leaves_what_is_kept_as_it_is(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest, variant) =
        (server.admin().await, server.guest(), shop.product().stock(5).create().await);
    let order = order_of(&server.customer().await, variant).await;
    let available = async |expected: &[(&str, &str)]| {
        let list = guest.get("/v1/products").await;
        assert_status(&list, expected);
        list.json()["items"][0]["variants"][0]["available"].clone()
    };
    assert_eq!(available(MISS).await, 4, "a piece is reserved");
    let capture = format!("/admin/v1/orders/{}/capture", order["id"].as_str().unwrap());
    admin.post(&capture, json!({})).await.expect(201);
    assert_eq!(available(HIT).await, 4, "and was sold");
}

#[test]
fn the_document_names_the_header() {
    let document = document();
    let public = ["/v1/products", "/v1/products/{id}", "/v1/categories", "/v1/categories/{id_or_slug}"];
    for path in public.into_iter().chain(OWN) {
        let header = &document["paths"][path]["get"]["responses"]["200"]["headers"]["Cache-Status"];
        assert!(header["description"].as_str().unwrap().contains("RFC 9211"), "{path}");
    }
}

/// A cache in the list of a server.
async fn cache(admin: &TestClient, name: &str) -> Value {
    let list = admin.get("/admin/v1/caches").await.expect(200);
    let mut caches = list["items"].as_array().unwrap().iter();
    caches.find(|cache| cache["name"] == name).unwrap().clone()
}

on_both_engines!(administrators_see_what_caches_keep_and_clear_them);
async fn administrators_see_what_caches_keep_and_clear_them(shop: &Shop) {
    use http::Method;
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let paths = ["/admin/v1/caches/clear", "/admin/v1/caches/warm"].map(|path| (Method::POST, path));
    assert_for_administrators(server, &paths).await;
    shop.product().create().await;
    for _ in 0..4 {
        guest.get("/v1/products").await.expect(200);
    }
    let listing = cache(&admin, "listing").await;
    let number = |name: &str| listing[name].as_i64().unwrap();
    assert_eq!((number("reads"), number("hits"), number("loads")), (4, 3, 1));
    assert_eq!(listing["hit_ratio"], 0.75);
    assert_eq!((number("entries"), number("limit_bytes"), number("ttl_seconds")), (1, 32 << 20, 600));
    assert!(number("bytes") > 500 && number("checks") == 3 && number("stale_hits") == 0, "{listing}");
    assert_eq!(cache(&admin, "cart").await["hit_ratio"], Value::Null);
    for state in server.store.infrastructure.caches.states() {
        let limit = BTreeMap::from([(state.cache.to_owned(), 1)]);
        assert!(CacheLimits::new(limit, &CACHES).is_ok(), "{} is a name in the settings", state.cache);
    }

    let clear = async |tags: Value| admin.post("/admin/v1/caches/clear", tags).await;
    clear(json!({"tags": ["categories"]})).await.expect(204);
    assert_status(&guest.get("/v1/products").await, HIT);
    for all in [json!({"tags": ["products"]}), json!({"tags": ["catalogue"]}), json!({})] {
        clear(all).await.expect(204);
        assert_status(&guest.get("/v1/products").await, DROPPED);
    }
    let events = admin.get("/admin/v1/events?type=cache_invalidation&limit=2").await.expect(200);
    assert_eq!(events["items"][0]["data"]["tags"], json!(["catalogue"]));

    let refused = clear(json!({"tags": ["products", "sheep", "product:7"]})).await;
    assert_eq!(refused.faults(), faults([("/tags/1", "cache_tag"), ("/tags/2", "cache_tag")]));
    let detail = refused.json()["errors"][0]["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("Tags are `products`, `product:ID`, `categories`"), "{detail}");
    let many = vec!["products"; 51];
    assert_eq!(clear(json!({"tags": many})).await.faults(), [("/tags".to_owned(), "too_many".to_owned())]);
}

on_both_engines!(clearing_a_category_drops_the_tree_and_clearing_a_product_the_lists);
async fn clearing_a_category_drops_the_tree_and_clearing_a_product_the_lists(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let category = admin.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(201);
    shop.product().create().await;
    let product = guest.get("/v1/products").await.expect(200)["items"][0].clone();
    for (row, kind, dropped, kept) in [
        (&category, "category", "/v1/categories", "/v1/products"),
        (&product, "product", "/v1/products", "/v1/categories"),
    ] {
        for path in [dropped, kept] {
            guest.get(path).await.expect(200);
            assert_status(&guest.get(path).await, HIT);
        }
        let tag = format!("{kind}:{}", row["id"].as_str().unwrap());
        admin.post("/admin/v1/caches/clear", json!({"tags": [tag]})).await.expect(204);
        assert_status(&guest.get(dropped).await, DROPPED);
        assert_status(&guest.get(kept).await, HIT);
    }
}

on_both_engines!(a_job_loads_what_shoppers_read_first);
async fn a_job_loads_what_shoppers_read_first(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    admin.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(201);
    shop.product().create().await;
    let job = admin.post("/admin/v1/caches/warm", json!({})).await.expect(202);
    assert_eq!(job["name"], "warm_caches");
    let path = format!("/admin/v1/jobs/{}", job["id"].as_str().unwrap());
    let has_ended = async || admin.get(&path).await.expect(200)["status"] == "succeeded";
    eventually("the end of the job", has_ended).await;
    let processed = admin.get(&path).await.expect(200)["processed"].clone();
    assert_eq!(processed, 5, "the tree, a list, that of the category, and the product by id and slug");

    let list = guest.get("/v1/products").await;
    assert_status(&list, HIT);
    let product = &list.json()["items"][0];
    for name in ["id", "slug"] {
        let path = format!("/v1/products/{}", product[name].as_str().unwrap());
        assert_status(&guest.get(&path).await, HIT);
    }
    for path in ["/v1/categories", "/v1/products?category=tea"] {
        assert_status(&guest.get(path).await, HIT);
    }
    assert_status(&guest.get("/v1/products?limit=7").await, MISS);
}

on_both_engines!(a_response_with_own_data_says_whether_it_was_in_memory_to_its_owner);
async fn a_response_with_own_data_says_whether_it_was_in_memory_to_its_owner(shop: &Shop) {
    let server = shop.server().await;
    let (ann, bob) = (server.customer().await, server.customer().await);
    for path in OWN {
        assert_status(&ann.get(path).await, MISS);
        let hit = ann.get(path).await;
        assert_status(&hit, HIT);
        assert_eq!(hit.header("cache-control"), "no-store", "{path}");
        assert_status(&bob.get(path).await, MISS);
        let stranger = server.guest().get(path).await;
        assert_eq!((stranger.status, stranger.header("cache-status")), (401, ""), "{path}");
    }
    let preferences = ann.get("/v1/me/preferences").await;
    let known = ann.with("if-none-match", preferences.header("etag")).get("/v1/me/preferences").await;
    assert_eq!(known.status, 304);
    assert_status(&known, HIT);

    // each change of the data of a user has another version
    ann.put("/v1/me/preferences", json!({"locale": "de"})).await.expect(200);
    for path in OWN {
        assert_status(&ann.get(path).await, MISS);
        assert_status(&bob.get(path).await, HIT);
    }
    for path in ["/v1/orders?limit=5", "/v1/notifications?limit=5", "/v1/me"] {
        let read = ann.get(path).await;
        assert_eq!((read.status, read.header("cache-status")), (200, ""), "{path} is read each time");
    }
}

on_both_engines!(a_404_does_not_say_whether_there_is_a_product_that_is_not_active);
async fn a_404_does_not_say_whether_there_is_a_product_that_is_not_active(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let mut mug = json!({"name": "Mug", "slug": "mug", "active": false,
        "variants": [{"sku": "MUG", "price": {"amount": 900, "currency": "EUR"}}]});
    let id = admin.post("/admin/v1/products", mug.clone()).await.expect(201)["id"].clone();
    let id = id.as_str().unwrap();
    let product = |name: &str| format!("/v1/products/{name}");
    let unknown =
        [product("unknown"), "/v1/products?category=unknown".into(), "/v1/categories/unknown".into()];
    for path in [product(id), product("mug")].iter().chain(&unknown) {
        // from the database, and from memory
        for _ in 0..2 {
            let response = guest.get(path).await;
            assert_eq!((response.status, response.header("cache-status")), (404, ""), "{path}");
        }
    }
    let caches = server.store.infrastructure.caches.current().await.unwrap();
    for name in ["mug", "unknown"] {
        let (entry, _) = caches.product.get(&ProductName::Slug(name.into())).await.unwrap();
        assert!(entry.value().is_none(), "{name} is kept as what does not exist");
    }

    for (active, status) in [(true, 200), (false, 404)] {
        mug["active"] = json!(active);
        admin.put(&format!("/admin/v1/products/{id}"), mug.clone()).await.expect(200);
        for name in [id, "mug"] {
            assert_eq!(guest.get(&product(name)).await.status, status, "{name}");
        }
    }
}
