//! One charge a period, and what follows when it fails.

mod undone;

use super::*;
use crate::support::store::execute;
use undercroft::application::idempotency::Responder;
use undercroft::application::subscriptions::lifecycle::{cancel as end, cancel_and_refund, pause, resume};
use undercroft::domain::subscription::{Subscription, SubscriptionStatus};
use undercroft::infrastructure::exceptions::{Kind, SubscriptionExpiredException};

/// A subscription of a month at 1500, begun on January 31, and the clock that its charges go by.
struct Subscribed {
    shop: Shop,
    store: Store,
    variant: VariantId,
    id: SubscriptionId,
}

impl Subscribed {
    async fn begin(shop: &Shop) -> Self {
        let (store, database) = (shop.store.clone(), &shop.database);
        let variant = shop.product().price(1500).stock(100).subscription().create().await;
        let user_id = shop.customer().await;
        let cart = cart(&store, Some(user_id), &[(variant, 1)]).await;
        let request = Checkout { user_id: Some(user_id), ..purchase(cart, "tok_ok") };
        assert_eq!(told(&checkout(&store, request, Responder::new(None, Plain)).await).0, 201);
        let id = value(database, "SELECT id FROM subscriptions", &[]).await;
        Self { shop: shop.clone(), store, variant, id }
    }

    fn database(&self) -> &Database {
        self.store.database()
    }

    fn now(&self) -> Timestamp {
        self.database().context().clock.now()
    }

    /// Lets so many days go by, with a round of the worker on each.
    async fn live(&self, days: i64) {
        for _ in 0..days {
            self.shop.clock().advance(SignedDuration::from_hours(24));
            recover_payments(&self.store, self.now()).await.unwrap();
            renew_subscriptions(&self.store, self.now()).await.unwrap();
        }
    }

    async fn sql(&self, statements: &'static [&'static str]) {
        execute(self.database(), statements).await;
    }

    async fn number(&self, sql: &str) -> i64 {
        value(self.database(), sql, &[]).await
    }

    async fn now_stands(&self) -> Subscription {
        self.database().read().await.unwrap().find(self.id).await.unwrap().unwrap()
    }

    async fn status(&self) -> String {
        value(self.database(), "SELECT status FROM subscriptions", &[]).await
    }

    async fn pause(&self) -> Result<Subscription, Failure> {
        self.database().write(self.id, async |work, &id| pause(work, id).await).await
    }

    async fn resume(&self) -> Result<Subscription, Failure> {
        self.database().write(self.id, async |work, &id| resume(work, id).await).await
    }

    async fn cancel(&self) -> Result<Subscription, Failure> {
        self.database().write(self.id, async |work, &id| end(work, id).await).await
    }

    /// The order of the last period.
    async fn last_order(&self) -> OrderId {
        let sql = "SELECT order_id FROM subscription_periods ORDER BY period DESC LIMIT 1";
        value(self.database(), sql, &[]).await
    }

    async fn paid_periods(&self) -> i64 {
        self.number("SELECT COUNT(*) FROM subscription_periods WHERE status = 'paid'").await
    }

    /// No day is paid twice, every paid period lasts a month, and the books are right.
    async fn check(&self) {
        let paid_twice = "SELECT COUNT(*) FROM subscription_periods a JOIN subscription_periods b \
                          ON a.period < b.period AND a.ends_at > b.starts_at \
                          WHERE a.status = 'paid' AND b.status = 'paid'";
        assert_eq!(self.number(paid_twice).await, 0, "a day is paid twice");
        check(self.database()).await;
    }
}

on_both_engines!(a_period_of_a_subscription_is_charged_once_by_32_workers, ShopOptions::at(JANUARY_31));
async fn a_period_of_a_subscription_is_charged_once_by_32_workers(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    assert!(!renew(&it.store, it.id).await.unwrap(), "not due yet");
    it.shop.clock().advance(SignedDuration::from_hours(24 * 28));
    let workers = (0..32).map(|_| {
        let (store, id) = (it.store.clone(), it.id);
        tokio::spawn(async move { renew(&store, id).await.unwrap() })
    });
    let mut charged = 0;
    for worker in workers.collect::<Vec<_>>() {
        charged += i64::from(worker.await.unwrap());
    }
    assert_eq!(charged, 1);
    assert_eq!(it.number("SELECT COUNT(*) FROM orders").await, 2);
    assert!(it.now_stands().await.paid_until > it.now());
    it.check().await;
}

on_both_engines!(a_subscription_whose_charges_fail_expires_after_four, ShopOptions::at(JANUARY_31));
async fn a_subscription_whose_charges_fail_expires_after_four(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    it.sql(&["UPDATE subscriptions SET token = 'tok_declined'"]).await;
    let mut states = Vec::new();
    for days in [28, 1, 3, 5, 30] {
        it.live(days).await;
        states.push(it.status().await);
    }
    assert_eq!(states, ["past_due", "past_due", "past_due", "expired", "expired"]);
    assert_eq!(it.number("SELECT COUNT(*) FROM payments WHERE status = 'failed'").await, 4);
    assert_eq!(stock(it.database(), it.variant).await, (99, 0));
    for refused in [it.pause().await, it.resume().await, it.cancel().await] {
        assert!(refused.unwrap_err().is::<SubscriptionExpiredException>());
    }
    it.check().await;
}

