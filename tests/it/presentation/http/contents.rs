//! The content of a product is for those who paid for it: buyers, guests with the token of their order, and subscribers
//! until their paid time ends.

use http::Method;
use serde_json::{Value, json};
use undercroft::domain::product::ProductKind;
use undercroft::domain::state::State;

use crate::support::http::{cart_of, checkout_body, order_of};
use crate::support::store::{execute, manual_capture};
use crate::support::{Shop, ShopOptions, TestClient, TestResponse};

const SONG: &[u8] = b"la la la";

/// Uploads the content of a product; returns the file.
async fn upload(admin: &TestClient, product: &Value) -> Value {
    let path = format!("/admin/v1/files?name=song.txt&product_id={}", product.as_str().unwrap());
    admin.with("content-type", "text/plain").raw(Method::POST, &path, SONG.to_vec()).await.expect(201)
}

fn url(file: &Value) -> &str {
    file["url"].as_str().unwrap()
}

/// Buys a digital product; returns the order.
async fn buy(shop: &Shop, client: &TestClient) -> Value {
    order_of(client, shop.product().with("kind", ProductKind::Digital.name()).create().await).await
}

#[track_caller]
fn assert_hidden(response: &TestResponse) {
    assert_eq!(response.problem(404), "file_not_found");
}

