//! Products over HTTP: created and changed by administrators, found by shoppers.

use serde_json::{Value, json};
use undercroft::application::Terms;

use crate::support::http::{cart_of, checkout_body};
use crate::support::store::{store, terms};
use crate::support::{Shop, ShopOptions, TestServer};

fn mug() -> Value {
    json!({
        "name": "Blue mug", "description": "Holds tea.", "options": ["size"],
        "translations": { "de": { "name": "Blauer Becher" } },
        "variants": [
            { "sku": "MUG-S", "options": ["small"], "price": { "amount": 900, "currency": "EUR" }, "stock": 3 },
            { "sku": "MUG-L", "options": ["large"], "stock": 0,
              "prices": [{ "amount": 1200, "currency": "EUR" }, { "amount": 1300, "currency": "USD" }] }
        ]
    })
}

on_both_engines!(shoppers_find_the_products_of_administrators);
async fn shoppers_find_the_products_of_administrators(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let created = admin.post("/admin/v1/products", mug()).await.expect(201);
    let id = created["id"].as_str().unwrap();
    let slug = created["slug"].as_str().unwrap();
    assert!(slug.starts_with("blue-mug-"), "{slug}");

    let read = guest.get(&format!("/v1/products/{slug}")).await.expect(200);
    assert_eq!(read["id"], id);
    assert_eq!(read["variants"][0]["price"], json!({ "amount": 900, "currency": "EUR" }));
    assert_eq!(read["variants"][0]["available"], 3);
    let german = guest.with("accept-language", "de-AT").get(&format!("/v1/products/{id}?currency=USD")).await;
    let none = guest.get("/v1/products?q=qqqqqq").await;
    assert_eq!(none.expect(200)["items"], json!([]));
    assert_eq!(none.headers.get("content-language"), None, "there is no text");
    assert_eq!(german.header("vary"), "accept-language");
    let german = german.expect(200);
    assert_eq!(german["name"], "Blauer Becher");
    assert_eq!(german["description"], "Holds tea.");
    assert_eq!(german["variants"][0]["price"], Value::Null);

    for path in ["/v1/products", "/v1/products?q=mug", "/v1/products?q=becher", "/v1/products?sort=price_asc"]
    {
        let page = guest.get(path).await.expect(200);
        assert_eq!(page["items"][0]["id"], id, "{path}");
        assert_eq!(page["next_cursor"], Value::Null);
    }
    assert_eq!(guest.get("/v1/products?q=kettle").await.expect(200)["items"], json!([]));
    assert_eq!(guest.get("/v1/products?min_price=901").await.expect(200)["items"], json!([]));
    assert_eq!(guest.get("/v1/products?q=mug").await.expect(200)["facets"]["prices"][0]["count"], 1);

    admin.delete(&format!("/admin/v1/products/{id}")).await.expect(204);
    assert_eq!(guest.get(&format!("/v1/products/{id}")).await.problem(404), "product_not_found");
    assert_eq!(guest.get("/v1/products").await.expect(200)["items"], json!([]));
    assert_eq!(admin.get("/admin/v1/products?active=false").await.expect(200)["items"][0]["id"], id);
}

on_both_engines!(a_translation_into_english_is_not_shown_in_place_of_the_base_texts);
async fn a_translation_into_english_is_not_shown_in_place_of_the_base_texts(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let texts = [("fr", "Blauer Becher"), ("en", "Blue mug")];
    for (number, order) in [[0, 1], [1, 0]].into_iter().enumerate() {
        let (slug, sku) = (format!("becher-{number}"), format!("BECHER-{number}"));
        let product = json!({ "name": "Blauer Becher", "slug": slug,
            "translations": { "en": { "name": "Blue mug" } },
            "variants": [{ "sku": sku, "price": { "amount": 900, "currency": "EUR" }, "stock": 3 }] });
        admin.post("/admin/v1/products", product).await.expect(201);
        // the newest product is the first of the list
        for path in [format!("/v1/products/{slug}"), "/v1/products".into(), "/v1/products?q=becher".into()] {
            for (language, name) in order.map(|one| texts[one]) {
                let response = guest.with("accept-language", language).get(&path).await;
                assert_eq!(response.header("content-language"), "en", "{path}");
                let body = response.expect(200);
                let shown = if body["items"].is_array() { &body["items"][0] } else { &body };
                assert_eq!(shown["name"], name, "{path} {language}");
            }
        }
    }
}