on_both_engines!(
    a_renewal_whose_provider_is_not_configured_is_not_a_failed_charge,
    ShopOptions::at(JANUARY_31)
);
async fn a_renewal_whose_provider_is_not_configured_is_not_a_failed_charge(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    it.sql(&["UPDATE subscriptions SET provider = 'removed'"]).await;
    it.shop.clock().advance(SignedDuration::from_hours(24 * 28));
    let failure = renew(&it.store, it.id).await.unwrap_err();
    assert_eq!(failure.kind(), Kind::Internal);
    let subscription = it.now_stands().await;
    assert_eq!((subscription.status, subscription.failed_attempts), (SubscriptionStatus::Active, 0));
    assert!(subscription.next_charge_at.is_some_and(|at| at <= it.now()), "it is still due");

    it.sql(&["UPDATE subscriptions SET provider = 'sandbox'"]).await;
    assert!(renew(&it.store, it.id).await.unwrap());
    it.check().await;
}

on_both_engines!(a_subscription_is_paused_while_its_charge_is_settled, ShopOptions::at(JANUARY_31));
async fn a_subscription_is_paused_while_its_charge_is_settled(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    for _ in 0..4 {
        it.shop.clock().advance(SignedDuration::from_hours(24 * 31));
        let (renewed, paused) = tokio::join!(renew(&it.store, it.id), it.pause());
        renewed.unwrap();
        let stale = paused.is_err_and(|failure| failure.code() == "stale");
        if stale {
            it.pause().await.unwrap();
        }
        assert_eq!(it.status().await, "paused");
        it.live(1).await;
        it.check().await;
        it.resume().await.unwrap();
    }
}

on_both_engines!(a_retried_charge_does_not_change_the_periods_of_a_year, ShopOptions::at(JANUARY_31));
async fn a_retried_charge_does_not_change_the_periods_of_a_year(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    it.sql(&["UPDATE subscriptions SET token = 'tok_declined'"]).await;
    it.live(30).await;
    assert_eq!(it.status().await, "past_due");
    let until = it.now_stands().await.paid_until;
    it.sql(&["UPDATE subscriptions SET token = 'tok_ok'"]).await;
    it.resume().await.unwrap();
    assert_eq!(it.now_stands().await.paid_until, until, "the days since are not given away");
    renew_subscriptions(&it.store, it.now()).await.unwrap();
    assert_eq!((it.status().await.as_str(), it.paid_periods().await), ("active", 2));
    it.live(335).await;
    assert_eq!(it.paid_periods().await, 13);
    it.check().await;
}

on_both_engines!(a_pause_cancels_the_pending_charge, ShopOptions::at(JANUARY_31));
async fn a_pause_cancels_the_pending_charge(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    it.sql(&["UPDATE subscriptions SET token = 'tok_requires_action'"]).await;
    it.shop.clock().advance(SignedDuration::from_hours(24 * 28));
    renew_subscriptions(&it.store, it.now()).await.unwrap();
    let under_way = order(&it.store, it.last_order().await).await.unwrap();
    assert_eq!(under_way.payment.status, PaymentStatus::RequiresAction);
    it.pause().await.unwrap();
    confirm_payment(&it.store, under_way.payment.id).await;
    it.live(100).await;
    let given_up = order(&it.store, under_way.order.id).await.unwrap();
    assert_eq!(given_up.order.status, OrderStatus::Cancelled);
    assert_eq!((it.status().await.as_str(), it.paid_periods().await), ("paused", 1));
    it.check().await;

    it.sql(&["UPDATE subscriptions SET token = 'tok_ok'"]).await;
    it.resume().await.unwrap();
    it.live(1).await;
    assert_eq!(it.paid_periods().await, 2);
    it.live(180).await;
    assert_eq!(it.paid_periods().await, 7, "the day of the resumption counts from here on");
    it.check().await;
}

on_both_engines!(a_subscription_cancelled_during_a_charge_refunds_it, ShopOptions::at(JANUARY_31));
async fn a_subscription_cancelled_during_a_charge_refunds_it(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    it.sql(&["UPDATE subscriptions SET token = 'tok_requires_action'"]).await;
    it.shop.clock().advance(SignedDuration::from_hours(24 * 28));
    renew_subscriptions(&it.store, it.now()).await.unwrap();
    let under_way = order(&it.store, it.last_order().await).await.unwrap();
    it.cancel().await.unwrap();
    confirm_payment(&it.store, under_way.payment.id).await;
    refresh(&it.store, under_way.payment.id).await.unwrap();
    it.live(60).await;
    assert_eq!((it.status().await.as_str(), it.paid_periods().await), ("cancelled", 1));
    let charge = order(&it.store, under_way.order.id).await.unwrap();
    assert_eq!(charge.payment.captured.amount, charge.payment.refunded.amount);
    it.check().await;
}

