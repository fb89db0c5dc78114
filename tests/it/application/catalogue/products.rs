//! The variants of products that administrators replace.

use serde_json::{Value, json};

use crate::support::Shop;

/// A product with variants, each with its SKU and its members.
fn product(variants: &[(&str, Value)]) -> Value {
    let variant = |(sku, members): &(&str, Value)| {
        let mut variant =
            json!({ "sku": sku, "options": [sku], "price": { "amount": 900, "currency": "EUR" } });
        variant.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        variant
    };
    json!({ "name": "Mug", "options": ["size"], "variants": variants.iter().map(variant).collect::<Vec<_>>() })
}

/// The id and the SKU of each variant.
fn variants(product: &Value) -> Vec<(&str, &str)> {
    let variants = product["variants"].as_array().unwrap().iter();
    variants.map(|variant| (variant["id"].as_str().unwrap(), variant["sku"].as_str().unwrap())).collect()
}

on_both_engines!(a_sku_that_another_variant_had_before_is_that_of_a_new_variant);
async fn a_sku_that_another_variant_had_before_is_that_of_a_new_variant(shop: &Shop) {
    let admin = shop.server().await.admin().await;
    let created =
        admin.post("/admin/v1/products", product(&[("A", json!({ "stock": 7 }))])).await.expect(201);
    let path = format!("/admin/v1/products/{}", created["id"].as_str().unwrap());
    let [(first, "A")] = variants(&created)[..] else { panic!("{created}") };

    let renamed = admin.put(&path, product(&[("B", json!({ "id": first }))])).await.expect(200);
    assert_eq!(variants(&renamed), [(first, "B")]);
    let change = product(&[("B", json!({})), ("A", json!({ "stock": 3 }))]);
    let changed = admin.put(&path, change.clone()).await.expect(200);
    let [(kept, "B"), (new, "A")] = variants(&changed)[..] else { panic!("{changed}") };
    assert!(kept == first && new != first, "{changed}");
    assert_eq!((&changed["variants"][0]["stock"], &changed["variants"][1]["stock"]), (&json!(7), &json!(3)));
    let again = admin.put(&path, change).await.expect(200);
    assert_eq!(variants(&again), variants(&changed));
}
