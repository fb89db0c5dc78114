//! Administrators list, retry and discard the events that a subscriber did not handle.

use serde_json::json;

use crate::support::orders::Sale;
use crate::support::store::fail_placed_orders;
use crate::support::{Shop, ShopOptions};

on_both_engines!(
    administrators_retry_and_discard_dead_letters,
    ShopOptions::default().unchecked("the test makes dead letters")
);
async fn administrators_retry_and_discard_dead_letters(shop: &Shop) {
    for _ in 0..2 {
        Sale::begin(shop, 5, "tok_ok").await;
    }
    fail_placed_orders(&shop.database).await;
    let server = shop.server().await;
    let admin = server.admin().await;
    server.customer().await.get("/admin/v1/dead-letters").await.expect(403);
    let list = admin.get("/admin/v1/dead-letters?subscriber=notifications&limit=1").await.expect(200);
    assert_eq!(list["items"][0]["event_type"], "order.placed");
    assert_eq!((&list["items"][0]["attempts"], &list["items"][0]["error"]), (&json!(8), &json!("refused")));
    let next = format!(
        "/admin/v1/dead-letters?subscriber=notifications&limit=1&cursor={}",
        list["next_cursor"].as_str().unwrap()
    );
    let second = admin.get(&next).await.expect(200);
    assert_eq!(second["next_cursor"], json!(null));
    let of_another = admin.get("/admin/v1/dead-letters?subscriber=mail").await.expect(200);
    assert_eq!(of_another["items"], json!([]));

    let path = |list: &serde_json::Value| {
        format!("/admin/v1/dead-letters/{}", list["items"][0]["id"].as_str().unwrap())
    };
    let (retried, discarded) = (format!("{}/retry", path(&list)), path(&second));
    admin.post(&retried, json!({})).await.expect(204);
    assert_eq!(admin.post(&retried, json!({})).await.problem(404), "dead_letter_not_found");
    admin.delete(&discarded).await.expect(204);
    assert_eq!(admin.delete(&discarded).await.problem(404), "dead_letter_not_found");
    assert_eq!(admin.get("/admin/v1/dead-letters").await.expect(200)["items"], json!([]));
}
