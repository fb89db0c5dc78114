//! Feature flags: changed by administrators, effective for users and pages.

use jiff::SignedDuration;
use serde_json::{Value, json};
use undercroft::application::Precondition;
use undercroft::application::features::{self, Feature};
use undercroft::domain::feature_flag::{EvaluationContext, EvaluationReason};

use crate::support::http::{cart_of, checkout_body, order_of};
use crate::support::store::{store, terms};
use crate::support::{Shop, ShopOptions, TestClient, TestResponse, unique};

fn flag(key: &str) -> String {
    format!("/admin/v1/feature-flags/{key}")
}

fn reason(response: &TestResponse) -> Value {
    assert_eq!(response.problem(403), "unauthorized_access");
    response.json()["reason"].clone()
}

on_both_engines!(a_feature_that_an_administrator_switches_off_is_refused_until_it_is_on_again);
async fn a_feature_that_an_administrator_switches_off_is_refused_until_it_is_on_again(shop: &Shop) {
    let server = shop.server().await;
    let (admin, buyer, guest) = (server.admin().await, server.customer().await, server.guest());
    let variant = shop.product().create().await;
    let order = order_of(&buyer, variant).await;
    let reviews = format!("/v1/products/{}/reviews", order["items"][0]["product_id"].as_str().unwrap());
    let review = async || buyer.post(&reviews, json!({"rating": 6})).await;
    let check_out = async |client: &TestClient| {
        let cart = cart_of(client, variant, 1).await;
        client.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await
    };
    let sign_up = async || {
        let account = json!({"email": format!("{}@example.org", unique("a")), "password": "correct horse"});
        guest.post("/v1/users", account).await
    };
    // a review without a valid rating is refused for that once the feature is on
    assert_eq!(review().await.problem(422), "validation");

    for key in ["reviews", "guest_checkout", "sign_up"] {
        admin.put(&flag(key), json!({"enabled": false})).await.expect(200);
    }
    assert_eq!(reason(&review().await), "feature_off");
    assert_eq!(reason(&check_out(&guest).await), "feature_off");
    assert_eq!(reason(&sign_up().await), "feature_off");
    check_out(&buyer).await.expect(201);

    let user = buyer.get("/v1/me").await.expect(200)["id"].clone();
    let rule = json!({"user_ids": [user], "value": true});
    let chosen = json!({"enabled": true, "rollout": 0, "rules": [rule]});
    admin.put(&flag("reviews"), chosen).await.expect(200);
    assert_eq!(review().await.problem(422), "validation");
    let other = server.customer().await.post(&reviews, json!({"rating": 5})).await;
    assert_eq!(reason(&other), "feature_off");

    for key in ["guest_checkout", "sign_up"] {
        admin.delete(&flag(key)).await.expect(204);
    }
    check_out(&guest).await.expect(201);
    sign_up().await.expect(201);
}

on_both_engines!(a_flag_is_replaced_by_its_version_and_its_key_is_checked);
async fn a_flag_is_replaced_by_its_version_and_its_key_is_checked(shop: &Shop) {
    let admin = shop.server().await.admin().await;
    let values = json!({"enabled": true, "description": "Wrap gifts", "public": true, "rollout": 2_500});
    let created = admin.put(&flag("gift.wrap-2_x"), values.clone()).await;
    assert_eq!(created.expect(200)["rollout"], 2_500);
    let stale = admin.with("if-match", created.header("etag"));
    stale.put(&flag("gift.wrap-2_x"), values.clone()).await.expect(200);
    let again = stale.put(&flag("gift.wrap-2_x"), values.clone()).await;
    assert_eq!(again.problem(412), "precondition_failed");
    let listed = admin.get("/admin/v1/feature-flags").await.expect(200);
    assert_eq!(listed["items"][0]["key"], "gift.wrap-2_x");
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    for key in ["Gift", "gift%20wrap", ".", "..", "%2E%2E", &"k".repeat(101)] {
        let refused = admin.put(&flag(key), values.clone()).await;
        assert_eq!(refused.faults(), [("key".to_owned(), "feature_flag_key".to_owned())], "{key}");
        let detail = refused.json()["errors"][0]["detail"].to_string();
        assert!(detail.contains("1 to 100 small letters, digits, `.`, `_` and `-`"), "{detail}");
    }
    assert_eq!(
        admin.put(&flag("x"), json!({"enabled": true, "rollout": 10_001})).await.problem(422),
        "validation"
    );
    assert_eq!(admin.get(&flag("x")).await.problem(404), "feature_flag_not_found");
}

