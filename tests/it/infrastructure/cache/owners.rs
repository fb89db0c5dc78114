//! To whom rows belong: each transaction that writes one ends what is kept of its owner's data, whichever way it writes
//! it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};
use undercroft::domain::discount::Discount;
use undercroft::domain::ids::{NotificationId, OrderId, PaymentId, UserId};
use undercroft::domain::notification::Notification;
use undercroft::infrastructure::repositories::{
    Database, DatabaseError, NotificationRepository, PaymentRepository,
};

use super::shoppers::counts;
use crate::application::people::newcomer;
use crate::support::http::{cart_of, ids, new_cart, order_of};
use crate::support::store::{stale_hits, value};
use crate::support::{Shop, TestClient, awaited};

/// The sum of the versions of the data of all users, each of which a change increases.
async fn versions(database: &Database) -> i64 {
    value(database, "SELECT CAST(SUM(version) AS BIGINT) FROM user_data_versions", &[]).await
}

on_both_engines!(an_attempt_to_settle_a_payment_ends_what_is_kept_of_its_order);
async fn an_attempt_to_settle_a_payment_ends_what_is_kept_of_its_order(shop: &Shop) {
    let ann = newcomer(shop.server().await, "ann@example.org").await;
    let variant = shop.product().stock(9).create().await;
    order_of(&ann, variant).await;
    let payment: PaymentId = value(&shop.database, "SELECT id FROM payments", &[]).await;
    let due: Result<u64, DatabaseError> = shop
        .database
        .write((), async |work, ()| {
            // later than the worker looks for
            let due = work.now() + SignedDuration::from_hours(1);
            work.execute("UPDATE payments SET next_attempt_at = $1", &[due.into()]).await
        })
        .await;
    due.unwrap();

    let orders = async || ann.get("/v1/orders").await.expect(200);
    orders().await;
    let claimed: Result<bool, DatabaseError> = shop
        .database
        .write(payment, async |work, payment| {
            let [next, by] = [9, 120].map(|minutes| work.now() + SignedDuration::from_mins(minutes));
            PaymentRepository::claim_retry(work, *payment, by, next).await
        })
        .await;
    assert!(claimed.unwrap());
    orders().await;
    assert_eq!(stale_hits(&shop.store), 0, "after a claim");

    let due: Result<(), DatabaseError> = shop
        .database
        .write((), async |work, ()| {
            let by = work.now() + SignedDuration::from_mins(10);
            PaymentRepository::make_due(work, by).await
        })
        .await;
    due.unwrap();
    orders().await;
    assert_eq!(stale_hits(&shop.store), 0, "after a restart");
}

on_both_engines!(a_row_that_is_removed_ends_what_is_kept_of_it);
async fn a_row_that_is_removed_ends_what_is_kept_of_it(shop: &Shop) {
    let ann = newcomer(shop.server().await, "ann@example.org").await;
    let variant = shop.product().stock(9).create().await;
    order_of(&ann, variant).await;
    let read = async || ann.get("/v1/notifications").await.expect(200);
    let newest = async || Some(NotificationId(read().await["items"][0]["id"].as_str()?.parse().unwrap()));
    let id = awaited("a notification", newest).await;
    let removed: Result<bool, DatabaseError> =
        shop.database.write(id, async |work, id| work.remove::<Notification>(*id).await).await;
    assert!(removed.unwrap());
    assert!(!ids(&read().await).contains(&id.to_string().as_str()));

    let Discount { id, .. } = shop.discount("Ten", 10, None).await;
    let cart = cart_of(&ann, variant, 2).await;
    ann.put(&format!("{cart}/discount"), json!({"code": "ten"})).await.expect(200);
    let applies = async || ann.get(&cart).await.expect(200)["discount"]["applies"].clone();
    assert_eq!(applies().await, true);
    let removed: Result<bool, DatabaseError> =
        shop.store.database().write(id, async |work, id| work.remove::<Discount>(*id).await).await;
    assert!(removed.unwrap());
    assert_eq!(applies().await, false);
}

/// A user with an order; returns both.
async fn buyer(shop: &Shop, email: &str) -> (UserId, TestClient) {
    let client = newcomer(shop.server().await, email).await;
    let id = client.get("/v1/me").await.expect(200)["id"].as_str().unwrap().parse().unwrap();
    (UserId(id), client)
}

