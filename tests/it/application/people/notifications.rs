//! Notifications of users: counted until they are read, listed in pages, and private.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use undercroft::application::jobs::subscribers;
use undercroft::application::selling::checkout::Checkout;
use undercroft::domain::ids::UserId;
use undercroft::infrastructure::events::EventDispatcher;
use undercroft::infrastructure::exceptions::{Failure, Technical};
use undercroft::infrastructure::repositories::{Engine, UserRepository};

use super::newcomer;
use crate::support::http::order_of;
use crate::support::orders::{checkout_request, submit};
use crate::support::store::{cart, value};
use crate::support::{Shop, TestClient};

/// Waits until a user has this number of unread notifications; returns their first page.
async fn inbox_of(user: &TestClient, count: i64) -> Value {
    let wait = async {
        loop {
            let inbox = user.get("/v1/notifications").await.expect(200);
            // the page is read before the count, which may include newer ones
            if inbox["unread"] == count
                && inbox["items"].as_array().map(Vec::len) >= usize::try_from(count).ok()
            {
                return inbox;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), wait).await.expect("the notifications are delivered")
}

/// The texts of a page.
fn texts(inbox: &Value) -> Vec<&str> {
    inbox["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap()).collect()
}

on_both_engines!(notifications_have_texts_and_are_counted_until_read);
async fn notifications_have_texts_and_are_counted_until_read(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(1_299).stock(5).create().await;
    let (ann, bob) = (newcomer(server, "ann@example.org").await, newcomer(server, "bob@example.org").await);
    let first = order_of(&ann, variant).await;
    inbox_of(&ann, 1).await;
    order_of(&ann, variant).await;
    let inbox = inbox_of(&ann, 2).await;
    assert_eq!(texts(&inbox)[1], format!("Order {} is paid: 12.99 EUR. Thank you!", first["number"]));
    let oldest = &inbox["items"][1];
    assert_eq!((&oldest["kind"], &oldest["order_id"]), (&json!("order_paid"), &first["id"]));
    assert_eq!((&oldest["amount"]["amount"], &oldest["read_at"]), (&json!(1_299), &Value::Null));

    let one = format!("/v1/notifications/{}/read", oldest["id"].as_str().unwrap());
    assert_eq!(bob.post(&one, json!({})).await.problem(404), "notification_not_found");
    for _ in 0..2 {
        ann.post(&one, json!({})).await.expect(204);
    }
    let unread = ann.get("/v1/notifications?unread=true").await.expect(200);
    assert_eq!((texts(&unread).len(), &unread["unread"]), (1, &json!(1)));
    let all = ann.get("/v1/notifications").await.expect(200);
    assert_eq!(texts(&all), texts(&inbox));
    assert!(all["items"][1]["read_at"].is_string(), "{all}");

    ann.post("/v1/notifications/read-all", json!({})).await.expect(204);
    assert_eq!(ann.get("/v1/notifications?unread=true").await.expect(200)["items"], json!([]));
    assert_eq!(
        bob.get("/v1/notifications").await.expect(200),
        json!({"items": [], "next_cursor": null, "unread": 0})
    );
}

on_both_engines!(notifications_are_listed_in_pages_and_only_for_their_user);
async fn notifications_are_listed_in_pages_and_only_for_their_user(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(1_299).stock(5).create().await;
    let (ann, bob) = (newcomer(server, "ann@example.org").await, newcomer(server, "bob@example.org").await);
    for _ in 0..3 {
        order_of(&ann, variant).await;
    }
    let whole = inbox_of(&ann, 3).await;
    let first = ann.get("/v1/notifications?limit=2").await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = ann.get(&format!("/v1/notifications?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!([texts(&first), texts(&second)].concat(), texts(&whole));
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(bob.get(&format!("/v1/notifications?cursor={cursor}")).await.problem(422), "validation");
    for query in ["unread=maybe", "limit=101", "cursor=%00"] {
        assert_eq!(
            ann.get(&format!("/v1/notifications?{query}")).await.problem(422),
            "validation",
            "{query}"
        );
    }
    assert_eq!(server.guest().get("/v1/notifications").await.problem(401), "unauthorized_access");
    let missing = "/v1/notifications/00000000-0000-7000-8000-000000000000/read";
    for path in [missing, "/v1/notifications/read-all"] {
        assert_eq!(server.guest().post(path, json!({})).await.problem(401), "unauthorized_access");
    }
    assert_eq!(ann.post(missing, json!({})).await.problem(404), "notification_not_found");
}

/// Begins the erasure of a user, which is committed after a while on PostgreSQL.
async fn erase_slowly(shop: &Shop, user_id: UserId) -> tokio::task::JoinHandle<()> {
    let database = shop.database.clone();
    let erasure = tokio::spawn(async move {
        let write = database.write(user_id, async |work, &user_id| {
            UserRepository::erase(work, user_id).await.map_err(Technical::internal)?;
            if work.engine() == Engine::Postgres {
                sleep(Duration::from_millis(300)).await;
            }
            Ok::<_, Failure>(())
        });
        write.await.unwrap();
    });
    sleep(Duration::from_millis(100)).await;
    erasure
}

on_both_engines!(a_user_who_is_erased_at_the_same_time_is_not_notified);
async fn a_user_who_is_erased_at_the_same_time_is_not_notified(shop: &Shop) {
    let user_id = shop.customer().await;
    let variant = shop.product().with("kind", "digital").create().await;
    let cart_id = cart(&shop.store, Some(user_id), &[(variant, 1)]).await;
    let request = Checkout { user_id: Some(user_id), ..checkout_request(cart_id, "tok_ok") };
    assert_eq!(submit(&shop.store, request, None).await.0, 201);

    let erasure = erase_slowly(shop, user_id).await;
    let dispatcher = EventDispatcher::new(shop.database.clone(), subscribers());
    assert!(dispatcher.deliver(&CancellationToken::new()).await.unwrap() > 0);
    erasure.await.unwrap();
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM notifications", &[]).await, 0);
}