on_both_engines!(the_features_of_guests_have_no_share_and_no_rules);
async fn the_features_of_guests_have_no_share_and_no_rules(shop: &Shop) {
    let admin = shop.server().await.admin().await;
    let share = |rollout: i64| json!({"enabled": true, "rollout": rollout});
    for key in ["guest_checkout", "sign_up"] {
        for rollout in [1, 9_999] {
            let refused = admin.put(&flag(key), share(rollout)).await;
            assert_eq!(refused.faults(), [("/rollout".to_owned(), "not_allowed".to_owned())], "{key}");
            assert_eq!(refused.json()["errors"][0]["allowed"], json!([0, 10_000]), "{key}");
        }
        for rollout in [0, 10_000] {
            admin.put(&flag(key), share(rollout)).await.expect(200);
        }
    }
    admin.put(&flag("reviews"), share(5_000)).await.expect(200);

    let rules = json!({"enabled": true, "rules": [{"countries": ["DE"], "value": false}]});
    for key in ["guest_checkout", "sign_up"] {
        let refused = admin.put(&flag(key), rules.clone()).await;
        assert_eq!(refused.faults(), [("/rules".to_owned(), "too_many".to_owned())], "{key}");
    }
}

on_both_engines!(rules_by_country_are_refused_where_no_country_is_known);
async fn rules_by_country_are_refused_where_no_country_is_known(shop: &Shop) {
    let admin = shop.server().await.admin().await;
    let customers = json!({"roles": ["customer"], "value": true});
    let german = json!({"countries": ["DE"], "value": false});
    let rules = |rules: &[&Value]| json!({"enabled": true, "rules": rules});
    let refused = admin.put(&flag("reviews"), rules(&[&customers, &german])).await;
    assert_eq!(refused.faults(), [("/rules/1/countries".to_owned(), "too_many".to_owned())]);
    assert_eq!(admin.get(&flag("reviews")).await.problem(404), "feature_flag_not_found");
    admin.put(&flag("reviews"), rules(&[&customers])).await.expect(200);
    admin.put(&flag("page_of_the_shop"), rules(&[&german])).await.expect(200);
}

on_both_engines!(a_flag_is_created_or_replaced_as_the_preconditions_require);
async fn a_flag_is_created_or_replaced_as_the_preconditions_require(shop: &Shop) {
    let admin = shop.server().await.admin().await;
    let (on, off) = (json!({"enabled": true}), json!({"enabled": false}));
    let (existing, missing) = (admin.with("if-match", "*"), admin.with("if-none-match", "*"));
    assert_eq!(existing.put(&flag("new"), on.clone()).await.problem(412), "precondition_failed");
    assert_eq!(admin.get(&flag("new")).await.problem(404), "feature_flag_not_found");
    missing.put(&flag("new"), on.clone()).await.expect(200);
    assert_eq!(missing.put(&flag("new"), off.clone()).await.problem(412), "precondition_failed");
    assert_eq!(admin.get(&flag("new")).await.expect(200)["enabled"], true);
    assert_eq!(existing.put(&flag("new"), off).await.expect(200)["enabled"], false);
    let both = existing.with("if-none-match", "*").put(&flag("new"), on.clone()).await;
    assert_eq!(both.problem(412), "precondition_failed");
    let tagged = admin.with("if-none-match", "\"7-0\"").put(&flag("new"), on).await;
    assert_eq!(tagged.problem(400), "malformed_header");
    assert_eq!(tagged.json()["header"], "If-None-Match");
}

