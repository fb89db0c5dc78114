//! Tax rules and shipping methods over HTTP: replaced as a whole, and applied to carts.

use http::Method;
use serde_json::{Value, json};

use crate::support::Shop;
use crate::support::http::{assert_for_administrators, cart_of, checkout_body, faults, ids};

const TAXES: &str = "/admin/v1/taxes";
const SHIPPING: &str = "/admin/v1/shipping-methods";

fn tax(country: &str, class: &str, basis_points: i64) -> Value {
    json!({"country": country, "tax_class": class, "rate": {"basis_points": basis_points, "inclusive": true}})
}

fn method(code: &str, amount: i64) -> Value {
    json!({"code": code, "name": code, "rates": [{"currency": "EUR", "amount": amount}]})
}

on_both_engines!(tax_rules_are_replaced_and_charged);
async fn tax_rules_are_replaced_and_charged(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    assert_eq!(admin.get(TAXES).await.expect(200)["items"], json!([]));
    let variant = shop.product().price(1_000).create().await;
    let cart = cart_of(&admin, variant, 1).await;
    let rules = json!({"items": [tax("FR", "standard", 2_000), tax("DE", "standard", 1_900), tax("DE", "books", 700)]});
    let set = admin.put(TAXES, rules).await.expect(200);
    assert_eq!(
        set["items"],
        json!([tax("DE", "books", 700), tax("DE", "standard", 1_900), tax("FR", "standard", 2_000)])
    );
    assert_eq!(admin.get(TAXES).await.expect(200), set);
    assert_eq!(admin.get(&cart).await.expect(200)["totals"]["tax"]["amount"], 160, "19 % within 10.00");
    admin.put(TAXES, json!({"items": []})).await.expect(200);
    assert_eq!(admin.get(&cart).await.expect(200)["totals"]["tax"]["amount"], 0);
}

on_both_engines!(shipping_methods_are_replaced_and_keep_their_ids);
async fn shipping_methods_are_replaced_and_keep_their_ids(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let variant = shop.product().price(1_000).create().await;
    let cart = cart_of(&guest, variant, 1).await;
    let mut slow = method("slow", 290);
    slow["rates"][0]["free_from"] = json!(5_000);
    slow["translations"] = json!({"de": {"name": "Langsam"}});
    let set = admin.put(SHIPPING, json!({"items": [slow, method("fast", 990)]})).await.expect(200);
    assert_eq!(
        (&set["items"][0]["code"], &set["items"][0]["tax_class"]),
        (&json!("slow"), &json!("standard"))
    );
    assert_eq!(guest.get("/v1/shipping-methods").await.expect(200), set);
    assert_eq!(guest.get(&cart).await.expect(200)["totals"]["shipping"]["amount"], 290);

    let mut off = method("slow", 100);
    off["active"] = json!(false);
    let again = admin.put(SHIPPING, json!({"items": [method("new", 500), off]})).await.expect(200);
    assert_eq!(ids(&again)[1], ids(&set)[0], "the same code keeps its id");
    assert_eq!(admin.get(SHIPPING).await.expect(200), again);
    let offered = guest.get("/v1/shipping-methods").await.expect(200);
    assert_eq!(ids(&offered), [ids(&again)[0]]);
    assert_eq!(guest.get(&cart).await.expect(200)["totals"]["shipping"]["amount"], 500);
}

