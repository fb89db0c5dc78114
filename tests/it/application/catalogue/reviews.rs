//! Reviews of products: one of each buyer, shown once it is approved.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::application::people::{new_key, newcomer};
use crate::support::http::{created, faults, order_of};
use crate::support::store::value;
use crate::support::{Shop, TestClient, TestServer};

/// Registers a customer who buys a product; returns the customer and the path of the product's reviews.
async fn buyer(server: &TestServer, email: &str) -> (TestClient, String) {
    let variant = server.product().price(1_299).stock(5).create().await;
    let buyer = newcomer(server, email).await;
    let order = order_of(&buyer, variant).await;
    let path = format!("/v1/products/{}/reviews", order["items"][0]["product_id"].as_str().unwrap());
    (buyer, path)
}

/// The sum and count of the ratings of the only product.
async fn rating(server: &TestServer) -> [i64; 2] {
    let column = async |column: &str| {
        let sql = format!("SELECT {column} FROM products");
        value(server.store.database(), &sql, &[]).await
    };
    [column("rating_sum").await, column("rating_count").await]
}

/// A review with this rating.
fn rated(rating: i64) -> Value {
    json!({"rating": rating, "title": "Good", "body": "Dark and nutty.\nAgain!"})
}

on_both_engines!(a_buyer_reviews_once_and_moderation_publishes_it);
async fn a_buyer_reviews_once_and_moderation_publishes_it(shop: &Shop) {
    let server = shop.server().await;
    let (ann, path) = buyer(server, "ann@example.org").await;
    let admin = server.admin().await;
    let written = ann.post(&path, rated(4)).await;
    let review = written.expect(201);
    assert_eq!((&review["status"], &review["rating"]), (&json!("pending"), &json!(4)));
    assert_eq!(review["body"], "Dark and nutty.\nAgain!");
    assert_eq!(ann.get(written.header("location")).await.expect(200)["items"], json!([review]));
    assert_eq!(server.guest().get(&path).await.expect(200), json!({"items": [], "next_cursor": null}));
    assert_eq!(ann.post(&path, rated(5)).await.problem(409), "already_reviewed");

    let waiting = admin.get("/admin/v1/reviews").await.expect(200);
    assert_eq!(waiting["items"][0]["id"], review["id"]);
    assert_eq!(waiting["items"][0]["user_id"], ann.get("/v1/me").await.expect(200)["id"]);
    let one = format!("/admin/v1/reviews/{}", review["id"].as_str().unwrap());
    assert_eq!(admin.post(&format!("{one}/approve"), json!({})).await.expect(200)["status"], "approved");
    let shown = server.guest().get(&path).await.expect(200);
    assert_eq!((&shown["items"][0]["id"], &shown["items"][0]["title"]), (&review["id"], &json!("Good")));
    assert!(!shown.to_string().contains("user_id"), "{shown}");
    assert_eq!(rating(server).await, [4, 1]);
    assert_eq!(admin.post(&format!("{one}/approve"), json!({})).await.problem(409), "forbidden_transition");

    admin.post(&format!("{one}/reject"), json!({})).await.expect(200);
    assert_eq!(server.guest().get(&path).await.expect(200)["items"], json!([]));
    assert_eq!(rating(server).await, [0, 0]);
    let rejected = admin.get("/admin/v1/reviews?status=rejected").await.expect(200);
    assert_eq!(rejected["items"].as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/admin/v1/reviews?status=lost").await.problem(422), "validation");
}

on_both_engines!(of_concurrent_reviews_of_one_buyer_one_is_created);
async fn of_concurrent_reviews_of_one_buyer_one_is_created(shop: &Shop) {
    let server = shop.server().await;
    let (ann, path) = buyer(server, "ann@example.org").await;
    let path = Arc::new(path);
    let running: Vec<_> = (0..32)
        .map(|number| {
            let (ann, path) = (ann.clone(), Arc::clone(&path));
            tokio::spawn(async move { ann.post(&path, rated(number % 5 + 1)).await })
        })
        .collect();
    assert_eq!(created(running, "already_reviewed").await, 1);
    let mine = ann.get("/v1/me/reviews").await.expect(200);
    assert_eq!(mine["items"].as_array().unwrap().len(), 1);
}

on_both_engines!(creating_a_review_is_idempotent);
async fn creating_a_review_is_idempotent(shop: &Shop) {
    let server = shop.server().await;
    let (ann, path) = buyer(server, "ann@example.org").await;
    let keyed = ann.with("idempotency-key", &new_key());
    let first = keyed.post(&path, rated(4)).await;
    first.expect(201);
    let again = keyed.post(&path, rated(4)).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(keyed.post(&path, rated(5)).await.problem(422), "idempotency_key_reused");
}

on_both_engines!(only_buyers_review_existing_products);
async fn only_buyers_review_existing_products(shop: &Shop) {
    let server = shop.server().await;
    let (ann, path) = buyer(server, "ann@example.org").await;
    let bob = newcomer(server, "bob@example.org").await;
    let refused = bob.post(&path, rated(1)).await;
    assert_eq!(
        (refused.problem(403), &refused.json()["reason"]),
        ("unauthorized_access".into(), &json!("not_bought"))
    );
    assert_eq!(server.guest().post(&path, rated(1)).await.problem(401), "unauthorized_access");
    let nothing = "/v1/products/00000000-0000-7000-8000-000000000000/reviews";
    assert_eq!(ann.post(nothing, rated(1)).await.problem(404), "product_not_found");
    assert_eq!(ann.get(nothing).await.problem(404), "product_not_found");
    let missing = "/admin/v1/reviews/00000000-0000-7000-8000-000000000000/approve";
    assert_eq!(server.admin().await.post(missing, json!({})).await.problem(404), "review_not_found");
    for path in ["/admin/v1/reviews", "/admin/v1/reviews?status=pending"] {
        assert_eq!((ann.get(path).await.status, server.guest().get(path).await.status), (403, 401));
    }
    assert_eq!(ann.post(missing, json!({})).await.status, 403);

    let faulty = json!({"rating": 6, "title": "t".repeat(201), "body": "\u{7}", "stars": 5});
    let found = ann.post(&path, faulty).await.faults();
    let expected =
        [("/body", "character"), ("/rating", "maximum"), ("/stars", "unknown"), ("/title", "too_long")];
    assert_eq!(found, faults(expected));
    for rating in [json!(0), json!(4.5), json!("5"), Value::Null] {
        let found = ann.post(&path, json!({"rating": rating})).await.faults();
        assert_eq!(found[0].0, "/rating", "{rating}");
    }
    ann.post(&path, json!({"rating": 5})).await.expect(201);
}
