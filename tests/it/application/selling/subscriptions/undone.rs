//! Orders of a subscription that are cancelled or paid back.

use super::*;
use tokio_util::sync::CancellationToken;
use undercroft::application::idempotency::Responder;
use undercroft::application::jobs::subscribers;
use undercroft::application::people::users::erase;
use undercroft::infrastructure::events::EventDispatcher;

impl Subscribed {
    async fn cancel_order(&self, id: OrderId) {
        cancelled(&self.store, id).await;
    }

    async fn refund(&self, order_id: OrderId) {
        let request = OperationRequest {
            order_id,
            kind: OperationKind::Refund,
            amount: None,
            reason: None,
            restock: false,
        };
        let moved = capture_or_refund(&self.store, request, Responder::new(None, Plain)).await;
        assert_eq!(told(&moved).0, 201);
    }

    /// It is over, and nothing is charged for it any more.
    async fn is_over(&self) {
        let subscription = self.now_stands().await;
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
    let it = Subscribed::begin(shop).await;
    it.cancel_order(it.last_order().await).await;
    it.is_over().await;
}

on_both_engines!(a_fully_refunded_charge_ends_its_subscription, ShopOptions::at(JANUARY_31));
async fn a_fully_refunded_charge_ends_its_subscription(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    let first = it.last_order().await;
    it.live(30).await;
    it.refund(first).await;
    assert_eq!(it.status().await, "active", "the period that runs is paid");
    it.refund(it.last_order().await).await;
    it.is_over().await;
}

on_both_engines!(a_cancelled_order_of_a_pending_charge_cancels_the_subscription, ShopOptions::at(JANUARY_31));
async fn a_cancelled_order_of_a_pending_charge_cancels_the_subscription(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    it.sql(&["UPDATE subscriptions SET token = 'tok_requires_action'"]).await;
    it.shop.clock().advance(SignedDuration::from_hours(24 * 28));
    renew_subscriptions(&it.store, it.now()).await.unwrap();
    it.cancel_order(it.last_order().await).await;
    let past_due = "SELECT COUNT(*) FROM outbox WHERE type = 'subscription.changed' \
                    AND data ->> 'status' = 'past_due'";
    assert_eq!(it.number(past_due).await, 0);
    it.is_over().await;
}

on_both_engines!(the_end_of_a_subscription_cancels_the_pending_charge, ShopOptions::at(JANUARY_31));
async fn the_end_of_a_subscription_cancels_the_pending_charge(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    let first = it.last_order().await;
    it.sql(&["UPDATE subscriptions SET token = 'tok_requires_action'"]).await;
    it.shop.clock().advance(SignedDuration::from_hours(24 * 28));
    renew_subscriptions(&it.store, it.now()).await.unwrap();
    let under_way = order(&it.store, it.last_order().await).await.unwrap();
    it.refund(first).await;
    confirm_payment(&it.store, under_way.payment.id).await;
    it.is_over().await;
    assert_eq!(it.paid_periods().await, 1);
}

on_both_engines!(an_immediate_end_refunds_the_rest_of_the_subscriptions_own_line);
async fn an_immediate_end_refunds_the_rest_of_the_subscriptions_own_line(shop: &Shop) {
    let store = &shop.store;
    let subscribed = shop.product().price(3100).stock(100).subscription().create().await;
    let other = shop.product().price(5000).stock(10).create().await;
    let user_id = shop.customer().await;
    let cart = cart(store, Some(user_id), &[(subscribed, 1), (other, 1)]).await;
    let request = Checkout { user_id: Some(user_id), ..purchase(cart, "tok_ok") };
    assert_eq!(told(&checkout(store, request, Responder::new(None, Plain)).await).0, 201);
    execute(
        &shop.database,
        &["UPDATE subscription_periods SET starts_at = starts_at - (ends_at - starts_at)"],
    )
    .await;
    let id = value(&shop.database, "SELECT id FROM subscriptions", &[]).await;
    let now = shop.database.context().clock.now();
    let ended: Result<Subscription, Failure> =
        shop.database.write(id, async |work, &id| cancel_and_refund(work, id).await).await;
    let ended = ended.unwrap();
    assert!(ended.paid_until >= now && ended.paid_until <= shop.database.context().clock.now());
    assert_eq!(recover_payments(store, ended.paid_until).await.unwrap(), 1);
    let back: i64 = value(&shop.database, "SELECT refunded FROM payments", &[]).await;
    assert!((1549..=1550).contains(&back), "half of 3100, and a moment: {back}");
    check(&shop.database).await;
}

on_both_engines!(an_erased_user_has_no_subscription_and_buys_nothing, ShopOptions::at(JANUARY_31));
async fn an_erased_user_has_no_subscription_and_buys_nothing(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    it.sql(&["UPDATE orders SET status = 'fulfilled'"]).await;
    let user_id: UserId = value(it.database(), "SELECT id FROM users", &[]).await;
    let cart = cart(&it.store, None, &[(it.variant, 1)]).await;
    erase(&it.store, user_id).await.unwrap();
    let ended = "SELECT COUNT(*) FROM outbox WHERE type = 'subscription.changed' \
                 AND data ->> 'status' = 'cancelled'";
    assert_eq!((it.status().await.as_str(), it.number(ended).await), ("cancelled", 1));

    // the request was let in before
    let request = Checkout { user_id: Some(user_id), ..purchase(cart, "tok_ok") };
    let refused = checkout(&it.store, request, Responder::new(None, Plain)).await;
    assert_eq!(told(&refused), (401, "unauthorized_access".into()));
    assert_eq!(it.number("SELECT COUNT(*) FROM orders").await, 1);

    let dispatcher = EventDispatcher::new(it.database().clone(), subscribers());
    let unread = "SELECT COUNT(*) FROM outbox WHERE seq > (SELECT COALESCE(MAX(seq), 0) FROM event_cursors)";
    for _ in 0..600 {
        dispatcher.deliver(&CancellationToken::new()).await.unwrap();
        if it.number(unread).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(it.number(unread).await, 0);
    assert_eq!(it.number("SELECT COUNT(*) FROM notifications").await, 0);
}
