//! Administrators list events, see the subscribers, and replay events.

use serde_json::{Value, json};

use crate::support::http::{cart_of, checkout_body, faults};
use crate::support::orders::Sale;
use crate::support::{Shop, TestClient, eventually};

on_both_engines!(administrators_list_events_newest_first);
async fn administrators_list_events_newest_first(shop: &Shop) {
    for _ in 0..3 {
        Sale::begin(shop, 5, "tok_ok").await;
    }
    let server = shop.server().await;
    let admin = server.admin().await;
    server.customer().await.get("/admin/v1/events").await.expect(403);
    let first = admin.get("/admin/v1/events?type=order.placed&limit=2").await.expect(200);
    let next = first["next_cursor"].as_str().unwrap();
    let second =
        admin.get(&format!("/admin/v1/events?type=order.placed&limit=2&cursor={next}")).await.expect(200);
    assert_eq!(second["next_cursor"], Value::Null);
    let numbers: Vec<_> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|event| event["data"]["number"].as_i64().unwrap())
        .collect();
    assert!(numbers.len() == 3 && numbers.is_sorted_by(|one, next| one > next), "{numbers:?}");

    let event = &first["items"][0];
    let of_order =
        admin.get(&format!("/admin/v1/events?subject={}", text(&event["subject"]))).await.expect(200);
    assert!(of_order["items"].as_array().unwrap().contains(event));
    let path = format!("/admin/v1/events/{}", text(&event["id"]));
    assert_eq!(&admin.get(&path).await.expect(200), event);
    let unknown = "/admin/v1/events/01890000-0000-7000-8000-000000000000";
    assert_eq!(admin.get(unknown).await.problem(404), "event_not_found");
    let of_another_filter = format!("/admin/v1/events?limit=2&cursor={next}");
    assert_eq!(admin.get(&of_another_filter).await.problem(422), "validation");
}

on_both_engines!(what_a_request_causes_belongs_to_its_trace);
async fn what_a_request_causes_belongs_to_its_trace(shop: &Shop) {
    let server = shop.server().await;
    let (admin, user) = (server.admin().await, server.customer().await);
    let variant = shop.product().create().await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = user.with("traceparent", &format!("00-{trace_id}-00f067aa0ba902b7-01"));
    let order = crate::support::http::order_of(&traced, variant).await;
    let path = format!("/admin/v1/events?subject={}", text(&order["id"]));
    let events = admin.get(&path).await.expect(200)["items"].clone();
    let types: Vec<_> = events.as_array().unwrap().iter().map(|event| text(&event["type"])).collect();
    assert!(types.contains(&"order.placed") && types.contains(&"order.paid"), "{types:?}");
    for event in events.as_array().unwrap() {
        assert_eq!(event["trace_id"], trace_id, "{event}");
    }

    let malformed = user.with("traceparent", "00-none-of-this");
    let order = crate::support::http::order_of(&malformed, variant).await;
    let path = format!("/admin/v1/events?type=order.placed&subject={}", text(&order["id"]));
    let event = &admin.get(&path).await.expect(200)["items"][0];
    assert_eq!(event["trace_id"].as_str().map(str::len), Some(32), "a new trace: {event}");
}

on_both_engines!(the_id_of_a_cart_is_published_if_it_has_an_owner);
async fn the_id_of_a_cart_is_published_if_it_has_an_owner(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest, user) = (server.admin().await, server.guest(), server.customer().await);
    let variant = shop.product().stock(9).create().await;
    let of_guest = cart_of(&guest, variant, 1).await;
    let of_user = cart_of(&user, variant, 1).await;
    let declined = guest.post(&format!("{of_guest}/checkout"), checkout_body("tok_declined")).await;
    assert_eq!(declined.problem(402), "payment_failed");
    assert_eq!(guest.get(&of_guest).await.expect(200)["status"], "open");
    // a user checks out the cart of a guest, and the own one
    for cart in [&of_guest, &of_user] {
        user.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await.expect(201);
    }

    let events = admin.get("/admin/v1/events?type=order.placed").await.expect(200)["items"].clone();
    let carts: Vec<_> = events.as_array().unwrap().iter().map(|event| &event["data"]["cart_id"]).collect();
    let id = of_user.trim_start_matches("/v1/carts/");
    assert_eq!(carts, [&json!(id), &Value::Null, &Value::Null]);
    let all = admin.get("/admin/v1/events?limit=100").await.expect(200);
    assert!(!all.to_string().contains(of_guest.trim_start_matches("/v1/carts/")), "{all}");
}

on_both_engines!(administrators_replay_events_to_a_subscriber);
async fn administrators_replay_events_to_a_subscriber(shop: &Shop) {
    let server = shop.server().await;
    let (admin, user) = (server.admin().await, server.customer().await);
    let variant = shop.product().create().await;
    let order = crate::support::http::order_of(&user, variant).await;
    wait_for_notifications(&user, 1).await;
    let subscribers = admin.get("/admin/v1/subscribers").await.expect(200);
    let notifications = &subscribers["items"][0];
    assert_eq!(
        (&notifications["name"], &notifications["dead_letters"]),
        (&json!("notifications"), &json!(0))
    );
    assert!(notifications["types"].as_array().unwrap().contains(&json!("order.paid")));

    let path = "/admin/v1/subscribers/notifications/replay";
    let paid = admin
        .get(&format!("/admin/v1/events?type=order.paid&subject={}", text(&order["id"])))
        .await
        .expect(200);
    let one = json!({"event_id": paid["items"][0]["id"]});
    assert_eq!(admin.post(path, one).await.expect(200), json!({"events": 1}));
    wait_for_notifications(&user, 2).await;
    let later = json!({"type": "order.paid", "since": "2100-01-01T00:00:00Z"});
    assert_eq!(admin.post(path, later).await.expect(200), json!({"events": 0}));
    let unknown = admin.post("/admin/v1/subscribers/unknown/replay", json!({"type": "order.paid"})).await;
    assert_eq!(unknown.problem(404), "subscriber_not_found");
    user.post(path, json!({})).await.expect(403);
    assert_eq!(admin.post(path, json!({})).await.faults(), faults([("/since", "required")]));
    let of_another_type = admin.post(path, json!({"type": "order.eaten"})).await;
    assert_eq!(of_another_type.faults(), faults([("/type", "not_allowed")]));
    let unknown = json!({"event_id": "01890000-0000-7000-8000-000000000000"});
    assert_eq!(admin.post(path, unknown).await.problem(404), "event_not_found");
}

async fn wait_for_notifications(user: &TestClient, count: usize) {
    eventually("notifications", async || {
        let list = user.get("/v1/notifications").await.expect(200);
        list["items"].as_array().unwrap().len() >= count
    })
    .await;
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
