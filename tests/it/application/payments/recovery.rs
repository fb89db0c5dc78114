//! Payments after lost responses, repeated notices, crashes and confirmations that are missing or late.

use std::time::Duration;

use futures_util::FutureExt;
use jiff::SignedDuration;
use undercroft::application::payments::gateway_calls::refresh;
use undercroft::domain::ids::CartId;
use undercroft::domain::order::OrderStatus;
use undercroft::domain::payment::PaymentStatus;
use undercroft::infrastructure::repositories::{Database, IdempotencyKey, Setup};

use super::START;
use crate::support::orders::{
    Sale, assert_consistent, checkout_request, key, recover_payments, stock, submit,
};
use crate::support::store::{cart, confirm_payment, execute, store, terms, value};
use crate::support::{Shop, ShopOptions};

on_both_engines!(a_charge_whose_response_was_lost_is_found_and_charged_once);
async fn a_charge_whose_response_was_lost_is_found_and_charged_once(shop: &Shop) {
    let sale = Sale::begin(shop, 3, "tok_timeout_after_charge").await;
    assert_eq!(sale.order().await.order.status, OrderStatus::Paid);
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM sandbox_charges", &[]).await, 1);
    sale.check().await;
}

on_both_engines!(repeated_notices_of_a_provider_have_one_effect);
async fn repeated_notices_of_a_provider_have_one_effect(shop: &Shop) {
    let sale = Sale::begin(shop, 3, "tok_duplicate_webhooks").await;
    let payment_id = sale.payment().await.id;
    let mut notices = 0;
    let queue = sale.store.infrastructure.gateways.notices("sandbox").unwrap();
    while let Some(payment_id) = queue.next().now_or_never() {
        notices += 1;
        refresh(&sale.store, payment_id).await.unwrap();
    }
    assert_eq!(notices, 3);
    refresh(&sale.store, payment_id).await.unwrap();
    let paid = "SELECT COUNT(*) FROM outbox WHERE type = 'order.paid'";
    assert_eq!(value::<i64>(&shop.database, paid, &[]).await, 1);
    assert_eq!(sale.stock().await, (2, 0));
    sale.check().await;
}

/// Begins a checkout in a second store, and ends that store while it waits for the payment provider.
async fn crash_in_checkout(shop: &Shop, cart_id: CartId, key: &IdempotencyKey) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (url, context, key) = (shop.url.clone(), shop.database.context().clone(), key.clone());
    let running = runtime.spawn(async move {
        let database = Database::open(&url.parse().unwrap(), context, Setup::IfEmpty).await.unwrap();
        let store = store(&database, terms());
        submit(&store, checkout_request(cart_id, "tok_slow"), Some(key)).await
    });
    while value::<i64>(&shop.database, "SELECT COUNT(*) FROM orders", &[]).await == 0 {
        assert!(!running.is_finished(), "the order is written before the provider responds");
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
    let soon = shop.now() + SignedDuration::from_hours(1);
    assert_eq!(recover_payments(store, soon).await.unwrap(), 1);
    let (status, body) = submit(store, checkout_request(cart, "tok_slow"), Some(key("crash"))).await;
    assert_eq!(status, 201, "{body}");
    let again = submit(store, checkout_request(cart, "tok_slow"), Some(key("crash"))).await;
    assert_eq!(again, (status, body));
    assert_eq!(stock(&shop.database, variant).await, (2, 0));
    assert_consistent(&shop.database).await;
}

on_both_engines!(an_order_that_is_not_confirmed_in_time_is_cancelled, ShopOptions::at(START));
async fn an_order_that_is_not_confirmed_in_time_is_cancelled(shop: &Shop) {
    let sale = Sale::begin(shop, 3, "tok_requires_action").await;
    let waiting = sale.order().await;
    assert_eq!(waiting.payment.status, PaymentStatus::RequiresAction);
    assert_eq!(sale.stock().await, (3, 1));
    shop.clock().advance(SignedDuration::from_hours(1));
    let now = shop.now();
    assert_eq!(recover_payments(&sale.store, now).await.unwrap(), 1);
    assert_eq!(sale.order().await.order.status, OrderStatus::Cancelled);
    assert_eq!(sale.stock().await, (3, 0));
    sale.check().await;
}

on_both_engines!(a_cart_that_is_open_again_is_kept, ShopOptions::at(START));
async fn a_cart_that_is_open_again_is_kept(shop: &Shop) {
    let variant = shop.product().price(1000).stock(1).create().await;
    let cart = cart(&shop.store, None, &[(variant, 1)]).await;
    shop.clock().advance(terms().cart - SignedDuration::from_mins(10));
    let sale = Sale::of_cart(&shop.store, cart, variant, "tok_requires_action").await;
    shop.clock().advance(SignedDuration::from_mins(31));
    recover_payments(&shop.store, shop.now()).await.unwrap();
    assert_eq!(sale.order().await.order.status, OrderStatus::Cancelled);
    Sale::of_cart(&shop.store, cart, variant, "tok_ok").await;
}

on_both_engines!(a_payment_confirmed_after_the_cancellation_is_refunded);
async fn a_payment_confirmed_after_the_cancellation_is_refunded(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_requires_action").await;
    let payment_id = sale.payment().await.id;
    sale.cancel().await;
    assert!(confirm_payment(&sale.store, payment_id).await);
    let soon = shop.now() + SignedDuration::from_hours(1);
    for _ in 0..2 {
        recover_payments(&sale.store, soon).await.unwrap();
    }
    let placed = sale.order().await;
    assert_eq!(placed.order.status, OrderStatus::Cancelled);
    assert_eq!((placed.payment.captured.amount, placed.payment.refunded.amount), (1000, 1000));
    assert_eq!(sale.stock().await, (1, 0));
    sale.check().await;
}

on_both_engines!(a_cancelled_paid_order_is_refunded_and_restocked);
async fn a_cancelled_paid_order_is_refunded_and_restocked(shop: &Shop) {
    let sale = Sale::begin(shop, 1, "tok_ok").await;
    sale.cancel().await;
    recover_payments(&sale.store, shop.now()).await.unwrap();
    let placed = sale.order().await;
    assert_eq!((placed.order.status, placed.payment.refunded.amount), (OrderStatus::Cancelled, 1000));
    assert_eq!(sale.stock().await, (1, 0));
    sale.check().await;
}

on_both_engines!(a_pending_order_without_its_provider_releases_its_stock, ShopOptions::manual_clock());
async fn a_pending_order_without_its_provider_releases_its_stock(shop: &Shop) {
    let sale = Sale::begin(shop, 3, "tok_requires_action").await;
    execute(&shop.database, &["UPDATE payments SET provider = 'gone'"]).await;
    assert_eq!(sale.stock().await, (3, 1));
    shop.clock().advance(SignedDuration::from_mins(31));
    recover_payments(&shop.store, shop.now()).await.unwrap();
    assert_eq!(sale.order().await.order.status, OrderStatus::Cancelled);
    assert_eq!(sale.stock().await, (3, 0));
    execute(&shop.database, &["UPDATE payments SET provider = 'sandbox'"]).await;
}
