//! Orders of a subscription that are cancelled or refunded, and their effect on the subscription.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use undercroft::application::jobs::subscribers;
use undercroft::application::people::granting::Granter;
use undercroft::application::people::users::erase;
use undercroft::application::selling::checkout::Checkout;
use undercroft::application::subscriptions::lifecycle::SubscriptionChange;
use undercroft::domain::ids::{OrderId, UserId};
use undercroft::domain::payment::OperationKind;
use undercroft::domain::permission::Permissions;
use undercroft::domain::subscription::Subscription;
use undercroft::infrastructure::events::EventDispatcher;
use undercroft::infrastructure::exceptions::OrderProcessingException;

use super::{JANUARY_31, Subscribed, change};
use crate::support::orders::{assert_consistent, checkout_request, recover_payments, submit};
use crate::support::store::{cart, confirm_payment, execute, manual_capture, value};
use crate::support::{Shop, ShopOptions};

impl Subscribed {
    async fn cancel_order(&self, id: OrderId) {
        self.sale(id).cancel().await;
    }

    async fn refund(&self, id: OrderId) {
        let (status, body) = self.sale(id).run(OperationKind::Refund, None).await;
        assert_eq!(status, 201, "{body}");
    }

    /// Asserts that the subscription is cancelled and not charged again.
    async fn assert_cancelled(&self) {
        let subscription = self.current().await;
        assert_eq!((self.status().await.as_str(), subscription.next_charge_at), ("cancelled", None));
        assert!(subscription.paid_until <= self.now());
        let orders = self.number("SELECT COUNT(*) FROM orders").await;
        self.live(70).await;
        assert_eq!(self.number("SELECT COUNT(*) FROM orders").await, orders);
        self.check().await;
    }
}

on_both_engines!(a_cancelled_first_order_ends_the_subscription, ShopOptions::at(JANUARY_31));
async fn a_cancelled_first_order_ends_the_subscription(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    Box::pin(subscribed.cancel_order(subscribed.last_order().await)).await;
    subscribed.assert_cancelled().await;
}

on_both_engines!(a_fully_refunded_charge_ends_its_subscription, ShopOptions::at(JANUARY_31));
async fn a_fully_refunded_charge_ends_its_subscription(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    let first = subscribed.last_order().await;
    subscribed.live(30).await;
    subscribed.refund(first).await;
    assert_eq!(subscribed.status().await, "active", "the current period is paid");
    subscribed.refund(subscribed.last_order().await).await;
    subscribed.assert_cancelled().await;
}

on_both_engines!(a_cancelled_order_of_a_pending_charge_cancels_the_subscription, ShopOptions::at(JANUARY_31));
async fn a_cancelled_order_of_a_pending_charge_cancels_the_subscription(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    let pending = subscribed.pending_renewal().await;
    Box::pin(subscribed.cancel_order(pending.order.id)).await;
    let past_due = "SELECT COUNT(*) FROM outbox WHERE type = 'subscription.changed' \
                    AND data ->> 'status' = 'past_due'";
    assert_eq!(subscribed.number(past_due).await, 0);
    subscribed.assert_cancelled().await;
}

on_both_engines!(the_end_of_a_subscription_cancels_the_pending_charge, ShopOptions::at(JANUARY_31));
async fn the_end_of_a_subscription_cancels_the_pending_charge(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    let first = subscribed.last_order().await;
    let pending = subscribed.pending_renewal().await;
    subscribed.refund(first).await;
    confirm_payment(&subscribed.store, pending.payment.id).await;
    subscribed.assert_cancelled().await;
    assert_eq!(subscribed.paid_periods().await, 1);
}