on_both_engines!(
    base_texts_are_in_the_base_language_of_the_store,
    ShopOptions::default().terms(Terms { base_language: "de".parse().unwrap(), ..terms() })
);
async fn base_texts_are_in_the_base_language_of_the_store(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let product = json!({ "name": "Blauer Becher", "slug": "becher", "translations": { "en": { "name": "Blue mug" } },
        "variants": [{ "sku": "BECHER", "price": { "amount": 900, "currency": "EUR" }, "stock": 3 }] });
    admin.post("/admin/v1/products", product).await.expect(201);
    for path in ["/v1/products/becher", "/v1/products", "/v1/products?q=becher"] {
        for (accepted, language, name) in [
            ("de-AT, en;q=0.5", "de", "Blauer Becher"),
            ("en-GB, de;q=0.5", "en", "Blue mug"),
            ("fr, en;q=0.5, de;q=0.4", "en", "Blue mug"),
            ("fr", "de", "Blauer Becher"),
        ] {
            let response = guest.with("accept-language", accepted).get(path).await;
            assert_eq!(response.header("content-language"), language, "{path} {accepted}");
            assert_eq!(response.header("vary"), "accept-language", "{path}");
            let body = response.expect(200);
            let shown = if body["items"].is_array() { &body["items"][0] } else { &body };
            assert_eq!(shown["name"], name, "{path} {accepted}");
        }
    }

    // a server with another setting, as after a restart: the same texts are in another language
    let german = guest.with("accept-language", "de").get("/v1/products/becher").await;
    let english = TestServer::start(store(&shop.database, terms())).await;
    let guest = english.guest().with("accept-language", "de").with("if-none-match", german.header("etag"));
    let unmodified = guest.get("/v1/products/becher").await;
    assert_eq!((unmodified.status, unmodified.header("content-language")), (304, "en"));
    english.end().await;
}

on_both_engines!(a_stale_change_of_a_product_is_refused);
async fn a_stale_change_of_a_product_is_refused(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let created = admin.post("/admin/v1/products", mug()).await.expect(201);
    let path = format!("/admin/v1/products/{}", created["id"].as_str().unwrap());
    let read = admin.get(&path).await;
    let tag = read.header("etag").to_owned();
    let mut change = mug();
    change["name"] = json!("Red mug");
    change["variants"] =
        json!([{ "sku": "MUG-L", "options": ["large"], "price": { "amount": 5, "currency": "EUR" } }]);
    let changed = admin.with("if-match", &tag).put(&path, change.clone()).await.expect(200);
    assert_eq!(changed["name"], "Red mug");
    let active: Vec<_> =
        changed["variants"].as_array().unwrap().iter().filter(|v| v["active"] == true).collect();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0]["id"], created["variants"][1]["id"], "a variant is known by its SKU");
    let late = admin.with("if-match", &tag).put(&path, change.clone()).await;
    assert_eq!(late.problem(412), "precondition_failed");
    let [mut twice, mut again] = [0, 1].map(|_| change["variants"][0].clone());
    twice["id"] = created["variants"][1]["id"].clone();
    again["sku"] = json!("MUG-L-2");
    again["active"] = json!(false);
    again["id"] = created["variants"][1]["id"].clone();
    change["variants"] = json!([twice, again]);
    let refused = admin.put(&path, change).await;
    assert_eq!(refused.problem(422), "validation");
    let fault = &refused.json()["errors"][0];
    assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/variants/1/id"), &json!("duplicate")));
    assert_eq!(admin.with("if-none-match", read.header("etag")).get(&path).await.status, 200);
}

/// A product with these names of options, and two variants with these values.
fn two_variants(options: &Value, values: [Value; 2]) -> Value {
    let price = json!({ "amount": 900, "currency": "EUR" });
    let variants = ["M-1", "M-2"].into_iter().zip(values);
    let variants: Vec<_> =
        variants.map(|(sku, options)| json!({ "sku": sku, "options": options, "price": price })).collect();
    json!({ "name": "Mug", "options": options, "variants": variants })
}