on_both_engines!(a_content_is_downloaded_by_its_buyers_and_by_no_one_else);
async fn a_content_is_downloaded_by_its_buyers_and_by_no_one_else(shop: &Shop) {
    let server = shop.server().await;
    let (admin, buyer, other, guest) =
        (server.admin().await, server.customer().await, server.customer().await, server.guest());
    let order = buy(shop, &buyer).await;
    let file = upload(&admin, &order["items"][0]["product_id"]).await;
    let id = file["id"].as_str().unwrap();
    assert_eq!(
        (url(&file), &file["product_id"]),
        (&*format!("/v1/downloads/{id}"), &order["items"][0]["product_id"])
    );

    let whole = buyer.get(url(&file)).await;
    assert_eq!((whole.status, &whole.body[..]), (200, SONG));
    assert_eq!(whole.header("cache-control"), "private, no-cache");
    let mut vary = whole.headers.get_all("vary").iter();
    assert!(vary.any(|value| value == "authorization, cookie"), "{whole}");
    assert_eq!(whole.header("cross-origin-resource-policy"), "same-origin");
    let tag = whole.header("etag").to_owned();
    assert_eq!(buyer.with("if-none-match", &tag).get(url(&file)).await.status, 304);
    let part = buyer.with("range", "bytes=3-4").get(url(&file)).await;
    assert_eq!((part.status, &part.body[..], part.header("content-range")), (206, &b"la"[..], "bytes 3-4/8"));
    let head = buyer.send(Method::HEAD, url(&file), None).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "8", 0));

    for stranger in [&other, &guest, &admin] {
        assert_hidden(&stranger.get(url(&file)).await);
        assert_hidden(&stranger.with("if-none-match", &tag).get(url(&file)).await);
        assert_hidden(&stranger.with("range", "bytes=0-1").get(url(&file)).await);
        let with_order = format!("{}?order_id={}", url(&file), order["id"].as_str().unwrap());
        assert_hidden(&stranger.get(&with_order).await);
    }
    for client in [&buyer, &guest] {
        assert_hidden(&client.get(&format!("/v1/files/{id}")).await);
    }

    let listed = buyer.get(&format!("/v1/orders/{}/files", order["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(listed["items"][0]["id"], file["id"]);
    assert_eq!(&buyer.get(url(&listed["items"][0])).await.body[..], SONG);
    let refund = format!("/admin/v1/orders/{}/refund", order["id"].as_str().unwrap());
    admin.post(&refund, json!({})).await.expect(201);
    assert_hidden(&buyer.get(url(&file)).await);
}

on_both_engines!(the_faults_of_a_request_do_not_say_whether_there_is_a_file);
async fn the_faults_of_a_request_do_not_say_whether_there_is_a_file(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let order = buy(shop, &guest).await;
    let file = upload(&admin, &order["items"][0]["product_id"]).await;
    let (own, token) = (order["id"].as_str().unwrap(), order["token"].as_str().unwrap());
    let missing = format!("/v1/downloads/{}", uuid::Uuid::from_u128(1));
    for faulty in
        ["zz=1".to_owned(), "order_id=zz".into(), "token=%1b".into(), format!("order_id={own}&zz=1")]
    {
        for path in [url(&file), &missing] {
            assert_hidden(&guest.get(&format!("{path}?{faulty}")).await);
        }
    }
    let response = guest.get(&format!("{}?order_id={own}&token={token}&zz=1", url(&file))).await;
    assert_eq!(response.problem(422), "validation");
    let faults = response.json()["errors"].clone();
    assert_eq!(faults.as_array().unwrap().len(), 1, "{faults}");
}

on_both_engines!(a_guest_downloads_with_the_order_and_its_token);
async fn a_guest_downloads_with_the_order_and_its_token(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let (order, another) = (buy(shop, &guest).await, buy(shop, &guest).await);
    let file = upload(&admin, &order["items"][0]["product_id"]).await;
    let holder = guest.with("order-token", order["token"].as_str().unwrap());
    let listed = holder.get(&format!("/v1/orders/{}/files", order["id"].as_str().unwrap())).await.expect(200);
    let download = url(&listed["items"][0]);
    assert_eq!(&holder.get(download).await.body[..], SONG);
    assert_hidden(&guest.get(download).await);
    assert_hidden(&holder.get(url(&file)).await);
    let of_another = guest.with("order-token", another["token"].as_str().unwrap());
    assert_hidden(&of_another.get(download).await);
    let with_another = format!("{}?order_id={}", url(&file), another["id"].as_str().unwrap());
    assert_hidden(&of_another.get(&with_another).await);
    let missing = format!("{}?order_id={}", url(&file), uuid::Uuid::from_u128(1));
    assert_hidden(&holder.get(&missing).await);
}

on_both_engines!(
    a_content_waits_for_the_capture_of_the_payment,
    ShopOptions::default().terms(manual_capture())
);
async fn a_content_waits_for_the_capture_of_the_payment(shop: &Shop) {
    let server = shop.server().await;
    let (admin, buyer) = (server.admin().await, server.customer().await);
    let order = buy(shop, &buyer).await;
    let file = upload(&admin, &order["items"][0]["product_id"]).await;
    let id = order["id"].as_str().unwrap();
    assert_hidden(&buyer.get(url(&file)).await);
    let listed = buyer.get(&format!("/v1/orders/{id}/files")).await;
    assert_eq!(listed.problem(409), "order_processing");
    admin.post(&format!("/admin/v1/orders/{id}/capture"), json!({})).await.expect(201);
    assert_eq!(&buyer.get(url(&file)).await.body[..], SONG);
    buyer.get(&format!("/v1/orders/{id}/files")).await.expect(200);
}

on_both_engines!(a_subscriber_downloads_until_the_paid_time_ends);
async fn a_subscriber_downloads_until_the_paid_time_ends(shop: &Shop) {
    let server = shop.server().await;
    let (admin, subscriber) = (server.admin().await, server.customer().await);
    let cart = cart_of(&subscriber, shop.product().subscription().create().await, 1).await;
    let order = subscriber.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await.expect(201);
    let file = upload(&admin, &order["items"][0]["product_id"]).await;
    assert_eq!(&subscriber.get(url(&file)).await.body[..], SONG);

    let subscription = subscriber.get("/v1/subscriptions").await.expect(200)["items"][0]["id"].clone();
    let cancel = format!("/v1/subscriptions/{}/cancel", subscription.as_str().unwrap());
    subscriber.post(&cancel, json!({})).await.expect(200);
    assert_eq!(&subscriber.get(url(&file)).await.body[..], SONG, "the time is paid");
    execute(&shop.database, &["UPDATE subscriptions SET paid_until = created_at"]).await;
    assert_eq!(subscriber.get(url(&file)).await.problem(403), "subscription_expired");
    assert_hidden(&server.customer().await.get(url(&file)).await);
}

on_both_engines!(a_content_is_of_a_product_that_exists_and_is_no_image);
async fn a_content_is_of_a_product_that_exists_and_is_no_image(shop: &Shop) {
    let server = shop.server().await;
    let (admin, buyer) = (server.admin().await, server.customer().await);
    let missing = format!("/admin/v1/files?name=a&product_id={}", uuid::Uuid::from_u128(1));
    let text = admin.with("content-type", "text/plain");
    assert_eq!(text.raw(Method::POST, &missing, SONG.to_vec()).await.problem(404), "product_not_found");
    let order = buy(shop, &buyer).await;
    let product = order["items"][0]["product_id"].as_str().unwrap();
    let path = format!("/admin/v1/files?name=a.png&product_id={product}");
    let png = admin.with("content-type", "image/png");
    let picture = png.raw(Method::POST, &path, b"\x89PNG\r\n\x1a\n".to_vec()).await.expect(201);
    let images = json!([{"file_id": picture["id"], "alternative_text": ""}]);
    let variants = json!([{"sku": "IMAGE", "price": {"amount": 1, "currency": "EUR"}}]);
    let draft = json!({"name": "A", "images": images, "variants": variants});
    let refused = admin.post("/admin/v1/products", draft).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/images/0/file_id", "{refused}");
    admin.delete(&format!("/admin/v1/files/{}", picture["id"].as_str().unwrap())).await.expect(204);
}
