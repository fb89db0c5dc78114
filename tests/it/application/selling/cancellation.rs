//! Which orders a buyer may cancel, and the fulfilment of digital goods by their payment.

use jiff::SignedDuration;
use undercroft::application::idempotency::Responder;
use undercroft::application::selling::checkout::Checkout;
use undercroft::application::selling::orders::{CancelledBy, OperationRequest, cancel_once};
use undercroft::domain::ids::{OrderId, UserId, VariantId};
use undercroft::domain::order::OrderStatus;
use undercroft::domain::payment::{OperationKind, PaymentStatus};
use undercroft::domain::permission::Permissions;
use undercroft::domain::placed_order::CancellationRefusal;
use undercroft::infrastructure::exceptions::{Failure, OrderProcessingException};

use crate::support::orders::{Sale, checkout_request, run, stock, submit};
use crate::support::store::{Summary, cart, manual_capture, value};
use crate::support::{Shop, ShopOptions};

/// Checks out one piece of each variant.
async fn order(shop: &Shop, user_id: Option<UserId>, variants: &[VariantId], token: &str) -> Sale {
    let lines: Vec<_> = variants.iter().map(|&variant| (variant, 1)).collect();
    let cart = cart(&shop.store, user_id, &lines).await;
    let request = Checkout { user_id, ..checkout_request(cart, token) };
    let (status, body) = submit(&shop.store, request, None).await;
    assert_eq!(status, 201, "{body}");
    let id: OrderId = value(&shop.database, "SELECT id FROM orders ORDER BY number DESC LIMIT 1", &[]).await;
    Sale { store: shop.store.clone(), variant: variants[0], id }
}

async fn cancel(sale: &Sale, by: CancelledBy) -> Result<(), Failure> {
    Box::pin(cancel_once(&sale.store, sale.id, by, Responder::new(None, Summary))).await.map(drop)
}

/// Asserts that the buyer cannot cancel the paid order, and that nothing is changed.
async fn assert_kept(sale: &Sale, reason: CancellationRefusal) {
    let before = sale.order().await;
    let failure = cancel(sale, CancelledBy::Buyer).await.unwrap_err();
    let expected = OrderProcessingException::NotCancellable(reason);
    assert_eq!(failure.downcast_ref(), Some(&expected));
    assert_eq!(sale.order().await, before);
}

async fn digital(shop: &Shop) -> VariantId {
    shop.product().with("kind", "digital").create().await
}

on_both_engines!(digital_goods_are_fulfilled_by_their_payment_and_not_cancelled);
async fn digital_goods_are_fulfilled_by_their_payment_and_not_cancelled(shop: &Shop) {
    let variant = digital(shop).await;
    let sale = order(shop, None, &[variant], "tok_ok").await;
    let placed = sale.order().await;
    assert_eq!(placed.order.status, OrderStatus::Fulfilled);
    assert!(placed.order.fulfilled_at.is_some());
    let published = "SELECT COUNT(*) FROM outbox WHERE type = 'order.fulfilled'";
    assert_eq!(value::<i64>(&shop.database, published, &[]).await, 1);
    let failure = cancel(&sale, CancelledBy::Buyer).await.unwrap_err();
    let fulfilled = OrderProcessingException::Forbidden { what: "order", from: "fulfilled", to: "cancelled" };
    assert_eq!(failure.downcast_ref(), Some(&fulfilled));
    assert_eq!(stock(&shop.database, variant).await, (9, 0));
}