on_both_engines!(variants_that_look_alike_are_refused_with_what_to_do);
async fn variants_that_look_alike_are_refused_with_what_to_do(shop: &Shop) {
    let admin = shop.server().await.admin().await;
    let without = two_variants(&json!([]), [json!([]), json!([])]);
    let same = two_variants(&json!(["size"]), [json!(["large"]), json!(["large"])]);
    for refused in [without, same] {
        let response = admin.post("/admin/v1/products", refused).await;
        assert_eq!(response.faults(), [("/variants/1/options".to_owned(), "same_options".to_owned())]);
        let detail = response.json()["errors"][0]["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("`options` of the product"), "{detail}");
    }
    let different = two_variants(&json!(["size"]), [json!(["small"]), json!(["large"])]);
    admin.post("/admin/v1/products", different).await.expect(201);
}

on_both_engines!(metadata_is_kept_for_administrators_until_a_request_names_it);
async fn metadata_is_kept_for_administrators_until_a_request_names_it(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let mut product = mug();
    product["metadata"] = json!({ "Vendor": "Pottery", "Care": "Warm water\nNo soap" });
    product["variants"][0]["metadata"] = json!({ "Barcode": "400638133393" });
    let created = admin.post("/admin/v1/products", product.clone()).await.expect(201);
    let path = format!("/admin/v1/products/{}", created["id"].as_str().unwrap());
    let kept = |body: &Value| {
        let variants = body["variants"].as_array().unwrap().iter().map(|variant| &variant["metadata"]);
        json!([&body["metadata"], variants.collect::<Vec<_>>()])
    };
    let given = json!([&product["metadata"], [&product["variants"][0]["metadata"], {}]]);
    assert_eq!(kept(&created), given);

    let replaced = admin.put(&path, mug()).await.expect(200);
    assert_eq!(kept(&replaced), given, "what is omitted stays");
    product["metadata"] = json!({ "Care": "Cold water" });
    product["variants"][0]["metadata"] = json!({});
    admin.put(&path, product.clone()).await.expect(200);
    let read = admin.get(&path).await.expect(200);
    assert_eq!(kept(&read), json!([{ "Care": "Cold water" }, [{}, {}]]));
    let shown = guest.get(&format!("/v1/products/{}", created["slug"].as_str().unwrap())).await.expect(200);
    assert!(!shown.to_string().contains("water"), "{shown}");

    let many: serde_json::Map<_, _> = (0..201).map(|number| (number.to_string(), json!(""))).collect();
    for (metadata, pointer, code) in [
        (json!({ "a": 1 }), "/metadata/a", "type"),
        (json!({ "a": "b\u{0}" }), "/metadata/a", "character"),
        (json!({ "a": "b".repeat(5_001) }), "/metadata/a", "too_long"),
        (json!({ "a".repeat(257): "b" }), &*format!("/metadata/{}", "a".repeat(257)), "unknown"),
        (Value::from(many), "/metadata", "too_many"),
    ] {
        product["metadata"] = metadata;
        let refused = admin.put(&path, product.clone()).await;
        assert_eq!(refused.problem(422), "validation");
        let fault = &refused.json()["errors"][0];
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!(pointer), &json!(code)));
    }
}

