//! Carts over HTTP: lines, prices, discounts, concurrent changes, and access of their owners only.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::http::{checkout_body, faults, new_cart};
use crate::support::store::{execute, value};
use crate::support::{Shop, TestClient, TestResponse, TestServer};

/// The first fault of a refused request, without its text.
fn fault(response: &TestResponse) -> Value {
    assert_eq!(response.problem(422), "validation");
    let mut error = response.json()["errors"][0].clone();
    error.as_object_mut().unwrap().remove("detail");
    error
}

on_both_engines!(a_cart_is_filled_priced_and_emptied);
async fn a_cart_is_filled_priced_and_emptied(shop: &Shop) {
    let server = shop.server().await;
    let (dear, cheap) = (
        shop.product().price(1_999).stock(5).create().await,
        shop.product().price(250).stock(1_000).create().await,
    );
    let guest = server.guest();
    let cart = new_cart(&guest).await;
    let empty = guest.get(&cart).await.expect(200);
    assert_eq!((&empty["currency"], &empty["status"]), (&json!("EUR"), &json!("open")));
    assert_eq!(empty["totals"]["total"], json!({"amount": 0, "currency": "EUR"}));
    let checkout = guest.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await;
    assert_eq!(fault(&checkout), json!({"pointer": "", "code": "empty_cart"}));

    guest.post(&format!("{cart}/items"), json!({"variant_id": dear, "quantity": 2})).await.expect(200);
    let filled = guest.put(&format!("{cart}/items/{cheap}"), json!({"quantity": 3})).await.expect(200);
    let items: Vec<_> = filled["items"].as_array().unwrap().iter().map(|item| &item["variant_id"]).collect();
    assert_eq!(items, [&json!(dear), &json!(cheap)]);
    assert_eq!(filled["items"][0]["unit_price"], json!({"amount": 1_999, "currency": "EUR"}));
    assert_eq!((&filled["items"][0]["available"], &filled["items"][0]["quantity"]), (&json!(5), &json!(2)));
    assert_eq!(filled["totals"]["subtotal"]["amount"], 2 * 1_999 + 3 * 250);
    assert_eq!(guest.get(&cart).await.expect(200), filled);

    let fewer = guest.put(&format!("{cart}/items/{dear}"), json!({"quantity": 1})).await.expect(200);
    assert_eq!(fewer["totals"]["subtotal"]["amount"], 1_999 + 3 * 250);
    let left = guest.delete(&format!("{cart}/items/{dear}")).await.expect(200);
    assert_eq!(left["totals"]["subtotal"]["amount"], 3 * 250);
    assert_eq!(guest.delete(&format!("{cart}/items/{dear}")).await.problem(404), "variant_not_found");
}

on_both_engines!(the_faults_of_all_parts_of_a_request_are_listed_once_it_is_allowed);
async fn the_faults_of_all_parts_of_a_request_are_listed_once_it_is_allowed(shop: &Shop) {
    let guest = shop.server().await.guest().with("if-match", "7").with("idempotency-key", "a b");
    let listed = guest.post("/v1/carts/7/items", json!({"quantity": 0})).await;
    assert_eq!(
        listed.faults(),
        faults([
            ("/quantity", "minimum"),
            ("/variant_id", "required"),
            ("If-Match", "malformed"),
            ("id", "format"),
            ("idempotency-key", "character"),
        ])
    );
    let refused = guest.put("/admin/v1/products/7?x=1", json!({"quantity": 0})).await;
    assert_eq!(refused.problem(401), "unauthorized_access");
    let of_path = guest.put("/v1/carts/7/items/8", json!({"quantity": 0})).await;
    let expected =
        [("/quantity", "minimum"), ("If-Match", "malformed"), ("id", "format"), ("variant_id", "format")];
    assert_eq!(of_path.faults(), faults(expected));
}