on_both_engines!(an_immediate_end_refunds_the_rest_of_the_subscriptions_own_line);
async fn an_immediate_end_refunds_the_rest_of_the_subscriptions_own_line(shop: &Shop) {
    let store = &shop.store;
    let subscribed = shop.product().price(3100).stock(100).subscription().create().await;
    let other = shop.product().price(5000).stock(10).create().await;
    let user_id = shop.customer().await;
    let cart = cart(store, Some(user_id), &[(subscribed, 1), (other, 1)]).await;
    let request = Checkout { user_id: Some(user_id), ..checkout_request(cart, "tok_ok") };
    assert_eq!(submit(store, request, None).await.0, 201);
    execute(
        &shop.database,
        &["UPDATE subscription_periods SET starts_at = starts_at - (ends_at - starts_at)"],
    )
    .await;
    let id = value(&shop.database, "SELECT id FROM subscriptions", &[]).await;
    let now = shop.now();
    change(store, id, SubscriptionChange::CancelAndRefund(Permissions::ALL)).await.unwrap();
    let ended: Subscription = shop.database.read().await.unwrap().find(id).await.unwrap().unwrap();
    assert!(ended.paid_until >= now && ended.paid_until <= shop.now());
    assert_eq!(recover_payments(store, ended.paid_until).await.unwrap(), 1);
    let refunded: i64 = value(&shop.database, "SELECT refunded FROM payments", &[]).await;
    assert!((1549..=1550).contains(&refunded), "half of 3100 or a cent less: {refunded}");
    assert_consistent(&shop.database).await;
}

on_both_engines!(
    an_immediate_end_waits_until_what_it_refunds_is_captured,
    ShopOptions::at(JANUARY_31).terms(manual_capture())
);
async fn an_immediate_end_waits_until_what_it_refunds_is_captured(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    let end = async || {
        let ended =
            change(&subscribed.store, subscribed.id, SubscriptionChange::CancelAndRefund(Permissions::ALL))
                .await;
        ended.err().map(|failure| failure.downcast_ref::<OrderProcessingException>().cloned())
    };
    let forbidden = |from| {
        let what = "payment";
        Some(Some(OrderProcessingException::Forbidden { what, from, to: "refunded" }))
    };
    let charge = subscribed.sale(subscribed.last_order().await);
    assert_eq!(end().await, forbidden("authorized"));

    // no provider responds to the capture
    subscribed.sql(&["UPDATE payments SET provider = 'silent'"]).await;
    assert_ne!(charge.run(OperationKind::Capture, Some(1000)).await.0, 201);
    assert_eq!(end().await, Some(Some(OrderProcessingException::InProgress)));
    subscribed.sql(&["UPDATE payments SET provider = 'sandbox'"]).await;
    charge.recover().await;
    assert_eq!(end().await, forbidden("captured"), "a part is captured");
    assert_eq!((subscribed.status().await.as_str(), charge.payment().await.refunding.amount), ("active", 0));

    assert_eq!(charge.run(OperationKind::Capture, None).await.0, 201);
    assert_eq!(end().await, None);
    charge.recover().await;
    assert_eq!(charge.payment().await.refunded.amount, 1500);
    subscribed.assert_cancelled().await;
}

on_both_engines!(an_erased_user_has_no_subscription_and_buys_nothing, ShopOptions::at(JANUARY_31));
async fn an_erased_user_has_no_subscription_and_buys_nothing(shop: &Shop) {
    let subscribed = Subscribed::begin(shop).await;
    subscribed.sql(&["UPDATE orders SET status = 'fulfilled'"]).await;
    let user_id: UserId = value(subscribed.database(), "SELECT id FROM users", &[]).await;
    let cart = cart(&subscribed.store, None, &[(subscribed.variant, 1)]).await;
    erase(&subscribed.store, Granter::Unlimited, user_id).await.unwrap();
    let ended = "SELECT COUNT(*) FROM outbox WHERE type = 'subscription.changed' \
                 AND data ->> 'status' = 'cancelled'";
    assert_eq!((subscribed.status().await.as_str(), subscribed.number(ended).await), ("cancelled", 1));

    // a request that was authorized before the erasure
    let request = Checkout { user_id: Some(user_id), ..checkout_request(cart, "tok_ok") };
    let refused = submit(&subscribed.store, request, None).await;
    assert_eq!(refused, (401, "unauthorized_access".into()));
    assert_eq!(subscribed.number("SELECT COUNT(*) FROM orders").await, 1);

    let dispatcher = EventDispatcher::new(subscribed.database().clone(), subscribers());
    let unread = "SELECT COUNT(*) FROM outbox WHERE seq > (SELECT COALESCE(MAX(seq), 0) FROM event_cursors)";
    for _ in 0..600 {
        dispatcher.deliver(&CancellationToken::new()).await.unwrap();
        if subscribed.number(unread).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(subscribed.number(unread).await, 0);
    assert_eq!(subscribed.number("SELECT COUNT(*) FROM notifications").await, 0);
}