on_both_engines!(each_fault_of_a_product_is_named);
async fn each_fault_of_a_product_is_named(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let faulty = [
        (json!({ "name": "", "variants": [] }), vec!["/name", "/variants"]),
        (json!({ "name": "a", "variants": [{ "sku": "s" }] }), vec!["/variants/0/price"]),
        (
            json!({ "name": "a", "slug": "a/b", "translations": { "not a tag": { "name": "a" } },
                "variants": [{ "sku": "s", "price": { "amount": 1, "currency": "EUR" } }] }),
            vec!["/slug", "/translations/not a tag"],
        ),
        (
            json!({ "name": "a", "slug": "00000000-0000-7000-8000-000000000000",
                "variants": [{ "sku": "s", "price": { "amount": 1, "currency": "EUR" } }] }),
            vec!["/slug"],
        ),
        (
            json!({ "name": "a", "variants": [{ "sku": "s", "price": { "amount": -1, "currency": "EUR" } }] }),
            vec!["/variants/0/price/amount"],
        ),
        (
            json!({ "name": "a", "options": ["o".repeat(201)], "variants": [{ "sku": "s", "options": ["x".repeat(201)],
                "price": { "amount": 1_000_000_000_000_001_i64, "currency": "EUR" } }] }),
            vec!["/options/0", "/variants/0/options/0", "/variants/0/price/amount"],
        ),
        (
            json!({ "name": "a", "kind": "subscription", "category_id": "00000000-0000-7000-8000-000000000000",
                "variants": [{ "sku": "s", "options": ["x"], "price": { "amount": 1, "currency": "EUR" } }] }),
            vec!["/billing_interval", "/category_id", "/variants/0/options"],
        ),
        (
            json!({ "name": "a", "color": 1, "variants": [{ "sku": "s", "stock": "3",
                "price": { "amount": 1.5, "currency": "EURO" } }] }),
            vec!["/color", "/variants/0/price/amount", "/variants/0/price/currency", "/variants/0/stock"],
        ),
    ];
    for (body, expected) in faulty {
        let response = admin.post("/admin/v1/products", body).await;
        assert_eq!(response.problem(422), "validation");
        let body = response.json();
        let mut pointers: Vec<_> =
            body["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, expected, "{response}");
    }
    admin.post("/admin/v1/products", mug()).await.expect(201);
    let taken = admin.post("/admin/v1/products", mug()).await;
    assert_eq!((taken.problem(409), &taken.json()["field"]), ("already_exists".into(), &"sku".into()));
    assert!(["MUG-S", "MUG-L"].map(Value::from).contains(&taken.json()["sku"]), "{taken}");
    assert_eq!(server.guest().get("/v1/products?cursor=abc").await.status, 422);
    assert_eq!(server.guest().get("/v1/products?category=nowhere").await.problem(404), "category_not_found");
}

on_both_engines!(pieces_that_are_not_counted_are_null_and_can_be_bought);
async fn pieces_that_are_not_counted_are_null_and_can_be_bought(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let price = json!({ "amount": 900, "currency": "EUR" });
    let mut body =
        json!({ "name": "Engraving", "variants": [{ "sku": "E", "price": price, "stock": null }] });
    let created = admin.post("/admin/v1/products", body.clone()).await.expect(201);
    let stock = |body: &Value| (body["stock"].clone(), body["available"].clone());
    assert_eq!(stock(&created["variants"][0]), (Value::Null, Value::Null));
    let id = created["variants"][0]["id"].as_str().unwrap();

    let cart = cart_of(&guest, id, 9_999).await;
    assert_eq!(guest.get(&cart).await.expect(200)["items"][0]["available"], Value::Null);
    guest.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await.expect(201);
    let path = format!("/admin/v1/inventory/{id}");
    assert_eq!(stock(&admin.get(&path).await.expect(200)), (Value::Null, Value::Null));
    assert_eq!(stock(&admin.put(&path, json!({ "stock": 3 })).await.expect(200)), (3.into(), 3.into()));
    assert_eq!(
        stock(&admin.put(&path, json!({ "stock": null })).await.expect(200)),
        (Value::Null, Value::Null)
    );
    assert_eq!(admin.put(&path, json!({})).await.problem(422), "validation");

    // a digital product is not counted unless it says so, and a physical one has nothing
    body["variants"] = json!([{ "sku": "", "price": price }]);
    for (kind, expected, sku) in [("digital", Value::Null, "F"), ("physical", 0.into(), "G")] {
        (body["kind"], body["variants"][0]["sku"]) = (kind.into(), sku.into());
        let created = admin.post("/admin/v1/products", body.clone()).await.expect(201);
        assert_eq!(created["variants"][0]["stock"], expected, "{kind}");
    }
}

on_both_engines!(stock_is_never_set_below_the_reservations);
async fn stock_is_never_set_below_the_reservations(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let created = admin.post("/admin/v1/products", mug()).await.expect(201);
    let variant = created["variants"][0]["id"].as_str().unwrap();
    let path = format!("/admin/v1/inventory/{variant}");
    let read = admin.put(&path, json!({ "stock": 7 })).await;
    assert_eq!(read.expect(200)["available"], 7);
    let as_read = admin.with("if-match", read.header("etag"));
    let changed = as_read.put(&path, json!({ "stock": 7 })).await;
    assert_eq!(changed.header("etag"), admin.get(&path).await.header("etag"));
    let late = as_read.put(&path, json!({ "stock": 9 })).await;
    assert_eq!(late.problem(412), "precondition_failed");
    let cart = cart_of(&guest, variant, 2).await;
    guest.post(&format!("{cart}/checkout"), checkout_body("tok_requires_action")).await.expect(201);
    let refused = admin.put(&path, json!({ "stock": 1 })).await;
    assert_eq!(refused.problem(409), "stock_reserved");
    assert_eq!(refused.json()["reserved"], 2);
    assert_eq!(admin.get(&path).await.expect(200)["available"], 5);
    assert_eq!(guest.put(&path, json!({ "stock": 1 })).await.status, 401);
}
