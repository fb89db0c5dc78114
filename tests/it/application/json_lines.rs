//! Records of the JSON Lines format hold all that the API accepts: exported, imported and exported again unchanged.

use serde_json::{Value, json};
use undercroft::application::Terms;
use undercroft::application::import::readers::Options;

use crate::support::import::{DEMO, another_shop, exported, import_all, import_with, options, update_with};
use crate::support::store::terms;
use crate::support::{Shop, ShopOptions, TestClient};

/// A variant that costs 9.00 EUR.
fn variant(sku: &str, options: &[&str]) -> Value {
    json!({ "sku": sku, "options": options, "price": { "amount": 900, "currency": "EUR" }, "stock": 3 })
}

/// Creates a product; returns its path.
async fn product(admin: &TestClient, name: &str, options: &[&str], variants: &[Value]) -> String {
    let product = json!({ "name": name, "options": options, "variants": variants });
    let response = admin.post("/admin/v1/products", product).await;
    response.expect(201);
    response.header("location").to_owned()
}

/// Creates a catalogue with the unusual values that the API accepts.
async fn stock_up(admin: &TestClient) {
    let taxes = json!([{ "country": "DE", "tax_class": "books", "rate": { "basis_points": 700, "inclusive": true } }]);
    admin.put("/admin/v1/taxes", json!({ "items": taxes })).await.expect(200);
    let parcel = json!({ "code": "parcel", "name": " ~", "rates": [{ "currency": "EUR", "amount": 490 }] });
    admin.put("/admin/v1/shipping-methods", json!({ "items": [parcel] })).await.expect(200);
    let ten =
        json!({ "code": "Ten", "kind": { "type": "percent", "basis_points": 1_000 }, "usage_limit": 5 });
    admin.post("/admin/v1/discounts", ten).await.expect(201);

    let top = json!({ "name": "Küche", "position": 7, "translations": { "pt-BR": { "name": "Cozinha" } } });
    let top = admin.post("/admin/v1/categories", top).await.expect(201);
    let below = json!({ "name": "Becher", "parent_id": top["id"], "position": 3 });
    let below = admin.post("/admin/v1/categories", below).await.expect(201);

    product(admin, " ~", &["n"], &[variant("A-1", &[""]), variant("A-2", &[" "])]).await;
    product(admin, &"안녕 ".repeat(160), &["size", "colour"], &[variant("B-1", &["", " "])]).await;

    let renamed = product(admin, "Renamed", &[], &[variant("C-1", &[])]).await;
    let change = json!({ "name": "Renamed", "category_id": below["id"], "variants": [variant("C-2", &[])] });
    admin.put(&renamed, change).await.expect(200);

    let regrouped = product(admin, "Regrouped", &["size"], &[variant("D-1", &["S"])]).await;
    let mut change = json!({
        "name": "Regrouped", "slug": "re--grouped", "options": ["size", "colour"], "minimum_age": 18,
        "translations": { "de": { "name": "Umgeordnet" } }, "variants": [variant("D-2", &["S", "red"])],
        "metadata": { "z": "", "Ärmel/~": "a\nb", "n": "1" }
    });
    change["variants"][0]["metadata"] = json!({ "Barcode": "4006" });
    admin.put(&regrouped, change).await.expect(200);
    admin.delete(&product(admin, "Retired", &[], &[variant("E-1", &[])]).await).await.expect(204);
    let tea = json!({
        "name": "Tea", "kind": "subscription", "billing_interval": "month", "variants": [variant("F-1", &[])]
    });
    admin.post("/admin/v1/products", tea).await.expect(201);
}

on_both_engines!(data_created_over_http_is_imported_unchanged);
async fn data_created_over_http_is_imported_unchanged(shop: &Shop) {
    let source = shop.server().await;
    stock_up(&source.admin().await).await;
    let guest = source.guest();
    let nameless = json!({ "email": "ann@example.org", "password": "long enough", "locale": "de" });
    guest.post("/v1/users", nameless).await.expect(201);
    let expected = exported(&source.store).await;

    let others = [Some(another_shop().await), Shop::on_postgres(ShopOptions::default()).await];
    for other in others.iter().flatten() {
        let (_, progress) = import_all(&other.store, &expected).await;
        assert_eq!(progress.rejected, []);
        assert_eq!(exported(&other.store).await, expected);
    }
}

on_both_engines!(
    a_catalogue_moves_between_stores_with_different_base_languages,
    ShopOptions::default().terms(Terms { base_language: "de".parse().unwrap(), ..terms() })
);
async fn a_catalogue_moves_between_stores_with_different_base_languages(shop: &Shop) {
    let (english, back) = (another_shop().await, another_shop().await);
    import_all(&english.store, DEMO).await;
    let original = exported(&english.store).await;

    let into_german = Options { base_language: shop.store.terms.base_language, ..options() };
    let (_, progress) = import_with(&shop.store, &original, &into_german).await;
    assert_eq!(progress.rejected, []);
    let german = exported(&shop.store).await;
    let mut lines = german.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let coffee = lines.find(|line| line["slug"] == "coffee").unwrap();
    assert_eq!((&coffee["language"], &coffee["name"]), (&json!("de"), &json!("Kaffee")));
    let [en, fr] = ["en", "fr"].map(|tag| &coffee["translations"][tag]["name"]);
    assert_eq!((en, fr, &coffee["translations"]["de"]), (&json!("Coffee"), &json!("Café"), &Value::Null));

    let (_, progress) = import_all(&back.store, &german).await;
    assert_eq!(progress.rejected, []);
    assert!(exported(&back.store).await == original, "the exports differ");
}

on_both_engines!(
    an_update_in_another_language_keeps_the_base_texts_that_it_does_not_have,
    ShopOptions::default().terms(Terms { base_language: "de".parse().unwrap(), ..terms() })
);
async fn an_update_in_another_language_keeps_the_base_texts_that_it_does_not_have(shop: &Shop) {
    let into_german = Options { base_language: shop.store.terms.base_language, ..options() };
    let english = json!({ "name": "Tea", "description": "Hot" });
    for (language, texts, translations, name, in_english) in [
        ("de", json!({ "name": "Tee", "description": "Heiß" }), json!({}), "Tee", &Value::Null),
        ("en", english.clone(), json!({}), "Tee", &english),
        ("en", english.clone(), json!({ "de": { "name": "Grüner Tee" } }), "Grüner Tee", &english),
    ] {
        let line = json!({
            "type": "product", "id": "tea", "slug": "tea", "language": language, "name": texts["name"],
            "description": texts["description"], "translations": translations,
            "variants": [{ "sku": "TEA", "prices": [{ "amount": 900, "currency": "EUR" }], "stock": 3 }],
        });
        let (_, progress) = update_with(&shop.store, &line.to_string(), &into_german).await;
        assert_eq!(progress.rejected, []);
        let stored = exported(&shop.store).await;
        let mut lines = stored.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let product = lines.find(|line| line["type"] == "product").unwrap();
        assert_eq!((&product["name"], &product["description"]), (&json!(name), &json!("Heiß")));
        assert_eq!(&product["translations"]["en"], in_english);
    }
}
