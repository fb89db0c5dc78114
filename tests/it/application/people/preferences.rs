//! Preferences of users.

use serde_json::{Value, json};

use super::newcomer;
use crate::support::Shop;
use crate::support::http::faults;

on_both_engines!(preferences_are_replaced_and_consent_is_dated);
async fn preferences_are_replaced_and_consent_is_dated(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let none = ann.get("/v1/me/preferences").await;
    let nothing = json!({"locale": null, "currency": null, "marketing_consent": false, "consent_at": null});
    assert_eq!(none.expect(200), nothing);
    let preferences = json!({"locale": "zh-Hans", "currency": "GBP", "marketing_consent": true});
    let seen = ann.with("if-match", none.header("etag")).put("/v1/me/preferences", preferences).await;
    let agreed = seen.expect(200);
    assert_eq!((&agreed["locale"], &agreed["currency"]), (&json!("zh-Hans"), &json!("GBP")));
    let since = agreed["consent_at"].as_str().unwrap().to_owned();

    let stale = ann.with("if-match", none.header("etag")).put("/v1/me/preferences", json!({})).await;
    assert_eq!(stale.problem(412), "precondition_failed");
    let kept = ann.put("/v1/me/preferences", json!({"marketing_consent": true})).await.expect(200);
    assert_eq!((&kept["locale"], &kept["consent_at"]), (&Value::Null, &json!(since)));
    let withdrawn = ann.put("/v1/me/preferences", json!({})).await.expect(200);
    assert_eq!(withdrawn["marketing_consent"], false);
    assert!(withdrawn["consent_at"].as_str().unwrap() > since.as_str(), "{withdrawn}");

    let bad = json!({"locale": "d", "currency": "EURO", "marketing_consent": "yes", "theme": "dark"});
    let found = ann.put("/v1/me/preferences", bad).await.faults();
    let expected = [
        ("/currency", "format"),
        ("/locale", "format"),
        ("/marketing_consent", "type"),
        ("/theme", "unknown"),
    ];
    assert_eq!(found, faults(expected));
    let bob = newcomer(server, "bob@example.org").await;
    assert_eq!(bob.get("/v1/me/preferences").await.expect(200), nothing);
}