on_both_engines!(what_a_route_does_not_read_is_listed_with_the_other_faults);
async fn what_a_route_does_not_read_is_listed_with_the_other_faults(shop: &Shop) {
    let guest = shop.server().await.guest();
    let listed = guest.with("if-match", "*").post("/v1/carts?x=1&b=2", json!({"colour": 7})).await;
    let expected = [("/colour", "unknown"), ("If-Match", "malformed"), ("b", "unknown"), ("x", "unknown")];
    assert_eq!(listed.faults(), faults(expected));

    // without another fault nothing is created, and each is refused as before
    assert_eq!(guest.post("/v1/carts?x=1", json!({})).await.faults(), faults([("x", "unknown")]));
    let conditional = guest.with("if-match", "*").post("/v1/carts", json!({})).await;
    assert_eq!(conditional.problem(400), "malformed_header");
    assert_eq!(guest.get("/v1/carts/7?x=1").await.faults(), faults([("id", "format"), ("x", "unknown")]));
    assert_eq!(guest.get("/v1/me?x=1").await.problem(401), "unauthorized_access");
}

on_both_engines!(of_fifty_concurrent_additions_of_a_piece_none_is_lost);
async fn of_fifty_concurrent_additions_of_a_piece_none_is_lost(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(100).stock(1_000).create().await;
    let guest = server.guest();
    let cart = new_cart(&guest).await;
    let adds = (0..50).map(|_| {
        let (guest, path) = (guest.clone(), format!("{cart}/items"));
        tokio::spawn(async move { guest.post(&path, json!({"variant_id": variant, "quantity": 1})).await })
    });
    for add in adds.collect::<Vec<_>>() {
        add.await.unwrap().expect(200);
    }
    let cart = guest.get(&cart).await.expect(200);
    assert_eq!(cart["items"].as_array().unwrap().len(), 1);
    assert_eq!(cart["items"][0]["quantity"], 50);
}

on_both_engines!(a_repeated_add_with_its_key_adds_once);
async fn a_repeated_add_with_its_key_adds_once(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(100).stock(1_000).create().await;
    let cart = new_cart(&server.guest()).await;
    let keyed = server.guest().with("idempotency-key", &Uuid::from_u128(7).to_string());
    let body = json!({"variant_id": variant, "quantity": 2});
    let first = keyed.post(&format!("{cart}/items"), body.clone()).await;
    let again = keyed.post(&format!("{cart}/items"), body.clone()).await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(first.header("etag"), again.header("etag"));
    let sql = "SELECT body FROM idempotency_keys WHERE scope LIKE '%/items'";
    let stored: Vec<u8> = value(&shop.database, sql, &[]).await;
    assert!(stored.len() < 64, "{} bytes are stored", stored.len());
    let other = json!({"variant_id": variant, "quantity": 3});
    assert_eq!(keyed.post(&format!("{cart}/items"), other).await.problem(422), "idempotency_key_reused");
    assert_eq!(server.guest().get(&cart).await.json()["items"][0]["quantity"], 2);
    let item = format!("{cart}/items/{variant}");
    let changed = server.guest().put(&item, json!({"quantity": 5})).await.expect(200);
    let later = keyed.post(&format!("{cart}/items"), body).await.expect(200);
    assert_eq!(later, changed, "the cart as it is now");

    let carts = [keyed.post("/v1/carts", json!({})).await, keyed.post("/v1/carts", json!({})).await];
    assert_eq!((carts[0].status, &carts[0].body), (201, &carts[1].body));
    assert_eq!(carts[0].header("location"), carts[1].header("location"));
}

