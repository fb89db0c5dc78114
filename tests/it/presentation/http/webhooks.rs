//! Events are sent to webhook endpoints, signed, and again until they are acknowledged.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use undercroft::application::webhooks::deliveries;
use undercroft::domain::ids::{WebhookDeliveryId, WebhookEndpointId};
use undercroft::domain::webhook::{WebhookDelivery, WebhookDeliveryStatus, WebhookEndpoint, WebhookSecret};
use undercroft::infrastructure::repositories::{DatabaseError, WebhookAttempt, WebhookRepository};

use crate::support::http::{faults, order_of};
use crate::support::store::{execute, value};
use crate::support::{Shop, ShopOptions, TestClient, eventually};

const ENDPOINTS: &str = "/admin/v1/webhook-endpoints";

/// A server of another service, which receives webhooks.
struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    status: Arc<AtomicU16>,
}

impl Receiver {
    /// Starts a receiver that responds with 204 after a wait.
    async fn start(wait: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (received, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(204)));
        let (log, response) = (Arc::clone(&received), Arc::clone(&status));
        let receive = async move |headers: HeaderMap, body: String| {
            log.lock().unwrap().push((headers, body));
            tokio::time::sleep(wait).await;
            let status = StatusCode::from_u16(response.load(Ordering::SeqCst)).unwrap();
            let wait = if status.is_redirection() { "3600" } else { "0" };
            (status, [("retry-after", wait), ("location", "/elsewhere")])
        };
        tokio::spawn(async { axum::serve(listener, Router::new().route("/hook", post(receive))).await });
        Self { url, received, status }
    }

    /// Waits until a number of messages was received; returns them.
    async fn wait_for(&self, count: usize) -> Vec<(HeaderMap, String)> {
        for _ in 0..600 {
            let received = self.received.lock().unwrap().clone();
            if received.len() >= count {
                return received;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} messages of {count}", self.received.lock().unwrap().len());
    }
}

/// Creates an endpoint for paid orders; returns it with its secret.
async fn endpoint(admin: &TestClient, url: &str) -> Value {
    admin.post(ENDPOINTS, json!({"url": url, "event_types": ["order.paid"]})).await.expect(201)
}

fn path_of(endpoint: &Value) -> String {
    format!("{ENDPOINTS}/{}", endpoint["id"].as_str().unwrap())
}

