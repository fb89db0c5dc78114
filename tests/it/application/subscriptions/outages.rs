//! Renewals while a payment provider is away.

use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use undercroft::application::jobs::subscribers;
use undercroft::domain::order::OrderStatus;
use undercroft::domain::subscription::SubscriptionStatus;
use undercroft::infrastructure::adapters::CallLimits;
use undercroft::infrastructure::events::EventDispatcher;

use super::{JANUARY_31, Subscribed};
use crate::support::orders::{recover_payments, renew_subscriptions};
use crate::support::slow_gateway::{Call, SlowGateway};
use crate::support::store::terms;
use crate::support::{Shop, ShopOptions};

on_both_engines!(an_outage_that_outlasts_the_reservation_is_no_failed_charge, ShopOptions::at(JANUARY_31));
async fn an_outage_that_outlasts_the_reservation_is_no_failed_charge(shop: &Shop) {
    let limits = CallLimits { timeout: Duration::from_millis(50), concurrency: 4 };
    let (store, slow) = SlowGateway::store(&shop.database, terms(), limits);
    let subscribed = Subscribed { store, ..Subscribed::begin(shop).await };
    subscribed.sql(&["UPDATE subscriptions SET provider = 'slow'"]).await;

    slow.hold(&[Call::Authorize, Call::LookUp]);
    shop.clock().advance(SignedDuration::from_hours(24 * 28));
    renew_subscriptions(&subscribed.store, shop.now()).await.unwrap();
    let order = subscribed.sale(subscribed.last_order().await);
    for _ in 0..3 {
        shop.clock().advance(SignedDuration::from_mins(30));
        recover_payments(&subscribed.store, shop.now()).await.unwrap();
    }
    assert_eq!(order.order().await.order.status, OrderStatus::Pending, "the outcome is not known yet");

    slow.hold(&[]);
    shop.clock().advance(SignedDuration::from_mins(30));
    recover_payments(&subscribed.store, shop.now()).await.unwrap();
    assert_eq!(order.order().await.order.status, OrderStatus::Cancelled);
    let subscription = subscribed.current().await;
    assert_eq!((subscription.status, subscription.failed_attempts), (SubscriptionStatus::Active, 0));
    assert_eq!(subscription.next_charge_at, Some(shop.now() + SignedDuration::from_mins(10)));
    let changes = "SELECT COUNT(*) FROM outbox WHERE type = 'subscription.changed'";
    assert_eq!(subscribed.number(changes).await, 1, "its beginning alone");

    let reasons =
        "SELECT COUNT(*) FROM outbox WHERE type = 'order.cancelled' AND data ->> 'reason' = 'not_charged'";
    assert_eq!(subscribed.number(reasons).await, 1);
    let dispatcher = EventDispatcher::new(shop.database.clone(), subscribers());
    dispatcher.deliver(&CancellationToken::new()).await.unwrap();
    let notices = "SELECT COUNT(*) FROM notifications WHERE kind = 'order_cancelled'";
    assert_eq!(subscribed.number(notices).await, 0, "another order follows");

    shop.clock().advance(SignedDuration::from_mins(10));
    assert_eq!(renew_subscriptions(&subscribed.store, shop.now()).await.unwrap(), 1);
    assert_eq!(subscribed.paid_periods().await, 2);
    assert_eq!(subscribed.number("SELECT COUNT(*) FROM sandbox_charges").await, 2);
    subscribed.check().await;
}