on_both_engines!(invalid_lines_are_refused_by_field);
async fn invalid_lines_are_refused_by_field(shop: &Shop) {
    let server = shop.server().await;
    let database = server.store.database();
    let variant = shop.product().price(100).stock(1_000).create().await;
    let guest = server.guest();
    let cart = new_cart(&guest).await;
    let items = format!("{cart}/items");
    for (quantity, code) in [(json!(0), "minimum"), (json!(-1), "minimum"), (json!(10_000), "maximum")] {
        let response = guest.post(&items, json!({"variant_id": variant, "quantity": quantity})).await;
        assert_eq!(
            (&fault(&response)["pointer"], &fault(&response)["code"]),
            (&json!("/quantity"), &json!(code))
        );
        let response = guest.put(&format!("{items}/{variant}"), json!({"quantity": quantity})).await;
        assert_eq!(fault(&response)["code"], code);
    }
    guest.put(&format!("{items}/{variant}"), json!({"quantity": 9_999})).await.expect(200);
    let response = guest.post(&items, json!({"variant_id": variant, "quantity": 1})).await;
    assert_eq!(fault(&response), json!({"pointer": "/quantity", "code": "maximum", "maximum": 9_999}));

    let unknown = Uuid::from_u128(1);
    let response = guest.post(&items, json!({"variant_id": unknown, "quantity": 1})).await;
    assert_eq!(fault(&response), json!({"pointer": "/variant_id", "code": "not_found"}));
    let response = guest.put(&format!("{items}/{unknown}"), json!({"quantity": 1})).await;
    assert_eq!(fault(&response), json!({"parameter": "variant_id", "code": "not_found"}));

    let dollars = guest.post("/v1/carts", json!({"currency": "USD"})).await.expect(201);
    let items = format!("/v1/carts/{}/items", dollars["id"].as_str().unwrap());
    let response = guest.post(&items, json!({"variant_id": variant, "quantity": 1})).await;
    assert_eq!(fault(&response)["code"], "not_sold_in");

    execute(database, &["UPDATE variants SET active = FALSE"]).await;
    let other = new_cart(&guest).await;
    let response = guest.post(&format!("{other}/items"), json!({"variant_id": variant, "quantity": 1})).await;
    assert_eq!(fault(&response)["code"], "not_found", "the variant is inactive");
    let shown = guest.get(&cart).await.expect(200);
    assert_eq!((&shown["items"][0]["for_sale"], &shown["items"][0]["total"]), (&json!(false), &Value::Null));
    assert_eq!(shown["totals"]["total"]["amount"], 0);
}

on_both_engines!(a_cart_has_at_most_two_hundred_lines);
async fn a_cart_has_at_most_two_hundred_lines(shop: &Shop) {
    let server = shop.server().await;
    let guest = server.guest();
    let cart = new_cart(&guest).await;
    let mut last = None;
    for _ in 0..200 {
        let variant = shop.product().price(100).stock(10).create().await;
        guest.put(&format!("{cart}/items/{variant}"), json!({"quantity": 1})).await.expect(200);
        last = Some(variant);
    }
    let more = shop.product().price(100).stock(10).create().await;
    let response = guest.put(&format!("{cart}/items/{more}"), json!({"quantity": 1})).await;
    assert_eq!(fault(&response), json!({"parameter": "variant_id", "code": "too_many", "max_items": 200}));
    let again = format!("{cart}/items/{}", last.unwrap());
    guest.put(&again, json!({"quantity": 2})).await.expect(200);
    assert_eq!(guest.get(&cart).await.json()["items"].as_array().unwrap().len(), 200);
}

/// Raises the price of the variant of the first line of a cart.
const RAISE: &[&str] = &["UPDATE variants SET prices = '{\"EUR\": 9000000000000000000}' \
             WHERE id = (SELECT variant_id FROM cart_items ORDER BY position LIMIT 1)"];

