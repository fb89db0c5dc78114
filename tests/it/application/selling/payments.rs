//! Vendors whose answers are lost, late or doubled, shoppers who go away, and crashes.

use futures_util::FutureExt;

use undercroft::infrastructure::repositories::Setup;

use super::*;

on_both_engines!(a_charge_whose_response_was_lost_is_found_and_charged_once);
async fn a_charge_whose_response_was_lost_is_found_and_charged_once(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(3).create().await;
    let id = order_of(store, variant, "tok_timeout_after_charge").await;
    assert_eq!(order(store, id).await.unwrap().order.status, OrderStatus::Paid);
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM sandbox_charges", &[]).await, 1);
    check(&shop.database).await;
}

on_both_engines!(repeated_notices_of_a_provider_have_one_effect);
async fn repeated_notices_of_a_provider_have_one_effect(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(3).create().await;
    let id = order_of(store, variant, "tok_duplicate_webhooks").await;
    let payment_id = order(store, id).await.unwrap().payment.id;
    let mut notices = 0;
    while let Some(payment_id) = store.infrastructure.gateways.notices().next().now_or_never() {
        notices += 1;
        refresh(store, payment_id).await.unwrap();
    }
    assert_eq!(notices, 3);
    refresh(store, payment_id).await.unwrap();
    let paid = "SELECT COUNT(*) FROM outbox WHERE type = 'order.paid'";
    assert_eq!(value::<i64>(&shop.database, paid, &[]).await, 1);
    assert_eq!(stock(&shop.database, variant).await, (2, 0));
    check(&shop.database).await;
}

/// Begins a checkout in a store of its own, and ends that store while it waits for the payment provider.
async fn crash_in_checkout(shop: &Shop, cart_id: CartId, key: &IdempotencyKey) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (url, context, key) = (shop.url.clone(), shop.database.context().clone(), key.clone());
    let running = runtime.spawn(async move {
        let database = Database::open(&url, context, Setup::Never).await.unwrap();
        let store = store(&database, policy());
        checkout(&store, purchase(cart_id, "tok_slow"), Responder::new(Some(key), Plain)).await.map(drop)
    });
    while value::<i64>(&shop.database, "SELECT COUNT(*) FROM orders", &[]).await == 0 {
        assert!(!running.is_finished(), "the order is written before the provider answers");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    runtime.shutdown_background();
}

on_both_engines!(a_crash_between_order_and_charge_loses_neither_order_nor_stock);
async fn a_crash_between_order_and_charge_loses_neither_order_nor_stock(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(3).create().await;
    let cart = cart(store, None, &[(variant, 1)]).await;
    crash_in_checkout(shop, cart, &key("crash")).await;
    assert_eq!(stock(&shop.database, variant).await, (3, 1));
    let soon = shop.database.context().clock.now().checked_add(SignedDuration::from_hours(1)).unwrap();
    assert_eq!(recover_payments(store, soon).await.unwrap(), 1);
    let answer = checkout(store, purchase(cart, "tok_slow"), Responder::new(Some(key("crash")), Plain)).await;
    let (status, body) = told(&answer);
    assert_eq!(status, 201, "{body}");
    let again = checkout(store, purchase(cart, "tok_slow"), Responder::new(Some(key("crash")), Plain)).await;
    assert_eq!(told(&again), (status, body));
    assert_eq!(stock(&shop.database, variant).await, (2, 0));
    check(&shop.database).await;
}

on_both_engines!(an_order_that_is_not_confirmed_in_time_is_cancelled, ShopOptions::at(JANUARY_31));
async fn an_order_that_is_not_confirmed_in_time_is_cancelled(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(3).create().await;
    let id = order_of(store, variant, "tok_requires_action").await;
    let waiting = order(store, id).await.unwrap();
    assert_eq!(waiting.payment.status, PaymentStatus::RequiresAction);
    assert_eq!(stock(&shop.database, variant).await, (3, 1));
    shop.clock().advance(SignedDuration::from_hours(1));
    let now = shop.database.context().clock.now();
    assert_eq!(recover_payments(store, now).await.unwrap(), 1);
    assert_eq!(order(store, id).await.unwrap().order.status, OrderStatus::Cancelled);
    assert_eq!(stock(&shop.database, variant).await, (3, 0));
    check(&shop.database).await;
}

on_both_engines!(a_payment_confirmed_after_the_cancellation_is_refunded);
async fn a_payment_confirmed_after_the_cancellation_is_refunded(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let id = order_of(store, variant, "tok_requires_action").await;
    let payment_id = order(store, id).await.unwrap().payment.id;
    cancelled(store, id).await;
    assert!(confirm_payment(store, payment_id).await);
    let soon = shop.database.context().clock.now().checked_add(SignedDuration::from_hours(1)).unwrap();
    for _ in 0..2 {
        recover_payments(store, soon).await.unwrap();
    }
    let placed = order(store, id).await.unwrap();
    assert_eq!(placed.order.status, OrderStatus::Cancelled);
    assert_eq!((placed.payment.captured.amount, placed.payment.refunded.amount), (1000, 1000));
    assert_eq!(stock(&shop.database, variant).await, (1, 0));
    check(&shop.database).await;
}

on_both_engines!(a_cancelled_paid_order_is_refunded_and_restocked);
async fn a_cancelled_paid_order_is_refunded_and_restocked(shop: &Shop) {
    let store = &shop.store;
    let variant = shop.product().price(1000).stock(1).create().await;
    let id = order_of(store, variant, "tok_ok").await;
    cancelled(store, id).await;
    recover_payments(store, shop.database.context().clock.now()).await.unwrap();
    let placed = order(store, id).await.unwrap();
    assert_eq!((placed.order.status, placed.payment.refunded.amount), (OrderStatus::Cancelled, 1000));
    assert_eq!(stock(&shop.database, variant).await, (1, 0));
    check(&shop.database).await;
}