on_both_engines!(
    digital_goods_are_delivered_when_they_are_captured,
    ShopOptions::default().terms(manual_capture())
);
async fn digital_goods_are_delivered_when_they_are_captured(shop: &Shop) {
    let variant = digital(shop).await;
    let sale = order(shop, None, &[variant], "tok_ok").await;
    assert_eq!(sale.order().await.order.status, OrderStatus::Paid);
    assert_eq!(sale.run(OperationKind::Capture, Some(400)).await.0, 201);
    assert_eq!(sale.order().await.order.status, OrderStatus::Paid);
    assert_eq!(sale.run(OperationKind::Capture, None).await.0, 201);
    assert_eq!(sale.order().await.order.status, OrderStatus::Fulfilled);

    // what is only authorized was not delivered
    let other = order(shop, None, &[variant], "tok_ok").await;
    cancel(&other, CancelledBy::Buyer).await.unwrap();
    other.recover().await;
    assert_eq!(other.payment().await.authorized.amount, 0);
}

on_both_engines!(a_buyer_cannot_cancel_an_order_of_which_digital_goods_were_delivered);
async fn a_buyer_cannot_cancel_an_order_of_which_digital_goods_were_delivered(shop: &Shop) {
    let variants = [shop.product().create().await, digital(shop).await];
    let sale = order(shop, None, &variants, "tok_ok").await;
    assert_eq!(sale.order().await.order.status, OrderStatus::Paid);
    assert_kept(&sale, CancellationRefusal::DigitalGoods).await;
    cancel(&sale, CancelledBy::Administrator(Permissions::ALL)).await.unwrap();
}

on_both_engines!(a_buyer_can_cancel_a_paid_order_only_for_a_time, ShopOptions::at("2026-03-01T12:00:00Z"));
async fn a_buyer_can_cancel_a_paid_order_only_for_a_time(shop: &Shop) {
    let variants = [shop.product().create().await];
    let (first, second) =
        (order(shop, None, &variants, "tok_ok").await, order(shop, None, &variants, "tok_ok").await);
    shop.clock().advance(SignedDuration::from_hours(14 * 24) - SignedDuration::from_secs(1));
    cancel(&first, CancelledBy::Buyer).await.unwrap();
    shop.clock().advance(SignedDuration::from_secs(1));
    assert_kept(&second, CancellationRefusal::TooLate { until: shop.now() }).await;
    cancel(&second, CancelledBy::Administrator(Permissions::ALL)).await.unwrap();
}

on_both_engines!(a_buyer_can_cancel_an_unpaid_order_of_digital_goods);
async fn a_buyer_can_cancel_an_unpaid_order_of_digital_goods(shop: &Shop) {
    let sale = order(shop, None, &[digital(shop).await], "tok_requires_action").await;
    cancel(&sale, CancelledBy::Buyer).await.unwrap();
    assert_eq!(sale.order().await.order.status, OrderStatus::Cancelled);
}

on_both_engines!(a_paid_subscription_period_ends_through_its_subscription);
async fn a_paid_subscription_period_ends_through_its_subscription(shop: &Shop) {
    let variants = [shop.product().subscription().create().await];
    let user_id = shop.customer().await;
    let sale = order(shop, Some(user_id), &variants, "tok_ok").await;
    assert_kept(&sale, CancellationRefusal::Subscription).await;
}

on_both_engines!(a_free_order_is_refunded_and_restocked_once);
async fn a_free_order_is_refunded_and_restocked_once(shop: &Shop) {
    let variant = shop.product().price(0).create().await;
    let sale = order(shop, None, &[variant], "tok_ok").await;
    assert_eq!(stock(&shop.database, variant).await, (9, 0));
    let refund = |amount| OperationRequest { restock: true, ..sale.request(OperationKind::Refund, amount) };
    assert_eq!(run(&shop.store, refund(Some(1)), None).await.1, "validation");
    let refunded = run(&shop.store, refund(None), None).await;
    assert_eq!(refunded.0, 201, "{}", refunded.1);
    let placed = sale.order().await;
    assert_eq!(
        (placed.order.status, placed.payment.status),
        (OrderStatus::Refunded, PaymentStatus::Refunded)
    );
    assert_eq!(stock(&shop.database, variant).await, (10, 0));
    assert_eq!(run(&shop.store, refund(None), None).await.0, 409);
    assert_eq!(stock(&shop.database, variant).await, (10, 0));
}