on_both_engines!(transactions_that_change_the_data_of_the_same_users_do_not_wait_for_each_other);
async fn transactions_that_change_the_data_of_the_same_users_do_not_wait_for_each_other(shop: &Shop) {
    let variant = shop.product().stock(9).create().await;
    let mut users: BTreeMap<_, _> =
        [buyer(shop, "ann@example.org").await, buyer(shop, "bob@example.org").await].into();
    let buyers: Vec<UserId> = users.keys().copied().collect();
    // the orders are in the opposite order of their buyers
    let mut orders = Vec::new();
    while let Some((_, client)) = users.pop_last() {
        let order: Value = order_of(&client, variant).await;
        orders.push(OrderId(order["id"].as_str().unwrap().parse().unwrap()));
    }
    assert!(orders.is_sorted());

    let runs = Arc::new(AtomicU64::new(0));
    let by_order = async || {
        let given = (orders.clone(), Arc::clone(&runs));
        let write = shop.database.write(given, async |work, (orders, runs)| {
            runs.fetch_add(1, SeqCst);
            for order in orders {
                let mut payment = PaymentRepository::lock_by_order(work, *order).await?.unwrap();
                work.update(&mut payment).await?;
            }
            Ok::<_, DatabaseError>(())
        });
        write.await.unwrap();
    };
    let by_user = async || {
        let given = (buyers.clone(), Arc::clone(&runs));
        let write = shop.database.write(given, async |work, (buyers, runs)| {
            runs.fetch_add(1, SeqCst);
            for id in buyers {
                NotificationRepository::mark_all_read(work, *id).await?;
            }
            Ok::<_, DatabaseError>(())
        });
        write.await.unwrap();
    };
    let before = versions(&shop.database).await;
    let rounds = 400;
    join_all((0..8).map(async |number| {
        for _ in 0..rounds / 8 {
            if number % 2 == 0 { by_order().await } else { by_user().await }
        }
    }))
    .await;
    assert!(versions(&shop.database).await >= before + 2 * rounds, "each counts for both");
    assert_eq!(runs.load(SeqCst), rounds.unsigned_abs(), "none had to run again");
}

on_both_engines!(a_change_after_a_lost_one_has_another_version);
async fn a_change_after_a_lost_one_has_another_version(shop: &Shop) {
    let user_id = shop.customer().await;
    let changed = async || {
        let write = shop.database.write(user_id, async |work, id| {
            NotificationRepository::mark_all_read(work, *id).await?;
            Ok::<_, DatabaseError>(())
        });
        write.await.unwrap();
        versions(&shop.database).await
    };
    let (before, lost) = (changed().await, changed().await);
    let reverted: Result<u64, DatabaseError> = shop
        .database
        .write(before, async |work, &before| {
            work.execute("UPDATE user_data_versions SET version = $1", &[before.into()]).await
        })
        .await;
    reverted.unwrap();
    let after = changed().await;
    assert!(after > before && after != lost, "{before} {lost} {after}");
}

on_both_engines!(only_pages_of_the_default_length_are_kept);
async fn only_pages_of_the_default_length_are_kept(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let variant = shop.product().stock(9).create().await;
    let order = order_of(&ann, variant).await;
    for limit in 1..=9 {
        let orders = ann.get(&format!("/v1/orders?limit={limit}")).await.expect(200);
        assert_eq!(orders["items"][0]["id"], order["id"]);
        ann.get(&format!("/v1/notifications?limit={limit}")).await.expect(200);
    }
    assert_eq!((counts(server, "order").reads(), counts(server, "notification").reads()), (0, 0));
    for path in ["/v1/orders", "/v1/orders?limit=20", "/v1/notifications?limit=20"] {
        ann.get(path).await.expect(200);
    }
    assert_eq!((counts(server, "order").reads(), counts(server, "notification").reads()), (2, 1));
}

on_both_engines!(entries_of_shoppers_weigh_what_they_keep);
async fn entries_of_shoppers_weigh_what_they_keep(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let bytes = |name: &str| {
        let states = server.store.infrastructure.caches.states();
        states.iter().find(|state| state.cache == name).unwrap().bytes
    };
    let (name, lines) = ("x".repeat(490), 20);
    let cart = new_cart(&ann).await;
    for _ in 0..lines {
        let variant = shop.product().stock(9).with("name", name.as_str()).create().await;
        ann.put(&format!("{cart}/items/{}", variant.0), json!({"quantity": 1})).await.expect(200);
    }
    let long = "y".repeat(200);
    let address = json!({"name": long, "line1": long, "line2": long, "city": long, "region": long,
        "postal_code": "28195", "country": "DE"});
    let before = bytes("cart");
    ann.put(&format!("{cart}/delivery"), json!({"shipping_address": address})).await.expect(200);
    let added = bytes("cart") - before;
    assert!(added > 1_700, "{added}: the lines, and five texts of 200 bytes");

    let body = json!({"email": "ann@example.org", "shipping_address": address,
        "payment": {"provider": "sandbox", "token": "tok_ok"}});
    ann.post(&format!("{cart}/checkout"), body).await.expect(201);
    ann.get("/v1/orders").await.expect(200);
    assert!(bytes("order") > 490 * lines + 2 * 1_000, "{}", bytes("order"));
}