on_both_engines!(a_checkout_fails_with_a_method_that_does_not_ship_to_the_country);
async fn a_checkout_fails_with_a_method_that_does_not_ship_to_the_country(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let mut domestic = method("domestic", 290);
    domestic["rates"][0]["country"] = json!("FR");
    admin.put(SHIPPING, json!({"items": [domestic, method("anywhere", 990)]})).await.expect(200);
    let variant = shop.product().price(1_000).stock(1).create().await;
    let cart = cart_of(&guest, variant, 1).await;
    let check_out = async |code: &str| {
        let mut body = checkout_body("tok_ok");
        body["shipping_method"] = json!(code);
        guest.post(&format!("{cart}/checkout"), body).await
    };

    assert_eq!(check_out("none").await.faults(), faults([("/shipping_method", "not_found")]));
    let response = check_out("domestic").await;
    assert_eq!(response.faults(), faults([("/shipping_method", "does_not_ship")]));
    let fault = response.json()["errors"][0].clone();
    let detail = "There is no shipping to DE with a price in EUR.";
    assert_eq!((&fault["country"], &fault["detail"]), (&json!("DE"), &json!(detail)), "{fault}");
    check_out("anywhere").await.expect(201);

    let ordered = check_out("anywhere").await;
    assert_eq!(ordered.problem(409), "order_processing");
    assert_eq!(ordered.json()["detail"], "The cart is already ordered.");
}

on_both_engines!(each_fault_of_a_rate_has_its_location_and_nothing_is_saved);
async fn each_fault_of_a_rate_has_its_location_and_nothing_is_saved(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    admin.put(TAXES, json!({"items": [tax("DE", "standard", 1_900)]})).await.expect(200);
    let put = async |path: &str, items: Value| admin.put(path, json!({"items": items})).await.faults();
    let items = json!([tax("DE", "standard", 1), tax("DE", "standard", 10_000)]);
    assert_eq!(put(TAXES, items).await, faults([("/items/1", "duplicate")]));
    let expected = faults([("/items/0/rate/basis_points", "maximum")]);
    assert_eq!(put(TAXES, json!([tax("DE", "standard", 10_001)])).await, expected);
    let items = json!([tax("UK", "Standard", -1), {"country": "DE", "rate": {"basis_points": 1.5}}]);
    let expected = faults([
        ("/items/0/country", "format"),
        ("/items/0/rate/basis_points", "minimum"),
        ("/items/0/tax_class", "format"),
        ("/items/1/rate/basis_points", "not_an_integer"),
        ("/items/1/rate/inclusive", "required"),
        ("/items/1/tax_class", "required"),
    ]);
    assert_eq!(put(TAXES, items).await, expected);
    assert_eq!(admin.get(TAXES).await.expect(200)["items"].as_array().unwrap().len(), 1);

    let mut twice = method("a", 1);
    twice["rates"] = json!([{"currency": "EUR", "amount": 1}, {"country": "DE", "currency": "EUR", "amount": 1},
                            {"currency": "EUR", "amount": 2}]);
    twice["translations"] = json!({"german": {"name": "A", "description": "B"}, "d": {"name": "A"}});
    let expected = faults([
        ("/items/0/rates/2", "duplicate"),
        ("/items/0/translations/d", "format"),
        ("/items/0/translations/german/description", "unknown"),
        ("/items/1/code", "duplicate"),
    ]);
    assert_eq!(put(SHIPPING, json!([twice, method("a", 1)])).await, expected);
    let items = json!([{"code": "", "name": "a", "rates": [{"currency": "EURO", "amount": -1, "zone": 1}]}]);
    let expected = faults([
        ("/items/0/code", "too_short"),
        ("/items/0/rates/0/amount", "minimum"),
        ("/items/0/rates/0/currency", "format"),
        ("/items/0/rates/0/zone", "unknown"),
    ]);
    assert_eq!(put(SHIPPING, items).await, expected);
    let many: Vec<_> = (0..101).map(|number| method(&number.to_string(), 1)).collect();
    assert_eq!(put(SHIPPING, json!(many)).await, faults([("/items", "too_many")]));
    assert_eq!(admin.get(SHIPPING).await.expect(200)["items"], json!([]));
}

on_both_engines!(only_administrators_set_rates);
async fn only_administrators_set_rates(shop: &Shop) {
    let server = shop.server().await;
    let requests =
        [(Method::GET, TAXES), (Method::PUT, TAXES), (Method::GET, SHIPPING), (Method::PUT, SHIPPING)];
    assert_for_administrators(server, &requests).await;
}