on_both_engines!(missed_periods_are_not_charged_later, ShopOptions::at(JANUARY_31));
async fn missed_periods_are_not_charged_later(shop: &Shop) {
    let it = Subscribed::begin(shop).await;
    it.shop.clock().advance(SignedDuration::from_hours(24 * 120));
    for _ in 0..5 {
        renew_subscriptions(&it.store, it.now()).await.unwrap();
    }
    assert_eq!(it.paid_periods().await, 2, "one charge for five months");
    assert!(it.now_stands().await.paid_until > it.now());
    it.live(62).await;
    assert_eq!(it.paid_periods().await, 4);
    it.check().await;
}

/// Asserts that no charge counts as failed while this fault lasts, and that it is charged once it is repaired.
async fn does_not_count_as_a_failed_charge(
    shop: &Shop,
    fault: &'static [&'static str],
    repair: &'static [&'static str],
) {
    let it = Subscribed::begin(shop).await;
    it.sql(fault).await;
    it.live(60).await;
    let subscription = it.now_stands().await;
    assert_eq!((subscription.status, subscription.failed_attempts), (SubscriptionStatus::Active, 0));
    it.sql(repair).await;
    it.live(1).await;
    assert_eq!(it.paid_periods().await, 2, "charged once the fault is repaired");
    it.check().await;
}

on_both_engines!(a_failed_check_of_the_database_is_no_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_failed_check_of_the_database_is_no_failed_charge(shop: &Shop) {
    let fault = &["ALTER TABLE reservations ADD COLUMN extra TEXT CHECK (extra IS NOT NULL OR quantity > 1)"];
    does_not_count_as_a_failed_charge(shop, fault, &["ALTER TABLE reservations DROP COLUMN extra"]).await;
}

on_both_engines!(a_number_that_is_taken_is_no_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_number_that_is_taken_is_no_failed_charge(shop: &Shop) {
    let fault = &["UPDATE counters SET value = 0 WHERE name = 'order'"];
    let repair = &["UPDATE counters SET value = 1 WHERE name = 'order'"];
    does_not_count_as_a_failed_charge(shop, fault, repair).await;
}

on_both_engines!(an_invalid_price_is_no_failed_charge, ShopOptions::at(JANUARY_31));
async fn an_invalid_price_is_no_failed_charge(shop: &Shop) {
    let fault = &["UPDATE variants SET prices = '{\"EUR\": -1500}'"];
    let repair = &["UPDATE variants SET prices = '{\"EUR\": 1500}'"];
    does_not_count_as_a_failed_charge(shop, fault, repair).await;
}

/// Asserts that a renewal that is refused for this reason counts as a failed charge.
async fn counts_as_a_failed_charge(shop: &Shop, reason: &'static [&'static str]) {
    let it = Subscribed::begin(shop).await;
    it.sql(reason).await;
    it.live(28).await;
    assert_eq!(it.status().await, "past_due");
    let next = it.now_stands().await.next_charge_at.unwrap();
    assert!(next > it.now(), "the next attempt is later");
    it.live(60).await;
    assert_eq!(it.status().await, "expired");
    let changes = it.number("SELECT COUNT(*) FROM outbox WHERE type = 'subscription.changed'").await;
    assert_eq!(changes, 5, "begun, and four failed charges");
    it.check().await;
}

on_both_engines!(a_renewal_of_an_inactive_product_counts_as_a_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_renewal_of_an_inactive_product_counts_as_a_failed_charge(shop: &Shop) {
    counts_as_a_failed_charge(shop, &["UPDATE products SET active = FALSE"]).await;
}

on_both_engines!(a_renewal_without_stock_counts_as_a_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_renewal_without_stock_counts_as_a_failed_charge(shop: &Shop) {
    counts_as_a_failed_charge(shop, &["UPDATE inventory SET stock = 0"]).await;
}

on_both_engines!(a_renewal_below_the_minimum_age_counts_as_a_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_renewal_below_the_minimum_age_counts_as_a_failed_charge(shop: &Shop) {
    counts_as_a_failed_charge(shop, &["UPDATE products SET minimum_age = 18"]).await;
}

on_both_engines!(a_renewal_without_its_provider_is_no_failed_charge, ShopOptions::at(JANUARY_31));
async fn a_renewal_without_its_provider_is_no_failed_charge(shop: &Shop) {
    let fault = &["UPDATE subscriptions SET provider = 'gone'"];
    let repair = &["UPDATE subscriptions SET provider = 'sandbox'"];
    does_not_count_as_a_failed_charge(shop, fault, repair).await;
}