on_both_engines!(a_line_whose_price_is_too_large_is_shown_without_one);
async fn a_line_whose_price_is_too_large_is_shown_without_one(shop: &Shop) {
    let server = shop.server().await;
    let dear = shop.product().price(100).stock(10).create().await;
    let cheap = shop.product().price(250).stock(10).create().await;
    let guest = server.guest();
    let cart = new_cart(&guest).await;
    for variant in [dear, cheap] {
        guest.put(&format!("{cart}/items/{variant}"), json!({"quantity": 2})).await.expect(200);
    }
    execute(server.store.database(), RAISE).await;

    let shown = guest.get(&cart).await.expect(200);
    let item = &shown["items"][0];
    assert_eq!((&item["for_sale"], &item["reason"]), (&json!(false), &json!("amount_too_large")));
    assert_eq!((&item["total"], &shown["items"][1]["reason"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["totals"]["total"]["amount"], 500);
    let more = guest.put(&format!("{cart}/items/{dear}"), json!({"quantity": 3})).await;
    assert_eq!(fault(&more), json!({"pointer": "/quantity", "code": "amount_too_large"}));
    guest.delete(&format!("{cart}/items/{dear}")).await.expect(200);
}

on_both_engines!(a_guests_idempotency_key_must_be_long);
async fn a_guests_idempotency_key_must_be_long(shop: &Shop) {
    let server = shop.server().await;
    let (short, long) = ("k".repeat(21), "k".repeat(22));
    let refused = server.guest().with("idempotency-key", &short).post("/v1/carts", json!({})).await;
    assert_eq!(fault(&refused), json!({"header": "idempotency-key", "code": "too_short", "min_length": 22}));
    server.guest().with("idempotency-key", &long).post("/v1/carts", json!({})).await.expect(201);
    server.customer().await.with("idempotency-key", "1").post("/v1/carts", json!({})).await.expect(201);
}

on_both_engines!(a_users_cart_is_hidden_from_others);
async fn a_users_cart_is_hidden_from_others(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(100).stock(10).create().await;
    let (owner, other, guest) = (server.customer().await, server.customer().await, server.guest());
    assert_eq!(owner.get("/v1/me/cart").await.problem(404), "cart_not_found");
    let cart = new_cart(&owner).await;
    owner.put(&format!("{cart}/items/{variant}"), json!({"quantity": 1})).await.expect(200);
    for stranger in [&other, &guest, &server.admin().await] {
        let item = format!("{cart}/items/{variant}");
        let responses = [
            stranger.get(&cart).await,
            stranger.put(&item, json!({"quantity": 5})).await,
            stranger.delete(&item).await,
            stranger.post(&format!("{cart}/items"), json!({"variant_id": variant, "quantity": 1})).await,
            stranger.put(&format!("{cart}/discount"), json!({"code": "X"})).await,
            stranger.delete(&format!("{cart}/discount")).await,
        ];
        for response in responses {
            assert_eq!(response.problem(404), "cart_not_found", "{response}");
        }
    }
    assert_eq!(owner.get(&cart).await.json()["items"][0]["quantity"], 1);
    assert_eq!(owner.get("/v1/me/cart").await.expect(200), owner.get(&cart).await.expect(200));
}

on_both_engines!(a_discount_is_applied_and_reported_when_it_no_longer_applies);
async fn a_discount_is_applied_and_reported_when_it_no_longer_applies(shop: &Shop) {
    let server = shop.server().await;
    let database = server.store.database();
    let variant = shop.product().price(1_000).stock(10).create().await;
    execute(
        database,
        &["INSERT INTO discounts (id, code, code_key, basis_points, usage_limit, used, active, version, created_at, \
           updated_at) SELECT id, 'Ten', 'TEN', 1000, 5, 0, TRUE, 1, created_at, created_at FROM products"],
    )
    .await;
    let guest = server.guest();
    let cart = new_cart(&guest).await;
    guest.put(&format!("{cart}/items/{variant}"), json!({"quantity": 2})).await.expect(200);
    let path = format!("{cart}/discount");
    assert_eq!(guest.put(&path, json!({"code": "none"})).await.problem(422), "invalid_discount_code");
    assert_eq!(guest.get(&cart).await.json()["discount"], Value::Null);
    let with = guest.put(&path, json!({"code": "TEN"})).await.expect(200);
    assert_eq!(with["discount"], json!({"code": "TEN", "applies": true, "reason": null}));
    assert_eq!(with["totals"]["discount"]["amount"], 200);
    assert_eq!(with["totals"]["total"]["amount"], 1_800);

    execute(database, &["UPDATE discounts SET active = FALSE"]).await;
    let shown = guest.get(&cart).await.expect(200);
    assert_eq!(shown["discount"], json!({"code": "TEN", "applies": false, "reason": "inactive"}));
    assert_eq!(shown["totals"]["total"]["amount"], 2_000);
    assert_eq!(guest.delete(&path).await.expect(200)["discount"], Value::Null);
}

on_both_engines!(a_change_of_a_stale_cart_is_refused);
async fn a_change_of_a_stale_cart_is_refused(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(100).stock(10).create().await;
    let guest = server.guest();
    let cart = new_cart(&guest).await;
    let seen = guest.get(&cart).await;
    let tag = seen.header("etag").to_owned();
    assert_eq!(guest.with("if-none-match", &tag).get(&cart).await.status, 304);
    let item = format!("{cart}/items/{variant}");
    let changed = guest.with("if-match", &tag).put(&item, json!({"quantity": 1})).await;
    changed.expect(200);
    assert_ne!(changed.header("etag"), tag);
    let late = guest.with("if-match", &tag).put(&item, json!({"quantity": 2})).await;
    assert_eq!(late.problem(412), "precondition_failed");
    let current = guest.get(&cart).await;
    assert_eq!(current.header("etag"), changed.header("etag"));
    assert_eq!(current.json()["items"][0]["quantity"], 1);
    assert_eq!(guest.with("if-none-match", &tag).get(&cart).await.status, 200);
}

async fn log_in(server: &TestServer, email: &str, cart: &str) -> TestClient {
    let cart_id = cart.trim_start_matches("/v1/carts/");
    let body = json!({"email": email, "password": "correct horse battery", "cart_id": cart_id});
    let session = server.guest().post("/v1/sessions", body).await.expect(201);
    server.guest().with("authorization", &format!("Bearer {}", session["token"].as_str().unwrap()))
}

on_both_engines!(a_guests_cart_becomes_the_users_at_log_in);
async fn a_guests_cart_becomes_the_users_at_log_in(shop: &Shop) {
    let server = shop.server().await;
    let (one, two) = (
        shop.product().price(100).stock(10).create().await,
        shop.product().price(100).stock(10).create().await,
    );
    let guest = server.guest();
    let account = json!({"email": "ann@shop.example", "password": "correct horse battery"});
    guest.post("/v1/users", account).await.expect(201);
    let first = new_cart(&guest).await;
    guest.put(&format!("{first}/items/{one}"), json!({"quantity": 9_000})).await.expect(200);

    let user = log_in(server, "ann@shop.example", &first).await;
    assert_eq!(user.get("/v1/me/cart").await.expect(200), user.get(&first).await.expect(200));
    assert_eq!(guest.get(&first).await.problem(404), "cart_not_found", "it is the user's now");

    let second = new_cart(&guest).await;
    guest.put(&format!("{second}/items/{one}"), json!({"quantity": 2_000})).await.expect(200);
    guest.put(&format!("{second}/items/{two}"), json!({"quantity": 3})).await.expect(200);
    let user = log_in(server, "ann@shop.example", &second).await;
    let cart = user.get("/v1/me/cart").await.expect(200);
    assert_eq!(format!("/v1/carts/{}", cart["id"].as_str().unwrap()), first);
    let quantities: Vec<_> = cart["items"].as_array().unwrap().iter().map(|item| &item["quantity"]).collect();
    assert_eq!(quantities, [9_999, 3], "added, up to the most pieces of a line");
    assert_eq!(user.get(&second).await.problem(404), "cart_not_found", "it was merged");

    let theirs = new_cart(&server.customer().await).await;
    log_in(server, "ann@shop.example", &theirs).await;
    assert_eq!(
        user.get(&theirs).await.problem(404),
        "cart_not_found",
        "the cart of another user is not merged"
    );
}