/// Waits until the newest delivery to an endpoint has a status; returns it.
async fn delivery(admin: &TestClient, endpoint: &Value, status: &str) -> Value {
    let path = format!("{}/deliveries", path_of(endpoint));
    for _ in 0..600 {
        let list = admin.get(&path).await.expect(200);
        if list["items"][0]["status"] == status && list["items"][0]["attempted_at"].is_string() {
            return list["items"][0].clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the newest delivery is not {status}");
}

/// Computes the signature of a message, as a receiver does to verify it.
fn signature(secret: &str, headers: &HeaderMap, body: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.{body}", text("webhook-id"), text("webhook-timestamp")).as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

on_both_engines!(an_event_is_sent_signed_to_the_endpoints_for_its_type);
async fn an_event_is_sent_signed_to_the_endpoints_for_its_type(shop: &Shop) {
    let (receiver, other) = (Receiver::start(Duration::ZERO).await, Receiver::start(Duration::ZERO).await);
    let server = shop.server().await;
    let (admin, user) = (server.admin().await, server.customer().await);
    let created = endpoint(&admin, &receiver.url).await;
    let for_others = json!({"url": other.url, "event_types": ["review.written"]});
    admin.post(ENDPOINTS, for_others).await.expect(201);
    let inactive = json!({"url": other.url, "active": false});
    admin.post(ENDPOINTS, inactive).await.expect(201);

    let traced = user.with("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let traced = traced.with("tracestate", "vendor=1");
    let order = order_of(&traced, shop.product().create().await).await;
    let (headers, body) = receiver.wait_for(1).await.remove(0);
    let event: Value = serde_json::from_str(&body).unwrap();
    let trace = headers["traceparent"].to_str().unwrap();
    assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{trace}");
    assert_eq!((trace, headers.get("tracestate")), (event["traceparent"].as_str().unwrap(), None));
    assert_eq!((&event["specversion"], &event["type"]), (&json!("1.0"), &json!("order.paid")));
    assert_eq!((&event["subject"], &event["data"]["order_id"]), (&order["id"], &order["id"]));
    assert_eq!(headers["content-type"], "application/cloudevents+json");
    assert_eq!(headers["webhook-id"], event["id"].as_str().unwrap());
    let secret = created["secret"].as_str().unwrap();
    assert_eq!(headers["webhook-signature"], signature(secret, &headers, &body).as_str());

    let sent = delivery(&admin, &created, "delivered").await;
    assert_eq!((&sent["attempts"], &sent["response_status"]), (&json!(1), &json!(204)));
    assert_eq!(sent["due_at"], Value::Null);
    assert_eq!(other.received.lock().unwrap().len(), 0);
    let shown = admin.get(&path_of(&created)).await.expect(200);
    assert!(shown.get("secret").is_none(), "{shown}");
}

on_both_engines!(an_endpoint_gets_its_events_when_who_created_it_may_not_read_them_any_more);
async fn an_endpoint_gets_its_events_when_who_created_it_may_not_read_them_any_more(shop: &Shop) {
    const LEAVE: &str =
        "UPDATE users SET role = 'customer' WHERE id IN (SELECT created_by FROM webhook_endpoints)";
    let receiver = Receiver::start(Duration::ZERO).await;
    let server = shop.server().await;
    let created = endpoint(&server.admin().await, &receiver.url).await;
    execute(&shop.database, &[LEAVE]).await;
    order_of(&server.customer().await, shop.product().create().await).await;
    receiver.wait_for(1).await;
    let shown = server.admin().await.get(&path_of(&created)).await.expect(200);
    assert_eq!((&shown["active"], &shown["created_by"]), (&json!(true), &created["created_by"]));
    assert!(shown["created_by"].is_string(), "{shown}");
}

on_both_engines!(a_message_is_sent_again_until_it_is_acknowledged, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn a_message_is_sent_again_until_it_is_acknowledged(shop: &Shop) {
    let receiver = Receiver::start(Duration::ZERO).await;
    receiver.status.store(500, Ordering::SeqCst);
    let server = shop.server().await;
    let (admin, user) = (server.admin().await, server.customer().await);
    let created = endpoint(&admin, &receiver.url).await;
    order_of(&user, shop.product().create().await).await;
    let failed = delivery(&admin, &created, "pending").await;
    assert_eq!(failed["error"], "the response has the status 500");
    assert_eq!(failed["response_status"], 500);
    assert!(admin.get(&path_of(&created)).await.expect(200)["failing_since"].is_string());

    receiver.status.store(200, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.received.lock().unwrap().len(), 1, "the next attempt is not due");
    shop.clock().advance(SignedDuration::from_secs(6));
    let received = receiver.wait_for(2).await;
    assert_eq!(received[0].1, received[1].1);
    for name in ["webhook-id", "traceparent"] {
        assert_eq!(received[0].0[name], received[1].0[name], "{name}");
    }
    assert_ne!(received[0].0["webhook-timestamp"], received[1].0["webhook-timestamp"]);
    assert_eq!(delivery(&admin, &created, "delivered").await["attempts"], 2);
    assert_eq!(admin.get(&path_of(&created)).await.expect(200)["failing_since"], Value::Null);
}

on_both_engines!(an_endpoint_that_fails_for_days_is_deactivated, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn an_endpoint_that_fails_for_days_is_deactivated(shop: &Shop) {
    let receiver = Receiver::start(Duration::ZERO).await;
    receiver.status.store(500, Ordering::SeqCst);
    let server = shop.server().await;
    let (admin, user) = (server.admin().await, server.customer().await);
    let created = endpoint(&admin, &receiver.url).await;
    let variant = shop.product().create().await;
    order_of(&user, variant).await;
    fail_every_attempt(shop, &receiver, 0).await;
    // sessions have expired by now
    let admin = server.admin().await;
    let dead = delivery(&admin, &created, "failed").await;
    assert_eq!((&dead["attempts"], &dead["due_at"]), (&json!(10), &Value::Null));
    assert_eq!(
        admin.get(&path_of(&created)).await.expect(200)["active"],
        true,
        "it fails for less than five days"
    );
    admin.post(&format!("{}/test", path_of(&created)), json!({})).await.expect(202);
    fail_every_attempt(shop, &receiver, 10).await;
    let admin = server.admin().await;
    delivery(&admin, &created, "failed").await;
    let deactivated = admin.get(&path_of(&created)).await.expect(200);
    assert_eq!(deactivated["active"], false);
    let notifications = "SELECT COUNT(*) FROM notifications WHERE kind = 'webhook_deactivated'";
    let sent = value::<i64>(&shop.database, notifications, &[]).await;
    // the last administrator may have been created before
    assert!((2..=3).contains(&sent), "one for each administrator by then: {sent}");
    let retry = format!("/admin/v1/webhook-deliveries/{}/retry", dead["id"].as_str().unwrap());
    assert_eq!(admin.post(&retry, json!({})).await.problem(409), "webhook_endpoint_inactive");
    let test = format!("{}/test", path_of(&created));
    assert_eq!(admin.post(&test, json!({})).await.problem(409), "webhook_endpoint_inactive");

    // the administrator activates it again, and sends what failed once more
    receiver.status.store(204, Ordering::SeqCst);
    let path = path_of(&created);
    let activated = admin.patch(&path, json!({"active": true})).await.expect(200);
    assert_eq!((&activated["active"], &activated["failing_since"]), (&json!(true), &Value::Null));
    assert_eq!(admin.post(&retry, json!({})).await.expect(202)["attempts"], 0);
    receiver.wait_for(21).await;
    let path = format!("/admin/v1/webhook-deliveries/{}", dead["id"].as_str().unwrap());
    let is_delivered = async || admin.get(&path).await.expect(200)["status"] == "delivered";
    eventually("the delivery", is_delivered).await;
    let unknown = "/admin/v1/webhook-deliveries/01890000-0000-7000-8000-000000000000";
    assert_eq!(admin.get(unknown).await.problem(404), "webhook_delivery_not_found");
    assert_eq!(
        admin.post(&format!("{unknown}/retry"), json!({})).await.problem(404),
        "webhook_delivery_not_found"
    );
}

/// Advances the clock to each attempt of a message, the first of which comes after `received` messages.
async fn fail_every_attempt(shop: &Shop, receiver: &Receiver, received: usize) {
    let (minutes, hours) = (SignedDuration::from_mins, SignedDuration::from_hours);
    let waits =
        [SignedDuration::from_secs(6), minutes(6), minutes(35), hours(3), hours(6), hours(12), hours(16)];
    for (attempt, wait) in (1..).zip(waits.into_iter().chain([hours(23), hours(27)])) {
        receiver.wait_for(received + attempt).await;
        let is_recorded = async || value::<i64>(&shop.database, UNRECORDED, &[]).await == 0;
        eventually("the outcome of an attempt", is_recorded).await;
        shop.clock().advance(wait);
    }
    receiver.wait_for(received + 10).await;
}

/// The attempts whose outcome is not recorded yet.
const UNRECORDED: &str = "SELECT COUNT(*) FROM webhook_deliveries WHERE lease IS NOT NULL";

on_both_engines!(an_endpoint_that_is_gone_is_deactivated_at_once);
async fn an_endpoint_that_is_gone_is_deactivated_at_once(shop: &Shop) {
    let receiver = Receiver::start(Duration::ZERO).await;
    receiver.status.store(410, Ordering::SeqCst);
    let server = shop.server().await;
    let admin = server.admin().await;
    let created = endpoint(&admin, &receiver.url).await;
    let test = admin.post(&format!("{}/test", path_of(&created)), json!({})).await.expect(202);
    assert_eq!((&test["event_type"], &test["status"]), (&json!("webhook.test"), &json!("pending")));
    delivery(&admin, &created, "pending").await;
    assert_eq!(admin.get(&path_of(&created)).await.expect(200)["active"], false);
}

on_both_engines!(a_slow_endpoint_delays_no_other);
async fn a_slow_endpoint_delays_no_other(shop: &Shop) {
    let slow = Receiver::start(Duration::from_mins(1)).await;
    let fast = Receiver::start(Duration::ZERO).await;
    let server = shop.server().await;
    let admin = server.admin().await;
    let (slow_one, fast_one) = (endpoint(&admin, &slow.url).await, endpoint(&admin, &fast.url).await);
    for _ in 0..8 {
        admin.post(&format!("{}/test", path_of(&slow_one)), json!({})).await.expect(202);
    }
    slow.wait_for(1).await;
    for _ in 0..8 {
        admin.post(&format!("{}/test", path_of(&fast_one)), json!({})).await.expect(202);
    }
    fast.wait_for(8).await;
    assert!(slow.received.lock().unwrap().len() <= 4, "at most four at the same time");
}

on_both_engines!(after_a_rotation_both_secrets_sign_for_a_day, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn after_a_rotation_both_secrets_sign_for_a_day(shop: &Shop) {
    let receiver = Receiver::start(Duration::ZERO).await;
    let server = shop.server().await;
    let mut admin = server.admin().await;
    let created = endpoint(&admin, &receiver.url).await;
    let rotate = format!("{}/rotate-secret", path_of(&created));
    // of two rotations, as by a repeated request, the receiver has got the last secret
    admin.post(&rotate, json!({})).await.expect(200);
    let rotated = admin.post(&rotate, json!({})).await.expect(200);
    let (old, new) = (created["secret"].as_str().unwrap(), rotated["secret"].as_str().unwrap());
    assert_ne!(old, new);
    for (count, secrets) in [(1, vec![new, old]), (2, vec![new])] {
        admin.post(&format!("{}/test", path_of(&created)), json!({})).await.expect(202);
        let (headers, body) = receiver.wait_for(count).await.remove(count - 1);
        let expected: Vec<_> = secrets.into_iter().map(|secret| signature(secret, &headers, &body)).collect();
        assert_eq!(headers["webhook-signature"], expected.join(" ").as_str());
        shop.clock().advance(SignedDuration::from_hours(25));
        admin = server.admin().await;
    }
}

on_both_engines!(invalid_endpoints_are_refused);
async fn invalid_endpoints_are_refused(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let body = json!({"url": "https://example.com", "event_types": ["order.paid", "order.eaten"]});
    let refused = admin.post(ENDPOINTS, body).await;
    assert_eq!(refused.faults(), faults([("/event_types/1", "not_allowed")]));
    for url in ["ftp://example.com", "https://example.com:0", "https://example.com:99999"] {
        let refused = admin.post(ENDPOINTS, json!({"url": url})).await;
        assert_eq!(refused.faults(), faults([("/url", "format")]), "{url}");
    }
    let created = endpoint(&admin, "https://example.com/hook").await;
    let refused = admin.patch(&path_of(&created), json!({"url": "https://user@example.com"})).await;
    assert_eq!(refused.faults(), faults([("/url", "format")]));
    let user = server.customer().await;
    user.get(ENDPOINTS).await.expect(403);
    user.post(ENDPOINTS, json!({"url": "https://example.com"})).await.expect(403);

    admin.delete(&path_of(&created)).await.expect(204);
    assert_eq!(admin.get(&path_of(&created)).await.problem(404), "webhook_endpoint_not_found");
    assert_eq!(admin.delete(&path_of(&created)).await.problem(404), "webhook_endpoint_not_found");
}

on_both_engines!(a_redirect_is_a_failure_and_retry_after_is_obeyed, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn a_redirect_is_a_failure_and_retry_after_is_obeyed(shop: &Shop) {
    let receiver = Receiver::start(Duration::ZERO).await;
    receiver.status.store(307, Ordering::SeqCst);
    let server = shop.server().await;
    let admin = server.admin().await;
    let created = endpoint(&admin, &receiver.url).await;
    admin.post(&format!("{}/test", path_of(&created)), json!({})).await.expect(202);
    let failed = delivery(&admin, &created, "pending").await;
    assert_eq!(failed["error"], "the response has the status 307");
    // the receiver asks for an hour, the schedule for five seconds
    assert_eq!(failed["due_at"], "2026-01-01T01:00:00Z");
    assert_eq!(receiver.received.lock().unwrap().len(), 1);
}

on_both_engines!(an_attempt_that_ended_too_late_is_not_recorded, ShopOptions::at("2026-01-01T00:00:00Z"));
async fn an_attempt_that_ended_too_late_is_not_recorded(shop: &Shop) {
    let endpoint = create_endpoint(shop).await;
    let delivery = deliveries::send_test(&shop.store, endpoint).await.unwrap();
    let first = lease(shop, delivery.id).await.unwrap();
    assert!(lease(shop, delivery.id).await.is_none(), "another process makes the attempt");
    shop.clock().advance(SignedDuration::from_mins(2));
    let second = lease(shop, delivery.id).await.unwrap();
    assert_eq!((first.attempts, second.attempts), (1, 2));
    assert!(!record(shop, &first).await, "the lease is another one's by now");
    assert!(record(shop, &second).await);
    assert!(!record(shop, &second).await, "it is recorded already");
}

/// Creates an endpoint of a shop without a server, to which therefore nothing is sent.
async fn create_endpoint(shop: &Shop) -> WebhookEndpointId {
    let endpoint = WebhookEndpoint {
        id: Uuid::nil().into(),
        url: "https://example.com/hook".to_owned(),
        description: String::new(),
        event_types: Vec::new(),
        secret: WebhookSecret("whsec_".to_owned()),
        previous_secret: None,
        previous_secret_until: None,
        active: true,
        failing_since: None,
        version: 1,
        created_by: None,
        created_at: shop.now(),
        updated_at: shop.now(),
    };
    let inserted: Result<_, DatabaseError> =
        shop.database.write(endpoint, async |work, endpoint| work.insert(endpoint).await).await;
    inserted.unwrap();
    Uuid::nil().into()
}

async fn lease(shop: &Shop, id: WebhookDeliveryId) -> Option<WebhookDelivery> {
    let leased: Result<_, DatabaseError> = shop
        .database
        .write(id, async |work, id| {
            let until = work.now() + SignedDuration::from_mins(1);
            WebhookRepository::lease(work, *id, until).await
        })
        .await;
    leased.unwrap()
}

async fn record(shop: &Shop, delivery: &WebhookDelivery) -> bool {
    let attempt = WebhookAttempt {
        id: delivery.id,
        lease: delivery.lease.unwrap(),
        status: WebhookDeliveryStatus::Delivered,
        due_at: None,
        response_status: Some(204),
        error: None,
    };
    let recorded: Result<_, DatabaseError> = shop
        .database
        .write(attempt, async |work, attempt| WebhookRepository::record(work, attempt).await)
        .await;
    recorded.unwrap()
}