on_both_engines!(
    a_version_of_a_deleted_flag_or_role_is_none_of_the_next_with_its_name,
    ShopOptions::manual_clock()
);
async fn a_version_of_a_deleted_flag_or_role_is_none_of_the_next_with_its_name(shop: &Shop) {
    let admin = shop.server().await.admin().await;
    let role = json!({"name": "support", "permissions": ["orders:read"]});
    let (of_role, values) = ("/admin/v1/roles/support", json!({"permissions": []}));
    let first = admin.put(&flag("new"), json!({"enabled": true})).await;
    let first_role = admin.post("/admin/v1/roles", role.clone()).await;
    for path in [flag("new"), of_role.to_owned()] {
        admin.delete(&path).await.expect(204);
    }
    shop.clock().advance(SignedDuration::from_micros(1));
    admin.put(&flag("new"), json!({"enabled": true})).await.expect(200);
    admin.post("/admin/v1/roles", role).await.expect(201);
    let stale = admin.with("if-match", first.header("etag"));
    assert_eq!(stale.put(&flag("new"), json!({"enabled": false})).await.problem(412), "precondition_failed");
    let stale = admin.with("if-match", first_role.header("etag"));
    assert_eq!(stale.put(of_role, values).await.problem(412), "precondition_failed");
}

on_both_engines!(pages_evaluate_public_flags_with_the_names_of_openfeature);
async fn pages_evaluate_public_flags_with_the_names_of_openfeature(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let german = json!({"countries": ["DE"], "value": true});
    for (key, values) in [
        ("all", json!({"enabled": true, "public": true})),
        ("german", json!({"enabled": true, "public": true, "rollout": 0, "rules": [german]})),
        ("half", json!({"enabled": true, "public": true, "rollout": 5_000})),
        ("hidden", json!({"enabled": true})),
        ("off", json!({"enabled": false, "public": true})),
    ] {
        admin.put(&flag(key), values).await.expect(200);
    }
    let evaluate = async |client: &TestClient, body: Value| {
        client.post("/v1/feature-flags/evaluations", body).await.expect(200)["flags"].clone()
    };
    let value = |key: &str, value: bool, reason: &str| json!({"key": key, "value": value, "variant": if value { "on" } else { "off" }, "reason": reason});
    let failed = |key: &str, code: &str| json!({"key": key, "value": false, "variant": "off", "reason": "ERROR", "errorCode": code});
    let all = json!([
        value("all", true, "STATIC"),
        value("german", true, "TARGETING_MATCH"),
        failed("half", "TARGETING_KEY_MISSING"),
        value("off", false, "DISABLED"),
    ]);
    assert_eq!(evaluate(&guest, json!({"context": {"country": "DE"}})).await, all);
    let named = json!({"keys": ["german", "hidden", "none"]});
    let expected = json!([
        value("german", false, "STATIC"),
        failed("hidden", "FLAG_NOT_FOUND"),
        failed("none", "FLAG_NOT_FOUND")
    ]);
    assert_eq!(evaluate(&guest, named).await, expected);

    let half = async |client: &TestClient, key: &str| {
        let body = json!({"keys": ["half"], "context": {"targetingKey": key}});
        let flag = evaluate(client, body).await[0].clone();
        assert_eq!(flag["reason"], "SPLIT");
        flag["value"].as_bool().unwrap()
    };
    let mut on = 0;
    for number in 0..40 {
        let key = format!("guest-{number}");
        let first = half(&guest, &key).await;
        assert_eq!(half(&guest, &key).await, first);
        on += i32::from(first);
    }
    assert!((8..=32).contains(&on), "{on} of 40");
    let user = server.customer().await;
    assert_eq!(half(&user, "a").await, half(&user, "b").await, "that of a user is the user's id");
}

on_both_engines!(a_change_is_effective_on_other_servers_within_two_seconds, ShopOptions::manual_clock());
async fn a_change_is_effective_on_other_servers_within_two_seconds(shop: &Shop) {
    let (here, there) = (&shop.store, store(&shop.database, terms()));
    let context = EvaluationContext::default();
    let is_on = async |store| features::evaluate(store, Feature::SignUp, &context).await.unwrap();
    assert_eq!(is_on(&there).await.reason, EvaluationReason::Default);
    assert!(is_on(here).await.value && is_on(&there).await.value);
    let off = serde_json::from_value(json!({"enabled": false})).unwrap();
    features::replace(here, "sign_up".into(), Precondition::None, off).await.unwrap();
    assert!(!is_on(here).await.value, "at once where it was changed");
    assert!(is_on(&there).await.value, "not read again yet");
    shop.clock().advance(SignedDuration::from_secs(2));
    assert_eq!(is_on(&there).await.reason, EvaluationReason::Disabled);
}
